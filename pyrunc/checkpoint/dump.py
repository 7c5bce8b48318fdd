# SPDX-License-Identifier: Apache-2.0
"""The path of `checkpoint`."""

from __future__ import annotations

import os

from pyrunc.checkpoint import images, mounts, plan, program, protocol, rootfs, settings, stdio
from pyrunc.checkpoint.worker import Refused, Worker
from pyrunc.errors import HostError, StateError, UsageError
from pyrunc.host import mountinfo
from pyrunc.lifecycle import delete, exec
from pyrunc.lifecycle.container import CREATED, PAUSED, RUNNING, Container
from pyrunc.log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from pyrunc.checkpoint.options import CriuOptions
    from pyrunc.spec.model import Config


def check_caller(verb: str) -> None:
    if os.geteuid() != 0:
        raise HostError(
            f"{verb} needs root: CRIU cannot save and restore whole containers without",
            hint="run the container and pyrunc as root",
        )


class Checkpoint:
    """One checkpoint under way."""

    __slots__ = ("_meanwhile", "config", "container", "criu", "images", "status_fd", "work")

    def __init__(self, criu: CriuOptions, container: Container) -> None:
        self.container = container
        check_status(container)
        criu.check_lazy_dump()
        self.criu = criu
        self.status_fd = self.criu.status_fd
        check_status_fd(self.status_fd)
        self.config = exec.saved_config(container)
        plan.refuse_landlock(self.config)
        self.images = images.open_images(criu.images, make=True)
        images.check_parent(self.images, self.criu.parent)
        self.work = images.open_work(criu.work)
        self._meanwhile: Callable[[], None] | None = None

    @property
    def stays(self) -> bool:
        """Whether the container goes on afterwards."""
        return self.criu.leave_running or self.criu.pre_dump

    def perform(self) -> None:
        """Save it; unless it shall stay it is gone afterwards."""
        self.save()
        if not self.stays:
            self.end()

    def hold(self, step: Callable[[], None]) -> None:
        """Have a step run when all is saved and the processes still stand."""
        self._meanwhile = step

    def save(self) -> None:
        """Save it; its processes are ended unless it shall stay."""
        path = program.find()
        options = self._options()
        kind = protocol.PRE_DUMP if self.criu.pre_dump else protocol.DUMP
        worker = Worker(path, stdio=None, session=True)
        try:
            worker.check_version()
            self._check_features(worker)
            worker.perform(kind, options, self._on_notification)
        except Refused as refused:
            directory = (self.work or self.images).path
            action = f"save container {self.container.id}"
            raise refused.explain(action, directory=directory, name=plan.DUMP_LOG) from None
        finally:
            # After a pre-dump it waits for the dump: then it does not end well.
            worker.finish()

    def _check_features(self, worker: Worker) -> None:
        if self.criu.pre_dump or self.criu.parent:
            worker.check_feature(
                "mem_track",
                noun="saving memory in several goes (--pre-dump, --parent-path)",
                needs="a kernel with CONFIG_MEM_SOFT_DIRTY",
            )
        if self.criu.lazy_pages:
            worker.check_feature(
                "lazy_pages", noun="--lazy-pages", needs="a kernel with CONFIG_USERFAULTFD"
            )

    # -- what criu is told -------------------------------------------------------------------------

    def _options(self) -> dict[str, Any]:
        container, config = self.container, self.config
        entries = mountinfo.read(container.pid)
        external: list[str] = []
        mounts.check(config)
        if not self.criu.pre_dump:
            names = stdio.names(container.pid, inside={entry.id for entry in entries})
            images.write_descriptors(self.images, names)
            external = [*self._external_mounts(entries), *stdio.external(names)]
        freezer = container.state.get("freezer")
        return plan.dump(
            self.criu,
            plan.Files(
                images_fd=self.images.fd,
                work_fd=self.work.fd if self.work else -1,
                config=settings.find(config.annotations),
            ),
            pid=container.pid,
            rootfs=str(container.state["rootfs"]),
            empty_network=self.criu.empty_network or plan.builds_network(config),
            external=external,
            namespaces={
                kind: os.stat(f"/proc/{container.pid}/ns/{plan.NAMES[kind]}").st_ino
                for kind in plan.joined_namespaces(config)
                if kind in plan.HANDED
            },
            freezer=os.path.dirname(freezer[1]) if freezer else "",
        )

    def _external_mounts(self, entries: Sequence[mountinfo.Entry]) -> list[str]:
        inside = rootfs.Inside(f"/proc/{self.container.pid}/root")
        try:
            on, masks = look_at(inside, self.config)
        finally:
            inside.close()
        return mounts.saved(self.config, entries, on=on, masks=masks)

    # -- while it runs -----------------------------------------------------------------------------

    def _on_notification(self, moment: str, pid: int, fds: Sequence[int]) -> None:
        if moment == "status-ready" and self.status_fd >= 0:
            fd, self.status_fd = self.status_fd, -1
            try:
                os.write(fd, b"\0")
            except BrokenPipeError:  # nobody waits any more
                log.warning("nobody reads the descriptor of --status-fd")
            finally:
                os.close(fd)
        elif moment == "post-dump" and self._meanwhile is not None:
            self._meanwhile()

    def end(self) -> None:
        """Remove what is left of the container, whose processes are in the images now."""
        if self.container.status() == PAUSED:
            self.container.cgroup(now=True).thaw()
        self.container.stop()
        delete.destroy(self.container)


def check_status(container: Container) -> None:
    status = container.status()
    if status in (RUNNING, PAUSED):
        return
    if status == CREATED:
        raise StateError(
            f"cannot checkpoint container {container.id} in the created state",
            hint=f"pyrunc start {container.id}",
        )
    raise StateError(f"container not running: {container.id} is {status}: there is nothing to save")


def check_status_fd(fd: int) -> None:
    """Check that the descriptor is the caller's and open for writing; make it close-on-exec."""
    if fd < 0:
        return
    import fcntl

    try:
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        ours = fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    except OSError:
        flags, ours = os.O_RDONLY, 1
    if ours or flags & os.O_ACCMODE == os.O_RDONLY:
        raise UsageError(f"--status-fd {fd}: it must be an open descriptor that can be written to")
    os.set_inheritable(fd, False)


def look_at(inside: rootfs.Inside, config: Config) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Return the ids of the mounts at two kinds of places in the container.

    The first are the destinations of the configuration, its devices and the directory of the
    notification socket; the second are the masked paths that are no directories.
    """
    wanted = [mount.destination for mount in config.mounts]
    wanted += [*rootfs.device_paths(config), mounts.NOTIFY]
    on = {path: mounted[0] for path in wanted if (mounted := inside.mount(path)) is not None}
    masks = {
        path: mounted[0]
        for path in config.linux.masked_paths
        if (mounted := inside.mount(path)) is not None and not mounted[1]
    }
    return on, masks
