"""Runs the README's console blocks as one session, with the release binary, and compares what it prints.

A line that begins with `$ ` is a command, the lines after it are its whole output. The commands run in one shell, in
order, in an empty directory, so that a variable set in one block is there in the next. Only the port is another.
"""

import os
import pathlib
import re
import socket
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
PORT = "127.0.0.1:7465"


def commands():
    """(command, expected output) of every console block, in order."""
    text = (ROOT / "README.md").read_text()
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.S | re.M):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append([line[2:], []])
            else:
                found[-1][1].append(line)
    return found


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_every_console_block_prints_what_it_shows(tmp_path):
    steps = commands()
    assert len(steps) > 30, "the README has lost its examples"
    listen = f"127.0.0.1:{free_port()}"
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
    environment = {
        **os.environ, "PATH": f"{target}:{os.environ['PATH']}", "MAILTRAIL_LISTEN": listen, "HOME": str(tmp_path),
    }
    mark = "--- end of step"
    script = ["set -o pipefail", "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT"]
    for command, _ in steps:
        script += [command.replace(PORT, listen), f"echo; echo '{mark}' $?"]
    shell = subprocess.run(
        ["bash"], input="\n".join(script), cwd=tmp_path, env=environment, text=True, capture_output=True, timeout=120
    )
    outputs = shell.stdout.split(f"\n{mark} ")
    assert len(outputs) == len(steps) + 1, shell.stdout + shell.stderr
    status = [output.split("\n", 1)[0] for output in outputs[1:]]
    bodies = [outputs[0]] + [output.split("\n", 1)[1] for output in outputs[1:]]
    for (command, expected), code, printed in zip(steps, status, bodies):
        shown = "\n".join(expected).replace(PORT, listen)
        assert code == "0", f"$ {command}\nexit {code}\n{printed}\n{shell.stderr}"
        assert printed.strip("\n") == shown.strip("\n"), f"$ {command}\n{shell.stderr}"
