# SPDX-License-Identifier: Apache-2.0
"""One container: start, exec, signals, limits, figures, the end."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pyrunc.errors import Failure, StateError
from pyrunc.host import mountinfo, process
from pyrunc.library import figures, joining, spec_files
from pyrunc.library.bundle import Bundle, is_ephemeral
from pyrunc.library.parameters import checked
from pyrunc.library.processes import MOST_OUTPUT, Completed, Process, number_of
from pyrunc.library.records import Sink, heard
from pyrunc.library.results import Event, MountEntry, ProcessEntry, Stats
from pyrunc.library.spec import Spec
from pyrunc.library.streams import PIPE, Stream, Streams
from pyrunc.lifecycle import container as lifecycle
from pyrunc.lifecycle import delete as lifecycle_delete
from pyrunc.lifecycle.state import CONFIG

if TYPE_CHECKING:
    from pyrunc.library.runtime import Runtime
    from pyrunc.seccomp.refusals import Explanation


class Container(Process):
    """A container, by its init.

    As a context manager it is deleted at the end, unless it was created with `detach` or comes from
    `Runtime.get`. `id` is its name, `pid` the number of its init on the host, `warnings` what was
    said when it was made, `terminal` the master of its terminal or -1. `wait` and `poll` give the
    exit code of its program.
    """

    def __init__(
        self,
        runtime: Runtime,
        id: str,
        *,
        bundle: Bundle,
        pid: int,
        pidfd: int,
        streams: Streams | None = None,
        terminal: int = -1,
        explanation: Explanation | None = None,
        child: bool = False,
        owned: bool = False,
        warnings: Sequence[str] = (),
    ) -> None:
        """Take over the descriptors.

        `bundle`: what the library has of it. `child`: this program is its parent. `owned`: it ends
        with the handle. `warnings`: what was said when it was made.
        """
        super().__init__(
            pid=pid,
            pidfd=pidfd,
            streams=streams or Streams(None, None, None),
            terminal=terminal,
            child=child,
        )
        self.streams.close_theirs()
        self.runtime = runtime
        self.id = id
        self.warnings = tuple(warnings)
        self._bundle = bundle
        self._owned = owned
        self._spec: Spec | None = None
        self._files: dict[str, bytes] | None = None  # of a container that is being restored
        self._explanation = explanation

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
        try:
            if self._owned and os.getpid() == self._maker:
                self.delete(force=True)
        finally:
            self.close()

    @property
    def sink(self) -> Sink:
        """What gets the records of this container's calls: the `log` of its runtime."""
        return self.runtime.sink

    @contextlib.contextmanager
    def _loaded(self, *, lock: bool = False) -> Iterator[lifecycle.Container]:
        """Read its state, for the length of a block; with `lock` nobody else changes it."""
        loaded = lifecycle.Container.load(self.runtime.root, self.id, lock=lock)
        try:
            yield loaded
        finally:
            if lock:
                loaded.directory.unlock()
            loaded.directory.close()

    # -- life --------------------------------------------------------------------------------------

    @property
    @heard
    def status(self) -> str:
        """created, running, paused or stopped."""
        with self._loaded() as loaded:
            return loaded.status()

    @property
    @heard
    def state(self) -> dict[str, Any]:
        """The state as the OCI specification defines it."""
        with self._loaded() as loaded:
            return loaded.oci_state(loaded.status())

    @property
    @heard
    def spec(self) -> Spec:
        """The configuration that it was made of, after policies and with absolute paths."""
        if self._spec is None:
            with self._loaded() as loaded:
                text = loaded.directory.read(CONFIG) or "{}"
                bundle = str(loaded.state.get("bundle", ""))
            self._spec = self._bundle.original(spec_files.resolved(Spec.parse(text), bundle))
        return self._spec

    @heard
    def start(self) -> Container:
        """Let the program run. InitError when it cannot be executed."""
        with self._loaded(lock=True) as loaded:
            loaded.start()
        return self

    @heard
    @checked
    def kill(self, signal: int | str = process.SIGKILL) -> bool:
        """Signal the init, with SIGKILL everything; False when the container has stopped.

        A signal is a number or a name such as TERM.
        """
        number = number_of(signal)
        try:
            with self._loaded() as loaded:
                return loaded.kill(number)
        except StateError:
            return False

    def end(self) -> None:
        """Kill everything in the container."""
        self.kill(process.SIGKILL)

    @heard
    def pause(self) -> None:
        """Freeze all processes."""
        with self._loaded(lock=True) as loaded:
            loaded.pause()

    @heard
    def resume(self) -> None:
        """Let frozen processes go on."""
        with self._loaded(lock=True) as loaded:
            loaded.resume()

    @heard
    @checked
    def delete(self, *, force: bool = False) -> None:
        """Remove the container; `force` kills it first.

        The handle is closed then; when the container cannot be removed it stays as it is.
        """
        lifecycle_delete.delete(self.runtime.root, self.id, force=force)
        self.close()
        self._bundle.remove()

    # -- more processes ----------------------------------------------------------------------------

    @heard
    @checked
    def spawn(
        self,
        args: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        user: int | tuple[int, int] | None = None,
        terminal: bool = False,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
    ) -> Process:
        """Start one more process, with the filter, capabilities and limits of the container's.

        `env` are variables that are added or replaced, `cwd` is an absolute path, `user` an id or
        (uid, gid). With `terminal` it gets a new terminal and nothing else, else the descriptors as
        in `Runtime.create`. A container that waits for its start takes processes, too; StateError
        when it is paused or has stopped, InitError when the program cannot be executed, with a
        pointer into the process, such as /args/0. At the end of a ``with`` block the process is
        killed.
        """
        with self._loaded() as loaded:
            return joining.spawn(
                loaded,
                args,
                runtime_root=self.runtime.root,
                change=joining.Change(env=env or {}, cwd=cwd, user=user, terminal=terminal),
                stdio=(stdin, stdout, stderr),
            )

    @checked
    def exec(
        self,
        args: Sequence[str],
        *,
        input: bytes = b"",
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        user: int | tuple[int, int] | None = None,
        terminal: bool = False,
        limit: int = MOST_OUTPUT,
    ) -> Completed:
        """Run one more program to its end and catch both outputs.

        It is killed after `timeout` seconds; of each output `limit` bytes are kept. The other
        options are those of `spawn`.
        """
        with self.spawn(
            args,
            env=env,
            cwd=cwd,
            user=user,
            terminal=terminal,
            stdin=PIPE if input else None,
            stdout=PIPE,
            stderr=PIPE,
        ) as process:
            return process.communicate(input, timeout=timeout, limit=limit)

    # -- limits and figures ------------------------------------------------------------------------

    @heard
    @checked
    def update(
        self,
        resources: Mapping[str, Any] | None = None,
        *,
        memory: int | str | None = None,
        cpus: float | None = None,
        pids: int | None = None,
        dry_run: bool = False,
        reclaim: float = 0.0,
    ) -> list[str]:
        """Change limits, given as linux.resources has them or as `Spec.limit` takes them.

        With `dry_run` nothing is changed; the writes are returned, a line each. Up to `reclaim`
        seconds are spent on making room below a lower limit of memory.
        """
        from pyrunc.commands import update

        change = figures.change(resources or {}, memory=memory, cpus=cpus, pids=pids)
        with self._loaded(lock=True) as loaded:
            return update.apply_change(loaded, change, dry_run=dry_run, reclaim_s=reclaim)

    @heard
    def stats(self) -> Stats:
        """Return the figures of the container's cgroups."""
        with self._loaded() as loaded, contextlib.closing(loaded.cgroup(now=True)) as manager:
            return Stats.of(manager.stats())

    @heard
    def oom_kills(self) -> int:
        """How many processes of the container the kernel has killed for its memory limit."""
        with self._loaded() as loaded, contextlib.closing(loaded.cgroup(now=True)) as manager:
            return manager.oom_kills()

    @checked
    def events(self, *, interval: float = 5.0) -> Iterator[Event]:
        """OOM kills as they come, figures every `interval` seconds, last the end."""
        with self._loaded() as loaded:
            yield from figures.events(loaded, poll=self.poll, interval=interval)

    @heard
    def processes(self) -> list[ProcessEntry]:
        """Return the processes in the container's cgroups."""
        with self._loaded() as loaded:
            return figures.processes(loaded)

    @heard
    def mounts(self) -> list[MountEntry]:
        """Return the mounts that the init sees."""
        try:
            entries = mountinfo.read(self.pid)
        except OSError as error:
            raise StateError(f"container {self.id} has stopped") from error
        return [MountEntry(one.id, one.point, one.type, one.options) for one in entries]

    # -- checkpoints -------------------------------------------------------------------------------

    @heard
    @checked
    def checkpoint(self, images: str | os.PathLike[str], *, leave_running: bool = False) -> None:
        """Save the container with CRIU into a directory; only root can do so.

        It is gone afterwards, unless it shall stay; `restore` brings it back. Failure when CRIU is
        missing or cannot save it, and for an ephemeral root, which is no part of the images.
        """
        from pyrunc.checkpoint.dump import Checkpoint, check_caller
        from pyrunc.checkpoint.options import CriuOptions

        check_caller("checkpoint")
        if is_ephemeral(self.spec):
            raise Failure(
                "a container with an ephemeral root cannot be saved: its files would be lost",
                hint="use a root file system that can be written to",
            )
        with self._loaded(lock=True) as loaded:
            options = CriuOptions(images=os.fspath(images), leave_running=leave_running)
            Checkpoint(options, loaded).perform()

    @checked
    def restore(
        self,
        images: str | os.PathLike[str],
        *,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
    ) -> Container:
        """Bring it back after `checkpoint`, and return the new handle; this one is closed then.

        The new streams take the place of the old ones. StateError while the container exists. When
        it cannot be restored, it can be tried again.
        """
        if self.id in self.runtime.ids():
            raise StateError(
                f"container {self.id} exists: restore brings back what checkpoint has taken away",
                hint="Runtime.restore makes another one of the images",
            )
        spec, detach = self.spec, not self._owned
        files = self._files = self._files if self._files is not None else self._bundle.contents()
        self.close()
        self._bundle.remove()
        again = self.runtime.restore(
            images,
            spec,
            id=self.id,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            files=files,
            detach=detach,
        )
        self._owned = False  # the new handle's container is not this one's to delete
        again._spec = spec  # the saved one has the time namespace that CRIU has made
        return again

    @heard
    def refused(self) -> list[str]:
        """Return the system calls that the filter refused, a line each.

        For containers that were created with `explain_seccomp`, after their end.
        """

        if self._explanation is None:
            raise Failure("the container was not created with explain_seccomp")
        return [one.line() for one in self._explanation.finish() or []]
