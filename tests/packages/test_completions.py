# SPDX-License-Identifier: Apache-2.0
"""What bash, zsh and fish offer, asked of the shells themselves."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
COMPLETIONS = TREE / "completions"
PROGRAM = """#!/bin/sh
[ "$1" = --root ] && root=$2 && shift 2
[ "$*" = "list -q" ] || exit 1
case ${root:-default} in
default) echo by-default ;;
*) ls "$root" ;;
esac
"""
Offer = Callable[[str], set[str]]


@pytest.fixture
def surroundings(tmp_path: Path) -> Path:
    """A directory with a pyrunc that lists what is in a state directory, and such a directory."""
    program = tmp_path / "bin/pyrunc"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    for name in ("web-1", "web-2"):
        (tmp_path / "state" / name).mkdir(parents=True)
    (tmp_path / "mounts.json").write_text("")
    (tmp_path / "bundle").mkdir()
    return tmp_path


def environment(directory: Path) -> dict[str, str]:
    path = f"{directory}/bin:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(directory), "LC_ALL": "C.UTF-8", "TERM": "dumb"}


def ask_bash(line: str, directory: Path) -> set[str]:
    """Fill in what readline would, with its word breaks, and read the answer."""
    words = [part for word in line.split(" ") for part in re.split("(=)", word) if part]
    if line.endswith(" "):
        words.append("")
    listed = " ".join(map(shlex.quote, words))
    script = (
        f". {COMPLETIONS}/pyrunc.bash; COMP_WORDS=({listed}); COMP_CWORD={len(words) - 1};"
        ' _pyrunc; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        cwd=directory,
        env=environment(directory),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def ask_fish(line: str, directory: Path) -> set[str]:
    script = f"source {COMPLETIONS}/pyrunc.fish; complete -C {shlex.quote(line)}"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        cwd=directory,
        env=environment(directory),
        capture_output=True,
        text=True,
        check=True,
    )
    return {offer.split("\t")[0].rstrip("/") for offer in done.stdout.splitlines()}


ZSH_SETUP = """\
autoload -Uz compinit && compinit -u -D
compdef _pyrunc pyrunc
zstyle ':completion:*' list-prompt ''
# What would be shown is written to a file.
compadd() {
    local -a given
    builtin compadd -O given "$@"
    print -rl -- $given >>$ANSWER
    builtin compadd "$@"
}
done-now() { print -r -- END >>$ANSWER; exit }
zle -N done-now
bindkey '^T' done-now
"""


def ask_zsh(line: str, directory: Path) -> set[str]:
    """Type the line and a tab into an interactive shell."""
    answer = directory / "answer"
    answer.unlink(missing_ok=True)
    (directory / ".zshrc").write_text(f"fpath=({COMPLETIONS} $fpath)\n{ZSH_SETUP}")
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(directory)
        env = {**environment(directory), "ZDOTDIR": str(directory), "ANSWER": str(answer)}
        os.execvpe("zsh", ["zsh", "-i"], env)
    try:
        os.write(master, f"{line}\t\x14".encode())
        deadline = time.monotonic() + 20
        while not (answer.exists() and "END" in answer.read_text().split()):
            assert time.monotonic() < deadline, "zsh does not answer"
            if select.select([master], [], [], 0.05)[0]:
                try:
                    os.read(master, 4096)
                except OSError:  # the shell has ended
                    time.sleep(0.05)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(master)
    return set(answer.read_text().split()) - {"END"}


SHELLS = {"bash": ask_bash, "fish": ask_fish, "zsh": ask_zsh}


@pytest.fixture(params=sorted(SHELLS))
def offer(request: pytest.FixtureRequest, surroundings: Path) -> Offer:
    """Ask one of the shells what it offers at the end of a line."""
    if not shutil.which(request.param):
        pytest.skip(f"{request.param} is missing")
    ask = SHELLS[request.param]
    return lambda line: ask(line.replace("STATE", f"{surroundings}/state"), surroundings)


def test_commands_and_global_flags(offer: Offer) -> None:
    assert {"create", "mounts"} <= offer("pyrunc ")
    assert "--root" in offer("pyrunc --ro")


def test_ids_are_those_of_the_default_directory(offer: Offer) -> None:
    assert offer("pyrunc state ") == {"by-default"}


@pytest.mark.parametrize("flag", ["--root STATE", "--root=STATE"])
def test_ids_are_those_below_the_root_that_was_typed(offer: Offer, flag: str) -> None:
    assert offer(f"pyrunc {flag} delete ") == {"web-1", "web-2"}


def test_a_new_container_has_no_id_to_offer(offer: Offer) -> None:
    assert not {"by-default"} & offer("pyrunc create ")


def test_signals_come_after_the_id(offer: Offer) -> None:
    assert {"TERM", "KILL", "USR1"} <= offer("pyrunc kill web-1 ")
    assert "TERM" not in offer("pyrunc kill ")


def test_the_words_of_a_command_come_before_its_id_and_its_file(offer: Offer) -> None:
    assert offer("pyrunc mounts ") == {"add", "remove"}
    assert offer("pyrunc --root STATE mounts add ") == {"web-1", "web-2"}
    assert "mounts.json" in offer("pyrunc mounts add web-1 mo")


def test_the_shells_of_completion(offer: Offer) -> None:
    assert offer("pyrunc completion ") == {"bash", "zsh", "fish"}


def test_formats_are_those_of_the_command(offer: Offer) -> None:
    assert offer("pyrunc list --format ") == {"table", "json"}
    assert offer("pyrunc check --format ") >= {"text", "json"}


def test_a_bundle_is_a_directory(offer: Offer) -> None:
    found = offer("pyrunc check ")
    assert "bundle" in found
    assert "mounts.json" not in found


def test_a_flag_without_value_does_not_swallow_the_id(offer: Offer) -> None:
    """-f takes a file for some commands, and nothing for delete."""
    assert offer("pyrunc delete -f ") == {"by-default"}


def test_a_signal_is_completed_by_its_beginning(offer: Offer) -> None:
    assert "TERM" in offer("pyrunc kill web-1 TE")
    assert "KILL" not in offer("pyrunc kill web-1 TE")
