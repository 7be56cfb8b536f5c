#!/usr/bin/env python3
"""Checks the entries of this directory against its checkpoint: python3 verify.py

Needs Python 3.8 and nothing else. README.txt says what it does, and how the checkpoint's signature is checked.
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


def main():
    origin, size, root = (HERE / "checkpoint").read_text("utf-8").split("\n")[:3]
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
    return f"{len(entries)} entries are in the tree of {size} of {origin}"


def check(entry, proof, size, root):
    """Whether the entry is in the tree, in the place that it names itself."""
    index = proof["index"]
    leaf = hashlib.sha256(b"\x00" + hashlib.sha256(entry).digest()).digest()
    path = [base64.b64decode(text, validate=True) for text in proof["path"]]
    return root_of(leaf, index, size, path) == root and json.loads(entry)["seq"] == proof["seq"] == index + 1


if __name__ == "__main__":
    try:
        print(f"ok: {main()}")
    except (OSError, ValueError) as error:
        sys.exit(f"not verified: {error}")
