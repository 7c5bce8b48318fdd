# SPDX-License-Identifier: Apache-2.0
"""The completions of the shells."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from pyrunc.cli.flag_table import GLOBAL, VERBS
from pyrunc.commands.completion_scripts import SCRIPTS

# The lines of each shell with the global flags, and a flag in them that is not in a description.
GLOBAL_FLAGS = {
    "bash": (r"^    :\*\) _pyrunc_offer '(.*)' ;;$", r"--([a-z-]+)"),
    "zsh": (r"^_arguments -C (.*)$", r"'\*?--([a-z-]+)"),
    "fish": (r"""^complete -c pyrunc -n '__pyrunc_at "" 0' -l (.*)$""", r"^([a-z-]+)"),
}


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_the_shell_can_read_its_completion(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is missing: run `make` as root")
    text = SCRIPTS[shell](list(VERBS))
    done = subprocess.run(
        [shell, "-n", "/dev/stdin"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", sorted(SCRIPTS))
def test_a_global_flag_is_offered_once(shell: str) -> None:
    lines, flag = GLOBAL_FLAGS[shell]
    found = re.findall(lines, SCRIPTS[shell](list(VERBS)), re.MULTILINE)
    offered = [name for line in found for name in re.findall(flag, line)]
    wanted = [row[0] for row in GLOBAL if not row[6]]
    assert sorted(offered) == sorted({*wanted, "help"})
