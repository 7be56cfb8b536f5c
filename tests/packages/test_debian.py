"""The .deb and the .rpm in a Debian of their own: installed, started as the unit says, upgraded, removed, purged.

MAILTRAIL_PACKAGES names the folder of packages that packaging/build made, and made again with a higher version.
MAILTRAIL_DEBIAN names a Debian 12 made by `debootstrap --variant=minbase --include=systemd-standalone-sysusers`; it is
copied and stays as it is. There is no systemd in it: what it would do with the unit is done here.
"""

import configparser
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess

import httpx
import pytest

from support import OWNER, PASSWORD, PATIENCE

PACKAGES = pathlib.Path(os.environ["MAILTRAIL_PACKAGES"])
DEBIAN = pathlib.Path(os.environ["MAILTRAIL_DEBIAN"])

DATA = "/var/lib/mailtrail"
CONFIGURATION = "/etc/mailtrail/mailtrail.toml"
UNIT = "/usr/lib/systemd/system/mailtrail.service"


class Root:
    """A Debian to change."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        subprocess.run(["cp", "-a", "--reflink=auto", f"{DEBIAN}/.", self.path], check=True)
        # Nothing of the machine's own, and no terminal to ask at.
        self.environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}

    def __truediv__(self, path):
        return self.path / str(path).lstrip("/")

    def run(self, *command, stdin="", user=None, exit_code=0):
        done = subprocess.run(
            ["chroot", *([f"--userspec={user}:{user}"] if user else []), self.path, *map(str, command)],
            input=stdin,
            text=True,
            capture_output=True,
            env=self.environment,
            timeout=PATIENCE,
        )
        assert done.returncode == exit_code, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def owner_and_mode(self, path):
        return self.run("stat", "-c", "%U:%G %a", path).strip()

    def copy_in(self, file):
        shutil.copy(file, self / "/tmp")
        return f"/tmp/{file.name}"

    def unit(self):
        """What the unit sets; of a setting that is there more than once the last."""
        parser = configparser.RawConfigParser(strict=False, interpolation=None)
        parser.optionxform = str
        parser.read(self / UNIT)
        return parser

    def serve(self):
        """Starts it as the unit does: its command, its user, its mask, its place."""
        service = self.unit()["Service"]
        command = shlex.split(service["ExecStart"])
        return Serving(self, service["User"], int(service["UMask"], 8), command)

    def mailtrail(self, *arguments, stdin="", user="mailtrail"):
        return self.run("mailtrail", "--data", DATA, *arguments, stdin=stdin, user=user)


class Serving:
    def __init__(self, root, user, umask, command):
        self.process = subprocess.Popen(
            ["chroot", f"--userspec={user}:{user}", root.path, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            umask=umask,
            # A port of our own; with the unit it would stand in /etc/mailtrail/environment.
            env=root.environment | {"MAILTRAIL_LISTEN": "127.0.0.1:0"},
        )
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://"), self.process.communicate(timeout=PATIENCE)[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, errors


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path / "debian")


def package(kind, n):
    """The package, and the one with a higher version."""
    found = sorted(PACKAGES.glob(f"*.{kind}"))
    assert len(found) == 2, found
    return found[n]


def initialise(root):
    made = root.mailtrail("--json", "init", "--email", OWNER, "--password-stdin", stdin=PASSWORD + "\n")
    return json.loads(made)


def is_served(root, made, tenants):
    """It answers over HTTP and on the command line, as its user and as root."""
    with root.serve() as serving:
        assert httpx.get(f"{serving.url}/readyz").json()["status"] == "ready"
        key = {"Authorization": f"Bearer {made['api_key']}"}
        assert httpx.get(f"{serving.url}/v1/enforcement/events", headers=key).json()["total"] == 0
        assert root.mailtrail("health").strip() == "ready"
        root.mailtrail("tenant", "create", "--name", tenants[-1], user=None)
        listed = json.loads(root.mailtrail("--json", "tenant", "list"))["tenants"]
        assert sorted(tenant["tenant_name"] for tenant in listed) == sorted(tenants)
        modes = {path.name: root.owner_and_mode(f"{DATA}/{path.name}") for path in (root / DATA).iterdir()}
        assert {"mailtrail.db", "mailtrail.db-wal", "mailtrail.sock", "issuer.key"} <= modes.keys()
        assert set(modes.values()) == {"mailtrail:mailtrail 600"}, modes
    root.run("mailtrail", "--data", DATA, "health", exit_code=2)


def is_installed(root):
    assert root.owner_and_mode(DATA) == "mailtrail:mailtrail 700"
    for path, mode in {
        "/usr/bin/mailtrail": 755,
        UNIT: 644,
        UNIT.replace(".service", ".socket"): 644,
        "/usr/lib/sysusers.d/mailtrail.conf": 644,
        "/usr/share/man/man1/mailtrail.1.gz": 644,
        "/usr/share/bash-completion/completions/mailtrail": 644,
        "/usr/share/fish/vendor_completions.d/mailtrail.fish": 644,
    }.items():
        assert root.owner_and_mode(path) == f"root:root {mode}", path
    # It may hold a key.
    assert root.owner_and_mode(CONFIGURATION) == "root:mailtrail 640"
    account = root.run("getent", "passwd", "mailtrail").strip().split(":")
    assert account[5:] == [DATA, "/usr/sbin/nologin"]
    assert root.run("getent", "shadow", "mailtrail").split(":")[1].startswith("!")
    assert root.unit()["Service"]["StateDirectory"] == pathlib.Path(DATA).name


def test_deb(root):
    first, second = root.copy_in(package("deb", 0)), root.copy_in(package("deb", 1))
    root.run("dpkg", "-i", first)
    is_installed(root)
    # Nothing to serve yet: it is not enabled, and a start is refused with what to do.
    assert not list(root.path.glob("etc/systemd/system/*/mailtrail.service"))
    refused = subprocess.run(
        ["chroot", "--userspec=mailtrail:mailtrail", root.path, *shlex.split(root.unit()["Service"]["ExecStart"])],
        capture_output=True,
        text=True,
        env=root.environment,
    )
    assert refused.returncode == 78 and "mailtrail init" in refused.stderr
    made = initialise(root)
    is_served(root, made, ["before"])

    configuration = root / CONFIGURATION
    edited = configuration.read_text().replace('#log = "info"', 'log = "warn"')
    configuration.write_text(edited)
    root.run("dpkg", "-i", second)
    version = root.run("dpkg-query", "-W", "-f", "${Version}", "mailtrail")
    assert version == re.search(r"_(.+)_", package("deb", 1).name)[1]
    assert configuration.read_text() == edited
    is_installed(root)
    is_served(root, made, ["before", "upgraded"])
    shown = json.loads(root.run("mailtrail", "--config", CONFIGURATION, "--json", "config"))
    assert shown["log"] == {"value": "warn", "origin": f"file {CONFIGURATION}"}

    root.run("dpkg", "-r", "mailtrail")
    assert not (root / "/usr/bin/mailtrail").exists()
    assert configuration.read_text() == edited
    (root / "/etc/mailtrail/environment").write_text("MAILTRAIL_LOG=info\n")
    said = root.run("dpkg", "--purge", "mailtrail")
    assert not configuration.parent.exists()
    # The configuration is gone; the audit log is there, and it says where.
    assert f"the audit log stays in {DATA}" in said
    assert root.owner_and_mode(f"{DATA}/mailtrail.db") == "mailtrail:mailtrail 600"
    assert root.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}\n", "*").count("ii") > 50
    # Whoever installs it again finds everything.
    root.run("dpkg", "-i", second)
    is_served(root, made, ["before", "upgraded", "again"])


def test_deb_purged_before_it_was_used_leaves_nothing(root):
    root.run("dpkg", "-i", root.copy_in(package("deb", 0)))
    assert "stays" not in root.run("dpkg", "--purge", "mailtrail")
    assert not (root / DATA).exists()
    left = root.run("find", "/", "-xdev", "-path", "/tmp", "-prune", "-o", "-name", "*mailtrail*", "-print")
    assert left.split() == []


def rpm(root, *arguments):
    """Debian's rpm on the folder."""
    command = ["rpm", "--root", root.path, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=root.environment)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_rpm(root):
    (root / "/var/lib/rpm").mkdir(exist_ok=True)
    # The database of rpm is empty there: what it requires Debian has under other names.
    rpm(root, "-i", "--nodeps", package("rpm", 0))
    is_installed(root)
    requires = rpm(root, "-q", "--requires", "mailtrail")
    assert "systemd >= 250" in requires and "libc.so.6" in requires
    assert rpm(root, "-q", "--configfiles", "mailtrail").split() == [CONFIGURATION]
    assert DATA not in rpm(root, "-q", "--list", "mailtrail").split()
    made = initialise(root)
    is_served(root, made, ["before"])
    configuration = root / CONFIGURATION
    edited = configuration.read_text().replace('#log = "info"', 'log = "warn"')
    configuration.write_text(edited)
    rpm(root, "-U", "--nodeps", package("rpm", 1))
    assert configuration.read_text() == edited
    is_installed(root)
    is_served(root, made, ["before", "upgraded"])
    rpm(root, "-e", "mailtrail")
    assert not (root / "/usr/bin/mailtrail").exists()
    assert configuration.with_name("mailtrail.toml.rpmsave").read_text() == edited
    assert root.owner_and_mode(f"{DATA}/mailtrail.db") == "mailtrail:mailtrail 600"
