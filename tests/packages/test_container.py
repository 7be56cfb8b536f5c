"""packaging/Containerfile, built and run by buildah without a container engine (`--isolation chroot`).

The base image is a folder with Debian 12 (MAILTRAIL_DEBIAN, see test_debian.py) and not the one from the registry.
What an engine adds, its own networks and the clock of the health check, is not tried here.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess

import httpx
import pytest

from support import BINARY, OWNER, PATIENCE, REPOSITORY

DEBIAN = pathlib.Path(os.environ["MAILTRAIL_DEBIAN"])


class Buildah:
    def __init__(self, place):
        self.command = ["buildah", "--root", place / "root", "--runroot", place / "run", "--storage-driver", "vfs"]

    def __call__(self, *arguments, exit_code=0):
        done = subprocess.run(
            [*self.command, *arguments], capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == exit_code, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()


@pytest.fixture
def buildah(tmp_path):
    buildah = Buildah(tmp_path)
    try:
        yield buildah
    finally:
        buildah("rm", "--all")


def descendants(pid):
    """Process ids below a process, with their names."""
    parents, names = {}, {}
    for status in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            text = status.read_text()
        except OSError:
            continue
        name, rest = text.split("(", 1)[1].rsplit(")", 1)
        parents[int(status.parent.name)], names[int(status.parent.name)] = int(rest.split()[1]), name
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {child: names[child] for child in found - {pid}}


def test_container(buildah, tmp_path):
    base = buildah("from", "scratch")
    buildah("add", "--quiet", base, DEBIAN, "/")
    buildah("commit", "--quiet", base, "localhost/debian-folder")
    context = tmp_path / "context"
    (context / "target/release").mkdir(parents=True)
    shutil.copy(BINARY, context / "target/release/mailtrail")
    build = ["bud", "--isolation", "chroot", "--format", "docker", "--pull-never", "--build-arg", "BASE=localhost/debian-folder"]
    buildah(*build, "-f", REPOSITORY / "packaging/Containerfile", "-t", "mailtrail", context)
    image = json.loads(buildah("inspect", "--type", "image", "mailtrail"))["Docker"]["config"]
    assert (image["User"], image["StopSignal"], list(image["Volumes"])) == ("7465:7465", "SIGTERM", ["/var/lib/mailtrail"])
    health = image["Healthcheck"]["Test"]
    assert health[0] == "CMD"

    container = buildah("from", "--pull-never", "mailtrail")
    run = ["run", "--isolation", "chroot", "--env", "MAILTRAIL_LISTEN=127.0.0.1:0", container, "--"]
    assert buildah(*run, "stat", "-c", "%u:%g %a", "/var/lib/mailtrail") == "7465:7465 700"
    made = json.loads(buildah(*run, *image["Entrypoint"], "--json", "init", "--email", OWNER))
    assert buildah(*run, "stat", "-c", "%u:%g %a", "/var/lib/mailtrail/mailtrail.db") == "7465:7465 600"
    # Nobody serves yet.
    buildah(*run, *health[1:], exit_code=2)

    serving = [*buildah.command, *run, *image["Entrypoint"], *image["Cmd"]]
    process = subprocess.Popen(serving, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().strip()
        key = {"Authorization": f"Bearer {made['api_key']}"}
        assert httpx.get(f"{url}/v1/enforcement/events", headers=key).json()["total"] == 0
        assert buildah(*run, *health[1:]) == "ready"
        (server,) = [pid for pid, name in descendants(process.pid).items() if name == "mailtrail"]
        assert os.stat(f"/proc/{server}").st_uid == 7465
        os.kill(server, getattr(signal, image["StopSignal"]))
        assert process.wait(PATIENCE) == 0
    finally:
        for pid in descendants(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()
