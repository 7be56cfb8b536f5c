"""The release binary under slow and idle clients, and short of descriptors and threads.

    tests/hostile/load.py [--seconds 30]    10,000 connections of each kind; about ten minutes, as root
    tests/hostile/load.py --small           300 of each and shorter, for .ci/run; asserts no durations

Each attack holds its number of connections for a while, opening a new one (at most RATE a second) for each that the
server ends. They come from one address, 127.0.0.2, or from many of 127.0.0.0/8; 127.0.0.1 would be excepted from the
limit of an address, as a trusted proxy. All the while a healthy client from another address opens a connection every
50 ms, asks /healthz and notes how long the answer took, and the server's memory, threads and descriptors are looked
at. Afterwards they have to be what they were before. The same client asks a trivial server that nobody attacks: how
long that takes is the machine's own, and the 99th percentile of /healthz may be 100 ms above it.

With slowhttptest (Debian) installed, or named by SLOWHTTPTEST, its three attacks follow; the binary is
target/release/mailtrail or what MAILTRAIL_BINARY names.
"""

import argparse
import atexit
import json
import multiprocessing
import os
import pathlib
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "vendor"))

from support import BINARY, ENVIRONMENT  # noqa: E402

# New connections a second, of one attack.
RATE = 1000
# Files of the connections that read the database, which stay open once they were needed.
READERS = 24
# How often an attacker sends, or reads, a little.
DRIP = 4.0
# A user that has no other processes: a limit on processes counts all of a user's, and does not bind root.
NOBODY = 61184
CAP = 1024


class Served:
    """A server on a new data directory."""

    def __init__(self, *settings, files=8192, processes=None, uid=None):
        self.place = tempfile.mkdtemp(prefix="mailtrail-load-")
        binary = shutil.copy(BINARY, self.place + "/mailtrail")
        who = {}
        if uid is not None:
            os.chmod(self.place, 0o711)
            os.mkdir(self.place + "/home")
            os.chown(self.place + "/home", uid, uid)
            who = {"user": uid, "group": uid, "extra_groups": []}
        data = self.place + ("/home/data" if uid is not None else "/data")
        base = [binary, "--data", data, "--set=log=warn", *(f"--set={setting}" for setting in settings)]
        made = subprocess.run(
            [*base, "--json", "init", "--email", "ada@example.org"],
            check=True, capture_output=True, env=ENVIRONMENT, **who,
        )
        self.key = json.loads(made.stdout)["api_key"]

        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
            if processes:
                resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))

        self.log = open(self.place + "/log", "wb")
        self.process = subprocess.Popen(
            [*base, "serve", "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE, stderr=self.log, preexec_fn=limit, env=ENVIRONMENT, **who,
        )
        # Also when this fails half-way.
        atexit.register(self.process.kill)
        url = self.process.stdout.readline().decode().strip()
        self.port = int(url.rpartition(":")[2])

    @property
    def pid(self):
        return self.process.pid

    def sample(self):
        """(resident MiB, threads, descriptors)"""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        number = lambda name: int(re.search(rf"^{name}:\s+(\d+)", status, re.M)[1])  # noqa: E731
        return number("VmRSS") / 1024, number("Threads"), len(os.listdir(f"/proc/{self.pid}/fd"))

    def metric(self, name):
        text = ask(self.port, "/metrics", key=self.key).decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.M))

    def fill(self):
        """Some six megabytes to be read."""
        def post(path, body, media_type):
            head = (
                f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {self.key}\r\nConnection: close\r\n"
                f"Content-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            with connect(self.port, "127.9.9.9", 60) as client:
                client.sendall(head.encode() + body)
                answer = b"".join(iter(lambda: client.recv(65536), b""))
            assert answer.startswith(b"HTTP/1.1 201 "), answer[:300]
            return answer.partition(b"\r\n\r\n")[2]

        made = post("/api/v1/admin/tenants", b'{"name":"Acme"}', "application/json")
        event = {
            "tenant_id": json.loads(made)["id"], "mailbox_address": "sales@a.example", "action_taken": "blocked",
            "sent_count": 26, "limit_value": 25, "message": "x" * 200,
        }
        post("/v1/enforcement/events", (json.dumps(event) + "\n").encode() * 15_000, "application/x-ndjson")

    def stop(self):
        assert self.process.poll() is None, pathlib.Path(self.place, "log").read_text()[-2000:]
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0, pathlib.Path(self.place, "log").read_text()[-2000:]
        log = pathlib.Path(self.place, "log").read_text()
        assert "panicked" not in log, log[-2000:]
        shutil.rmtree(self.place)


def connect(port, source, timeout=10):
    return socket.create_connection(("127.0.0.1", port), timeout, (source, 0))


def ask(port, path="/healthz", source="127.9.9.9", key=None, timeout=10):
    """The body of a 200, over a connection of its own."""
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    with connect(port, source, timeout) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n{authorization}Connection: close\r\n\r\n".encode())
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise OSError(f"not a 200: {answer[:100]!r}")
    return answer.partition(b"\r\n\r\n")[2]


# ------------------------------------------------------------------------------------------------ the attackers

BEGINNINGS = {
    "idle": b"",
    "slow head": b"GET /healthz HTTP/1.1\r\nHost: a\r\n",
    "slow body": b"POST /api/v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n{",
    # By somebody who may read: nobody else gets an answer too large for the buffers between.
    "slow read": b"GET /v1/enforcement/events?format=ndjson HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\n\r\n",
}
DRIPS = {"slow head": b"X-A: b\r\n", "slow body": b" "}


def attack(port, kind, n, sources, seconds, key):
    """Holds `n` connections; runs in a process of its own. Prints how many it opened and how many were ended."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (n + 100, n + 100))
    poll = select.epoll()
    held, opened, ended, refused = {}, 0, 0, 0
    start = time.monotonic()
    next_drip = start + DRIP
    while (now := time.monotonic()) < start + seconds:
        while len(held) < n and opened < RATE * (now - start):
            client = socket.socket()
            if kind == "slow read":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            opened += 1
            try:
                client.bind((sources[opened % len(sources)], 0))
                client.settimeout(2)
                client.connect(("127.0.0.1", port))
                client.setblocking(False)
                client.send(BEGINNINGS[kind].replace(b"KEY", key.encode()))
            except OSError:
                refused += 1
                client.close()
                break
            held[client.fileno()] = client
            poll.register(client, select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR)
        for number, _ in poll.poll(0.01):
            # The next connection takes its number.
            held.pop(number).close()
            ended += 1
        if now >= next_drip:
            next_drip = now + DRIP
            for client in held.values():
                try:
                    client.recv(16) if kind == "slow read" else client.send(DRIPS.get(kind, b""))
                except OSError:
                    pass
    print(json.dumps({"opened": opened, "ended": ended, "refused": refused, "held": len(held)}))


def start_attack(served, kind, n, sources, seconds):
    attacker = [served.port, kind, n, sources, seconds, served.key]
    arguments = [sys.executable, __file__, "--attack", json.dumps(attacker)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE)


ONE = ["127.0.0.2"]
MANY = [f"127.{1 + at // 200}.{at % 200}.1" for at in range(400)]


# ------------------------------------------------------------------------------------------------ the onlookers

# Attacks under which /healthz took too long; told when all are through.
TOO_SLOW = []

def serve_trivially(listener):
    """What any request gets here, one connection at a time."""
    while True:
        client, _ = listener.accept()
        with client:
            client.recv(4096)
            client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")


class Watch(threading.Thread):
    """The healthy client, and the figures of the process, every 50 ms until `finish`."""

    def __init__(self, served):
        super().__init__()
        self.served, self.stopped = served, threading.Event()
        self.took, self.trivial, self.failures, self.peak = [], [], [], (0, 0, 0)
        listener = socket.create_server(("127.0.0.1", 0))
        self.control = multiprocessing.Process(target=serve_trivially, args=[listener], daemon=True)
        self.control.start()
        self.control_port = listener.getsockname()[1]
        self.start()

    def run(self):
        while not self.stopped.wait(0.05):
            for port, took in ((self.served.port, self.took), (self.control_port, self.trivial)):
                begun = time.monotonic()
                try:
                    ask(port)
                    took.append((time.monotonic() - begun) * 1000)
                except OSError as error:
                    self.failures.append(repr(error))
            self.peak = tuple(map(max, self.peak, self.served.sample()))

    def finish(self):
        self.stopped.set()
        self.join()
        self.control.terminate()
        self.control.join()
        self.took.sort()
        self.trivial.sort()
        return self


def percentile(sorted_values, share):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]


def await_idle(served, before, patience=60):
    """Seconds until threads and descriptors are what they were."""
    begun = time.monotonic()
    while True:
        _, threads, files = served.sample()
        if threads <= before[1] + 1 and files <= before[2] + READERS:
            return time.monotonic() - begun
        assert time.monotonic() < begun + patience, f"not back to idle: {threads} threads, {files} descriptors"
        time.sleep(0.02)


def storm(served, name, run, small):
    """One attack and what the onlookers saw of it."""
    for _ in range(3):
        ask(served.port)
    before = served.sample()
    watch = Watch(served)
    outcome = run()
    watch.finish()
    idle = await_idle(served, before)
    (memory, threads, files), took = watch.peak, watch.took
    print(
        f"{name:28} healthz {len(took)} ok, {len(watch.failures)} failed, p50 {percentile(took, 0.5):.1f} ms, "
        f"p99 {percentile(took, 0.99):.1f} ms, max {took[-1]:.1f} ms (trivial server: p99 "
        f"{percentile(watch.trivial, 0.99):.1f} ms, max {watch.trivial[-1]:.1f} ms); {memory:.0f} MiB, {threads} threads, "
        f"{files} descriptors; idle again after {idle:.2f} s; {outcome}",
        flush=True,
    )
    assert not watch.failures, watch.failures[:5]
    assert threads <= CAP + 20, threads
    assert memory < 200, memory
    if not small and percentile(took, 0.99) > 100 + percentile(watch.trivial, 0.99):
        TOO_SLOW.append(name)


def hold(served, kind, n, sources, seconds):
    def run():
        attacker = start_attack(served, kind, n, sources, seconds)
        return json.loads(attacker.communicate()[0])

    return run


def slow_clients(n, seconds, small):
    served = Served()
    served.fill()
    for kind in BEGINNINGS:
        for who, sources in (("one address", ONE), (f"{len(MANY)} addresses", MANY)):
            storm(served, f"{kind}, {who}", hold(served, kind, n, sources, seconds), small)
    accepted = served.metric("mailtrail_http_connections_accepted_total")
    print(f"accepted {accepted:.0f}, pushed out {served.metric('mailtrail_http_connections_pushed_out_total'):.0f}, "
          f"turned away {served.metric('mailtrail_http_connections_turned_away_total'):.0f}, "
          f"408 {served.metric('mailtrail_http_refused_total'):.0f}")
    served.stop()


def slowhttptest(n, seconds):
    program = os.environ.get("SLOWHTTPTEST") or shutil.which("slowhttptest")
    if not program:
        print("slowhttptest is not installed: left out")
        return
    # It comes from 127.0.0.1: once bound by the limit of an address, once excepted from it.
    for who, settings in (("bound", ["trusted_proxies="]), ("excepted", [])):
        served = Served(*settings)
        for kind, options in (
            ("head", ["-H", "-i", "4", "-x", "24"]),
            ("body", ["-B", "-i", "4", "-s", "100000", "-x", "24", "-t", "POST"]),
            ("read", ["-X", "-w", "16", "-y", "32", "-n", "4", "-z", "5", "-k", "10"]),
        ):
            path = "api/v1/auth/login" if kind == "body" else "healthz"

            def run():
                url = f"http://127.0.0.1:{served.port}/{path}"
                command = [program, *options, "-c", str(n), "-r", str(RATE), "-l", str(seconds), "-u", url]
                done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL)
                assert done.returncode == 0, done
                said = re.sub(r"\x1b\[[0-9;]*m", "", (done.stdout + done.stderr).decode(errors="replace"))
                last = {name: re.findall(rf"{name}:\s+(\d+)", said) for name in ("connected", "error", "closed")}
                return {name: max(map(int, values), default=None) for name, values in last.items()}

            storm(served, f"slowhttptest {kind}, {who}", run, False)
        served.stop()


# ------------------------------------------------------------------------------------------------ short of something

def recovery(served):
    """Seconds until a healthy client is answered."""
    begun = time.monotonic()
    while True:
        try:
            ask(served.port, timeout=1)
            return time.monotonic() - begun
        except OSError:
            assert time.monotonic() < begun + 30, "it does not recover"
            time.sleep(0.01)


def starve(name, served, n, seconds, small, starving=lambda: None, feed=lambda: None):
    """An attack on a server that cannot have what it needs: it may refuse while that lasts, and no longer."""
    ask(served.port)
    before = served.sample()
    starving()
    attacker = start_attack(served, "idle", n, MANY, seconds)
    answered, refused = 0, 0
    while attacker.poll() is None:
        try:
            ask(served.port, timeout=1)
            answered += 1
        except OSError:
            refused += 1
        time.sleep(0.05)
    feed()
    took = recovery(served)
    idle = await_idle(served, before)
    failures = served.metric("mailtrail_http_accept_failures_total")
    print(
        f"{name:28} {json.loads(attacker.communicate()[0])}; healthz {answered} ok, {refused} refused meanwhile; answered "
        f"{took:.2f} s after it, idle again after {took + idle:.2f} s; the system refused {failures:.0f} times",
        flush=True,
    )
    assert small or took < 1, took
    served.stop()
    return refused, failures


def shortages(n, seconds, small):
    # The number of connections is fitted to the limit, so that nobody is refused at all.
    refused, _ = starve("256 descriptors", Served(files=256), n, seconds, small)
    assert small or refused == 0, refused
    # Taken away from a running process, `accept` itself fails.
    served = Served(files=256)

    def limit(files):
        resource.prlimit(served.pid, resource.RLIMIT_NOFILE, (files, 256))

    now = served.sample()[2]
    _, failures = starve(
        "30 descriptors left", served, n, seconds, small, lambda: limit(now + 30), lambda: limit(256)
    )
    assert failures > 0, "the limit was never met"
    if os.geteuid() != 0:
        print("not root: the limit of threads is left out")
        return
    _, failures = starve("60 threads", Served(processes=60, uid=NOBODY), n, seconds, small)
    assert failures > 0, "the limit was never met"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--attack", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.attack:
        attack(*json.loads(options.attack))
        return
    if options.small:
        slow_clients(300, 3, True)
        shortages(300, 3, True)
        return
    slow_clients(10_000, options.seconds, False)
    slowhttptest(10_000, options.seconds)
    shortages(2_000, options.seconds / 2, False)
    assert not TOO_SLOW, TOO_SLOW


if __name__ == "__main__":
    main()
