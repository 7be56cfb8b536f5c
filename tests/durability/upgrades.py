#!/usr/bin/env python3
"""Kills an upgrade of the database at every system call that changes a file.

    tests/durability/upgrades.py              every call: over a thousand runs, three minutes
    tests/durability/upgrades.py --every 4    every fourth, from another first one each time

Each frozen database of tests/upgrades is upgraded under strace, which kills the program at the n-th write, flush,
truncation, link or removal, for n = 1, 2 … until a run comes to its end. What a kill leaves is looked at with Python's
own SQLite: the old version with every row as it was, or the new one with the same. Then the program is started again
without a kill, and `check` must say ok.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("MAILTRAIL_BINARY", str(ROOT / "target/release/mailtrail"))
CALLS = ("pwrite64", "fsync", "ftruncate", "linkat", "link", "unlink", "unlinkat", "fchmod", "rename")


def columns_of(path):
    """The tables of a frozen database and their columns, without what every upgrade may write again."""
    again = {"jobs", "clock_steps", "tree", "controls", "holes", "epochs", "seals"}
    database = sqlite3.connect(path)
    found = {}
    for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall():
        kept = [column for (column,) in database.execute(f"SELECT name FROM pragma_table_info('{name}')")]
        # To version 6: what was refused no longer counts as sent, and everybody logs in again.
        new = {"checksum", "salt"} | {"mailboxes": {"sent_count"}, "sessions": {"ended_at"}}.get(name, set())
        if name == "sequence":
            new = {"schema_checksum", "last_seq", "last_now", "n_leaves", "leaves"}
        if name not in again:
            found[name] = ", ".join(column for column in kept if column not in new)
    database.close()
    return found


def tables(database, columns):
    """Every row, of the columns that the frozen database had: later ones have what an upgrade filled in."""
    found = {name: sorted(map(repr, database.execute(f"SELECT {kept} FROM {name}"))) for name, kept in columns.items()}
    # SQLite counts the new tables there too.
    counted = database.execute("SELECT name, seq FROM sqlite_sequence ORDER BY name")
    return found | {"sqlite_sequence": [row for row in counted if row[0] in columns]}


def looked_at(path, columns):
    """The version and the rows of a file, through a copy with its WAL: nothing is changed by looking."""
    with tempfile.TemporaryDirectory() as scratch:
        for suffix in ("", "-wal"):
            if pathlib.Path(f"{path}{suffix}").exists():
                shutil.copy(f"{path}{suffix}", scratch)
        database = sqlite3.connect(pathlib.Path(scratch) / path.name)
        (version,) = database.execute("PRAGMA user_version").fetchone()
        rows = tables(database, columns)
        database.close()
        return version, rows


def run(data, *arguments, wrapper=()):
    command = [*wrapper, BINARY, "--data", str(data), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, metavar="N")
    every = parser.parse_args().every
    n_kills, n_old, n_new = 0, 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        data = pathlib.Path(scratch) / "data"
        for dump in sorted((ROOT / "tests/upgrades").glob("*.sql")):
            old = int(dump.stem)
            frozen = pathlib.Path(scratch) / dump.stem
            database = sqlite3.connect(frozen)
            # Before SQLite 3.42 json_valid(NULL) is 0.
            database.executescript("PRAGMA ignore_check_constraints = ON;" + dump.read_text())
            database.close()
            columns = columns_of(frozen)
            expected = looked_at(frozen, columns)[1]
            checkpoint_key = json.loads(dump.with_suffix(".json").read_text()).get("checkpoint_key")
            for call in CALLS:
                for n in range(random.randint(1, every), 100_000, every):
                    shutil.rmtree(data, ignore_errors=True)
                    data.mkdir(mode=0o700)
                    shutil.copy(frozen, data / "mailtrail.db")
                    (data / "mailtrail.db").chmod(0o600)
                    if checkpoint_key:
                        (data / "checkpoint.key").write_text(checkpoint_key)
                        (data / "checkpoint.key").chmod(0o600)
                    inject = f"inject={call}:signal=SIGKILL:when={n}"
                    killed = run(data, "stats", wrapper=("strace", "-f", "-qq", "-o", "/dev/null", "-e", inject))
                    if killed.returncode == 0:
                        break
                    n_kills += 1
                    version, rows = looked_at(data / "mailtrail.db", columns)
                    where = f"version {old}, killed at {call} {n}, found version {version}"
                    # A job of the new version may have run already; what was recorded is the same.
                    if rows != expected:
                        differing = [name for name in expected if rows.get(name) != expected[name]]
                        sys.exit(f"{where}: {', '.join(differing)} differ")
                    n_old, n_new = n_old + (version == old), n_new + (version != old)
                    checked = run(data, "check")
                    if checked.returncode != 0:
                        sys.exit(f"{where}: {checked.stdout}{checked.stderr}")
    if not n_old or not n_new:
        sys.exit(f"kills left the old version {n_old} times and the new one {n_new} times: that is not every moment")
    print(f"{n_kills} kills: {n_old} left the old version, {n_new} the new one, each whole")


if __name__ == "__main__":
    main()
