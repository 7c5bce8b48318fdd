# SPDX-License-Identifier: Apache-2.0
"""One container: start, exec, signals, limits, figures, the end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pyrunc.errors import Failure, StateError
from pyrunc.host import mountinfo, process
from pyrunc.library.bundle import Bundle
from pyrunc.library.processes import UNKNOWN, Completed, Process
from pyrunc.library.results import Event, MountEntry, ProcessEntry, Stats
from pyrunc.library.streams import PIPE, Stream, Streams
from pyrunc.lifecycle import container as lifecycle
from pyrunc.lifecycle import delete as lifecycle_delete
from pyrunc.lifecycle import exec as lifecycle_exec
from pyrunc.lifecycle.options import ExecOptions

if TYPE_CHECKING:
    from pyrunc.library.runtime import Runtime
    from pyrunc.seccomp.refusals import Explanation


class Container(Process):
    """A container, by its init. As a context manager one that was made here is deleted at the end.

    `returncode` of `wait` and `poll` is that of the container's program.
    """

    def __init__(
        self,
        runtime: Runtime,
        id: str,
        *,
        bundle: Bundle | None,
        pid: int,
        pidfd: int,
        streams: Streams | None = None,
        terminal: int = -1,
        explanation: Explanation | None = None,
    ) -> None:
        """Take over the descriptors.

        `bundle`: it was made by this program, which deletes it.
        """
        super().__init__(
            pid=pid,
            pidfd=pidfd,
            streams=streams or Streams(None, None, None),
            terminal=terminal,
            child=bundle is not None,
        )
        self.streams.close_theirs()
        self.runtime = runtime
        self.id = id
        self._bundle = bundle
        self._explanation = explanation
        if pidfd < 0:
            self._code = UNKNOWN

    def __repr__(self) -> str:
        return f"Container({self.id!r}, root={self.runtime.root!r})"

    def __enter__(self) -> Container:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bundle is None:
            self.close()
        else:
            try:
                self.delete(force=True)
            finally:
                self.close()

    def _load(self, *, lock: bool = False) -> lifecycle.Container:
        return lifecycle.Container.load(self.runtime.root, self.id, lock=lock)

    # -- life --------------------------------------------------------------------------------------

    @property
    def status(self) -> str:
        """created, running, paused or stopped."""
        loaded = self._load()
        try:
            return loaded.status()
        finally:
            loaded.directory.close()

    @property
    def state(self) -> dict[str, Any]:
        """The state as the OCI specification defines it."""
        loaded = self._load()
        try:
            return loaded.oci_state(loaded.status())
        finally:
            loaded.directory.close()

    def start(self) -> Container:
        """Let the program run. InitError when it cannot be executed."""
        loaded = self._load(lock=True)
        try:
            loaded.start()
        finally:
            loaded.directory.unlock()
            loaded.directory.close()
        return self

    def kill(self, signal: int = process.SIGKILL) -> bool:
        """Signal the init, with SIGKILL everything; False when the container has stopped."""
        try:
            loaded = self._load()
        except StateError:
            return False
        try:
            return loaded.kill(signal)
        finally:
            loaded.directory.close()

    def end(self) -> None:
        """Kill everything in the container."""
        self.kill(process.SIGKILL)

    def pause(self) -> None:
        """Freeze all processes."""
        self._locked(lifecycle.Container.pause)

    def resume(self) -> None:
        """Let frozen processes go on."""
        self._locked(lifecycle.Container.resume)

    def _locked(self, action: Callable[[lifecycle.Container], None]) -> None:
        loaded = self._load(lock=True)
        try:
            action(loaded)
        finally:
            loaded.directory.unlock()
            loaded.directory.close()

    def delete(self, *, force: bool = False) -> None:
        """Remove the container; `force` kills it first.

        The handle is closed then; when the container cannot be removed it stays as it is.
        """
        lifecycle_delete.delete(self.runtime.root, self.id, force=force)
        self.close()
        if self._bundle is not None:
            self._bundle.remove()

    # -- more processes ----------------------------------------------------------------------------

    def spawn(
        self,
        args: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        user: tuple[int, int] | None = None,
        terminal: bool = False,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
    ) -> Process:
        """Start one more process, with the filter, capabilities and limits of the container's."""
        loaded = self._load()
        streams = Streams(stdin, stdout, stderr)
        try:
            lifecycle_exec.check_status(loaded, ignore_paused=False)
            config = lifecycle_exec.saved_config(loaded, whole=False)
            wanted = config.process
            wanted.pointer = ""  # it is that of config.json no more
            wanted.args = tuple(args)
            wanted.terminal = terminal
            wanted.console_size = None
            wanted.env = (*wanted.env, *(f"{k}={v}" for k, v in (env or {}).items()))
            wanted.cwd = cwd if cwd is not None else wanted.cwd
            if user is not None:
                wanted.user.uid, wanted.user.gid = user
            options = ExecOptions(
                root=self.runtime.root, stdio=streams.theirs, service_manager=False
            )
            execution = lifecycle_exec.Execution(loaded, config, wanted, options=options)
            child = execution.perform()
            return Process(
                pid=child.pid, pidfd=child.pidfd, streams=streams, terminal=execution.terminal
            )
        except BaseException:
            streams.close()
            raise
        finally:
            streams.close_theirs()
            loaded.directory.close()

    def exec(
        self,
        args: Sequence[str],
        *,
        input: bytes = b"",
        timeout: float | None = None,
        **options: Any,
    ) -> Completed:
        """Run one more program to its end and catch both outputs.

        It is killed after `timeout` seconds. More options are those of `spawn`.
        """
        stdin = PIPE if input else None
        with self.spawn(args, stdin=stdin, stdout=PIPE, stderr=PIPE, **options) as process:
            return process.communicate(input, timeout=timeout)

    # -- limits and figures ------------------------------------------------------------------------

    def update(
        self, resources: Mapping[str, Any], *, dry_run: bool = False, reclaim: float = 0.0
    ) -> list[str]:
        """Change limits, given as linux.resources has them.

        With `dry_run` nothing is changed; the writes are returned, a line each. Up to `reclaim`
        seconds are spent on making room below a lower limit of memory.
        """
        from pyrunc.commands import update

        loaded = self._load(lock=True)
        try:
            return update.apply_change(loaded, dict(resources), dry_run=dry_run, reclaim_s=reclaim)
        finally:
            loaded.directory.unlock()
            loaded.directory.close()

    def stats(self) -> Stats:
        """Return the figures of the container's cgroups."""
        loaded = self._load()
        manager = loaded.cgroup()
        try:
            return Stats.of(manager.stats())
        finally:
            manager.close()
            loaded.directory.close()

    def oom_kills(self) -> int:
        """How many processes of the container the kernel has killed for its memory limit."""
        loaded = self._load()
        manager = loaded.cgroup()
        try:
            return manager.oom_kills()
        finally:
            manager.close()
            loaded.directory.close()

    def events(self, *, interval: float = 5.0) -> Iterator[Event]:
        """OOM kills as they come, figures every `interval` seconds, last the end."""
        loaded = self._load()
        manager = loaded.cgroup()
        watch = manager.watch_oom()
        try:
            due = time.monotonic() + interval
            ended = False
            while not ended:
                left_ms = max(0, int((due - time.monotonic()) * 1000))
                kills, ended = watch.wait(min(left_ms, 1000))
                yield from (Event("oom") for _ in range(kills))
                ended = ended or self.poll() is not None
                if not ended and time.monotonic() >= due:
                    yield Event("stats", stats=Stats.of(manager.stats()))
                    due = time.monotonic() + interval
            code = self.poll()
            yield Event("exit", returncode=None if code in (None, UNKNOWN) else code)
        finally:
            watch.close()
            manager.close()
            loaded.directory.close()

    def processes(self) -> list[ProcessEntry]:
        """Return the processes in the container's cgroups."""
        loaded = self._load()
        manager = loaded.cgroup()
        try:
            pids = manager.pids() or [loaded.pid]
        finally:
            manager.close()
            loaded.directory.close()
        return [ProcessEntry(pid, command) for pid in pids if (command := _command(pid))]

    def mounts(self) -> list[MountEntry]:
        """Return the mounts that the init sees."""
        try:
            entries = mountinfo.read(self.pid)
        except OSError as error:
            raise StateError(f"container {self.id} has stopped") from error
        return [MountEntry(one.id, one.point, one.type, one.options) for one in entries]

    # -- checkpoints -------------------------------------------------------------------------------

    def checkpoint(self, images: str | os.PathLike[str], *, leave_running: bool = False) -> None:
        """Save the container with CRIU into a directory.

        It is gone afterwards unless it shall stay.
        """
        from pyrunc.checkpoint.dump import Checkpoint, check_caller
        from pyrunc.checkpoint.options import CriuOptions

        check_caller("checkpoint")
        loaded = self._load(lock=True)
        try:
            options = CriuOptions(images=os.fspath(images), leave_running=leave_running)
            Checkpoint(options, loaded).perform()
        finally:
            loaded.directory.close()

    def refused(self) -> list[str]:
        """Return the system calls that the filter refused, a line each.

        For containers that were created with `explain_seccomp`, after their end.
        """

        if self._explanation is None:
            raise Failure("the container was not created with explain_seccomp")
        return [one.line() for one in self._explanation.finish() or []]


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            data = file.read(4096)
    except OSError:  # it has ended meanwhile
        return ""
    return data.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace") or f"[{pid}]"
