"""The release binary as a user has it: a data directory, commands on it, and a server to start and stop.

The binary is target/release/mailtrail of this repository (CARGO_TARGET_DIR is honoured), or what MAILTRAIL_BINARY
names. Commands run in an environment without a setting in it.
"""

import contextlib
import json
import os
import pathlib
import pwd
import signal
import subprocess
import threading

import httpx

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
MAIL = sorted((REPOSITORY / "tests/mail").glob("*.eml"))
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target")
BINARY = os.environ.get("MAILTRAIL_BINARY") or str((REPOSITORY / TARGET / "release/mailtrail").resolve())

OWNER = "ada@example.org"
PASSWORD = "correct horse battery"
USER = "0190b3c8-5e4a-7cc1-8a1d-2f6f0c9b7e11"

# Nothing here is to take this long; a test that hangs fails by it.
PATIENCE = 300

ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith("MAILTRAIL_")
    and name not in ("SENDDOCK_LICENSE_KEY", "SUDO_USER", "DOAS_USER")
    and not name.lower().endswith("_proxy")
}


def operator():
    """As rows name whoever runs the tests at the command line."""
    name = f"operator {pwd.getpwuid(os.getuid()).pw_name}"
    login = int(pathlib.Path("/proc/self/loginuid").read_text() or 2**32 - 1)
    return f"{name} (login: {pwd.getpwuid(login).pw_name})" if os.getuid() == 0 and login not in (0, 2**32 - 1) else name


def run(*arguments, stdin="", exit_code=0, env=None, cwd=None):
    """Runs the binary; a wrong exit code fails the test with what it said."""
    done = subprocess.run(
        [BINARY, *map(str, arguments)],
        input=stdin if isinstance(stdin, bytes) else stdin.encode(),
        capture_output=True,
        env=ENVIRONMENT | (env or {}),
        cwd=cwd,
        timeout=PATIENCE,
    )
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == exit_code, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def ndjson(text):
    """Its objects. A line ends at its LF and nowhere else (`splitlines` knows more ends)."""
    *lines, rest = text.split("\n")
    assert rest == ""
    return [json.loads(line) for line in lines]


def bash(script, env=None, cwd=None):
    """Runs a line of a document; what it printed."""
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env=ENVIRONMENT | (env or {}),
        cwd=cwd,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, f"{script}: exit {done.returncode}\n{done.stderr.decode()}"
    return done.stdout.decode()


def node(module, *arguments, exit_code=0):
    """Runs an ES module given as text; what it printed."""
    done = subprocess.run(
        ["node", "--input-type=module", "-", *map(str, arguments)],
        input=module.encode(),
        capture_output=True,
        env=ENVIRONMENT,
        timeout=PATIENCE,
    )
    assert done.returncode == exit_code, f"exit {done.returncode}\n{done.stdout.decode()}\n{done.stderr.decode()}"
    return done.stdout.decode(), done.stderr.decode()


class Server:
    """A running `mailtrail serve` or `demo`; its first line is there when this is."""

    def __init__(self, arguments, log, env=None):
        self.log = log
        with open(log, "ab") as stderr:
            self.process = subprocess.Popen(
                [BINARY, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=ENVIRONMENT | (env or {}),
            )
        self.first_line = self.process.stdout.readline().decode().rstrip("\n")
        assert self.first_line, log.read_text()
        self.url = self.first_line
        self.client = httpx.Client(timeout=PATIENCE, trust_env=False)

    def stop(self, exit_code=0):
        """SIGTERM: the drain. What is left on standard output."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        rest, _ = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == exit_code, self.log.read_text()
        return rest.decode()

    def kill(self):
        """SIGKILL: no drain."""
        self.client.close()
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)

    def request(self, method, path, key=None, status=None, **more):
        headers = dict(more.pop("headers", {}))
        if key:
            headers["Authorization"] = f"Bearer {key}"
        answer = self.client.request(method, self.url + path, headers=headers, **more)
        if status is None:
            assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        else:
            assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def get(self, path, key=None, **more):
        return self.request("GET", path, key, **more)

    def post(self, path, key=None, body=None, **more):
        return self.request("POST", path, key, json=body, **more)


class Directory:
    """A data directory made by `mailtrail init`."""

    def __init__(self, place, settings=()):
        self.place = pathlib.Path(place)
        self.data = self.place / "data"
        self.log = self.place / "serve.log"
        self.flags = ["--data", self.data, *(f"--set={setting}" for setting in settings)]
        # While it serves, its own settings count, and a command's would be refused.
        self.is_served = False
        made = run(*self.flags, "--json", "init", "--email", OWNER, "--password-stdin", stdin=PASSWORD + "\n")
        self.made = json.loads(made.stdout)
        self.key = self.made["api_key"]

    def run(self, *arguments, **more):
        return run(*(self.flags[:2] if self.is_served else self.flags), *arguments, **more)

    def json(self, *arguments, **more):
        return json.loads(self.run("--json", *arguments, **more).stdout)

    def rows(self, *arguments, **more):
        """The objects of an NDJSON answer."""
        return ndjson(self.run("--json", *arguments, **more).stdout)

    @contextlib.contextmanager
    def serving(self, *arguments, env=None):
        server = Server([*self.flags, "serve", "--listen", "127.0.0.1:0", *arguments], self.log, env)
        self.is_served = True
        try:
            yield server
        except BaseException:
            server.kill()
            raise
        finally:
            self.is_served = False
        if server.process.poll() is None:
            assert server.stop() == ""


def in_threads(*works):
    """Runs functions at the same time; the first exception of any fails the test."""
    failures = []

    def guarded(work):
        try:
            work()
        except BaseException as failure:  # noqa: BLE001, handed to the test below
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    return threads, failures


def join(threads, failures):
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    if failures:
        raise failures[0]
