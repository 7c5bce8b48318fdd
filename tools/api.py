# SPDX-License-Identifier: Apache-2.0
"""Writes docs/api.md from the docstrings and signatures of the library's public names.

Read from the syntax trees: neither the library nor what it needs is imported.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]
PACKAGE = TREE / "pyrunc"
TARGET = TREE / "docs/api.md"
WIDTH = 100
HEAD = """<!-- SPDX-License-Identifier: Apache-2.0 -->
<!-- Written by tools/api.py from the docstrings (`make generate`). -->
# The library, name by name

What to do with it is in [library.md](library.md). Sizes are bytes and times seconds where nothing
else is said. Whatever fails raises a subclass of [`Failure`](#failure).
"""
# The order of the page; every public name has its place.
ORDER = (
    ("Making containers", ("Runtime", "Container", "Process", "Completed")),
    ("Configurations", ("Spec", "Policy", "Host", "Refusal")),
    ("Untrusted programs", ("Sandbox", "Result", "Stop")),
    (
        "What is said of containers",
        (
            *("Entry", "Stats", "Cpu", "Memory", "Pids", "Event", "ProcessEntry", "MountEntry"),
            *("Report", "Problem", "Explained", "Operation"),
        ),
    ),
    (
        "Errors",
        (
            *("Failure", "ConfigErrors", "StateError", "TimeoutExpired", "HostError", "InitError"),
            "UsageError",
        ),
    ),
    ("Standard descriptors", ("PIPE", "DEVNULL", "STDOUT")),
)
PLACED = {name for _, names in ORDER for name in names}
ASYNC = {  # name -> module of pyrunc.aio
    "Runtime": "runtime",
    "Container": "container",
    "Process": "processes",
    "Reader": "pipes",
    "Writer": "pipes",
    "Sandbox": "sandbox",
}
Definition = ast.FunctionDef | ast.AsyncFunctionDef


def homes() -> dict[str, Path]:
    """Return the module of each public name, from the table in pyrunc/__init__.py."""
    for node in ast.parse((PACKAGE / "__init__.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOMES":
            table: dict[str, tuple[str, ...]] = ast.literal_eval(node.value)
            return {
                name: PACKAGE / f"{module.replace('.', '/')}.py"
                for module, names in table.items()
                for name in names
            }
    raise SystemExit("tools/api.py: pyrunc/__init__.py has no table _HOMES")


def definition(path: Path, name: str) -> ast.stmt | None:
    """Return the class or the assignment that makes a name, wherever the module has it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return node
    return None


def text_of(node: ast.AST) -> str:
    """Return a docstring; tables of parameters keep their lines."""
    found = node if isinstance(node, ast.ClassDef | Definition) else None
    raw = ast.get_docstring(found, clean=True) if found is not None else None
    return "\n\n".join(map(_paragraph, (raw or "").split("\n\n"))).strip()


def _paragraph(text: str) -> str:
    lines = text.splitlines()
    columns = [line for line in lines if "  " in line.strip() or line.startswith(" ")]
    if len(columns) > len(lines) / 2:
        return "```text\n" + inspect.cleandoc(text) + "\n```"
    return text.replace("``", "`")


def signature(node: Definition) -> str:
    """Return a definition as it is called, wrapped as the house wraps."""
    arguments = node.args
    for positional in (arguments.posonlyargs, arguments.args):
        if positional and positional[0].arg in ("self", "cls"):
            del positional[0]
            break
    parts = _parts(arguments)
    result = f" -> {ast.unparse(node.returns)}" if node.returns and node.name != "__init__" else ""
    result = result.replace("builtins.list", "list")
    keyword = "await " if isinstance(node, ast.AsyncFunctionDef) and not _yields(node) else ""
    line = f"{keyword}{node.name}({', '.join(parts)}){result}"
    if len(line) <= WIDTH:
        return line
    return f"{keyword}{node.name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){result}"


def _yields(node: Definition) -> bool:
    return any(isinstance(one, ast.Yield) for one in ast.walk(node))


def _parts(arguments: ast.arguments) -> list[str]:
    """Return the parameters one by one, with the marks of their kinds."""
    parts: list[str] = []
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(plain) - len(arguments.defaults)) + list(arguments.defaults)
    for at, (argument, default) in enumerate(zip(plain, defaults, strict=True), 1):
        parts.append(_part(argument, default))
        if at == len(arguments.posonlyargs):
            parts.append("/")
    if arguments.vararg is not None:
        parts.append(f"*{_part(arguments.vararg, None)}")
    elif arguments.kwonlyargs:
        parts.append("*")
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    parts += [_part(argument, default) for argument, default in pairs]
    if arguments.kwarg is not None:
        parts.append(f"**{_part(arguments.kwarg, None)}")
    return parts


def _part(argument: ast.arg, default: ast.expr | None) -> str:
    text = argument.arg
    if argument.annotation is not None:
        text += f": {ast.unparse(argument.annotation)}"
    if default is not None:
        text += f" = {ast.unparse(default)}"
    return text.replace("builtins.list", "list")


def members(node: ast.ClassDef) -> Iterator[str]:
    """Yield the public members of a class: how it is called, its fields, methods."""
    fields = [
        f"{ast.unparse(one.target)}: {ast.unparse(one.annotation)}"
        for one in node.body
        if isinstance(one, ast.AnnAssign) and not ast.unparse(one.target).startswith("_")
    ]
    if fields:
        yield "```python\n" + "\n".join(fields) + "\n```"
    for one in node.body:
        if isinstance(one, Definition) and _is_public(node, one):
            yield from _member(one, node)


def _is_public(node: ast.ClassDef, one: Definition) -> bool:
    # Handles are returned, never made by a caller.
    called = one.name == "__init__" and node.name not in ("Container", "Process", "Host")
    made = any(ast.unparse(mark) == "classmethod" for mark in one.decorator_list)
    inner = made and ast.get_docstring(one) is None
    return called or not (one.name.startswith("_") or inner)


def _member(one: Definition, node: ast.ClassDef) -> Iterator[str]:
    marks = {ast.unparse(mark) for mark in one.decorator_list}
    if "property" in marks:
        kind = ast.unparse(one.returns) if one.returns else ""
        yield f"```python\n{one.name}: {kind}\n```"
    else:
        line = signature(one).replace("__init__", node.name, 1)
        yield f"```python\n{f'{node.name}.' if 'classmethod' in marks else ''}{line}\n```"
    words = text_of(one)
    if words:
        yield words


def section(name: str, node: ast.stmt, *, title: str) -> str:
    if not isinstance(node, ast.ClassDef):
        value = ast.unparse(node).partition(" = ")[2]
        return f"### {title}\n\n`{value}`\n"
    room = title.rpartition(".")[0]
    bases = [f"{room}.{base}".strip(".") for base in map(ast.unparse, node.bases) if base in PLACED]
    links = (f"[`{base}`](#{base.lower().replace('.', '')})" for base in bases)
    also = f"Also all of {', '.join(links)}."
    parts = [f"### {title}", text_of(node), *([also] if bases else []), *members(node)]
    return "\n\n".join(part for part in parts if part) + "\n"


def page() -> str:
    places = homes()
    ordered = [name for _, names in ORDER for name in names]
    if absent := set(ordered) ^ set(places):
        raise SystemExit(f"tools/api.py: no place in ORDER, or no public name: {sorted(absent)}")
    parts = [HEAD]
    for title, names in ORDER:
        parts.append(f"## {title}\n")
        for name in names:
            node = definition(places[name], name)
            if node is not None:
                parts.append(section(name, node, title=name))
        if title == "Standard descriptors":
            listed = ", ".join(f"`{name}`" for name in names)
            parts.append(f"{listed} are those of the module `subprocess`.\n")
    parts.append("## For asyncio\n\n`pyrunc.aio` has the same operations, awaitable.\n")
    for name, module in ASYNC.items():
        node = definition(PACKAGE / f"aio/{module}.py", name)
        assert node is not None
        parts.append(section(name, node, title=f"aio.{name}"))
    return "\n".join(parts)


def main() -> int:
    text = page()
    if TARGET.exists() and TARGET.read_text() == text:
        return 0
    if sys.argv[1:] == ["--check"]:
        print(f"{TARGET.relative_to(TREE)} is stale: run `make generate`", file=sys.stderr)
        return 1
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
