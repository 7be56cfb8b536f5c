#!/usr/bin/env python3
"""Measures mailtrail beside its peers: one command that fills each with the same rows, runs the loads, prints a table.

    benches/run.py --rows 200000 --repeat 3
    benches/run.py --scale 10000,100000,1000000 --repeat 3

README.md beside this file says what is measured and how. The loads run interleaved: in a round every peer has its turn
with one load, then the next round begins; what is printed are medians over the rounds. Nothing but the table goes to
standard output; `--json FILE` keeps every single value.
"""

import argparse
import collections
import concurrent.futures
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import harness
from harness import Connection, Missing, latency, median, memory, percentile, say
from peers import BATCH, PAGE
from peers.bare import Bare
from peers.mailtrail import Mailtrail, MailtrailFilled
from peers.node_pg import NodePg
from peers.pocketbase import PocketBase
from peers.rqlite import Rqlite

PEERS = {peer.name: peer for peer in (Mailtrail, NodePg, PocketBase, Rqlite, Bare)}
DAY = 86_400


class Rows:
    """The rows of one run: so many, in the two years before `end`. `bare rows` makes each from its number."""

    def __init__(self, count, end, work):
        self.count = count
        self.end = end
        self.work = pathlib.Path(work)
        self.binary = harness.cargo("--example", "bare") / "examples" / "bare"
        self.end_text = text_of(end)

    def make(self, *arguments):
        command = [self.binary, "rows", "--count", str(self.count), "--end", str(self.end), *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE)

    def chunks(self, size):
        """Lists of lines: the number of the project, a tab, the row as JSON."""
        made = self.make()
        chunk = []
        for line in made.stdout:
            chunk.append(line)
            if len(chunk) == size:
                yield chunk
                chunk = []
        if chunk:
            yield chunk
        made.wait()

    def tabs(self):
        """A file of all rows with tabs between their values; made once."""
        path = self.work / "rows.tabs"
        if not path.exists():
            with open(path, "wb") as file:
                command = [self.binary, "rows", "--count", str(self.count), "--end", str(self.end), "--format", "tabs"]
                subprocess.run(command, stdout=file, check=True)
            path.chmod(0o644)
        return path

    def samples(self, size):
        """Rows to be written, in batches of `size`, without a time: the server's own."""
        n_batches = 200 if size == 1 else 8
        made = self.make("--rows", str(min(self.count, n_batches * size)))
        rows = []
        for line in made.stdout:
            row = json.loads(line.partition(b"\t")[2])
            del row["created_at"]
            rows.append(row)
        made.wait()
        return [[rows[(batch * size + at) % len(rows)] for at in range(size)] for batch in range(n_batches)]

    def days_ago(self, days):
        return text_of(int(time.time()) - days * DAY)

    def facts(self):
        """What the lists must have: their totals, and who the busiest user is."""
        window = (self.end - 455 * DAY + 33_213, self.end - 365 * DAY + 33_213)
        made = harness.run([self.binary, "facts", "--count", str(self.count), "--end", str(self.end),
                            "--from", str(window[0]), "--to", str(window[1])])
        return {**json.loads(made), "window": tuple(text_of(edge) for edge in window)}


def text_of(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def reads(facts):
    """The loads that read: name, what is asked, the total that must come."""
    totals, window = facts["totals"], facts["window"]
    deep = int(totals["all"] * 0.9)
    return {
        "first page": ({}, totals["all"]),
        "deep offset": ({"offset": deep}, totals["all"]),
        "action filter": ({"action": "smtp.update"}, totals["action"]),
        "from/to": ({"start": window[0], "end": window[1]}, totals["window"]),
        "user filter": ({"user_id": facts["user"]}, totals["user"]),
    }


WRITES = {
    "insert, 1 client": (1, 1),
    "insert, 32 clients": (32, 1),
    f"rows in batches of {BATCH}": (4, BATCH),
}


def main():
    options = parse()
    work = pathlib.Path(options.work or tempfile.mkdtemp(prefix="mailtrail-bench-"))
    work.mkdir(parents=True, exist_ok=True)
    # PostgreSQL's own user must come through.
    work.chmod(0o755)
    say(f"working in {work}")
    try:
        results = scale(options, work) if options.scale else compare(options, work)
    finally:
        if not options.work:
            harness.shutil.rmtree(work, ignore_errors=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1) + "\n")


def parse():
    parser = argparse.ArgumentParser(description="Measures mailtrail beside its peers, on loopback.")
    parser.add_argument("--rows", type=int, default=100_000, help="rows that each peer is filled with (100000)")
    parser.add_argument("--peers", default=",".join(PEERS), help=f"which peers, of {','.join(PEERS)}")
    parser.add_argument("--repeat", type=int, default=3, help="rounds (3)")
    parser.add_argument("--seconds", type=int, default=5, help="seconds of each write load (5)")
    parser.add_argument("--only", nargs="+", default=[], metavar="LOAD", help="loads whose name holds one of these")
    parser.add_argument("--scale", help="mailtrail alone, at these sizes: 10000,100000,…")
    parser.add_argument("--fill", action="store_true", help="with --scale: rows and counts through SQLite")
    parser.add_argument("--work", help="where to work and leave everything (default: a temporary directory, removed)")
    parser.add_argument("--json", help="write every single value to this file")
    parser.add_argument("--end", type=int, help="seconds since 1970 at which the rows end (default: last midnight)")
    options = parser.parse_args()
    options.end = options.end or int(time.time()) // DAY * DAY
    unknown = set(options.peers.split(",")) - set(PEERS)
    if unknown:
        parser.error(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    return options


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
                 platform.machine())
    return f"{model}, {os.cpu_count()} cores, {datetime.date.today().isoformat()}"


def is_wanted(options, load):
    return not options.only or any(word in load for word in options.only)


def fill(peer_class, work, rows):
    """A peer with its data, stopped; `None` where it cannot be."""
    harness.shutil.rmtree(work / peer_class.name, ignore_errors=True)
    say(f"filling {peer_class.name}")
    peer = peer_class(work, rows)
    try:
        peer.prepare()
        started = time.monotonic()
        peer.build()
    except Missing as missing:
        say(f"skipping {peer.name}: {missing}")
        return None
    except BaseException:
        peer.stop()
        raise
    say(f"{peer.name}: {rows.count} rows in {time.monotonic() - started:.0f} s")
    return peer


def compare(options, work):
    rows = Rows(options.rows, options.end, work)
    facts = rows.facts()
    say(f"rows of the project: {facts['totals']}")
    values = collections.defaultdict(lambda: collections.defaultdict(list))
    if any(PEERS[name].serves for name in options.peers.split(",")):
        harness.need("wrk", "wrk")
    peers = [peer for peer in (fill(PEERS[name], work, rows) for name in options.peers.split(",")) if peer]
    try:
        measure(options, peers, facts, values)
    finally:
        for peer in peers:
            peer.stop()
    print_table(options, peers, values)
    return {"machine": machine(), "rows": options.rows, "facts": facts, "values": values}


def measure(options, peers, facts, values):
    at_rest(options, peers, values)
    loads = {name: load for name, load in reads(facts).items() if is_wanted(options, name)}
    servers = [peer for peer in peers if peer.serves]
    for peer in servers:
        connection = Connection(peer.port)
        for name, (asked, total) in loads.items():
            check(peer, connection, name, asked, total)
        connection.close()
    for number in range(options.repeat):
        for name, (asked, _) in loads.items():
            for peer in servers:
                connection = Connection(peer.port)
                values[name][peer.name].append(latency(connection, peer.read(**asked), 3.0))
                connection.close()
        say(f"reads: round {number + 1} of {options.repeat}")
    for number in range(options.repeat):
        for name, (clients, size) in WRITES.items():
            if is_wanted(options, name):
                for peer in peers:
                    # What the one before it left unwritten would hold up the next one's fsyncs.
                    os.sync()
                    values[name][peer.name].append(peer.rate(clients, size, options.seconds))
        say(f"writes: round {number + 1} of {options.repeat}")
    if is_wanted(options, "memory"):
        for peer in servers:
            values["memory after the loads"][peer.name].append(memory(peer.pids()))
    if is_wanted(options, "delete"):
        for peer in servers:
            if peer.can_delete():
                measure_delete(peer, values)


def check(peer, connection, name, asked, total):
    """A peer that answers something else is not measured."""
    if not asked or "offset" in asked:
        total += peer.own_rows
    expected = total, min(PAGE, total - asked.get("offset", 0))
    body = connection.good(peer.read(**asked))
    if (peer.total(body), peer.page(body)) != expected:
        raise RuntimeError(f"{peer.name}, {name}: total and rows {peer.total(body), peer.page(body)}, not {expected}")


def at_rest(options, peers, values):
    """Bytes, time to start, memory; leaves all servers running."""
    for peer in peers:
        values["bytes a row"][peer.name].append(peer.data_bytes() / options.rows)
        if peer.load_rate:
            values["bulk load"][peer.name].append(peer.load_rate)
    for peer in peers:
        if not peer.serves:
            continue
        for _ in range(options.repeat):
            peer.stop()
            begun = time.perf_counter()
            peer.start()
            values["start"][peer.name].append(time.perf_counter() - begun)
        time.sleep(2)
        values["idle memory"][peer.name].append(memory(peer.pids()))


#: Single writes beside the deletion: so many a second, on so many connections. Few, since it is not their rate but
#: their waiting that is measured; by the clock, so that one that waits does not hide those behind it.
PACE, PACERS = 200, 4


def paced_writes(peer, is_over):
    """The times of single writes in milliseconds until `is_over()`: from the moment each was due, and from the moment it
    was sent."""
    sent = peer.write()

    def write(number):
        connection, times = Connection(peer.port), []
        interval = PACERS / PACE
        due = time.perf_counter() + interval * number / PACERS
        while not is_over():
            wait = due - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            begun = time.perf_counter()
            connection.good(sent)
            answered = time.perf_counter()
            times.append(((answered - due) * 1e3, (answered - begun) * 1e3))
            due += interval
        connection.close()
        return times

    with concurrent.futures.ThreadPoolExecutor(PACERS) as pool:
        return [one for times in pool.map(write, range(PACERS)) for one in times]


def measure_delete(peer, values):
    """The oldest quarter of the rows goes beside single writes, the next one alone; once, for it cannot be repeated."""
    days = 547
    peer.before_delete(days)
    os.sync()
    until = time.monotonic() + 8
    alone = paced_writes(peer, lambda: time.monotonic() > until)
    over = threading.Event()

    def delete():
        try:
            begun = time.perf_counter()
            deleted = peer.delete(days)
            return deleted, time.perf_counter() - begun
        finally:
            over.set()

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        deleting = pool.submit(delete)
        beside = paced_writes(peer, over.is_set)
        deleted, seconds = deleting.result()
    say(f"{peer.name}: {deleted} rows deleted in {seconds:.1f} s beside writes")
    values["rows deleted a second beside writes"][peer.name].append(deleted / seconds)
    # The next quarter, with nobody beside it.
    days = 365
    peer.before_delete(days)
    begun = time.perf_counter()
    deleted = peer.delete(days)
    seconds = time.perf_counter() - begun
    say(f"{peer.name}: {deleted} rows deleted in {seconds:.1f} s alone")
    values["rows deleted a second alone"][peer.name].append(deleted / seconds)
    for name, times in (("alone", alone), ("beside it", beside)):
        for of, what in enumerate(("since due", "since sent")):
            ordered = [one[of] for one in times]
            values[f"p99 of writes {name}, {what}"][peer.name].append(percentile(ordered, 0.99))


#: Name, unit, decimals, whether less is better.
TABLE = [
    ("first page", "ms", 2, True), ("deep offset", "ms", 2, True), ("action filter", "ms", 2, True),
    ("from/to", "ms", 2, True), ("user filter", "ms", 2, True),
    ("insert, 1 client", "/s", 0, False), ("insert, 32 clients", "/s", 0, False),
    (f"rows in batches of {BATCH}", "/s", 0, False), ("bulk load", "/s", 0, False),
    ("rows deleted a second alone", "/s", 0, False), ("rows deleted a second beside writes", "/s", 0, False),
    ("p99 of writes alone, since sent", "ms", 1, True), ("p99 of writes beside it, since sent", "ms", 1, True),
    ("p99 of writes alone, since due", "ms", 1, True), ("p99 of writes beside it, since due", "ms", 1, True),
    ("bytes a row", "", 0, True), ("start", "s", 2, True), ("idle memory", "MiB", 0, True),
    ("memory after the loads", "MiB", 0, True),
]


def print_table(options, peers, values):
    """Medians; behind each peer's value how many times better mailtrail is (below 1: worse)."""
    print(f"{options.rows} rows, medians of {options.repeat} interleaved rounds; {machine()}\n")
    print("| | " + " | ".join(peer.name for peer in peers) + " |")
    print("|---" * (len(peers) + 1) + "|")
    for name, unit, decimals, is_less_better in TABLE:
        if name not in values:
            continue
        ours = median(values[name].get("mailtrail", []))
        cells = []
        for peer in peers:
            value = median(values[name].get(peer.name, []))
            if value is None:
                cells.append("")
                continue
            cell = f"{value:,.{decimals}f}"
            if ours and value and peer.name != "mailtrail":
                cell += f" ({value / ours if is_less_better else ours / value:.2g}×)"
            cells.append(cell)
        print(f"| {name}{', ' + unit if unit else ''} | " + " | ".join(cells) + " |")
    print("\nIn brackets: how many times better mailtrail is (below 1: worse).\n")
    for peer in peers:
        print(f"- {peer.name}: {peer.note}.")


def scale(options, work):
    """mailtrail alone at several sizes: every read beside the same at the smallest."""
    sizes = [int(size) for size in options.scale.split(",")]
    values = collections.defaultdict(lambda: collections.defaultdict(list))
    peers = {}
    try:
        for size in sizes:
            rows = Rows(size, options.end, work)
            facts = rows.facts()
            say(f"{size}: {facts['totals']}")
            peer = fill(MailtrailFilled if options.fill else Mailtrail, work / str(size), rows)
            if not peer:
                return {}
            peers[size] = peer
            values["bytes a row"][size].append(peer.data_bytes() / size)
            values["bulk load"][size].append(peer.load_rate)
            for _ in range(options.repeat):
                begun = time.perf_counter()
                peer.start()
                values["start"][size].append(time.perf_counter() - begun)
                peer.stop()
            peer.start()
            peer.loads = {name: load for name, load in reads(facts).items() if is_wanted(options, name)}
            time.sleep(2)
            values["idle memory"][size].append(memory(peer.pids()))
        for number in range(options.repeat):
            for size, peer in peers.items():
                connection = Connection(peer.port)
                for name, (asked, total) in peer.loads.items():
                    check(peer, connection, name, asked, total)
                    values[name][size].append(latency(connection, peer.read(**asked), 3.0))
                connection.close()
            say(f"round {number + 1} of {options.repeat}")
        for size, peer in peers.items():
            values["memory after the loads"][size].append(memory(peer.pids()))
    finally:
        for peer in peers.values():
            peer.stop()
    print_scale(options, sizes, values)
    return {"machine": machine(), "sizes": sizes, "values": values}


def print_scale(options, sizes, values):
    print(f"mailtrail at several sizes, medians of {options.repeat} rounds; {machine()}\n")
    print("| rows | " + " | ".join(f"{size:,}" for size in sizes) + " |")
    print("|---" * (len(sizes) + 1) + "|")
    for name, unit, decimals, _ in TABLE:
        if name not in values:
            continue
        smallest = median(values[name][sizes[0]])
        cells = []
        for size in sizes:
            value = median(values[name][size])
            cells.append(f"{value:,.{decimals}f}" + (f" ({value / smallest:.2f}×)" if size != sizes[0] else ""))
        print(f"| {name}{', ' + unit if unit else ''} | " + " | ".join(cells) + " |")
    print("\nIn brackets: the ratio to the smallest size.")


if __name__ == "__main__":
    main()
