# SPDX-License-Identifier: Apache-2.0
"""One more process in a container of the library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyrunc.errors import Failure
from pyrunc.library.arguments import quoted, words
from pyrunc.library.processes import Process
from pyrunc.library.streams import Stream, Streams
from pyrunc.lifecycle import container as lifecycle
from pyrunc.lifecycle import exec as lifecycle_exec
from pyrunc.lifecycle.options import ExecOptions


@dataclass(frozen=True)
class Change:
    """What is not as in the container's own process; see `Container.spawn`."""

    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    user: int | tuple[int, int] | None = None
    terminal: bool = False


def spawn(
    loaded: lifecycle.Container,
    args: Sequence[str],
    *,
    runtime_root: str,
    change: Change,
    stdio: tuple[Stream, Stream, Stream],
) -> Process:
    """Start a process; whatever goes wrong leaves nothing open."""
    program = words(args)
    streams = Streams(*stdio)
    try:
        lifecycle_exec.check_status(loaded, ignore_paused=False)
        config = lifecycle_exec.saved_config(loaded, whole=False)
        wanted = config.process
        wanted.pointer = ""  # it is that of config.json no more
        wanted.args = tuple(program)
        wanted.terminal = change.terminal
        wanted.console_size = None
        wanted.env = (*wanted.env, *(f"{k}={v}" for k, v in change.env.items()))
        wanted.cwd = change.cwd if change.cwd is not None else wanted.cwd
        if change.user is not None:
            ids = change.user if isinstance(change.user, tuple) else (change.user, change.user)
            wanted.user.uid, wanted.user.gid = ids
        options = ExecOptions(root=runtime_root, stdio=streams.theirs, service_manager=False)
        execution = lifecycle_exec.Execution(loaded, config, wanted, options=options)
        child = execution.perform()
        return Process(
            pid=child.pid, pidfd=child.pidfd, streams=streams, terminal=execution.terminal
        )
    except BaseException as error:
        if isinstance(error, Failure) and not error.value:
            given = {"/args/0": program[0], "/cwd": change.cwd}.get(error.pointer)
            error.value = quoted(given) if given is not None else ""
        streams.close()
        raise
    finally:
        streams.close_theirs()
