# SPDX-License-Identifier: Apache-2.0
"""From a bundle to a created container: the one path of `create` and `run`, undone when it fails.

The order: read and check everything; claim the id; start the init, which makes its namespaces while
we make the cgroups; answer it; commit the state when it is ready. Until then the init ends with us.
"""

from __future__ import annotations

import os

from pyrunc.errors import Failure
from pyrunc.host.trace import trace
from pyrunc.init import ops
from pyrunc.init.launch import spawn
from pyrunc.lifecycle import create_failure, handover, id_maps, late, service_manager
from pyrunc.lifecycle.container import CREATED, CREATING, Container, oci_state
from pyrunc.lifecycle.delete import run_poststop, undo
from pyrunc.lifecycle.filter import filter_cache
from pyrunc.lifecycle.prepare import PreparedCreate
from pyrunc.lifecycle.record import freezer_file, now
from pyrunc.lifecycle.state import CONFIG, StateDirectory
from pyrunc.lifecycle.state_root import state_path
from pyrunc.log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pyrunc.init.launch import Child, Message
    from pyrunc.lifecycle.idmapped_mounts import Mapper
    from pyrunc.lifecycle.options import CreateOptions


# Kinds of intents that state.json stores under another key.
KEPT_ELSEWHERE = ("hooks", "process")


def prepare(options: CreateOptions, *, detached: bool) -> Create:
    """Decide everything, then claim the id. `detached`: nobody will relay a terminal."""
    prepared = PreparedCreate(options, cache=filter_cache(options.root))
    handover.check_terminal(
        prepared.terminal, console_socket=prepared.console_socket, detached=detached
    )
    return Create(prepared, root=options.root)


class Create:
    """One create under way. `undo` takes back whatever was made."""

    __slots__ = ("agent", "boot", "child", "directory", "made", "mapper", "prepared", "terminal")

    def __init__(self, prepared: PreparedCreate, *, root: str) -> None:
        self.prepared = prepared
        self.made: list[dict[str, Any]] = []  # what `delete` has to undo, the latest first
        self.child: Child | None = None
        self.terminal = -1
        self.mapper: Mapper | None = None
        self.agent = handover.connect_agent(
            None if prepared.explanation else prepared.filter,
            prepared.config,
            root=root,
            container_id=prepared.id,
            bundle=prepared.bundle,
        )
        trace.phase("claim the id")
        self.boot = ""
        try:
            self.directory = StateDirectory.claim(root, prepared.id)
        except BaseException:
            if self.agent is not None:
                self.agent.close()
            raise
        try:
            self.boot = self.directory.boot()
            log.step("claimed the id %s", prepared.id)
            prepared.cgroup.mark = state_path(root, prepared.id)
        except BaseException as error:
            self.undo()
            raise handover.in_words(error) from None

    def intend(self, kind: str, record: Mapping[str, object]) -> None:
        """Write down what is about to be made."""
        self.directory.intend(kind, record)
        self.made.insert(0, {"kind": kind, **record})

    # -- the path ----------------------------------------------------------------------------------

    def perform(self) -> None:
        """Everything up to "created"; on failure nothing is left."""
        try:
            self._perform()
            self.prepared.log_warnings()  # late: Podman reads the log of a failure as one record
            for note in self.prepared.cgroup.notes():
                log.warning(note)
        except BaseException as error:
            killed = create_failure.oom_killed(self.made, self.prepared.cgroup)
            first = killed or handover.in_words(error)
            self.undo()
            try:
                if first is error:
                    raise
                log.debug(f"the init's own error: {error}")
                raise first from None
            finally:
                del first  # its traceback holds this frame: all would live until the collector runs

    def _perform(self) -> None:
        prepared = self.prepared
        poststop = prepared.saved_hooks()["poststop"]
        if poststop:
            # They run also when the create fails or is killed: what other hooks have set up must
            # go.
            self.intend("hooks", {"poststop": poststop, "state": prepared.record()})
        if prepared.plan.host_mounts:
            from pyrunc.lifecycle import host_mounts

            self.intend("mounts", host_mounts.intent(prepared.plan.host_mounts))
        if prepared.notify:
            service_manager.make_directory(self.directory)
        gate, report = self.directory.make_gate()
        objects = {"gate": gate, "report": report}
        try:
            objects.update(self._hook_output())
            if trace.on:
                trace.phase("start the init")
                objects["times"] = trace.times_file(len(prepared.plan.ops))
            child = self.child = spawn(
                prepared.plan,
                [objects[name] for name in prepared.plan.object_names],
                preserve_fds=prepared.preserve_fds,
                stdio=prepared.stdio,
            )
        finally:
            # The init alone may hold the gate: that somebody does means "created".
            for fd in objects.values():
                os.close(fd)
        log.step("started the init: process %d", child.pid)
        self._note_process()
        trace.phase("cgroups")
        self._make_cgroups()
        log.step("made the cgroups and set their limits")
        self._make_rdt()
        trace.phase("init")
        child.serve(
            {
                ops.RENDEZVOUS_NAMESPACES: self._on_namespaces,
                ops.RENDEZVOUS_CGROUPS: self._on_cgroups,
                ops.RENDEZVOUS_MOUNTS: self._on_mounts,
                ops.RENDEZVOUS_SOURCE: self._on_source,
                ops.RENDEZVOUS_MAP: self._on_map,
                ops.RENDEZVOUS_HOOKS: self._on_hooks,
                ops.RENDEZVOUS_CONSOLE: self._on_console,
                ops.RENDEZVOUS_SECCOMP: self._on_seccomp,
                ops.RENDEZVOUS_READY: self._on_ready,
            },
            until=ops.RENDEZVOUS_READY,
            on_forked=self._note_process,
        )
        if trace.on:
            trace.operations(prepared.plan.ops)
            trace.phase("finish")
        if prepared.pid_file:
            handover.write_pid_file(prepared.pid_file, child.pid)

    def _hook_output(self) -> dict[str, int]:
        """Open the files that hooks in the container's namespaces write to through the init."""
        prepared = self.prepared
        if len(prepared.plan.object_names) == 2:
            return {}
        from pyrunc.lifecycle import hooks

        opened = hooks.open_sinks(prepared.config.annotations)
        return {f"hook-{name}": fd for name, fd in opened.items()}

    def _note_process(self) -> None:
        child = self.child
        assert child is not None
        start_time = child.note_start_time()
        self.intend("process", {"pid": child.pid, "startTime": start_time, "boot": self.boot})

    def _make_cgroups(self) -> None:
        manager = self.prepared.cgroup
        if manager.driver == "disabled":
            return
        manager.look_again()
        record = manager.record()
        self.intend("cgroup", {"record": record})
        manager.prepare()
        manager.correct(record)
        linux = self.prepared.config.linux
        manager.apply(linux.resources)

    def _make_rdt(self) -> None:
        """Make the group of Intel RDT; the init enters it at the rendezvous `namespaces`."""
        node = self.prepared.config.linux.intel_rdt
        if node is None:
            return
        group = self.prepared.rdt
        assert group is not None
        self.intend("rdt", {"record": group.record()})
        group.prepare(node)

    # -- rendezvous --------------------------------------------------------------------------------

    def _on_namespaces(self, message: Message) -> Sequence[int]:
        """Write id maps and clocks of the new namespaces.

        The init gets what it needs to enter its cgroups.
        """
        child, linux = self.child, self.prepared.config.linux
        assert child is not None
        if self.prepared.rdt is not None:  # not before: the init may have forked until now
            self.prepared.rdt.attach(child.pid)
        kinds = self.prepared.new_namespaces
        if "user" in kinds or ("time" in kinds and linux.time_offsets):
            files = id_maps.ProcessFiles(child.pid)
            try:
                if "user" in kinds:
                    id_maps.write_maps(
                        files,
                        uids=linux.uid_mappings,
                        gids=linux.gid_mappings,
                        pointer=linux.pointer,
                    )
                if "time" in kinds and linux.time_offsets:
                    id_maps.write_time_offsets(
                        files, linux.time_offsets, pointer=f"{linux.pointer}/timeOffsets"
                    )
            finally:
                files.close()
        if linux.net_devices:
            from pyrunc.lifecycle import network_devices

            network_devices.move(linux.net_devices, pid=child.pid)
        return () if self.prepared.attached else self._on_cgroups(message)

    def _on_cgroups(self, message: Message) -> Sequence[int]:
        child, manager = self.child, self.prepared.cgroup
        assert child is not None
        entry = manager.entry(clone=self.prepared.clones_into_cgroup)
        if entry.kind == "attach":
            manager.forks = ops.Fork in map(type, self.prepared.plan.ops[message.op :])
            manager.attach(child.pid)
        owner = self.prepared.cgroup_owner
        if owner is not None:
            manager.give(*owner)
        return [fd for fd in (entry.into, *entry.fds, entry.leaf) if fd >= 0]

    def _on_mounts(self, message: Message) -> Sequence[int]:
        """Id-mapped mounts; a plan may ask in several goes."""
        child, asked = self.child, self.prepared.plan.ops[message.op]
        assert child is not None
        assert isinstance(asked, ops.Await)
        return self._mapper().next(asked.count, pid=child.pid)

    def _on_map(self, message: Message) -> Sequence[int]:
        assert self.child is not None
        return self._mapper().map(message, self.prepared.plan, pid=self.child.pid)

    def _mapper(self) -> Mapper:
        from pyrunc.lifecycle.idmapped_mounts import Mapper

        if self.mapper is None:
            self.mapper = Mapper(self.prepared.plan.requests)
        return self.mapper

    def _on_source(self, message: Message) -> Sequence[int]:
        from pyrunc.lifecycle import mount_sources

        assert self.child is not None
        return mount_sources.answer(message, self.prepared.plan, pid=self.child.pid)

    def _on_hooks(self, message: Message) -> Sequence[int]:
        """Run the hooks that see the new namespaces and mounts, before the root is entered."""
        self._run_hooks()
        return ()

    def _run_hooks(self) -> None:
        """Run prestart and createRuntime hooks.

        prestart hooks were once part of `start`: what they expect to read is "created".
        """
        from pyrunc.lifecycle import hook_results, hooks

        notes = hook_results.Notes(self.directory, boot=self.boot)
        configured = self.prepared.config.hooks
        if configured is None:
            return
        for kind, status, listed in (
            ("prestart", CREATED, configured.prestart),
            ("createRuntime", CREATING, configured.create_runtime),
        ):
            hooks.run_all(kind, listed, self._oci_state(status), notes=notes)

    def _on_console(self, message: Message) -> Sequence[int]:
        prepared = self.prepared
        self.terminal = handover.take_terminal(
            message, console_socket=prepared.console_socket, relayed=prepared.stdio[1] < 0
        )
        return ()

    def _on_seccomp(self, message: Message) -> Sequence[int]:
        child, prepared = self.child, self.prepared
        assert child is not None
        if prepared.explanation is not None:
            handover.supervise(child, message, explanation=prepared.explanation)
            return ()
        node, state = prepared.config.linux.seccomp, self._oci_state(CREATING)
        assert self.agent is not None
        handover.hand_over_listener(child, message, node=node, agent=self.agent, state=state)
        return ()

    def _on_ready(self, message: Message) -> Sequence[int]:
        """Set the limits, then commit the state: the last moment before "created"."""
        assert self.child is not None
        self.prepared.cgroup.settle()
        if self.prepared.cgroup.leaf:
            self.prepared.cgroup.give_controllers()
        handover.set_limits(self.child)
        handover.send_pidfd(self.child, path=self.prepared.pidfd_socket, text=b"standard")
        if self.child.hooks:
            from pyrunc.lifecycle import hook_results

            hook_results.Notes(self.directory).of_init(self.child.hooks)
        self.directory.write(CONFIG, self.prepared.data)
        self.directory.save(self._state())
        log.step("saved the state: created")
        return ()

    # -- the state ---------------------------------------------------------------------------------

    def _oci_state(self, status: str) -> dict[str, Any]:
        child = self.child
        assert child is not None
        return oci_state(self.prepared.record(), status=status, pid=child.pid)

    def _state(self) -> dict[str, Any]:
        """Return what state.json keeps for the commands to come."""
        child, prepared = self.child, self.prepared
        assert child is not None
        config = prepared.config
        raw_linux = config.raw.get("linux") or {}
        return {
            **prepared.record(),
            "pid": child.pid,
            "startTime": child.start_time,
            "boot": self.boot,
            "created": now(),
            "owner": prepared.host.euid,
            "rootless": prepared.rootless,
            "sharedPid": prepared.shared_pid,
            "namespaces": sorted(one.type for one in config.linux.namespaces),
            "cgroup": prepared.cgroup.record(),
            "freezer": freezer_file(prepared.cgroup.record()),
            "resources": raw_linux.get("resources"),
            "hooks": prepared.saved_hooks(),
            "late": late.to_record(prepared.plan),
            "made": [record for record in self.made if record["kind"] not in KEPT_ELSEWHERE],
        }

    # -- failure -----------------------------------------------------------------------------------

    def undo(self) -> None:
        """Take everything back, once; the user hears of the first error, these are logged."""
        if self.directory.fd < 0:  # it is undone, or let go
            return
        if self.child is not None:
            self.child.kill()
        self.prepared.cgroup.close()
        hooks = [record for record in self.made if record["kind"] == "hooks"]
        try:
            undo([record for record in self.made if record["kind"] != "process"])
            self.directory.remove()
        except (Failure, OSError) as error:
            log.warning(f"{self.prepared.id}: after a failed create: {error}")
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
        """Return the created container."""
        state = self.directory.load()
        assert state is not None
        return Container(self.directory, state)
