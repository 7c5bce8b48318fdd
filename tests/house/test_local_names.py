# SPDX-License-Identifier: Apache-2.0
"""Names say what they hold: words that fit everything are left to scopes of a few lines."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.runtime import TREE

EMPTY_WORDS = frozenset({"found", "what", "one", "thing", "got", "stuff"})
SHORT = 5  # lines of a body in which the whole scope is in sight
INNER = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.Lambda
MODULES = sorted((TREE / "pyrunc").rglob("*.py"))


def bound(node: ast.AST) -> Iterator[str]:
    """Yield the names that a scope binds; comprehensions and lambdas are scopes of their own."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, INNER):
            continue
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id
        elif isinstance(child, ast.arg):
            yield child.arg
        yield from bound(child)


def violations(text: str) -> list[str]:
    return [
        f"{node.name}: {name}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
        and (node.end_lineno or 0) - node.body[0].lineno >= SHORT
        for name in sorted(EMPTY_WORDS.intersection(bound(node)))
    ]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(TREE)))
def test_a_name_of_a_long_scope_says_what_it_holds(module: Path) -> None:
    assert violations(module.read_text()) == []


def test_the_check_sees_names_and_arguments_but_not_short_scopes() -> None:
    body = "\n".join(f"    line{number} = 1" for number in range(SHORT))
    assert violations(f"def long(what):\n    found = 1\n{body}\n") == ["long: found", "long: what"]
    assert violations("def short(what):\n    found = what\n") == []
    assert violations(f"def other():\n    x = [one for one in y]\n{body}\n") == []
