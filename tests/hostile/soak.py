"""A steady load for as long as one likes; memory, descriptors, threads and the WAL have to stay flat.

    tests/hostile/soak.py [--seconds 7200] [--rate 40] [--every 10] [--rows 0]

`rate` requests a second go to the release binary (target/release/mailtrail or MAILTRAIL_BINARY): single writes to all
three logs, batches, lists, totals, streams, refused and unknown ones, over connections that are kept and connections
of their own; two `mailtrail tail` follow two logs; retention runs by hand every few seconds on entries that are older
than their day when they are recorded. What is left of a removed entry is its leaf, 32 bytes: the database grows by that,
and the caches with it up to their bounds. A long run needs caches that are full from the start: 400,000 `rows` that
stay are recorded before it. Every `every` seconds the process is sampled. The first quarter warms up; of the
rest the first third and the last are compared by their medians. It fails when one of them grew, and at the end the
database has to pass `mailtrail check`.
"""

import argparse
import concurrent.futures
import datetime
import json
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import httpx

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "vendor"))

from support import ENVIRONMENT, PATIENCE, USER, Directory  # noqa: E402
from support import BINARY  # noqa: E402

# How much each may grow from the first third to the last: a share, and a floor for what is small.
ALLOWED = {"memory": (0.15, 8 * 1024 * 1024), "descriptors": (0.0, 6), "threads": (0.0, 4), "wal": (0.25, 8 * 1024 * 1024)}
CLIENTS = 8


def number(text, name):
    return int(re.search(rf"^{name}:\s+(\d+)", text, re.M)[1])


class Soak:
    def __init__(self, place, rate):
        settings = ["log=warn", "activity_retention_days=1", "retention_days=1", "max_requests_per_address=unlimited"]
        self.place, self.directory, self.rate = place, Directory(place, settings), rate
        self.tenant = self.directory.json("tenant", "create", "--name", "Acme")["id"]
        self.mailbox = self.directory.json("mailbox", "create", "--address", "a@a.example")["id"]
        self.project = self.directory.json("project", "create", "--name", "Newsletter")["id"]
        self.stopped = threading.Event()
        self.counts, self.failures = {}, []

    def follow(self, log, *more):
        """A tail of one log, with the server's settings; what it says is kept, for the case that it ends."""
        command = [BINARY, "--data", str(self.directory.data), "--json", "tail", log, *map(str, more)]
        said = pathlib.Path(self.place, f"tail-{log}.stderr")
        with said.open("wb") as stderr:
            tail = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, env=ENVIRONMENT
            )
        return log, said, tail

    def check_tails(self, tails):
        for log, said, tail in tails:
            assert tail.poll() is None, f"the tail of {log} ended with {tail.returncode}: {said.read_text()}"

    def work(self, server, seed):
        """One client: its share of the rate until it is told to stop."""
        chance, key = random.Random(seed), self.directory.key
        kept = httpx.Client(timeout=PATIENCE, trust_env=False)
        authorization = {"Authorization": f"Bearer {key}"}
        at = 0
        begun = time.monotonic()
        while not self.stopped.is_set():
            at += 1
            now = datetime.datetime.now(datetime.timezone.utc)
            # Nearly all entries are too old when they come: the next run of retention takes them.
            when = now - datetime.timedelta(hours=chance.choice([1] + 19 * [50]))
            text, mark = when.strftime("%Y-%m-%dT%H:%M:%SZ"), f"{seed}-{at}"
            event = {
                "tenant_id": self.tenant, "mailbox_address": "a@a.example", "action_taken": "blocked",
                "sent_count": 26, "limit_value": 25, "created_at": text,
            }
            entry = {"message_id": mark, "outcome": "delivered", "received_at": int(when.timestamp())}
            activity = {"user_id": USER, "action": "soak.test", "target_id": mark, "created_at": text}
            projects, mailboxes = f"/api/v1/projects/{self.project}", f"/v1/mailboxes/{self.mailbox}"
            name, expected, method, path, body = chance.choice([
                ("event", 201, "POST", "/v1/enforcement/events", event),
                ("message", 201, "POST", f"{mailboxes}/audit-logs", entry),
                ("activity", 201, "POST", f"{projects}/audit-log", activity),
                ("batch", 201, "POST", f"{projects}/audit-log", {"entries": [activity] * 50}),
                ("list", 200, "GET", "/v1/enforcement/events?limit=200&offset=100", None),
                ("messages", 200, "GET", f"{mailboxes}/audit-logs?limit=50", None),
                ("stream", 200, "GET", "/v1/enforcement/events?format=csv", None),
                ("unknown", 404, "GET", "/v1/mailboxes/999999/audit-logs", None),
                ("invalid", 422, "GET", "/v1/enforcement/events?limit=x", None),
                ("metrics", 200, "GET", "/metrics", None),
                ("nobody", 401, "GET", "/v1/enforcement/events", None),
            ])
            # Of one caller there are a thousand exports in an hour.
            if name == "stream" and chance.random() > 0.05:
                name, path = "page", "/v1/enforcement/events?limit=200"
            headers = {} if name == "nobody" else authorization
            try:
                client = kept if chance.random() < 0.7 else httpx.Client(timeout=PATIENCE, trust_env=False)
                answer = client.request(method, server.url + path, headers=headers, json=body)
                if answer.status_code != expected:
                    self.failures.append(f"{name}: {answer.status_code} {answer.text[:200]}")
                if client is not kept:
                    client.close()
            except httpx.HTTPError as error:
                self.failures.append(f"{name}: {error!r}")
            self.counts[name] = self.counts.get(name, 0) + 1
            pause = begun + at * CLIENTS / self.rate - time.monotonic()
            self.stopped.wait(max(pause, 0))
        kept.close()

    def retention(self):
        while not self.stopped.wait(5):
            deleted = self.directory.json("retention", "run")["deleted"]
            self.counts["deleted"] = self.counts.get("deleted", 0) + sum(deleted.values())

    def sample(self, server):
        status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
        wal = self.directory.data / "mailtrail.db-wal"
        return {
            "memory": number(status, "VmRSS") * 1024,
            "descriptors": len(os.listdir(f"/proc/{server.process.pid}/fd")),
            "threads": number(status, "Threads"),
            "wal": wal.stat().st_size if wal.exists() else 0,
            "database": (self.directory.data / "mailtrail.db").stat().st_size,
        }

    def fill(self, server, rows):
        """Records activities that stay."""
        path = f"{server.url}/api/v1/projects/{self.project}/audit-log"
        headers = {"Authorization": f"Bearer {self.directory.key}"}
        for at in range(0, rows, 5000):
            entries = [
                {"user_id": USER, "action": "soak.filled", "target_id": f"filled-{n}"}
                for n in range(at, min(at + 5000, rows))
            ]
            httpx.post(path, headers=headers, json={"entries": entries}, timeout=60, trust_env=False).raise_for_status()

    def run(self, seconds, every, rows):
        samples = []
        with self.directory.serving() as server, concurrent.futures.ThreadPoolExecutor(CLIENTS + 1) as pool:
            self.fill(server, rows)
            tails = [self.follow("activity", "--project", self.project), self.follow("enforcement")]
            works = [pool.submit(self.work, server, seed) for seed in range(CLIENTS)] + [pool.submit(self.retention)]
            end = time.monotonic() + seconds
            try:
                while time.monotonic() < end:
                    time.sleep(min(every, max(0.1, end - time.monotonic())))
                    samples.append(self.sample(server))
                    self.check_tails(tails)
                    if len(samples) % 10 == 1:
                        print(json.dumps(samples[-1]), flush=True)
                self.check_tails(tails)
            finally:
                self.stopped.set()
                for _, _, tail in tails:
                    tail.terminate()
                    tail.wait()
            for work in works:
                work.result()
        return samples


def compare(samples):
    """What grew, by name."""
    samples = samples[len(samples) // 4 :]
    third = max(1, len(samples) // 3)
    grown = {}
    for name in samples[0]:
        first, last = (statistics.median(s[name] for s in part) for part in (samples[:third], samples[-third:]))
        print(f"{name:12} first third {first:12.0f}   last third {last:12.0f}   most {max(s[name] for s in samples)}")
        share, floor = ALLOWED.get(name, (None, None))
        if share is not None and last > first + max(first * share, floor):
            grown[name] = (first, last)
    return grown


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=7200)
    parser.add_argument("--rate", type=float, default=40)
    parser.add_argument("--every", type=float, default=10)
    parser.add_argument("--rows", type=int, default=0)
    options = parser.parse_args()
    place = tempfile.mkdtemp(prefix="mailtrail-soak-")
    soak = Soak(place, options.rate)
    samples = soak.run(options.seconds, options.every, options.rows)
    print(json.dumps(dict(sorted(soak.counts.items()))))
    grown = compare(samples)
    assert not soak.failures, (len(soak.failures), soak.failures[:5])
    assert soak.counts.get("deleted"), "retention deleted nothing"
    assert not grown, f"grown: {grown}"
    soak.directory.run("check")
    shutil.rmtree(place)
    print("flat")


if __name__ == "__main__":
    main()
