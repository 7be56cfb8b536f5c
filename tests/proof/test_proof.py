"""The transparency log of the release binary, read by a verifier that shares no line with it.

    cargo build --release
    pip install -r tests/vendor/requirements.txt
    pytest tests/proof
"""

import base64
import datetime
import json
import pathlib
import shutil
import subprocess
import sys
import threading
import time

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "vendor"))

import tlog  # noqa: E402
from support import OWNER, PASSWORD, PATIENCE, USER, Directory, in_threads, join  # noqa: E402
from tlog import (  # noqa: E402
    NotVerified,
    TileReader,
    leaf_hash,
    parse_proof,
    parse_record,
    parse_vkey,
    root_from_inclusion,
    tile_path,
    verify_checkpoint,
    verify_consistency,
    verify_inclusion,
    verify_note,
    verify_proof,
)

SETTINGS = ["log=warn", "max_requests_per_key=unlimited", "max_requests_per_address=unlimited"]
LOGS = ["enforcement", "messages", "activity"]
LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
NOW = datetime.datetime(2026, 4, 30, tzinfo=datetime.timezone.utc)
ERASED = "eve@example.net"


def at(begin, n):
    """A second each, as the interface writes it and in microseconds."""
    when = begin + datetime.timedelta(seconds=n)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ"), int(when.timestamp()) * 1_000_000


class World:
    """A data directory with an owner for each log; what it records, it remembers by the row's number."""

    def __init__(self, place, settings=()):
        self.directory = Directory(place, [*SETTINGS, *settings])
        self.key = self.directory.key
        self.tenant = self.directory.json("tenant", "create", "--name", "Acme")["id"]
        self.mailbox = self.directory.json("mailbox", "create", "--address", "agent@acme.example")["id"]
        self.project = self.directory.json("project", "create", "--name", "Newsletter")["id"]
        self.server = None
        # By number: which log, under which id, and values that its record has to have.
        self.rows = {}

    def __enter__(self):
        self.serving = self.directory.serving()
        self.server = self.serving.__enter__()
        self.server.post("/api/v1/auth/login", body={"email": OWNER, "password": PASSWORD})
        return self

    def __exit__(self, *failure):
        self.server = None
        return self.serving.__exit__(*failure)

    def run(self, *arguments, **more):
        """A command in the first workspace."""
        return self.directory.run("--workspace", self.directory.made["workspace_id"], *arguments, **more)

    def owner(self, log):
        return {"messages": ["--mailbox", self.mailbox], "activity": ["--project", self.project]}.get(log, [])

    # What it records.

    def enforce(self, count, begin=NOW):
        first = len(self.rows)
        times = [at(begin, n) for n in range(first, first + count)]
        events = [
            {
                "tenant_id": self.tenant,
                "mailbox_address": f"sales{n}@acme.example",
                "action_taken": "blocked",
                "sent_count": 1000 + n,
                "limit_value": 999,
                "created_at": text,
            }
            for n, (text, _) in enumerate(times, first)
        ]
        made = self.server.post("/v1/enforcement/events", self.key, {"events": events}).json()["events"]
        for event, row, (_, micros) in zip(events, made, times, strict=True):
            values = [self.tenant, event["mailbox_address"], event["sent_count"], event["limit_value"], micros]
            self.rows[row["seq"]] = ("enforcement", row["id"], values)
        return [row["seq"] for row in made]

    def deliver(self, count, begin=NOW, sender="ada@example.org"):
        first = len(self.rows)
        items = [
            {
                "message_id": f"m{n}",
                "sender_address": sender,
                "outcome": "rejected_at_policy",
                "reason": f"Grüße {n} 👩‍💻",
                "received_at": at(begin, n)[1] // 1_000_000,
            }
            for n in range(first, first + count)
        ]
        path = f"/v1/mailboxes/{self.mailbox}/audit-logs"
        made = self.server.post(path, self.key, {"items": items}).json()["items"]
        for item, row in zip(items, made, strict=True):
            values = [item["message_id"], sender, item["reason"], item["outcome"], item["received_at"] * 1_000_000]
            self.rows[row["id"]] = ("messages", item["message_id"], values)
        return [row["id"] for row in made]

    def act(self, count, begin=NOW):
        first = len(self.rows)
        times = [at(begin, n) for n in range(first, first + count)]
        entries = [
            {
                "user_id": USER,
                "action": "smtp.update",
                "target_id": f"t{n}",
                "user_agent": 'a "b" \\ c',
                "created_at": text,
            }
            for n, (text, _) in enumerate(times, first)
        ]
        path = f"/api/v1/projects/{self.project}/audit-log"
        made = self.server.post(path, self.key, {"entries": entries}).json()["entries"]
        for entry, row, (_, micros) in zip(entries, made, times, strict=True):
            values = [USER, "smtp.update", entry["target_id"], entry["user_agent"], micros]
            self.rows[row["seq"]] = ("activity", row["id"], values)
        return [row["seq"] for row in made]

    def fill(self):
        """Some of each, so that bundles have rows of several logs in them."""
        for _ in range(5):
            self.enforce(70)
            self.deliver(70)
            self.act(70)

    # What it serves.

    def fetch(self, path, **more):
        return self.server.get(f"/tlog/{path}", self.key, **more)

    def get(self, path):
        answer = self.fetch(path)
        assert answer.headers["content-type"] == "application/octet-stream"
        return answer.content

    def vkeys(self):
        answer = self.fetch("keys")
        assert answer.headers["content-type"].startswith("text/plain")
        *lines, rest = answer.text.split("\n")
        assert lines and rest == ""
        return lines

    def tree(self, seq=None):
        """The checkpoint, when it has the last row that was recorded, and its tree out of tiles."""
        seq = max(self.rows) if seq is None else seq
        until = time.monotonic() + PATIENCE
        while True:
            answer = self.fetch("checkpoint")
            checkpoint = verify_checkpoint(answer.content, self.vkeys()[-1])
            if checkpoint.size >= seq:
                break
            assert time.monotonic() < until, f"the checkpoint has {checkpoint.size} leaves, not {seq}"
            time.sleep(0.1)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        return Tree(answer.content, checkpoint, TileReader(self.get, checkpoint))

    def proof_path(self, seq):
        log, id, _ = self.rows[seq]
        return {
            "enforcement": f"/v1/enforcement/events/{id}/proof",
            "messages": f"/v1/mailboxes/{self.mailbox}/audit-logs/{id}/proof",
            "activity": f"/api/v1/projects/{self.project}/audit-log/{id}/proof",
        }[log]

    def proof(self, seq):
        # The project's page is read with the session's cookie.
        key = None if self.rows[seq][0] == "activity" else self.key
        answer = self.server.get(self.proof_path(seq), key)
        assert answer.headers["content-type"].startswith("text/plain")
        return answer.content

    def proves(self, seq):
        """The row's record, proven, and saying what was recorded."""
        log, _, values = self.rows[seq]
        record = verify_proof(self.proof(seq), self.vkeys()[-1])
        assert (record["log"], record["seq"]) == (log, seq)
        missing = [value for value in values if value not in record.values()]
        assert not missing, (missing, record)
        assert len(bytes.fromhex(record["salt"])) == 16
        return record

    def some(self, log, among=None):
        """The first, the middle and the last of the numbers of that log."""
        seqs = [seq for seq in sorted(self.rows if among is None else among) if self.rows[seq][0] == log]
        return [seqs[0], seqs[len(seqs) // 2], seqs[-1]]


class Tree:
    """A verified checkpoint and the reader of its tiles."""

    def __init__(self, note, checkpoint, reader):
        self.note, self.checkpoint, self.reader = note, checkpoint, reader
        self.size, self.root = checkpoint.size, checkpoint.root

    def paths(self):
        return [tile_path(level, n, self.reader.width(level, n)) for level, n in self.reader.every_tile()]

    def bundles(self):
        return range(-(-self.size // 256))

    def goes_on(self, later):
        """Whether the later tree begins with this one, by its tiles alone."""
        path = later.reader.consistency(self.size)
        verify_consistency(self.size, later.size, self.root, later.root, path)
        assert later.reader.root(self.size) == self.root
        assert later.reader.leaves()[: self.size] == self.reader.leaves()
        return path


def base64s(hashes):
    return [base64.b64encode(hash).decode() for hash in hashes]


def proof_of(tree, index, line):
    """A .tlog-proof put together here, from tiles."""
    extra, *path = base64s([line, *tree.reader.inclusion(index)])
    return "\n".join(["c2sp.org/tlog-proof@v1", f"extra {extra}", f"index {index}", *path, "", ""]).encode() + tree.note


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with World(tmp_path_factory.mktemp("proof")) as world:
        world.fill()
        yield world


# ---------------------------------------------------------------------------------------------- checkpoint


def test_checkpoint(world):
    tree = world.tree()
    key = parse_vkey(world.vkeys()[-1])
    assert tree.checkpoint.origin == key.name and tree.checkpoint.extensions == ()
    assert tree.size >= len(world.rows)
    text = verify_note(tree.note, world.vkeys()[-1])
    assert text.encode() == tree.note.split(b"\n\n")[0] + b"\n"
    for at in range(len(text.encode())):
        with pytest.raises(NotVerified):
            verify_checkpoint(tree.note[:at] + bytes([tree.note[at] ^ 1]) + tree.note[at + 1 :], world.vkeys()[-1])


def test_openssl_verifies_the_checkpoint(world, tmp_path):
    tree, vkey = world.tree(), world.vkeys()[-1]
    key, note = parse_vkey(vkey), tlog.parse_note(tree.note)
    [signature] = tlog.signatures_of(key, note)
    der = tmp_path / "key.der"
    der.write_bytes(bytes.fromhex("302a300506032b6570032100") + key.public)
    (tmp_path / "signature").write_bytes(signature)

    def openssl(text):
        (tmp_path / "text").write_bytes(text.encode())
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", der, "-rawin"]
        command += ["-in", tmp_path / "text", "-sigfile", tmp_path / "signature"]
        return subprocess.run(command, capture_output=True, timeout=PATIENCE).returncode

    assert openssl(note.text) == 0
    assert openssl(note.text + "\n") == 1
    assert openssl(note.text.replace(str(tree.size), str(tree.size + 1))) == 1


def test_the_command_line_and_the_operator_have_the_same_checkpoint(world):
    tree, vkey = world.tree(), world.vkeys()[-1]
    printed = verify_checkpoint(world.directory.run("checkpoint").stdout.encode(), vkey)
    answer = world.server.get("/api/v1/admin/checkpoint", world.key).json()
    assert answer["verifier"] == vkey
    given = verify_checkpoint(answer["checkpoint"].encode(), vkey)
    latest = world.tree()
    for checkpoint in (printed, given):
        assert tree.size <= checkpoint.size <= latest.size
        assert latest.reader.root(checkpoint.size) == checkpoint.root


def test_who_may_read(world, tmp_path):
    paths = ["checkpoint", "keys", "tile/0/000", "tile/entries/000"]
    assert world.tree().size >= 256
    stranger = httpx.Client(trust_env=False, timeout=PATIENCE)
    for path in paths:
        for headers in ({}, {"Authorization": "Bearer mt_live_" + "a5" * 24}):
            assert stranger.get(f"{world.server.url}/tlog/{path}", headers=headers).status_code == 401
    with World(tmp_path, ["public_tlog=true"]) as public:
        public.enforce(256)
        tree = public.tree()
        for path in paths:
            assert stranger.get(f"{public.server.url}/tlog/{path}").status_code == 200
        key = public.vkeys()[-1]
        assert verify_checkpoint(stranger.get(f"{public.server.url}/tlog/checkpoint").content, key).size >= tree.size
        # What the leaves stand for stays where it was.
        seq = public.some("enforcement")[0]
        assert stranger.get(public.server.url + public.proof_path(seq)).status_code == 401
    stranger.close()


# ---------------------------------------------------------------------------------------------- tiles


def test_all_tiles(world):
    tree = world.tree()
    levels = {path.split("/")[1] for path in tree.paths()}
    assert levels == ({"0", "1"} if tree.size >= 256 else {"0"}) and tree.size > 1024
    assert len(tree.reader.leaves()) == tree.size
    for n in tree.bundles():
        for entry in tree.reader.entries(n):
            assert len(entry) == 32


def test_what_is_no_tile(world):
    size = world.tree().size
    beyond = size // 256 + 1
    for path in [
        tile_path(0, beyond),
        tile_path("entries", beyond),
        tile_path(0, beyond, 1),
        tile_path(1, 0),
        tile_path(2, 0, 1),
        tile_path(64, 0),
        "tile/0/0",
        "tile/0/x000/000",
        "tile/00/000",
        "tile/-1/000",
        "tile/+0/000",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/",
        "tile/0/000.q/1",
        "tile/0/0000",
        "tile/0/-01",
        "tile/0/%30%30%30%30",
        "tile/0/x001/x234/x067",
        "tile/entries/0",
        "tile/other/000",
        "tile/0/",
        "tile/0",
        "tile",
        "other",
    ]:
        answer = world.server.client.get(
            f"{world.server.url}/tlog/{path}", headers={"Authorization": f"Bearer {world.key}"}
        )
        assert answer.status_code in (400, 404), (path, answer.status_code)


def test_it_goes_on(world):
    """Each tree begins with the one before it, and no tile that was full is another."""
    trees = [world.tree()]
    for count in (1, 2, 255, 256, 31):
        world.enforce(count)
        world.deliver(1)
        trees.append(world.tree())
        trees[-2].goes_on(trees[-1])
    first, last = trees[0], trees[-1]
    assert first.goes_on(last)
    are_unchanged(world, {path: first.reader.get(path) for path in first.paths()})


def test_while_others_write(world):
    """Whatever is read while rows come in belongs together."""
    seqs = [world.some(log)[1] for log in LOGS]
    trees, ended = [world.tree()], threading.Event()

    def write():
        try:
            for _ in range(150):
                world.enforce(1)
        finally:
            ended.set()

    def read():
        while not ended.is_set():
            trees.append(world.tree(0))
            trees[-2].goes_on(trees[-1])
            for seq in seqs:
                world.proves(seq)

    join(*in_threads(write, read))
    trees.append(world.tree())
    trees[-2].goes_on(trees[-1])
    assert trees[-1].size >= trees[0].size + 150


def test_what_the_operator_is_told(world):
    trees = [world.tree()]
    for count in (1, 40):
        world.act(count)
        trees.append(world.tree())
    last = trees[-1]
    for tree in trees:
        answer = world.server.get(f"/api/v1/admin/root?size={tree.size}", world.key).json()
        assert [answer["root"]] == base64s([tree.root]) and answer["leaves"] >= last.size
        assert answer["verifiers"] == world.vkeys()
        answer = world.server.get(f"/api/v1/admin/consistency?old={tree.size}&size={last.size}", world.key).json()
        assert answer["proof"] == base64s(last.reader.consistency(tree.size))


def are_unchanged(world, files):
    """The files are served as they were; a partial one may have gone when its full one is there (tlog-tiles)."""
    for path, data in files.items():
        answer = world.server.client.get(
            f"{world.server.url}/tlog/{path}", headers={"Authorization": f"Bearer {world.key}"}
        )
        if answer.status_code == 404 and ".p/" in path:
            assert world.get(path.partition(".p/")[0])[: len(data)] == data
        else:
            assert (answer.status_code, answer.content) == (200, data), path


# ---------------------------------------------------------------------------------------------- proofs


@pytest.mark.parametrize("log", LOGS)
def test_proofs(world, log):
    for seq in world.some(log):
        record = world.proves(seq)
        data = world.proof(seq)
        proof = parse_proof(data)
        assert json.loads(proof.extra) == record and proof.index == seq - 1
        # The tiles say the same.
        tree = world.tree()
        size = verify_checkpoint(proof.checkpoint, world.vkeys()[-1]).size
        assert proof.path == tree.reader.inclusion(proof.index, size)
        assert tree.reader.leaves()[proof.index] == leaf_hash(proof.extra)
        # It says nothing else, and of no other row.
        for at in range(0, len(data), 7):
            with pytest.raises(NotVerified):
                verify_proof(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], world.vkeys()[-1])
    salts = [world.proves(seq)["salt"] for seq in world.some(log)]
    assert len(set(salts)) == 3


def test_proofs_of_the_workspaces_own_activities(world):
    workspace = world.directory.made["workspace_id"]
    page = world.server.get(f"/api/v1/workspaces/{workspace}/audit-log?action=project.create").json()
    [entry] = page["entries"]
    answer = world.server.get(f"/api/v1/workspaces/{workspace}/audit-log/{entry['id']}/proof")
    record = verify_proof(answer.content, world.vkeys()[-1])
    assert (record["log"], record["seq"]) == ("activity", entry["seq"])
    assert "project.create" in record.values()


def test_who_gets_a_proof(world):
    enforcement, message, activity = (world.proof_path(world.some(log)[0]) for log in LOGS)
    stranger = httpx.Client(trust_env=False, timeout=PATIENCE)
    for path in (enforcement, message, activity):
        assert stranger.get(world.server.url + path).status_code == 401
    stranger.close()
    elsewhere = world.directory.json("workspace", "create", "--name", "Elsewhere")["id"]
    scopes = ["enforcement:read", "messages:read"]
    made = world.directory.json("--workspace", elsewhere, "key", "create", "--name", "k", "--scope", *scopes)
    for path in (enforcement, message):
        world.server.get(path, made["key"], status=404)
    for path in (
        f"/v1/enforcement/events/{USER}/proof",
        f"/v1/mailboxes/{world.mailbox}/audit-logs/nothing/proof",
        f"/v1/mailboxes/999999/audit-logs/{message.split('/')[-2]}/proof",
    ):
        world.server.get(path, world.key, status=404)


@pytest.mark.parametrize("log", LOGS)
def test_proofs_of_the_command_line(world, log, tmp_path):
    seq = world.some(log)[1]
    text = world.run("proof", log, world.rows[seq][1], *world.owner(log)).stdout.encode()
    vkey = world.vkeys()[-1]
    assert verify_proof(text, vkey) == world.proves(seq)

    # It verifies what this side has made out of tiles, and sees what is not so.
    file = tmp_path / "a.tlog-proof"
    line = parse_proof(text).extra
    tree = world.tree()
    right, wrong = proof_of(tree, seq - 1, line), proof_of(tree, seq, line)
    assert verify_proof(right, vkey)["seq"] == seq
    for data, code in ((text, 0), (right, 0), (wrong, 3), (right.replace(b"extra ey", b"extra eX"), 3)):
        file.write_bytes(data)
        world.directory.run("verify", "--proof", file, "--key", vkey, exit_code=code)
    file.write_bytes(right)
    name, _, _ = vkey.partition("+")
    public = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    [encoded] = base64s([bytes([tlog.NOTE]) + public])
    other = f"{name}+{tlog.key_id(name, tlog.NOTE, public).hex()}+{encoded}"
    world.directory.run("verify", "--proof", file, "--key", other, exit_code=3)


# ---------------------------------------------------------------------------------------------- bundles


def read_bundle(bundle, vkey):
    """The records of an export with proofs, each verified under that key."""
    tree = verify_checkpoint((bundle / "checkpoint").read_bytes(), vkey)
    *lines, rest = (bundle / "entries.jsonl").read_bytes().split(b"\n")
    *proofs, end = (bundle / "proofs.jsonl").read_bytes().split(b"\n")
    assert (rest, end) == (b"", b"") and len(lines) == len(proofs)
    records = []
    for line, proof in zip(lines, map(json.loads, proofs), strict=True):
        path = [*map(tlog.hash_of, proof["path"])]
        verify_inclusion(proof["index"], tree.size, leaf_hash(line), path, tree.root)
        records.append(parse_record(line, proof["index"]))
        assert records[-1]["seq"] == proof["seq"]
    return records


@pytest.mark.parametrize("log", LOGS)
def test_export_with_proofs(world, log, tmp_path):
    bundle = tmp_path / "bundle"
    world.run("export", log, *world.owner(log), "--proof", bundle)
    names = ["README.txt", "checkpoint", "entries.jsonl", "keys", "proofs.jsonl", "verify.py"]
    assert sorted(path.name for path in bundle.iterdir()) == names
    vkey = world.vkeys()[-1]
    assert (bundle / "keys").read_text().split("\n") == [*world.vkeys(), ""]

    found = {record["seq"]: record for record in read_bundle(bundle, vkey) if record["log"] == log}
    expected = {seq for seq, row in world.rows.items() if row[0] == log}
    assert expected <= set(found)
    for seq in expected:
        assert all(value in found[seq].values() for value in world.rows[seq][2])
    for seq in world.some(log):
        assert found[seq] == world.proves(seq)

    def verified(*key):
        command = [sys.executable, "-I", bundle / "verify.py", *key]
        return subprocess.run(command, cwd=bundle, capture_output=True, encoding="utf-8", timeout=PATIENCE)

    for key in ([], [vkey]):
        done = verified(*key)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.startswith("ok: ") and vkey in done.stdout
        assert ("nothing in here can show" in done.stderr) == (key == [])
    size = verify_checkpoint((bundle / "checkpoint").read_bytes(), vkey).size
    # A byte of a record's salt, of a hash of a path, of the root.
    places = {"entries.jsonl": b'"salt":"', "proofs.jsonl": b'"path":["', "checkpoint": b"\n%d\n" % size}
    for name, before in places.items():
        whole = (bundle / name).read_bytes()
        at = whole.index(before) + len(before)
        (bundle / name).write_bytes(whole[:at] + (b"5" if whole[at:].startswith(b"6") else b"6") + whole[at + 1 :])
        done = verified()
        assert done.returncode != 0 and "Traceback" not in done.stderr, (name, done.stdout + done.stderr)
        with pytest.raises(NotVerified):
            read_bundle(bundle, vkey)
        (bundle / name).write_bytes(whole)
    # A checkpoint that the log did not sign: of another text, without a signature, with another's, or by another key.
    whole, keys = (bundle / "checkpoint").read_bytes(), (bundle / "keys").read_bytes()
    text, _, signature = whole.partition(b"\n\n")
    name = text.split(b"\n")[0].decode()
    forger = Ed25519PrivateKey.generate()
    public = bytes([tlog.NOTE]) + forger.public_key().public_bytes_raw()
    number = tlog.key_id(name, tlog.NOTE, public[1:])
    [forged, forgers] = base64s([number + forger.sign(text + b"\n"), public])
    forged = text + f"\n\n\u2014 {name} {forged}\n".encode()
    cut = whole[: whole.rindex(b" ") + 1] + base64.b64encode(base64.b64decode(whole.split()[-1])[:-1]) + b"\n"
    for other in (text + b"\nmore\n\n" + signature, text + b"\n", text + b"\n\n", forged, cut):
        (bundle / "checkpoint").write_bytes(other)
        done = verified()
        assert done.returncode == 1 and done.stderr.startswith("not verified: "), done.stdout + done.stderr
    # Who makes up the key too is found by whoever has the log's.
    (bundle / "checkpoint").write_bytes(forged)
    (bundle / "keys").write_text(f"{name}+{number.hex()}+{forgers}\n")
    done = verified()
    assert done.returncode == 0 and forgers in done.stdout and "nothing in here can show" in done.stderr
    assert verified(vkey).returncode == 1
    # Under the number of the log's own key neither.
    (bundle / "keys").write_text(f"{name}+{vkey.split('+', 2)[1]}+{forgers}\n")
    assert verified().returncode == 1
    (bundle / "checkpoint").write_bytes(whole)
    (bundle / "keys").write_bytes(keys)
    # A line that is missing, or there twice, or in another's place.
    lines = (bundle / "entries.jsonl").read_bytes().splitlines(keepends=True)
    for other in (lines[1:], [lines[0], *lines], [lines[1], lines[0], *lines[2:]]):
        (bundle / "entries.jsonl").write_bytes(b"".join(other))
        assert verified().returncode != 0
    (bundle / "entries.jsonl").write_bytes(b"".join(lines))
    assert verified().returncode == 0
    shutil.rmtree(bundle)


# ---------------------------------------------------------------------------------------------- another epoch


@pytest.mark.parametrize("key", ["kept", "lost", "replaced"])
def test_another_epoch(tmp_path, key):
    """Under another name the tree goes on, and what was signed under the old one stays signed."""
    world = World(tmp_path)
    with world:
        world.fill()
        [old] = world.vkeys()
        tree, seq = world.tree(), world.some("enforcement")[1]
        kept, record = world.proof(seq), world.proves(seq)
        if key == "replaced":
            told = world.directory.run("checkpoint", "renew", "--why", "a year is over", "--new-key", "--json").stdout
            assert json.loads(told)["verifier"] == world.vkeys()[1]
    if key == "lost":
        (world.directory.data / "checkpoint.key").unlink()
    if key != "replaced":
        told = world.directory.run("checkpoint", "renew", "--why", "the disk was broken", "--json").stdout
    with world:
        world.act(1)
        first, new = world.vkeys()
        assert json.loads(told) == {"verifier": new}
        assert first == old and parse_vkey(new).name != parse_vkey(old).name
        assert (parse_vkey(new).public == parse_vkey(old).public) == (key == "kept")
        later = world.tree()
        tree.goes_on(later)
        assert world.proves(seq) == verify_proof(kept, old) == record
        for data, vkey in ((later.note, old), (tree.note, new)):
            with pytest.raises(NotVerified, match="there is no signature"):
                verify_checkpoint(data, vkey)


# ---------------------------------------------------------------------------------------------- rows that go


def surviving(world, gone, before):
    """After rows went: the tree goes on, its tiles stay, the others prove, and nothing tells what the rows were."""
    tree, files, bundles, records = before
    later = world.tree(tree.size + 1)
    tree.goes_on(later)
    are_unchanged(world, files)
    for n in tree.bundles():
        path = tile_path("entries", n, tree.reader.width(0, n))
        if any((seq - 1) // 256 == n for seq in gone):
            world.fetch(path, status=404)
            world.fetch(tile_path("entries", n, later.reader.width(0, n)), status=404)
        else:
            are_unchanged(world, {path: bundles[path]})
            later.reader.entries(n)
    for seq, record in records.items():
        if seq in gone:
            key = None if world.rows[seq][0] == "activity" else world.key
            world.server.get(world.proof_path(seq), key, status=404)
        else:
            assert world.proves(seq) == record
    pins = world.directory.place / "pins"
    pins.write_bytes(tree.note)
    # What went was on record for no retention when it was pinned: a person has to look, and says so.
    told = world.directory.run("--json", "verify", "--pin", pins, exit_code=3)
    told = json.loads(told.stdout)
    assert told["n_unseen"] > 0 and sum(removal["rows"] for removal in told["removals"]) == len(gone)
    world.directory.run("verify", "--pin", pins, "--removals-seen", told["last_unseen"])
    return later


def state(world, seqs):
    tree = world.tree()
    files = {path: world.get(path) for path in tree.paths()}
    paths = [tile_path("entries", n, tree.reader.width(0, n)) for n in tree.bundles()]
    bundles = {path: world.get(path) for path in paths}
    return tree, files, bundles, {seq: world.proves(seq) for seq in seqs}


def test_retention(tmp_path):
    world = World(tmp_path)
    with world:
        world.act(260)
        gone = {*world.enforce(300, LONG_AGO)}
        world.fill()
        seqs = [seq for log in LOGS for seq in world.some(log)] + world.some("enforcement", gone)
        before = state(world, seqs)
        # A proof that somebody has kept.
        kept = world.proof(world.some("enforcement", gone)[1])
    days = (datetime.datetime.now(datetime.timezone.utc) - LONG_AGO).days - 30
    done = world.directory.json(f"--set=enforcement_retention_days={days}", "retention", "run")
    assert done["deleted"] == {"enforcement": 300, "messages": 0, "activity": 0}
    with world:
        later = surviving(world, gone, before)
        # It proves still what was there: the leaf is in the tree of today.
        proof = parse_proof(kept)
        assert verify_proof(kept, world.vkeys()[-1])["seq"] in gone
        path = later.reader.inclusion(proof.index)
        assert root_from_inclusion(proof.index, later.size, leaf_hash(proof.extra), path) == later.root
        bundle = tmp_path / "bundle"
        world.directory.run("export", "enforcement", "--proof", bundle)
        assert not gone & {record["seq"] for record in read_bundle(bundle, world.vkeys()[-1])}
        world.enforce(1)
        later.goes_on(world.tree())


def test_erasure(tmp_path):
    world = World(tmp_path)
    with world:
        world.fill()
        gone = {*world.deliver(3, sender=ERASED)}
        world.act(300)
        seqs = [seq for log in LOGS for seq in world.some(log)] + sorted(gone)
        before = state(world, seqs)
        assert all(ERASED in before[3][seq].values() for seq in gone)
        certificates = tmp_path / "certificates"
        world.directory.run(
            "erase", "--address", ERASED, "--why", "asked for in writing", "--certificates", certificates
        )
        later = surviving(world, gone, before)
        for file in certificates.iterdir():
            certificate = verify_proof(file.read_bytes(), world.vkeys()[-1])
            again = world.directory.run("proof", "control", certificate["seq"]).stdout
            assert verify_proof(again.encode(), world.vkeys()[-1]) == certificate
        exported = world.directory.run("export", "messages", "--mailbox", world.mailbox).stdout
        assert ERASED not in exported and "ada@example.org" in exported
        world.deliver(1)
        later.goes_on(world.tree())
    with world:
        later.goes_on(world.tree(later.size))
