"""The incumbent: Node 20, Fastify and PostgreSQL 15 with SendDock's table and its two indexes (`node-pg/`)."""

import glob
import json
import os
import pwd
import shutil
import time

import harness
from harness import Connection, Missing, request

from . import PAGE, Peer

SOURCES = harness.HERE / "peers" / "node-pg"
COLUMNS = "project_id, user_id, action, target_type, target_id, metadata, ip_address, user_agent, created_at"
SCRATCH = "00000000-0000-4000-8000-00000000000a"


def project(number):
    return f"00000000-0000-4000-8000-{number:012x}"


def find_postgres():
    """The directory of PostgreSQL's programs: Debian keeps them out of the path."""
    for attempt in range(2):
        installed = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
        found = "/usr/lib/postgresql/15/bin/initdb"
        found = found if found in installed else shutil.which("initdb") or (installed or [None])[-1]
        if found:
            return os.path.dirname(os.path.realpath(found))
        if attempt == 0:
            harness.install("postgresql")
    raise Missing("PostgreSQL is not installed (package postgresql)")


class NodePg(Peer):
    name = "node-pg"
    note = ("PostgreSQL as it ships (fsync and synchronous_commit on, shared_buffers 128 MB), one Fastify process, a pool "
            "of 10; no authentication; vacuumed and analyzed before reading")

    def prepare(self):
        self.node = harness.need("node", "nodejs")
        self.npm = harness.need("npm", "npm")
        self.postgres = None
        self.server = None
        self.bin = find_postgres()
        # It refuses to run as root; its user must be able to come to its files.
        self.account = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        self.work.mkdir(parents=True, exist_ok=True)
        self.directory = self.work / "postgres"
        self.directory.mkdir()
        if self.account:
            owner = pwd.getpwnam("postgres")
            os.chown(self.directory, owner.pw_uid, owner.pw_gid)
            for above in (self.work, *self.work.parents):
                if not above.stat().st_mode & 0o001:
                    raise Missing(f"the user postgres cannot come to {above}; choose another --work")
        for name in ("package.json", "server.mjs"):
            shutil.copy(SOURCES / name, self.work / name)
        try:
            harness.run([self.npm, "install", "--no-audit", "--no-fund", "--silent"], cwd=self.work)
        except RuntimeError as error:
            raise Missing(f"npm install failed: {error}") from error

    def pg(self, program, *arguments, **options):
        return harness.run([os.path.join(self.bin, program), *arguments], cwd=self.directory, **self.account, **options)

    def psql(self, sql, **options):
        url = f"host={self.directory} port={self.pg_port} dbname=postgres user=postgres"
        return self.pg("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql, url, **options).strip()

    def start_postgres(self):
        self.pg_port = harness.free_port()
        arguments = [os.path.join(self.bin, "postgres"), "-D", str(self.directory / "data"), "-p", str(self.pg_port),
                     "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.directory}"]
        self.postgres = harness.Process(arguments, self.work / "postgres.log", cwd=self.directory, **self.account)
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and self.postgres.is_alive():
            try:
                self.pg("pg_isready", "-q", "-h", str(self.directory), "-p", str(self.pg_port))
                return
            except RuntimeError:
                time.sleep(0.02)
        raise RuntimeError(f"PostgreSQL did not start; see {self.work / 'postgres.log'}")

    def build(self):
        self.pg("initdb", "-D", str(self.directory / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
        self.start_postgres()
        self.psql((SOURCES / "schema.sql").read_text())
        with open(self.rows.tabs(), "rb") as tabs:
            self.psql("CREATE UNLOGGED TABLE staged (project integer, user_id uuid, action text, target_type text, "
                      "target_id text, metadata jsonb, ip_address inet, user_agent text, created_at timestamptz)")
            self.psql("COPY staged FROM STDIN", stdin=tabs)
        self.psql("INSERT INTO projects SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid "
                  "FROM generate_series(0, 10) n")
        self.psql("INSERT INTO users SELECT DISTINCT user_id FROM staged")
        self.psql(f"INSERT INTO audit_log ({COLUMNS}) SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(project), 12, '0'))"
                  "::uuid, user_id, action, target_type, target_id, metadata, ip_address, user_agent, created_at FROM staged")
        self.psql("DROP TABLE staged")
        self.psql("VACUUM ANALYZE")
        self.psql("CHECKPOINT")
        self.bytes = int(self.psql("SELECT pg_total_relation_size('audit_log')"))
        self.stop()

    def start(self):
        self.start_postgres()
        self.port = harness.free_port()
        environment = {**os.environ, "PORT": str(self.port), "NODE_ENV": "production",
                       "DATABASE_URL": f"postgres://postgres@127.0.0.1:{self.pg_port}/postgres"}
        self.server = harness.Process([self.node, "server.mjs"], self.work / "node.log", cwd=self.work, env=environment)
        harness.connect_when_up(self.port, self.read(), self.server).close()

    def stop(self):
        for process, ending in ((self.server, "SIGTERM"), (self.postgres, "SIGINT")):
            if process:
                # PostgreSQL's fast shutdown: SIGTERM would wait for the pool's connections.
                process.child.send_signal(getattr(harness.signal, ending))
                process.stop()
        self.server = self.postgres = None

    def pids(self):
        return [self.server.child.pid, self.postgres.child.pid]

    def data_bytes(self):
        """The table and its indexes: the write-ahead log and the catalogue are left out, to its favour."""
        return self.bytes

    def read(self, offset=0, action=None, user_id=None, start=None, end=None):
        asked = f"?limit={PAGE}" + (f"&offset={offset}" if offset else "")
        for name, value in (("action", action), ("user_id", user_id), ("from", start), ("to", end)):
            asked += f"&{name}={value}" if value else ""
        return request("GET", f"/api/v1/projects/{project(0)}/audit-log{asked}")

    def posts(self, size):
        bodies = []
        for batch in self.rows.samples(size):
            bodies.append(json.dumps(batch[0] if size == 1 else {"entries": batch}).encode())
        return f"/api/v1/projects/{SCRATCH}/audit-log", ["Content-Type: application/json"], bodies

    def can_delete(self):
        return True

    def delete(self, days):
        """As its operator would: SendDock has no retention, its guide says to run DELETE from psql."""
        deleted = self.psql(f"WITH gone AS (DELETE FROM audit_log WHERE created_at < now() - interval '{days} days' "
                            "RETURNING 1) SELECT count(*) FROM gone")
        self.psql("VACUUM audit_log")
        return int(deleted)
