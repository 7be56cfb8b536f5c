"""What every benchmark needs and no peer is: processes, a keep-alive connection, wrk, memory, medians.

Nothing here leaves this machine but the installs by package name, and every server listens on loopback.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent


class Missing(Exception):
    """A peer that cannot run here, and why."""


def say(text):
    """Talk goes to standard error; standard output is the table."""
    print(text, file=sys.stderr, flush=True)


def run(arguments, **options):
    """Runs a command to its end and gives back what it printed."""
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    if done.returncode != 0:
        tail = (done.stderr or done.stdout).decode(errors="replace").strip()[-600:]
        raise RuntimeError(f"{arguments[0]} {arguments[1] if len(arguments) > 1 else ''}: {tail}")
    return done.stdout.decode()


def install(package):
    """Installs a Debian package where we may; whether it came, the caller sees."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"installing {package}")
        subprocess.run(["apt-get", "install", "-y", "-q", package], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def need(program, package):
    """The path of a program; installed when it is missing and we may."""
    if not shutil.which(program):
        install(package)
    found = shutil.which(program)
    if not found:
        raise Missing(f"{program} is not installed (package {package})")
    return found


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def cargo(*arguments):
    """Builds in release mode and gives back the directory of what was built."""
    run(["cargo", "build", "--release", "--quiet", *arguments], cwd=ROOT)
    target = json.loads(run(["cargo", "metadata", "--format-version=1", "--no-deps"], cwd=ROOT))["target_directory"]
    return pathlib.Path(target) / "release"


class Process:
    """A server that we started; `stop` ends it, and only it."""

    def __init__(self, arguments, log, **options):
        self.log = open(log, "ab")
        self.child = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, **options)

    def stop(self, wait=120):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(wait)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self.log.close()

    def is_alive(self):
        return self.child.poll() is None


def descendants(pid):
    """A process and all that it started."""
    found = [pid]
    for parent in found:
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                found.extend(int(child) for child in pathlib.Path(f"/proc/{parent}/task/{task}/children").read_text().split())
        except OSError:
            pass
    return found


def memory(pids):
    """Proportional set size of process trees, in MiB: shared pages count once."""
    total = 0
    for pid in {one for root in pids for one in descendants(root)}:
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))
    return total / 1024


def bytes_under(path):
    """What a file or a directory takes, as its files say."""
    path = pathlib.Path(path)
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def request(method, path, body=b"", headers=()):
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if body or method not in ("GET", "DELETE"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Connection:
    """One keep-alive connection; as little between the clock and the server as Python allows."""

    def __init__(self, port):
        self.port = port
        self.connect()

    def connect(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=600)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def close(self):
        self.socket.close()

    def ask(self, sent):
        """Sends a request and gives back status, headers and body."""
        self.socket.sendall(sent)
        while b"\r\n\r\n" not in self.rest:
            self.more()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        status = int(head[9:12])
        lower = head.lower()
        at = lower.find(b"content-length:")
        if at >= 0:
            length = int(lower[at + 15:].split(b"\r\n", 1)[0])
            pieces, have = [self.rest], len(self.rest)
            while have < length:
                piece = self.socket.recv(262144)
                if not piece:
                    raise ConnectionError("the answer was cut short")
                pieces.append(piece)
                have += len(piece)
            body = b"".join(pieces)
            body, self.rest = body[:length], body[length:]
        elif b"transfer-encoding: chunked" in lower:
            body = self.chunks()
        else:
            body = b""
        return status, head, body

    def more(self):
        piece = self.socket.recv(262144)
        if not piece:
            raise ConnectionError("the server closed the connection")
        self.rest += piece

    def chunks(self):
        pieces = []
        while True:
            while b"\r\n" not in self.rest:
                self.more()
            size, _, self.rest = self.rest.partition(b"\r\n")
            size = int(size, 16)
            while len(self.rest) < size + 2:
                self.more()
            pieces.append(self.rest[:size])
            self.rest = self.rest[size + 2:]
            if size == 0:
                return b"".join(pieces)

    def good(self, sent):
        """The body of an answer that must be a success."""
        status, _, body = self.ask(sent)
        if not 200 <= status < 300:
            raise RuntimeError(f"{sent[:120]!r}: {status} {body[:400]!r}")
        return body


def connect_when_up(port, sent, process, wait=300):
    """A connection that has had a good answer to `sent`; for the time from start to service."""
    deadline = time.monotonic() + wait
    while time.monotonic() < deadline:
        if not process.is_alive():
            raise RuntimeError(f"the server ended at its start; see {process.log.name}")
        try:
            connection = Connection(port)
            if 200 <= connection.ask(sent)[0] < 300:
                return connection
            connection.close()
        except (OSError, ValueError):
            pass
        time.sleep(0.005)
    raise RuntimeError(f"the server was not up after {wait} s; see {process.log.name}")


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def latency(connection, sent, seconds, least=5, most=400):
    """The median time of one request, in milliseconds: as many as fit into `seconds`."""
    connection.good(sent)
    times = []
    end = time.monotonic() + seconds
    while len(times) < least or (time.monotonic() < end and len(times) < most):
        begun = time.perf_counter_ns()
        connection.good(sent)
        times.append((time.perf_counter_ns() - begun) / 1e6)
    return statistics.median(times)


LUA = """-- Sends the prepared bodies one after the other, each thread from a place of its own.
local files = {{ {files} }}
local requests = {{}}
local at = 0
function init(arguments)
    for number, name in ipairs(files) do
        local file = io.open(name, "rb")
        local body = file:read("*a")
        file:close()
        requests[number] = wrk.format("POST", "{path}", {{ {headers} }}, body)
    end
end
function request()
    at = at % #requests + 1
    return requests[at]
end
"""


class Posts:
    """Bodies to be posted by wrk, kept as files that a generated Lua script reads."""

    def __init__(self, directory, path, headers, bodies):
        directory = pathlib.Path(directory)
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        names = []
        for number, body in enumerate(bodies):
            name = directory / f"{number:04}"
            name.write_bytes(body)
            names.append(str(name))
        fields = (header.split(": ", 1) for header in headers)
        self.script = directory / "post.lua"
        self.script.write_text(LUA.format(
            path=path, files=", ".join(json.dumps(name) for name in names),
            headers=", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in fields)))

    def rate(self, port, clients, seconds):
        """Good answers a second."""
        wrk = need("wrk", "wrk")
        threads = min(2, clients)
        printed = run([wrk, f"-t{threads}", f"-c{clients}", f"-d{seconds}s", "--timeout", "60s", "-s", str(self.script),
                       f"http://127.0.0.1:{port}"])
        answers = int(re.search(r"(\d+) requests in", printed).group(1))
        refused = re.search(r"Non-2xx or 3xx responses: (\d+)", printed)
        if refused and int(refused.group(1)) > 0:
            raise RuntimeError(f"{refused.group(1)} of {answers} writes were refused")
        return float(re.search(r"Requests/sec:\s+([\d.]+)", printed).group(1))
