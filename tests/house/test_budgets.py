# SPDX-License-Identifier: Apache-2.0
"""Sizes of modules and functions, licence lines, and what every module must say about itself."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
MODULE_LINES = 400
FUNCTION_LINES = 80
FUNCTION_LINES_P95 = 40
HANDLER_LINES = 40
GENERATED = ("pyrunc/init/ops.py", "pyrunc/init/messages.py", "csrc/init/plan_ops.h")
TABLES = ("pyrunc/init/optable.py",)
SOURCES = (".py", ".c", ".h", ".mk", ".sh", ".toml")


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={TREE}", "ls-files", "-co", "--exclude-standard"],
        cwd=TREE,
        capture_output=True,
        text=True,
        check=True,
    )
    return [TREE / name for name in listed.stdout.splitlines() if (TREE / name).is_file()]


FILES = tracked()
PYTHON = [path for path in FILES if path.suffix == ".py" and path.is_relative_to(TREE / "pyrunc")]


def name(path: Path) -> str:
    return str(path.relative_to(TREE))


def functions(path: Path) -> list[tuple[str, int]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(line.lineno for line in node.decorator_list)])
            found.append((f"{name(path)}:{node.name}", (node.end_lineno or first) - first + 1))
    return found


def c_functions(path: Path) -> list[tuple[str, int]]:
    """Functions of a C file: a brace alone in the first column opens and closes one."""
    found, start, lines = [], 0, path.read_text().splitlines()
    for number, line in enumerate(lines):
        if line == "{":
            start = number
        elif line == "}" and start:
            found.append((f"{name(path)}:{lines[start - 1]}", number - start + 1))
            start = 0
    return found


def test_no_module_is_longer_than_it_can_be_read() -> None:
    long = {
        name(path): len(path.read_text().splitlines())
        for path in PYTHON
        if name(path) not in (*GENERATED, *TABLES)
    }
    assert not {path: lines for path, lines in long.items() if lines > MODULE_LINES}


def test_no_function_is_longer_than_a_screen() -> None:
    sizes = [size for path in PYTHON if name(path) not in GENERATED for size in functions(path)]
    assert not [size for size in sizes if size[1] > FUNCTION_LINES]
    lengths = sorted(lines for _, lines in sizes)
    assert lengths[int(len(lengths) * 0.95)] <= FUNCTION_LINES_P95


def test_no_handler_of_the_init_is_long() -> None:
    sources = [path for path in FILES if path.suffix == ".c" and path.parent == TREE / "csrc/init"]
    sizes = [size for path in sources for size in c_functions(path)]
    assert len(sizes) > 20
    assert not [size for size in sizes if size[1] > HANDLER_LINES]


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix in SOURCES], ids=name)
def test_a_source_file_names_its_licence(path: Path) -> None:
    head = path.read_text().splitlines()[:3]
    assert any("SPDX-License-Identifier: Apache-2.0" in line for line in head)


@pytest.mark.parametrize("path", PYTHON, ids=name)
def test_a_module_says_what_it_owns(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", PYTHON, ids=name)
def test_a_suppression_names_its_code(path: Path) -> None:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        bare = re.search(r"#\s*(noqa|type:\s*ignore)(?![\w:\[])", line)
        assert not bare, f"{name(path)}:{number}"


def test_no_raw_int_is_made_of_text_that_came_from_outside() -> None:
    """PY-6: ids are never matched with a pattern that ends in $, which matches before a newline."""
    for path in PYTHON:
        text = path.read_text()
        assert not re.search(r"re\.(match|search|compile)\([^\n]*\$[\"']", text), name(path)
