# SPDX-License-Identifier: Apache-2.0
"""info: what this host offers to containers, and which features are off and why."""

from __future__ import annotations

from pyrunc import jsontext
from pyrunc.cli.output import emit
from pyrunc.commands import info_document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.cli.flags import Args

WIDTH = 24


def run(args: Args) -> int:
    facts = info_document.document()
    if args.flag("performance"):
        from pyrunc.commands import performance_document

        facts["performance"] = performance_document.document(facts["cgroups"]["hierarchies"])
    if args.text("format") == "json":
        emit(jsontext.encode(facts, indent=2) + "\n")
    else:
        emit("".join(f"{line}\n" for line in lines(facts)))
    return 0


def lines(facts: dict[str, Any]) -> list[str]:
    """Return the document for people: one heading a section, one fact a line."""
    text: list[str] = []
    for section in ("pyrunc", "kernel", "caller", "seccomp", "securityModules"):
        text += ["", _title(section)]
        text += [_fact(_title(name), value) for name, value in facts[section].items()]
    cgroups = facts["cgroups"]
    text += ["", "Cgroups", _fact("Layout", cgroups["layout"])]
    for row in cgroups["hierarchies"]:
        access = "writable" if row["writable"] else "read-only"
        name = row["name"] or "cgroup2"
        text.append(_fact(name, f"{row['mount']} ({access}): {_value(row['controllers'])}"))
    text += ["", "Namespaces"]
    for kind, entry in facts["namespaces"].items():
        most = f", at most {entry['most']}" if "most" in entry else ""
        text.append(_fact(kind, _value(entry["available"]) + most))
    text += ["", "Features"]
    text += [
        _fact(name, "on" if entry["enabled"] else f"off: {entry['reason']}")
        for name, entry in facts["features"].items()
    ]
    if "performance" in facts:
        text += ["", "Performance"]
        for row in facts["performance"]:
            text += [_fact(_title(row["name"]), row["value"]), f"{'':{WIDTH + 3}} {_cost(row)}"]
    return text[1:]


def _cost(row: dict[str, Any]) -> str:
    if "reason" in row:
        return f"{row['measured']}: {row['reason']}"
    times = f"{row['medianMs']} ms, at most {row['mostMs']} ms of {row['rounds']}"
    return f"{row['measured']}: {times}"


def _title(name: str) -> str:
    """userNamespace -> User namespace."""
    words = "".join(f" {char.lower()}" if char.isupper() else char for char in name)
    return words[:1].upper() + words[1:]


def _fact(name: str, value: object) -> str:
    return f"  {name + ':':<{WIDTH}} {_value(value)}"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return str(value)
