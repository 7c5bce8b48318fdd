# SPDX-License-Identifier: Apache-2.0
"""No assertion about a message can be met by the names that the test has chosen itself."""

from __future__ import annotations

from pathlib import Path

from tests.support.machine import TOKEN
from tests.support.runtime import TREE, Message, Result


def test_a_path_of_the_test_has_no_word_of_the_test(tmp_path: Path) -> None:
    assert "word" not in tmp_path.name
    assert "word" not in str(tmp_path.relative_to(tmp_path.parents[2]))


def test_words_are_looked_for_outside_of_paths_and_ids(tmp_path: Path) -> None:
    path = tmp_path / "bundle" / "setuid"
    text = Message(f"cannot open {path}: no such file; container {TOKEN}-17, {TREE}/bin/setuid")
    for word in ("setuid", "bundle", "17", TREE.name):
        assert word not in text
        assert word not in text.lower()
    for part in ("cannot open", "no such file", str(path), "/setuid", f"{TOKEN}-17"):
        assert part in text


def test_the_standard_error_of_a_command_is_such_a_message(tmp_path: Path) -> None:
    result = Result(("x",), 1, "", f"{tmp_path}/setuid: bad\n{tmp_path}/second")
    assert "setuid" not in result.stderr
    assert "setuid" not in result.error
    assert "bad" in result.error
    assert "second" not in result.stderr
