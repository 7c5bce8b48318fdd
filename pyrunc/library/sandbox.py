# SPDX-License-Identifier: Apache-2.0
"""Run untrusted programs: each in a container of its own, with limits, and told how it went.

What it protects from and what it does not is in docs/library.md.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import NoReturn

from pyrunc.errors import Failure, UsageError
from pyrunc.library.arguments import bytes_of, words
from pyrunc.library.bundle import check_name
from pyrunc.library.container import Container
from pyrunc.library.creation import new_id
from pyrunc.library.parameters import checked
from pyrunc.library.processes import Completed
from pyrunc.library.runtime import Runtime
from pyrunc.library.spec import Spec
from pyrunc.library.streams import PIPE

WORK = "/tmp"  # the program's working directory, a tmpfs; every image has one
SIGKILL_CODE = 137
LEAST_FILES, BYTES_PER_FILE = 1024, 4096  # of the scratch space
OUTPUT_LIMIT = 16 << 20  # bytes that are kept of each output where nothing else is said


@dataclass(frozen=True)
class Result(Completed):
    """How a program went.

    Beside its exit code and output the most memory that it used (bytes, 0 where the kernel does not
    tell), its processor time (s), how long it ran (s), whether the kernel killed it for its memory,
    and the system calls that were refused (only with `explain`).
    """

    peak_memory: int = 0
    cpu_seconds: float = 0.0
    seconds: float = 0.0
    oom_killed: bool = False
    refused: tuple[str, ...] = ()


class Stop:
    """Ends a `Sandbox.run` from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._container: Container | None = None
        self._set = False

    def set(self) -> None:
        """Kill the program, now or as soon as its container is there."""
        with self._lock:
            self._set = True
            if self._container is not None:
                self._container.kill()

    def watch(self, container: Container | None) -> None:
        """Note the container of the run; None when it is over."""
        with self._lock:
            self._container = container
            if self._set and container is not None:
                container.kill()


class Sandbox:
    """Programs of one root file system, which stays untouched. Usable from many threads."""

    @checked
    def __init__(
        self,
        rootfs: str | os.PathLike[str],
        *,
        memory: int | str | None = "256m",
        cpus: float | None = None,
        pids: int | None = 64,
        scratch: int | str = "64m",
        spec: Spec | None = None,
        runtime: Runtime | None = None,
        program: Sequence[str] = (),
        pool: int = 0,
        explain: bool = False,
    ) -> None:
        """Choose what every run gets.

        `memory` and `scratch` (the space in /tmp, with a file for each 4 KiB) are sizes such as
        "64m". `spec` replaces the
        default configuration. `pool` containers that wait to run `program` are kept ready: to run
        it takes about a millisecond then. `explain` counts the system calls that are refused.

        Where cgroups cannot be written (no delegation), limits of memory, processors and tasks are
        an error; pass None for those.
        """
        self.runtime = runtime or Runtime()
        self._explain = explain
        if pool and not program:
            raise UsageError("pool: the containers that wait need a program to run")
        self._program = tuple(program)
        base = spec or Spec.default(["true"], rootfs=os.path.abspath(rootfs))
        room = bytes_of(scratch)
        files = max(LEAST_FILES, room // BYTES_PER_FILE)  # the kernel bounds those by its memory
        options = ["nosuid", "nodev", "mode=1777", f"size={room}", f"nr_inodes={files}"]
        base = base.mount(WORK, type="tmpfs", options=options)
        self.spec = base.limit(memory=memory, cpus=cpus, pids=pids).cwd(WORK)
        self._pool = _Pool(self, pool)
        self._begin()

    def _begin(self) -> None:
        self._pool.begin()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Sandbox holds containers of this program and cannot be pickled: make another there"
        )

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Delete the containers that wait."""
        self._pool.close()

    @checked
    def run(
        self,
        args: Sequence[str] | None = None,
        *,
        input: bytes = b"",
        timeout: float | None = None,
        files: Mapping[str, bytes] | None = None,
        env: Mapping[str, str] | None = None,
        output_limit: int = OUTPUT_LIMIT,
        stop: Stop | None = None,
    ) -> Result:
        """Run a program (by default `program`) to its end; after `timeout` seconds it is killed.

        `files` are in its working directory, read-only. Of each output `output_limit` bytes are
        kept. `stop` ends the program from another thread. Failure when it cannot be started.
        """
        args = tuple(words(args if args is not None else self._program))
        pooled = args == self._program and not files and not env
        container = self._pool.take() if pooled else self._create(args, files or {}, env or {})
        began = time.monotonic()
        with container:
            stop = stop or Stop()
            container.start()
            stop.watch(container)
            try:
                done = container.communicate(input, timeout=timeout, limit=output_limit)
            finally:
                stop.watch(None)
            seconds = time.monotonic() - began
            return self._result(container, done, seconds)

    def _create(
        self, args: Sequence[str], files: Mapping[str, bytes], env: Mapping[str, str]
    ) -> Container:
        spec = self.spec.args(*args).env(**env)
        container_id = new_id()
        place = self.runtime.bundle_path(container_id)
        for name in files:
            check_name(name)
            spec = spec.bind(f"{place}/files/{name}", f"{WORK}/{name}", recursive=False)
        return self.runtime.create(
            spec,
            id=container_id,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            files={f"files/{name}": data for name, data in files.items()},
            explain_seccomp=self._explain,
        )

    def waiting(self) -> Container:
        """Make a container that waits to run `program`."""
        return self._create(self._program, {}, {})

    def _result(self, container: Container, done: Completed, seconds: float) -> Result:
        try:
            stats = container.stats()
            kills = container.oom_kills()
        except (Failure, OSError):
            stats, kills = None, 0
        return Result(
            done.returncode,
            done.stdout,
            done.stderr,
            done.timed_out,
            peak_memory=stats.memory.peak if stats else 0,
            cpu_seconds=stats.cpu.usage_ns / 1e9 if stats else 0.0,
            seconds=seconds,
            oom_killed=bool(kills) and done.returncode == SIGKILL_CODE and not done.timed_out,
            refused=tuple(container.refused()) if self._explain else (),
        )


class Unfilled(Sandbox):
    """One whose pool is filled later, by who may wait for it."""

    def _begin(self) -> None:
        pass

    def fill(self) -> None:
        """Make the containers that wait."""
        self._pool.begin()


class _Pool:
    """Containers that wait.

    One that is taken is replaced by a thread, which ends when all are there.
    """

    def __init__(self, sandbox: Sandbox, size: int) -> None:
        self._sandbox = sandbox
        self._size = size
        self._ready: deque[Container] = deque()
        self._lock = threading.Lock()
        self._filler: threading.Thread | None = None
        self._closed = False
        self._maker = os.getpid()

    def begin(self) -> None:
        """Make all of them."""
        if self._size:
            try:
                self._fill()
            except BaseException:  # some may be there already, and nobody could close the pool
                self.close()
                raise

    def take(self) -> Container:
        """One that waits, or a new one where none does, and in a fork of the program."""
        if os.getpid() != self._maker:
            return self._sandbox.waiting()
        with self._lock:
            container = self._ready.popleft() if self._ready else None
            if self._size and not self._closed and self._filler is None:
                self._filler = threading.Thread(target=self._fill, name="pyrunc-pool", daemon=True)
                self._filler.start()
        return container or self._sandbox.waiting()

    def _fill(self) -> None:
        try:
            while not self._closed and len(self._ready) < self._size:
                container = self._sandbox.waiting()
                with self._lock:
                    if not self._closed:
                        self._ready.append(container)
                        continue
                container.delete(force=True)
        finally:
            with self._lock:
                self._filler = None

    def close(self) -> None:
        if os.getpid() != self._maker:
            return
        with self._lock:
            self._closed = True
            ready, filler = list(self._ready), self._filler
            self._ready.clear()
        if filler is not None:
            filler.join()
        for container in ready:
            container.delete(force=True)
