# SPDX-License-Identifier: Apache-2.0
"""The texts of --help, from the flag table."""

from __future__ import annotations

from pyrunc.cli.flag_table import GLOBAL, HELP, VERBS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyrunc.cli.flag_table import FlagRow

WIDTH = 34  # column at which a flag's help begins


def program() -> str:
    """Return the help of the whole program."""
    verbs = [f"  {name:<12} {row[0]}" for name, row in VERBS.items() if not row[6]]
    return "\n".join(
        (
            "pyrunc - an OCI container runtime: Python plans, C executes",
            "",
            "Usage:",
            "  pyrunc [global flags] COMMAND [flags] [arguments]",
            "",
            "Commands:",
            *verbs,
            "",
            "Global flags:",
            *flag_lines(GLOBAL),
            "",
            "pyrunc COMMAND --help shows the flags of a command.",
            "",
        )
    )


def verb(name: str) -> str:
    """Return the help of one verb."""
    summary, positionals, _least, _most, stops, rows, _hidden = VERBS[name]
    lines = [
        f"pyrunc {name} - {summary}",
        "",
        "Usage:",
        f"  pyrunc [global flags] {name} [flags] {positionals}".rstrip(),
        "",
        "Flags:",
        *flag_lines((*rows, HELP)),
        "",
    ]
    if stops:
        lines += ["Flags end at the first argument.", ""]
    return "\n".join(lines)


def flag_lines(rows: Iterable[FlagRow]) -> list[str]:
    """One line a flag, or two when its name is long."""
    lines = []
    for name, short, kind, placeholder, text, default, hidden in rows:
        if hidden:
            continue
        head = f"  -{short}, --{name}" if short else f"      --{name}"
        if kind != "bool":
            head += f" {placeholder or kind.upper()}"
        if "|" in kind:
            text += f" ({kind.replace('|', ', ')})"
        if default and default != "0":
            text += f" (default: {default})"
        if kind == "list":
            text += " (may be repeated)"
        if len(head) < WIDTH - 1:
            lines.append(f"{head:<{WIDTH}}{text}")
        else:
            lines += [head, " " * WIDTH + text]
    return lines
