#!/usr/bin/env python3
"""Lets every system call on the way of a write fail once, at each n-th time, with strace's fault injection.

    tests/durability/faults.py --every            all of them: an hour
    tests/durability/faults.py --sample 20        some, chosen at random

A run serves a new copy of a data directory under strace with one fault in it, records with a few clients, and ends it.
Then, without strace: it starts, it records, what was acknowledged is there once, a batch is there whole or not at all,
and `check` says ok. A write or a flush of the database that fails with EIO must end the process with 74; one that
fails for want of room must not, and what is written next must be recorded. No answer may be a 2xx for what is lost.

strace counts the calls of each thread by itself, so that the n-th is that of the writer, or of one that reads. Calls
are told by the files they are about: the database, its WAL, its -shm, the ballast and the directory.
"""

import argparse
import collections
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import load

# Each with the errors it may have. SQLite as it is built here flushes with fsync.
FAULTS = {
    "pwrite64": ("EIO", "ENOSPC"),
    "fsync": ("EIO", "ENOSPC"),
    "ftruncate": ("EIO", "ENOSPC"),
    "openat": ("EIO", "EMFILE", "ENOSPC"),
    "unlink": ("EIO",),
    "pread64": ("EIO",),
    "mmap": ("ENOMEM",),
    "fcntl": ("EIO", "ENOLCK"),
    "newfstatat": ("EIO",),
    "statx": ("EIO",),
    "faccessat2": ("EROFS",),
    "statfs": ("EIO",),
    "close": ("EIO",),
    "fallocate": ("ENOSPC", "EOPNOTSUPP"),
}
FILES = ("", "mailtrail.db", "mailtrail.db-wal", "mailtrail.db-shm", "ballast")


class Failed(Exception):
    pass


def one_run(base, owners, scratch, call, error, n, more=""):
    """Whether the fault came, and how the process ended; raises what must not be."""
    data = scratch / "data"
    shutil.rmtree(data, ignore_errors=True)
    shutil.copytree(base, data)
    log = scratch / "strace"
    wrapper = ["strace", "-D", "-f", "-qq", "-y", "-o", str(log), "-e", f"trace={call}"]
    wrapper += ["-e", f"inject={call}:error={error}:when={n}{more}"]
    wrapper += [argument for name in FILES for argument in ("-P", str(data / name) if name else str(data))]
    server = load.Server(data, wrapper=wrapper)
    kept, turn, n_refused = [], threading.Lock(), collections.Counter()
    if server.url:

        def write(number):
            client = load.Client(owners, server.address, timeout=20)
            for at in range(5):
                n_rows = (1, 4, 1)[at % 3]
                marks = [f"c{number}n{at}i{row}of{n_rows}{load.MARK}" for row in range(n_rows)]
                path, body = owners.write((at + number) % 3, marks, text="x" * 300)
                status = client.send(path, body, key=marks[0] if number % 2 else None)
                with turn:
                    n_refused[status] += 1
                    if status and 200 <= status < 300:
                        kept.extend(marks)
                # An answer that does not come is the end; nothing is tried again.
                if status is None:
                    return
                time.sleep(0.02)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # As many pages as are moved when nobody waits.
        client = load.Client(owners, server.address)
        path, body = owners.write(0, [f"big{row}@gone.example" for row in range(200)], text="x" * 900)
        status = client.send(path, body)
        last = None
        if status is not None and (server.process.poll() is None):
            time.sleep(0.1)
            # The fault may come to the first of the two.
            for again in ("", "again"):
                marks = [f"last{again}i0of1{load.MARK}"]
                last = client.send(*owners.write(2, marks))
                n_refused[last] += 1
                if last == 201:
                    kept.extend(marks)
                    break
        try:
            # One that stops writing is gone within half a second.
            code, said = server.wait(timeout=0.7 if error == "EIO" or last != 201 else 0.01)
        except subprocess.TimeoutExpired:
            code, said = server.stop(signal.SIGTERM)
    else:
        code, said = server.wait()
        last = None
    injected = [line for line in log.read_text(errors="replace").splitlines() if "(INJECTED)" in line]

    def must(so, what):
        if not so:
            raise Failed(f"{call} {error} {n}{more}: {what}; exit {code}, answers {dict(n_refused)}, said {said!r}, {injected[:2]}")

    # A lock that cannot be had for whatever reason is to SQLite one that another program has: tried again later.
    must(code in (0, 74, 78) or (code, call) == (75, "fcntl"), "it ended in its own way")
    must(call != "pwrite64" or error != "ENOSPC" or code != 78, "a full disk is refused for good")
    # The log of other threads may come in between.
    must(code == 0 or re.search(r"^error: .*^hint: ", said, re.M | re.S), "no word of why")
    of_database = any(re.search(r"mailtrail\.db(-wal)?>", line) for line in injected)
    if of_database and server.url and error == "EIO" and call in ("pwrite64", "fsync"):
        must(code == 74, "it went on after a write or a flush that failed")
    if of_database and server.url and error == "ENOSPC" and call == "pwrite64" and not more:
        must(code == 0 and last == 201, "it did not go on after a full disk")
    # Starts again by itself, records, and has what it acknowledged.
    try:
        server = load.Server(data)
        must(server.url, f"it does not start again: {server.wait()[1] if not server.url else ''}")
        client = load.Client(owners, server.address)
        must(client.send(*owners.write(0, [f"afteri0of1{load.MARK}"])) == 201, "it does not record again")
        ended = server.stop()
        must(ended[0] == 0, f"no clean end: {ended}")
        must(load.run(data, "check")["ok"], "check finds something wrong")
    except RuntimeError as failure:
        must(False, str(failure))
    marks = collections.Counter(load.recorded(data / "mailtrail.db"))
    must(all(marks[mark] == 1 for mark in kept), f"lost: {[mark for mark in kept if marks[mark] != 1][:3]}")
    must(max(marks.values()) == 1, "something is there twice")
    batches = collections.Counter(mark.split("i")[0] for mark in marks)
    for mark in marks:
        must(batches[mark.split("i")[0]] == int(mark.split("of")[1].split("@")[0]), f"half of a batch: {mark}")
    return bool(injected), code


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--every", action="store_true", help="every call, until it is not reached any more")
    arguments.add_argument("--sample", type=int, default=20, help="so many, chosen at random")
    arguments.add_argument("--only", help="system calls, comma-separated")
    arguments.add_argument("--first", type=int, default=1, help="no earlier call than this")
    arguments.add_argument("--most", type=int, default=400, help="no later call than this")
    arguments.add_argument("--seed", default=str(time.time_ns()))
    arguments.add_argument("--scratch", help="where to work")
    given = arguments.parse_args()
    dice = random.Random(given.seed)
    calls = given.only.split(",") if given.only else list(FAULTS)
    tally, wrong = collections.Counter(), []
    with tempfile.TemporaryDirectory(dir=given.scratch) as scratch:
        scratch = pathlib.Path(scratch)
        base = scratch / "base"
        owners = load.Owners(base)
        (base / "mailtrail.sock").unlink(missing_ok=True)

        def attempt(call, error, n, more=""):
            try:
                came, code = one_run(base, owners, scratch, call, error, n, more)
            except Failed as failure:
                wrong.append(str(failure))
                print(f"FAILED {failure}", flush=True)
                return True
            tally[(call, error, f"exit {code}" if came else "not reached")] += 1
            return came

        if given.every:
            for call in calls:
                for error in FAULTS[call]:
                    n = given.first
                    while n <= given.most and attempt(call, error, n):
                        n += 1
                    print(f"{call} {error}: {n - given.first} calls failed in turn", flush=True)
                    # And from there on always, as a disk that is gone.
                    for n in sorted({dice.randint(1, max(1, n)) for _ in range(5)}):
                        attempt(call, error, n, "+")
        else:
            # What matters most, and then anything.
            chosen = [("fsync", "EIO", dice.randint(1, 8)), ("pwrite64", "EIO", dice.randint(1, 100))]
            chosen.append(("pwrite64", "ENOSPC", dice.randint(1, 100)))
            while len(chosen) < given.sample:
                call = dice.choice(calls)
                chosen.append((call, dice.choice(FAULTS[call]), dice.randint(1, 9)))
            for call, error, n in chosen:
                attempt(call, error, n)
    for (call, error, end), count in sorted(tally.items()):
        print(f"{call:12} {error:10} {end:12} {count:4}")
    n_reached = sum(count for (_, _, end), count in tally.items() if end != "not reached")
    print(f"{sum(tally.values())} runs, {n_reached} with a fault, {len(wrong)} failed; seed {given.seed}")
    # Had no fault reached it, nothing would have been tried.
    sys.exit(1 if wrong or not n_reached else 0)


if __name__ == "__main__":
    main()
