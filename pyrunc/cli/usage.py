# SPDX-License-Identifier: Apache-2.0
"""What a wrong command line still tells: where to log the error, and what was perhaps meant.

Imported for errors only.
"""

from __future__ import annotations

from pyrunc.cli.flag_table import GLOBAL, VERBS
from pyrunc.cli.flags import BOOLEANS, KIND, NAME
from pyrunc.errors import Failure
from pyrunc.log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

    from pyrunc.errors import UsageError

# Flags of engines that people try here: (verb, flag) -> what to do.
_BUNDLES = "images, volumes and ports are an engine's: here config.json of the bundle says it all"
_ENGINE_WORDS = ("name", "v", "volume", "p", "publish", "e", "env", "network", "mount", "image")
_STDIN = "standard input is always passed on; -t gives a terminal, and -it is not taken apart"
FOREIGN: Final = {
    **dict.fromkeys((("exec", word) for word in ("it", "ti", "i", "interactive")), _STDIN),
    **dict.fromkeys(
        (("run", word) for word in ("it", "ti", "i", "t", "tty", "interactive")),
        "process.terminal of config.json asks for a terminal; standard input is always passed on",
    ),
    **dict.fromkeys(
        ((verb, word) for verb in ("run", "create") for word in _ENGINE_WORDS), _BUNDLES
    ),
    ("run", "rm"): "`pyrunc run` removes the container at its end, unless --keep is given",
    ("update", "cpus"): "--cpus 1.5 is --cpu-period 100000 --cpu-quota 150000",
    ("update", "memory-swappiness"): "--resources FILE takes memory.swappiness and all others",
    ("exec", "w"): "--cwd DIR is the working directory",
    ("exec", "workdir"): "--cwd DIR is the working directory",
}


def configure_log(argv: Sequence[str]) -> str:
    """Send the log to where a command line that is wrong elsewhere asks for.

    Returns the reason if it cannot be opened.
    """
    options = _log_options(argv)
    kind = options.get("log-format", "text")
    try:
        log.configure(
            path=options.get("log", ""),
            json=kind == "json",
            level="",
            debugging=BOOLEANS.get(options.get("debug", "false"), False),
        )
    except Failure as failure:
        return str(failure)
    return ""


def _log_options(argv: Sequence[str]) -> dict[str, str]:
    """Return the global options before the verb, the last of each; wrong ones are passed over."""
    kinds = {row[NAME]: row[KIND] for row in GLOBAL}
    options: dict[str, str] = {}
    words = iter(argv)
    for word in words:
        if word == "--" or word in VERBS:
            break
        name, equals, value = word.lstrip("-").partition("=")
        if word.startswith("-") and name in kinds:
            if not equals:
                value = "true" if kinds[name] == "bool" else next(words, "")
            options[name] = value
    return options


def with_help(failure: UsageError) -> str:
    """Return the hint, and where the help is."""
    where = f"`pyrunc {failure.usage} --help`".replace("  ", " ") + " shows the flags"
    return f"{failure.hint}; {where}" if failure.hint else where


def flag_hint(verb: str, name: str, known: Iterable[str]) -> str:
    """Return what to use in the place of a flag that the verb does not have."""
    return FOREIGN.get((verb, name)) or did_you_mean(name, known, prefix="--")


def did_you_mean(word: str, known: Iterable[str], *, prefix: str = "") -> str:
    """Return the nearest known word, as a question; empty when none is near."""
    import difflib

    found = difflib.get_close_matches(word, list(known), 1)
    return f"did you mean {prefix}{found[0]}?" if found else ""
