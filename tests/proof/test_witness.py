"""Witnesses of C2SP tlog-witness: the log of the release binary, its witness, and another of each in Python.

    cargo build --release
    pip install -r tests/vendor/requirements.txt
    pytest tests/proof
"""

import base64
import contextlib
import hashlib
import http.server
import json
import pathlib
import sys
import threading
import time

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "vendor"))

import tlog  # noqa: E402
from support import PATIENCE, Directory, Server, run  # noqa: E402

NAME = "witness.example.net"


class Signer:
    """A key with a name, as signed-note has it; kind 4 cosigns."""

    def __init__(self, name, kind):
        self.name, self.kind, self.private = name, kind, Ed25519PrivateKey.generate()
        self.public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.id = tlog.key_id(name, kind, self.public)
        self.vkey = f"{name}+{self.id.hex()}+{base64.b64encode(bytes([kind]) + self.public).decode()}"

    def line(self, signature):
        return f"— {self.name} {base64.b64encode(self.id + signature).decode()}\n"

    def sign(self, text):
        return f"{text}\n{self.line(self.private.sign(text.encode()))}"

    def cosign(self, text, seconds):
        message = f"cosignature/v1\ntime {seconds}\n{text}".encode()
        return self.line(seconds.to_bytes(8, "big") + self.private.sign(message))


class Tree:
    """All leaves of a log, and proofs by the definition of RFC 6962 section 2.1."""

    def __init__(self, origin, leaves):
        self.origin, self.leaves = origin, leaves

    def root(self, first=0, end=None):
        end = len(self.leaves) if end is None else end
        if end - first == 0:
            return hashlib.sha256().digest()
        if end - first == 1:
            return tlog.hash_leaf(self.leaves[first])
        middle = first + (1 << (end - first - 1).bit_length() - 1)
        return tlog.hash_node(self.root(first, middle), self.root(middle, end))

    def consistency(self, old, first=0, end=None, is_whole=True):
        end = len(self.leaves) if end is None else end
        if old == end - first:
            return [] if is_whole else [self.root(first, end)]
        half = 1 << (end - first - 1).bit_length() - 1
        if old <= half:
            return [*self.consistency(old, first, first + half, is_whole), self.root(first + half, end)]
        return [*self.consistency(old - half, first + half, end, False), self.root(first, first + half)]

    def text(self):
        return f"{self.origin}\n{len(self.leaves)}\n{base64.b64encode(self.root()).decode()}\n"


def submission(old, proof, note):
    lines = "".join(f"{base64.b64encode(node).decode()}\n" for node in proof)
    return f"old {old}\n{lines}\n{note}".encode()


@contextlib.contextmanager
def witness(place, *logs):
    """`mailtrail witness`: its address and its key."""
    flags = [flag for log in logs for flag in ("--log", log)]
    server = Server(
        ["--data", place / "friend", "witness", "--name", NAME, "--listen", "127.0.0.1:0", *flags], place / "friend.log"
    )
    try:
        key = server.process.stdout.readline().decode().rstrip("\n")
        yield server.url, key
    except BaseException:
        server.kill()
        raise
    server.stop()


def until(holds):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.2)
    raise AssertionError("it did not come")


def test_the_log_and_its_witness_as_python_sees_them(tmp_path):
    directory = Directory(tmp_path, ["log=warn"])
    tenant = directory.json("tenant", "create", "--name", "Acme")["id"]
    verifier = directory.json("checkpoint")["verifier"]
    with witness(tmp_path, verifier) as (url, key):
        directory.flags.append(f"--set=witnesses={key} {url}")
        with directory.serving() as server:

            def cosigned():
                note = server.get("/tlog/checkpoint", directory.key).content
                return note if note.count("\n— ".encode()) == 2 else None

            first = until(cosigned)
            assert abs(tlog.verify_cosignature(first, key) - time.time()) < PATIENCE
            event = {"mailbox_address": "a@a.example", "action_taken": "blocked", "sent_count": 6, "limit_value": 5}
            event = server.post("/v1/enforcement/events", directory.key, {"tenant_id": tenant, **event}).json()
            second = until(lambda: (note := cosigned()) != first and note)
            checkpoint = tlog.verify_checkpoint(second, verifier)
            assert checkpoint.size > tlog.verify_checkpoint(first, verifier).size
            # What an auditor gets has the cosignature below it, and so has what the witness shows.
            proof = server.get(f"/v1/enforcement/events/{event['id']}/proof", directory.key).content
            assert tlog.verify_proof(proof, verifier)["sent_count"] == 6
            tlog.verify_cosignature(proof.split(b"\n\n", 1)[1], key)
            origin = hashlib.sha256(checkpoint.origin.encode()).hexdigest()
            shown = httpx.get(f"{url}/{origin}/checkpoint", trust_env=False).content
            assert tlog.verify_note(shown, verifier) == tlog.verify_note(second, verifier)
            tlog.verify_cosignature(shown, key)


def test_a_witness_holds_a_log_of_python_to_what_it_has_seen(tmp_path):
    log = Signer("log.example.org/1", 1)
    with witness(tmp_path, log.vkey) as (url, key):

        def add(old, proof, tree, signer=log):
            body = submission(old, proof, signer.sign(tree.text()))
            return httpx.post(f"{url}/add-checkpoint", content=body, trust_env=False)

        tree = lambda n, mark=b"": Tree(log.name, [mark + str(leaf).encode() for leaf in range(n)])  # noqa: E731
        seen = 0
        for size in [0, 1, 2, 3, 7, 8, 9, 64, 100, 100, 257]:
            grown = tree(size)
            answer = add(seen, grown.consistency(seen) if seen else [], grown)
            assert answer.status_code == 200, (size, answer.text)
            tlog.verify_cosignature(f"{log.sign(grown.text())}{answer.text}".encode(), key)
            seen = size
        proof = tree(300).consistency(257)
        told = add(256, tree(300).consistency(256), tree(300))
        assert (told.status_code, told.text, told.headers["content-type"]) == (409, "257\n", "text/x.tlog.size")
        assert add(257, proof, tree(300, b"x")).status_code == 422
        assert add(257, proof[1:], tree(300)).status_code == 422
        assert add(257, [], tree(257, b"x")).status_code == 422
        assert add(400, [], tree(300)).status_code == 400
        assert add(257, proof, tree(300), Signer(log.name, 1)).status_code == 403
        assert add(257, proof, Tree("other.example.org/1", tree(300).leaves)).status_code == 404
        assert add(257, proof, tree(300)).status_code == 200


class Cosigner(http.server.BaseHTTPRequestHandler):
    """A witness that has seen one tree more than it is told at first, and holds the log to it."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        head, note = body.split(b"\n\n", 1)
        old, *path = head.decode().split("\n")
        seen, asked = self.server.seen, self.server.asked
        checkpoint = tlog.verify_checkpoint(note, self.server.log)
        asked.append((old, checkpoint.size))
        if old != f"old {seen.size if seen else 0}":
            return self.answer(409, f"{seen.size}\n")
        if seen:
            hashes = [tlog.hash_of(line) for line in path]
            tlog.verify_consistency(seen.size, checkpoint.size, seen.root, checkpoint.root, hashes)
        self.server.seen = checkpoint
        self.answer(200, self.server.signer.cosign(tlog.parse_note(note).text, int(time.time())))

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


def test_a_witness_of_python_gets_proofs_that_hold(tmp_path):
    directory = Directory(tmp_path, ["log=warn"])
    other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cosigner)
    other.signer, other.log, other.asked = Signer(NAME, 4), directory.json("checkpoint")["verifier"], []
    # It has seen an earlier tree, of which the log, made anew to its knowledge, has not heard.
    other.seen = tlog.verify_checkpoint(run(*directory.flags, "checkpoint").stdout.encode(), other.log)
    first = other.seen.size
    directory.json("project", "create", "--name", "Newsletter")
    threading.Thread(target=other.serve_forever, daemon=True).start()
    directory.flags.append(f"--set=witnesses={other.signer.vkey} http://127.0.0.1:{other.server_port}")
    try:
        with directory.serving() as server:
            until(lambda: other.seen.size > first)
            note = until(
                lambda: (note := server.get("/tlog/checkpoint", directory.key).content).count("\n— ".encode()) == 2 and note
            )
            tlog.verify_cosignature(note, other.signer.vkey)
            metrics = server.get("/metrics", directory.key).text
            assert f'witness="{NAME}"' in metrics
    finally:
        other.shutdown()
    # The first call knew nothing, was told, and tried once more.
    assert other.asked[0][0] == "old 0" and other.asked[1][0] == f"old {first}", json.dumps(other.asked)
