# SPDX-License-Identifier: Apache-2.0
"""From a bundle to a created container: the one path of `create` and `run`, undone when it fails.

The order: read and check everything; claim the id; start the init, which makes its namespaces while
we make the cgroups; answer it; commit the state when it is ready. Until then the init ends with us.
"""

from __future__ import annotations

import os
import time
from errno import ENOSPC

from pyrunc import idmap, syscalls
from pyrunc.container import CREATING, Container, oci_state
from pyrunc.deletion import run_poststop, undo
from pyrunc.errors import Failure, HostError, InitError
from pyrunc.init import ops
from pyrunc.init.launch import spawn
from pyrunc.log import log
from pyrunc.state import CONFIG, StateDirectory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pyrunc.blueprint import Blueprint
    from pyrunc.init.launch import Child, Message
    from pyrunc.init.plan import Plan


# Intents whose content has a place of its own in the state.
KEPT_ELSEWHERE = ("hooks", "process")


class Creation:
    """One create under way. `undo` takes back whatever was made."""

    __slots__ = ("blueprint", "child", "directory", "made", "terminal")

    def __init__(self, blueprint: Blueprint, *, root: str) -> None:
        self.blueprint = blueprint
        self.made: list[dict[str, Any]] = []  # what `delete` has to undo, the latest first
        self.child: Child | None = None
        self.terminal = -1
        self.directory = StateDirectory.claim(root, blueprint.id)

    def intend(self, kind: str, record: Mapping[str, object]) -> None:
        """Write down what is about to be made."""
        self.directory.intend(kind, record)
        self.made.insert(0, {"kind": kind, **record})

    # -- the path ------------------------------------------------------------------------------------

    def perform(self) -> None:
        """Everything up to "created"; on failure nothing is left."""
        try:
            self._perform()
        except BaseException as error:
            first = self._oom_killed() or _in_words(error)
            self.undo()
            if first is error:
                raise
            log.debug(f"the init's own error: {error}")
            raise first from None

    def _perform(self) -> None:
        blueprint = self.blueprint
        poststop = blueprint.saved_hooks()["poststop"]
        if poststop:
            # They run also when the create fails or is killed: what other hooks have set up must go.
            self.intend("hooks", {"poststop": poststop, "state": blueprint.record()})
        gate, report = self.directory.make_gate()
        objects = {"gate": gate, "report": report}
        try:
            child = self.child = spawn(
                blueprint.plan,
                [objects[name] for name in blueprint.plan.object_names],
                preserve_fds=blueprint.preserve_fds,
            )
        finally:
            # The init alone may hold the gate: that somebody does means "created".
            os.close(gate)
            os.close(report)
        self._note_process()
        self._make_cgroups()
        child.serve(
            {
                ops.RENDEZVOUS_NAMESPACES: self._on_namespaces,
                ops.RENDEZVOUS_HOOKS: self._on_hooks,
                ops.RENDEZVOUS_CONSOLE: self._on_console,
                ops.RENDEZVOUS_SECCOMP: self._on_seccomp,
                ops.RENDEZVOUS_READY: self._on_ready,
            },
            until=ops.RENDEZVOUS_READY,
            on_forked=self._note_process,
        )
        if blueprint.pid_file:
            write_pid_file(blueprint.pid_file, child.pid)

    def _note_process(self) -> None:
        child = self.child
        assert child is not None
        self.intend("process", {"pid": child.pid, "startTime": child.note_start_time()})

    def _make_cgroups(self) -> None:
        manager = self.blueprint.cgroup
        if manager.driver == "disabled":
            return
        self.intend("cgroup", {"record": manager.record()})
        manager.prepare()
        linux = self.blueprint.config.linux
        manager.apply(linux.resources)

    # -- rendezvous ------------------------------------------------------------------------------------

    def _on_namespaces(self, message: Message) -> Sequence[int]:
        """Id maps and clocks of the new namespaces; the init gets what it needs to enter its cgroups."""
        child, linux = self.child, self.blueprint.config.linux
        assert child is not None
        kinds = self.blueprint.new_namespaces
        if "user" in kinds or ("time" in kinds and linux.time_offsets):
            files = idmap.ProcessFiles(child.pid)
            try:
                if "user" in kinds:
                    idmap.write_maps(
                        files,
                        uids=linux.uid_mappings,
                        gids=linux.gid_mappings,
                        pointer=linux.pointer,
                    )
                if "time" in kinds and linux.time_offsets:
                    idmap.write_time_offsets(
                        files, linux.time_offsets, pointer=f"{linux.pointer}/timeOffsets"
                    )
            finally:
                files.close()
        return self._cgroup_descriptors()

    def _cgroup_descriptors(self) -> list[int]:
        child, manager = self.child, self.blueprint.cgroup
        assert child is not None
        entry = manager.entry()
        if entry.kind == "attach":
            manager.attach(child.pid)
        return [fd for fd in (entry.into, *entry.fds, entry.leaf) if fd >= 0]

    def _on_hooks(self, message: Message) -> Sequence[int]:
        """prestart and createRuntime: the namespaces and mounts are there, the root is not entered yet."""
        from pyrunc import hooks

        found = self.blueprint.config.hooks
        if found is None:
            return ()
        state = self._oci_state(CREATING)
        hooks.run_all("prestart", found.prestart, state)
        hooks.run_all("createRuntime", found.create_runtime, state)
        return ()

    def _on_console(self, message: Message) -> Sequence[int]:
        """The master of the terminal goes to whoever listens on the console socket."""
        if len(message.fds) != 1:
            raise InitError("the init sent no terminal")
        if self.blueprint.console_socket:
            send_descriptor(self.blueprint.console_socket, message.fds[0], text=b"/dev/ptmx")
        else:
            self.terminal = os.dup(message.fds[0])
        return ()

    def _on_seccomp(self, message: Message) -> Sequence[int]:
        """The descriptor of system call notifications goes to the agent of listenerPath."""
        child, node = self.child, self.blueprint.config.linux.seccomp
        assert child is not None
        assert node is not None
        from pyrunc.seccomp import notify

        listener = syscalls.pidfd_getfd(child.pidfd, message.step)
        try:
            notify.hand_over(node, listener, pid=child.pid, state=self._oci_state(CREATING))
        finally:
            os.close(listener)
        return ()

    def _on_ready(self, message: Message) -> Sequence[int]:
        """Limits from outside, where the right to raise them still is; then the state is committed."""
        child, blueprint = self.child, self.blueprint
        assert child is not None
        for resource, soft, hard in blueprint.plan.rlimits:
            try:
                syscalls.prlimit(child.pid, resource, soft, hard)
            except OSError as error:
                raise Failure(
                    f"cannot set resource limit {resource} to {soft}/{hard}",
                    errno=error.errno or 0,
                    pointer="/process/rlimits",
                    hint="a hard limit above the caller's own needs CAP_SYS_RESOURCE",
                ) from None
        self.directory.write(CONFIG, blueprint.data)
        self.directory.save(self._state())
        return ()

    # -- the state ----------------------------------------------------------------------------------

    def _oci_state(self, status: str) -> dict[str, Any]:
        child = self.child
        assert child is not None
        return oci_state(self.blueprint.record(), status=status, pid=child.pid)

    def _state(self) -> dict[str, Any]:
        """What state.json keeps for the commands to come."""
        child, blueprint = self.child, self.blueprint
        assert child is not None
        config = blueprint.config
        raw_linux = config.raw.get("linux") or {}
        return {
            **blueprint.record(),
            "pid": child.pid,
            "startTime": child.start_time,
            "created": now(),
            "owner": os.geteuid(),
            "rootless": blueprint.rootless,
            "sharedPid": blueprint.shared_pid,
            "namespaces": sorted(one.type for one in config.linux.namespaces),
            "cgroup": blueprint.cgroup.record(),
            "freezer": freezer_file(blueprint.cgroup.record()),
            "resources": raw_linux.get("resources"),
            "hooks": blueprint.saved_hooks(),
            "late": late_ops(blueprint.plan),
            "made": [record for record in self.made if record["kind"] not in KEPT_ELSEWHERE],
        }

    # -- failure ------------------------------------------------------------------------------------

    def _oom_killed(self) -> Failure | None:
        """Whether the kernel killed the init for its memory; asked before the cgroup goes away."""
        if not any(record["kind"] == "cgroup" for record in self.made):
            return None
        try:
            kills = self.blueprint.cgroup.oom_kills()
        except (Failure, OSError):
            return None
        if not kills:
            return None
        return InitError(
            "container init was OOM-killed (memory limit too low?)",
            pointer="/linux/resources/memory/limit",
        )

    def undo(self) -> None:
        """Take everything back. The first error is what the user hears of; these are logged."""
        if self.child is not None:
            self.child.kill()
        self.blueprint.cgroup.close()
        hooks = [record for record in self.made if record["kind"] == "hooks"]
        try:
            undo([record for record in self.made if record["kind"] != "process"])
            self.directory.remove()
        except (Failure, OSError) as error:
            log.warning(f"{self.blueprint.id}: after a failed create: {error}")
        self.close()
        for record in hooks:
            run_poststop(record["poststop"], record["state"])

    def close(self) -> None:
        """Let go of the descriptors; the container goes on."""
        if self.child is not None:
            self.child.close()
        if self.terminal >= 0:
            os.close(self.terminal)
            self.terminal = -1
        self.directory.close()

    def container(self) -> Container:
        """The created container."""
        state = self.directory.load()
        assert state is not None
        return Container(self.directory, state)


def _in_words(error: BaseException) -> BaseException:
    """A system call of ours that failed is the host's failure, not a bug."""
    if not isinstance(error, OSError):
        return error
    return HostError(
        f"cannot set the container up: {os.fsdecode(error.filename or 'system call')}",
        errno=error.errno or 0,
        hint="the file system of the state root is full" if error.errno == ENOSPC else "",
    )


def late_ops(plan: Plan) -> dict[str, Any]:
    """The ops after the gate, as far as `start` needs them to word a failure."""
    names = [op.NAME for op in plan.ops]
    first = names.index("wait_at_gate")
    return {
        "first": first,
        "ops": [
            {
                "name": op.NAME,
                "steps": list(op.STEPS),
                "what": op.what,
                "pointer": op.pointer,
                "path": getattr(op, "path", ""),
                "argv": list(getattr(op, "argv", ("",)))[:1],
                "timeoutMs": getattr(op, "timeout_ms", 0),
            }
            for op in plan.ops[first:]
        ],
    }


def freezer_file(record: Mapping[str, Any]) -> list[Any] | None:
    """Version and path of the file that says whether the container is frozen, for `state`."""
    groups = record.get("cgroups") or ()
    for group in groups:
        if "freezer" in group["controllers"]:
            return [1, f"{group['mount']}/{group['path']}/freezer.state"]
    for group in groups:
        if group["version"] == 2:
            return [2, f"{group['mount']}/{group['path']}/cgroup.freeze"]
    return None


def now() -> str:
    """RFC 3339 with nanoseconds, in UTC."""
    nanoseconds = time.time_ns()
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(nanoseconds // 10**9))
    return f"{seconds}.{nanoseconds % 10**9:09d}Z"


def send_descriptor(path: str, fd: int, *, text: bytes) -> None:
    """Send one descriptor to a socket file, with some text: an empty message would carry nothing."""
    try:
        connection = syscalls.connect_unix(path)
    except OSError as error:
        raise Failure(f"cannot connect to the socket {path}", errno=error.errno or 0) from None
    try:
        syscalls.send_message(connection, text, [fd])
    except OSError as error:
        raise Failure(f"cannot send to the socket {path}", errno=error.errno or 0) from None
    finally:
        os.close(connection)


def write_pid_file(path: str, pid: int) -> None:
    """Decimal digits without a newline (Go's Atoi reads it), complete from the first moment."""
    directory, name = os.path.split(os.path.abspath(path))
    temporary = os.path.join(directory, f".{name}.{os.getpid()}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(temporary, flags, 0o644)
        try:
            os.write(fd, str(pid).encode())
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except OSError as error:
        raise Failure(f"cannot write the pid file {path}", errno=error.errno or 0) from None
