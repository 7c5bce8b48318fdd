# SPDX-License-Identifier: Apache-2.0
"""Mounts of a running container: the effects of `mounts add` and `mounts remove`.

All of a file's mounts are added, or none. What was added is in the state with its mount id and what
mountinfo says of it: only that is ever removed, wherever a link of the container leads now.
"""

from __future__ import annotations

import os
from errno import ENOENT, ENOTDIR, ESTALE

from pyrunc import jsontext
from pyrunc.errors import Failure, StateError
from pyrunc.host import facts as host
from pyrunc.host import mountinfo, process, syscalls
from pyrunc.init import ops, paths
from pyrunc.init.cgroup_view import CgroupView
from pyrunc.init.compile_mounts import compile_add, compile_remove
from pyrunc.init.launch import spawn
from pyrunc.init.mounts import symlink_sources
from pyrunc.lifecycle import mount_sources
from pyrunc.lifecycle.container import Container
from pyrunc.lifecycle.exec import joined_namespaces
from pyrunc.lifecycle.idmapped_mounts import Mapper
from pyrunc.lifecycle.prepare import cgroup_options, read_links
from pyrunc.lifecycle.state import CONFIG
from pyrunc.log import log
from pyrunc.spec.config import parse_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from pyrunc.init.launch import Handler, Message
    from pyrunc.init.plan import Plan
    from pyrunc.spec.model import Config

    Targets = Sequence[tuple[str, int, str]]  # mount point, mount id, pointer

GONE = "cannot change the mounts of a stopped container"
KEY = "mounts"  # of the state: what was added, in its order
# The answers of a look-up under a rename; ESTALE is that of another mount in the place.
MOVED = (ENOENT, ENOTDIR, ESTALE)
REMOVE_TRIES = 40


def read_mounts(container: Container, data: bytes, *, source: str) -> Config:
    """Read the mounts of a file into the container's configuration, in place of its own.

    The whole is checked. The file is an object with `mounts`, as config.json has them, or their
    array.
    """
    from pyrunc.spec import strict

    given = strict.decode(data, source=source)
    if isinstance(given, dict):
        unknown = sorted(set(given) - {KEY})
        if unknown or KEY not in given:
            raise Failure(
                f"{source}: it must be an object with 'mounts' and nothing else",
                detail=f"unknown: {', '.join(unknown)}" if unknown else "",
            )
        given = given[KEY]
    saved = container.directory.read(CONFIG)
    if saved is None:
        raise StateError(f"the state of container {container.id} has no {CONFIG}")
    try:
        whole = {**jsontext.decode(saved), KEY: given}
    except (ValueError, TypeError, RecursionError):
        raise StateError(f"{CONFIG} of container {container.id} is damaged") from None
    config = parse_config(
        jsontext.encode(whole).encode("utf-8", "surrogateescape"),
        source=source,
        bundle=str(container.state["bundle"]),
    )
    if not config.mounts:
        raise Failure(f"{source}: there is no mount in it", pointer="/mounts")
    return config


class Change:
    """One change of a container's mounts under way; the lock must be held."""

    __slots__ = ("config", "container", "made", "source")

    def __init__(self, container: Container, config: Config, *, source: str) -> None:
        self.container = container
        self.config = config
        self.source = source
        self.made: list[dict[str, Any]] = []

    @property
    def added(self) -> list[dict[str, Any]]:
        """What earlier commands have added and nobody has removed."""
        return list(self.container.state.get(KEY, ()))

    def add(self) -> None:
        manager = self.container.cgroup()
        try:
            plan = compile_add(
                self.config,
                host.probe(),
                joined=joined_namespaces(self.container, self.config),
                cgroup=CgroupView.of(
                    manager.view(), enters=False, in_force=cgroup_options(self.config)
                ),
                source=self.source,
                links=read_links(symlink_sources(self.config)),
                rootfs=str(self.container.state["rootfs"]),
            )
        finally:
            manager.close()
        for warning in (*self.config.warnings, *plan.warnings):
            if warning.pointer.startswith("/mounts/"):
                log.problem(warning)
        try:
            self._perform(plan)
        except BaseException:
            self._undo()
            raise
        self._save([*self.added, *self.made])

    def remove(self) -> None:
        """Remove the latest mount that was added at each destination."""
        kept = self.added
        chosen: list[tuple[dict[str, Any], str]] = []
        for mount in self.config.mounts:
            wanted = paths.components(mount.destination)
            record = next((one for one in kept[::-1] if _at(one) == wanted), None)
            if record is None:
                raise StateError(
                    f"no mount was added on {mount.destination}",
                    pointer=f"{mount.pointer}/destination",
                    hint="only what `pyrunc mounts add` has added is removed",
                )
            kept.remove(record)
            chosen.append((record, mount.pointer))
        targets = self._targets(chosen)
        gone = {number for _, number, _ in targets}
        for record, _ in chosen:
            if int(record["id"]) not in gone:
                log.warning(f"{record['destination']} is not mounted any more")
        self._detach(chosen, targets)
        self._save(kept)

    def _targets(self, chosen: Sequence[tuple[Mapping[str, Any], str]]) -> Targets:
        """Say where the chosen mounts are now: mount point, id, pointer."""
        seen = self._mountinfo()
        return [
            (path, int(record["id"]), pointer)
            for record, pointer in chosen
            if (path := _place(seen, record)) is not None
        ]

    def _detach(self, chosen: Sequence[tuple[Mapping[str, Any], str]], targets: Targets) -> None:
        """Unmount; the container may rename the directories on the way in the meantime.

        The init unmounts nothing but the mount with the id, so that looking again is safe.
        """
        for tries in range(REMOVE_TRIES, 0, -1):
            if not targets:
                return
            try:
                self._perform(self._plan_removal(targets))
                return
            except Failure as failure:
                if failure.errno not in MOVED:
                    raise
                if tries == 1:
                    failure.hint = "does the container keep moving the directory? pause it first"
                    raise
                targets = self._targets(chosen)

    # -- the init ----------------------------------------------------------------------------------

    def _perform(self, plan: Plan) -> None:
        target = process.open_pidfd(self.container.pid, self.container.start_time)
        if target < 0:
            raise StateError(GONE)
        objects = [target]
        mapper = Mapper(plan.requests)
        try:
            if len(plan.object_names) > 1:
                objects.append(self._mount_namespace())
            child = spawn(plan, objects)
            handlers: dict[int, Handler] = {
                ops.RENDEZVOUS_MOUNTS: lambda message: mapper.next(
                    int(getattr(plan.ops[message.op], "count", 0)), pid=self.container.pid
                ),
                ops.RENDEZVOUS_MOUNTED: self._noter(plan),
                ops.RENDEZVOUS_SOURCE: lambda message: mount_sources.answer(
                    message, plan, pid=self.container.pid
                ),
                ops.RENDEZVOUS_MAP: lambda message: mapper.map(
                    message, plan, pid=self.container.pid
                ),
                ops.RENDEZVOUS_READY: self._on_ready,
            }
            try:
                child.serve(handlers, until=ops.RENDEZVOUS_READY, on_forked=lambda: None)
            finally:
                child.kill()
        finally:
            mapper.close()
            syscalls.close_all(objects)

    def _mount_namespace(self) -> int:
        """Open the container's mount namespace: that of its init, which lives after the open."""
        pid, start_time = self.container.pid, self.container.start_time
        try:
            fd = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise StateError(GONE) from None
        except OSError as error:
            raise Failure(
                "cannot join the container's namespaces (mount)",
                errno=error.errno or 0,
                hint="start the container first, or be root: its init hides from other users",
            ) from None
        if not process.alive(pid, start_time):  # the number may be another process's
            os.close(fd)
            raise StateError(GONE)
        return fd

    def _on_ready(self, message: Message) -> Sequence[int]:
        if not process.alive(self.container.pid, self.container.start_time):
            raise StateError(GONE)  # JN-6: what we have joined is the container only while it lives
        return ()

    def _noter(self, plan: Plan) -> Callable[[Message], Sequence[int]]:
        """Return a function that takes note of a mount that is attached now."""

        def note(message: Message) -> Sequence[int]:
            number = syscalls.mount_id(message.fds[0])
            index = int(plan.ops[message.op].pointer.split("/")[2])
            destination = self.config.mounts[index].destination
            facts = self._mountinfo().get(number)
            record = {"destination": destination, "id": number, "facts": facts and facts[1]}
            self.made.append(record)
            return ()

        return note

    def _plan_removal(self, targets: Sequence[tuple[str, int, str]]) -> Plan:
        joined = joined_namespaces(self.container, self.config)
        return compile_remove(self.config, host.probe(), joined=joined, targets=targets)

    def _undo(self) -> None:
        """Take away what was added before something failed."""
        seen = self._mountinfo()
        targets = [
            (path, int(record["id"]), "")
            for record in self.made[::-1]
            if (path := _place(seen, record)) is not None
        ]
        if targets:
            try:
                self._perform(self._plan_removal(targets))
            except Failure as failure:  # the first failure is the one to tell
                log.warning(f"what was mounted before stays: {failure}")

    def _save(self, records: Sequence[Mapping[str, Any]]) -> None:
        self.container.state = {**self.container.state, KEY: list(records)}
        self.container.directory.save(self.container.state)

    def _mountinfo(self) -> dict[int, tuple[str, list[str]]]:
        """Mount id -> (mount point, device and root and type) in the container's namespace."""
        try:
            entries = mountinfo.read(self.container.pid)
        except OSError:
            raise StateError(GONE) from None
        return {one.id: (one.point, [one.device, one.root, one.type]) for one in entries}


def _at(record: Mapping[str, Any]) -> tuple[str, ...]:
    return paths.components(str(record["destination"]))


def _place(seen: Mapping[int, tuple[str, list[str]]], record: Mapping[str, Any]) -> str | None:
    """Where a mount is now; the kernel gives the ids of mounts that are gone to others."""
    path, facts = seen.get(int(record["id"]), ("", None))
    return path if facts is not None and facts == record["facts"] else None
