# SPDX-License-Identifier: Apache-2.0
"""The path of `restore`: as a creation, with CRIU in the place of the init.

The order: read and check everything; claim the id; make the root file system ready; start criu, put
it into new cgroups, and ask it. It runs the hooks' moment, brings the processes back, and waits
until the state is committed before it lets them go.
"""

from __future__ import annotations

import os

from pyrunc import jsontext
from pyrunc.cgroups.layout import read_whole
from pyrunc.checkpoint import images, mounts, options, plan, program, protocol, settings, stdio
from pyrunc.checkpoint.rootfs import Root, device_paths, host_mounts_below
from pyrunc.checkpoint.worker import Refused, Worker
from pyrunc.errors import Failure, HostError
from pyrunc.host import syscalls
from pyrunc.init.launch import Child
from pyrunc.lifecycle import handover, host_mounts, service_manager
from pyrunc.lifecycle.create import Create
from pyrunc.lifecycle.prepare import PreparedCreate, container_root
from pyrunc.lifecycle.state import CONFIG
from pyrunc.log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pyrunc.lifecycle.options import CreateOptions

NO_SOCKET = -1


class Images:
    """What `restore` reads: opened and checked before anything is made."""

    __slots__ = ("config_file", "criu", "fields", "handed", "images", "program", "work")

    def __init__(self, criu: options.CriuOptions, prepared: PreparedCreate) -> None:
        config = prepared.config
        self.criu = criu
        mounts.check(config)
        self.program = program.find()
        plan.refuse_landlock(config)
        self.config_file = settings.find(config.annotations)
        self.images = images.open_images(criu.images, make=False)
        self.work = images.open_work(criu.work)
        if "user" in prepared.new_namespaces:
            self.images.lend(container_root(config.linux.gid_mappings))
        self.handed: dict[str, int] = {}
        joined = plan.joined_namespaces(config)
        for kind in plan.HANDED:
            if kind in joined:
                self.handed[kind] = _open_namespace(joined[kind], pointer=config.linux.pointer)

    @property
    def log_directory(self) -> str:
        return (self.work or self.images).path

    def files(self) -> plan.Files:
        return plan.Files(
            images_fd=self.images.fd,
            work_fd=self.work.fd if self.work else -1,
            config=self.config_file,
        )

    def close(self) -> None:
        for fd in self.handed.values():
            os.close(fd)
        self.handed = {}
        self.images.close()
        if self.work:
            self.work.close()


def _open_namespace(path: str, *, pointer: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise HostError(
            f"cannot open the namespace {path}",
            errno=error.errno or 0,
            pointer=f"{pointer}/namespaces",
            hint="it must exist before the container is restored",
        ) from None


class Restoration(Create):
    """One restore under way. `undo` takes back whatever was made."""

    __slots__ = ("_meanwhile", "_root", "_saved", "_worker")

    def __init__(self, prepared: PreparedCreate, saved: Images, *, root: str) -> None:
        self._saved = saved  # first: `undo` needs both
        self._worker: Worker | None = None
        self._meanwhile: Callable[[], None] | None = None
        super().__init__(prepared, root=root)
        self._root = Root(self.directory, os.path.realpath(prepared.cgroup.mark))

    def hold(self, step: Callable[[], None]) -> None:
        """Have a step run when all is back and no process runs yet."""
        self._meanwhile = step

    # -- the path ----------------------------------------------------------------------------------

    def _perform(self) -> None:
        prepared = self.prepared
        poststop = prepared.saved_hooks()["poststop"]
        if poststop:
            self.intend("hooks", {"poststop": poststop, "state": prepared.record()})
        service_manager.make_directory(self.directory)
        # Criu mounts cgroups in its work directory.
        self.intend("mounts", host_mounts.intent(os.path.realpath(self._saved.log_directory)))
        external = self._make_root()
        self._check_cgroups()
        self._make_cgroups()
        worker = self._worker = Worker(
            self._saved.program,
            stdio=prepared.stdio,
            session=not self._saved.criu.fields.get("shell_job"),
            more_fds=list(self._saved.handed.values()),
        )
        self.child = Child(pid=worker.pid, pidfd=worker.pidfd, sync=NO_SOCKET, plan=prepared.plan)
        worker.pidfd = -1  # the child's from now on
        # After the cgroup, which is removed before it: criu shall end by itself, and in peace.
        start_time = self.child.note_start_time()
        record = {"pid": worker.pid, "startTime": start_time, "boot": self.boot}
        self.intend("criu", record)
        self._enter_cgroups(worker.pid)
        self._make_rdt()
        worker.check_version()
        try:
            worker.perform(protocol.RESTORE, self._options(external), self._on_notification)
        except Refused as refused:
            raise refused.explain(
                f"restore container {prepared.id}",
                directory=self._saved.log_directory,
                name=plan.RESTORE_LOG,
            ) from None
        worker.finish()
        self._worker = None
        self._root.unmount()
        if prepared.pid_file:
            handover.write_pid_file(prepared.pid_file, self.child.pid)

    def _make_root(self) -> list[str]:
        """Mount the root file system; the external mounts of the container."""
        prepared = self.prepared
        config = prepared.config
        self.intend("mounts", self._root.intent())
        self._root.mount(prepared.rootfs)
        points = self._root.make_points(config)
        sources = [one.source or "" for one in mounts.binds(config)]
        cgroups = {
            os.path.basename(one.hierarchy.mount): one.path for one in prepared.cgroup.members
        }
        if prepared.cgroup.unified is not None:
            cgroups[""] = prepared.cgroup.unified.path
        return mounts.restored(
            config,
            rootfs=prepared.rootfs,
            points=points,
            below=host_mounts_below([prepared.rootfs, *sources]),
            cgroups=cgroups,
            notify=f"{os.path.dirname(self._root.path)}/{service_manager.DIRECTORY}",
            devices=device_paths(config),
        )

    def _check_cgroups(self) -> None:
        """strict: what is restored finds no cgroup. Ours is made before criu could look."""
        fields = self._saved.criu.fields
        if fields["manage_cgroups_mode"] != protocol.CGROUP_MODES["strict"]:
            return
        for member in self.prepared.cgroup.members:
            if member.kept == len(member.parts):
                raise HostError(
                    f"the cgroup {member.path} exists, which --manage-cgroups-mode strict forbids",
                    hint="remove it, or use another mode",
                )
        fields["manage_cgroups_mode"] = protocol.CGROUP_MODES["full"]

    def _enter_cgroups(self, pid: int) -> None:
        """Criu enters, and what it brings back is born there."""
        manager = self.prepared.cgroup
        if manager.driver == "disabled":
            return
        manager.attach(pid)
        owner = self.prepared.cgroup_owner
        if owner is not None:
            manager.give(*owner)
        if manager.leaf:
            entry = manager.entry()
            try:
                os.write(entry.leaf, b"%d" % pid)
            finally:
                entry.close()

    def _options(self, external: Sequence[str]) -> dict[str, Any]:
        prepared, saved = self.prepared, self._saved
        assert self.child is not None
        joined = plan.joined_namespaces(prepared.config)
        empty = saved.criu.empty_network or not images.has_network(saved.images)
        return plan.restore(
            saved.criu,
            saved.files(),
            root=self._root.path,
            empty_network=empty,
            external=external,
            stdio=images.read_descriptors(saved.images),
            reads_file=stdio.is_file(0),
            handed=list(saved.handed),
            joined={kind: path for kind, path in joined.items() if kind not in plan.HANDED},
            cgroups=plan.parse_cgroups(read_whole(f"/proc/{self.child.pid}/cgroup")),
        )

    # -- while criu works --------------------------------------------------------------------------

    def _on_notification(self, moment: str, pid: int, fds: Sequence[int]) -> None:
        assert self.child is not None
        if moment in ("setup-namespaces", "post-restore") and self.child.pid != pid:
            self._adopt(pid)
        if moment == "setup-namespaces":
            self._run_hooks()  # what prepares the network of a new container
        elif moment == "orphan-pts-master" and fds:
            self._take_terminal(fds[0])
        elif moment == "post-restore":
            self._commit()
            if self._meanwhile is not None:
                self._meanwhile()

    def _adopt(self, pid: int) -> None:
        """From now on the child is the first process of the container, and criu a worker."""
        child, worker = self.child, self._worker
        assert child is not None
        assert worker is not None
        worker.pidfd = child.pidfd
        child.pid = pid
        child.pidfd = syscalls.pidfd_open(pid)
        self._note_process()

    def _take_terminal(self, master: int) -> None:
        path = self.prepared.console_socket
        if path:
            handover.send_descriptor(path, master, text=b"/dev/ptmx")
            return
        if self.prepared.stdio[1] < 0:
            handover.copy_window(master)
        self.terminal = os.dup(master)

    def _commit(self) -> None:
        """Commit the state: the processes exist, and wait for the answer to CRIU's notification."""
        child = self.child
        assert child is not None
        self.directory.write(CONFIG, self._configuration(child.pid))
        self.directory.save(self._state())

    def _configuration(self, pid: int) -> bytes:
        """Return the configuration for `exec`, with the time namespace that CRIU has made."""
        data = self.prepared.data
        kinds = [one.type for one in self.prepared.config.linux.namespaces]
        if "time" in kinds or _same_clock(pid):
            return data
        config = jsontext.decode(data.decode("utf-8", "surrogateescape"))
        config["linux"].setdefault("namespaces", []).append({"type": "time"})
        return jsontext.encode(config).encode("utf-8", "surrogateescape")

    # -- failure -----------------------------------------------------------------------------------

    def undo(self) -> None:
        """Criu takes back what it has done; we see that nothing of it is left."""
        if self.directory.fd < 0:
            return
        if self._worker is not None:
            self._end_worker(self._worker)
        try:
            self.prepared.cgroup.kill()
        except (Failure, OSError) as error:
            log.debug(f"{self.prepared.id}: {error}")
        super().undo()

    def _end_worker(self, worker: Worker) -> None:
        child = self.child
        if worker.pidfd < 0 and child is not None:
            worker.pidfd, child.pidfd = child.pidfd, -1
        worker.finish()

    def close(self) -> None:
        self._saved.close()
        super().close()


def _same_clock(pid: int) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/ns/time") == os.readlink("/proc/self/ns/time")
    except FileNotFoundError:  # a kernel without time namespaces
        return True


def prepare(create: CreateOptions, criu: options.CriuOptions, *, detached: bool) -> Restoration:
    """Decide everything, then claim the id."""
    prepared = PreparedCreate(create)
    check_terminal(prepared, criu, detached=detached)
    saved = Images(criu, prepared)
    try:
        return Restoration(prepared, saved, root=create.root)
    except BaseException:
        saved.close()
        raise


def check_terminal(prepared: PreparedCreate, criu: options.CriuOptions, *, detached: bool) -> None:
    """Check that somebody takes the terminal; a shell job has that of the caller."""
    if "shell_job" in criu.fields and not prepared.console_socket:
        return
    handover.check_terminal(
        prepared.terminal, console_socket=prepared.console_socket, detached=detached
    )
