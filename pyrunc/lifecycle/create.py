# SPDX-License-Identifier: Apache-2.0
"""From a bundle to a created container: the one path of `create` and `run`, undone when it fails.

The order: read and check everything; claim the id; start the init, which makes its namespaces while
we make the cgroups; answer it; commit the state when it is ready. Until then the init ends with us.
"""

from __future__ import annotations

import os
import time
from errno import ENOSPC

from pyrunc import activation, idmap, process, rendezvous
from pyrunc.container import CREATED, CREATING, Container, oci_state
from pyrunc.deletion import run_poststop, undo
from pyrunc.errors import Failure, HostError, InitError
from pyrunc.init import ops
from pyrunc.init.launch import spawn
from pyrunc.log import log, utc
from pyrunc.state import CONFIG, StateDirectory, state_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pyrunc.blueprint import Blueprint
    from pyrunc.idmapped import Mapper
    from pyrunc.init.launch import Child, Message
    from pyrunc.init.plan import Plan


# Intents whose content has a place of its own in the state.
KEPT_ELSEWHERE = ("hooks", "process")


class Creation:
    """One create under way. `undo` takes back whatever was made."""

    __slots__ = ("agent", "blueprint", "boot", "child", "directory", "made", "mapper", "terminal")

    def __init__(self, blueprint: Blueprint, *, root: str) -> None:
        self.blueprint = blueprint
        self.made: list[dict[str, Any]] = []  # what `delete` has to undo, the latest first
        self.child: Child | None = None
        self.terminal = -1
        self.mapper: Mapper | None = None
        self.agent = rendezvous.connect_agent(
            None if blueprint.explanation else blueprint.filter,
            blueprint.config,
            root=root,
            container_id=blueprint.id,
            bundle=blueprint.bundle,
        )
        self.directory = StateDirectory.claim(root, blueprint.id)
        self.boot = self.directory.boot()
        blueprint.cgroup.mark = state_path(root, blueprint.id)

    def intend(self, kind: str, record: Mapping[str, object]) -> None:
        """Write down what is about to be made."""
        self.directory.intend(kind, record)
        self.made.insert(0, {"kind": kind, **record})

    # -- the path ----------------------------------------------------------------------------------

    def perform(self) -> None:
        """Everything up to "created"; on failure nothing is left."""
        try:
            self._perform()
            self.blueprint.log_doubts()  # late: Podman reads the log of a failure as one record
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
            # They run also when the create fails or is killed: what other hooks have set up must
            # go.
            self.intend("hooks", {"poststop": poststop, "state": blueprint.record()})
        if blueprint.plan.host_mounts:
            from pyrunc import hostmounts

            self.intend("mounts", hostmounts.intent(blueprint.plan.host_mounts))
        if blueprint.notify:
            activation.make_directory(self.directory)
        gate, report = self.directory.make_gate()
        objects = {"gate": gate, "report": report}
        try:
            objects.update(self._hook_output())
            child = self.child = spawn(
                blueprint.plan,
                [objects[name] for name in blueprint.plan.object_names],
                preserve_fds=blueprint.preserve_fds,
            )
        finally:
            # The init alone may hold the gate: that somebody does means "created".
            for fd in objects.values():
                os.close(fd)
        self._note_process()
        self._make_cgroups()
        self._make_rdt()
        child.serve(
            {
                ops.RENDEZVOUS_NAMESPACES: self._on_namespaces,
                ops.RENDEZVOUS_MOUNTS: self._on_mounts,
                ops.RENDEZVOUS_HOOKS: self._on_hooks,
                ops.RENDEZVOUS_CONSOLE: self._on_console,
                ops.RENDEZVOUS_SECCOMP: self._on_seccomp,
                ops.RENDEZVOUS_READY: self._on_ready,
            },
            until=ops.RENDEZVOUS_READY,
            on_forked=self._note_process,
        )
        if blueprint.pid_file:
            rendezvous.write_pid_file(blueprint.pid_file, child.pid)

    def _hook_output(self) -> dict[str, int]:
        """The files that hooks in the container's namespaces write to through the init."""
        blueprint = self.blueprint
        if len(blueprint.plan.object_names) == 2:
            return {}
        from pyrunc import hooks

        opened = hooks.open_sinks(blueprint.config.annotations)
        return {f"hook-{name}": fd for name, fd in opened.items()}

    def _note_process(self) -> None:
        child = self.child
        assert child is not None
        start_time = child.note_start_time()
        self.intend("process", {"pid": child.pid, "startTime": start_time, "boot": self.boot})

    def _note_hook(self, pid: int) -> None:
        """A hook outlives a create that is killed; `delete` has to find it."""
        found = process.read_stat(pid)
        if found is not None:
            record = {"pid": pid, "startTime": found.start_time, "boot": self.boot}
            self.directory.intend("hook", record)

    def _make_cgroups(self) -> None:
        manager = self.blueprint.cgroup
        if manager.driver == "disabled":
            return
        self.intend("cgroup", {"record": manager.record()})
        manager.prepare()
        linux = self.blueprint.config.linux
        manager.apply(linux.resources)

    def _make_rdt(self) -> None:
        """The group of Intel RDT; the init enters it before it forks."""
        node = self.blueprint.config.linux.intel_rdt
        if node is None:
            return
        child, group = self.child, self.blueprint.rdt
        assert child is not None
        assert group is not None
        self.intend("rdt", {"record": group.record()})
        group.prepare(node)
        group.attach(child.pid)

    # -- rendezvous --------------------------------------------------------------------------------

    def _on_namespaces(self, message: Message) -> Sequence[int]:
        """Id maps and clocks of the new namespaces; the init gets what it needs to enter its
        cgroups.
        """
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
        if linux.net_devices:
            from pyrunc import netdevices

            netdevices.move(linux.net_devices, pid=child.pid)
        return self._cgroup_descriptors()

    def _cgroup_descriptors(self) -> list[int]:
        child, manager = self.child, self.blueprint.cgroup
        assert child is not None
        entry = manager.entry()
        if entry.kind == "attach":
            manager.attach(child.pid)
        owner = self.blueprint.cgroup_owner
        if owner is not None:
            manager.give(*owner)
        return [fd for fd in (entry.into, *entry.fds, entry.leaf) if fd >= 0]

    def _on_mounts(self, message: Message) -> Sequence[int]:
        """Id-mapped mounts; a plan may ask in several goes."""
        from pyrunc.idmapped import Mapper

        child, plan = self.child, self.blueprint.plan
        assert child is not None
        asked = plan.ops[message.op]
        assert isinstance(asked, ops.Await)
        if self.mapper is None:
            self.mapper = Mapper(plan.requests)
        return self.mapper.next(asked.count, pid=child.pid)

    def _on_hooks(self, message: Message) -> Sequence[int]:
        """The namespaces and mounts are there, the root is not entered yet."""
        self._run_hooks()
        return ()

    def _run_hooks(self) -> None:
        """prestart and createRuntime. prestart hooks were once part of `start`: what they expect to
        read is "created".
        """
        from pyrunc import hooks

        found = self.blueprint.config.hooks
        if found is None:
            return
        for kind, status, listed in (
            ("prestart", CREATED, found.prestart),
            ("createRuntime", CREATING, found.create_runtime),
        ):
            hooks.run_all(kind, listed, self._oci_state(status), started=self._note_hook)

    def _on_console(self, message: Message) -> Sequence[int]:
        self.terminal = rendezvous.take_terminal(
            message, console_socket=self.blueprint.console_socket
        )
        return ()

    def _on_seccomp(self, message: Message) -> Sequence[int]:
        child, blueprint = self.child, self.blueprint
        assert child is not None
        if blueprint.explanation is not None:
            rendezvous.supervise(child, message, explanation=blueprint.explanation)
            return ()
        node, state = blueprint.config.linux.seccomp, self._oci_state(CREATING)
        assert self.agent is not None
        rendezvous.hand_over_listener(child, message, node=node, agent=self.agent, state=state)
        return ()

    def _on_ready(self, message: Message) -> Sequence[int]:
        """The last moment before "created": limits, then the state is committed."""
        assert self.child is not None
        rendezvous.set_limits(self.child)
        rendezvous.send_pidfd(self.child, path=self.blueprint.pidfd_socket, text=b"standard")
        self.directory.write(CONFIG, self.blueprint.data)
        self.directory.save(self._state())
        return ()

    # -- the state ---------------------------------------------------------------------------------

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
            "boot": self.boot,
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

    # -- failure -----------------------------------------------------------------------------------

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
            hint="the init needs some MiB before the program has its memory",
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
        if self.mapper is not None:
            self.mapper.close()
        if self.agent is not None:
            self.agent.close()
        if self.terminal >= 0:
            os.close(self.terminal)
            self.terminal = -1
        self.mapper = None
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
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    return f"{utc(seconds)}.{nanoseconds:09d}Z"
