# SPDX-License-Identifier: Apache-2.0
"""A state root, for tasks."""

from __future__ import annotations

import builtins
import os
from collections.abc import Mapping, Sequence
from typing import Any

from pyrunc.aio import work
from pyrunc.aio.container import Container, made
from pyrunc.library import records
from pyrunc.library import runtime as blocking
from pyrunc.library.creation import Configuration
from pyrunc.library.processes import Completed
from pyrunc.library.results import Entry, Explained, Report
from pyrunc.library.runtime import Policy
from pyrunc.library.streams import PIPE, Stream


class Runtime:
    """A state root; see `pyrunc.Runtime`, which takes the same arguments.

    `inner` is that object, and ``Runtime.around(runtime)`` makes one of it.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        cgroup_manager: str = "cgroupfs",
        systemd: bool = False,
        rootless: bool | None = None,
        policies: Sequence[Policy] = (),
        log: records.Sink | None = None,
    ) -> None:
        self.inner = blocking.Runtime(
            root,
            cgroup_manager=cgroup_manager,
            systemd=systemd,
            rootless=rootless,
            policies=policies,
            log=log,
        )
        self.root = self.inner.root
        self.cgroup_manager = self.inner.cgroup_manager
        self.rootless = self.inner.rootless
        self.policies = self.inner.policies
        self.sink = self.inner.sink

    @classmethod
    def around(cls, inner: blocking.Runtime) -> Runtime:
        """Return the same runtime for tasks."""
        return cls(
            inner.root,
            cgroup_manager=inner.cgroup_manager,
            rootless=inner.rootless,
            policies=inner.policies,
            log=inner.sink,
        )

    def __repr__(self) -> str:
        return f"aio.Runtime({self.root!r})"

    async def check(self, spec: Configuration) -> Report:
        """Every problem of a configuration on this host; see `pyrunc.Runtime.check`."""
        return await work.thread(self.inner.check, spec)

    async def explain(self, spec: Configuration) -> Explained:
        """Return what `create` would do; Failure where it would fail before anything is made."""
        return await work.thread(self.inner.explain, spec)

    async def create(
        self,
        spec: Configuration,
        *,
        id: str | None = None,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        files: Mapping[str, bytes] | None = None,
        explain_seccomp: bool = False,
        detach: bool = False,
    ) -> Container:
        """Make a container that waits for `start`; see `pyrunc.Runtime.create`.

        When the caller is cancelled, it is deleted.
        """
        return await made(
            lambda: self.inner.create(
                spec,
                id=id,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                files=files,
                explain_seccomp=explain_seccomp,
                detach=detach,
            ),
            self,
        )

    async def restore(
        self,
        images: str | os.PathLike[str],
        spec: Configuration,
        *,
        id: str | None = None,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        files: Mapping[str, bytes] | None = None,
        detach: bool = False,
    ) -> Container:
        """Bring a container back that was saved; see `pyrunc.Runtime.restore`."""
        return await made(
            lambda: self.inner.restore(
                images,
                spec,
                id=id,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                files=files,
                detach=detach,
            ),
            self,
        )

    async def run(
        self,
        spec: Configuration,
        *,
        input: bytes = b"",
        timeout: float | None = None,
        id: str | None = None,
        files: Mapping[str, bytes] | None = None,
        explain_seccomp: bool = False,
    ) -> Completed:
        """Create, start, wait and delete; see `pyrunc.Runtime.run`.

        When the caller is cancelled, the program is killed and the container deleted.
        """
        made = await self.create(
            spec,
            id=id,
            stdin=PIPE if input else None,
            stdout=PIPE,
            stderr=PIPE,
            files=files,
            explain_seccomp=explain_seccomp,
        )
        async with made as container:
            await container.start()
            return await container.communicate(input, timeout=timeout)

    async def get(self, id: str) -> Container:
        """Return an existing container, whoever made it; StateError when there is none."""
        inner = await work.undone(lambda: self.inner.get(id), lambda container: container.close())
        return Container(inner, self)

    async def delete(self, id: str, *, force: bool = False) -> None:
        """Delete a container by its name. It is not given up when the caller is cancelled."""
        await work.shielded(self.inner.delete, id, force=force)

    async def list(self) -> builtins.list[Entry]:
        """Return what `pyrunc list` shows: every container of the root, whoever made it."""
        return await work.thread(self.inner.list)

    async def ids(self) -> builtins.list[str]:
        """Return the ids of all containers of the root, half-created ones too."""
        return await work.thread(self.inner.ids)

    def bundle_path(self, id: str) -> str:
        """Return the directory that `create` makes for the bundle of a container."""
        return self.inner.bundle_path(id)

    async def features(self) -> dict[str, Any]:
        """Return the document of `pyrunc features`."""
        return await work.thread(self.inner.features)

    async def info(self) -> dict[str, Any]:
        """Return the document of `pyrunc info`: what this host offers and lacks."""
        return await work.thread(self.inner.info)

    async def doctor(self) -> builtins.list[str]:
        """Delete the containers and bundles of programs that have ended; returns their ids."""
        return await work.shielded(self.inner.doctor)
