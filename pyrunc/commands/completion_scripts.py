# SPDX-License-Identifier: Apache-2.0
"""Shell completions from the flag table, for bash, zsh and fish.

`pyrunc completion` prints them; tools/manual.py writes them to files for `make install`.
"""

# Lines of shell are shown as they come out.
# ruff: noqa: E501

from __future__ import annotations

from pyrunc.cli.flag_table import GLOBAL, HELP, VERBS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyrunc.cli.flag_table import FlagRow

PATHS = {"file": "file", "dir": "directory"}
FIRST = ("create", "run")  # their ID is a new one


def shown(rows: Iterable[FlagRow]) -> list[FlagRow]:
    """Return the flags for people, each once; --help is among those of the program."""
    return [*(row for row in rows if row != HELP and not row[6]), HELP]


def takes_id(name: str) -> bool:
    """Whether the first argument is the id of a container that exists."""
    return VERBS[name][1].startswith("ID") and name not in FIRST


def words(rows: Iterable[FlagRow]) -> str:
    return " ".join(f"--{row[0]}" for row in shown(rows))


def values(rows: Iterable[FlagRow]) -> dict[str, str]:
    """Return what completes the value of each flag: words, file, directory or nothing."""
    return {
        f"--{row[0]}": PATHS.get(row[2]) or (row[2].replace("|", " ") if "|" in row[2] else "")
        for row in shown(rows)
        if row[2] != "bool"
    }


def bash(verbs: Sequence[str]) -> str:
    every = {**values(GLOBAL)}
    for name in verbs:
        every |= values(VERBS[name][5])
    by_kind: dict[str, list[str]] = {}
    for flag, kind in sorted(every.items()):
        by_kind.setdefault(kind, []).append(flag)
    actions = {"file": "compgen -f", "directory": "compgen -d", "": "true"}
    cases = [
        f'    {"|".join(names)}) COMPREPLY=($({actions.get(kind) or f"compgen -W {chr(34)}{kind}{chr(34)}"} -- "$word")); return ;;'
        if kind
        else f"    {'|'.join(names)}) return ;;"
        for kind, names in sorted(by_kind.items())
    ]
    flags_of = [f"    {name}) flags='{words(VERBS[name][5])}' ;;" for name in verbs]
    with_id = [name for name in verbs if takes_id(name)]
    return "\n".join(
        [
            "# SPDX-License-Identifier: Apache-2.0",
            "# Completion of pyrunc for bash: `pyrunc completion bash`.",
            "_pyrunc() {",
            '    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} verb="" flags="" each',
            "    case $previous in",
            *cases,
            "    esac",
            '    for each in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
            f"        case $each in {'|'.join(verbs)}) verb=$each; break ;; esac",
            "    done",
            "    case $verb in",
            f"    '') flags='{words(GLOBAL)} {' '.join(verbs)}' ;;",
            *flags_of,
            "    esac",
            '    COMPREPLY=($(compgen -W "$flags" -- "$word"))',
            f"    case $verb in {'|'.join(with_id)})",
            '        [ "${word#-}" != "$word" ] || COMPREPLY=($(compgen -W "$(pyrunc list -q 2>/dev/null)" -- "$word")) ;;',
            "    esac",
            "}",
            "complete -F _pyrunc pyrunc",
            "",
        ]
    )


def quoted(text: str) -> str:
    return text.replace("'", "'\\''").replace("[", "(").replace("]", ")").replace(":", "\\:")


def zsh_flags(rows: Iterable[FlagRow]) -> list[str]:
    kinds = {"file": "_files", "dir": "_files -/"}
    found = []
    for name, _, kind, placeholder, text, _, _ in shown(rows):
        action = kinds.get(kind) or (f"({kind.replace('|', ' ')})" if "|" in kind else " ")
        value = "" if kind == "bool" else f"={quoted(placeholder)}:{action}".replace("=", ":", 1)
        star = "*" if kind == "list" else ""
        found.append(f"'{star}--{name}{'' if kind == 'bool' else '='}[{quoted(text)}]{value}'")
    return found


def zsh(verbs: Sequence[str]) -> str:
    cases = [
        f"    {name}) _arguments {' '.join(zsh_flags(VERBS[name][5]))} '*:container:_pyrunc_ids' ;;"
        for name in verbs
    ]
    described = [f"        '{name}:{quoted(VERBS[name][0])}'" for name in verbs]
    return "\n".join(
        [
            "#compdef pyrunc",
            "# SPDX-License-Identifier: Apache-2.0",
            "# Completion of pyrunc for zsh: `pyrunc completion zsh`.",
            '_pyrunc_ids() { compadd -- ${(f)"$(pyrunc list -q 2>/dev/null)"} }',
            "_pyrunc_verbs() {",
            "    local -a verbs=(",
            *described,
            "    )",
            "    _describe command verbs",
            "}",
            f"_arguments -C {' '.join(zsh_flags(GLOBAL))} '1:command:_pyrunc_verbs' '*::argument:->rest'",
            "if [[ $state == rest ]]; then",
            "    case $words[1] in",
            *cases,
            "    esac",
            "fi",
            "",
        ]
    )


def fish(verbs: Sequence[str]) -> str:
    def line(condition: str, row: FlagRow) -> str:
        name, short, kind, _, text, _, _ = row
        value = (
            ""
            if kind == "bool"
            else " -x"
            if "|" in kind or kind in ("text", "list", "int")
            else " -r"
        )
        choices = f" -a '{kind.replace('|', ' ')}'" if "|" in kind else ""
        description = text.replace("'", "\\'")
        return f"complete -c pyrunc -n '{condition}' -l {name}{f' -s {short}' if short else ''}{value}{choices} -d '{description}'"

    found = [
        "# SPDX-License-Identifier: Apache-2.0",
        "# Completion of pyrunc for fish: `pyrunc completion fish`.",
        "complete -c pyrunc -f",
        *(line("__fish_use_subcommand", row) for row in shown(GLOBAL)),
    ]
    for name in verbs:
        summary, _, _, _, _, rows, _ = VERBS[name]
        found.append(f"complete -c pyrunc -n __fish_use_subcommand -a {name} -d '{summary}'")
        inside = f"__fish_seen_subcommand_from {name}"
        if takes_id(name):
            found.append(f"complete -c pyrunc -n '{inside}' -a '(pyrunc list -q 2>/dev/null)'")
        found += [line(inside, row) for row in shown(rows)]
    return "\n".join([*found, ""])


SCRIPTS = {"bash": bash, "zsh": zsh, "fish": fish}
