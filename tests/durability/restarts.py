#!/usr/bin/env python3
"""Restarts, kills and an upgrade beside writers who pipe mail into `record message`, as a mail server does.

    tests/durability/restarts.py --rounds 200

The first start upgrades a database of the oldest version. Then the server is ended again and again, by SIGTERM or by
SIGKILL, at any moment, also before it listens, and started again as the unit does. Meanwhile each writer brings one
message after the other; what exits with 75 is brought again, as a mail server would. No start may end with 78, which
the unit leaves alone; no message may be refused; in the end the server is up, each message is there exactly once, and
`verify` says ok.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("MAILTRAIL_BINARY", str(ROOT / "target/release/mailtrail"))
ADDRESS = "agent@acmecorp.com"
MARK = "@restarts.example"
# Whatever must come has come by then.
PATIENCE = 120


class Writer(threading.Thread):
    """Brings messages until it is told to stop; the last one to its end."""

    def __init__(self, data, number):
        super().__init__(daemon=True)
        self.data, self.number = data, number
        self.is_over = threading.Event()
        self.written, self.codes, self.failure = [], collections.Counter(), None

    def message(self, n):
        mark = f"w{self.number}n{n}{MARK}"
        # Every other one has no Message-ID: then it is known again by its bytes.
        name = f"Message-ID: <{mark}>\r\n" if n % 2 else ""
        return mark, f"From: {mark}\r\nTo: {ADDRESS}\r\n{name}Subject: {n}\r\n\r\nNumber {n}.\r\n".encode()

    def run(self):
        command = [BINARY, "--data", str(self.data), "record", "message", "--sysexits", "--mailbox", ADDRESS]
        n = 0
        while not self.is_over.is_set():
            mark, message = self.message(n)
            while True:
                done = subprocess.run(command, input=message, capture_output=True)
                self.codes[done.returncode] += 1
                if done.returncode != 75:
                    break
                time.sleep(0.1)
            if done.returncode != 0:
                self.failure = f"{mark}: exit {done.returncode}: {done.stderr.decode()}"
                return
            self.written.append(mark)
            n += 1


def serve(data):
    command = [BINARY, "--data", str(data), "serve", "--listen", "127.0.0.1:0", "--set", "log=warn"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(data, *arguments):
    done = subprocess.run([BINARY, "--data", str(data), *arguments], capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode != 0:
        sys.exit(f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    dice = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        data = pathlib.Path(scratch) / "data"
        data.mkdir(mode=0o700)
        database = sqlite3.connect(data / "mailtrail.db")
        # Before SQLite 3.42 json_valid(NULL) is 0.
        frozen = (ROOT / "tests/upgrades/1.sql").read_text()
        database.executescript("PRAGMA ignore_check_constraints = ON;" + frozen)
        database.close()
        (data / "mailtrail.db").chmod(0o600)
        writers = [Writer(data, number) for number in range(options.writers)]
        for writer in writers:
            writer.start()
        ends = collections.Counter()
        for n in range(options.rounds):
            server = serve(data)
            # Some of them while it waits for its turn, or upgrades.
            time.sleep(dice.choice((0.01, 0.05, 0.1, 0.3, 0.6)) * dice.random())
            kill = dice.choice((signal.SIGTERM, signal.SIGKILL))
            server.send_signal(kill)
            _, errors = server.communicate(timeout=PATIENCE)
            ends[kill.name, server.returncode] += 1
            # Before its first statement a signal ends it as it ends any program.
            if server.returncode not in (0, 75, -signal.SIGTERM, -signal.SIGKILL):
                sys.exit(f"round {n}: {kill.name}, exit {server.returncode}\n{errors}")
        server = serve(data)
        if not server.stdout.readline().startswith("http://"):
            sys.exit(f"it is not up again: {server.communicate()[1]}")
        for writer in writers:
            writer.is_over.set()
        for writer in writers:
            writer.join(PATIENCE)
            if writer.failure or writer.is_alive():
                sys.exit(writer.failure or "a writer waits on")
        server.terminate()
        _, errors = server.communicate(timeout=PATIENCE)
        if server.returncode != 0:
            sys.exit(f"the last end: exit {server.returncode}\n{errors}")
        found = collections.Counter()
        for line in run(data, "export", "messages", "--mailbox", ADDRESS).splitlines():
            sender = json.loads(line)["sender_address"] or ""
            if sender.endswith(MARK):
                found[sender] += 1
        expected = [mark for writer in writers for mark in writer.written]
        lost = [mark for mark in expected if not found[mark]]
        doubled = [mark for mark, n_times in found.items() if n_times > 1]
        if lost or doubled or len(found) != len(expected):
            sys.exit(f"lost {lost}, doubled {doubled}, {len(found)} found of {len(expected)}")
        run(data, "verify")
        codes = sum((writer.codes for writer in writers), collections.Counter())
        told = ", ".join(f"{n} {name} → {code}" for (name, code), n in sorted(ends.items()))
        print(f"{options.rounds} rounds ({told}): {len(expected)} messages, each there once; {codes[75]} brought again")
        if len(expected) < options.rounds:
            sys.exit("that is too few to say anything")


if __name__ == "__main__":
    main()
