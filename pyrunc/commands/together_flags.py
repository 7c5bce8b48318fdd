# SPDX-License-Identifier: Apache-2.0
"""The flags of `checkpoint --together` and `restore --together`."""

from __future__ import annotations

from pyrunc.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from pyrunc.cli.flags import Args

LEAST: Final = 2
# What is for one container alone: the flags, and why.
FOR_ONE: Final = {
    "pre-dump": "it stops nothing",
    "parent-path": "each container would need its own",
    "page-server": "one server takes the memory of one container",
    "lazy-pages": "one server takes the memory of one container",
    "status-fd": "one server takes the memory of one container",
    "shell-job": "a terminal has one foreground",
    "console-socket": "each container would need its own",
    "pid-file": "each container would need its own; `pyrunc state` shows the process",
    "bundle": "each container has its own: ID=BUNDLE",
}


def check(args: Args) -> None:
    """UsageError for flags that mean one container, and for fewer than two containers."""
    for name, reason in FOR_ONE.items():
        if args.given(name):
            raise UsageError(f"--{name} cannot go with --together: {reason}")
    names = [word.partition("=")[0] for word in args.positionals]
    if len(names) < LEAST or len(set(names)) < len(names):
        raise UsageError("--together needs two containers or more, each once", usage=args.verb)


def split(word: str) -> tuple[str, str]:
    """Take ID=BUNDLE apart."""
    name, equals, bundle = word.partition("=")
    if not equals or not name or not bundle:
        raise UsageError(f"{word}: with --together each container is given as ID=BUNDLE")
    return name, bundle
