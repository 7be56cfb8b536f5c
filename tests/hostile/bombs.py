"""The release binary under requests that are small on the wire and large once they are read, answers that nobody takes,
and halves of bodies; in a cgroup of the unit's MemoryMax where the machine lets us make one.

    tests/hostile/bombs.py            every route once, with the shapes that cost most; three minutes, for .ci/run
    tests/hostile/bombs.py --long     every route, whoever asks, every shape; half an hour
    tests/hostile/bombs.py --only TEXT   the cases whose name holds the text
    tests/hostile/bombs.py --small       the same in half of the memory, with the settings that the unit names for it

Each case sends the same request over 64 connections at once. Meanwhile a caller with a key of its own records rows, mail
comes in over the Unix socket and somebody asks whether the server is ready, and all have to be served each time: no
refusal, whatever the others do. The process
has to live, and its resident memory at most (VmHWM, begun anew with each case) has to stay under 600 MiB. How long the
served ones took is printed and not asserted: that is the machine's, too.

Routes are taken from the document that the server serves, and how large a body may be from its own refusal. The binary is
target/release/mailtrail or what MAILTRAIL_BINARY names.
"""

import argparse
import atexit
import collections
import http.client
import itertools
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "vendor"))

from support import BINARY, ENVIRONMENT, OWNER, PASSWORD  # noqa: E402

AT_ONCE = 64
# Of MemoryMax, in MiB, what it may peak at, and the settings for it: the unit's, and what it says of smaller machines.
LARGE = (1024, 600, ())
SMALL = (512, 300, ("max_body_memory=32MiB", "max_bulk_body=4MiB"))
# A case that is not through by then is told with what came until then.
PATIENCE = 60
SCOPES = ["enforcement:read", "enforcement:write", "messages:read", "messages:write", "activity:write", "admin"]
NOBODY = "mt_live_" + "0" * 48
USER = "0190b3c8-5e4a-7cc1-8a1d-2f6f0c9b7e11"
ADDRESS = "bombs@a.example"


# ------------------------------------------------------------------------------------------------ the server

def cgroup(mib):
    """A cgroup of our own with a memory limit, and what is told about it."""
    name = f"mailtrail-bombs-{os.getpid()}"
    for root, limit, version in [
        ("/sys/fs/cgroup", "memory.max", "v2"),
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "v1"),
    ]:
        place = pathlib.Path(root, name)
        try:
            place.mkdir()
        except OSError:
            continue
        try:
            if (place / "cgroup.procs").exists():
                (place / limit).write_text(str(mib << 20))
                return place, f"in a cgroup ({version}) of {mib} MiB"
        except OSError:
            pass
        place.rmdir()
    return None, "in no cgroup: this machine lets us make none, so VmHWM alone is looked at"


class Served:
    """A server on a new data directory, with something of everything in it."""

    def __init__(self, mib, *settings):
        self.place = tempfile.mkdtemp(prefix="mailtrail-bombs-")
        atexit.register(shutil.rmtree, self.place, ignore_errors=True)
        self.data = self.place + "/data"
        self.base = [BINARY, "--data", self.data]
        settings = ["--set=log=info", *(f"--set={setting}" for setting in settings)]
        made = self.run("init", "--email", OWNER, "--password-stdin", stdin=PASSWORD + "\n")
        self.key = made["api_key"]
        self.cgroup, self.held_in = cgroup(mib)

        def enter():
            if self.cgroup:
                (self.cgroup / "cgroup.procs").write_text(str(os.getpid()))

        self.log = open(self.place + "/log", "wb")
        self.process = subprocess.Popen(
            [*self.base, "serve", "--listen", "127.0.0.1:0", *settings],
            stdout=subprocess.PIPE, stderr=self.log, preexec_fn=enter, env=ENVIRONMENT,
        )
        atexit.register(self.clean_up)
        self.port = int(self.process.stdout.readline().decode().strip().rpartition(":")[2])
        self.socket = self.data + "/mailtrail.sock"

    def run(self, *arguments, stdin=""):
        done = subprocess.run(
            [*self.base, "--json", *arguments], input=stdin.encode(), check=True, capture_output=True, env=ENVIRONMENT
        )
        return json.loads(done.stdout)

    def fill(self):
        """Owners of each kind, and rows of each log, some of them as large as they may be."""
        self.tenant = self.run("tenant", "create", "--name", "Acme")["id"]
        self.mailbox = self.run("mailbox", "create", "--address", ADDRESS, "--tenant", self.tenant)["id"]
        self.project = self.run("project", "create", "--name", "Newsletter")["id"]
        self.victim = self.run("key", "create", "--name", "victim", *scopes_of(SCOPES))["key"]
        self.greedy = self.run("key", "create", "--name", "greedy", *scopes_of(SCOPES))["key"]
        self.scoped = {
            scope: self.run("key", "create", "--name", scope.replace(":", " "), *scopes_of([scope]))["key"]
            for scope in SCOPES
        }
        status, headers, _ = self.ask(
            "POST", "/api/v1/auth/login", body=json.dumps({"email": OWNER, "password": PASSWORD}).encode()
        )
        assert status == 200, status
        self.cookie = headers["set-cookie"].partition(";")[0]
        large = {"text": "x" * 60_000}
        for path, word, row, n in [
            ("/v1/enforcement/events", "events", self.event(message="x" * 1000), 300),
            (self.entries, "items", None, 300),
            (f"/api/v1/projects/{self.project}/audit-log", "entries", self.activity(metadata=large), 250),
        ]:
            rows = [row or {**self.message(at), "tools_used": large} for at in range(n)]
            for some in batched(rows, 50):
                status, _, answer = self.ask("POST", path, key=self.victim, body=json.dumps({word: some}).encode())
                assert status == 201, answer[:500]

    def event(self, **more):
        return {
            "tenant_id": self.tenant, "mailbox_address": ADDRESS, "action_taken": "blocked", "sent_count": 26,
            "limit_value": 25, **more,
        }

    def message(self, at, **more):
        return {"message_id": f"{at}@a.example", "outcome": "delivered", **more}

    def activity(self, **more):
        return {"user_id": USER, "action": "smtp.update", **more}

    @property
    def entries(self):
        return f"/v1/mailboxes/{self.mailbox}/audit-logs"

    def connect(self, who):
        if who == "socket":
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(PATIENCE)
            client.connect(self.socket)
            return client
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def head(self, who, method, path, length=None, media_type="application/json", more=""):
        """The head of a request by one of the callers."""
        key = {"wrong key": NOBODY, "greedy": self.greedy, "victim": self.victim, **self.scoped}.get(who)
        lines = [f"{method} {path} HTTP/1.1", "Host: a", "Connection: close"]
        if key:
            lines.append(f"Authorization: Bearer {key}")
        if who == "session":
            lines.append(f"Cookie: {self.cookie}")
        if length is not None:
            lines += [f"Content-Type: {media_type}", f"Content-Length: {length}"]
        return ("\r\n".join(lines) + "\r\n" + more + "\r\n").encode()

    def ask(self, method, path, key=None, body=None, who=None, media_type="application/json"):
        """One request, and its answer: status, headers, body."""
        client = self.connect(who)
        try:
            head = self.head(who, method, path, None if body is None else len(body), media_type)
            if key:
                head = head.replace(b"\r\n\r\n", f"\r\nAuthorization: Bearer {key}\r\n\r\n".encode(), 1)
            try:
                client.sendall(head + (body or b""))
            except OSError:
                pass
            answer = http.client.HTTPResponse(client, method=method)
            answer.begin()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            client.close()

    def limit_of(self, method, path, media_type="application/json"):
        """How large a body this route takes, by its own refusal."""
        client = self.connect("greedy")
        client.sendall(self.head("greedy", method, path, 10**12, media_type))
        answer = http.client.HTTPResponse(client, method=method)
        answer.begin()
        text = answer.read().decode()
        client.close()
        found = re.search(r"exceeds the (\d+) bytes", text)
        return int(found[1]) if found else 4096

    def status_of(self, name):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{name}:\s+(\d+)", status, re.M)[1]) / 1024

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def clean_up(self):
        self.process.kill()
        self.process.wait()
        if self.cgroup:
            self.cgroup.rmdir()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, self.said()
        assert "panicked" not in self.said(), self.said()

    def said(self):
        return pathlib.Path(self.place, "log").read_text()[-3000:]


def scopes_of(scopes):
    return [word for scope in scopes for word in ("--scope", scope)]


def batched(items, n):
    return [items[at : at + n] for at in range(0, len(items), n)]


# ------------------------------------------------------------------------------------------------ shapes of bodies

def fitted(n, opening, piece, closing, between=b","):
    """`opening`, as many pieces as fit into `n` bytes, `closing`."""
    room = n - len(opening) - len(closing)
    count = max(1, (room + len(between)) // (len(piece) + len(between)))
    return opening + between.join([piece] * count) + closing


def nested(opening, closing, depth):
    return opening * depth + b"1" + closing * depth


def numbered(n, opening, piece, closing):
    """As `fitted`, of pieces with a number of their own in the place of %d."""
    pieces, room, at = [], n - len(opening) - len(closing), 0
    while room > 0:
        pieces.append(piece % at)
        room -= len(pieces[-1]) + 1
        at += 1
    return opening + b",".join(pieces[:-1] or pieces) + closing


# Of a value by itself: the body, or what a member of one is given.
VALUES = {
    "nested lists": lambda n: fitted(n, b"[", nested(b"[", b"]", 55), b"]"),
    "nested objects": lambda n: fitted(n, b"[", nested(b'{"":', b"}", 55), b"]"),
    "flat list": lambda n: fitted(n, b"[", b"1", b"]"),
    "empty lists": lambda n: fitted(n, b"[", b"[]", b"]"),
    "empty objects": lambda n: fitted(n, b"[", b"{}", b"]"),
    "members": lambda n: numbered(n, b"{", b'"%x":1', b"}"),
    "one member many times": lambda n: fitted(n, b"{", b'"a":1', b"}"),
    "one text": lambda n: fitted(n, b'"', b"x", b'"', b""),
    "one text of escapes": lambda n: fitted(n, b'"', b"\\u00e9", b'"', b""),
    "one number": lambda n: fitted(n, b"", b"7", b"", b""),
    "one fraction": lambda n: fitted(n, b"0.", b"7", b"", b""),
    "large numbers": lambda n: fitted(n, b"[", b"1e308", b"]"),
    "numbers of a million digits": lambda n: fitted(n, b"[", b"7" * min(1_000_000, max(1, n // 3)), b"]"),
    "one name": lambda n: fitted(n, b'{"', b"x", b'":1}', b""),
    "blanks": lambda n: fitted(n, b"", b" ", b"", b""),
    "no JSON": lambda n: fitted(n, b"", b"x", b"", b""),
    "cut short": lambda n: fitted(n, b'{"a":[', b'"b"', b""),
}


def in_member(member, value, n):
    """An object of about `n` bytes with one hostile member."""
    opening, closing = b'{"%s":' % member.encode(), b"}"
    return opening + value(n - len(opening) - len(closing)) + closing


def raw_mails(n):
    """Messages that are large once they are read."""
    start = b"Message-ID: <%d@bombs.example>\r\nFrom: a@a.example\r\nTo: b@b.example\r\n"
    end = b"\r\n\r\ntext\r\n"

    def field(name, piece, between=b""):
        opening = start % 1 + name + b": "
        return opening + between.join([piece] * ((n - len(opening) - len(end)) // (len(piece) + len(between)))) + end

    def parts(depth, each):
        text = start % 2
        for at in range(depth):
            text += b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (at, at)
        return text + each * ((n - len(text)) // len(each))

    return {
        "references": field(b"References", b"<a@b>", b"\r\n "),
        "references on one line": field(b"References", b"<a@b>"),
        "authentication results": field(b"Authentication-Results", b"a.b=c", b" "),
        "authentication results, many methods": field(b"Authentication-Results", b"x; dkim=pass header.d=a.b", b";"),
        "recipients": field(b"Cc", b"a@b.c", b","),
        "a group in a group": field(b"Cc", b"a:(", b""),
        "comments": field(b"Subject", b"(" * 50 + b")" * 50),
        "encoded words": field(b"Subject", b"=?utf-8?q?=C3=A9?=", b" "),
        "one long field": field(b"X-Long", b"x"),
        "100,000 fields": (start % 3 + b"X: y\r\n" * 100_000 + end).ljust(min(n, 16 << 20), b"z"),
        "received": start % 4 + b"Received: from a by b; Thu, 1 Jan 2026 00:00:00 +0000\r\n" * (n // 60) + b"\r\n",
        "multiparts 60 deep": parts(60, b"x"),
        "multiparts 5,000 deep": parts(min(5000, n // 80), b"x"),
        "empty parts": parts(1, b"--b0\r\n\r\n"),
        "parts of html": parts(1, b"--b0\r\nContent-Type: text/html\r\n\r\n<b>&amp;<p>\r\n"),
        "messages in messages": (start % 5 + b"Content-Type: message/rfc822\r\n\r\n") * (n // 100),
        "base64": start % 6 + b"Content-Transfer-Encoding: base64\r\n\r\n" + b"QUFB" * (n // 4 - 100),
        "quoted printable": start % 7 + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=41" * (n // 3 - 100),
        "html": start % 8 + b"Content-Type: text/html\r\n\r\n" + b"<b>&lt;" * (n // 7 - 100),
        "utf-16": start % 9 + b"Content-Type: text/plain; charset=utf-16\r\n\r\n" + b"\x00\xd8" * (n // 2 - 100),
        "one line": start % 10 + b"\r\n" + b"x" * (n - 200),
        "empty lines": start % 11 + b"\r\n" * (n // 2 - 100),
        "no header": b"\r\n" + b"x" * (n - 2),
        "no end of the header": b"X" * n,
    }


class Case:
    """The same request, over and over: `name`, who asks, head and body. `reads`: whether the answer is taken."""

    def __init__(self, route, who, shape, head, body=b"", reads=True, half=False, at_once=AT_ONCE):
        self.route, self.who, self.shape = route, who, shape
        self.head, self.body, self.reads, self.half, self.at_once = head, body, reads, half, at_once

    @property
    def name(self):
        return f"{self.route} | {self.who} | {self.shape}"


# ------------------------------------------------------------------------------------------------ the cases

def routes(served):
    """(method, path with names, path with somebody's ids) of every route of the document."""
    _, _, text = served.ask("GET", "/openapi.json")
    document = json.loads(text)
    first = lambda path, word: json.loads(served.ask("GET", path, key=served.victim)[2])[word][0]["id"]  # noqa: E731
    event = first("/v1/enforcement/events", "events")
    workspace = served.run("workspace", "list")["workspaces"][0]["id"]
    activities = json.loads(served.ask("GET", f"/api/v1/projects/{served.project}/audit-log", who="session")[2])
    activity = next(iter(activities.values()))[0]["id"]
    ids = {
        "/tenants/{tenant_id}": served.tenant, "/tenants/{id}": served.tenant, "/mailboxes/{mailbox_id}": served.mailbox,
        "/mailboxes/{id}": served.mailbox, "/audit-logs/{message_id}": "1@a.example", "/events/{id}": event,
        "/projects/{id}": served.project, "/workspaces/{id}": workspace, "/audit-log/{activity_id}": activity,
        "/controls/{number}": 1,
    }
    for path, operations in sorted(document["paths"].items()):
        real = path
        for name, value in ids.items():
            real = real.replace(name, name[: name.index("{")] + str(value))
        real = re.sub(r"\{[^}]*\}", USER, real)
        for method in operations:
            if method in ("get", "head", "post", "put", "patch", "delete"):
                yield method.upper(), path, real


def ends_things(method, path):
    """Whether a request that is let in would take away what the others need."""
    return method == "DELETE" or path.endswith("/rotate") or "logout" in path or "epochs" in path


def body_cases(served, long):
    """Every route with bodies of at most its limit."""
    whos = ["stranger", "wrong key", "greedy", "session", "socket", *SCOPES] if long else ["greedy"]
    chosen = list(VALUES) if long else ["nested lists", "members", "one text"]
    for method, path, real in routes(served):
        if ends_things(method, path):
            continue
        limit = served.limit_of(method, real)
        for who in whos if limit > 4096 else ["stranger", "greedy"] if long else ["stranger"]:
            some = chosen if who in ("greedy", "socket") or limit <= 4096 else chosen[:3]
            for shape in some if limit > 4096 or long else some[:1]:
                body = VALUES[shape](limit)
                yield Case(f"{method} {path}", who, f"{shape}, {len(body)} B", served.head(who, method, real, len(body)), body)


def bulk_cases(served, long):
    """The routes that take many rows: batches and lines of every shape."""
    json_type, lines_type = "application/json", "application/x-ndjson"
    project = f"/api/v1/projects/{served.project}/audit-log"
    targets = [
        ("/v1/enforcement/events", "events", served.event(), "message"),
        (served.entries, "items", served.message(1), "tools_used"),
        (project, "entries", served.activity(), "metadata"),
    ]
    for path, word, row, member in targets:
        n = served.limit_of("POST", path)
        route = f"POST {path}"
        for who in ["greedy", "socket"] if long else ["greedy"]:
            head = lambda body, media_type: served.head(who, "POST", path, len(body), media_type)  # noqa: E731
            opening, closing = b'{"%s":[' % word.encode(), b"]}"
            compact = json.dumps(row, separators=(",", ":")).encode()
            dearest = ["nested lists", "members", "empty objects"] if word == "items" else ["members"]
            for shape in VALUES if long else dearest:
                body = in_member(word, VALUES[shape], n)
                yield Case(route, who, f'{{"{word}": {shape}}}', head(body, json_type), body)
                body = VALUES[shape](n)
                yield Case(route, who, f"a line of {shape}", head(body, lines_type), body)
                value = VALUES[shape](60_000)
                item = compact[:-1] + b',"%s":%s}' % (member.encode(), value)
                body = fitted(n, opening, item, closing)
                yield Case(route, who, f"rows with {member} of {shape}", head(body, json_type), body)
                value = VALUES[shape](15_000)
                item = compact[:-1] + b',"%s":%s}' % (member.encode(), value)
                body = fitted(n, b"", item, b"\n", b"\n")
                yield Case(route, who, f"lines with {member} of {shape}", head(body, lines_type), body)
            body = fitted(n, b"", b"{}", b"", b"\n")
            yield Case(route, who, "lines of nothing", head(body, lines_type), body)
            body = b"\n" * n
            yield Case(route, who, "empty lines", head(body, lines_type), body)
            # A message is recorded once: each has an id of its own.
            rows = b",".join(compact.replace(b"1@a.example", b"%d@good.example" % at) for at in range(50_000))
            body = opening + rows[: rows.rindex(b"},", 0, n - 100) + 1 if len(rows) > n - 100 else len(rows)] + closing
            yield Case(route, who, f"{body.count(b'},{') + 1} good rows", head(body, json_type), body, at_once=8)
            # What a client does not take of one of these answers has to be small: many can be left.
            yield Case(
                route, who, f"{body.count(b'},{') + 1} good rows, unread", head(body, json_type), body, False, at_once=24
            )
            body = body[len(opening) : -len(closing)].replace(b"},{", b"}\n{")
            yield Case(route, who, f"{body.count(b'}') } good lines", head(body, lines_type), body, at_once=8)
    for shape in VALUES if long else ["nested lists", "members"]:
        patch = f"{served.entries}/1@a.example"
        n = served.limit_of("PATCH", patch)
        body = in_member("tools_used", VALUES[shape], n)
        yield Case(f"PATCH {patch}", "greedy", f"tools_used of {shape}", served.head("greedy", "PATCH", patch, len(body)), body)


def mail_cases(served, long):
    for door in ["audit-logs", "inbound"] if long else ["audit-logs"]:
        path = f"/v1/mailboxes/{served.mailbox}/{door}"
        n = served.limit_of("POST", path, "message/rfc822")
        for shape, body in raw_mails(n - 1000).items():
            if not long and shape not in ("references", "authentication results", "100,000 fields", "empty parts"):
                continue
            for who in ["greedy", "socket"] if long else ["socket"]:
                head = served.head(who, "POST", path, len(body), "message/rfc822")
                yield Case(f"POST {path} (mail)", who, shape, head, body)


def slow_cases(served, long):
    """What takes long where a byte is looked at again and again: each request has to be answered within `PATIENCE`."""
    guarded = served.run("mailbox", "create", "--address", "guarded@a.example")["id"]
    policy = {
        "defaultAction": "bounce",
        "senders": [{"match": {"domain": "a.example"}, "capabilities": []}],
        "auditLog": {"retentionDays": 30},
        "contentGuards": [
            {"reject": "[ab]*a[ab]{12800}c", "reason": "never"}, {"reject": "(?i)wire.{1,500}transfer", "reason": "fraud"},
        ],
    }
    path = f"/v1/mailboxes/{guarded}/policy"
    for classes in [r"(?i)" + r"\W" * 1998, r"(?i)[\PL~~\w]{0}" * 240]:
        dear = json.dumps(policy | {"contentGuards": [{"reject": classes, "reason": "never"}]}).encode()
        head = served.head("greedy", "PUT", path, len(dear), "application/json")
        yield Case("PUT policy (slow)", "greedy", f"{classes[:20]} and on", head, dear)
    status, _, answer = served.ask("PUT", path, key=served.victim, body=json.dumps(policy).encode())
    assert status == 200, answer
    start = b"Message-ID: <%d@slow.example>\r\nFrom: a@a.example\r\n"
    words = b"References: " + b"a@" * 28_000 + b"\r\n"
    mails = [
        (served.entries, "References of words", start % 1 + words * 160 + b"\r\ntext"),
        (served.entries, "a run of CR", start % 2 + b"Subject: a" + b"\r" * 8_000_000 + b"\n b\r\n\r\ntext"),
        (f"/v1/mailboxes/{guarded}/inbound", "dear guards, short", start % 3 + b"\r\n" + b"ab" * 30_000),
        (f"/v1/mailboxes/{guarded}/inbound", "dear guards", start % 4 + b"\r\n" + b"ab" * 500_000),
        (f"/v1/mailboxes/{guarded}/inbound", "dear guards, wires", start % 5 + b"\r\n" + b"wire" * 250_000),
    ]
    for path, shape, body in mails:
        for who in ["greedy", "socket"] if long else ["greedy"]:
            head = served.head(who, "POST", path, len(body), "message/rfc822")
            yield Case(f"POST {path} (slow)", who, shape, head, body)
    path = f"/api/v1/projects/{served.project}/audit-log"
    for shape, metadata in [
        ("a name of passes", {"pass-" * 12_000 + "dkim": "x"}),
        ("assignments", {"text": "a=" * 30_000}),
        ("keys that do not end", {"text": "-----BEGIN PRIVATE KEY-----" * 2000}),
        ("schemes", {"text": "a://a:" * 10_000}),
    ]:
        row = json.dumps(served.activity(metadata=metadata)).encode()
        body = fitted(served.limit_of("POST", path), b'{"entries":[', row, b"]}")
        yield Case(f"POST {path} (slow)", "greedy", shape, served.head("greedy", "POST", path, len(body)), body)


def head_cases(served, long):
    """Heads as large as they may be."""
    for who in ["stranger", "greedy"]:
        path = "/v1/enforcement/events"
        plain = served.head(who, "GET", path)
        fields = b"".join(b"X-%d: %s\r\n" % (at, b"y" * 220) for at in range(58))
        yield Case("GET", who, "64 fields, 16 KiB", plain[:-2] + fields + b"\r\n")
        yield Case("GET", who, "one field of 15 KiB", plain[:-2] + b"X: " + b"y" * 15_000 + b"\r\n\r\n")
        for shape, query in [
            ("4,000 parameters", "&".join(["a"] * 4000)),
            ("64 parameters", "&".join(f"p{at}={'x' * 100}" for at in range(64))),
            ("one parameter of 8 KiB", "tenant_id=" + "%41" * 2600),
            ("blanks", "+" * 8000),
            ("separators", "&" * 8000),
        ]:
            yield Case("GET", who, f"query: {shape}", served.head(who, "GET", f"{path}?{query}"))
        yield Case("GET", who, "a path of 8,000 segments", served.head(who, "GET", "/a" * 4000))
        yield Case("GET", who, "a path of escapes", served.head(who, "GET", "/v1/mailboxes/" + "%31" * 2600))
        yield Case("GET", who, "cookies", plain[:-2] + b"Cookie: " + b"a=b;" * 3700 + b"\r\n\r\n")
        yield Case("GET", who, "forwarded for", plain[:-2] + b"X-Forwarded-For: " + b"1," * 7000 + b"\r\n\r\n")
        yield Case("GET", who, "no end of the head", plain[:-2] + b"X: " + b"y" * 8000, half=True)


def answer_cases(served, long):
    """Answers that nobody takes."""
    lists = [
        ("greedy", "/v1/enforcement/events?limit=200"), ("greedy", f"{served.entries}?limit=200"),
        ("session", f"/api/v1/projects/{served.project}/audit-log?limit=200"),
    ]
    for who, path in lists:
        yield Case(f"GET {path}", who, "unread", served.head(who, "GET", path), reads=False)
        for form in ["ndjson", "csv", "proof"] if long else ["ndjson"]:
            stream = path.partition("?")[0] + f"?format={form}"
            yield Case(f"GET {stream}", who, "unread", served.head(who, "GET", stream), reads=False)
            yield Case(f"GET {stream}", who, "read", served.head(who, "GET", stream))
        yield Case(f"GET {path}", who, "read", served.head(who, "GET", path))
    yield Case("GET /openapi.json", "stranger", "unread", served.head("stranger", "GET", "/openapi.json"), reads=False)
    yield Case("GET /metrics", "greedy", "unread", served.head("greedy", "GET", "/metrics"), reads=False)


def half_cases(served, long):
    """Bodies that do not come to their end."""
    for n in (4, 64, 1000) if long else (4, 64):
        for who, path in [("stranger", "/v1/enforcement/events"), ("wrong key", "/v1/enforcement/events"),
                          ("stranger", "/api/v1/auth/login"), ("greedy", "/v1/enforcement/events")]:
            limit = 4096 if "login" in path else served.limit_of("POST", path)
            sent = b"x" * (limit // 2 + 1 if n <= 64 else min(limit // 2, 64 * 1024))
            head = served.head(who, "POST", path, limit)
            yield Case(f"POST {path}", who, f"{n} halves of a body, dripped", head, sent, half=True, at_once=n)


# ------------------------------------------------------------------------------------------------ a case

class Others:
    """The caller with a key and the mail over the socket, until `finish`."""

    def __init__(self, served):
        self.served, self.stopped = served, threading.Event()
        self.took = collections.defaultdict(list)
        self.failures = []
        self.at = itertools.count(1)
        send = json.dumps({"tenant_id": served.tenant, "mailbox_address": ADDRESS}).encode()
        mail = b"Message-ID: <%d.%d@mail.example>\r\nFrom: a@a.example\r\n\r\n" + b"x" * 100_000
        works = [
            ("send", lambda _: served.ask("POST", "/v1/enforcement/sends", key=served.victim, body=send)),
            ("mail", lambda at: served.ask(
                "POST", served.entries, who="socket", body=mail % (os.getpid(), at), media_type="message/rfc822")),
            ("list", lambda _: served.ask("GET", "/v1/enforcement/events?limit=1", key=served.victim)),
            ("ready", lambda _: served.ask("GET", "/readyz")),
        ]
        self.threads = [threading.Thread(target=self.work, args=work) for work in works]
        for thread in self.threads:
            thread.start()

    def work(self, name, ask):
        while True:
            begun = time.monotonic()
            try:
                status, _, answer = ask(next(self.at))
                if status not in (200, 201):
                    self.failures.append(f"{name}: {status} {answer[:200]!r}")
            except OSError as error:
                self.failures.append(f"{name}: {error!r}")
            except http.client.HTTPException as error:
                self.failures.append(f"{name}: {error!r}")
            self.took[name].append(time.monotonic() - begun)
            if self.stopped.wait(0.02):
                return

    def finish(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()
        return self


def send_one(served, case, outcomes, ready, until):
    """One connection of a case."""
    try:
        client = served.connect(case.who)
        if not case.reads:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        ready.wait()
        try:
            client.sendall(case.head)
            client.sendall(case.body)
        except OSError:
            pass
        if case.half or not case.reads:
            # Dripped, or left unread, as long as the case lasts.
            while time.monotonic() < until():
                time.sleep(0.1)
                if case.half:
                    try:
                        client.send(b"x")
                    except OSError:
                        break
        client.settimeout(0.5 if case.half else PATIENCE)
        answer = client.recv(64)
        while case.reads and not case.half and client.recv(1 << 20):
            pass
        outcomes.append(answer[9:12].decode() or "closed")
    except TimeoutError:
        outcomes.append("waiting")
    except OSError:
        outcomes.append("closed")
    finally:
        client.close()


class Result:
    def __init__(self, case, peak, outcomes, seconds, others):
        self.case, self.peak, self.outcomes, self.seconds, self.others = case, peak, outcomes, seconds, others


def run(served, case, hold):
    outcomes = []
    begun = time.monotonic()
    others = Others(served)
    served.forget_peak()
    ready = threading.Barrier(case.at_once)
    until = lambda: begun + hold  # noqa: E731
    threads = [
        threading.Thread(target=send_one, args=[served, case, outcomes, ready, until]) for _ in range(case.at_once)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    others.finish()
    if served.process.poll() is not None:
        sys.exit(f"{case.name}: the process ended with {served.process.returncode}\n{served.said()}")
    return Result(case, served.status_of("VmHWM"), collections.Counter(outcomes), time.monotonic() - begun, others)


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] * 1000 if values else 0


def told(result):
    outcomes = ", ".join(f"{n} x {outcome}" for outcome, n in result.outcomes.most_common())
    waits = ", ".join(f"{name} {percentile(took, 0.99):.0f}" for name, took in result.others.took.items())
    return f"{result.peak:6.0f} MiB  {result.seconds:5.1f} s  {result.case.name}: {outcomes}; p99 ms: {waits}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    mib, most_mib, settings = SMALL if options.small else LARGE
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    served = Served(mib, "max_requests_per_address=unlimited", *settings)
    served.fill()
    print(f"{served.held_in}; at rest {served.status_of('VmRSS'):.0f} MiB", flush=True)
    hold = 10 if options.long else 2
    results = []
    for cases in (half_cases, head_cases, answer_cases, mail_cases, slow_cases, bulk_cases, body_cases):
        for case in cases(served, options.long):
            if options.only not in case.name:
                continue
            result = run(served, case, hold)
            results.append(result)
            print(told(result), flush=True)
    rest = served.status_of("VmRSS")
    served.stop()

    print(f"\nThe {min(20, len(results))} dearest of {len(results)} cases, {AT_ONCE} at once unless it says otherwise:")
    for result in sorted(results, key=lambda result: -result.peak)[:20]:
        print(told(result))
    everybody = collections.defaultdict(list)
    for result in results:
        for name, took in result.others.took.items():
            everybody[name] += took
    print("\nThose who were to be served meanwhile, over all cases:")
    for name, took in everybody.items():
        print(f"{name}: {len(took)} times, p50 {percentile(took, 0.5):.0f} ms, p99 {percentile(took, 0.99):.0f} ms")
    print(f"At rest afterwards: {rest:.0f} MiB")
    over = [result for result in results if result.peak >= most_mib]
    refused = [result for result in results if result.others.failures]
    for result in over:
        print(f"OVER {most_mib} MiB: {told(result)}")
    for result in refused:
        print(f"NOT SERVED: {result.case.name}: {len(result.others.failures)}: {result.others.failures[:3]}")
    sys.exit(1 if over or refused else 0)


if __name__ == "__main__":
    main()
