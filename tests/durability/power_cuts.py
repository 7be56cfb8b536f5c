#!/usr/bin/env python3
"""Cuts the power, ten thousand times if you like: what was acknowledged must be there afterwards.

    for n in $(seq 10); do tests/durability/power_cuts.py --cuts 1000 --binary-every 10 --seconds 4; done

mailtrail serves under load with trace.c preloaded, which writes down what is done to the files and what was
acknowledged in between; it is stopped, started and killed meanwhile. Then the trace is replayed up to places chosen at
random, and there the power is cut: of every write since the last flush of its file, each 512-byte sector may be on
disk or not, in any order, and where a file was to grow there may be anything. A truncation may have happened or not. Of
the names that came, went and were changed since the last flush of the directory, the first few have, in their order,
as journaling file systems have it; the flush of a file says nothing of its name. What is left is opened with the
binary (`check`, which recovers the WAL, looks at the structure and counts the rows again), and held against what was acknowledged before the cut.

Flushes are believed: a disk that lies about them is not modelled, nor one that damages what it had stored.

The controls replay the same trace as if the flushes were fewer: `normal` leaves out those that SQLite does not do with
synchronous=NORMAL, and must lose acknowledged rows; `off` leaves out all, and must find damage. If they find nothing,
this finds nothing, and it fails.
"""

import argparse
import bisect
import collections
import concurrent.futures
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import load

CREATE, WRITE, SYNC, TRUNCATE, UNLINK, RENAME, SYNC_DIRECTORY, ACKNOWLEDGED = range(1, 9)
HEAD = struct.Struct("<BHQI")
SECTOR = 512


# ---------------------------------------------------------------------------------------------- the trace


def make_trace(scratch, seconds):
    """Serves under load and writes it all down: the directory as it was before, and the trace."""
    library = scratch / "trace.so"
    source = pathlib.Path(__file__).resolve().parent / "trace.c"
    subprocess.run(["cc", "-O1", "-Wall", "-shared", "-fPIC", "-o", library, source, "-ldl", "-lpthread"], check=True)
    data, before, trace = scratch / "data", scratch / "before", scratch / "trace"
    owners = load.Owners(data)
    shutil.copytree(data, before, ignore=shutil.ignore_patterns("*.sock", "*-shm", "ballast"))
    env = {"LD_PRELOAD": str(library), "MAILTRAIL_TRACE": str(trace), "MAILTRAIL_TRACE_DIRECTORY": str(data)}
    out = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    turn = threading.Lock()

    def note(marks):
        text = "\n".join(marks).encode()
        with turn:
            os.write(out, HEAD.pack(ACKNOWLEDGED, 0, 0, len(text)) + text)

    ways = [signal.SIGTERM, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]
    for number, how in enumerate(ways):
        server = load.Server(data, env=env)
        threads = load.clients(owners, server.address, f"r{number}", 1 + number * 2, note, seconds / len(ways))
        # A kill comes in the middle, an end in good order after it.
        if how == signal.SIGKILL:
            time.sleep(seconds / len(ways) * 0.8)
            server.stop(how)
        for thread in threads:
            thread.join()
        code, said = server.stop(how)
        if how == signal.SIGTERM and code != 0:
            raise RuntimeError(f"exit {code}: {said}")
    return before, trace


def read_trace(path):
    """(operation, name, offset, data) in their order."""
    text = path.read_bytes()
    at, records = 0, []
    while at < len(text):
        operation, name_length, offset, length = HEAD.unpack_from(text, at)
        at += HEAD.size
        name = text[at : at + name_length].decode()
        at += name_length
        records.append((operation, name, offset, text[at : at + length]))
        at += length
    return records


def as_with(sync, records):
    """The trace with the flushes of another setting of `synchronous`."""
    if sync == "full":
        return records
    if sync == "off":
        return [record for record in records if record[0] not in (SYNC, SYNC_DIRECTORY)]
    kept, last = [], None
    for record in records:
        operation, name, offset, data = record
        if name.endswith("-wal"):
            # NORMAL flushes the WAL's head, and the WAL before it is moved; not the frames of a commit.
            of_commit = operation == SYNC and last and last[0] == WRITE and not (last[2] == 0 and len(last[3]) == 32)
            last = record
            if of_commit:
                continue
        kept.append(record)
    return kept


# ---------------------------------------------------------------------------------------------- the disk


class File:
    def __init__(self, content=b""):
        self.content = bytearray(content)
        self.pending = []

    def sync(self):
        for change in self.pending:
            self.apply(self.content, change)
        self.pending = []

    @staticmethod
    def apply(content, change, sectors=None, filler=b"\0"):
        """`sectors`: which of them reached the disk; None: all."""
        operation, offset, data = change
        if operation == TRUNCATE:
            if offset <= len(content):
                del content[offset:]
            else:
                content.extend(bytes(offset - len(content)))
            return
        end = offset + len(data)
        if sectors is None:
            sectors = [(offset, end)]
        for start, stop in sectors:
            if start > len(content):
                gap = start - len(content)
                content.extend((filler * (gap // len(filler) + 1))[:gap])
            content[start:stop] = data[start - offset : stop - offset]


class Disk:
    """What is on it, and what is only on its way."""

    def __init__(self, before):
        self.now = {path.name: File(path.read_bytes()) for path in before.iterdir() if path.is_file()}
        self.names = dict(self.now)
        self.pending = []
        self.acknowledged = 0

    def apply(self, record):
        operation, name, offset, data = record
        if operation == ACKNOWLEDGED:
            self.acknowledged += 1
        elif operation in (WRITE, TRUNCATE):
            self.now[name].pending.append((operation, offset, data))
        elif operation == SYNC:
            self.now[name].sync()
        elif operation == SYNC_DIRECTORY:
            self.names, self.pending = dict(self.now), []
        else:
            change = (operation, name, data.decode(), self.now.get(name))
            if operation == CREATE:
                change = (operation, name, "", File())
            self.rename(self.now, change)
            self.pending.append(change)

    @staticmethod
    def rename(names, change):
        operation, name, new, file = change
        if operation == CREATE:
            names[name] = file
        else:
            names.pop(name, None)
        if operation == RENAME:
            names[new] = file

    def cut(self, dice, directory):
        """Writes what is left into a directory."""
        names = dict(self.names)
        for change in self.pending[: dice.randint(0, len(self.pending))]:
            self.rename(names, change)
        # How likely a write is to be on disk, and a sector of one that is not whole.
        chance = dice.choice([0, 0.1, 0.5, 0.9, 1])
        torn = dice.choice([0, 0.2, 1])
        filler = dice.choice([b"\0", dice.randbytes(SECTOR)])
        directory.mkdir(mode=0o700)
        for name, file in names.items():
            content = bytearray(file.content)
            for change in file.pending:
                operation, offset, data = change
                if dice.random() >= chance:
                    continue
                sectors = None
                if operation == WRITE and dice.random() < torn:
                    sectors = [part for part in parts(offset, offset + len(data)) if dice.random() < 0.5]
                File.apply(content, change, sectors, filler)
            path = directory / name
            path.write_bytes(content)
            path.chmod(0o600)


def parts(start, end):
    """A range by the sectors it lies in."""
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        yield start, stop
        start = stop


# ---------------------------------------------------------------------------------------------- the cuts


def examine(directory, acknowledged, by_binary):
    """(what is wrong, in one word or None, and its details)."""
    try:
        if by_binary:
            found = load.run(directory, "check")
        else:
            found = load.integrity(directory / "mailtrail.db")
    except (RuntimeError, ValueError, sqlite3.Error) as error:
        return "damaged", str(error)
    if not found["ok"]:
        return "damaged", str(found)[:500]
    marks = collections.Counter(load.recorded(directory / "mailtrail.db"))
    lost = [mark for mark in acknowledged if mark not in marks]
    if lost:
        return "lost", f"{len(lost)} of {len(acknowledged)}: {lost[:3]}"
    twice = [mark for mark, n in marks.items() if n > 1]
    if twice:
        return "twice", str(twice[:3])
    # A batch is there whole or not at all.
    batches = collections.Counter(mark.split("i")[0] for mark in marks)
    for mark in marks:
        n_rows = int(mark.split("of")[1].split("@")[0])
        if batches[mark.split("i")[0]] != n_rows:
            return "half", mark
    return None, ""


def cut_some(before, trace, sync, places, seed, scratch, binary_every):
    """Cuts at these places of the trace, in rising order; what was wrong, by word."""
    records = as_with(sync, read_trace(trace))
    acknowledged = [record[3].decode().split("\n") for record in records if record[0] == ACKNOWLEDGED]
    disk, at, wrong = Disk(before), 0, collections.Counter()
    for number, place in enumerate(places):
        while at < place:
            disk.apply(records[at])
            at += 1
        dice = random.Random(f"{seed}-{place}-{number}")
        directory = scratch / f"{sync}-{seed}-{number}"
        disk.cut(dice, directory)
        marks = [mark for batch in acknowledged[: disk.acknowledged] for mark in batch]
        word, details = examine(directory, marks, number % binary_every == 0)
        if word:
            wrong[word] += 1
            if sync == "full":
                print(f"cut at {place} ({number} of seed {seed}): {word}: {details}", flush=True)
        shutil.rmtree(directory)
    return wrong


def cut_many(before, trace, sync, n_cuts, seed, n_jobs, scratch, binary_every):
    records = as_with(sync, read_trace(trace))
    dice = random.Random(f"{seed}-{sync}")
    # Every other cut comes right after an acknowledgement, where a lost one is seen soonest.
    after = [at + 1 for at, record in enumerate(records) if record[0] == ACKNOWLEDGED]
    places = sorted(dice.choice(after) if n % 2 else dice.randint(0, len(records)) for n in range(n_cuts))
    shares = [places[len(places) * job // n_jobs : len(places) * (job + 1) // n_jobs] for job in range(n_jobs)]
    wrong = collections.Counter()
    with concurrent.futures.ProcessPoolExecutor(n_jobs) as pool:
        jobs = [
            pool.submit(cut_some, before, trace, sync, share, f"{seed}.{job}", scratch, binary_every)
            for job, share in enumerate(shares)
        ]
        for job in jobs:
            wrong += job.result()
    return wrong


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--cuts", type=int, default=300)
    arguments.add_argument("--control-cuts", type=int, default=60, help="with the flushes of NORMAL, and as many of OFF")
    arguments.add_argument("--seconds", type=float, default=8, help="of load")
    arguments.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments.add_argument("--binary-every", type=int, default=1, help="`check` one in so many; Python's SQLite the others")
    arguments.add_argument("--seed", default=str(time.time_ns()))
    arguments.add_argument("--scratch", help="where to work; a directory in memory is fastest")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=given.scratch) as scratch:
        scratch = pathlib.Path(scratch)
        before, trace = make_trace(scratch, given.seconds)
        records = read_trace(trace)
        kinds = collections.Counter(record[0] for record in records)
        print(
            f"the trace: {len(records)} operations, {kinds[WRITE]} writes, {kinds[SYNC]} flushes, "
            f"{kinds[ACKNOWLEDGED]} acknowledgements; seed {given.seed}",
            flush=True,
        )
        failed = False
        for sync, n_cuts, expected in (
            ("normal", given.control_cuts, "lost"),
            ("off", given.control_cuts, "damaged"),
            ("full", given.cuts, None),
        ):
            started = time.monotonic()
            wrong = cut_many(
                before, trace, sync, n_cuts, given.seed, given.jobs, scratch, given.binary_every
            )
            took = time.monotonic() - started
            print(f"{sync}: {n_cuts} cuts in {took:.0f} s: {dict(wrong) or 'nothing lost, nothing damaged'}", flush=True)
            if expected and not wrong[expected]:
                print(f"the control found nothing {expected}: this harness cannot be believed")
                failed = True
            if not expected and wrong:
                failed = True
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
