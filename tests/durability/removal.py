"""While retention removes a large part of a log, everything else keeps its time: checkpoints, cosignatures of a witness,
scheduled backups, the daily reset, writes.

    tests/durability/removal.py                       200,000 rows
    tests/durability/removal.py --rows 10000000 --minutes 20      by hand; 2 GB of disk; looks for so long

Old rows are recorded first, without a limit on their age. Then the server starts again with one, a mailbox is blocked
that the next reset sets free, and each second a row is recorded and it is looked how far checkpoint, witness and backup
have come. Printed are the longest times; that each of them happened, and the sums in the end, are asserted.
"""

import argparse
import http.client
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from load import BINARY, ENVIRONMENT, Owners, Server, run

BATCH = 5000
WITNESS = "witness.example.net"


def fill(owners, address, n_rows):
    """Old events, oldest first, over several connections."""
    first = time.time() - 400 * 86400
    step = 300 * 86400 / n_rows
    todo = iter(range(0, n_rows, BATCH))
    lock = threading.Lock()

    def work():
        connection = http.client.HTTPConnection(address, timeout=120)
        while True:
            with lock:
                start = next(todo, None)
            if start is None:
                return
            lines = []
            for n in range(start, min(start + BATCH, n_rows)):
                at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(first + n * step))
                lines.append(
                    f'{{"tenant_id":"{owners.tenant}","mailbox_address":"m{n % 1000}@a.example","action_taken":"blocked",'
                    f'"sent_count":26,"limit_value":25,"created_at":"{at}"}}'
                )
            headers = {"Authorization": f"Bearer {owners.key}", "Content-Type": "application/x-ndjson"}
            connection.request("POST", "/v1/enforcement/events", "\n".join(lines), headers)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 201, text[:300]

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Witness:
    """`mailtrail witness`, on a port of its own."""

    def __init__(self, place, log):
        command = [BINARY, "--data", f"{place}/witness", "witness", "--name", WITNESS, "--log", log]
        self.process = subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=ENVIRONMENT
        )
        self.url = self.process.stdout.readline().strip()
        shown = subprocess.run([*command, "--show-key"], capture_output=True, text=True, env=ENVIRONMENT, check=True)
        self.key = shown.stdout.strip()


class Watch:
    """What is seen from outside, once a second."""

    def __init__(self, owners, address):
        self.owners = owners
        self.connection = http.client.HTTPConnection(address, timeout=120)
        self.longest = {"write": 0.0, "checkpoint": 0.0, "witness": 0.0, "backup": 0.0, "reset": None}
        self.pending = []
        self.first_backup = None

    def ask(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {self.owners.key}", "Content-Type": "application/json"}
        began = time.monotonic()
        self.connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = self.connection.getresponse()
        text = answer.read().decode()
        assert 200 <= answer.status < 300, (method, path, answer.status, text[:300])
        return time.monotonic() - began, text

    def note(self, what, seconds):
        self.longest[what] = max(self.longest[what], seconds)

    def look(self, n):
        now = time.monotonic()
        path, body = self.owners.write(0, [f"kept{n}@kept.example"])
        took, text = self.ask("POST", path, json.loads(body))
        self.note("write", took)
        # The row's own number is at most how many leaves there are with it.
        self.pending.append((json.loads(text)["seq"], now))
        _, text = self.ask("GET", "/tlog/checkpoint")
        signed = int(text.split("\n")[1])
        metrics = self.ask("GET", "/metrics")[1]
        cosigned = self.figure(metrics, f'mailtrail_witness_cosigned_leaves{{witness="{WITNESS}"}}')
        for what, size in [("checkpoint", signed), ("witness", cosigned)]:
            waiting = [since for seq, since in self.pending if seq > size]
            self.note(what, now - min(waiting) if waiting else 0.0)
        self.pending = [entry for entry in self.pending if entry[0] > min(signed, cosigned)]
        made = self.figure(metrics, "mailtrail_last_backup_timestamp_seconds")
        if made:
            self.first_backup = self.first_backup or made
            self.note("backup", time.time() - made)
        events = json.loads(self.ask("GET", "/v1/enforcement/events?action=unblocked&limit=1")[1])
        for event in events.get("events", []):
            self.longest["reset"] = event["recorded_at"]

    @staticmethod
    def figure(metrics, name):
        found = [line for line in metrics.splitlines() if line.startswith(name + " ")]
        return int(float(found[0].split()[-1])) if found else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--minutes", type=int, default=0, help="look for so long, instead of until all is removed")
    options = parser.parse_args()
    place = pathlib.Path(tempfile.mkdtemp(prefix="mailtrail-removal-"))
    try:
        remove(place, options.rows, options.minutes * 60)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def remove(place, rows, seconds):
    data = place / "data"
    owners = Owners(data)
    forever = ("retention_days=forever", "activity_retention_days=forever")
    server = Server(data, settings=forever)
    began = time.monotonic()
    fill(owners, server.address, rows)
    print(f"{rows} rows in {time.monotonic() - began:.0f} s, {(data / 'mailtrail.db').stat().st_size >> 20} MiB", flush=True)
    assert server.stop()[0] == 0

    run(data, "mailbox", "create", "--address", "limited@a.example", "--daily-send-limit", "1", "--tenant", owners.tenant)
    log = run(data, "checkpoint")["verifier"]
    witness = Witness(place, log)
    # The reset comes while rows are removed, not before.
    reset = time.time() + 75
    server = Server(
        data,
        settings=(
            "backup_every=1m", "backups_kept=2", f"witnesses={witness.key} {witness.url}",
            f"daily_reset_time={time.strftime('%H:%M', time.gmtime(reset + 60 - reset % 60))}",
        ),
    )
    assert server.url, server.wait()
    try:
        watch = Watch(owners, server.address)
        for _ in range(3):
            send = {"tenant_id": owners.tenant, "mailbox_address": "limited@a.example", "recipients": 1}
            watch.ask("POST", "/v1/enforcement/sends", send)
        began, n = time.monotonic(), 0
        due = reset + 60 - reset % 60
        removed_after = None
        while removed_after is None or time.time() < due + 15 or not watch.first_backup:
            assert time.monotonic() - began < max(3600, 2 * seconds), watch.longest
            watch.look(n)
            n += 1
            if removed_after is None and n % 5 == 0:
                oldest = json.loads(watch.ask("GET", "/v1/enforcement/events?order=asc&limit=1")[1])["events"][0]
                if oldest["created_at"] > time.strftime("%Y-%m-%dT", time.gmtime(time.time() - 40 * 86400)):
                    removed_after = time.monotonic() - began
            if seconds and time.monotonic() - began > seconds:
                break
            time.sleep(1)
        late = time.mktime(time.strptime(watch.longest["reset"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone - due
        told = f"removed after {removed_after:.0f} s" if removed_after else "not all removed yet"
        print(f"{told}; longest: a write {watch.longest['write'] * 1000:.0f} ms, unsigned "
              f"{watch.longest['checkpoint']:.1f} s, not cosigned {watch.longest['witness']:.1f} s, since the last backup "
              f"{watch.longest['backup']:.0f} s (each minute), the reset {late:.0f} s late")
        shown = json.loads(watch.ask("GET", "/v1/enforcement/events?limit=1")[1])
        # What was recorded meanwhile, the block and its end; and nothing of what was old.
        assert shown["total"] == n + 2 if removed_after else shown["total"] > n + 2, (shown["total"], n)
    finally:
        witness.process.terminate()
        code, said = server.stop()
    assert code == 0, said
    assert run(data, "verify")["ok"] and run(data, "check")["ok"]


if __name__ == "__main__":
    sys.exit(main())
