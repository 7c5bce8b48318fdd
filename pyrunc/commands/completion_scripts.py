# SPDX-License-Identifier: Apache-2.0
"""Shell completions from the flag table, for bash, zsh and fish.

`pyrunc completion` prints them; tools/manual.py writes them to files for `make install`. They
complete flags, the values of flags, and arguments: the ids of containers below the --root that was
typed, signals, the words of commands such as `mounts add`, files and directories.
"""

# Lines of shell are shown as they come out.
# ruff: noqa: E501

from __future__ import annotations

from pyrunc.cli.flag_table import GLOBAL, HELP, VERBS
from pyrunc.spec.signals import SIGNALS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyrunc.cli.flag_table import FlagRow

PATHS = {"file": "file", "dir": "directory"}
NEW = ("create", "run")  # their ID is a new one
# What an argument is completed with, by its name in the table. Everything else is words, or nothing.
ARGUMENTS = {
    "ID": "container",
    "FILE": "file",
    "DEVICE": "file",
    "BUNDLE": "directory",
    "SIGNAL": "signal",
}


def shown(rows: Iterable[FlagRow]) -> list[FlagRow]:
    """Return the flags for people, each once: --help is that of all commands."""
    return [*(row for row in rows if row != HELP and not row[6]), HELP]


def kind_of(row: FlagRow) -> str:
    """Say what the value of a flag is completed with: words, file, directory or nothing."""
    return PATHS.get(row[2]) or (row[2].replace("|", " ") if "|" in row[2] else "")


def arguments(verb: str) -> list[str]:
    """Say what each argument of a command is completed with: a kind, words, or nothing."""
    kinds = []
    for word in VERBS[verb][1].split():
        name = word.strip("[].")
        known = "" if name == "ID" and verb in NEW else ARGUMENTS.get(name, "")
        kinds.append(known or (name.replace("|", " ") if "|" in name else ""))
    return kinds


def signals() -> str:
    """Return the names of signals without SIG, in the order of their numbers."""
    return " ".join(name.removeprefix("SIG") for name in SIGNALS)


def spellings(row: FlagRow) -> list[str]:
    """Return the ways to write a flag: a long name takes one dash or two."""
    return [f"--{row[0]}", f"-{row[0]}", *([f"-{row[1]}"] if row[1] else [])]


def with_value(verbs: Sequence[str]) -> list[FlagRow]:
    """Return the flags of the program and of commands that take the next word."""
    rows = [row for verb in verbs for row in VERBS[verb][5]]
    return [row for row in (*GLOBAL, *rows) if row[2] != "bool"]


def switches(verbs: Sequence[str]) -> list[str]:
    """Return VERB:FLAG for flags without a value whose name has one elsewhere."""
    taken = {name for row in with_value(verbs) for name in spellings(row)}
    rows = [(verb, row) for verb in verbs for row in VERBS[verb][5] if row[2] == "bool"]
    found = {f"{verb}:{name}" for verb, row in rows for name in spellings(row) if name in taken}
    return sorted(found)


# -- bash -----------------------------------------------------------------------------------------

BASH = """\
# SPDX-License-Identifier: Apache-2.0
# Completion of pyrunc for bash: `pyrunc completion bash`.
_pyrunc_offer() { # KIND: a kind of value, or words
    case $1 in
    container) COMPREPLY=($(compgen -W "$("$program" ${root:+--root "$root"} list -q 2>/dev/null)" -- "$word")) ;;
    signal) COMPREPLY=($(compgen -W "@SIGNALS@" -- "$word")) ;;
    file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    directory) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
    *) COMPREPLY=($(compgen -W "$1" -- "$word")) ;;
    esac
}
_pyrunc() {
    local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} verb="" count=0 root="" flag="" each="" index
    COMPREPLY=()
    for ((index = 1; index < COMP_CWORD; index++)); do
        each=${COMP_WORDS[index]}
        if [ -n "$flag" ]; then
            [ "$each" != = ] || continue
            [ "${flag#-}" != -root ] && [ "$flag" != -root ] || root=${each/#\\~/$HOME}
            flag=""
            continue
        fi
        case $verb:$each in @SWITCHES@) continue ;; esac
        case $each in
        --root=* | -root=*) root=${each#*=} ;;
        @VALUED@) flag=$each ;;
        -*) ;;
        *) if [ -z "$verb" ]; then verb=$each; else count=$((count + 1)); fi ;;
        esac
    done
    [ "$word" != = ] || word=""
    case $verb:$flag in
    *:) ;;
@VALUES@
    *) return ;;
    esac
    case $verb:$count:$word in
    :*) _pyrunc_offer '@GLOBAL@' ;;
@FLAGS@
@ARGUMENTS@
    esac
}
complete -F _pyrunc pyrunc
"""


def by_kind(verbs: Sequence[str]) -> dict[str, list[str]]:
    """Group VERB:FLAG by what values are completed with; * where all commands agree."""
    kinds: dict[str, set[str]] = {}
    for row in with_value(verbs):
        for name in spellings(row):
            kinds.setdefault(name, set()).add(kind_of(row))
    by_name: dict[str, set[str]] = {}
    for verb, rows in (("", GLOBAL), *((verb, VERBS[verb][5]) for verb in verbs)):
        for row in rows:
            for name in spellings(row) if row[2] != "bool" else ():
                owner = "*" if len(kinds[name]) == 1 else verb
                by_name.setdefault(kind_of(row), set()).add(f"{owner}:{name}")
    return {kind: sorted(names) for kind, names in by_name.items()}


def bash(verbs: Sequence[str]) -> str:
    rows = with_value(verbs)
    values = [
        f"    {' | '.join(names)}) _pyrunc_offer '{kind}'; return ;;"
        for kind, names in sorted(by_kind(verbs).items())
        if kind
    ]
    flags = []
    for verb in verbs:
        # Where the first argument ends the flags, what follows it is the program's.
        place = "0" if VERBS[verb][4] else "*"
        flags.append(f"    {verb}:{place}:-*) _pyrunc_offer '{words(VERBS[verb][5])}' ;;")
    offers = [
        f"    {verb}:{place}:*) _pyrunc_offer '{kind}' ;;"
        for verb in verbs
        for place, kind in enumerate(arguments(verb))
        if kind
    ]
    return filled(
        BASH,
        SIGNALS=signals(),
        SWITCHES=" | ".join(switches(verbs)),
        VALUED=" | ".join(sorted({name for row in rows for name in spellings(row)})),
        VALUES="\n".join(values),
        GLOBAL=f"{words(GLOBAL)} {' '.join(verbs)}",
        FLAGS="\n".join(flags),
        ARGUMENTS="\n".join(offers),
    )


def words(rows: Iterable[FlagRow]) -> str:
    return " ".join(f"--{row[0]}" for row in shown(rows))


def filled(template: str, **texts: str) -> str:
    """Put texts in the places of @NAMES@."""
    for name, text in texts.items():
        template = template.replace(f"@{name}@", text)
    return template


# -- zsh ------------------------------------------------------------------------------------------

ZSH = """\
#compdef pyrunc
# SPDX-License-Identifier: Apache-2.0
# Completion of pyrunc for zsh: `pyrunc completion zsh`.
local curcontext=$curcontext state line root program=$words[1]
typeset -A opt_args
_pyrunc_ids() { compadd -- ${(f)"$($program ${root:+--root} ${root:+${~root}} list -q 2>/dev/null)"} }
_pyrunc_verbs() {
    local -a verbs=(
@VERBS@
    )
    _describe command verbs
}
_arguments -C @GLOBAL@ '1:command:_pyrunc_verbs' '*::argument:->rest'
root=${(Q)opt_args[--root]}
if [[ $state == rest ]]; then
    case $words[1] in
@CASES@
    esac
fi
"""
ZSH_ACTIONS = {"container": "_pyrunc_ids", "file": "_files", "directory": "_files -/"}


def quoted(text: str) -> str:
    return text.replace("'", "'\\''").replace("[", "(").replace("]", ")").replace(":", "\\:")


def zsh_action(kind: str) -> str:
    if kind == "signal":
        kind = signals()
    return ZSH_ACTIONS.get(kind) or (f"({kind})" if kind else " ")


def zsh_flags(rows: Iterable[FlagRow]) -> list[str]:
    specs = []
    for row in shown(rows):
        name, short, kind, placeholder, text, _, _ = row
        value = "" if kind == "bool" else f":{quoted(placeholder)}:{zsh_action(kind_of(row))}"
        star = "*" if kind == "list" else ""
        specs.append(f"'{star}--{name}{'' if kind == 'bool' else '='}[{quoted(text)}]{value}'")
        if short:
            specs.append(f"'{star}-{short}[{quoted(text)}]{value}'")
    return specs


def zsh_arguments(verb: str) -> list[str]:
    found = []
    for place, kind in enumerate(arguments(verb), 1):
        label = kind if kind in ARGUMENTS.values() else "word"
        found.append(f"'{place}:{label}:{zsh_action(kind)}'")
    return found


def zsh(verbs: Sequence[str]) -> str:
    cases = []
    for verb in verbs:
        specs = [*zsh_flags(VERBS[verb][5]), *zsh_arguments(verb)]
        ends = "-A '-*' " if VERBS[verb][4] else ""
        cases.append(f"    {verb}) _arguments {ends}{' '.join(specs)} ;;")
    return filled(
        ZSH,
        VERBS="\n".join(f"        '{verb}:{quoted(VERBS[verb][0])}'" for verb in verbs),
        GLOBAL=" ".join(zsh_flags(GLOBAL)),
        CASES="\n".join(cases),
    )


# -- fish -----------------------------------------------------------------------------------------

FISH = """\
# SPDX-License-Identifier: Apache-2.0
# Completion of pyrunc for fish: `pyrunc completion fish`.
function __pyrunc_words -d 'the command and its arguments before the cursor; with root: the value of --root'
    set -l flag ''
    set -l root ''
    set -l found
    for each in (commandline -opc)[2..-1]
        if test -n "$flag"
            contains -- $flag --root -root; and set root $each
            set flag ''
            continue
        end
        contains -- "$found[1]:$each" @SWITCHES@; and continue
        switch $each
            case '--root=*' '-root=*'
                set root (string replace -r '^[^=]*=' '' -- $each)
            case @VALUED@
                set flag $each
            case '-*'
            case '*'
                set -a found $each
        end
    end
    if test "$argv[1]" = root
        echo $root
    else if set -q found[1]
        printf '%s\\n' $found
    end
end
function __pyrunc_at -a verb count -d 'whether the cursor is at an argument of a command'
    set -l found (__pyrunc_words)
    test (count $found) -eq $count; and test "$found[1]" = "$verb"
end
function __pyrunc_in -a verb most -d 'whether the cursor is behind a command, and flags are still read'
    set -l found (__pyrunc_words)
    test "$found[1]" = $verb; and test (count $found) -le $most
end
function __pyrunc_ids
    set -l root (__pyrunc_words root)
    set -l program (commandline -opc)[1]
    if test -n "$root"
        $program --root (string replace -r '^~' $HOME -- $root) list -q 2>/dev/null
    else
        $program list -q 2>/dev/null
    end
end
complete -c pyrunc -f
@ROWS@
"""
FISH_KINDS = {"container": "(__pyrunc_ids)", "directory": "(__fish_complete_directories)"}


def fish_value(row: FlagRow) -> str:
    kind = kind_of(row)
    if row[2] == "bool":
        return ""
    if kind == "file":
        return " -r -F"
    return f" -x -a '{FISH_KINDS.get(kind, kind)}'" if kind else " -x"


def fish_flag(condition: str, row: FlagRow) -> str:
    short = f" -s {row[1]}" if row[1] else ""
    return f"complete -c pyrunc -n '{condition}' -l {row[0]}{short}{fish_value(row)} -d {fish_quoted(row[4])}"


def fish_quoted(text: str) -> str:
    escaped = text.replace("'", "\\'")
    return f"'{escaped}'"


def fish_argument(verb: str, place: int, kind: str) -> str:
    condition = f"complete -c pyrunc -n '__pyrunc_at {verb} {place}'"
    if kind == "file":
        return f"{condition} -F"
    offered = signals() if kind == "signal" else FISH_KINDS.get(kind, kind)
    return f"{condition} -a '{offered}'"


def fish(verbs: Sequence[str]) -> str:
    first = '__pyrunc_at "" 0'
    lines = [fish_flag(first, row) for row in shown(GLOBAL)]
    for verb in verbs:
        summary, _, _, _, stops, rows, _ = VERBS[verb]
        lines.append(f"complete -c pyrunc -n '{first}' -a {verb} -d {fish_quoted(summary)}")
        offers = enumerate(arguments(verb), 1)
        lines += [fish_argument(verb, place, kind) for place, kind in offers if kind]
        inside = f"__pyrunc_in {verb} {1 if stops else 99}"
        lines += [fish_flag(inside, row) for row in shown(rows)]
    valued = sorted({name for row in with_value(verbs) for name in spellings(row)})
    apart = " ".join(switches(verbs))
    return filled(FISH, SWITCHES=apart, VALUED=" ".join(valued), ROWS="\n".join(lines))


SCRIPTS = {"bash": bash, "zsh": zsh, "fish": fish}
