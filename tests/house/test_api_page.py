# SPDX-License-Identifier: Apache-2.0
"""The page of the library's names follows their docstrings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pyrunc
from tools import api

TREE = Path(__file__).resolve().parents[2]


def test_the_committed_page_is_current() -> None:
    argv = [sys.executable, str(TREE / "tools/api.py"), "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_public_name_has_a_place_and_words() -> None:
    text = api.page()
    for name in pyrunc.__all__:
        assert f"### {name}\n" in text or f"`{name}`" in text
    for part in text.split("### ")[1:]:
        assert len(part.splitlines()) > 2, part


def test_a_page_that_is_not_current_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = TREE / "docs" / tmp_path.name
    monkeypatch.setattr(api, "TARGET", stale)
    monkeypatch.setattr(sys, "argv", ["api.py", "--check"])
    assert api.main() == 1
    assert "is stale" in capsys.readouterr().err
    assert not stale.exists()
