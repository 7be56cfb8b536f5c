"""The peers of the benchmarks: what each is, how it is filled, asked and stopped.

A `Peer` knows one product; the loads and the order in which they run are `run.py`'s. Times of all peers lie in the same
two years, and all answer with the same totals: `run.py` checks that before it measures.
"""

import json
import pathlib

import harness

BATCH = 500
PAGE = 50


class Peer:
    #: As in `--peers` and in the table.
    name = ""
    #: What must be known to read its column.
    note = ""
    #: Whether it answers lists over HTTP.
    serves = True
    #: Rows of the measured project that are its own: mailtrail notes that the project was made.
    own_rows = 0

    def __init__(self, work, rows):
        self.work = pathlib.Path(work) / self.name
        self.rows = rows
        self.port = None
        self.load_rate = None

    def prepare(self):
        """Installs what is missing; raises `Missing` where that cannot be."""

    def build(self):
        """Makes its data, and leaves it stopped."""
        raise NotImplementedError

    def start(self):
        """Starts it; returns once it has answered its first list."""
        raise NotImplementedError

    def stop(self):
        """Stops it; harmless when it is not running."""

    def pids(self):
        """The roots of its processes."""
        return []

    def data(self):
        """Its files, for bytes a row; called while it is stopped."""
        raise NotImplementedError

    def data_bytes(self):
        return sum(harness.bytes_under(path) for path in self.data())

    def read(self, **asked):
        """The bytes of a request for a list: offset, action, user_id, start, end."""
        raise NotImplementedError

    def total(self, body):
        """The exact total in an answer."""
        return json.loads(body)["total"]

    def page(self, body):
        """How many rows an answer has."""
        return len(json.loads(body)["entries"])

    def posts(self, size):
        """(path, headers, bodies) of writes of so many rows."""
        raise NotImplementedError

    def write(self):
        """The bytes of a request that records one row."""
        path, headers, bodies = self.posts(1)
        return harness.request("POST", path, bodies[0], headers)

    def can_delete(self):
        return False

    def before_delete(self, days):
        """What must be set before rows older than so many days can go."""

    def delete(self, days):
        """Removes them; returns when they are gone."""

    def rate(self, clients, size, seconds):
        """Rows a second in writes of `size` rows; `None` where that is not to be had."""
        path, headers, bodies = self.posts(size)
        posts = harness.Posts(self.work / f"posts-{size}", path, headers, bodies)
        return size * posts.rate(self.port, clients, seconds)
