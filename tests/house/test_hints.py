# SPDX-License-Identifier: Apache-2.0
"""No hint holds a phrase by which an engine tells one failure from another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "pyrunc"
PHRASES = (
    "permission denied",
    "operation not permitted",
    "is a directory",
    "not a directory",
    "no such file",
    "not found",
    "executable path is empty",
    "open executable",
    "no such process",
    "no such container",
    "container not running",
    "invalid process",
    "process already finished",
    "does not exist",
)


def texts(node: ast.AST) -> Iterator[tuple[int, str]]:
    """The strings below a node with their lines."""
    for one in ast.walk(node):
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            yield one.lineno, one.value.lower()


def hints(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The strings that can become the hint of an error: arguments `hint`, tables of hints."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "hint":
            yield from texts(node.value)
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and "HINT" in target.id.upper() and node.value:
                yield from texts(node.value)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.name)
def test_no_hint_holds_a_phrase_of_an_engine(path: Path) -> None:
    """An engine that reads the whole standard error would take it for the cause."""
    tree = ast.parse(path.read_text())
    found = [(line, text) for line, text in hints(tree) if any(one in text for one in PHRASES)]
    assert found == []
