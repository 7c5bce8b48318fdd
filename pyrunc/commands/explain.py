# SPDX-License-Identifier: Apache-2.0
"""explain: the plan, the cgroup writes and the hooks of a bundle, as text. Nothing is done."""

from __future__ import annotations

from pyrunc import jsontext
from pyrunc.cli.output import emit
from pyrunc.commands.common import create_options
from pyrunc.lifecycle.prepare import PreparedCreate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyrunc.cli.flags import Args


def run(args: Args) -> int:
    bundle = args.positionals[0] if args.positionals else "."
    options = create_options(args, container_id=args.text("id"), bundle=bundle)
    prepared = PreparedCreate(options)
    if args.given("diff"):
        other = create_options(args, container_id=args.text("id"), bundle=args.text("diff"))
        return _diff(prepared, PreparedCreate(other))
    if args.text("format") == "json":
        emit(jsontext.encode(_document(prepared), indent=2) + "\n")
        return 0
    changes = getattr(options.transform, "changes", ())
    emit("".join(f"policy  {change.line()}\n" for change in changes))
    emit("\n".join([*_sections(prepared), ""]))
    return 0


def _diff(first: PreparedCreate, other: PreparedCreate) -> int:
    """Print the lines in which two plans differ; return 1 if some do."""
    from difflib import unified_diff

    texts = [[_plain(line) for line in _sections(prepared)] for prepared in (first, other)]
    before, after = ["\n".join(text).splitlines() for text in texts]
    changed = list(
        unified_diff(before, after, fromfile=first.bundle, tofile=other.bundle, lineterm="", n=0)
    )
    emit("".join(f"{line}\n" for line in changed if not line.startswith("@@")))
    return 1 if changed else 0


def _plain(text: str) -> str:
    """Leave out what a single op more or less changes in all that follow."""
    import re

    lines = [re.sub(r"^ *\d+ (?=\w)", "", line) for line in text.splitlines()]
    numbers = r" (?:slot|null|directory|root|host|proc|index|cgroup|gate|report)=\d+"
    return "\n".join(re.sub(numbers, "", line) for line in lines if not _is_size(line))


def _is_size(line: str) -> bool:
    return line.startswith("plan (")


def _document(prepared: PreparedCreate) -> dict[str, Any]:
    """Return the plan for programs: each step with the place in config.json that asks for it."""
    rows = prepared.plan.explain().splitlines()
    return {
        "driver": prepared.cgroup.driver,
        "cgroups": [member.path for member in prepared.cgroup.members],
        "unit": [
            {"property": name, "value": value}
            for name, value in prepared.cgroup.unit_properties(prepared.config.linux.resources)
        ],
        "writes": [
            {"file": path, "value": value}
            for path, value in prepared.cgroup.planned(prepared.config.linux.resources)
        ],
        "plan": [
            {"op": op.NAME, "pointer": op.pointer, "what": op.action, "line": row.strip()}
            for op, row in zip(prepared.plan.ops, rows, strict=False)
        ],
        "warnings": [
            {"pointer": one.pointer, "reason": one.message, "value": one.value, "hint": one.hint}
            for one in prepared.all_warnings()
        ],
    }


def _sections(prepared: PreparedCreate) -> Iterator[str]:
    resources = prepared.config.linux.resources
    yield f"cgroups ({prepared.cgroup.driver})"
    for member in prepared.cgroup.members:
        yield f"    make   {member.path}"
    for name, value in prepared.cgroup.unit_properties(resources):
        yield f"    unit   {name}={value}"
    for path, value in prepared.cgroup.planned(resources):
        yield f"    write  {path}  {value}"
    hooks = prepared.config.hooks
    if hooks is not None:
        yield "hooks of the runtime"
        for kind in ("prestart", "create_runtime", "poststart", "poststop"):
            for hook in getattr(hooks, kind):
                yield f"    {hook.path}  -> {hook.pointer}"
    for problem in (*prepared.config.warnings, *prepared.warnings):  # the plan has its own
        yield f"warning: {problem.line()}"
    yield f"plan ({len(prepared.plan.encode())} bytes)"
    yield prepared.plan.explain().rstrip("\n")
