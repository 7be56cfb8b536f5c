"""mailtrail itself, as `cargo build --release` makes it and with its default settings."""

import json
import time

import harness
from harness import Connection, request

from . import PAGE, Peer

PASSWORD = "benchmarks only, on loopback"
#: Rows that are taken from the generator at once, then posted project by project.
CHUNK = 20_000


class Mailtrail(Peer):
    name = "mailtrail"
    note = "default settings: WAL, synchronous=FULL; reads with a session and a license, writes with a key"
    own_rows = 1

    def prepare(self):
        self.binary = harness.cargo() / "mailtrail"
        self.work.mkdir(parents=True, exist_ok=True)
        self.directory = self.work / "data"
        self.process = None
        self.settings = []

    def command(self, *arguments, **options):
        printed = harness.run([self.binary, "--data", self.directory, "--json", *arguments], **options)
        return json.loads(printed) if printed.strip() else None

    def build(self):
        made = self.command("init", "--email", "ada@example.org", "--workspace", "Bench", "--password-stdin",
                            input=PASSWORD.encode())
        self.key = made["api_key"]
        self.serve()
        names = [f"project {number}" for number in range(10)] + ["scratch"]
        self.projects = [self.command("project", "create", "--name", name)["id"] for name in names]
        self.login()
        self.load_rate = self.load()
        self.stop()

    def serve(self):
        self.port = harness.free_port()
        arguments = [self.binary, "--data", self.directory, "serve", "--listen", f"127.0.0.1:{self.port}"]
        for setting in self.settings:
            arguments += ["--set", setting]
        self.process = harness.Process(arguments, self.work / "log")
        harness.connect_when_up(self.port, request("GET", "/healthz"), self.process).close()

    def login(self):
        body = json.dumps({"email": "ada@example.org", "password": PASSWORD}).encode()
        connection = Connection(self.port)
        status, head, _ = connection.ask(request("POST", "/api/v1/auth/login", body))
        connection.close()
        if status != 200:
            raise RuntimeError(f"login: {status}")
        fields = head.decode().split("\r\n")
        self.cookie = next(field.split(": ", 1)[1].split(";")[0] for field in fields
                           if field.lower().startswith("set-cookie:"))

    def load(self):
        """Posts every row in NDJSON of some thousand lines; returns rows a second."""
        connection = Connection(self.port)
        started, n_rows = time.perf_counter(), 0
        for chunk in self.rows.chunks(CHUNK):
            lines = {}
            for line in chunk:
                project, _, row = line.partition(b"\t")
                lines.setdefault(int(project), []).append(row)
            for project, posted in lines.items():
                n_rows += len(posted)
                connection.good(request("POST", self.path(project), b"".join(posted), self.headers(True)))
        connection.close()
        return n_rows / (time.perf_counter() - started)

    def path(self, project):
        return f"/api/v1/projects/{self.projects[project]}/audit-log"

    def headers(self, is_many):
        kind = "application/x-ndjson" if is_many else "application/json"
        return [f"Authorization: Bearer {self.key}", f"Content-Type: {kind}"]

    def start(self):
        self.serve()
        connection = Connection(self.port)
        connection.good(self.read())
        connection.close()

    def stop(self):
        if self.process:
            self.process.stop()
            self.process = None

    def pids(self):
        return [self.process.child.pid]

    def data(self):
        return [path for path in self.directory.glob("mailtrail.db*")]

    def read(self, offset=0, action=None, user_id=None, start=None, end=None):
        asked = f"?limit={PAGE}" + (f"&offset={offset}" if offset else "")
        for name, value in (("action", action), ("user_id", user_id), ("from", start), ("to", end)):
            asked += f"&{name}={value}" if value else ""
        return request("GET", self.path(0) + asked, headers=[f"Cookie: {self.cookie}"])

    def posts(self, size):
        rows = [b"".join(json_line(row) for row in batch) for batch in self.rows.samples(size)]
        return self.path(10), self.headers(size > 1), rows

    def can_delete(self):
        return True

    def before_delete(self, days):
        """The setting is read at the start, and the first run of the scheduler comes at once: the projects are on
        hold until the deletion that is measured."""
        for project in self.projects:
            self.command("project", "hold", project)
        self.stop()
        self.settings = [f"activity_retention_days={days}"]
        self.start()
        time.sleep(3)
        for project in self.projects:
            self.command("project", "release", project)

    def delete(self, days):
        return self.command("retention", "run")["deleted"]["activity"]


class MailtrailFilled(Mailtrail):
    """Its rows come through SQLite, with their counts: for sizes that would take hours over HTTP."""

    def load(self):
        self.stop()
        filled = harness.run([self.rows.binary, "fill", "--file", self.directory / "mailtrail.db",
                              "--count", str(self.rows.count), "--end", str(self.rows.end)])
        harness.say(f"filled: {filled.strip()}")
        self.serve()
        return json.loads(filled)["rows_per_second"]


def json_line(row):
    return json.dumps(row, separators=(",", ":")).encode() + b"\n"
