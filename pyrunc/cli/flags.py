# SPDX-License-Identifier: Apache-2.0
"""The argument parser: the rules of Go's flag packages, which every client of a runtime relies on.

``--flag value``, ``--flag=value`` and the same with one dash; ``--flag``, ``--flag=false`` for a
bool; a repeated scalar flag: the last one wins; ``-`` is a value; ``--`` ends the flags; flags may
follow positionals unless the verb stops at the first one; nothing is abbreviated. argparse can do
little of that and costs 10 ms.
"""

from __future__ import annotations

from pyrunc.cli.flag_table import GLOBAL, VERBS
from pyrunc.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

    from pyrunc.cli.flag_table import FlagRow

    Value = str | bool | int | list[str]

# Places in a row of the table.
NAME: Final = 0
SHORT: Final = 1
KIND: Final = 2
DEFAULT: Final = 5

# As Go's strconv.ParseBool.
BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
MAX_INT_DIGITS = 9


class Args:
    """A parsed command line. Flags of the verb hide global flags of the same name."""

    __slots__ = ("_rows", "_values", "positionals", "verb")

    def __init__(self) -> None:
        self.verb = ""
        self.positionals: list[str] = []
        self._values: dict[str, Value] = {}
        self._rows: dict[str, FlagRow] = {}

    def given(self, name: str) -> bool:
        """Whether the flag was on the command line."""
        return name in self._values

    def text(self, name: str) -> str:
        """Return the value of a flag, or its default; empty when the verb has no such flag."""
        value = self._values.get(name)
        if value is None:
            row = self._rows.get(name)
            return row[DEFAULT] if row is not None else ""
        return str(value)

    def flag(self, name: str) -> bool:
        return self._values.get(name, False) is True

    def number(self, name: str) -> int:
        value = self._values.get(name, 0)
        return value if isinstance(value, int) else 0

    def many(self, name: str) -> list[str]:
        value = self._values.get(name)
        return value if isinstance(value, list) else []

    def _accept(self, rows: Iterable[FlagRow]) -> None:
        """From here on these flags are known; a verb's flag hides a global one and its value."""
        for row in rows:
            if row[NAME] in self._rows:
                self._values.pop(row[NAME], None)
            self._rows[row[NAME]] = row

    def _set(self, row: FlagRow, value: str) -> None:
        name, kind = row[NAME], row[KIND]
        if kind == "list":
            self._values[name] = [*self.many(name), value]
            return
        self._values[name] = _convert(name, kind, value)


def _convert(name: str, kind: str, value: str) -> Value:
    if kind == "bool":
        if value not in BOOLEANS:
            raise UsageError(f'invalid boolean value "{value}" for --{name}: use true or false')
        return BOOLEANS[value]
    if kind == "int":
        if not (value.isascii() and value.isdigit() and len(value) <= MAX_INT_DIGITS):
            raise UsageError(
                f'invalid value "{value}" for --{name}: it must be a decimal number, 0 or more'
            )
        return int(value)
    if "|" in kind and value not in kind.split("|"):
        if kind == "auto|true|false" and value in BOOLEANS:
            return "true" if BOOLEANS[value] else "false"
        raise UsageError(
            f'invalid value "{value}" for --{name}: it must be one of {kind.replace("|", ", ")}'
        )
    return value


def parse(argv: Sequence[str], args: Args | None = None) -> Args:
    """Parse a command line without the program's name, into `args` if given.

    After a UsageError `args` holds what was read before. Without a verb `Args.verb` is empty.
    """
    args = args or Args()
    args._accept(GLOBAL)
    rest = _parse_flags(args, argv, 0, stops=True)
    if args.flag("help") or args.flag("version") or not rest:
        return args
    verb = rest[0]
    if verb == "help":
        args._values["help"] = True
        args.verb = rest[1] if len(rest) > 1 else ""
        if args.verb and args.verb not in VERBS:
            raise unknown_verb(args.verb)
        return args
    if verb not in VERBS:
        raise unknown_verb(verb)
    args.verb = verb
    _summary, _positionals, least, most, stops, rows, _hidden = VERBS[verb]
    args._accept(rows)
    args.positionals = _parse_flags(args, rest, 1, stops=stops)
    if not args.flag("help"):
        _check_count(args, least, most)
    return args


def _parse_flags(args: Args, argv: Sequence[str], at: int, *, stops: bool) -> list[str]:
    """Take the flags from `at` on; returns what is positional."""
    positionals: list[str] = []
    shorts = {row[SHORT]: row[NAME] for row in args._rows.values() if row[SHORT]}
    while at < len(argv):
        word = argv[at]
        at += 1
        if word == "--":
            return [*positionals, *argv[at:]]
        if len(word) < 2 or word[0] != "-":
            if stops:
                return [word, *argv[at:]]
            positionals.append(word)
            continue
        name, equals, value = word[2 if word[1] == "-" else 1 :].partition("=")
        row = _find(args, shorts, word, name)
        if not equals:
            if row[KIND] == "bool":
                value = "true"
            elif at == len(argv):
                raise UsageError(f"flag needs an argument: {word}", usage=args.verb)
            else:
                value = argv[at]
                at += 1
        args._set(row, value)
    return positionals


def _find(args: Args, shorts: dict[str, str], word: str, name: str) -> FlagRow:
    dashes = 2 if word.startswith("--") else 1
    if word[dashes : dashes + 1] not in ("-", "=", ""):
        row = args._rows.get(name)
        if row is None and dashes == 1 and name in shorts:
            row = args._rows[shorts[name]]
        if row is not None:
            return row
    raise UsageError(
        f"flag provided but not defined: {word.partition('=')[0]}",
        usage=args.verb,
        hint=_flag_hint(args, name),
    )


def _check_count(args: Args, least: int, most: int) -> None:
    count = len(args.positionals)
    if least == most and count != least:
        rule = f"exactly {least} argument(s)"
    elif count < least:
        rule = f"a minimum of {least} argument(s)"
    elif most >= 0 and count > most:
        rule = f"a maximum of {most} argument(s)"
    else:
        return
    raise UsageError(f'"{args.verb}" requires {rule}', usage=args.verb)


def unknown_verb(verb: str) -> UsageError:
    from pyrunc.cli import usage

    return UsageError(
        f'unknown command "{verb}"',
        hint=usage.did_you_mean(verb, VERBS) or "`pyrunc --help` lists the commands",
    )


def _flag_hint(args: Args, name: str) -> str:
    from pyrunc.cli import usage

    return usage.flag_hint(args.verb, name, args._rows)
