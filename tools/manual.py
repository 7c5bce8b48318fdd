#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Write man pages and completions from the flag table, and docs/plan.md from the op table.

`--check` only compares.

A page is made for every verb that has a module in pyrunc/commands.
"""

from __future__ import annotations

import sys
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TREE))

from pyrunc.cli.flag_table import GLOBAL, HELP, VERBS  # noqa: E402
from pyrunc.commands import completion_scripts  # noqa: E402
from pyrunc.init import optable  # noqa: E402
from tools import manual_text  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyrunc.cli.flag_table import FlagRow

MAN = TREE / "docs/man"
COMPLETIONS = TREE / "completions"


def verbs() -> list[str]:
    """Return the verbs that have a page: those that can be run and are not hidden."""
    modules = TREE / "pyrunc/commands"
    return [name for name, row in VERBS.items() if not row[6] and (modules / f"{name}.py").exists()]


def shown(rows: Iterable[FlagRow]) -> list[FlagRow]:
    return [row for row in (*rows, HELP) if not row[6]]


# -- man pages ------------------------------------------------------------------------------------


def roff(text: str) -> str:
    return (
        text.replace("\\", "\\e")
        .replace("-", "\\-")
        .replace("\n.", "\n\\&.")
        .replace("\n'", "\n\\&'")
    )


def paragraphs(text: str) -> str:
    found = []
    for paragraph in text.strip("\n").split("\n\n"):
        if paragraph.startswith("    "):
            lines = "\n".join(line[4:] for line in paragraph.splitlines())
            found.append(f".nf\n.RS 4\n{roff(lines)}\n.RE\n.fi")
        else:
            found.append(f".PP\n{roff(' '.join(paragraph.split()))}")
    return "\n".join(found)


def flags(rows: Iterable[FlagRow]) -> str:
    found = []
    for name, short, kind, placeholder, text, default, _ in shown(rows):
        names = [f"\\fB{roff(f'--{name}')}\\fR"] + (
            [f"\\fB{roff(f'-{short}')}\\fR"] if short else []
        )
        value = f" \\fI{roff(placeholder)}\\fR" if placeholder else ""
        more = (
            [f"one of {kind.replace('|', ', ')}"] if "|" in kind and "|" not in placeholder else []
        )
        more += ["may be repeated"] if kind == "list" else []
        more += [f"default: {default}"] if default and kind != "bool" else []
        note = f" ({'; '.join(more)})" if more else ""
        found.append(f".TP\n{', '.join(names)}{value}\n{roff(text[0].upper() + text[1:] + note)}.")
    return "\n".join(found)


def page(title: str, summary: str, synopsis: str, sections: Iterable[tuple[str, str]]) -> str:
    head = (
        '.\\" SPDX-License-Identifier: Apache-2.0\n'
        '.\\" Written by tools/manual.py (make generate).\n'
        f'.TH "{title.upper()}" 8 "{manual_text.DATE}" "pyrunc" "System Administration"\n'
        f".SH NAME\n{roff(title)} \\- {roff(summary)}\n.SH SYNOPSIS\n{synopsis}"
    )
    body = [f".SH {name}\n{text}" for name, text in sections if text]
    return "\n".join([head, *body, ""])


def program_page() -> str:
    commands = "\n".join(
        f".TP\n\\fB{roff(f'pyrunc-{name}')}\\fR(8)\n{roff(sentence(VERBS[name][0]))}"
        for name in verbs()
    )
    return page(
        "pyrunc",
        "an OCI container runtime",
        "\\fBpyrunc\\fR [\\fIglobal flags\\fR] \\fICOMMAND\\fR [\\fIflags\\fR] [\\fIarguments\\fR]",
        (
            ("DESCRIPTION", paragraphs(manual_text.PROGRAM)),
            ("COMMANDS", commands),
            ("GLOBAL FLAGS", flags(row for row in GLOBAL if row != HELP)),
            ("EXIT STATUS", paragraphs(manual_text.EXIT_STATUS)),
            ("ENVIRONMENT", variables(manual_text.ENVIRONMENT)),
            ("EXAMPLES", paragraphs(manual_text.PROGRAM_EXAMPLES)),
            ("TRACES", paragraphs(manual_text.PROGRAM_TRACE)),
            ("FILES", paragraphs(manual_text.PROGRAM_FILES)),
        ),
    )


def sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def joined(variable: str) -> str:
    return " ".join(manual_text.ENVIRONMENT[variable].split())


def variables(names: Iterable[str]) -> str:
    rows = [f".TP\n\\fB{name}\\fR\n{roff(joined(name))}" for name in names]
    return "\n".join(rows)


def environment(verb: str) -> str:
    names = manual_text.ENVIRONMENTS.get(verb, manual_text.ENVIRONMENT_OF_OTHERS)
    return variables(names) or paragraphs("Nothing of the environment is read.")


def verb_page(name: str) -> str:
    summary, positionals, _, _, stops, rows, _ = VERBS[name]
    note = "Flags end at the first argument." if stops else ""
    examples = manual_text.EXAMPLES.get(name, "")
    status = manual_text.EXIT_STATUSES.get(name, manual_text.EXIT_STATUS)
    usage = f"\\fBpyrunc\\fR [\\fIglobal flags\\fR] \\fB{name}\\fR [\\fIflags\\fR]"
    synopsis = f"{usage} \\fI{roff(positionals)}\\fR" if positionals else usage
    return page(
        f"pyrunc-{name}",
        summary,
        synopsis,
        (
            ("DESCRIPTION", paragraphs(manual_text.TEXTS[name] + f"\n\n{note}")),
            ("FLAGS", flags(rows)),
            ("EXIT STATUS", paragraphs(status)),
            ("ENVIRONMENT", environment(name)),
            ("EXAMPLES", paragraphs(examples) if examples else ""),
            ("SEE ALSO", "\\fBpyrunc\\fR(8)"),
        ),
    )


# -- the op reference -----------------------------------------------------------------------------

PLAN_HEAD = """# The ops of a plan

Written by tools/manual.py from pyrunc/init/optable.py (`make generate`), which says how fields are
encoded. What a plan is: [architecture.md](architecture.md). `pyrunc explain BUNDLE` shows one.
"""


def plan_page() -> str:
    found = [PLAN_HEAD]
    for name, (text, fields, steps) in optable.OPS.items():
        found.append(f"## {name}\n\n{text}\n")
        if fields:
            listed = ", ".join(f"`{field}` {kind}" for field, kind in fields.items())
            found.append(f"Fields: {listed}\n")
        found.append(f"Steps that can fail: {', '.join(steps)}\n")
    names = ", ".join(f"{number} {name}" for number, name in enumerate(optable.RENDEZVOUS, 1))
    found.append(f"## Rendezvous\n\n{names}\n")
    return "\n".join(found)


def files() -> dict[Path, str]:
    """Everything that is written, by its path."""
    pages = {MAN / f"pyrunc-{name}.8": verb_page(name) for name in verbs()}
    names = verbs()
    shells = {
        COMPLETIONS / "pyrunc.bash": completion_scripts.bash(names),
        COMPLETIONS / "_pyrunc": completion_scripts.zsh(names),
        COMPLETIONS / "pyrunc.fish": completion_scripts.fish(names),
    }
    return {
        MAN / "pyrunc.8": program_page(),
        TREE / "docs/plan.md": plan_page(),
        **pages,
        **shells,
    }


def main() -> int:
    wanted = files()
    present = {*MAN.glob("*.8"), *COMPLETIONS.glob("*")}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    stale += sorted(present - wanted.keys())
    if sys.argv[1:] == ["--check"]:
        for path in stale:
            print(f"{path.relative_to(TREE)} is stale: run `make generate`", file=sys.stderr)
        return bool(stale)
    for path in stale:
        if path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path])
        else:
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
