# SPDX-License-Identifier: Apache-2.0
"""Tests are as clean as the code: what they share is in modules that are no tests."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
TESTS = sorted((TREE / "tests").rglob("*.py"))


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(TREE)))
def test_no_module_imports_a_test_module(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            assert parts[0] != "tests" or not any(part.startswith("test_") for part in parts), name


def test_a_name_stands_for_one_test_file_or_for_the_two_sides_of_a_subject() -> None:
    """A subject may have a test of the whole program and one of a part of it."""
    counts = Counter(path.name for path in TESTS if path.name.startswith("test_"))
    assert not [name for name, count in counts.items() if count > 2]
