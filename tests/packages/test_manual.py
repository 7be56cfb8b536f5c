"""The manual page and the completions, as man and bash take them."""

import os
import re
import subprocess

from support import run


def test_the_manual_page_has_every_command_and_setting(tmp_path):
    page = tmp_path / "mailtrail.1"
    page.write_text(run("man").stdout)
    environment = os.environ | {"MANWIDTH": "100", "LC_ALL": "C.UTF-8", "MAN_KEEP_FORMATTING": ""}
    shown = subprocess.run(
        ["man", "--warnings", "--local-file", page], capture_output=True, text=True, check=True, env=environment
    )
    assert shown.stderr == ""
    for heading in ["NAME", "SYNOPSIS", "OPTIONS", "COMMANDS", "SETTINGS", "FILES", "EXIT STATUS"]:
        assert re.search(rf"^{heading}$", shown.stdout, re.MULTILINE), heading
    commands = re.findall(r"^  ([a-z]+) ", run("--help").stdout, re.MULTILINE)
    assert {"serve", "key", "import", "man"} <= {*commands}
    for command in {*commands} - {"help", "mailtrail"}:
        assert re.search(rf"^ +mailtrail {command}\b", shown.stdout, re.MULTILINE), command
    settings = run("config").stdout.split("\n")[1:]
    for setting in filter(None, settings):
        assert re.search(rf"^ +{setting.split()[0]}\b", shown.stdout, re.MULTILINE), setting


def test_bash_completes(tmp_path):
    script = tmp_path / "completions"
    script.write_text(run("completions", "bash").stdout)
    complete = f"source {script}; COMP_WORDS=(mailtrail key cr); COMP_CWORD=2; _mailtrail mailtrail cr key"
    done = subprocess.run(
        ["bash", "-euc", complete + '; echo "${COMPREPLY[@]}"'], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["create"]
