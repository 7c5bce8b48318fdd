# SPDX-License-Identifier: Apache-2.0
"""The parameters of the library: one table of what each of them takes. PURE.

A parameter means the same wherever it has the same name, so the table goes by name; METHOD.NAME is
one that differs. What is wrong is a UsageError with the value and what is allowed, before anything
is done. A name that no parameter has is Python's TypeError, as in any call.
"""

from __future__ import annotations

from pyrunc.errors import UsageError
from pyrunc.library import arguments as a
from pyrunc.spec.limits import MAX_TASKS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final, ParamSpec, TypeVar

    from pyrunc.library.arguments import Kind

    P = ParamSpec("P")
    T = TypeVar("T")

VARARGS, VARKEYWORDS = 0x04, 0x08  # flags of code objects, as `inspect` has them
MOST_ROWS: Final = 0xFFFF  # struct winsize
MOST_INDENT: Final = 64
MANAGERS: Final = ("cgroupfs", "systemd", "disabled")


def numbers(least: int, most: int, more: str = "") -> Kind:
    return a.whole(least, most), f"a number from {least} to {most}{more}"


def or_none(kind: Kind) -> Kind:
    inner, allowed = kind
    return (lambda value: value is None or inner(value)), f"{allowed}, or None"


def some(name: str) -> Kind:
    return a.of_class(name), f"a pyrunc.{name}"


TEXT: Kind = a.is_text, "a text without NUL"
PATH: Kind = a.is_path, "a path, as text or pathlib.Path"
FLAG: Kind = a.is_flag, "True or False"
BYTES: Kind = a.is_bytes, "bytes; text.encode() makes them of a text"
SECONDS: Kind = a.is_number, "a number of seconds"
ANYTHING: Kind = (lambda value: True), "anything"
SIZE: Kind = a.is_size, "a number of bytes, or a text such as 64m"
ROOM: Kind = a.is_room, "a number of bytes above 0, or a text such as 64m"
ID: Kind = numbers(0, a.MOST_ID, "; names are not looked up")
COUNT: Kind = a.whole(0, a.MOST_BYTES), "a whole number from 0 on"
COUNT_OR_ALL: Kind = a.whole(-1, a.MOST_BYTES), "a whole number from 0 on, or -1 for all"
MAPPING: Kind = a.is_mapping, "a mapping, as an object of JSON"
CONFIGURATION: Kind = (
    (lambda value: a.is_mapping(value) or a.is_path(value)),
    "a Spec, a mapping, or the path of a bundle",
)
WORDS: Kind = a.each(a.is_text), "a list of texts, such as ['ls', '-l']"
PROGRAM: Kind = (
    (lambda value: WORDS[0](value) and len(value) > 0),
    "a program and its arguments, such as ['ls', '-l']",
)
VARIABLES: Kind = (
    a.pairs(a.is_variable, a.is_text),
    "a mapping of names (not empty, without =) to texts without NUL",
)
FILES: Kind = (
    a.pairs(lambda name: isinstance(name, str), a.is_bytes),
    "a mapping of names to bytes",
)
OUTPUT: Kind = a.is_stream, "PIPE, DEVNULL, None, a descriptor or an open file (stderr: or STDOUT)"
INPUT: Kind = (
    (lambda value: isinstance(value, bytes) or a.is_stream(value)),
    "PIPE, DEVNULL, None, bytes, a descriptor or an open file",
)

CONFIGURATIONS: Final[dict[str, Kind]] = {
    "rootfs": PATH,
    "path": PATH,
    "cwd.path": TEXT,
    "__init__.value": MAPPING,
    "text": (
        (lambda value: isinstance(value, str | bytes | bytearray)),
        "the text of a config.json",
    ),
    "pointer": (a.is_pointer, "a JSON pointer, such as /process/args/0 (with ~1 for /, ~0 for ~)"),
    "default": ANYTHING,
    "set.value": ANYTHING,
    "indent": numbers(0, MOST_INDENT),
    "names": WORDS,
    "variables": or_none(VARIABLES),
    "more": VARIABLES,
    "rows": numbers(1, MOST_ROWS),
    "columns": numbers(1, MOST_ROWS),
    "uid": ID,
    "gid": or_none(ID),
    "euid": or_none(ID),
    "egid": or_none(ID),
    "rootless.uid": or_none(ID),
    "groups": (a.each(ID[0]), "a list of ids"),
    "name": TEXT,
    "value": TEXT,
    "destination": TEXT,
    "type": TEXT,
    "source": TEXT,
    "bind.source": PATH,
    "options": WORDS,
    "readonly": FLAG,
    "recursive": FLAG,
    "idmap": FLAG,
    "kind": (
        (lambda value: value in ("none", "host") or a.is_absolute(value)),
        "none, host or an absolute path",
    ),
    "profile": (
        (lambda value: value is None or a.is_mapping(value) or a.is_path(value)),
        "default, the path of a profile, a profile, or None",
    ),
    "first_host_id": numbers(0, a.MOST_ID),
    "ids": numbers(1, a.MOST_ID),
    "reason": TEXT,
    "hint": TEXT,
}
LIMITS: Final[dict[str, Kind]] = {
    "memory": or_none(SIZE),
    "cpus": or_none((a.is_number, "a number of processors, such as 1.5")),
    "pids": or_none((a.whole(-MAX_TASKS, MAX_TASKS), f"a number up to {MAX_TASKS}")),
    "size": or_none(ROOM),
    "scratch": ROOM,
    "resources": or_none(MAPPING),
    "reclaim": (
        (lambda value: a.is_number(value) and 0 <= value <= MOST_RECLAIM_S),
        "0 to 8 seconds, since others wait for the container meanwhile",
    ),
    "dry_run": FLAG,
}
MOST_RECLAIM_S: Final = 8
PROGRAMS: Final[dict[str, Kind]] = {
    "args": PROGRAM,
    "run.args": or_none(PROGRAM),
    "program": WORDS,
    "env": or_none(VARIABLES),
    "cwd": or_none((a.is_absolute, "an absolute path in the container")),
    "user": or_none((a.is_user, "an id, or (uid, gid); names are not looked up")),
    "terminal": FLAG,
    "input": BYTES,
    "timeout": or_none(SECONDS),
    "limit": COUNT,
    "output_limit": COUNT,
    "stdin": INPUT,
    "stdout": OUTPUT,
    "stderr": OUTPUT,
    "signal": (a.is_signal, "a number from 0 to 64, or a name such as TERM or RTMIN+3"),
    "interval": (
        (lambda value: a.is_number(value) and value > 0),
        "a number of seconds, more than 0",
    ),
}
CONTAINERS: Final[dict[str, Kind]] = {
    "root": or_none(PATH),
    "cgroup_manager": (
        (lambda value: value in MANAGERS),
        f"one of {', '.join(MANAGERS)}",
    ),
    "systemd": FLAG,
    "rootless": or_none(FLAG),
    "policies": (a.each(callable), "a list of functions"),
    "log": or_none((callable, "a function of level and message")),
    "spec": CONFIGURATION,
    "__init__.spec": or_none(some("Spec")),
    "runtime": or_none(some("Runtime")),
    "id": TEXT,
    **{f"{verb}.id": or_none(TEXT) for verb in ("create", "restore", "run")},
    "files": or_none(FILES),
    "images": PATH,
    "pool": numbers(0, 1024),
    "stop": or_none(some("Stop")),
    **dict.fromkeys(("detach", "force", "explain", "explain_seccomp", "leave_running"), FLAG),
}
KINDS: Final = {**CONFIGURATIONS, **LIMITS, **PROGRAMS, **CONTAINERS}


def kind_of(method: str, name: str) -> Kind | None:
    """Return what a parameter of a method takes."""
    return KINDS.get(f"{method}.{name}") or KINDS.get(name)


def check(name: str, value: object, kind: Kind) -> None:
    """UsageError for a value that a parameter does not take."""
    allowed, words = kind
    try:
        if allowed(value):
            return
    except Exception as error:  # of an object of the caller's: its own methods were asked
        words = f"{words} ({type(error).__name__}: {error})"
    raise UsageError(f"{name} {a.quoted(value)}: it must be {words}", value=a.quoted(value))


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """Look at what a caller gives before the function gets it."""
    code, method = function.__code__, function.__name__
    named = code.co_argcount + code.co_kwonlyargcount
    names = code.co_varnames[: code.co_argcount]
    kinds = {name: kind_of(method, name) for name in code.co_varnames[:named]}
    rest = code.co_varnames[named] if code.co_flags & VARARGS else ""
    more = code.co_varnames[named + bool(rest)] if code.co_flags & VARKEYWORDS else ""

    def call(*args: P.args, **options: P.kwargs) -> T:
        for name, value in zip(names, args):  # noqa: B905 (too many are Python's TypeError)
            if kind := kinds[name]:
                check(name, value, kind)
        if rest and len(args) > len(names):
            check(rest, args[len(names) :], kind_of(method, rest) or ANYTHING)
        others: dict[str, Any] = {}
        for name, value in options.items():
            if kind := kinds.get(name):
                check(name, value, kind)
            elif name not in kinds:
                others[name] = value
        if more and others:
            check(more, others, kind_of(method, more) or ANYTHING)
        return function(*args, **options)

    return _like(call, function)


def _like(call: Callable[P, T], function: Callable[P, T]) -> Callable[P, T]:
    """Give a wrapper the name and the words of its function, as functools.wraps does."""
    for name in ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__"):
        setattr(call, name, getattr(function, name))
    call.__wrapped__ = function  # type: ignore[attr-defined]
    return call
