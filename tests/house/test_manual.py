# SPDX-License-Identifier: Apache-2.0
"""Man pages and completions follow the flag table."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyrunc.cli.flag_table import GLOBAL, VERBS
from tools import manual, manual_text

TREE = Path(__file__).resolve().parents[2]
VERB_PAGES = manual.verbs()


def page(name: str) -> str:
    return (TREE / "docs/man" / name).read_text().replace("\\-", "-")


def test_the_committed_pages_and_completions_are_current() -> None:
    done = subprocess.run(
        [sys.executable, TREE / "tools/manual.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_command_has_a_page_with_all_its_flags() -> None:
    assert VERB_PAGES
    for verb in VERB_PAGES:
        text = page(f"pyrunc-{verb}.8")
        for row in VERBS[verb][5]:
            assert (f"--{row[0]}" in text) == (not row[6]), f"{verb} --{row[0]}"


def test_the_page_of_the_program_has_the_global_flags_and_all_commands() -> None:
    text = page("pyrunc.8")
    for name, *_, hidden in GLOBAL:
        assert hidden or f"--{name}" in text
    for verb in VERB_PAGES:
        assert f"pyrunc-{verb}" in text


@pytest.mark.parametrize("name", ["pyrunc", *(f"pyrunc-{verb}" for verb in VERB_PAGES)])
def test_every_page_has_a_date_examples_and_the_environment(name: str) -> None:
    text = page(f"{name}.8")
    assert f'8 "{manual_text.DATE}"'.replace("\\-", "-") in text
    assert ".SH EXAMPLES\n.nf" in text, "an entry in EXAMPLES of tools/manual_text.py is missing"
    assert ".SH ENVIRONMENT\n" in text


def test_examples_use_flags_that_exist() -> None:
    for verb, text in manual_text.EXAMPLES.items():
        known = {f"--{row[0]}" for row in (*GLOBAL, *VERBS[verb][5])} | {"--help"}
        for line in text.splitlines():
            if f"pyrunc {verb} " in line:
                words = line.partition(f"pyrunc {verb} ")[2].partition("|")[0].split()
                assert {word for word in words if word.startswith("--")} <= known, line


def test_every_verb_of_the_table_is_described() -> None:
    assert {verb for verb, row in VERBS.items() if not row[6]} <= manual_text.TEXTS.keys()


@pytest.mark.parametrize("words", [["pyrunc", "--ro"], ["pyrunc", "kill", "--a"]])
def test_the_completion_of_bash_offers_flags(words: list[str]) -> None:
    if not shutil.which("bash"):
        pytest.skip("bash is missing")
    quoted = " ".join(f"'{word}'" for word in words)
    script = (
        f". completions/pyrunc.bash; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1};"
        ' _pyrunc; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script], cwd=TREE, capture_output=True, text=True, check=True
    )
    offered = done.stdout.split()
    assert offered
    assert all(word.startswith(words[-1]) for word in offered)
