# SPDX-License-Identifier: Apache-2.0
"""Who hears what is said while a call of the library is under way.

Every call has a sink of its own, kept in a context variable: threads and tasks of asyncio never
hear each other. What is said outside of a call belongs to a command line in the same process.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from pyrunc.errors import Failure, HostError
from pyrunc.log import LEVELS, log

P = ParamSpec("P")
T = TypeVar("T")
Sink = Callable[[str, str], object]  # level (debug, info, warning, error), message

logger = logging.getLogger("pyrunc")
_sink: ContextVar[Sink | None] = ContextVar("pyrunc-sink", default=None)


class Hearing(Protocol):
    """What has a sink for the records of its calls."""

    @property
    def sink(self) -> Sink: ...


H = TypeVar("H", bound=Hearing)


def to_logging(level: str, message: str) -> None:
    """Pass a record to the logger ``pyrunc`` of the module `logging`."""
    logger.log(10 * (LEVELS[level] + 1), "%s", message)


def _take(level: str, message: str) -> bool:
    """Give a record to the sink of the call under way; False outside of calls."""
    sink = _sink.get()
    if sink is None:
        return False
    token = _sink.set(None)  # what the sink itself says is no record of the call
    try:
        sink(level, message)
    except Exception:  # logging never changes the outcome of an operation
        logger.exception("the sink of log records failed")
    finally:
        _sink.reset(token)
    return True


log.divert = _take


@contextlib.contextmanager
def to(sink: Sink) -> Iterator[None]:
    """Give the records of this block to a sink."""
    token = _sink.set(sink)
    try:
        yield
    finally:
        _sink.reset(token)


def heard(method: Callable[Concatenate[H, P], T]) -> Callable[Concatenate[H, P], T]:
    """Give the records of each call of a method to the sink of its object.

    What the system refuses in it is a Failure, as all that goes wrong.
    """

    @functools.wraps(method)
    def call(self: H, /, *args: P.args, **options: P.kwargs) -> T:
        token = _sink.set(self.sink)
        try:
            return method(self, *args, **options)
        except (OSError, ModuleNotFoundError) as error:
            if isinstance(error, Failure):
                raise
            raise _in_words(error) from error
        finally:
            _sink.reset(token)

    return call


def _in_words(error: OSError | ModuleNotFoundError) -> HostError:
    """Return what the host lacks or has refused, where no place had words of its own for it."""
    if isinstance(error, ModuleNotFoundError):
        hint = "requirements.txt has the libraries that some features need"
        return HostError(f"the Python library {error.name} is not installed", hint=hint)
    subject = os.fsdecode(error.filename) if error.filename is not None else "a system call failed"
    return HostError(subject, errno=error.errno or 0)


def also(sink: Sink, said: list[str]) -> Sink:
    """Return a sink that keeps warnings in a list, too."""

    def both(level: str, message: str) -> None:
        if level == "warning":
            said.append(message)
        sink(level, message)

    return both
