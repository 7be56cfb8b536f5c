"""The metrics of the release binary, read by Prometheus' own promtool.

PROMTOOL names it; otherwise it is looked for on the PATH. Debian has it in the package prometheus.
"""

import os
import pathlib
import re
import subprocess
import sys

import httpx

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "vendor"))

from support import PATIENCE, USER, Directory  # noqa: E402


def promtool(text):
    """What it has to say; nothing, when all is well."""
    command = [os.environ.get("PROMTOOL", "promtool"), "check", "metrics"]
    done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=PATIENCE)
    said = (done.stdout + done.stderr).decode()
    assert (done.returncode == 0) == (said == ""), f"exit {done.returncode}: {said}"
    return said


def test_promtool_finds_nothing_wrong(tmp_path):
    directory = Directory(tmp_path, ["metrics_listen=127.0.0.1:0"])
    project = directory.json("project", "create", "--name", "Newsletter")["id"]
    with directory.serving() as server:
        path = f"/api/v1/projects/{project}/audit-log"
        server.post(path, directory.key, {"user_id": USER, "action": "a.b"})
        server.post(path, None, {}, status=401)
        server.get("/no/such/route", status=404)
        url = re.search(r"metrics without a key: (\S+)", directory.log.read_text())[1]
        for answer in (server.get("/metrics", directory.key), httpx.get(url, timeout=PATIENCE, trust_env=False)):
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert promtool(answer.text) == ""
            assert len(re.findall("^# TYPE ", answer.text, re.M)) >= 50
    # It would have said so.
    assert "no help text" in promtool(re.sub("# HELP mailtrail_build_info .*\n", "", answer.text))
    assert promtool(answer.text + answer.text) != ""
