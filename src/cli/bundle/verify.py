#!/usr/bin/env python3
"""Checks the entries of this directory against its checkpoint, and the checkpoint's signature:

    python3 verify.py [KEY]

KEY is the log's, as you had it before or from somebody else. Without it the key is that of this directory, and whoever
made up the whole of it made up the key too.

Needs Python 3.8 and nothing else. README.txt says what it does.
"""

import base64
import hashlib
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent


def node(left, right):
    """RFC 6962 section 2.1: of two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaf, index, size, path):
    """RFC 9162 section 2.1.3.2: where the path leads from the leaf; None when it does not fit a tree of this size."""
    place, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if place % 2 or place == last:
            found = node(sibling, found)
            while place % 2 == 0 and place:
                place, last = place // 2, last // 2
        else:
            found = node(found, sibling)
        place, last = place // 2, last // 2
    return found if last == 0 and index < size else None


# RFC 8032 section 5.1: Ed25519. Points are extended coordinates (x, y, z, x*y/z).

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(one, other):
    a, b = (one[1] - one[0]) * (other[1] - other[0]) % P, (one[1] + one[0]) * (other[1] + other[0]) % P
    c, d = 2 * one[3] * other[3] * D % P, 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(number, point):
    product = (0, 1, 1, 0)
    while number:
        if number % 2:
            product = add(product, point)
        point, number = add(point, point), number // 2
    return product


def is_same(one, other):
    return (one[0] * other[2] - other[0] * one[2]) % P == 0 == (one[1] * other[2] - other[1] * one[2]) % P


def point_of(encoded):
    """Of 32 bytes; None when they are no point."""
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x % 2 != sign else x
    return x, y, 1, x * y % P


BASE = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def is_signed(text, signature, key):
    """Whether the key has signed the text."""
    point, begin = point_of(key), point_of(signature[:32])
    number = int.from_bytes(signature[32:], "little")
    if point is None or begin is None or number >= L:
        return False
    digest = int.from_bytes(hashlib.sha512(signature[:32] + key + text).digest(), "little") % L
    return is_same(multiply(number, BASE), add(begin, multiply(digest, point)))


def signing_key(note, verifiers):
    """Which of the keys has signed the checkpoint (C2SP signed-note)."""
    text, _, signatures = note.rpartition(b"\n\n")
    text += b"\n"
    origin = text.split(b"\n")[0]
    for verifier in verifiers:
        name, number, encoded = verifier.encode().split(b"+", 2) if verifier.count("+") >= 2 else (b"", b"", b"")
        key = base64.b64decode(encoded, validate=True)
        # The number is made of name and key: another key has another.
        identity = hashlib.sha256(name + b"\n" + key).digest()[:4]
        if name != origin or key[:1] != b"\x01" or len(key) != 33 or identity.hex().encode() != number:
            continue
        for line in signatures.splitlines():
            dash, _, rest = line.partition(b" ")
            signer, _, encoded = rest.partition(b" ")
            if dash != "\u2014".encode() or signer != name:
                continue
            signature = base64.b64decode(encoded, validate=True)
            if len(signature) == 68 and signature[:4] == identity and is_signed(text, signature[4:], key[1:]):
                return verifier
    return None


def main(given):
    note = (HERE / "checkpoint").read_bytes()
    verifiers = [given] if given else (HERE / "keys").read_text("utf-8").split("\n")
    signer = signing_key(note, verifiers)
    if signer is None:
        raise ValueError("the checkpoint is not signed by " + ("that key" if given else "any of the keys"))
    origin, size, root = note.decode().split("\n")[:3]
    size, root = int(size), base64.b64decode(root, validate=True)
    entries = (HERE / "entries.jsonl").read_bytes().split(b"\n")
    proofs = (HERE / "proofs.jsonl").read_bytes().split(b"\n")
    if len(entries) != len(proofs) or entries.pop() or proofs.pop():
        raise ValueError("entries.jsonl and proofs.jsonl have not the same number of lines, or are cut")
    before = set()
    for at, (entry, proof) in enumerate(zip(entries, proofs), 1):
        try:
            is_in_place = check(entry, json.loads(proof), size, root)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"line {at} cannot be read: {error!r}") from None
        if not is_in_place:
            raise ValueError(f"line {at} of entries.jsonl is not what was recorded")
        if entry in before:
            raise ValueError(f"line {at} of entries.jsonl is there twice")
        before.add(entry)
    print(f"ok: {len(entries)} entries are in the tree of {size} of {origin}, as signed by {signer}")
    if not given:
        print(
            "That this is the log's key nothing in here can show. Compare it with one that you had before or from\n"
            f"somebody else, or give that one: python3 {pathlib.Path(__file__).name} KEY",
            file=sys.stderr,
        )


def check(entry, proof, size, root):
    """Whether the entry is in the tree, in the place that it names itself."""
    index = proof["index"]
    leaf = hashlib.sha256(b"\x00" + hashlib.sha256(entry).digest()).digest()
    path = [base64.b64decode(text, validate=True) for text in proof["path"]]
    return root_of(leaf, index, size, path) == root and json.loads(entry)["seq"] == proof["seq"] == index + 1


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    try:
        main(sys.argv[1] if len(sys.argv) == 2 else None)
    except (OSError, ValueError) as error:
        sys.exit(f"not verified: {error}")
