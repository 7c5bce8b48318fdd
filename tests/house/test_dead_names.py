# SPDX-License-Identifier: Apache-2.0
"""Nothing is kept that only a test, or nothing at all, uses."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
GENERATED = ("ops.py", "messages.py")
# Called by name: verbs by `cli.main`, what the build reads.
CALLED = {"run", "main", "TYPE_CHECKING", "__all__", "__version__"}


def defined(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            names = (part for target in node.targets for part in ast.walk(target))
            yield from (name.id for name in names if isinstance(name, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def test_every_name_of_a_module_is_used_by_the_program_or_its_build() -> None:
    places = [*(TREE / "pyrunc").rglob("*.py"), *(TREE / "csrc").rglob("*.py")]
    places += [*(TREE / "tools").glob("*.py"), *(TREE / "bench").glob("*.py")]
    words = [word for path in places for word in re.findall(r"\w+", path.read_text())]
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    definitions: dict[str, list[str]] = {}
    for path in (TREE / "pyrunc").rglob("*.py"):
        if path.name not in GENERATED:
            for name in defined(path):
                definitions.setdefault(name, []).append(str(path.relative_to(TREE)))
    dead = {
        name: where
        for name, where in definitions.items()
        if name not in CALLED and counts[name] <= len(where)
    }
    assert not dead, f"remove: {dead}"
