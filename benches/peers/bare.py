"""The limit: bare rusqlite with mailtrail's schema, rows and fsyncs, no HTTP, no JSON, no counts (`bare/bare.rs`)."""

import json

import harness

from . import Peer


class Bare(Peer):
    name = "bare"
    note = "one thread in one process: no HTTP, no JSON, no counts, no answers; the same indexes, settings and fsyncs"
    serves = False

    def prepare(self):
        self.binary = harness.cargo("--example", "bare") / "examples" / "bare"
        self.work.mkdir(parents=True, exist_ok=True)
        self.file = self.work / "bare.db"

    def command(self, *arguments):
        return json.loads(harness.run([self.binary, *arguments, "--file", self.file, "--end", str(self.rows.end)]))

    def build(self):
        self.load_rate = self.command("load", "--count", str(self.rows.count))["rows_per_second"]

    def data(self):
        return [self.file]

    def rate(self, clients, size, seconds):
        if clients > 1 and size == 1:
            return None
        command = ["single"] if size == 1 else ["batch", "--size", str(size)]
        return self.command(*command, "--seconds", str(seconds))["rows_per_second"]
