# SPDX-License-Identifier: Apache-2.0
"""The code of docs/library.md is run, in the order of the page, and says what its comments say."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pyrunc
from pyrunc.library import runtime as runtime_module
from tests.support import machine
from tests.support.runtime import TREE

pytestmark = pytest.mark.root
PAGE = TREE / "docs/library.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)


def blocks() -> list[tuple[str, str]]:
    """(title, code) of the page's blocks of Python, the introduction first."""
    found = []
    for part in re.split(r"^#+ ", PAGE.read_text(), flags=re.M)[1:]:
        title = part.splitlines()[0]
        found += [(title, code) for code in BLOCK.findall(part)]
    return found


class Checked(ast.NodeTransformer):
    """Makes each expression with a comment a comparison with it."""

    def __init__(self, code: str) -> None:
        self.lines = code.splitlines()

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        line = self.lines[(node.end_lineno or 1) - 1][node.end_col_offset or 0 :]
        comment = line.partition("#")[2].strip()
        if not comment:
            return node
        value = node.value
        if isinstance(value, ast.Call) and ast.unparse(value.func) == "print":
            call = ast.Call(ast.Name("said", ast.Load()), [*value.args, ast.Constant(comment)], [])
        else:
            call = ast.Call(ast.Name("equal", ast.Load()), [value, ast.Constant(comment)], [])
        return ast.copy_location(ast.Expr(call), node)


def equal(value: object, comment: str) -> None:
    """Compare with the value at the front of a comment; a comment in prose is for people."""
    try:
        wanted = ast.literal_eval(comment.partition("  ")[0])
    except (SyntaxError, ValueError):
        return
    assert value == wanted
    COMPARED.append(comment)


def said(value: object, comment: str) -> None:
    assert str(value).strip() == comment
    COMPARED.append(comment)


COMPARED: list[str] = []


@pytest.fixture
def place(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The default state root of this test; afterwards it is empty."""
    monkeypatch.setattr(runtime_module, "default_root", lambda: str(root))
    yield root
    runtime = pyrunc.Runtime(root)
    assert runtime.ids() == []
    assert runtime.doctor() == []


def test_the_page_has_ten_recipes_with_code() -> None:
    titles = [title for title, _ in blocks() if re.match(r"[0-9]+\.", title)]
    assert [int(title.split(".")[0]) for title in dict.fromkeys(titles)] == list(range(1, 11))


def test_every_recipe_does_what_it_says(place: Path, base: Path) -> None:
    """One after the other in one program, as somebody reads the page."""
    names: dict[str, Any] = {"equal": equal, "said": said, "asyncio": asyncio}
    COMPARED.clear()
    before = machine.descriptors()
    for title, code in blocks():
        code = code.replace("/srv/image", str(base))
        tree = ast.fix_missing_locations(Checked(code).visit(ast.parse(code)))
        try:
            exec(compile(tree, f"{PAGE.name}: {title}", "exec"), names)
        except Exception as error:
            error.add_note(f"in the recipe {title!r}:\n{code}")
            raise
    assert len(COMPARED) >= 15
    opened = {what for _, what in machine.descriptors() - before}
    assert not {what for what in opened if "cgroup" in what or "pidfd" in what or "/state" in what}


@pytest.mark.parametrize("wrong", ["1 + 1  # 3", "print('a')  # b"])
def test_a_comment_that_is_wrong_is_noticed(wrong: str) -> None:
    check: Callable[..., Any] = Checked(wrong).visit
    tree = ast.fix_missing_locations(check(ast.parse(wrong)))
    with pytest.raises(AssertionError):
        exec(compile(tree, "wrong", "exec"), {"equal": equal, "said": said})
