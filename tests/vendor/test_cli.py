"""The release binary as a user runs it: every command, with a server in front of the data directory and without."""

import base64
import collections
import csv
import hashlib
import http.client
import io
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading

import httpx
import pytest
from support import (
    BINARY,
    ENVIRONMENT,
    MAIL,
    OWNER,
    PASSWORD,
    PATIENCE,
    REPOSITORY,
    USER,
    Directory,
    in_threads,
    join,
    ndjson,
    operator,
    run,
)

UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
KEY = re.compile("mt_live_[0-9a-f]{48}")
TIME = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
TENANT = "7d0c9a52-4b1f-4d53-9c5e-0f4c8a6b2e11"

OWN_EVENT = {
    "tenant_id": TENANT,
    "mailbox_address": "sales@acmecorp.com",
    "action_taken": "blocked",
    "sent_count": 26,
    "limit_value": 25,
}


@pytest.fixture(params=["served", "not served"])
def directory(request, tmp_path):
    """Commands go over the socket, or run in their own process."""
    directory = Directory(tmp_path)
    if request.param == "not served":
        directory.server = None
        yield directory
        return
    with directory.serving() as directory.server:
        yield directory


def refused(done, exit_code=1):
    """An error that ends with what to do: its first line."""
    assert done.returncode == exit_code
    assert done.stdout == ""
    message, empty, *hint = done.stderr.splitlines()[-3:]
    assert empty == "" and len(hint) == 1 and re.fullmatch(r"hint: \S.*", hint[0]), done.stderr
    assert message.startswith("error: "), done.stderr
    return message.removeprefix("error: ")


def is_whole(directory):
    """Whether `check` finds nothing."""
    found = directory.json("check")
    return (found["ok"], found["problems"], found["miscounts"]) == (True, [], [])


def mode(path):
    return f"{path.stat().st_mode & 0o777:03o}"


def lines_to(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


# ---------------------------------------------------------------------------------------------- init


def test_init(tmp_path):
    os.umask(old := os.umask(0))
    data = tmp_path / "data"
    made = json.loads(run("--data", data, "--json", "init", "--email", OWNER).stdout)
    members = ["workspace_id", "user_id", "email", "password", "api_key", "license_key"]
    assert [*made] == members
    assert UUID.fullmatch(made["workspace_id"]) and UUID.fullmatch(made["user_id"])
    assert made["email"] == OWNER and len(made["password"]) >= 20
    assert KEY.fullmatch(made["api_key"])
    assert mode(data) == "700"
    files = sorted(path.name for path in data.iterdir())
    assert files == ["checkpoint.key", "issuer.key", "issuer.pub", "license.key", "mailtrail.db", "mailtrail.lock"]
    assert {mode(path) for path in data.iterdir()} == {"600"}
    before = {path.name: path.read_bytes() for path in data.iterdir()}

    again = run("--data", data, "init", "--email", OWNER, exit_code=1)
    assert refused(again) == f"there is a database in {data} already"
    assert before == {path.name: path.read_bytes() for path in data.iterdir()}
    os.umask(old)


def test_init_whatever_the_umask(tmp_path):
    subprocess.run(
        ["sh", "-c", 'umask 000; "$0" --data "$1" init --email ada@example.org', BINARY, tmp_path / "data"],
        check=True,
        capture_output=True,
        env=ENVIRONMENT,
    )
    assert mode(tmp_path / "data") == "700"
    assert {mode(path) for path in (tmp_path / "data").iterdir()} == {"600"}


def test_init_with_a_password(tmp_path):
    directory = Directory(tmp_path)
    assert [*directory.made] == ["workspace_id", "user_id", "email", "api_key", "license_key"]


def test_init_in_words(tmp_path):
    done = run("--data", tmp_path / "data", "init", "--email", OWNER, "--workspace", "Acme")
    assert done.stderr == ""
    assert done.stdout.startswith(f"Made {tmp_path / 'data'} with the workspace \"Acme\".\n")
    assert OWNER in done.stdout and KEY.search(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["--email", "ada"], "", '--email: "ada" is not a mail address; accepted: local@domain'),
        (
            ["--email", OWNER, "--workspace", ""],
            "",
            '--workspace: "" is not acceptable; accepted: text of 1 to 200 characters, no control characters',
        ),
        (["--email", OWNER, "--password-stdin"], "short\n", "password: has 5 characters; accepted: 10 to 1024"),
        (["--email", OWNER, "--password-stdin"], "", "standard input has no password"),
    ],
)
def test_init_refused_makes_nothing(tmp_path, arguments, stdin, message):
    done = run("--data", tmp_path / "data", "init", *arguments, stdin=stdin, exit_code=1)
    assert refused(done) == message
    assert not (tmp_path / "data").exists()


def test_init_refuses_an_open_directory(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o755)
    done = run("--data", data, "init", "--email", OWNER, exit_code=1)
    assert refused(done) == f"{data} can be read or written by others (mode 755)"
    assert done.stderr.endswith(f"hint: chmod go= {data}\n")
    assert list(data.iterdir()) == []
    data.chmod(0o700)
    run("--data", data, "init", "--email", OWNER)


# ---------------------------------------------------------------------------------------------- serve


def test_serve(tmp_path):
    directory = Directory(tmp_path)
    with directory.serving() as server:
        assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+", server.first_line)
        assert server.get("/healthz").status_code == 200
        assert mode(directory.data / "mailtrail.sock") in ("600", "700")
        second = directory.run("serve", "--listen", "127.0.0.1:0", exit_code=78)
        assert refused(second, 78) == f"another mailtrail is serving {directory.data}"
        address = server.url.removeprefix("http://")
        assert server.get("/healthz").status_code == 200
    # Drained: one file, no WAL, no socket.
    names = sorted(path.name for path in directory.data.iterdir())
    assert not [name for name in names if name.endswith(("-wal", "-shm"))]
    other = Directory(tmp_path / "other") if (tmp_path / "other").mkdir() is None else None
    with directory.serving() as server:
        address = server.url.removeprefix("http://")
        taken = other.run("serve", "--listen", address, exit_code=74)
        assert address in refused(taken, 74)


@pytest.mark.parametrize("listen", ["localhost", "127.0.0.1", "127.0.0.1:70000", ""])
def test_serve_refuses_an_address(tmp_path, listen):
    directory = Directory(tmp_path)
    done = directory.run("serve", f"--listen={listen}", exit_code=78)
    assert refused(done, 78) == f'listen: "{listen}" is not an address and a port'


def test_serve_without_a_directory(tmp_path):
    done = run("--data", tmp_path / "nothing", "serve", exit_code=78)
    assert refused(done, 78) == f"there is no mailtrail database in {tmp_path / 'nothing'}"
    (tmp_path / "empty").mkdir()
    done = run("--data", tmp_path / "empty", "serve", exit_code=78)
    assert refused(done, 78) == f"there is no mailtrail database in {tmp_path / 'empty'}"


@pytest.mark.parametrize("name", [".", "mailtrail.db", "issuer.key"])
def test_serve_refuses_open_modes(tmp_path, name):
    directory = Directory(tmp_path)
    path = directory.data / name
    path.chmod(path.stat().st_mode | 0o040)
    done = directory.run("serve", "--listen=127.0.0.1:0", exit_code=78)
    assert "can be read or written by others" in refused(done, 78)


def test_serve_refuses_what_is_no_database(tmp_path):
    directory = Directory(tmp_path)
    (directory.data / "mailtrail.db").write_bytes(b"not a database" * 1000)
    done = directory.run("serve", "--listen=127.0.0.1:0", exit_code=78)
    assert "cannot be read as a database" in refused(done, 78)


def test_sigterm_drains(tmp_path):
    directory = Directory(tmp_path)
    directory.run("tenant", "create", "--name", "Acme", "--id", TENANT)
    body = json.dumps(OWN_EVENT).encode()
    with directory.serving() as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), PATIENCE) as connection:
            connection.sendall(
                b"POST /v1/enforcement/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Authorization: Bearer %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n"
                % (directory.key.encode(), len(body))
            )
            answers = connection.makefile("rb")
            assert answers.readline() == b"HTTP/1.1 100 Continue\r\n"
            # It is reading this request now; told to stop, it reads it to its end, records and answers.
            server.process.send_signal(signal.SIGTERM)
            connection.sendall(body)
            assert answers.readline() == b"\r\n"
            assert answers.readline() == b"HTTP/1.1 201 Created\r\n"
        # A second signal would end it at once.
        assert server.process.wait(PATIENCE) == 0
    [event] = directory.rows("query", "enforcement")
    assert event["mailbox_address"] == "sales@acmecorp.com"


def test_log_has_no_secrets(tmp_path):
    directory = Directory(tmp_path, ["log=debug"])
    tenant = directory.json("tenant", "create", "--name", "Acme")["id"]
    project = directory.json("project", "create", "--name", "Newsletter")["id"]
    mailbox = directory.json("mailbox", "create", "--address", "a@example.org")["id"]
    words = {name: f"{name}{random.getrandbits(64):x}" for name in ("body", "query", "wrong", "sender", "metadata")}
    with directory.serving() as server:
        event = OWN_EVENT | {"tenant_id": tenant, "message": words["body"]}
        server.post("/v1/enforcement/events", directory.key, event)
        server.post("/v1/enforcement/events", directory.key, event | {"unknown": words["body"]}, status=422)
        server.get(f"/v1/enforcement/events?mailbox_address={words['query']}", directory.key)
        server.get(f"/v1/enforcement/events?action={words['query']}", directory.key, status=422)
        entry = {"message_id": words["body"], "outcome": "delivered", "sender_address": words["sender"]}
        server.post(f"/v1/mailboxes/{mailbox}/audit-logs", directory.key, entry | {"text_body": words["body"]})
        server.get(f"/v1/mailboxes/{mailbox}/audit-logs/{words['body']}", directory.key)
        activity = {"user_id": USER, "action": "smtp.update", "metadata": {"password": words["metadata"]}}
        server.post(f"/api/v1/projects/{project}/audit-log", directory.key, activity)
        wrong_key = "mt_live_" + "a5" * 24
        server.get("/v1/enforcement/events", wrong_key, status=401)
        server.post("/api/v1/auth/login", body={"email": OWNER, "password": words["wrong"]}, status=401)
        login = server.post("/api/v1/auth/login", body={"email": OWNER, "password": PASSWORD})
        session = login.headers["set-cookie"].split(";")[0].split("=")[1]
        server.get(f"/api/v1/projects/{project}/audit-log")
        made = directory.json("key", "create", "--name", "k", "--scope", "admin")["key"]
        directory.run("user", "create", "--email=g@example.org", "--role=auditor", "--password-stdin", stdin="0123456789")
    log = directory.log.read_text()
    # It is the log of all this.
    assert "POST /v1/mailboxes/{mailbox_id}/audit-logs 201" in log
    secrets = [
        directory.key,
        made,
        wrong_key,
        PASSWORD,
        session,
        directory.made["license_key"],
        "0123456789",
        *words.values(),
    ]
    assert [secret for secret in secrets if secret in log] == []


# ---------------------------------------------------------------------------------------------- owners


def listed(directory, kind, word, *arguments):
    answer = directory.json(*arguments, kind, "list")
    assert answer["count"] == len(answer[word])
    return answer[word]


def test_workspaces(directory):
    first = directory.made["workspace_id"]
    made = directory.json("workspace", "create", "--name", "Second")
    assert UUID.fullmatch(made["id"]) and made["name"] == "Second" and TIME.fullmatch(made["created_at"])
    assert [(w["id"], w["name"]) for w in listed(directory, "workspace", "workspaces")] == [
        (first, "Main"),
        (made["id"], "Second"),
    ]
    assert directory.json("workspace", "show", made["id"]) == made
    assert directory.json("workspace", "set", made["id"], "--name", "Third") == made | {"name": "Third"}
    assert directory.json("workspace", "show", made["id"])["name"] == "Third"

    # Where there are several, one is named; each has its own.
    done = directory.run("tenant", "list", exit_code=1)
    assert "several workspaces" in refused(done)
    assert done.stderr.endswith("hint: name it with --workspace; `mailtrail workspace list` shows them\n")
    tenant = directory.json("--workspace", made["id"], "tenant", "create", "--name", "Acme")
    assert listed(directory, "tenant", "tenants", "--workspace", first) == []
    assert listed(directory, "tenant", "tenants", "--workspace", made["id"]) == [tenant]
    mailbox = directory.json("--workspace", made["id"], "mailbox", "create", "--address", "a@example.org")
    second = ["--workspace", made["id"]]
    assert directory.json(*second, "mailbox", "show", "a@example.org") == mailbox
    message = MAIL[0].read_bytes()
    entry = directory.json(*second, "record", "message", "--mailbox", "a@example.org", stdin=message)
    rows = directory.rows(*second, "query", "messages", "--mailbox", "a@example.org")
    assert [row["id"] for row in rows] == [entry["id"]]
    done = directory.run("--workspace", first, "query", "messages", "--mailbox", mailbox["id"], exit_code=1)
    assert refused(done) == "Mailbox not found"
    key = directory.json(*second, "key", "create", "--name", "k", "--scope", "messages:read")["key"]
    if directory.server:
        directory.server.get(f"/v1/mailboxes/{mailbox['id']}/audit-logs", key)

    assert directory.json("workspace", "delete", made["id"]) == {"id": made["id"], "deleted": True}
    if directory.server:
        directory.server.get(f"/v1/mailboxes/{mailbox['id']}/audit-logs", key, status=401)
    assert [w["id"] for w in listed(directory, "workspace", "workspaces")] == [first]
    assert "the first workspace" in refused(directory.run("workspace", "delete", first, exit_code=1))
    assert refused(directory.run("workspace", "show", USER, exit_code=1)) == "Workspace not found"
    assert refused(directory.run("workspace", "create", "--name", "", exit_code=1)).startswith("name: ")


def test_users(directory):
    me = directory.made["user_id"]
    create = ["user", "create", "--role", "auditor", "--name", "Grace", "--email", "grace@example.org"]
    made = directory.json(*create, "--password-stdin", stdin=PASSWORD)
    assert "password" not in made
    assert (made["email"], made["role"], made["name"]) == ("grace@example.org", "auditor", "Grace")
    drawn = directory.json("user", "create", "--email", "joan@example.org", "--role", "admin")
    password = drawn.pop("password")
    users = listed(directory, "user", "users")
    assert [user["id"] for user in users] == [me, made["id"], drawn["id"]]
    assert users[1:] == [made, drawn]
    assert directory.json("user", "show", made["id"]) == made

    def logs_in(email, password):
        if directory.server:
            login = httpx.post(
                directory.server.url + "/api/v1/auth/login",
                json={"email": email, "password": password},
                trust_env=False,
            )
            return login.status_code == 200
        return None

    assert logs_in("grace@example.org", PASSWORD) in (True, None)
    assert logs_in("joan@example.org", password) in (True, None)
    changed = directory.json("user", "set", made["id"], "--role", "admin", "--password-stdin", stdin="another password\n")
    assert changed == made | {"role": "admin"}
    assert logs_in("grace@example.org", "another password") in (True, None)
    assert logs_in("grace@example.org", PASSWORD) in (False, None)
    assert refused(directory.run("user", "set", made["id"], exit_code=1)) == "nothing to set"
    assert "last owner" in refused(directory.run("user", "set", me, "--role", "admin", exit_code=1))
    assert "last owner" in refused(directory.run("user", "delete", me, exit_code=1))
    assert directory.json("user", "delete", made["id"]) == {"id": made["id"], "deleted": True}
    assert refused(directory.run("user", "show", made["id"], exit_code=1)) == "User not found"
    # The name stays in the log.
    [added] = [
        entry
        for entry in directory.rows("query", "activity", "--action", "workspace.member_added")
        if entry["target_id"] == made["id"]
    ]
    assert added["metadata"]["email"] == "grace@example.org"

    # An account may be a member of several workspaces, and joins when it accepts.
    other = ["--workspace", directory.json("workspace", "create", "--name", "Other")["id"]]
    invited = directory.json(*other, "user", "create", "--email", "joan@example.org", "--role", "owner")
    assert "password" not in invited and "user_id" not in invited
    assert listed(directory, "user", "users", *other) == []
    link = invited["path"] + "\n" + password + "\n"
    assert "new_password" in refused(directory.run("invitation", "accept", stdin=link, exit_code=1))
    joined = directory.json("invitation", "accept", stdin=link + "a password of her own\n")
    assert (joined["user_id"], joined["role"]) == (drawn["id"], "owner")
    assert logs_in("joan@example.org", "a password of her own") in (True, None)
    again = directory.run(*other, "user", "create", "--email", "joan@example.org", "--role", "owner", exit_code=1)
    assert "already" in refused(again)
    # So does somebody who has none, where they are invited.
    made = directory.json(*other, "user", "invite", "--email", "new@example.org", "--role", "auditor")
    [shown] = listed(directory, "invitation", "invitations", *other)
    assert shown["id"] == made["id"] and "token" not in shown
    assert directory.json("invitation", "withdraw", made["id"]) == {"id": made["id"], "withdrawn": True}
    assert "invitation not found" in refused(directory.run("invitation", "accept", stdin=link, exit_code=1))


def test_tenants(directory):
    create = ["tenant", "create", "--name", "Acme", "--domain", "acmecorp.com", "--id", TENANT]
    made = directory.json(*create)
    assert (made["id"], made["tenant_name"], made["tenant_domain"]) == (TENANT, "Acme", "acmecorp.com")
    assert made["legal_hold"] is False
    refused(directory.run(*create, exit_code=1))
    other = directory.json("tenant", "create", "--name", "Other")
    assert listed(directory, "tenant", "tenants") == [made, other]
    assert directory.json("tenant", "show", TENANT) == made
    assert directory.json("tenant", "set", TENANT, "--name", "Ajax") == made | {"tenant_name": "Ajax"}
    assert directory.json("tenant", "hold", TENANT)["legal_hold"] is True
    assert directory.json("tenant", "show", TENANT)["legal_hold"] is True
    assert directory.json("tenant", "release", TENANT)["legal_hold"] is False
    lines_to(directory.place / "events", [OWN_EVENT])
    directory.run("import", "enforcement", directory.place / "events")
    assert directory.json("tenant", "delete", TENANT) == {"id": TENANT, "deleted": True}
    assert listed(directory, "tenant", "tenants") == [other]
    # Its log stays, also under its name.
    [event] = directory.rows("query", "enforcement", "--tenant", TENANT)
    assert event["tenant_id"] == TENANT
    assert "UUID" in refused(directory.run("tenant", "create", "--name", "x", "--id", "x", exit_code=1))


POLICY = {
    "defaultAction": "drop",
    "senders": [{"match": {"domain": "example.org"}, "capabilities": ["read_calendar"]}],
    "auditLog": {"retentionDays": 36500, "includeBodyHash": True},
}


def test_mailboxes(directory):
    directory.run("tenant", "create", "--name", "Acme", "--id", TENANT)
    made = directory.json(
        "mailbox", "create", "--address", "Sales@acmecorp.com", "--tenant", TENANT, "--daily-send-limit", 25,
        "--name", "Sales",
    )
    assert type(made["id"]) is int
    assert (made["primary_smtp"], made["display_name"]) == ("Sales@acmecorp.com", "Sales")
    assert (made["tenant_id"], made["daily_send_limit"]) == (TENANT, 25)
    plain = directory.json("mailbox", "create", "--address", "agent@acmecorp.com")
    assert (plain["tenant_name"], plain["daily_send_limit"]) == ("default", None)
    assert listed(directory, "mailbox", "mailboxes") == [made, plain]
    # By number, and by address in any case.
    for name in (made["id"], "Sales@acmecorp.com", "sales@ACMECORP.com"):
        assert directory.json("mailbox", "show", name) == made
    sales = "sales@acmecorp.com"
    assert directory.json("mailbox", "set", sales, "--daily-send-limit", 50)["daily_send_limit"] == 50
    bare = directory.json("mailbox", "set", sales, "--daily-send-limit", "none", "--tenant", "none", "--name", "S")
    assert (bare["daily_send_limit"], bare["tenant_name"], bare["display_name"]) == (None, "default", "S")
    assert directory.json("mailbox", "set", made["id"], "--tenant", TENANT)["tenant_id"] == TENANT
    assert refused(directory.run("mailbox", "set", sales, exit_code=1)) == "nothing to set"
    assert "not a number" in refused(directory.run("mailbox", "set", sales, "--daily-send-limit=x", exit_code=1))
    assert directory.json("mailbox", "hold", sales)["legal_hold"] is True
    assert directory.json("mailbox", "show", sales)["legal_hold"] is True
    assert directory.json("mailbox", "release", sales)["legal_hold"] is False

    assert refused(directory.run("mailbox", "policy", sales, exit_code=1)) == "Policy not found"
    file = directory.place / "policy.json"
    file.write_text(json.dumps(POLICY))
    put = directory.json("mailbox", "policy", sales, file)
    assert (put["mailboxId"], put["version"], put["warnings"]) == (made["id"], 1, [])
    assert put["policy"]["auditLog"] == POLICY["auditLog"]
    assert directory.json("mailbox", "policy", sales) == put
    assert directory.json("mailbox", "policy", sales, "-", stdin=json.dumps(POLICY))["version"] == 2
    assert json.loads(directory.run("mailbox", "policy", sales).stdout)["version"] == 2
    wrong = json.dumps(POLICY | {"auditLog": {"retentionDays": 0}})
    done = directory.run("mailbox", "policy", sales, "-", stdin=wrong, exit_code=1)
    assert refused(done) == "auditLog.retentionDays must be >= 1"
    done = directory.run("mailbox", "policy", sales, directory.place / "nothing", exit_code=1)
    assert refused(done).startswith(f"cannot read {directory.place / 'nothing'}: ")

    directory.run("record", "message", "--mailbox", sales, stdin=MAIL[0].read_bytes())
    assert directory.json("mailbox", "delete", sales) == {"id": str(made["id"]), "deleted": True}
    assert listed(directory, "mailbox", "mailboxes") == [plain]
    assert refused(directory.run("mailbox", "show", made["id"], exit_code=1)) == "Mailbox not found"
    assert refused(directory.run("mailbox", "show", sales, exit_code=1)) == "Mailbox not found"
    # Its log stays; nothing is added to it.
    assert len(directory.rows("query", "messages", "--mailbox", made["id"])) == 1
    record = ["record", "message", "--mailbox", made["id"]]
    assert refused(directory.run(*record, stdin=MAIL[1].read_bytes(), exit_code=1)) == "Mailbox not found"


def test_projects(directory):
    made = directory.json("project", "create", "--name", "Newsletter")
    assert UUID.fullmatch(made["id"]) and made["name"] == "Newsletter"
    assert listed(directory, "project", "projects") == [made]
    assert directory.json("project", "show", made["id"]) == made
    assert directory.json("project", "set", made["id"], "--name", "News") == made | {"name": "News"}
    assert directory.json("project", "hold", made["id"])["legal_hold"] is True
    assert directory.json("project", "release", made["id"])["legal_hold"] is False
    assert directory.json("project", "delete", made["id"]) == {"id": made["id"], "deleted": True}
    assert listed(directory, "project", "projects") == []
    actions = [entry["action"] for entry in directory.rows("query", "activity", "--project", made["id"])]
    assert actions == ["project.delete", *["project.update"] * 3, "project.create"]


def test_keys(directory):
    def opens(key):
        return directory.server.get("/v1/tenants", key, status=200 if key in alive else 401) if directory.server else None

    init = listed(directory, "key", "keys")
    assert [key["name"] for key in init] == ["init"]
    made = directory.json(
        "key", "create", "--name", "reader", "--scope", "enforcement:read,messages:read", "--expires", "2999-01-01T00:00:00Z"
    )
    alive = {made["key"]}
    assert KEY.fullmatch(made["key"])
    assert made["scopes"] in (["enforcement:read", "messages:read"], "enforcement:read messages:read")
    assert made["expires_at"] == "2999-01-01T00:00:00Z"
    opens(made["key"])
    shown = directory.json("key", "show", made["id"])
    assert "key" not in shown and shown["hint"] == made["key"][:12]
    assert [key["id"] for key in listed(directory, "key", "keys")] == [init[0]["id"], made["id"]]
    assert not [key for key in listed(directory, "key", "keys") if "key" in key]

    rotated = directory.json("key", "rotate", made["id"], "--overlap", "24h")
    alive.add(rotated["key"])
    assert (rotated["name"], rotated["scopes"]) == (made["name"], made["scopes"])
    opens(made["key"]), opens(rotated["key"])
    at_once = directory.json("key", "rotate", rotated["id"])
    alive = {made["key"], at_once["key"]}
    opens(made["key"]), opens(rotated["key"]), opens(at_once["key"])
    assert directory.json("key", "revoke", made["id"]) == {"id": made["id"], "revoked": True}
    assert directory.json("key", "revoke", at_once["id"]) == {"id": at_once["id"], "revoked": True}
    alive = set()
    opens(made["key"]), opens(at_once["key"])
    assert TIME.fullmatch(directory.json("key", "show", made["id"])["revoked_at"])
    assert "ended" in refused(directory.run("key", "rotate", made["id"], exit_code=1))

    given = "tc_live_" + "0123456789abcdef" * 3
    taken = directory.json("key", "create", "--name", "old", "--scope=enforcement:read", "--key-stdin", stdin=given)
    assert taken["key"] == given
    alive = {given}
    opens(given)
    create = ["key", "create", "--name", "k", "--scope"]
    assert refused(directory.run(*create, "everything", exit_code=1)).startswith('scopes: "everything" is unknown')
    assert refused(directory.run(*create, "admin", "--key-stdin", stdin="sk_1", exit_code=1)).startswith("key: ")
    over = directory.run(*create, "admin", "--expires", "2020-01-01T00:00:00Z", exit_code=1)
    assert refused(over).startswith("expires_at: ")
    assert refused(directory.run("key", "rotate", taken["id"], "--overlap", "soon", exit_code=1)).startswith("overlap: ")


def test_licenses(directory):
    [first] = listed_licenses(directory)
    made = directory.json("license", "issue", "--holder", "Acme", "--expires", "2999-01-01T00:00:00Z")
    assert made["license_key"].count(".") == 1
    assert [license["holder"] for license in listed_licenses(directory)] == [first["holder"], "Acme"]
    shown = directory.json("license", "show", made["id"])
    assert shown == {name: made[name] for name in shown} and "license_key" not in shown
    assert refused(directory.run("license", "show", USER, exit_code=1)) == "License not found"


def listed_licenses(directory):
    return directory.json("license", "list")["licenses"]


# ---------------------------------------------------------------------------------------------- record


def test_record_every_message(tmp_path):
    assert len(MAIL) == 101
    directory = Directory(tmp_path, ["authserv_ids=mx.google.com"])
    directory.run("mailbox", "create", "--address", "agent@acmecorp.com")
    record = ["record", "message", "--mailbox", "agent@acmecorp.com"]
    with directory.serving():
        first = [directory.json(*record, stdin=path.read_bytes()) for path in MAIL]
        assert len({entry["id"] for entry in first}) == 101
        for path, entry in zip(MAIL, first, strict=True):
            # The line that mbox puts in front is not of the message.
            raw = re.sub(rb"\AFrom [^\n]*\n", b"", path.read_bytes())
            assert entry["message_hash"] == hashlib.sha256(raw).hexdigest(), path
            assert entry["outcome"] == "delivered"
        again = [directory.json(*record, stdin=path.read_bytes()) for path in MAIL]
        assert again == first
    # The same in this process, and with nobody serving.
    assert directory.json(*record, stdin=MAIL[0].read_bytes()) == first[0]
    rows = directory.rows("export", "messages", "--mailbox", "agent@acmecorp.com")
    assert rows == sorted(first, key=lambda entry: entry["id"])
    assert is_whole(directory)


def test_record_with_an_outcome(directory):
    mailbox = directory.json("mailbox", "create", "--address", "agent@acmecorp.com")["id"]
    record = ["record", "message", "--mailbox", mailbox, "--outcome", "rejected_at_policy", "--reason", "spam"]
    entry = directory.json(*record, stdin=MAIL[0].read_bytes())
    assert (entry["outcome"], entry["reason"]) == ("rejected_at_policy", "spam")
    # Another outcome for the same message contradicts what is recorded.
    done = directory.run("record", "message", "--mailbox", mailbox, stdin=MAIL[0].read_bytes(), exit_code=1)
    assert "recorded already" in refused(done)


def test_record_sysexits(directory):
    directory.run("mailbox", "create", "--address", "agent@acmecorp.com")
    record = ["record", "message", "--sysexits", "--mailbox"]
    message = MAIL[0].read_bytes()
    directory.run(*record, "agent@acmecorp.com", stdin=message)
    assert refused(directory.run(*record, "agent@acmecorp.com", stdin=b"", exit_code=65), 65)
    # What is wrong with the command, and not with the message, sends nothing back.
    assert refused(directory.run(*record, "other@acmecorp.com", stdin=message, exit_code=75), 75)
    wrong = directory.run(*record, "agent@acmecorp.com", "--outcome", "lost", stdin=message, exit_code=75)
    assert refused(wrong, 75).startswith("outcome: ")
    # What somebody has to put right is worth another try: the mail server keeps the message meanwhile.
    nowhere = ["--data", directory.place / "nowhere"]
    assert refused(run(*nowhere, *record, "agent@acmecorp.com", stdin=message, exit_code=75), 75)
    unknown = directory.run("--set=nonsense=1", *record, "agent@acmecorp.com", stdin=message, exit_code=75)
    assert refused(unknown, 75) == '--set: there is no setting "nonsense"'


def test_record_sysexits_while_the_server_hangs_up(tmp_path):
    directory = Directory(tmp_path)
    directory.run("mailbox", "create", "--address", "agent@acmecorp.com")
    with directory.serving() as server:
        (directory.data / "mailtrail.sock").unlink()
        record = ["record", "message", "--sysexits", "--mailbox", "agent@acmecorp.com"]
        refused(directory.run(*record, stdin=MAIL[0].read_bytes(), exit_code=75), 75)
        refused(directory.run("stats", exit_code=2), 2)
        server.stop()
    directory.run(*record, stdin=MAIL[0].read_bytes())


# ---------------------------------------------------------------------------------------------- import, export

# What the server makes itself; the rest comes back as it went.
MADE_HERE = {
    "enforcement": {"id", "seq", "recorded_at", "recorded_by"},
    "messages": {"id", "mailbox_id", "message_hash", "policy_version", "recorded_at", "appended", "recorded_by", "text_problem"},
    "activity": {"id", "seq", "recorded_at", "project_id", "actor", "redacted", "recorded_by"},
}

HARD_TEXTS = ["=1+1", "'=1+1", "''@x", "'plain", "-5", "a,b", 'say "x"', "Grüße 👩‍💻", " padded ", "\u2028", "null", "5", "a;b\\n"]


def events():
    for n, text in enumerate(HARD_TEXTS):
        yield OWN_EVENT | {"message": text, "created_at": f"2025-04-20T14:30:0{n % 3}Z"}
    for n in range(1, 601):
        action = "blocked" if n % 2 else "unblocked"
        yield OWN_EVENT | {"action_taken": action, "sent_count": n, "created_at": f"2025-05-01T00:{n // 60:02}:00.000{n:03}Z"}


def messages():
    verdicts = itertools.cycle(["pass", "fail", "softfail", "neutral", "temperror", "permerror", "none", None])
    outcomes = itertools.cycle(["delivered", "rejected_at_policy", "rate_limited", "budget_exhausted"])
    reports = itertools.cycle([None, ["search"], {"a": [1, {"b": None}]}, "=text", "5", 5, -5, True, "say \"x\"", 1.5, []])
    for n, text in enumerate(HARD_TEXTS * 4):
        outcome = next(outcomes)
        yield {
            "message_id": f"m{n}",
            "thread_id": text,
            "sender_address": "ada@example.org",
            "recipient_address": None,
            "received_at": 1_700_000_000 - n // 2,
            "outcome": outcome,
            "reason": text,
            "verification_dkim": next(verdicts),
            "verification_spf": next(verdicts),
            "verification_dmarc": next(verdicts),
            "from_alignment": [True, False, None][n % 3],
            "body_hash": hashlib.sha256(text.encode()).hexdigest(),
            "capabilities_granted": {"capabilities": [text], "rule_index": n} if outcome == "delivered" else None,
            "tools_used": next(reports),
            "tokens_consumed": next(reports),
            "reply_sent": next(reports),
        }
    # Only what is required.
    yield {"message_id": "bare", "outcome": "delivered", "received_at": 1_700_000_001}


def activities():
    for n, text in enumerate(HARD_TEXTS):
        yield {
            "user_id": USER,
            "action": "smtp.update",
            "target_type": "project",
            "target_id": text,
            "metadata": {"text": text, "n": n, "list": [None, True, {"x": 1.5}]},
            "ip_address": "203.0.113.42" if n % 2 else "2001:db8::1",
            "user_agent": text,
            "created_at": f"2026-04-30T14:22:1{n % 2}Z",
        }
    yield {"user_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "action": "webhook.create", "created_at": "2026-04-30T14:22:11Z"}


LOGS = {"enforcement": events, "messages": messages, "activity": activities}


class Filled:
    """A directory with the owners that the rows name."""

    def __init__(self, place):
        self.directory = Directory(place)
        self.directory.run("tenant", "create", "--name", "Acme", "--id", TENANT)
        self.directory.run("mailbox", "create", "--address", "agent@acmecorp.com")
        self.directory.run("mailbox", "policy", "agent@acmecorp.com", "-", stdin=json.dumps(POLICY))
        self.project = self.directory.json("project", "create", "--name", "Newsletter")["id"]

    def import_(self, log, file, *more, exit_code=0):
        owner = {"messages": ["--mailbox", "agent@acmecorp.com"], "activity": ["--project", self.project]}
        return self.directory.run(
            "--json", "import", log, file, *owner.get(log, []), *more, exit_code=exit_code
        )

    def export(self, log, format, *more):
        owner = {
            "messages": ["--mailbox", "agent@acmecorp.com"],
            # What mailtrail noted itself is not a person's.
            "activity": ["--project", self.project, "--action", "smtp.update"],
        }
        return self.directory.run("export", log, "--format", format, *owner.get(log, []), *more).stdout


def without_made_here(log, format, text):
    if format == "ndjson":
        rows = ndjson(text)
    else:
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    return [{name: value for name, value in row.items() if name not in MADE_HERE[log]} for row in rows]


def tally(done):
    return json.loads(done.stdout)


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("format", ["ndjson", "csv"])
def test_round_trip(tmp_path, log, format):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = Filled(tmp_path / "one"), Filled(tmp_path / "two")
    rows = list(LOGS[log]())
    source = lines_to(tmp_path / "source.ndjson", rows)
    n = len(rows)
    assert tally(one.import_(log, source)) == {"read": n, "written": n, "already": 0, "refused": 0}

    exported = tmp_path / f"exported.{format}"
    text = one.export(log, format, "--output", exported)
    assert text == "" and mode(exported) == "600"
    text = exported.read_bytes().decode()
    n = len(without_made_here(log, format, text))
    assert tally(two.import_(log, exported)) == {"read": n, "written": n, "already": 0, "refused": 0}
    assert without_made_here(log, format, two.export(log, format)) == without_made_here(log, format, text)
    # The two formats say the same, whichever way the rows came.
    assert without_made_here(log, "ndjson", two.export(log, "ndjson")) == without_made_here(
        log, "ndjson", one.export(log, "ndjson")
    )
    # Again: nothing is added, whoever serves.
    with two.directory.serving():
        assert tally(two.import_(log, exported)) == {"read": n, "written": 0, "already": n, "refused": 0}
        assert two.export(log, format) == two.directory.run(
            *["export", log, "--format", format],
            *{"messages": ["--mailbox", "1"], "activity": ["--project", two.project, "--action", "smtp.update"]}.get(log, []),
        ).stdout
    assert without_made_here(log, format, two.export(log, format)) == without_made_here(log, format, text)
    for filled in (one, two):
        assert filled.directory.json("check")["ok"] is True
    # An export never takes the place of a file.
    again = ["export", log, "--output", exported, "--mailbox", "agent@acmecorp.com"]
    if log == "messages":
        assert refused(one.directory.run(*again, exit_code=1)) == f"{exported} exists already"


@pytest.mark.parametrize("log", LOGS)
def test_an_export_is_what_was_given(tmp_path, log):
    filled = Filled(tmp_path)
    rows = list(LOGS[log]())
    filled.import_(log, lines_to(tmp_path / "source", rows))
    exported = without_made_here(log, "ndjson", filled.export(log, "ndjson"))
    if log == "activity":
        rows = [row for row in rows if row["action"] == "smtp.update"]
    if log != "messages":
        rows.sort(key=lambda row: row["created_at"])
    for given, stored in zip(rows, exported, strict=True):
        expected = {name: value for name, value in given.items() if value is not None}
        assert {name: stored[name] for name in expected} == expected


@pytest.mark.parametrize("format", ["ndjson", "csv"])
def test_import_with_refused_lines(directory, format):
    directory.run("tenant", "create", "--name", "Acme", "--id", TENANT)
    file = directory.place / f"events.{format}"
    good = [OWN_EVENT | {"created_at": "2025-04-20T14:30:00Z", "sent_count": n} for n in range(1100)]
    bad = {3: {"action_taken": "paused"}, 700: {"tenant_id": USER}, 1098: {"sent_count": "many"}}
    rows = [row | bad.get(n, {}) for n, row in enumerate(good)]
    if format == "ndjson":
        lines = [json.dumps(row) for row in rows]
        lines[5] = "{not JSON"
        lines.insert(2, "")
        file.write_text("\n".join(lines) + "\n")
        refusals = [5, 7, 702, 1100]
    else:
        # A cell of two lines: the lines of the file are named, not the rows.
        rows[0]["message"] = "of\ntwo"
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, [*OWN_EVENT, "created_at", "message"])
        writer.writeheader()
        writer.writerows(rows)
        lines = out.getvalue().splitlines(keepends=True)
        # Of too few cells.
        lines[8] = "1,2\r\n"
        file.write_text("".join(lines), newline="")
        # The control character in the first row's message is refused too.
        refusals = [2, 6, 9, 703, 1101]
    done = directory.run("--json", "import", "enforcement", file, exit_code=1)
    n = len(refusals)
    assert json.loads(done.stdout) == {"read": 1100, "written": 1100 - n, "already": 0, "refused": n}
    named = [int(line) for line in re.findall(r"^line ([0-9]+): ", done.stderr.replace("\r", "\n"), re.MULTILINE)]
    assert sorted(named) == refusals
    told = json.loads(done.stderr.splitlines()[-1])
    assert told["error"] == f"{n} of 1100 rows were refused" and told["hint"]
    exported = directory.run("export", "enforcement").stdout
    assert len(exported.splitlines()) == 1100 - n

    again = directory.run("--json", "import", "enforcement", file, exit_code=1)
    assert json.loads(again.stdout) == {"read": 1100, "written": 0, "already": 1100 - n, "refused": n}
    assert directory.run("export", "enforcement").stdout == exported
    rest = directory.run("--json", "import", "enforcement", file, "--from-line", 1101 if format == "ndjson" else 1102)
    assert json.loads(rest.stdout) == {"read": 1, "written": 0, "already": 1, "refused": 0}


def test_import_refusals(directory):
    project = directory.json("project", "create", "--name", "Newsletter")["id"]
    file = directory.place / "file"
    file.write_text("")
    nothing = {"read": 0, "written": 0, "already": 0, "refused": 0}
    assert directory.json("import", "enforcement", file) == nothing
    assert directory.json("import", "enforcement", "-") == nothing
    assert refused(directory.run("import", "messages", file, exit_code=1)) == "the message log is a mailbox's"
    done = directory.run("import", "activity", file, exit_code=1)
    assert refused(done) == "activities are imported into a project"
    done = directory.run("import", "enforcement", directory.place / "nothing", exit_code=1)
    assert refused(done).startswith(f"cannot read {directory.place / 'nothing'}: ")
    # A directory can be opened and not read.
    done = directory.run("import", "enforcement", directory.place, exit_code=2)
    assert done.stderr.splitlines()[-1].startswith("hint: ")
    # What mailtrail noted itself has no person; an import wants one.
    entries = directory.run("--json", "query", "activity", "--project", project, "--action", "project.create").stdout
    done = directory.run("--json", "import", "activity", "-", "--project", project, stdin=entries, exit_code=1)
    assert json.loads(done.stdout) == {"read": 1, "written": 0, "already": 0, "refused": 1}
    assert "line 1: user_id: is required" in done.stderr


def test_import_stops_when_nobody_answers(tmp_path):
    directory = Directory(tmp_path)
    directory.run("tenant", "create", "--name", "Acme", "--id", TENANT)
    rows = [OWN_EVENT | {"sent_count": n} for n in range(1200)]
    file = lines_to(tmp_path / "events", rows)
    with directory.serving():
        importing = subprocess.Popen(
            [BINARY, "--data", directory.data, "--json", "import", "enforcement", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        text = file.read_text().splitlines(keepends=True)
        importing.stdin.write("".join(text[:510]).encode())
        importing.stdin.flush()
        # Into a pipe it says nothing before its end.
        while directory.json("stats")["workspaces"][0]["rows"]["enforcement"] < 500:
            assert importing.poll() is None
    # The server is gone; the next chunk finds nobody.
    out, rest = importing.communicate("".join(text[510:]).encode(), timeout=PATIENCE)
    assert (importing.returncode, out) == (2, b"")
    assert b"stopped; go on with --from-line 501\n" in rest and b"\r" not in rest
    assert json.loads(directory.run("--json", "import", "enforcement", file, "--from-line", 501).stdout) == {
        "read": 700,
        "written": 700,
        "already": 0,
        "refused": 0,
    }
    counts = [row["sent_count"] for row in directory.rows("export", "enforcement")]
    assert sorted(counts) == list(range(1200))


# ---------------------------------------------------------------------------------------------- query, tail, stats


def test_query(directory):
    directory.run("tenant", "create", "--name", "Acme", "--id", TENANT)
    directory.run("mailbox", "create", "--address", "agent@acmecorp.com")
    rows = [OWN_EVENT | {"sent_count": n, "created_at": f"2025-04-{n:02}T00:00:00Z"} for n in range(1, 31)]
    rows[4]["action_taken"] = "unblocked"
    directory.run("import", "enforcement", lines_to(directory.place / "events", rows))

    def counts(*arguments):
        return [row["sent_count"] for row in directory.rows("query", "enforcement", *arguments)]

    assert counts() == list(range(30, 0, -1))
    assert counts("--limit", 2) == [30, 29]
    assert counts("--order", "asc", "--limit", 2) == [1, 2]
    assert counts("--from", "2025-04-10T00:00:00Z", "--to", "2025-04-12T00:00:00+00:00") == [11, 10]
    assert counts("--action", "unblocked") == [5]
    assert counts("--address", "SALES@acmecorp.com", "--tenant", TENANT, "--limit", 1) == [30]
    assert counts("--address", "other@acmecorp.com") == []
    words = directory.run("query", "enforcement", "--action", "unblocked").stdout.splitlines()
    assert words[0].split() == ["TIME", "ACTION", "MAILBOX", "MESSAGE"]
    assert "2025-04-05T00:00:00Z" in words[1] and "Mailbox unblocked: sent 5, limit 25" in words[1]
    done = directory.run("query", "enforcement", "--tenant", USER, exit_code=1)
    assert refused(done) == "Tenant not found"
    for wrong, parameter in [
        (["--action", "paused"], "action"),
        (["--outcome", "delivered"], "--outcome is no filter of this log"),
        (["--order", "up"], "order"),
        (["--from", "someday"], "--from"),
    ]:
        assert refused(directory.run("query", "enforcement", *wrong, exit_code=1)).startswith(parameter)

    record = ["record", "message", "--mailbox", "agent@acmecorp.com"]
    entry = directory.json(*record, "--outcome", "rejected_at_policy", stdin=MAIL[0].read_bytes())
    for filters in (
        ["--message-id", entry["message_id"]],
        ["--outcome", "rejected_at_policy"],
        ["--sender", entry["sender_address"]],
        ["--recipient", entry["recipient_address"]],
        ["--thread", entry["thread_id"]],
    ):
        assert directory.rows("query", "messages", "--mailbox", "agent@acmecorp.com", *filters) == [entry]
    none = directory.rows("query", "messages", "--mailbox", "agent@acmecorp.com", "--outcome", "delivered")
    assert none == []
    created = directory.rows("query", "activity", "--action", "mailbox.create")
    assert [entry["metadata"]["address"] for entry in created] == ["agent@acmecorp.com"]


def test_stats(directory):
    directory.run("tenant", "create", "--name", "Acme", "--id", TENANT)
    directory.run("mailbox", "create", "--address", "agent@acmecorp.com")
    directory.run("import", "enforcement", lines_to(directory.place / "events", [OWN_EVENT] * 3))
    directory.run("record", "message", "--mailbox", "agent@acmecorp.com", stdin=MAIL[0].read_bytes())
    stats = directory.json("stats")
    [workspace] = stats["workspaces"]
    assert (workspace["name"], workspace["mailboxes"]) == ("Main", 1)
    activity = len(directory.rows("query", "activity", "--limit", 200))
    assert workspace["rows"] == {"enforcement": 3, "messages": 1, "activity": activity}
    assert stats["database"]["bytes"] > 0
    assert directory.run("stats").stdout.splitlines()[1].split() == ["Main", "1", "3", "1", str(activity)]


def test_tail(tmp_path):
    directory = Directory(tmp_path)
    directory.run("tenant", "create", "--name", "Acme", "--id", TENANT)
    done = directory.run("tail", "enforcement", exit_code=1)
    assert refused(done) == "nobody serves this directory, so nothing new can come"
    with directory.serving() as server:
        server.post("/v1/enforcement/events", directory.key, OWN_EVENT | {"sent_count": 1})
        tail = subprocess.Popen(
            [BINARY, "--data", directory.data, "--json", "tail", "enforcement", "-n", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        # Nothing says when it began to look: events come until it has shown some.
        shown = threading.Event()
        seen = []

        def read():
            for line in tail.stdout:
                seen.append(json.loads(line))
                shown.set()

        reader = threading.Thread(target=read)
        reader.start()
        posted = {}
        for n in range(2, 10_000):
            event = server.post("/v1/enforcement/events", directory.key, OWN_EVENT | {"sent_count": n}).json()
            posted[event["id"]] = event
            if shown.wait(0.1):
                break
        # More at once than a page holds.
        flood = {"events": [OWN_EVENT | {"sent_count": n} for n in range(1000)]}
        made = server.post("/v1/enforcement/events", directory.key, flood).json()["events"]
        posted.update((event["id"], event) for event in made)
        for _ in range(PATIENCE):
            shown.clear()
            if seen[-1] == made[-1]:
                break
            shown.wait(1)
        tail.terminate()
        tail.wait(PATIENCE)
        reader.join(PATIENCE)
        assert seen
        ids = [event["id"] for event in seen]
        # From its beginning on, each once, in the order of recording.
        order = [*posted]
        begin = order.index(ids[0])
        assert ids == order[begin:]
        assert seen == [posted[id] for id in ids]


def test_a_reader_that_goes_away(tmp_path):
    filled = Filled(tmp_path)
    rows = [OWN_EVENT | {"sent_count": n} for n in range(5000)]
    filled.import_("enforcement", lines_to(tmp_path / "events", rows))
    with filled.directory.serving():
        for data in (filled.directory.data,):
            script = '"$0" --data "$1" export enforcement | head -n 1; echo "${PIPESTATUS[0]}"'
            done = subprocess.run(
                ["bash", "-c", script, BINARY, data], capture_output=True, check=True, env=ENVIRONMENT
            )
            first, status = done.stdout.decode().splitlines()
            assert json.loads(first)["sent_count"] == 0
            assert status == "0" and done.stderr == b""


# ---------------------------------------------------------------------------------------------- retention


def test_retention(directory):
    directory.run("tenant", "create", "--name", "Acme", "--id", TENANT)
    held = directory.json("tenant", "create", "--name", "Held")["id"]
    directory.run("tenant", "hold", held)
    assert directory.json("retention", "show")["days"] == {"enforcement": None, "messages": None, "activity": None}
    old = [OWN_EVENT | {"created_at": f"2020-01-01T00:{n // 60:02}:{n % 60:02}Z"} for n in range(1500)]
    new = [OWN_EVENT, OWN_EVENT]
    kept = [OWN_EVENT | {"tenant_id": held, "created_at": "2020-01-01T00:00:00Z"}]
    directory.run("import", "enforcement", lines_to(directory.place / "events", old + new + kept))
    mailbox = directory.json("mailbox", "create", "--address", "agent@acmecorp.com")["id"]
    policy = POLICY | {"auditLog": {"retentionDays": 30}}
    entries = [
        {"message_id": "old", "outcome": "delivered", "received_at": 1_500_000_000},
        {"message_id": "new", "outcome": "delivered"},
    ]
    file = lines_to(directory.place / "entries", entries)
    directory.run("import", "messages", file, "--mailbox", mailbox)
    # For ever, unless somebody says otherwise.
    nothing = {"enforcement": 0, "messages": 0, "activity": 0}
    assert directory.json("retention", "run")["deleted"] == nothing

    directory.run("mailbox", "policy", mailbox, "-", stdin=json.dumps(policy))
    dry = directory.json("retention", "run", "--dry-run")
    assert (dry["dry_run"], dry["deleted"]) == (True, nothing | {"messages": 1})
    assert len(directory.rows("query", "messages", "--mailbox", mailbox)) == 2
    wet = directory.json("retention", "run")
    assert (wet["dry_run"], wet["deleted"]) == (False, nothing | {"messages": 1})
    assert [row["message_id"] for row in directory.rows("query", "messages", "--mailbox", mailbox)] == ["new"]
    if directory.server:
        return
    days = "--set=enforcement_retention_days=30"
    assert directory.json(days, "retention", "show")["days"]["enforcement"] == 30
    assert directory.json(days, "retention", "run", "--dry-run")["deleted"] == nothing | {"enforcement": 1500}
    assert directory.run(days, "retention", "run", "--dry-run").stdout.splitlines()[0] == "Would delete:"
    assert len(directory.run("export", "enforcement").stdout.splitlines()) == 1503
    assert directory.json(days, "retention", "run")["deleted"] == nothing | {"enforcement": 1500}
    rows = directory.rows("export", "enforcement")
    assert [row["tenant_id"] for row in rows] == [held, TENANT, TENANT]
    # Run and recorded: by whom, and what went.
    runs = directory.rows("query", "activity", "--action", "retention.run")
    assert [entry["actor"] for entry in runs] == [operator()] * len(runs) and runs
    assert is_whole(directory)


# ---------------------------------------------------------------------------------------------- backup, restore, check


def exports(directory):
    return [directory.run("export", "enforcement").stdout, directory.run("export", "activity").stdout]


def test_backup_and_restore(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one = Directory(tmp_path / "one")
    one.run("tenant", "create", "--name", "Acme", "--id", TENANT)
    first, second = tmp_path / "first.db", tmp_path / "second.db"
    with one.serving() as server:
        stop = threading.Event()

        def write():
            while not stop.is_set():
                server.post("/v1/enforcement/events", one.key, {"events": [OWN_EVENT] * 50})

        writing = in_threads(write)
        for n in range(5):
            made = one.json("backup", tmp_path / f"under-load-{n}.db")
            assert made == {"file": str(tmp_path / f"under-load-{n}.db"), "bytes": os.path.getsize(made["file"])}
        stop.set()
        join(*writing)
        for n in range(5):
            assert one.json("check", tmp_path / f"under-load-{n}.db")["ok"] is True
        made = one.json("backup", first)
        assert mode(first) == "600"
        at_first = [one.run("export", "enforcement").stdout]
        assert refused(one.run("backup", first, exit_code=1)) == f"{first} exists already"
        server.post("/v1/enforcement/events", one.key, {"events": [OWN_EVENT] * 10})
        at_second = exports(one)
        one.json("backup", second)
        live = one.run("restore", second, exit_code=1)
        assert refused(live) == f"{one.data} is being served; a live database is never replaced"
        relative = one.run("--json", "backup", "relative.db", cwd=tmp_path)
        assert json.loads(relative.stdout)["file"] == str(tmp_path / "relative.db")
    assert one.run("check", second).stdout.startswith("ok")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []

    # Never over a newer one.
    before = (one.data / "mailtrail.db").read_bytes()
    assert "is newer" in refused(one.run("restore", first, exit_code=1))
    assert "is newer" in refused(one.run("restore", "--dry-run", first, exit_code=1))
    assert (one.data / "mailtrail.db").read_bytes() == before

    # Into nothing: first shown, then done.
    data = tmp_path / "two/data"
    two = ["--data", data]
    dry = json.loads(run(*two, "--json", "restore", "--dry-run", first).stdout)
    assert not data.exists()
    assert (dry["dry_run"], dry["kept"], dry["to"]) == (True, None, str(data / "mailtrail.db"))
    assert dry["rows"]["enforcement"] == len(at_first[0].splitlines())
    done = json.loads(run(*two, "--json", "restore", first).stdout)
    assert done == dry | {"dry_run": False}
    assert mode(data) == "700" and mode(data / "mailtrail.db") == "600"
    def rows(path):
        with sqlite3.connect(path) as connection:
            tables = ("enforcement_events", "messages", "message_facts", "activity", "mailboxes")
            return {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables}

    restored, backed_up = rows(data / "mailtrail.db"), rows(first)
    # What the restoring itself did: the key of `init` ended, and that it was restored.
    added = restored["activity"][len(backed_up["activity"]) :]
    assert restored["activity"][: len(backed_up["activity"])] == backed_up["activity"] and len(added) == 2
    assert restored | {"activity": None} == backed_up | {"activity": None}
    [revoked] = done["revoked_keys"]
    assert (revoked["name"], done["ended_sessions"], done["kept_keys"]) == ("init", 0, False)
    assert [key["revoked_at"] is None for key in json.loads(run(*two, "--json", "key", "list").stdout)["keys"]] == [False]
    assert run(*two, "export", "enforcement").stdout == at_first[0]

    # Over an older one, which is kept.
    older = (data / "mailtrail.db").read_bytes()
    done = json.loads(run(*two, "--json", "restore", second).stdout)
    kept = data / os.path.basename(done["kept"])
    assert str(kept) == done["kept"] and kept.read_bytes() == older and mode(kept) == "600"
    assert run(*two, "check").stdout.startswith("ok")
    # The license key is not in the backup, and what is missing is said.
    assert "a backup holds no keys" in run("--data", tmp_path / "three", "restore", "--dry-run", second).stderr
    assert refused(run(*two, "export", "activity", exit_code=1)).startswith("license required for the audit log")
    shown = json.loads(run(*two, "--json", "license", "issue", "--holder", "Main").stdout)
    assert shown["installed"] is True
    assert run(*two, "export", "enforcement").stdout == at_second[0]
    assert run(*two, "export", "activity").stdout.startswith(at_second[1])


def test_restore_over_a_damaged_one(tmp_path):
    directory = Directory(tmp_path)
    backup = tmp_path / "backup.db"
    directory.run("backup", backup)
    database = directory.data / "mailtrail.db"
    database.write_bytes(b"\0" * 100_000)
    done = directory.run("restore", backup, exit_code=1)
    assert refused(done).startswith("the database that is there cannot be compared with the backup: ")
    assert database.read_bytes() == b"\0" * 100_000
    database.rename(tmp_path / "damaged.db")
    directory.run("restore", backup)
    assert directory.json("check")["ok"] is True


def test_restore_refuses(tmp_path):
    directory = Directory(tmp_path)
    junk = tmp_path / "junk"
    junk.write_bytes(b"junk" * 4096)
    for arguments in (["restore"], ["restore", "--dry-run"], ["check"]):
        assert refused(directory.run(*arguments, tmp_path / "nothing", exit_code=1)) == f"{tmp_path / 'nothing'} is not a file"
        assert "cannot be read as a database" in refused(directory.run(*arguments, junk, exit_code=1))
    directory.run("backup", tmp_path / "good.db")
    damaged = bytearray((tmp_path / "good.db").read_bytes())
    for page in range(8, 24):
        damaged[page * 4096 : page * 4096 + 64] = bytes(64)
    (tmp_path / "damaged.db").write_bytes(damaged)
    done = run("--data", tmp_path / "fresh", "restore", tmp_path / "damaged.db", exit_code=3)
    assert "is damaged" in refused(done, 3)
    assert not (tmp_path / "fresh").exists()
    # Another program's database.
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE t (a)")
    refused(run("--data", tmp_path / "fresh", "restore", tmp_path / "other.db", exit_code=1))
    for arguments in (["check", tmp_path / "damaged.db"], ["--json", "check", tmp_path / "damaged.db"]):
        assert "not as it should be" in run(*arguments, exit_code=3).stderr


DAMAGES = {
    "a row deleted": (
        "DELETE FROM enforcement_events WHERE seq = (SELECT max(seq) FROM enforcement_events)",
        {"stored": 3, "counted": 2},
    ),
    "a row added": (
        """INSERT INTO enforcement_events SELECT seq + 1000, id, workspace, tenant, mailbox_address, action, sent_count,
               limit_value, message, created_at, recorded_at, salt, recorded_by FROM enforcement_events LIMIT 1""",
        {"stored": 3, "counted": 4},
    ),
    "a row moved": ("UPDATE enforcement_events SET created_at = created_at + 864000000000 WHERE sent_count = 1", None),
    "a count changed": ("UPDATE counts SET n = n + 1 WHERE log = 1 AND width = 0", {"stored": 4, "counted": 3}),
}


# Those in which what was recorded itself is not as it was.
DAMAGED_ROWS = {
    "a row deleted": r"unexplained gap at seq \d+",
    "a row added": r"row 1\d\d\d of enforcement has no leaf",
    "a row moved": r"row \d+ of enforcement does not match its leaf",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_check_finds(tmp_path, damage):
    directory = Directory(tmp_path)
    directory.run("tenant", "create", "--name", "Acme", "--id", TENANT)
    rows = [OWN_EVENT | {"sent_count": n, "created_at": "2025-04-20T14:30:00Z"} for n in range(3)]
    directory.run("import", "enforcement", lines_to(tmp_path / "events", rows))
    copy = tmp_path / "copy.db"
    directory.run("backup", copy)
    assert directory.json("check", copy) == {"ok": True, "problems": [], "miscounts": []}
    statement, numbers = DAMAGES[damage]
    with sqlite3.connect(copy) as connection:
        # As it is, the database does not let go of a row.
        if "enforcement_events SET" in statement or "DELETE" in statement:
            with pytest.raises(sqlite3.IntegrityError, match="append-only|retention only"):
                connection.execute(statement)
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement)
        for _, trigger in triggers:
            connection.execute(trigger)
    connection.close()
    done = directory.run("--json", "check", copy, exit_code=3)
    found = json.loads(done.stdout)
    assert found["ok"] is False
    assert re.fullmatch(DAMAGED_ROWS.get(damage, ""), "".join(found["problems"])), found["problems"]
    # `verify` says the same of the rows, and nothing of counts.
    if damage in DAMAGED_ROWS:
        proven = directory.run("--json", "verify", copy, exit_code=3)
        assert json.loads(proven.stdout)["findings"] == found["problems"]
        assert json.loads(proven.stderr)["error"] == "the database is not what was recorded"
    else:
        assert directory.json("verify", copy)["findings"] == []
    assert {miscount["log"] for miscount in found["miscounts"]} == {"enforcement"}
    if numbers:
        assert numbers.items() <= found["miscounts"][0].items()
    told = json.loads(done.stderr)
    assert told["error"] == "the database is not as it should be" and told["hint"]
    assert directory.run("check", copy, exit_code=3).stdout != ""

    # In place of the directory's own, with a server and without.
    shutil.copy(copy, directory.data / "mailtrail.db")
    def damaged():
        there = directory.json("check", exit_code=3)
        assert (there["ok"], there["problems"], there["repaired"]) == (False, found["problems"], 0)
        return there["miscounts"]

    assert damaged() == found["miscounts"]
    with directory.serving():
        assert damaged() == found["miscounts"]
        # Counts can be put right; what was recorded cannot.
        code = 3 if damage in DAMAGED_ROWS else 0
        repaired = directory.json("check", "--repair", exit_code=code)
        assert (repaired["miscounts"], repaired["repaired"]) == (found["miscounts"], len(found["miscounts"]))
        after = directory.json("check", exit_code=code)
        assert (after["problems"], after["miscounts"]) == (found["problems"], [])


# ---------------------------------------------------------------------------------------------- checkpoints


def test_old_checkpoints_are_held_against_the_log(tmp_path):
    directory = Directory(tmp_path)
    pins = tmp_path / "pins"
    with directory.serving():
        for name in ("Acme", "Beta", "Gamma"):
            directory.run("tenant", "create", "--name", name)
            with pins.open("a") as file:
                file.write(directory.run("checkpoint").stdout)
        assert directory.run("verify", "--pin", pins).stdout.endswith("it begins with each of 3 old checkpoints\n")
    assert directory.json("verify", "--pin", pins)["ok"] is True
    copy = tmp_path / "copy.db"
    directory.run("backup", copy)
    assert directory.json("verify", "--pin", pins, copy)["ok"] is True

    # Somebody else's, one that was touched, one of entries that are not there any more.
    notes = re.findall(r"[^—]*— [^\n]*\n", pins.read_text())
    assert len(notes) == 3
    other = Directory(tmp_path / "other")
    strange = other.run("checkpoint").stdout
    size = notes[1].split("\n")[1]
    touched = notes[1].replace(f"\n{size}\n", f"\n{int(size) - 1}\n", 1)
    for note, finding in (
        (strange, r"it is of another log, \S+"),
        (touched, "its signature is not that of this log"),
    ):
        pins.write_text(notes[0] + note)
        found = json.loads(directory.run("--json", "verify", "--pin", pins, exit_code=3).stdout)
        assert re.fullmatch(f"checkpoint 2: {finding}", found["findings"][0]), found
    directory.run("tenant", "create", "--name", "Delta")
    pins.write_text(directory.run("checkpoint").stdout)
    found = json.loads(directory.run("--json", "verify", "--pin", pins, copy, exit_code=3).stdout)
    assert re.fullmatch(r"checkpoint 1: \d+ entries were signed for, and there are \d+", found["findings"][0]), found
    for text in ("", "nothing\n", notes[0][:-10]):
        pins.write_text(text)
        refused(directory.run("verify", "--pin", pins, exit_code=1), 1)


def test_openssl_verifies_a_checkpoint(tmp_path):
    directory = Directory(tmp_path)
    told = directory.json("checkpoint")
    name, key_id, key = told["verifier"].split("+", 2)
    text, _, signature = told["checkpoint"].partition("\n\n")
    text += "\n"
    assert text.split("\n")[0] == name
    signed = base64.b64decode(signature.split(" ")[2])
    key = base64.b64decode(key)
    # C2SP signed-note: the id, and Ed25519 as the kind of key.
    assert signed[:4].hex() == key_id == hashlib.sha256(name.encode() + b"\n" + key).hexdigest()[:8]
    assert key[0] == 1
    (tmp_path / "text").write_text(text)
    (tmp_path / "signature").write_bytes(signed[4:])
    # SubjectPublicKeyInfo of an Ed25519 key (RFC 8410 section 4).
    (tmp_path / "key.der").write_bytes(bytes.fromhex("302a300506032b6570032100") + key[1:])
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", tmp_path / "key.der", "-keyform", "DER", "-rawin"]
    command += ["-in", tmp_path / "text", "-sigfile", tmp_path / "signature"]
    assert subprocess.run(command, capture_output=True, text=True).stdout.startswith("Signature Verified Successfully")
    (tmp_path / "text").write_text(text.replace("\n", " ", 1))
    assert subprocess.run(command, capture_output=True, text=True).returncode != 0


def test_a_database_put_in_place_by_hand_is_not_served(tmp_path):
    directory = Directory(tmp_path)
    copy = tmp_path / "copy.db"
    directory.run("backup", copy)
    directory.run("tenant", "create", "--name", "Later")
    directory.run("checkpoint")
    for name in ("mailtrail.db-wal", "mailtrail.db-shm"):
        (directory.data / name).unlink(missing_ok=True)
    (directory.data / "mailtrail.db").unlink()
    shutil.copy(copy, directory.data / "mailtrail.db")
    (directory.data / "mailtrail.db").chmod(0o600)
    assert "the database was rolled back" in refused(directory.run("serve", "--listen", "127.0.0.1:0", exit_code=78), 78)
    assert "the database was rolled back" in refused(directory.run("stats", exit_code=1), 1)
    # With the ceremony it is, and the log says so.
    (directory.data / "mailtrail.db").unlink()
    directory.run("restore", copy)
    assert directory.json("verify")["ok"] is True
    assert directory.json("checkpoint")["checkpoint"].split("\n")[0].endswith("/2")
    assert (directory.data / "checkpoint.1").exists()


# ---------------------------------------------------------------------------------------------- config


def refused_config(done):
    """It lists the settings all the same, and marks what cannot be."""
    assert "listen" in done.stdout or "KEY=VALUE" in done.stderr
    done.stdout = ""
    return refused(done)


def settings(*arguments, env=None):
    return json.loads(run("--json", *arguments, "config", env=env).stdout)


def test_config_precedence(tmp_path):
    file = tmp_path / "mailtrail.toml"
    file.write_text('log = "error"\nretention_days = 90\nauthserv_ids = ["a.example", "b.example"]\n')
    value = tmp_path / "value"
    value.write_text("warn\n")
    layers = [
        ([], {}, "info", "default"),
        (["--config", file], {}, "error", f"file {file}"),
        (["--config", file], {"MAILTRAIL_LOG_FILE": str(value)}, "warn", f"file {value}, named by MAILTRAIL_LOG_FILE"),
        (
            ["--config", file],
            {"MAILTRAIL_LOG_FILE": str(value), "MAILTRAIL_LOG": "debug"},
            "debug",
            "environment MAILTRAIL_LOG",
        ),
        (
            ["--config", file, "--set", "log=info"],
            {"MAILTRAIL_LOG_FILE": str(value), "MAILTRAIL_LOG": "debug"},
            "info",
            "flag",
        ),
    ]
    for arguments, env, expected, origin in layers:
        assert settings(*arguments, env=env)["log"] == {"value": expected, "origin": origin}
    shown = settings(env={"MAILTRAIL_CONFIG": str(file)})
    assert shown["retention_days"] == {"value": "90", "origin": f"file {file}"}
    assert shown["authserv_ids"]["value"] == "a.example,b.example"
    assert shown["listen"] == {"value": "127.0.0.1:7465", "origin": "default"}
    # The flag of its own is a flag too; of two the later counts.
    assert settings("--data", "x")["data"] == {"value": "x", "origin": "flag"}
    assert settings("--set=log=warn", "--set=log=error")["log"]["value"] == "error"
    both = json.loads(run("--json", "--set=log=warn", "config", "--set", "max_handlers=7", "--set=log=error").stdout)
    assert (both["log"]["value"], both["max_handlers"]["value"]) == ("error", "7"), "on either side of the command"
    words = run("--config", file, "config").stdout
    assert re.search(rf"^log +error +file {re.escape(str(file))}$", words, re.MULTILINE)


@pytest.mark.parametrize("name", ["SENDDOCK_LICENSE_KEY", "MAILTRAIL_LICENSE_KEY"])
def test_config_hides_secrets(tmp_path, name):
    file = tmp_path / "license"
    file.write_text("very-secret")
    shown = {"value": "(set)", "origin": f"environment {name}"}
    named = {"value": "(set)", "origin": f"file {file}, named by {name}_FILE"}
    for env, expected in [({name: "very-secret"}, shown), ({f"{name}_FILE": str(file)}, named)]:
        for arguments in (["--json", "config"], ["config"]):
            assert "very-secret" not in run(*arguments, env=env).stdout
        assert settings(env=env)["license_key"] == expected


def test_config_takes_systemd_credentials(tmp_path):
    """`LoadCredential=mailtrail.license_key`: the environment beats it, the file does not."""
    credential, file = tmp_path / "mailtrail.license_key", tmp_path / "mailtrail.toml"
    file.write_text('license_key = "in the file"\nlog = "warn"')
    arguments, env = ["--config", file], {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    in_file = {"value": "(set)", "origin": f"file {file}"}
    assert settings(*arguments, env=env)["license_key"] == in_file
    credential.write_text("very-secret\n")
    shown = settings(*arguments, env=env)
    assert shown["license_key"] == {"value": "(set)", "origin": f"credential {credential}"}
    assert shown["log"] == {"value": "warn", "origin": f"file {file}"}
    shown = settings(*arguments, env={**env, "SENDDOCK_LICENSE_KEY": "other"})
    assert shown["license_key"]["origin"] == "environment SENDDOCK_LICENSE_KEY"
    credential.unlink()
    credential.mkdir()
    message = f"cannot read the credential {credential}: "
    assert refused_config(run(*arguments, "config", env=env, exit_code=1)).startswith(message)


@pytest.mark.parametrize(
    ("arguments", "file", "env", "message"),
    [
        (["--set", "retention_day=5"], "", {}, '--set: there is no setting "retention_day"'),
        (["--set", "retention_days"], "", {}, '--set "retention_days" is not KEY=VALUE'),
        ([], "retention_day = 5", {}, 'FILE: there is no setting "retention_day"'),
        ([], "log = ", {}, "FILE is not TOML"),
        ([], "log = 1.5", {}, 'log: "1.5" is not acceptable; accepted: text, a whole number or a list of texts'),
        ([], 'log = "loud"', {}, 'log: "loud" is not acceptable; accepted: error, warn, info or debug'),
        ([], "", {"MAILTRAIL_RETENTION_DAYS": "0"}, 'retention_days: "0" is not acceptable; accepted: 1 to 36500, or forever'),
        ([], "", {"MAILTRAIL_LOG_FILE": "/nothing"}, "MAILTRAIL_LOG_FILE: cannot read /nothing"),
        (["--config", "/nothing"], None, {}, "cannot read /nothing"),
    ],
)
def test_config_refused(tmp_path, arguments, file, env, message):
    if file is not None:
        (tmp_path / "file").write_text(file)
        arguments = ["--config", tmp_path / "file", *arguments]
    message = message.replace("FILE:", f"{tmp_path / 'file'}:").replace("FILE is", f"{tmp_path / 'file'} is")
    if env.get("MAILTRAIL_LOG_FILE"):
        message = "MAILTRAIL_LOG_FILE: cannot read /nothing"
    assert refused_config(run(*arguments, "config", env=env, exit_code=1)).startswith(message)
    if "KEY=VALUE" not in message:
        data = ["--data", tmp_path / "data"]
        assert refused(run(*data, *arguments, "serve", env=env, exit_code=78), 78).startswith(message)


def test_sample_configuration(tmp_path):
    """packaging/mailtrail.toml names every setting; with its comments off it says what is so anyway."""
    sample = (REPOSITORY / "packaging/mailtrail.toml").read_text()
    plain = re.sub(r"^#(?=[a-z_]+ = )", "", sample, flags=re.MULTILINE)
    names = re.findall(r"^([a-z_]+) = ", plain, re.MULTILINE)
    assert re.findall(r"^([a-z_]+) = ", sample, re.MULTILINE) == []
    file = tmp_path / "mailtrail.toml"
    file.write_text(sample)
    default = settings()
    assert names == [*default]
    assert settings("--config", file) == default
    file.write_text(plain)
    shown = settings("--config", file)
    assert {key: setting["origin"] for key, setting in shown.items()} == {key: f"file {file}" for key in default}
    assert {key: setting["value"] for key, setting in shown.items()} == {
        key: setting["value"] for key, setting in default.items()
    }


# ---------------------------------------------------------------------------------------------- usage


@pytest.mark.parametrize(
    "arguments",
    [[], ["nonsense"], ["tenant"], ["tenant", "create"], ["query", "mail"], ["--nonsense", "stats"], ["key", "create", "--name=x"]],
)
def test_wrong_usage(arguments):
    done = run(*arguments, exit_code=1)
    assert done.stdout == ""
    assert re.fullmatch(r"hint: `mailtrail [a-z ]*--help` .*", done.stderr.splitlines()[-1])


def test_help_and_version():
    assert re.fullmatch(r"mailtrail [0-9]+\.[0-9]+\.[0-9]+\n", run("--version").stdout)
    assert "Usage: mailtrail" in run("--help").stdout
    assert run("help", "serve").stderr == ""


@pytest.mark.parametrize(
    "command",
    [
        ["stats"],
        ["check"],
        ["tenant", "list"],
        ["query", "enforcement"],
        ["export", "enforcement"],
        ["retention", "run"],
        ["backup", "x.db"],
        ["tail", "enforcement"],
    ],
)
def test_no_directory(tmp_path, command):
    done = run("--data", tmp_path / "nothing", *command, exit_code=1)
    assert refused(done) == f"there is no mailtrail database in {tmp_path / 'nothing'}"
    assert not (tmp_path / "nothing").exists()


# ---------------------------------------------------------------------------------------------- kill -9


class Writer:
    """One of 64 clients: writes on, keeps what was acknowledged, and tries again what was not."""

    def __init__(self, number, key):
        self.number, self.key = number, key
        self.n = 0
        self.acknowledged = {}
        self.pending = None

    def write_until_cut(self, url, acknowledgements):
        host, port = url.removeprefix("http://").split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        try:
            while True:
                if self.pending is None:
                    self.n += 1
                    self.pending = f"writer{self.number}.{self.n}@example.org"
                body = json.dumps(OWN_EVENT | {"mailbox_address": self.pending})
                headers = {
                    "Authorization": f"Bearer {self.key}",
                    "Content-Type": "application/json",
                    "Idempotency-Key": self.pending,
                }
                connection.request("POST", "/v1/enforcement/events", body, headers)
                answer = connection.getresponse()
                text = answer.read()
                assert answer.status == 201, text
                event = json.loads(text)
                assert event["mailbox_address"] == self.pending
                self.acknowledged[self.pending] = event["id"]
                self.pending = None
                acknowledgements.release()
        except (OSError, http.client.HTTPException):
            # Cut off: what was sent last may be recorded, or not.
            return
        finally:
            connection.close()


def test_kill_loses_nothing_that_was_answered(tmp_path):
    directory = Directory(tmp_path)
    directory.run("tenant", "create", "--name", "Acme", "--id", TENANT)
    writers = [Writer(number, directory.key) for number in range(64)]
    for _ in range(5):
        with directory.serving() as server:
            acknowledgements = threading.Semaphore(0)
            threads, failures = in_threads(
                *(lambda writer=writer: writer.write_until_cut(server.url, acknowledgements) for writer in writers)
            )
            for _ in range(random.randrange(200, 800)):
                assert acknowledgements.acquire(timeout=PATIENCE), failures
            server.kill()
            join(threads, failures)
        # What the next start finds, before anybody tries again.
        found = {event["mailbox_address"]: event["id"] for event in directory.rows("export", "enforcement")}
        for writer in writers:
            assert writer.acknowledged.items() <= found.items()
    with directory.serving() as server:
        for writer in writers:
            if writer.pending:
                event = OWN_EVENT | {"mailbox_address": writer.pending}
                headers = {"Idempotency-Key": writer.pending}
                body = json.dumps(event)
                headers["Content-Type"] = "application/json"
                answer = server.request("POST", "/v1/enforcement/events", writer.key, content=body, headers=headers)
                writer.acknowledged[writer.pending] = answer.json()["id"]
    events = directory.rows("export", "enforcement")
    counted = collections.Counter(event["mailbox_address"] for event in events)
    assert set(counted.values()) == {1}
    expected = {address: id for writer in writers for address, id in writer.acknowledged.items()}
    assert {event["mailbox_address"]: event["id"] for event in events} == expected
    assert is_whole(directory)
    assert directory.json("stats")["workspaces"][0]["rows"]["enforcement"] == len(expected)
