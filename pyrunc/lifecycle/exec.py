# SPDX-License-Identifier: Apache-2.0
"""One more process in a running container: the effects of `exec`.

What to run comes from a process file or from the container's own process and the command line; all
else (filter, labels, capabilities where none are given) from the configuration that was saved when
the container was created.
"""

from __future__ import annotations

import os
from errno import EACCES, EAGAIN

from pyrunc.errors import Failure, HostError, StateError
from pyrunc.host import facts as host
from pyrunc.host import process, syscalls
from pyrunc.host.trace import trace
from pyrunc.init import attributes, ops
from pyrunc.init.compile_exec import compile_exec
from pyrunc.init.launch import spawn
from pyrunc.lifecycle import handover, service_manager
from pyrunc.lifecycle.container import PAUSED, RUNNING, STOPPED, Container
from pyrunc.lifecycle.filter import compile_filter, explanation, filter_cache
from pyrunc.lifecycle.state import CONFIG
from pyrunc.log import log
from pyrunc.spec.check_host import check_host_process
from pyrunc.spec.config import parse_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.cgroups import Manager
    from pyrunc.cgroups.base import Entry
    from pyrunc.errors import Problem
    from pyrunc.init.launch import Child, Message
    from pyrunc.init.plan import Plan
    from pyrunc.lifecycle.options import ExecOptions
    from pyrunc.seccomp.notify import Agent
    from pyrunc.seccomp.refusals import Explanation
    from pyrunc.spec.model import Config, Process

GONE = "cannot exec in a stopped container"


def saved_config(container: Container, *, whole: bool = True) -> Config:
    """Return the configuration as it was when the container was created."""
    text = container.directory.read(CONFIG)
    if text is None:
        raise StateError(f"the state of container {container.id} has no {CONFIG}")
    data, bundle = text.encode("utf-8", "surrogateescape"), str(container.state["bundle"])
    return parse_config(data, source=CONFIG, whole=whole, bundle=bundle)


def check_status(container: Container, *, ignore_paused: bool) -> None:
    status = container.status()
    if status == STOPPED:
        raise StateError(GONE, hint="`pyrunc list` shows which containers run")
    if not ignore_paused:
        container.refuse_held("exec")
    if status == PAUSED and not ignore_paused:
        raise StateError(
            "cannot exec in a paused container (use --ignore-paused to override)",
            hint=f"pyrunc resume {container.id}",
        )


class Execution:
    """One exec under way."""

    __slots__ = (
        "agent",
        "attached",
        "child",
        "cloned",
        "config",
        "container",
        "explanation",
        "listen_fds",
        "options",
        "preserve_fds",
        "terminal",
        "wanted",
        "warnings",
    )

    def __init__(
        self, container: Container, config: Config, wanted: Process, *, options: ExecOptions
    ) -> None:
        self.container = container
        self.config = config
        self.wanted = wanted
        self.options = options
        self.listen_fds = service_manager.listen_fds() if options.service_manager else 0
        # Those of listen_fds too.
        self.preserve_fds = handover.check_preserved(options.preserve_fds, listen=self.listen_fds)
        handover.check_terminal(
            bool(wanted.terminal), console_socket=options.console_socket, detached=options.detached
        )
        self.attached: Manager | None = None  # who moves the process into its cgroup
        self.agent: Agent | None = None
        self.explanation: Explanation | None = None
        self.child: Child | None = None
        self.cloned = False  # it was started in the container's cgroup2
        self.terminal = -1
        self.warnings: Sequence[Problem] = ()  # of what was asked for and is not in force

    def perform(self) -> Child:
        """Start the process; returns when its program runs.

        A process that is cloned into a cgroup2 counts for its limit, one that moves there does not.
        """
        try:
            return self._perform(clone=True)
        except Failure as error:
            if error.errno != EAGAIN or not self.cloned:
                raise
            log.debug(f"{error}: enter the cgroup by writing to cgroup.procs")
        return self._perform(clone=False)

    def _perform(self, *, clone: bool) -> Child:
        facts = host.probe()
        check_host_process(self.wanted, facts)
        compiled = compile_filter(self.config, cache=filter_cache(self.options.root))
        options = self.options
        if options.explain_seccomp:
            self.explanation = explanation(compiled)
            compiled = self.explanation.filter
        manager = self.container.cgroup()
        entry = manager.exec_entry(self.container.pid, paths=self.options.cgroup_paths, clone=clone)
        self.cloned = entry.into >= 0
        if entry.kind == "attach":
            self.attached = manager
        target = process.open_pidfd(self.container.pid, self.container.start_time)
        if target < 0:
            raise StateError(GONE)
        try:
            plan = compile_exec(
                self.wanted,
                facts,
                joined=joined_namespaces(self.container, self.config),
                linux=self.config.linux,
                rootfs=str(self.container.state["rootfs"]),
                annotations=self.config.annotations,
                tasks=len(entry.fds),
                attached=self.attached is not None,
                seccomp=compiled,
                oom_score_adj=self.config.process.oom_score_adj,
                listen_fds=self.listen_fds,
                preserve_fds=self.preserve_fds - self.listen_fds,
                no_new_keyring=self.options.no_new_keyring,
                traced=trace.on,
            )
            self.warnings = plan.warnings
            self.agent = handover.connect_agent(
                None if self.explanation else compiled,
                self.config,
                root=self.options.root,
                container_id=self.container.id,
                bundle=str(self.container.state["bundle"]),
            )
            return self._run(plan, target, entry)
        finally:
            if self.agent is not None:
                self.agent.close()
            syscalls.close_all((target, *entry.release(), *manager.release()))

    def _spawn(
        self, plan: Plan, objects: Sequence[int], entry: Entry, *, into: bool = True
    ) -> Child:
        """Start the process in its cgroup; without permission a rootless one stays in ours.

        A move needs write access to the cgroup above both, which a caller outside the part of the
        tree that is given to the user has not.
        """
        try:
            return spawn(
                plan,
                objects,
                preserve_fds=self.preserve_fds,
                stdio=self.options.stdio,
                cgroup_fd=entry.into if into else -1,
            )
        except HostError as error:
            if error.errno != EACCES or entry.into < 0 or not into:
                raise
            if self.options.cgroup_paths or not self.container.state["rootless"]:
                raise HostError(
                    "cannot move a process into the container's cgroup",
                    errno=EACCES,
                    hint="the caller must be in the part of the cgroup tree that it may write to",
                ) from error
        log.warning(
            "the process is in the caller's cgroup, without the container's limits: no permission"
            " to move it into the container's"
        )
        return self._spawn(plan, objects, entry, into=False)

    def _run(self, plan: Plan, target: int, entry: Entry) -> Child:
        log.step(
            "planned %d operations to join process %d; cgroups: %s",
            len(plan.ops),
            self.container.pid,
            entry.kind,
        )
        objects = [target, *entry.fds]
        if trace.on:
            trace.phase("start the init")
            objects.append(trace.times_file(len(plan.ops)))
        initial = attributes.initial_affinity(self.wanted)
        own = os.sched_getaffinity(0) if initial is not None else set()
        if initial is not None:
            syscalls.sched_setaffinity(0, initial)
        try:
            child = self.child = self._spawn(plan, objects, entry)
            log.step("started process %d", child.pid)
        finally:
            if initial is not None:
                os.sched_setaffinity(0, own)  # the calling thread may be that of a library's user
        if trace.on:
            os.close(objects[-1])
            trace.phase("init")
        try:
            child.serve(
                {
                    ops.RENDEZVOUS_CGROUPS: self._on_cgroups,
                    ops.RENDEZVOUS_CONSOLE: self._on_console,
                    ops.RENDEZVOUS_SECCOMP: self._on_seccomp,
                    ops.RENDEZVOUS_READY: self._on_ready,
                },
                until=0,
                on_forked=lambda: None,
                held_up=self.container.frozen,  # --ignore-paused: until `resume`
            )
        except BaseException as error:
            child.kill()
            if isinstance(error, Failure) and self.container.status() == STOPPED:
                raise StateError(GONE, detail=str(error)) from None
            if isinstance(error, Failure):
                from pyrunc.lifecycle import unstartable

                unstartable.blame(error, self.config)
            raise
        child.close_sync()
        if trace.on:
            trace.operations(plan.ops)
            trace.phase("run")
        return child

    # -- rendezvous --------------------------------------------------------------------------------

    def _on_cgroups(self, message: Message) -> Sequence[int]:
        assert self.attached is not None
        assert self.child is not None
        self.attached.attach(self.child.pid)
        return ()

    def _on_console(self, message: Message) -> Sequence[int]:
        options = self.options
        self.terminal = handover.take_terminal(
            message, console_socket=options.console_socket, relayed=options.stdio[1] < 0
        )
        return ()

    def _on_seccomp(self, message: Message) -> Sequence[int]:
        assert self.child is not None
        if self.explanation is not None:
            handover.supervise(self.child, message, explanation=self.explanation)
            return ()
        assert self.agent is not None
        handover.hand_over_listener(
            self.child,
            message,
            node=self.config.linux.seccomp,
            agent=self.agent,
            state=self.container.oci_state(RUNNING),
        )
        return ()

    def _on_ready(self, message: Message) -> Sequence[int]:
        assert self.child is not None
        if not process.alive(self.container.pid, self.container.start_time):
            raise StateError(GONE)  # JN-6: what we have joined is the container only while it lives
        group = self.container.rdt()
        if group is not None:
            group.attach(self.child.pid)
        handover.set_limits(self.child)
        if self.options.watch is not None:
            self.options.watch(self.child.pid)
        handover.send_pidfd(self.child, path=self.options.pidfd_socket, text=b"setns")
        return ()


def joined_namespaces(container: Container, config: Config) -> list[str]:
    """Return the namespaces to enter: those of the container that are not ours already."""
    kinds = [one.type for one in config.linux.namespaces]
    if "user" in kinds and _same_user_namespace(container.pid):
        kinds.remove("user")  # the kernel refuses to join the one that we are in
    return kinds


def _same_user_namespace(pid: int) -> bool:
    try:
        theirs, ours = os.stat(f"/proc/{pid}/ns/user"), os.stat("/proc/self/ns/user")
    except FileNotFoundError:
        raise StateError(GONE) from None
    except OSError as error:
        raise Failure(f"cannot look at process {pid}", errno=error.errno or 0) from None
    return theirs.st_ino == ours.st_ino
