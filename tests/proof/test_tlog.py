"""The verifier itself, held against published vectors and the definitions of RFC 6962, written down as they stand."""

import base64
import hashlib
import itertools
import json
import pathlib
import subprocess
import sys

import pytest
import tlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tlog import (
    EMPTY,
    Checkpoint,
    NotVerified,
    TileReader,
    hash_leaf,
    hash_node,
    leaf_hash,
    number,
    parse_checkpoint,
    parse_note,
    parse_proof,
    parse_vkey,
    root_from_inclusion,
    tile_path,
    verify_checkpoint,
    verify_consistency,
    verify_cosignature,
    verify_inclusion,
    verify_note,
    verify_proof,
)

SIZES = range(41)
TREE_SIZES = [0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 1000]
# Two, three and four levels; the last is the example of tlog-tiles.
LARGE_SIZES = [65535, 65536, 65537, 70000]


def refused(reason, function, *arguments):
    with pytest.raises(NotVerified, match=reason or None):
        function(*arguments)


def flipped(data, at=0, bit=1):
    return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]


def b64(data):
    return base64.b64encode(data).decode()


# ---------------------------------------------------------------------------------------------- RFC 6962, naively


def split(n):
    """The largest power of two smaller than n."""
    return next(1 << bit for bit in itertools.count() if 1 << bit < n <= 2 << bit)


def mth(hashes):
    """Section 2.1, over the hashes of the leaves."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = split(len(hashes))
    return hashlib.sha256(b"\x01" + mth(hashes[:k]) + mth(hashes[k:])).digest()


def inclusion_path(m, hashes):
    """Section 2.1.1, PATH."""
    if len(hashes) == 1:
        return []
    k = split(len(hashes))
    if m < k:
        return inclusion_path(m, hashes[:k]) + [mth(hashes[k:])]
    return inclusion_path(m - k, hashes[k:]) + [mth(hashes[:k])]


def consistency_path(m, hashes, whole=True):
    """Section 2.1.2, SUBPROOF."""
    n = len(hashes)
    if m == n:
        return [] if whole else [mth(hashes)]
    k = split(n)
    if m <= k:
        return consistency_path(m, hashes[:k], whole) + [mth(hashes[k:])]
    return consistency_path(m - k, hashes[k:], False) + [mth(hashes[:k])]


def data_of(n):
    """What the leaves of a tree hash: 32 bytes each."""
    return [hashlib.sha256(b"leaf %d" % at).digest() for at in range(n)]


def leaves_of(n):
    return [hashlib.sha256(b"\x00" + data).digest() for data in data_of(n)]


LEAVES = leaves_of(max(SIZES))


def mutations(path):
    """Other paths made of it."""
    for at, hash in enumerate(path):
        yield path[:at] + path[at + 1 :]
        yield path[:at] + [hash] + path[at:]
        for byte in (0, 31):
            yield path[:at] + [flipped(hash, byte, 0x80)] + path[at + 1 :]
        if at:
            yield path[: at - 1] + [hash, path[at - 1]] + path[at + 1 :]
    yield path + [bytes(32)]


# The tests of certificate-transparency: eight leaves, the roots of the trees of none to eight of them.
DATA = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
NODES = {
    "1": "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "2-3": "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "4": "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "4-5": "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    "4-7": "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    "6-7": "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
}
INCLUSIONS = {
    (0, 1): [],
    (0, 8): [NODES["1"], NODES["2-3"], NODES["4-7"]],
    (5, 8): [NODES["4"], NODES["6-7"], ROOTS[4]],
    (2, 3): [ROOTS[2]],
    (1, 5): [ROOTS[1], NODES["2-3"], NODES["4"]],
}
CONSISTENCIES = {
    (1, 1): [],
    (1, 8): [NODES["1"], NODES["2-3"], NODES["4-7"]],
    (6, 8): [NODES["4-5"], NODES["6-7"], ROOTS[4]],
    (2, 5): [NODES["2-3"], NODES["4"]],
}


def hashes(texts):
    return [bytes.fromhex(text) for text in texts]


def test_the_roots_of_certificate_transparency():
    leaves = [hash_leaf(bytes.fromhex(data)) for data in DATA]
    roots = hashes(ROOTS)
    assert [mth(leaves[:n]) for n in range(9)] == roots
    for size in range(1, 9):
        for index in range(size):
            verify_inclusion(index, size, leaves[index], inclusion_path(index, leaves[:size]), roots[size])
        for old in range(size + 1):
            verify_consistency(old, size, roots[old], roots[size], consistency_path(old, leaves[:size]) if old else [])


def test_the_proofs_of_certificate_transparency():
    leaves, roots = [hash_leaf(bytes.fromhex(data)) for data in DATA], hashes(ROOTS)
    for (index, size), path in INCLUSIONS.items():
        verify_inclusion(index, size, leaves[index], hashes(path), roots[size])
        assert inclusion_path(index, leaves[:size]) == hashes(path)
    for (old, size), path in CONSISTENCIES.items():
        verify_consistency(old, size, roots[old], roots[size], hashes(path))
        assert consistency_path(old, leaves[:size]) == hashes(path)


@pytest.mark.parametrize("size", SIZES)
def test_every_inclusion_proof(size):
    leaves, root = LEAVES[:size], mth(LEAVES[:size])
    for index, leaf in enumerate(leaves):
        path = inclusion_path(index, leaves)
        verify_inclusion(index, size, leaf, path, root)
        assert root_from_inclusion(index, size, leaf, path) == root
        for other in mutations(path):
            refused("", verify_inclusion, index, size, leaf, other, root)
        for other in range(size):
            if other != index:
                refused("", verify_inclusion, other, size, leaf, path, root)
                refused("", verify_inclusion, index, size, leaves[other], path, root)
        refused("is not the one", verify_inclusion, index, size, flipped(leaf), path, root)
        refused("is not the one", verify_inclusion, index, size, leaf, path, flipped(root))
    for index in (-1, size, size + 1):
        refused("is not in a tree", verify_inclusion, index, size, EMPTY, [], root)


@pytest.mark.parametrize("size", SIZES)
def test_every_consistency_proof(size):
    root = mth(LEAVES[:size])
    for old in range(size + 1):
        old_root, path = mth(LEAVES[:old]), consistency_path(old, LEAVES[:size]) if old else []
        verify_consistency(old, size, old_root, root, path)
        for other in mutations(path):
            refused("", verify_consistency, old, size, old_root, root, other)
        refused("", verify_consistency, old, size, flipped(old_root), root, path)
        if old:
            refused("", verify_consistency, old, size, old_root, flipped(root), path)
        if old < size:
            refused("does not begin", verify_consistency, size, old, root, old_root, path)
    refused("does not begin", verify_consistency, size + 1, size, root, root, [])


def test_a_proof_is_as_long_as_the_sizes_say():
    """Proofs that lead to the roots they are given with, but of trees of other sizes."""
    more = bytes(32)
    path = inclusion_path(0, LEAVES[:4])
    refused("too short", verify_inclusion, 0, 8, LEAVES[0], path, mth(LEAVES[:4]))
    refused("too long", verify_inclusion, 0, 4, LEAVES[0], [*path, more], hash_node(more, mth(LEAVES[:4])))
    old, path = mth(LEAVES[:3]), consistency_path(3, LEAVES[:4])
    refused("too short", verify_consistency, 3, 8, old, mth(LEAVES[:4]), path)
    refused("too short", verify_consistency, 3, 4, old, mth(LEAVES[:4]), [])
    roots = [hash_node(more, root) for root in (old, mth(LEAVES[:4]))]
    refused("too long", verify_consistency, 3, 4, *roots, [*path, more])


def test_what_is_no_node_is_no_leaf():
    """A leaf whose data are two hashes is not the node over them."""
    left, right = LEAVES[:2]
    assert hash_leaf(left + right) != hash_node(left, right)
    assert leaf_hash(b"{}") == hash_leaf(hashlib.sha256(b"{}").digest())


# ---------------------------------------------------------------------------------------------- notes

# The documentation of golang.org/x/mod/sumdb/note, and the example of signed-note.
NOTES = [
    (
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n",
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n",
    ),
    (
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "This is an example message.\n",
        "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n",
    ),
]


class Signer:
    """A key of its own for each name and type."""

    def __init__(self, name, kind=0x01):
        self.name, self.kind = name, bytes([kind])
        self.private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode() + self.kind).digest())
        self.public = self.private.public_key().public_bytes_raw()
        self.id = hashlib.sha256(name.encode() + b"\n" + self.kind + self.public).digest()[:4]
        self.vkey = f"{name}+{self.id.hex()}+{b64(self.kind + self.public)}"

    def line(self, signature, id=None, name=None):
        return f"— {name or self.name} {b64((id or self.id) + signature)}\n"

    def sign(self, text):
        return self.line(self.private.sign(text.encode()))

    def cosign(self, text, time, said=None):
        message = f"cosignature/v1\ntime {said or time}\n{text}"
        return self.line(time.to_bytes(8, "big") + self.private.sign(message.encode()))


LOG = Signer("log.example/mailtrail/5f3a91c2/1")
OTHER = Signer("other.example/log")
WITNESS = Signer("witness.example/w1", 0x04)
HELLO = "Hello.\n"


@pytest.mark.parametrize(("vkey", "text", "line"), NOTES)
def test_published_notes(vkey, text, line):
    note = f"{text}\n{line}".encode()
    assert verify_note(note, vkey) == text
    for at in range(len(text)):
        refused("", verify_note, flipped(note, at), vkey)
    refused("no signature", verify_note, note, LOG.vkey)


def test_a_text_may_have_empty_lines():
    text = "\n\na\n\n\nb — c\n\n"
    note = f"{text}\n{LOG.sign(text)}".encode()
    assert verify_note(note, LOG.vkey) == text


def test_signatures_of_others_are_ignored():
    unknown = OTHER.line(b"anything") + OTHER.line(bytes(5000))
    same_name = LOG.line(bytes(64), id=b"\0\0\0\0")
    same_id = LOG.line(bytes(64), name="somebody")
    many = "".join(Signer(f"n{n}").sign(HELLO) for n in range(100))
    for more in (unknown, same_name, same_id, many):
        for lines in (more + LOG.sign(HELLO), LOG.sign(HELLO) + more):
            assert verify_note(f"{HELLO}\n{lines}".encode(), LOG.vkey) == HELLO
        refused("no signature", verify_note, f"{HELLO}\n{more}".encode(), LOG.vkey)


@pytest.mark.parametrize(
    "wrong", [bytes(64), b"\0", LOG.private.sign(b"Bye.\n"), LOG.private.sign(HELLO.encode()) + b"\0"]
)
def test_a_wrong_signature_of_a_known_key_is_an_error(wrong):
    for lines in (LOG.line(wrong), LOG.sign(HELLO) + LOG.line(wrong), LOG.line(wrong) + LOG.sign(HELLO)):
        refused("is wrong", verify_note, f"{HELLO}\n{lines}".encode(), LOG.vkey)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        HELLO,
        HELLO + "\n",
        LOG.sign(HELLO),
        HELLO + LOG.sign(HELLO),
        f"{HELLO}\n{LOG.sign(HELLO)}".rstrip("\n"),
        f"{HELLO}\n{LOG.sign(HELLO)}\n",
        f"{HELLO}\n{LOG.sign(HELLO)}text\n",
        f"{HELLO}\n{LOG.sign(HELLO)}".replace("\n", "\r\n"),
        f"{HELLO}\n{LOG.sign(HELLO)}".replace("—", "-"),
        f"{HELLO}\n{LOG.sign(HELLO)}".replace("— ", "—  "),
        f"{HELLO}\n{LOG.sign(HELLO)}".replace("— ", "—\u00a0"),
        f"{HELLO}\n {LOG.sign(HELLO)}",
        f"{HELLO}\n{LOG.sign(HELLO)}".replace("=\n", "\n"),
        f"{HELLO}\n{LOG.sign(HELLO)}".replace("=\n", "= \n"),
        f"{HELLO}\n— a+b {b64(bytes(68))}\n{LOG.sign(HELLO)}",
        f"{HELLO}\n— a\u2003b {b64(bytes(68))}\n{LOG.sign(HELLO)}",
        f"{HELLO}\n— a {b64(bytes(4))}\n{LOG.sign(HELLO)}",
        f"{HELLO}\n— a\n{LOG.sign(HELLO)}",
        f"{HELLO}\n— \n{LOG.sign(HELLO)}",
        f"Hello.\t\n\n{LOG.sign(HELLO)}",
        f"Hello.\0\n\n{LOG.sign(HELLO)}",
        "a" * 1_000_000 + f"\n\n{LOG.sign(HELLO)}",
    ],
)
def test_malformed_notes(note):
    refused("", parse_note, note.encode())


def test_a_note_is_utf8():
    refused("UTF-8", parse_note, b"\xff\n\n" + LOG.sign(HELLO).encode())


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        LOG.vkey.upper(),
        LOG.vkey + "\n",
        " " + LOG.vkey,
        LOG.vkey.replace("+", "", 1),
        LOG.vkey.replace("log.", "blog."),
        LOG.vkey.replace(LOG.id.hex(), "00000000"),
        LOG.vkey[LOG.vkey.index("+") :],
        f"{LOG.name}+{LOG.id.hex()}+{b64(b'' + LOG.public)}",
        f"{LOG.name}+{LOG.id.hex()}+{b64(bytes([2]) + LOG.public)}",
        WITNESS.vkey,
        Signer("").vkey,
        Signer("a b").vkey,
        LOG.vkey.replace(LOG.id.hex(), LOG.id.hex().upper()),
        LOG.vkey.replace(LOG.id.hex(), "notinhex"),
    ],
)
def test_malformed_verifier_keys(vkey):
    refused("", parse_vkey, vkey)


def test_numbers_are_strict():
    assert [number("0"), number("10"), number(str(2**63 - 1))] == [0, 10, 2**63 - 1]
    for text in ("", "00", "01", "+1", "-1", " 1", "1 ", "1\n", "1_0", "١", "0x1", "1.0", "9" * 19, str(2**63), "1" * 9999):
        refused("is not a number", number, text)


# ---------------------------------------------------------------------------------------------- checkpoints

ROOT = b64(LEAVES[0])
BODY = f"{LOG.name}\n20852163\n{ROOT}\n"


def signed(body, *lines):
    return f"{body}\n{LOG.sign(body)}{''.join(lines)}".encode()


def test_checkpoint():
    assert verify_checkpoint(signed(BODY), LOG.vkey) == Checkpoint(LOG.name, 20852163, LEAVES[0])
    extended = BODY + "one\ntwo\n"
    assert verify_checkpoint(signed(extended), LOG.vkey).extensions == ("one", "two")
    empty = f"{LOG.name}\n0\n{b64(EMPTY)}\n"
    assert verify_checkpoint(signed(empty), LOG.vkey) == Checkpoint(LOG.name, 0, EMPTY)


@pytest.mark.parametrize(
    "body",
    [
        "",
        f"{LOG.name}\n",
        f"{LOG.name}\n1\n",
        f"\n1\n{ROOT}\n",
        f"{LOG.name}\n\n{ROOT}\n",
        f"{LOG.name}\n01\n{ROOT}\n",
        f"{LOG.name}\n-1\n{ROOT}\n",
        f"{LOG.name}\n{2**63}\n{ROOT}\n",
        f"{LOG.name}\n1\n{ROOT[:-1]}\n",
        f"{LOG.name}\n1\n{ROOT} \n",
        f"{LOG.name}\n1\n{b64(bytes(31))}\n",
        f"{LOG.name}\n1\n{b64(bytes(33))}\n",
        f"{LOG.name}\n1\n{ROOT}",
        f"{LOG.name}\n1\n{ROOT}\n\n",
        f"{LOG.name}\n1\n{ROOT}\n\nextension\n",
        f"{LOG.name}\n0\n{ROOT}\n",
    ],
)
def test_malformed_checkpoints(body):
    refused("", parse_checkpoint, body)


def test_base64_is_canonical():
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    assert ROOT.endswith("=") and len(ROOT) == 44
    other = ROOT[:-2] + last[last.index(ROOT[-2]) ^ 1] + "="
    assert base64.b64decode(other) == base64.b64decode(ROOT)
    refused("is not base64", parse_checkpoint, f"{LOG.name}\n1\n{other}\n")


def test_a_checkpoint_of_another_origin():
    body = f"elsewhere\n1\n{ROOT}\n"
    refused("the checkpoint is of elsewhere", verify_checkpoint, signed(body), LOG.vkey)


def test_cosignature():
    note = signed(BODY, OTHER.sign(BODY), WITNESS.cosign(BODY, 1679315147))
    assert verify_checkpoint(note, LOG.vkey).size == 20852163
    assert verify_cosignature(note, WITNESS.vkey) == 1679315147
    later = WITNESS.cosign(BODY, 1679315150)
    assert verify_cosignature(note + later.encode(), WITNESS.vkey) == 1679315150
    extended = BODY + "extension\n"
    assert verify_cosignature(signed(extended, WITNESS.cosign(extended, 1)), WITNESS.vkey) == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "there is no signature of witness.example/w1"),
        (Signer("witness.example/w2", 0x04).cosign(BODY, 1), "there is no signature"),
        (WITNESS.cosign(BODY, 5, said="6"), "is wrong"),
        (WITNESS.cosign(BODY, 5, said="05"), "is wrong"),
        (WITNESS.cosign(BODY + "extension\n", 5), "is wrong"),
        (WITNESS.cosign(BODY, 2**63), "malformed"),
        (WITNESS.sign(BODY), "malformed"),
        (WITNESS.line(b""), "too short"),
        (WITNESS.line(b"\0"), "malformed"),
        (WITNESS.cosign(BODY, 5) + WITNESS.cosign(BODY, 6, said="7"), "is wrong"),
    ],
)
def test_wrong_cosignatures(line, reason):
    refused(reason, verify_cosignature, signed(BODY, line), WITNESS.vkey)


def test_a_cosignature_is_of_a_checkpoint():
    note = f"{HELLO}\n{WITNESS.cosign(HELLO, 5)}".encode()
    refused("a checkpoint is three lines", verify_cosignature, note, WITNESS.vkey)


def test_keys_of_one_type_are_not_of_the_other():
    refused("type 0x04", verify_cosignature, signed(BODY), LOG.vkey)
    refused("type 0x01", verify_checkpoint, signed(BODY, WITNESS.cosign(BODY, 5)), WITNESS.vkey)


# ---------------------------------------------------------------------------------------------- proofs

RECORDS = [f'{{"v":1,"log":"activity","seq":{seq},"text":"Grüße"}}'.encode() for seq in range(1, 12)]
INDEX = 6


def proof(records=RECORDS, index=INDEX, extra=None, path=None, **more):
    leaves = [leaf_hash(record) for record in records]
    extra = records[index] if extra is None else extra
    path = inclusion_path(index, leaves) if path is None else path
    body = f"{LOG.name}\n{len(leaves)}\n{b64(mth(leaves))}\n"
    lines = ["c2sp.org/tlog-proof@v1", f"extra {b64(extra)}", f"index {more.get('said', index)}", *map(b64, path)]
    return ("\n".join(lines) + "\n\n").encode() + signed(body, WITNESS.cosign(body, 1700000000))


def test_proof():
    for index, record in enumerate(RECORDS):
        data = proof(index=index)
        assert verify_proof(data, LOG.vkey) == json.loads(record)
        assert verify_cosignature(parse_proof(data).checkpoint, WITNESS.vkey) == 1700000000
        for at in range(data.index("— witness".encode())):
            refused("", verify_proof, flipped(data, at), LOG.vkey)
    assert verify_proof(proof(RECORDS[:1], 0), LOG.vkey)["seq"] == 1


def test_a_proof_without_extra():
    data = b"".join(line for line in proof().splitlines(keepends=True) if not line.startswith(b"extra "))
    assert parse_proof(data).extra is None and parse_proof(data).index == INDEX
    refused("the proof has no record", verify_proof, data, LOG.vkey)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (proof(extra=RECORDS[5]), "is not the one of the tree"),
        (proof(extra=RECORDS[INDEX] + b" "), "is not the one of the tree"),
        (proof(extra=b""), "is not the one of the tree"),
        (proof(said=5), "is not the one of the tree|too"),
        (proof(said="06"), "is not a number"),
        (proof(said=11), "is not in a tree"),
        (proof(path=[]), "too short"),
        (proof().replace(b"@v1", b"@v2"), "is not the first line"),
        (proof().replace(b"index 6\n", b""), "has no index"),
        (proof().replace(b"index 6\n", b"index 6\n\n"), ""),
        (proof().replace(b"index ", b"index  "), "is not a number"),
        (proof().replace(b"extra ", b"extra  "), "is not base64"),
        (proof().replace(b"extra ", b"Extra "), "has no index"),
        (proof().replace(b"\n", b"\r\n"), "has no checkpoint"),
        (proof().replace("— log".encode(), "— blog".encode()), "there is no signature"),
        (proof().partition(b"\n\n")[0], "has no checkpoint"),
        (proof().partition(b"\n\n")[2], "is not the first line"),
        (b"\n\n" + proof(), "is not the first line"),
        (b"", "has no checkpoint"),
        (b"\xff" + proof(), "UTF-8"),
    ],
)
def test_wrong_proofs(data, reason):
    refused(reason, verify_proof, data, LOG.vkey)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b'{"v":1,"seq":2}', "leaf 0 says that it is number 2"),
        (b'{"v":1,"seq":true}', "number True"),
        (b'{"v":1}', "number None"),
        (b'{"v":2,"seq":1}', "version 2"),
        (b'{"v":1.0,"seq":1}', "version 1.0"),
        (b'{"v":1,"seq":1,"seq":1}', "twice"),
        (b'{"v":1,"seq":1,"a":{"b":1,"b":2}}', "twice"),
        (b'{"v":1,\n"seq":1}', "one line"),
        (b"[1]", "not an object"),
        (b'{"v":1,"seq":1', "not JSON"),
        (b'"\xff"', "UTF-8"),
    ],
)
def test_what_is_no_record(record, reason):
    refused(reason, verify_proof, proof([record], 0), LOG.vkey)


# ---------------------------------------------------------------------------------------------- tiles


def tiles_of(data):
    """All that a log of these leaves serves, by the definitions of tlog-tiles."""
    leaves, files, level = [hash_leaf(entry) for entry in data], {}, 0
    while count := len(leaves) // 256**level:
        hashes = [mth(leaves[at * 256**level : (at + 1) * 256**level]) for at in range(count)]
        for n in range(0, count, 256):
            tile = hashes[n : n + 256]
            files[tile_path(level, n // 256, len(tile))] = b"".join(tile)
        level += 1
    for n in range(0, len(data), 256):
        bundle = data[n : n + 256]
        files[tile_path("entries", n // 256, len(bundle))] = b"".join(len(e).to_bytes(2, "big") + e for e in bundle)
    return files


def tree_of(size):
    return tiles_of(data_of(size)), Checkpoint("tiles", size, mth(leaves_of(size)))


def read_tiles(files, checkpoint):
    reader = TileReader(files.__getitem__, checkpoint)
    for _ in reader.every_tile():
        pass
    return reader


def read_all(files, checkpoint):
    reader = read_tiles(files, checkpoint)
    for n in range(-(-checkpoint.size // 256)):
        reader.entries(n)
    return reader


def test_paths():
    assert tile_path(0, 0) == "tile/0/000"
    assert tile_path(63, 1234067) == "tile/63/x001/x234/067"
    assert tile_path("entries", 1000, 7) == "tile/entries/x001/000.p/7"
    assert tile_path(1, 999, 255) == "tile/1/999.p/255"
    assert tile_path(0, 1_000_000) == "tile/0/x001/x000/000"


@pytest.mark.parametrize("size", TREE_SIZES + LARGE_SIZES)
def test_a_tree_out_of_its_tiles(size):
    files, checkpoint = tree_of(size)
    asked = []

    class Noted(dict):
        def __getitem__(self, path):
            asked.append(path)
            return super().__getitem__(path)

    reader = read_all(Noted(files), checkpoint)
    assert sorted(asked) == sorted(files)
    leaves = leaves_of(size)
    assert reader.leaves() == leaves and reader.root() == checkpoint.root
    assert [entry for n in range(-(-size // 256)) for entry in reader.entries(n)] == data_of(size)


def test_the_example_of_the_specification():
    files, checkpoint = tree_of(70000)
    reader = TileReader(files.__getitem__, checkpoint)
    widths = [(level, reader.width(level, n)) for level, n in reader.every_tile()]
    assert widths == [(0, 256)] * 273 + [(0, 112), (1, 256), (1, 17), (2, 1)]
    assert {"tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"} < set(files)


@pytest.mark.parametrize("size", [1, 2, 3, 40, 255, 256, 257, 513])
def test_proofs_out_of_tiles(size):
    files, checkpoint = tree_of(size)
    reader, leaves = TileReader(files.__getitem__, checkpoint), leaves_of(size)
    near = [n for edge in (0, 128, 255, 256, 257, 512) for n in range(edge - 2, edge + 3) if 0 <= n <= size]
    for within in {*near, size}:
        tree = leaves[:within]
        assert reader.root(within) == mth(tree)
        for index in {0, within // 2, within - 1} & set(range(within)):
            assert reader.inclusion(index, within) == inclusion_path(index, tree)
            verify_inclusion(index, within, leaves[index], reader.inclusion(index, within), mth(tree))
        for old in [n for n in near if n <= within]:
            path = reader.consistency(old, within)
            assert path == (consistency_path(old, tree) if old else [])
            verify_consistency(old, within, reader.root(old), reader.root(within), path)
    assert reader.inclusion(0) == reader.inclusion(0, size) and reader.consistency(1) == reader.consistency(1, size)
    refused("is not in a tree", reader.inclusion, size)
    refused("has no tile", reader.tile, 0, size // 256 + 1)
    refused("leaves, not", reader.root, size + 1)
    refused("leaves, not", reader.consistency, 1, size + 1)
    refused("does not begin", reader.consistency, size + 1)


@pytest.mark.parametrize("size", [40, 41])
def test_every_proof_of_a_small_tree_out_of_tiles(size):
    files, checkpoint = tree_of(size)
    reader, leaves = TileReader(files.__getitem__, checkpoint), leaves_of(size)
    for within in range(1, size + 1):
        for index in range(within):
            assert reader.inclusion(index, within) == inclusion_path(index, leaves[:within])
            assert reader.consistency(index + 1, within) == consistency_path(index + 1, leaves[:within])


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 512, 1000])
def test_wrong_tiles(size):
    files, checkpoint = tree_of(size)
    read_all(files, checkpoint)
    for path, data in files.items():
        others = {flipped(data, at) for at in (0, len(data) // 2, len(data) - 1)}
        others |= {b"", data[:-1], data + b"\0", data[:-32], data + data[-32:], data[-32:] + data[32:]} - {data}
        if "entries" in path:
            others |= {data[:-34], data + data[-34:], data + bytes(2)}
        for other in others:
            refused("", read_all if "entries" in path else read_tiles, files | {path: other}, checkpoint)
        with pytest.raises(KeyError):
            read_all({name: files[name] for name in files if name != path}, checkpoint)


@pytest.mark.parametrize("size", [2, 256, 257, 512])
def test_tiles_of_another_tree(size):
    files, checkpoint = tree_of(size)
    refused("not the checkpoint's|have not", read_all, files, Checkpoint("tiles", size, flipped(checkpoint.root)))
    data = data_of(size)
    data[size // 2] = bytes(32)
    forged = tiles_of(data)
    refused("", read_all, forged, checkpoint)
    # Leaves, with their entries, that the tiles above them do not know.
    below = {path: data for path, data in forged.items() if path.startswith(("tile/0/", "tile/entries/"))}
    refused("", read_all, files | below, checkpoint)


def test_entries_of_any_length():
    data = [b"", b"a", b"b" * 65535]
    files = tiles_of(data)
    checkpoint = Checkpoint("tiles", 3, mth([hash_leaf(entry) for entry in data]))
    assert read_all(files, checkpoint).entries(0) == data


# ---------------------------------------------------------------------------------------------- command line


def command(*arguments):
    done = subprocess.run(
        [sys.executable, pathlib.Path(tlog.__file__), *map(str, arguments)], capture_output=True, encoding="utf-8"
    )
    return done.returncode, done.stdout, done.stderr


def test_command_line(tmp_path):
    file = tmp_path / "a.tlog-proof"
    file.write_bytes(proof())
    assert command("proof", file, LOG.vkey) == (0, f"verified: {json.dumps(json.loads(RECORDS[INDEX]))}\n", "")
    code, out, err = command("checkpoint", file, LOG.vkey)
    assert (code, out) == (3, "") and err.startswith("not verified: ")
    missing = f"not verified: there is no signature of {OTHER.name}+{OTHER.id.hex()}\n"
    assert command("proof", file, OTHER.vkey) == (3, "", missing)
    file.write_bytes(signed(BODY))
    assert command("checkpoint", file, LOG.vkey) == (0, f"verified: 20852163 leaves of {LOG.name}\n", "")
    file.write_bytes(flipped(signed(BODY), len(LOG.name) + 1))
    assert command("checkpoint", file, LOG.vkey) == (3, "", f"not verified: the signature of {LOG.name} is wrong\n")
    for wrong in ([], ["proof"], ["tree", file, LOG.vkey]):
        assert command(*wrong)[0] == 2
