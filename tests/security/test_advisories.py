# SPDX-License-Identifier: Apache-2.0
"""S1: every advisory about a runtime of this kind keeps its tests for ever.

advisories.json has a row for each: the ids, the requirements that answer it, what went wrong, and
the tests. `unconfirmed` ids were not seen in a source.
"""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

TREE = Path(__file__).resolve().parents[2]
ROWS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("advisories.json").read_text())
ROW_COUNT = 102
# What the missing part of a row needs.
WAITS_FOR = {"exec", "terminal", "lsm"}


@cache
def functions_of(path: str) -> dict[str, str]:
    """The test functions of a file with their docstrings."""
    tree = ast.parse((TREE / path).read_text())
    return {
        node.name: ast.get_docstring(node) or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_row_is_there_once() -> None:
    assert [row["row"] for row in ROWS] == [f"R{number:03}" for number in range(1, ROW_COUNT + 1)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["row"])
def test_an_advisory_has_its_tests(row: dict[str, Any]) -> None:
    """RG-1."""
    assert row["ids"]
    assert row["flaw"]
    assert all(re.fullmatch(r"[A-Z]{2}-[0-9]+", name) for name in row["requirements"])
    assert row["tests"]
    assert row.get("waits_for", "exec") in WAITS_FOR
    for test in row["tests"]:
        path, _, name = test.partition("::")
        assert name in functions_of(path), f"{row['row']}: {test} does not exist"
