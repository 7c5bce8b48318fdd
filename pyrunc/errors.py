# SPDX-License-Identifier: Apache-2.0
"""The errors that reach the user.

    Failure                 something could not be done; its text is one sentence
    ├── ConfigErrors        every problem of a config.json, found in one pass
    ├── StateError          the container is not in the state that the command needs
    ├── HostError           the host lacks something or refused it
    ├── InitError           the init reported {op, step, errno}
    └── UsageError          the command line is wrong, or an argument of the library

Anything else that escapes is a bug of ours. The first line stands alone, because engines show only
that.
"""

from __future__ import annotations

import errno as errno_module
import os

DID_YOU_MEAN = "did you mean"  # how the hint of a misspelt name begins
MAX_VALUE = 120  # characters of a value that a message quotes


def strerror(errno: int) -> str:
    """Return the C library's text in lower case, as Go prints it: clients compare these texts."""
    text = os.strerror(errno)
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def errno_name(errno: int) -> str:
    return errno_module.errorcode.get(errno, f"errno {errno}")


def shorten(value: object, *, limit: int = MAX_VALUE) -> str:
    """Return a bounded repr of a value of the configuration."""
    text = repr(value)
    if len(text) <= limit:
        return text
    return f"{text[: limit - 1]}… ({len(text)} characters)"


class Failure(Exception):
    """Something could not be done: what, where in config.json, in which step, why, what to do.

    `pointer` is the place in the configuration and `value` the text of what is there or was given;
    `errno` is the kernel's word (0: none), `hint` what helps, `detail` more lines.
    """

    def __init__(
        self,
        message: str,
        *,
        pointer: str = "",
        value: str = "",
        op: str = "",
        step: str = "",
        errno: int = 0,
        hint: str = "",
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.pointer = pointer
        self.value = value
        self.op = op
        self.step = step
        self.errno = errno
        self.hint = hint
        self.detail = detail

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle it as it is: its class may be made of other things than its arguments."""
        return _again, (type(self), self.args, {**self.__dict__, "errno": self.errno})

    def __str__(self) -> str:
        line = self.message
        if self.errno:
            cause = strerror(self.errno)
            if cause not in line:
                line = f"{line}: {cause}"
        return line

    def place(self) -> str:
        """Return the second line: the place in the configuration, the init's step, the errno."""
        parts = []
        if self.pointer:
            parts.append(f"config  {self.pointer}")
        if self.op:
            parts.append(f'{self.op} step "{self.step}"' if self.step else self.op)
        if self.errno and parts:
            parts.append(errno_name(self.errno))
        return "     ".join(parts)


def _again(kind: type[Failure], args: tuple[object, ...], fields: dict[str, object]) -> Failure:
    """Return an error that was pickled."""
    failure = kind.__new__(kind, *args)
    failure.args = args
    for name, value in fields.items():
        setattr(failure, name, value)
    return failure


class StateError(Failure):
    """The container is not in the state that the command needs."""


class HostError(Failure):
    """The host lacks something or refused it."""


class InitError(Failure):
    """The init failed inside the container."""


class UsageError(Failure):
    """The command line is wrong, or an argument of the library.

    `usage` is the verb whose help the hint names.
    """

    def __init__(
        self, message: str, *, usage: str = "", hint: str = "", pointer: str = "", value: str = ""
    ) -> None:
        super().__init__(message, pointer=pointer, value=value, hint=hint)
        self.usage = usage


class Problem:
    """One wrong property of a configuration."""

    __slots__ = ("allowed", "hint", "message", "pointer", "value")

    def __init__(
        self, pointer: str, message: str, *, value: str = "", allowed: str = "", hint: str = ""
    ) -> None:
        self.pointer = pointer
        self.message = message
        self.value = value
        self.allowed = allowed
        self.hint = hint

    @property
    def misspelt(self) -> bool:
        """Whether the property has a name that is near to a known one."""
        return self.hint.startswith(DID_YOU_MEAN)

    def line(self) -> str:
        """One sentence: the pointer, what is wrong, the value, what is allowed, what to do."""
        text = f"{self.pointer or '/'}: {self.message}"
        if self.value and self.value not in self.message:
            text += f": {self.value}"
        if self.allowed:
            text += f" (allowed: {self.allowed})"
        if self.hint:
            text += f"; {self.hint}"
        return text

    def __repr__(self) -> str:
        return f"Problem({self.line()!r})"


class ConfigErrors(Failure):
    """Every problem of a configuration; the first one is the error's first line.

    `warnings` are those found on the way, for `check`.
    """

    def __init__(
        self,
        problems: tuple[Problem, ...] | list[Problem],
        *,
        source: str = "config.json",
        warnings: tuple[Problem, ...] | list[Problem] = (),
    ) -> None:
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)
        self.source = source
        first = self.problems[0]
        super().__init__(
            f"{source}: {first.line()}", pointer=first.pointer, value=first.value, hint=first.hint
        )
