# SPDX-License-Identifier: Apache-2.0
"""How the programs for what the launcher cannot link are found, and how a refusal is worded."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pyrunc.errors import HostError
from pyrunc.helpers import run


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty prefix, below which the launcher seems to be."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(os, "readlink", lambda path: f"{tmp_path}/bin/pyrunc")
    monkeypatch.setattr(run, "PYTHONS", (f"{tmp_path}/python3",))
    return tmp_path


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    path.chmod(0o755)
    return path


def with_python(prefix: Path, *, library: str = "jsonschema") -> None:
    program(prefix / "python3")
    for name in ("pyrunc", f"site-packages/{library}"):
        (prefix / "libexec/pyrunc" / name).mkdir(parents=True)


def test_the_installed_helpers_come_before_a_python(installed: Path) -> None:
    helpers = program(installed / "libexec/pyrunc/helpers/pyrunc-helpers")
    with_python(installed)
    found = run.find("jsonschema", purpose="a test")
    assert found.command("check_schema") == [str(helpers), "check_schema"]


def test_without_glibc_the_python_of_the_host_takes_over(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(installed / "libexec/pyrunc/helpers/pyrunc-helpers")
    with_python(installed)
    monkeypatch.setattr(run, "LOADERS", {})
    found = run.find("jsonschema", purpose="a test")
    assert found.program == f"{installed}/python3"
    assert found.command("check_schema")[-1] == (
        f"{installed}/libexec/pyrunc/pyrunc/helpers/check_schema.py"
    )


def said(library: str) -> str:
    with pytest.raises(HostError) as caught:
        run.find(library, purpose="a test")
    return str(caught.value)


def test_the_message_tells_the_helpers_from_python_and_from_a_library(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the three can be missing, and each is put right in another way."""
    text = said("jsonschema")
    assert "libexec/pyrunc/helpers/pyrunc-helpers is missing" in text
    assert f"{installed}/python3 is missing" in text
    with_python(installed, library="pyroute2")
    text = said("jsonschema")
    assert "the Python library jsonschema is not in" in text
    assert f"{installed}/python3 is missing" not in text
    program(installed / "libexec/pyrunc/helpers/pyrunc-helpers")
    monkeypatch.setattr(run, "LOADERS", {os.uname().machine: "/lib/no-loader.so"})
    assert "pyrunc-helpers needs glibc's /lib/no-loader.so" in said("jsonschema")


def test_a_program_without_a_library_needs_only_a_python(installed: Path) -> None:
    program(installed / "python3")
    (installed / "libexec/pyrunc/pyrunc").mkdir(parents=True)
    assert run.find("", purpose="a test").program == f"{installed}/python3"


@pytest.mark.parametrize("place", ["helpers/pyrunc-helpers", "helpers", "", ".."])
@pytest.mark.parametrize("way", ["mode", "owner"])
def test_what_others_may_change_is_not_run(installed: Path, place: str, way: str) -> None:
    """Who can write there would run as whoever calls."""
    if os.geteuid():
        pytest.skip("needs root")
    program(installed / "libexec/pyrunc/helpers/pyrunc-helpers")
    assert run.find("", purpose="a test").program
    path = installed / "libexec/pyrunc" / place
    if way == "mode":
        path.chmod(0o777)
    else:
        os.chown(path, 4711, -1)
    assert f"others may change {os.path.normpath(path)}" in said("")
