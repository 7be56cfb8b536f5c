#!/usr/bin/env python3
"""Reads Authentication-Results with Python's authres, to compare with `examples/authres_dump.rs`.

    pip install authres==1.2.0
    python3 tests/authres_differential.py --values | cargo run -q --example authres_dump > ours.jsonl
    python3 tests/authres_differential.py > theirs.jsonl
    diff ours.jsonl theirs.jsonl

The values are those of every such field in tests/mail/*.eml, and of the lines of tests/mail/authres-samples.txt.
With --values each is printed as a JSON string; without, what authres makes of it, one JSON object a line. Where the
two differ on purpose, EXCEPTIONS has the answer of mailtrail and the reason; an exception that authres has come to
agree with, or that no value needs, fails.
"""

import email
import json
import pathlib
import re
import signal
import sys

import authres

MAIL = pathlib.Path(__file__).parent / "mail"
MALFORMED = {"malformed": True}


def result(method, result, *properties, reason=None, version=None):
    return {"method": method, "version": version, "result": result, "reason": reason, "properties": list(properties)}


def field(*results, authserv_id="example.com", version=None):
    return {"authserv_id": authserv_id, "version": version, "results": list(results)}


EXCEPTIONS = {
    # White space, a comment, white space: authres stops at the second white space, where a token may come next. The
    # first of these is an example of RFC 8601 (appendix B.7).
    "foo.example.net (foobar) 1 (baz);\r\n    dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n"
    "      policy (A dot can go here) . (like that) expired\r\n"
    "      (this surprised me) = (as I wasn't expecting it) 1362471462": field(
        result("dkim", "fail", ["policy", "expired", "1362471462"], version="1"),
        authserv_id="foo.example.net",
        version="1",
    ),
    "example.com; (nothing was done) none (at all)": field(),
    # authres drops a property that it cannot read and believes the rest; mailtrail leaves the result out.
    'example.com; spf=pass smtp.mailfrom="no end; dkim=pass': MALFORMED,
    'example.com; dkim=pass header.d="a"b': MALFORMED,
    # RFC 8601 section 2.2: authserv-id is a `value`, so it may be a quoted string. authres takes a dot-atom only.
    '"mx.example.com"; spf=pass smtp.helo=a.example': field(
        result("spf", "pass", ["smtp", "helo", "a.example"]), authserv_id="mx.example.com"
    ),
    # The other way round: a token (RFC 2045) has no slash, a dot-atom has.
    "example.com/1; dkim=pass header.d=example.net": MALFORMED,
    # authres keeps the backslashes of a quoted string, and wants a quoted value to be the last property; one that is
    # not, it drops.
    'example.com; dkim=fail reason="says \\"no\\"" header.d=example.net': field(
        result("dkim", "fail", ["header", "d", "example.net"], reason='says "no"')
    ),
    'example.com; spf=pass smtp.mailfrom="a@example.net" smtp.helo=b.example': field(
        result("spf", "pass", ["smtp", "mailfrom", "a@example.net"], ["smtp", "helo", "b.example"])
    ),
    # authres shows the quotes of a local part, mailtrail the address they stand for.
    'example.com; spf=pass smtp.mailfrom="a b"@example.net': field(
        result("spf", "pass", ["smtp", "mailfrom", "a b@example.net"])
    ),
    # An empty quoted string is a value; authres takes it for none, and refuses the field.
    'example.com; dkim=fail reason="" header.d=example.net': field(
        result("dkim", "fail", ["header", "d", "example.net"], reason="")
    ),
    # Null senders: authres takes the next property for the value, and refuses angle brackets.
    "example.com; spf=none smtp.mailfrom= smtp.helo=a.example": field(
        result("spf", "none", ["smtp", "mailfrom", ""], ["smtp", "helo", "a.example"])
    ),
    "example.com; spf=none smtp.mailfrom=<> smtp.helo=a.example": field(
        result("spf", "none", ["smtp", "mailfrom", "<>"], ["smtp", "helo", "a.example"])
    ),
    # Servers write IPv6 addresses without the quotes that RFC 8601 asks for; addresses in UTF-8 are RFC 8616.
    "example.com; iprev=pass policy.iprev=2001:db8::1": field(
        result("iprev", "pass", ["policy", "iprev", "2001:db8::1"])
    ),
    "example.com; spf=pass smtp.mailfrom=用户@例え.jp": field(
        result("spf", "pass", ["smtp", "mailfrom", "用户@例え.jp"])
    ),
    # Microsoft and Yahoo end a field with a semicolon, and others leave a result empty.
    "atlas.example.yahoo.com; dkim=pass header.i=@example.com header.s=s1; spf=pass smtp.mailfrom=example.com; "
    "dmarc=pass(p=REJECT) header.from=example.com;": field(
        result("dkim", "pass", ["header", "i", "@example.com"], ["header", "s", "s1"]),
        result("spf", "pass", ["smtp", "mailfrom", "example.com"]),
        result("dmarc", "pass", ["header", "from", "example.com"]),
        authserv_id="atlas.example.yahoo.com",
    ),
    "example.com; dkim=pass; ; spf=pass": field(result("dkim", "pass"), result("spf", "pass")),
    # A reason after the properties, where RFC 8601 does not have it, is the reason all the same.
    'example.com; dmarc=fail header.from=example.net reason="too late"': field(
        result("dmarc", "fail", ["header", "from", "example.net"], reason="too late")
    ),
}


def values():
    for path in sorted(MAIL.glob("*.eml")):
        message = email.message_from_bytes(path.read_bytes())
        yield from (str(value) for value in message.get_all("Authentication-Results", []))
    for line in (MAIL / "authres-samples.txt").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            yield re.sub(r"\\([rnt])", lambda escape: {"r": "\r", "n": "\n", "t": "\t"}[escape[1]], line)


def read(value):
    # The loop over properties in authres swallows every exception and need not move on: the alarm ends the script.
    signal.alarm(10)
    try:
        header = authres.AuthenticationResultsHeader.parse_value(value)
    except authres.AuthResError:
        return MALFORMED
    finally:
        signal.alarm(0)
    return field(*map(show, header.results), authserv_id=header.authserv_id, version=header.version)


def show(one):
    properties = [[p.type, p.name, p.value or ""] for p in one.properties]
    reason = None if one.reason is None else str(one.reason)
    return result(one.method, one.result, *properties, reason=reason, version=one.version)


def main():
    unused = set(EXCEPTIONS)
    for value in values():
        if "--values" in sys.argv[1:]:
            print(json.dumps(value))
            continue
        answer = read(value)
        if value in EXCEPTIONS:
            unused.discard(value)
            if answer == EXCEPTIONS[value]:
                sys.exit(f"no exception any more: {value!r}")
            answer = EXCEPTIONS[value]
        print(json.dumps(answer, ensure_ascii=False, separators=(",", ":")))
    if unused and "--values" not in sys.argv[1:]:
        sys.exit(f"exceptions that no value needs: {sorted(unused)}")


main()
