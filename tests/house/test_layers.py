# SPDX-License-Identifier: Apache-2.0
"""Layers, purity and the start-up diet, read from the syntax trees."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.layers import LAYERS

TREE = Path(__file__).resolve().parents[2]
MODULES = sorted(TREE.glob("pyrunc/**/*.py"))


def constant(path: Path, name: str) -> tuple[str, ...]:
    """Read a tuple of texts from the text of a module that only the build can import."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return tuple(ast.literal_eval(node.value))
    raise AssertionError(f"{path} has no {name}")


SEPARATE = {"init", "cgroups", "seccomp"}
RANKS = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}

# Modules that may not touch the system, so that what they decide is reviewed and tested as text.
# The word PURE in a module's docstring is the claim that this test checks.
SYSTEM = {"os", "posix", "socket", "subprocess", "ctypes", "fcntl", "shutil", "tempfile", "pathlib"}
SYSTEM_ROOMS = {"host", "_native", "helpers", "lifecycle", "log"}

# What the hot commands (create, start, state, kill, delete, exec) may load at module level. A stock
# interpreter has these already, or loads them in microseconds.
DIET = {"sys", "os", "posix", "errno", "time", "stat", "struct", "_struct", "marshal", "math"}
DIET |= {
    "simplejson",
    "cffi",
    "importlib",
    "_sha256",
    "_blake2",
    "_operator",
    "itertools",
    "select",
    "fcntl",
    "signal",
    "_signal",
}
# What the launcher cannot hold of the library, by the build's own list.
LIBRARY = constant(TREE / "csrc/launcher/freeze.py", "LIBRARY")
AIO = constant(TREE / "csrc/launcher/freeze.py", "AIO")
OFF_DIET = (
    "aio/__init__.py",  # the library: for programs in Python
    *(f"aio/{name}.py" for name in AIO),
    *(f"library/{name}.py" for name in LIBRARY),
    "commands/check.py",  # run by people, a few times a day
    "commands/doctor.py",
    "host/capability_trace.py",  # loaded by --learn
    "cgroups/systemd/dbus.py",  # loaded by the systemd driver when it calls
    "cgroups/systemd/calls.py",
    "cgroups/systemd/gvariant.py",  # loaded when an annotation gives a property of a unit
    "helpers/move_devices.py",  # programs of their own
    "helpers/check_schema.py",
    "helpers/seccomp_plugins.py",
)


def room(path: Path) -> str:
    first = path.relative_to(TREE / "pyrunc").parts[0]
    return first.removesuffix(".py")


def imports(tree: ast.AST, *, deep: bool, types: bool) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of imports: at module level or all, with those for types or not."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            if types:
                yield from imports(node, deep=deep, types=types)
        elif isinstance(node, ast.ExceptHandler):  # what is used where the usual module is absent
            if deep:
                yield from imports(node, deep=deep, types=types)
        elif deep or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imports(node, deep=deep, types=types)


def own_rooms(path: Path, *, types: bool) -> Iterator[tuple[int, str]]:
    tree = ast.parse(path.read_text())
    for line, name in imports(tree, deep=True, types=types):
        parts = name.split(".")
        if parts[0] == "pyrunc" and len(parts) > 1 and not parts[1].startswith("__version"):
            yield line, parts[1]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(TREE)))
def test_imports_point_down(path: Path) -> None:
    own = room(path)
    if own == "__init__":
        return
    assert own in RANKS, f"{own}: give it a place in LAYERS"
    for line, other in own_rooms(path, types=True):
        where = f"{path.relative_to(TREE)}:{line} imports {other}"
        assert other in RANKS, f"{where}, which has no place in LAYERS"
        assert (
            other == own
            or RANKS[other] > RANKS[own]
            or (RANKS[other] == RANKS[own] and own not in SEPARATE)
        ), f"{where}, which is above it"


def claims_purity(path: Path) -> bool:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return path.name != "__init__.py" and "PURE" in text.replace(".", " ").replace(":", " ").split()


def pure_modules() -> list[Path]:
    return [path for path in MODULES if claims_purity(path)]


# Rooms in which every module is pure but these.
PURE_ROOMS = ("init", "spec")
IMPURE = ("init/launch.py", "init/image.py", "init/digest.py", "init/optable.py", "spec/load.py")


@pytest.mark.parametrize("name", PURE_ROOMS)
def test_the_modules_of_a_pure_room_claim_to_be_pure(name: str) -> None:
    silent = [
        str(path.relative_to(TREE))
        for path in TREE.glob(f"pyrunc/{name}/*.py")
        if path.name != "__init__.py" and not str(path).endswith(IMPURE) and not claims_purity(path)
    ]
    assert not silent, f"{silent}: say PURE in the docstring"


@pytest.mark.parametrize("path", pure_modules(), ids=lambda path: str(path.relative_to(TREE)))
def test_a_pure_module_cannot_touch_the_system(path: Path) -> None:
    tree = ast.parse(path.read_text())
    for line, name in imports(tree, deep=True, types=False):
        parts = name.split(".")
        where = f"{path.relative_to(TREE)}:{line}"
        assert parts[0] not in SYSTEM, f"{where} imports {name}"
        if parts[0] == "pyrunc":
            assert parts[1] not in SYSTEM_ROOMS, f"{where} imports {name}"
    calls = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"open", "input", "print", "exec", "eval"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(TREE)))
def test_modules_load_nothing_heavy(path: Path) -> None:
    if str(path).endswith(OFF_DIET):
        return
    for line, name in imports(ast.parse(path.read_text()), deep=False, types=False):
        first = name.split(".")[0]
        where = f"{path.relative_to(TREE)}:{line}"
        assert first in DIET | {"__future__", "pyrunc"}, f"{where} imports {first} at module level"


def test_nothing_is_asked_from_the_process_at_import_time() -> None:
    """The launcher is frozen after the imports: what they read would be the build machine's."""
    asked = {"environ", "getcwd", "getpid", "geteuid", "getuid", "urandom", "monotonic", "uname"}
    for path in MODULES:
        tree = ast.parse(path.read_text())
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.If):
                continue
            calls = [part.func for part in ast.walk(node) if isinstance(part, ast.Call)]
            used = {call.attr for call in calls if isinstance(call, ast.Attribute)}
            used |= {"environ"} & {
                part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)
            }
            assert not used & asked, f"{path.relative_to(TREE)}:{node.lineno} uses {used & asked}"


def test_the_test_sees_an_import_that_points_up(tmp_path: Path) -> None:
    tree = ast.parse(
        "def f():\n    from pyrunc.cli import main\nif TYPE_CHECKING:\n    import re\n"
    )
    assert list(imports(tree, deep=True, types=False)) == [(2, "pyrunc.cli.main")]
    assert list(imports(tree, deep=False, types=True)) == [(4, "re")]
    assert "re" in sys.stdlib_module_names
