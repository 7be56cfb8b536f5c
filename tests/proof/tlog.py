"""A second opinion on mailtrail's transparency log, written from the public specifications alone.

    tests/proof/tlog.py proof FILE VKEY         an entry's .tlog-proof
    tests/proof/tlog.py checkpoint FILE VKEY    a signed checkpoint

One line and exit code 0 when FILE verifies under the verifier key VKEY, or the reason and exit code 3. As a module it
reads tiles too. What it goes by: RFC 6962 section 2.1 and RFC 9162 section 2.1 for the tree, and signed-note,
tlog-checkpoint, tlog-cosignature, tlog-proof and tlog-tiles of https://c2sp.org for everything around it.
"""

import base64
import binascii
import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

NOTE, COSIGNATURE = 0x01, 0x04
EMPTY = hashlib.sha256(b"").digest()


class NotVerified(Exception):
    """It does not verify; the message says why."""


def require(holds: object, reason: str) -> None:
    if not holds:
        raise NotVerified(reason)


# ---------------------------------------------------------------------------------------------- encodings


def utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise NotVerified("it is not UTF-8") from None


def number(text: str) -> int:
    """ASCII decimal with no leading zeroes, below 2^63: tlog-checkpoint, "Note text"."""
    require(re.fullmatch("0|[1-9][0-9]{0,18}", text) and int(text) < 2**63, f"{text[:40]!r} is not a number")
    return int(text)


def base64_of(text: str) -> bytes:
    """RFC 4648 section 4, in the one canonical encoding of the bytes."""
    try:
        data = base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, ValueError):
        data = None
    require(data is not None and base64.b64encode(data).decode() == text, f"{text[:40]!r} is not base64")
    return data


def hash_of(text: str) -> bytes:
    data = base64_of(text)
    require(len(data) == 32, f"{text[:60]!r} is not a hash of 32 bytes")
    return data


# ---------------------------------------------------------------------------------------------- the tree


def hash_leaf(data: bytes) -> bytes:
    """RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x00" + data).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def leaf_hash(record_line: bytes) -> bytes:
    """mailtrail's leaf: its data is the SHA-256 of the record's line."""
    return hash_leaf(hashlib.sha256(record_line).digest())


def root_from_inclusion(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.3.2: the root that the path leads to."""
    require(0 <= index < size, f"leaf {index} is not in a tree of {size}")
    fn, sn, r = index, size - 1, leaf
    for p in path:
        require(sn, "the inclusion proof is too long")
        if fn & 1 or fn == sn:
            r = hash_node(p, r)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = hash_node(r, p)
        fn, sn = fn >> 1, sn >> 1
    require(not sn, "the inclusion proof is too short")
    return r


def verify_inclusion(index: int, size: int, leaf: bytes, path: list[bytes], root: bytes) -> None:
    found = root_from_inclusion(index, size, leaf, path)
    require(found == root, f"leaf {index} is not the one of the tree of {size}")


def verify_consistency(old: int, size: int, old_root: bytes, root: bytes, path: list[bytes]) -> None:
    """RFC 9162 section 2.1.4.2; of the empty tree and of the same tree tlog-witness, "add-checkpoint"."""
    require(0 <= old <= size, f"a tree of {size} does not begin with one of {old}")
    if old in (0, size):
        require(not path, "the consistency proof is too long")
        require(old or old_root == EMPTY, "the root of the empty tree is not that of the empty string")
        require(old != size or old_root == root, f"two trees of {size} have different roots")
        return
    path = path if old & (old - 1) else [old_root, *path]
    require(path, "the consistency proof is too short")
    fn, sn = old - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        require(sn, "the consistency proof is too long")
        if fn & 1 or fn == sn:
            fr, sr = hash_node(c, fr), hash_node(c, sr)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = hash_node(sr, c)
        fn, sn = fn >> 1, sn >> 1
    require(not sn, "the consistency proof is too short")
    require(fr == old_root and sr == root, f"the tree of {size} does not begin with the one of {old}")


# ---------------------------------------------------------------------------------------------- notes


@dataclass(frozen=True)
class Key:
    name: str
    id: bytes
    public: bytes


@dataclass(frozen=True)
class Signature:
    name: str
    id: bytes
    signature: bytes


@dataclass(frozen=True)
class Note:
    text: str
    signatures: tuple[Signature, ...]


def is_key_name(name: str) -> bool:
    """signed-note, "Format"."""
    return name != "" and "+" not in name and not any(map(str.isspace, name))


def key_id(name: str, kind: int, public: bytes) -> bytes:
    """signed-note, "Signatures"."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def parse_vkey(vkey: str, kind: int = NOTE) -> Key:
    """An Ed25519 key of signed-note, "Verifier keys", for signatures of that kind."""
    name, _, rest = vkey.partition("+")
    id, _, encoded = rest.partition("+")
    require(is_key_name(name) and re.fullmatch("[0-9a-f]{8}", id), f"{vkey[:80]!r} is not a verifier key")
    key = base64_of(encoded)
    require(len(key) == 33 and key[0] == kind, f"{name} is not an Ed25519 key of the type {kind:#04x}")
    require(bytes.fromhex(id) == key_id(name, kind, key[1:]), f"the key of {name} has not the id {id}")
    return Key(name, bytes.fromhex(id), key[1:])


def parse_note(data: bytes) -> Note:
    """signed-note, "Format". The size is limited, as "Format" advises: to a million bytes."""
    require(len(data) <= 1_000_000, "the note is too long")
    note = utf8(data)
    require(not re.search("[\x00-\x09\x0b-\x1f]", note), "the note has a control character")
    text, empty, lines = note.rpartition("\n\n")
    require(empty and lines.endswith("\n"), "the note does not end with signatures")
    return Note(text + "\n", tuple(map(parse_signature, lines[:-1].split("\n"))))


def parse_signature(line: str) -> Signature:
    """signed-note, "Signatures"."""
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    require(dash == "\u2014" and is_key_name(name), f"{line[:80]!r} is not a signature")
    signature = base64_of(encoded)
    require(len(signature) > 4, f"the signature of {name} is too short")
    return Signature(name, signature[:4], signature[4:])


def signatures_of(key: Key, note: Note) -> list[bytes]:
    """What that key is said to have signed, by name and id; all others are ignored: signed-note, "Signatures"."""
    found = [s.signature for s in note.signatures if (s.name, s.id) == (key.name, key.id)]
    require(found, f"there is no signature of {key.name}+{key.id.hex()}")
    return found


def verify_ed25519(key: Key, signature: bytes, message: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except InvalidSignature:
        raise NotVerified(f"the signature of {key.name} is wrong") from None


def verify_note(data: bytes, vkey: str) -> str:
    """The text, signed by that key: signed-note, "Ed25519 signatures"."""
    key, note = parse_vkey(vkey), parse_note(data)
    for signature in signatures_of(key, note):
        verify_ed25519(key, signature, note.text.encode())
    return note.text


def verify_cosignature(data: bytes, vkey: str) -> int:
    """When that witness cosigned the checkpoint, in seconds since 1970: tlog-cosignature, "Ed25519 signed message"."""
    key, note = parse_vkey(vkey, COSIGNATURE), parse_note(data)
    parse_checkpoint(note.text)
    times = []
    for signature in signatures_of(key, note):
        time = int.from_bytes(signature[:8], "big")
        require(len(signature) == 8 + 64 and time < 2**63, f"the cosignature of {key.name} is malformed")
        verify_ed25519(key, signature[8:], f"cosignature/v1\ntime {time}\n{note.text}".encode())
        times.append(time)
    return max(times)


# ---------------------------------------------------------------------------------------------- checkpoints


@dataclass(frozen=True)
class Checkpoint:
    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


def parse_checkpoint(text: str) -> Checkpoint:
    """tlog-checkpoint, "Note text"."""
    lines = text.split("\n")
    require(len(lines) > 3 and lines.pop() == "" and all(lines), "a checkpoint is three lines or more, none empty")
    origin, size, root, *extensions = lines
    checkpoint = Checkpoint(origin, number(size), hash_of(root), tuple(extensions))
    require(checkpoint.size or checkpoint.root == EMPTY, "the root of the empty tree is not that of the empty string")
    return checkpoint


def verify_checkpoint(data: bytes, vkey: str) -> Checkpoint:
    """Signed by the log whose origin is the key's name: tlog-checkpoint, "Signatures"."""
    checkpoint = parse_checkpoint(verify_note(data, vkey))
    require(checkpoint.origin == parse_vkey(vkey).name, f"the checkpoint is of {checkpoint.origin}")
    return checkpoint


# ---------------------------------------------------------------------------------------------- proofs


@dataclass(frozen=True)
class Proof:
    extra: bytes | None
    index: int
    path: list[bytes]
    checkpoint: bytes


def parse_proof(data: bytes) -> Proof:
    """tlog-proof, "Format"."""
    head, empty, checkpoint = utf8(data).partition("\n\n")
    require(empty, "the proof has no checkpoint")
    first, *lines = head.split("\n")
    require(first == "c2sp.org/tlog-proof@v1", f"{first[:40]!r} is not the first line of a proof")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = base64_of(lines.pop(0).removeprefix("extra "))
    require(lines and lines[0].startswith("index "), "the proof has no index")
    index, *path = lines
    return Proof(extra, number(index.removeprefix("index ")), [*map(hash_of, path)], checkpoint.encode())


def parse_record(line: bytes, index: int) -> dict[str, Any]:
    """The record that is leaf `index`: an object without a repeated member, of version 1, whose number it is."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        require(len(dict(pairs)) == len(pairs), "the record has a member twice")
        return dict(pairs)

    try:
        record = json.loads(utf8(line), object_pairs_hook=members)
    except ValueError:
        raise NotVerified("the record is not JSON") from None
    require(isinstance(record, dict) and b"\n" not in line, "the record is not an object on one line")
    version, seq = record.get("v"), record.get("seq")
    require(type(version) is int and version == 1, f"the record is of version {version!r}")
    require(type(seq) is int and seq == index + 1, f"leaf {index} says that it is number {seq!r}")
    return record


def verify_proof(data: bytes, vkey: str) -> dict[str, Any]:
    """The record that `extra` is, a leaf of the tree that the key has signed: tlog-proof, "Verifying a tlog proof"."""
    proof = parse_proof(data)
    require(proof.extra is not None, "the proof has no record")
    tree = verify_checkpoint(proof.checkpoint, vkey)
    verify_inclusion(proof.index, tree.size, leaf_hash(proof.extra), proof.path, tree.root)
    return parse_record(proof.extra, proof.index)


# ---------------------------------------------------------------------------------------------- tiles


def tile_path(level: int | str, n: int, width: int = 256) -> str:
    """tlog-tiles, "Merkle Tree": such as tile/0/x001/x234/067 or tile/entries/000.p/3."""
    elements = [f"{n % 1000:03}"]
    while n := n // 1000:
        elements.insert(0, f"x{n % 1000:03}")
    return f"tile/{level}/{'/'.join(elements)}{f'.p/{width}' if width < 256 else ''}"


class TileReader:
    """The tree of a verified checkpoint, read from its tiles. No hash comes out of it that is not the checkpoint's.

    `get` takes a path below the log's prefix, such as tile/0/000, and gives its bytes, or raises what it likes.
    """

    def __init__(self, get: Callable[[str], bytes], checkpoint: Checkpoint):
        self.get, self.size = get, checkpoint.size
        self.tiles: dict[tuple[int, int], list[bytes]] = {}
        # This takes every hash of every partial tile, so those are the checkpoint's from here on.
        require(self.root() == checkpoint.root, "the tiles have not the checkpoint's root")

    def width(self, level: int, n: int) -> int:
        """tlog-tiles, "Partial Tiles"."""
        width = min((self.size >> 8 * level) - 256 * n, 256)
        require(width > 0, f"a tree of {self.size} has no tile {n} at level {level}")
        return width

    def tile(self, level: int, n: int) -> list[bytes]:
        """The hashes of a tile. A full one has its own hash in the level above: tlog-tiles, "Merkle Tree"."""
        if (level, n) not in self.tiles:
            width = self.width(level, n)
            path = tile_path(level, n, width)
            data = self.get(path)
            require(len(data) == 32 * width, f"{path} has {len(data)} bytes, not {32 * width}")
            hashes = [data[at : at + 32] for at in range(0, len(data), 32)]
            if width == 256:
                above = self.tile(level + 1, n // 256)[n % 256]
                require(perfect_root(hashes) == above, f"{path} is not what the tile above it says")
            self.tiles[level, n] = hashes
        return self.tiles[level, n]

    def every_tile(self) -> Iterator[tuple[int, int]]:
        """Level and number of each tile of the tree; all are read and checked."""
        for level in range(8):
            for n in range(-(-(self.size >> 8 * level) // 256)):
                self.tile(level, n)
                yield level, n

    def leaves(self) -> list[bytes]:
        return [leaf for n in range(-(-self.size // 256)) for leaf in self.tile(0, n)]

    def entries(self, n: int) -> list[bytes]:
        """The leaves' data of a bundle, each with its hash in the tile: tlog-tiles, "Log entries"."""
        path = tile_path("entries", n, self.width(0, n))
        data, entries = self.get(path), []
        while data:
            end = 2 + int.from_bytes(data[:2], "big")
            require(2 <= len(data) >= end, f"{path} ends within an entry")
            entries.append(data[2:end])
            data = data[end:]
        require([*map(hash_leaf, entries)] == self.tile(0, n), f"the entries of {path} are not those of its tile")
        return entries

    def hash(self, start: int, end: int) -> bytes:
        """RFC 6962 section 2.1, MTH(D[start:end]): out of one tile where it is a whole subtree."""
        n = end - start
        if n == 0:
            return EMPTY
        height = (n - 1).bit_length()
        if n == 1 << height and start % n == 0:
            level, count = height // 8, 1 << height % 8
            at = start >> 8 * level
            return perfect_root(self.tile(level, at // 256)[at % 256 : at % 256 + count])
        k = 1 << height - 1
        return hash_node(self.hash(start, start + k), self.hash(start + k, end))

    def root(self, size: int | None = None) -> bytes:
        """The root when the tree had that many leaves."""
        return self.hash(0, self.within(size))

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """RFC 6962 section 2.1.1, PATH(m, D[n])."""
        start, end, path = 0, self.within(size), []
        require(0 <= index < end, f"leaf {index} is not in a tree of {end}")
        while end - start > 1:
            middle = start + (1 << (end - start - 1).bit_length() - 1)
            if index < middle:
                path.append(self.hash(middle, end))
                end = middle
            else:
                path.append(self.hash(start, middle))
                start = middle
        return path[::-1]

    def consistency(self, old: int, size: int | None = None) -> list[bytes]:
        """RFC 6962 section 2.1.2, PROOF(m, D[n])."""
        start, end, path = 0, self.within(size), []
        require(0 <= old <= end, f"a tree of {end} does not begin with one of {old}")
        if old in (0, end):
            return []
        while old < end:
            middle = start + (1 << (end - start - 1).bit_length() - 1)
            if old <= middle:
                path.append(self.hash(middle, end))
                end = middle
            else:
                path.append(self.hash(start, middle))
                start = middle
        return [*([self.hash(start, end)] if start else []), *path[::-1]]

    def within(self, size: int | None) -> int:
        size = self.size if size is None else size
        require(0 <= size <= self.size, f"the tree has {self.size} leaves, not {size}")
        return size


def perfect_root(hashes: list[bytes]) -> bytes:
    """The root over as many hashes as a power of two."""
    while len(hashes) > 1:
        hashes = [hash_node(left, right) for left, right in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]


# ---------------------------------------------------------------------------------------------- command line


def proof_shown(data: bytes, vkey: str) -> str:
    return json.dumps(verify_proof(data, vkey))


def checkpoint_shown(data: bytes, vkey: str) -> str:
    checkpoint = verify_checkpoint(data, vkey)
    return f"{checkpoint.size} leaves of {checkpoint.origin}"


def main(arguments: list[str]) -> int:
    shown = {"proof": proof_shown, "checkpoint": checkpoint_shown}
    if len(arguments) != 3 or arguments[0] not in shown:
        sys.stderr.write(__doc__)
        return 2
    what, file, vkey = arguments
    try:
        print(f"verified: {shown[what](Path(file).read_bytes(), vkey)}")
    except NotVerified as reason:
        print(f"not verified: {reason}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
