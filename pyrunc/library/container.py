# SPDX-License-Identifier: Apache-2.0
"""One container: start, exec, signals, limits, figures, the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pyrunc.errors import Failure, StateError
from pyrunc.host import mountinfo, process
from pyrunc.library import figures, joining, spec_files
from pyrunc.library.bundle import Bundle, is_ephemeral
from pyrunc.library.processes import UNKNOWN, Completed, Process, number_of
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
        try:
            if self._owned and os.getpid() == self._maker:
                self.delete(force=True)
        finally:
            self.close()

    @property
    def sink(self) -> Sink:
        """What gets the records of this container's calls: the `log` of its runtime."""
        return self.runtime.sink

    def _load(self, *, lock: bool = False) -> lifecycle.Container:
        return lifecycle.Container.load(self.runtime.root, self.id, lock=lock)

    # -- life --------------------------------------------------------------------------------------

    @property
    @heard
    def status(self) -> str:
        """created, running, paused or stopped."""
        loaded = self._load()
        try:
            return loaded.status()
        finally:
            loaded.directory.close()

    @property
    @heard
    def state(self) -> dict[str, Any]:
        """The state as the OCI specification defines it."""
        loaded = self._load()
        try:
            return loaded.oci_state(loaded.status())
        finally:
            loaded.directory.close()

    @property
    @heard
    def spec(self) -> Spec:
        """The configuration that it was made of, after policies and with absolute paths."""
        if self._spec is None:
            loaded = self._load()
            try:
                text = loaded.directory.read(CONFIG) or "{}"
                bundle = str(loaded.state.get("bundle", ""))
            finally:
                loaded.directory.close()
            self._spec = self._bundle.original(spec_files.resolved(Spec.parse(text), bundle))
        return self._spec

    @heard
    def start(self) -> Container:
        """Let the program run. InitError when it cannot be executed."""
        loaded = self._load(lock=True)
        try:
            loaded.start()
        finally:
            loaded.directory.unlock()
            loaded.directory.close()
        return self

    @heard
    def kill(self, signal: int | str = process.SIGKILL) -> bool:
        """Signal the init, with SIGKILL everything; False when the container has stopped.

        A signal is a number or a name such as TERM.
        """
        try:
            loaded = self._load()
        except StateError:
            return False
        try:
            return loaded.kill(number_of(signal))
        finally:
            loaded.directory.close()

    def end(self) -> None:
        """Kill everything in the container."""
        self.kill(process.SIGKILL)

    @heard
    def pause(self) -> None:
        """Freeze all processes."""
        self._locked(lifecycle.Container.pause)

    @heard
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

    @heard
    def delete(self, *, force: bool = False) -> None:
        """Remove the container; `force` kills it first.

        The handle is closed then; when the container cannot be removed it stays as it is.
        """
        lifecycle_delete.delete(self.runtime.root, self.id, force=force)
        self.close()
        self._bundle.remove()

    # -- more processes ----------------------------------------------------------------------------

    @heard
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

        `env` are more variables, `cwd` is an absolute path, `user` an id or (uid, gid). With
        `terminal` it gets a new terminal, else the descriptors as in `Runtime.create`. StateError
        when the container does not run, InitError when the program cannot be executed.
        """
        loaded = self._load()
        try:
            return joining.spawn(
                loaded,
                args,
                runtime_root=self.runtime.root,
                change=joining.Change(env=env or {}, cwd=cwd, user=user, terminal=terminal),
                stdio=(stdin, stdout, stderr),
            )
        finally:
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

    @heard
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
        loaded = self._load(lock=True)
        try:
            return update.apply_change(loaded, change, dry_run=dry_run, reclaim_s=reclaim)
        finally:
            loaded.directory.unlock()
            loaded.directory.close()

    @heard
    def stats(self) -> Stats:
        """Return the figures of the container's cgroups."""
        loaded = self._load()
        manager = loaded.cgroup(now=True)
        try:
            return Stats.of(manager.stats())
        finally:
            manager.close()
            loaded.directory.close()

    @heard
    def oom_kills(self) -> int:
        """How many processes of the container the kernel has killed for its memory limit."""
        loaded = self._load()
        manager = loaded.cgroup(now=True)
        try:
            return manager.oom_kills()
        finally:
            manager.close()
            loaded.directory.close()

    def events(self, *, interval: float = 5.0) -> Iterator[Event]:
        """OOM kills as they come, figures every `interval` seconds, last the end."""
        loaded = self._load()
        try:
            yield from figures.events(loaded, poll=self.poll, interval=interval)
        finally:
            loaded.directory.close()

    @heard
    def processes(self) -> list[ProcessEntry]:
        """Return the processes in the container's cgroups."""
        loaded = self._load()
        try:
            return figures.processes(loaded)
        finally:
            loaded.directory.close()

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
        loaded = self._load(lock=True)
        try:
            options = CriuOptions(images=os.fspath(images), leave_running=leave_running)
            Checkpoint(options, loaded).perform()
        finally:
            loaded.directory.close()

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
