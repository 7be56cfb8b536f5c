#!/usr/bin/env python3
"""Holds the character sets that are mailtrail's own against iconv and Python.

    python3 tests/charsets.py | cargo run -q --example charset_dump > ours.jsonl
    python3 tests/charsets.py --answers > theirs.jsonl
    diff ours.jsonl theirs.jsonl

Every byte of every code page, every pair of ISO-2022-KR, HZ and ISO-2022-CN, each a line `[label, base64]`; the answer
is the text. Pairs that the C library has no character for are left out, and where it has another than the web's tables
(EXCEPTIONS says which), the web's counts.
"""

import base64
import json
import pathlib
import re
import subprocess
import sys

SOURCE = (pathlib.Path(__file__).parent.parent / "src/ingest/code_pages.rs").read_text("utf-8")
PAGES = [int(number) for number in re.findall(r"^    \((\d+), \"", SOURCE, re.M)]
PAIRS = [(high, low) for high in range(0x21, 0x7F) for low in range(0x21, 0x7F)]
# What the web's GBK, EUC-KR and Big5 have otherwise.
EXCEPTIONS = {
    "iso-2022-kr": "㉾",
    "hz-gb-2312": "・―",
    "iso-2022-cn": "・―︲‖‾∼♁☉／＼亠冫勹彞",
}


# The C library has it not.
PYTHON_ONLY = {720}


def iconv(label, raw):
    run = subprocess.run(["iconv", "-f", label, "-t", "UTF-8"], input=raw, capture_output=True)
    return run.stdout.decode() if run.returncode == 0 else None


def page(number, byte):
    if number in PYTHON_ONLY:
        return bytes([byte]).decode(f"cp{number}", "replace")
    names = [f"IBM{number:03}", f"CP{number}"]
    answers = [iconv(name, bytes([byte])) for name in names if iconv(name, b"") is not None]
    return (answers[0] if answers else None) or "\ufffd"


def cases():
    for number in PAGES:
        for byte in range(256):
            yield f"ibm{number:03}", bytes([byte]), page(number, byte) if "--answers" in sys.argv else None
    shifts = [
        ("iso-2022-kr", b"\x1b$)C\x0e", b"\x0f", "ISO-2022-KR"),
        ("hz-gb-2312", b"~{", b"~}", "HZ"),
        ("iso-2022-cn", b"\x1b$)A\x0e", b"\x0f", "ISO-2022-CN"),
        ("iso-2022-cn", b"\x1b$)G\x0e", b"\x0f", "ISO-2022-CN"),
        ("iso-2022-cn", b"\x1b$*H\x1bN", b"", "ISO-2022-CN"),
    ]
    for label, before, after, name in shifts:
        known = answers(name, before, after)
        for pair in PAIRS:
            text = known.get(pair)
            if text is not None and len(text) == 1 and not EXCEPTIONS[label].count(text):
                yield label, before + bytes(pair) + after, text


def answers(name, before, after):
    """Of a row at a time; of each pair alone only where something of the row is not known."""
    known = {}
    for high in range(0x21, 0x7F):
        for low in range(0x21, 0x7F):
            raw = before + bytes([high, low]) + after
            if name == "HZ":
                try:
                    known[high, low] = raw.decode("hz")
                except UnicodeDecodeError:
                    pass
                continue
            known[high, low] = None
    if name != "HZ":
        lines = b"\n".join(before + bytes(pair) + after for pair in PAIRS)
        run = subprocess.run(["iconv", "-c", "-f", name, "-t", "UTF-8"], input=lines, capture_output=True)
        for pair, line in zip(PAIRS, run.stdout.decode().split("\n")):
            known[pair] = line
    return known


def main():
    for label, raw, text in cases():
        if "--answers" in sys.argv:
            print(json.dumps(text, ensure_ascii=False))
        else:
            print(json.dumps([label, base64.b64encode(raw).decode()]))


main()
