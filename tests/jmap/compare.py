#!/usr/bin/env python3
"""Compares mailtrail's reading of messages with that of a JMAP server (Cyrus).

    python3 tests/jmap/compare.py [--generated 2000] [--seed 1] [FOLDER...]

The messages are those of tests/mail, of tests/mail/faults, of the folders named, and as many made by a generator of MIME.
Of each are compared: the text, the subject, Message-ID, the identifiers of References and In-Reply-To, the first sender,
and the recipient, which is the topmost of the fields that a server writes on delivery. Where the
two differ and a rule says that mailtrail is right, `excused` has the rule; any other difference is shown, and the exit
code is 1.
"""

import argparse
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile

import cyrus
import generate

ROOT = pathlib.Path(__file__).resolve().parents[2]
BATCH = 100
# By what goes first.
RECIPIENTS = [f"header:{name}:asAddresses:all" for name in ["Delivered-To", "X-Original-To", "Envelope-To"]]


def ours(paths):
    names = "\n".join(map(str, paths)) + "\n"
    run = ["cargo", "run", "-q", "--example", "eml_dump"]
    done = subprocess.run(run, input=names, capture_output=True, text=True, check=True, cwd=ROOT)
    return [json.loads(line) for line in done.stdout.splitlines()]


def with_crlf(raw):
    """Cyrus takes no bare LF; to mailtrail it is a line end too."""
    return re.sub(rb"(?<!\r)\n", b"\r\n", raw)


def theirs(server, raw_messages):
    properties = ["messageId", "inReplyTo", "references", "from", "subject", "textBody", "bodyValues", *RECIPIENTS]
    answers = []
    for start in range(0, len(raw_messages), BATCH):
        answers += server.read(list(map(with_crlf, raw_messages[start : start + BATCH])), properties)
    return answers


def shown(parsed):
    """Cyrus' answer in our words."""
    values = parsed.get("bodyValues") or {}
    parts = [values.get(part["partId"]) for part in parsed.get("textBody") or []]
    parts = [part for part in parts if part is not None]
    references = []
    for name in ["references", "inReplyTo"]:
        references += [one for one in parsed.get(name) or [] if one not in references]
    senders = [address["email"] for address in parsed.get("from") or []]
    delivered = [fields[0] for fields in map(parsed.get, RECIPIENTS) if fields]
    recipients = [address["email"] for address in delivered[0] or []] if delivered else []
    return {
        "message_id": (parsed.get("messageId") or [None])[0],
        "references": references,
        "sender": senders[0] if senders else None,
        "recipient": recipients[0] if recipients else None,
        "subject": parsed.get("subject") or "",
        "text": "\n".join(part["value"] for part in parts),
        "encoding_problem": any(part["isEncodingProblem"] for part in parts),
    }


def is_above_received(raw):
    """Whether a field that names the recipient stands above the first Received."""
    names = re.findall(rb"(?mi)^(received|delivered-to|x-original-to|envelope-to)[ \t]*:", raw.split(b"\n\n")[0])
    return bool(names) and names[0].lower() != b"received" and b"received" in map(bytes.lower, names)


def lower_domain(address):
    local, at, domain = (address or "").rpartition("@")
    return f"{local}{at}{domain.lower()}" if at else None


def excused(name, mine, other, raw):
    """The rule by which mailtrail is right, or None."""
    a, b = mine[name], other[name]
    is_address = name in ["sender", "recipient"]
    if is_address and a == lower_domain(b):
        return "RFC 5321 2.4: the case of a domain means nothing"
    if is_address and (a or "").replace('"', "") == lower_domain((b or "").replace('"', "")):
        return "RFC 5322 3.4.1: a local part with a blank is in quotes"
    if name == "recipient" and a is None and not is_above_received(raw):
        return "the recipient stands above the topmost Received: what is below came with the message"
    given = [b or ""] if name == "message_id" else b
    if name in ["message_id", "references"] and any("(" in one for one in given):
        found = re.findall(r"[\w.]+@[\w.]+", " ".join(given))
        if (a if name == "references" else [a]) == found or not found:
            return "RFC 8621 4.1.2.5: white space and comments are removed, before an identifier too"
    if name == "message_id" and len(re.findall(rb"(?mi)^message-id[ \t]*:", raw.split(b"\n\n")[0])) > 1:
        return "of two fields the topmost counts, which the last server wrote (RFC 8621 4.1.2 has the last)"
    if is_address and a is None and b and " " in b.split("@")[0]:
        return "RFC 5322 3.4: words before an address without brackets make it none"
    if name == "sender" and b and any(ord(c) > 126 for c in a or "") and "X" in b:
        return "RFC 6532: an address in UTF-8, for which Cyrus has X"
    if name == "sender" and raw.startswith(b"\xef\xbb\xbf"):
        return "a byte order mark before the first field hides it from Cyrus"
    if name == "sender" and re.search(rb"\r[^\r\n]", raw):
        return "RFC 5322 2.2: a bare CR ends no line, and what stands behind it is no part of an address"
    if name == "message_id" and "%" in (a or "") and "X" in (b or ""):
        return "an identifier of bytes that are no UTF-8, for which Cyrus has X"
    if name == "references" and any("=?" in one for one in b):
        return "identifiers in encoded words (RFC 2047 5 forbids them, and some write them)"
    if name in ["subject", "text"] and any(0xE000 <= ord(c) < 0xF900 for c in b or ""):
        return "Big5 of the WHATWG, where Cyrus has private characters"
    if name == "text" and a is not None and a + "\n" == b:
        return "RFC 2046 5.1.1: the line end before a delimiter belongs to it"
    if name == "text" and "\0" in (a or "") and a.startswith(b):
        return "NUL ends a text for Cyrus"
    if name == "text" and mine["problem"]:
        return f"told: {mine['problem']}"
    if name == "text" and other["encoding_problem"]:
        return "Cyrus could not decode it (isEncodingProblem)"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--generated", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", help="a folder for the generated messages")
    parser.add_argument("folders", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    folders = [ROOT / "tests/mail", ROOT / "tests/mail/faults", *arguments.folders]
    paths = [path for folder in folders for path in sorted(folder.glob("*.eml"))]
    with tempfile.TemporaryDirectory() as scratch:
        made = pathlib.Path(arguments.keep or scratch) / "made"
        made.mkdir()
        chance = random.Random(arguments.seed)
        for number in range(arguments.generated):
            path = made / f"{number:05}.eml"
            path.write_bytes(generate.message(chance))
            paths.append(path)
        mine = ours(paths)
        raw_messages = [path.read_bytes() for path in paths]
        server = cyrus.Cyrus(scratch)
        try:
            other = theirs(server, raw_messages)
        finally:
            server.stop()
    differences, reasons = 0, {}
    for path, raw, a, b in zip(paths, raw_messages, mine, other):
        if b is None or "refused" in a:
            reason = f"{path.name}: no message to one of the two"
            reasons[reason] = reasons.get(reason, 0) + 1
            continue
        b = shown(b)
        for name in ["message_id", "references", "sender", "recipient", "subject", "text"]:
            if a[name] == b[name]:
                continue
            reason = excused(name, a, b, raw)
            if reason:
                reasons[reason] = reasons.get(reason, 0) + 1
                continue
            differences += 1
            if name == "text":
                at = next((i for i, (x, y) in enumerate(zip(a[name] or "", b[name])) if x != y), min(len(a[name] or ""), len(b[name])))
                a[name], b[name] = (a[name] or "")[max(0, at - 30) :], b[name][max(0, at - 30) :]
            print(f"{path.name}: {name}\n  ours   {a[name]!r:.300} {a['problem'] or ''}\n  theirs {b[name]!r:.300}")
    for reason, count in sorted(reasons.items()):
        print(f"{count:5} {reason}")
    print(f"{len(paths)} messages, {differences} differences")
    sys.exit(differences > 0)


main()
