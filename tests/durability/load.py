"""A served mailtrail, and clients that record marked rows and note what was acknowledged. Standard library only.

The binary is what MAILTRAIL_BINARY names, else target/release/mailtrail of this repository.
"""

import http.client
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import threading
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or "target")
BINARY = os.environ.get("MAILTRAIL_BINARY") or str(REPOSITORY / TARGET / "release/mailtrail")
USER = "0190b3c8-5e4a-7cc1-8a1d-2f6f0c9b7e11"
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("MAILTRAIL_")}

# What ends so is kept and looked for; the rest is old and for retention to take.
MARK = "@kept.example"


def run(data, *arguments):
    """A command's answer; a failure says what it said."""
    command = [BINARY, "--data", str(data), "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=120)
    if done.returncode not in (0, 3):
        raise RuntimeError(f"{arguments}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


class Owners:
    """Of a new data directory."""

    def __init__(self, data):
        made = run(data, "init", "--email", "ada@example.org")
        self.key = made["api_key"]
        self.tenant = run(data, "tenant", "create", "--name", "Acme")["id"]
        self.mailbox = run(data, "mailbox", "create", "--address", "sales@a.example")["id"]
        self.project = run(data, "project", "create", "--name", "Newsletter")["id"]

    def write(self, log, marks, old=False, text=""):
        """(path, body) of a write of these marks into one of the three logs; one mark is a single write."""
        at = time.time() - 40 * 86400 if old else time.time()
        written = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
        if log == 0:
            path, word = "/v1/enforcement/events", "events"
            event = {"tenant_id": self.tenant, "action_taken": "blocked", "sent_count": 26, "limit_value": 25}
            items = [event | {"mailbox_address": mark, "created_at": written, "message": text or "m"} for mark in marks]
        elif log == 1:
            path, word = f"/v1/mailboxes/{self.mailbox}/audit-logs", "items"
            items = [{"message_id": mark, "outcome": "delivered", "received_at": int(at)} for mark in marks]
        else:
            path, word = f"/api/v1/projects/{self.project}/audit-log", "entries"
            entry = {"user_id": USER, "action": "smtp.update", "created_at": written, "metadata": {"text": text}}
            items = [entry | {"target_id": mark} for mark in marks]
        return path, json.dumps(items[0] if len(items) == 1 else {word: items})


class Server:
    """`wrapper` goes before the binary's name, as of strace; `read_url` waits for it to serve."""

    def __init__(self, data, env=None, wrapper=(), settings=()):
        settings = ("log=error", "retention_days=30", "activity_retention_days=30", *settings)
        arguments = [argument for setting in settings for argument in ("--set", setting)]
        command = [*wrapper, BINARY, "--data", str(data), "serve", "--listen", "127.0.0.1:0", *arguments]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT | (env or {})
        )
        self.url = self.process.stdout.readline().strip()

    @property
    def address(self):
        return self.url.removeprefix("http://")

    def stop(self, how=signal.SIGTERM, pid=None):
        """Its exit code and what it said; `pid` where the process is not the one that was started."""
        if self.process.poll() is None:
            os.kill(pid or self.process.pid, how)
        return self.wait()

    def wait(self, timeout=60):
        _, said = self.process.communicate(timeout=timeout)
        return self.process.returncode, said


class Client:
    """One connection; `send` gives the status, or None when there was no answer."""

    def __init__(self, owners, address, timeout=30):
        self.owners = owners
        self.connection = http.client.HTTPConnection(address, timeout=timeout)

    def send(self, path, body="", key=None, method="POST"):
        headers = {"Authorization": f"Bearer {self.owners.key}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        try:
            self.connection.request(method, path, body, headers)
            answer = self.connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            self.connection.close()
            return None


def clients(owners, address, run_of, count, note, seconds, old=True):
    """`count` clients that write for a while, single rows and batches, with and without idempotency keys, into each
    log in turn; one more writes old rows and deletes them. `note(marks)` is called for each that was acknowledged."""
    until = time.monotonic() + seconds

    def write(client_number):
        client = Client(owners, address)
        n = 0
        while time.monotonic() < until:
            n_rows = (1, 1, 4, 1, 1, 30)[n % 6]
            marks = [f"{run_of}c{client_number}n{n}i{at}of{n_rows}{MARK}" for at in range(n_rows)]
            path, body = owners.write((n + client_number) % 3, marks, text="x" * (n * 37 % 400))
            status = client.send(path, body, key=marks[0] if n % 2 else None)
            if status is None:
                return
            if 200 <= status < 300:
                note(marks)
            n += 1
            if n % 25 == 0:
                # Nobody waits: the writer moves some of the WAL.
                time.sleep(0.05)

    def clean():
        client = Client(owners, address)
        n = 0
        while time.monotonic() < until:
            for log in range(3):
                client.send(*owners.write(log, [f"{run_of}old{n}i{at}@gone.example" for at in range(40)], old=True))
            if client.send("/api/v1/admin/retention/run") is None:
                return
            n += 1
            time.sleep(0.1)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(count)]
    if old:
        threads.append(threading.Thread(target=clean))
    for thread in threads:
        thread.start()
    return threads


def integrity(database):
    """What `check` says but for the counts, by the SQLite that Python has."""
    connection = sqlite3.connect(database)
    try:
        # An older one reads some of the checks otherwise.
        connection.execute("PRAGMA ignore_check_constraints = ON")
        problems = [row[0] for row in connection.execute("PRAGMA integrity_check(5)") if row[0] != "ok"]
        problems += [str(row) for row in connection.execute("PRAGMA foreign_key_check")]
        return {"ok": not problems, "problems": problems}
    finally:
        connection.close()


def recorded(database):
    """Every mark that is there, as often as it is there."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    queries = (
        "SELECT mailbox_address FROM enforcement_events",
        "SELECT message_id FROM messages",
        "SELECT target_id FROM activity WHERE typeof(target_id) = 'text'",
    )
    try:
        return [mark for query in queries for (mark,) in connection.execute(query) if mark.endswith(MARK)]
    finally:
        connection.close()
