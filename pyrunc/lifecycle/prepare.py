# SPDX-License-Identifier: Apache-2.0
"""Everything about a container that is decided before anything is made: what `explain` shows."""

from __future__ import annotations

import os
import stat
from errno import ENOENT, ENOTDIR

from pyrunc import cgroups, jsontext
from pyrunc.errors import ConfigErrors, Failure
from pyrunc.host import facts
from pyrunc.host.trace import trace
from pyrunc.init.capabilities import may_hold_sys_admin
from pyrunc.init.cgroup_mounts import FORCE_V1
from pyrunc.init.cgroup_view import CgroupView
from pyrunc.init.compile_create import compile_create
from pyrunc.init.exposure import created_late
from pyrunc.init.mounts import symlink_sources
from pyrunc.lifecycle import handlers, hooks, service_manager
from pyrunc.lifecycle.caller_defaults import amend
from pyrunc.lifecycle.container import oci_state
from pyrunc.lifecycle.filter import compile_filter, explanation, refuse_unstartable
from pyrunc.lifecycle.handover import check_preserved
from pyrunc.lifecycle.state_root import check_id
from pyrunc.log import log
from pyrunc.spec.check_host import check_host
from pyrunc.spec.config import parse_config
from pyrunc.spec.load import read_bounded
from pyrunc.spec.options import parse_mount_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyrunc.cgroups import Manager, rdt
    from pyrunc.errors import Problem
    from pyrunc.init.plan import Plan
    from pyrunc.lifecycle.options import CreateOptions
    from pyrunc.spec.model import Config
    from pyrunc.spec.model_linux import IdMapping

PIDFD_RECEIVER = "run.oci.pidfd_receiver"
# What was asked for and is not in force; the other warnings are for `check`.
LOGGED = (
    "/process/user/additionalGids",
    "/mounts/",
    "/process/capabilities/",
    "/linux/resources/cpu/shares",
)


def _absolute(bundle: str) -> str:
    try:
        return os.path.abspath(bundle)
    except FileNotFoundError:  # of getcwd(2)
        raise Failure(
            f"cannot find the bundle {bundle}: the current directory was removed",
            hint="go to a directory that exists, or give --bundle an absolute path",
        ) from None


class Collected:
    """Steps of which each may raise ConfigErrors; `finish` raises those of all of them."""

    __slots__ = ("problems", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self.problems: list[Problem] = []

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, ConfigErrors):
            return False
        seen = {problem.pointer for problem in self.problems}
        self.problems += [problem for problem in error.problems if problem.pointer not in seen]
        return True

    def finish(self) -> None:
        if self.problems:
            raise ConfigErrors(self.problems, source=self.source)


class PreparedCreate:
    """A checked configuration, where it is to live, and the plan for it.

    Making one changes nothing.
    """

    __slots__ = (
        "attached",
        "bundle",
        "cgroup",
        "config",
        "console_socket",
        "data",
        "explanation",
        "filter",
        "handler",
        "host",
        "id",
        "listen_fds",
        "notify",
        "pid_file",
        "pidfd_socket",
        "plan",
        "preserve_fds",
        "rdt",
        "rootfs",
        "rootless",
        "stdio",
        "warnings",
    )

    def __init__(self, options: CreateOptions, *, cache: str | None = None) -> None:
        self.id = check_id(options.id)
        self.stdio = options.stdio
        self.listen_fds = service_manager.listen_fds() if options.service_manager else 0
        self.preserve_fds = check_preserved(options.preserve_fds, listen=self.listen_fds)
        self.bundle = _absolute(options.bundle)
        if not os.path.isdir(self.bundle):
            raise Failure(
                f"cannot find the bundle {self.bundle}",
                errno=ENOENT if not os.path.lexists(self.bundle) else ENOTDIR,
                hint="--bundle takes a directory with config.json, which `pyrunc spec` writes",
            )
        trace.phase("read and check")
        name = options.config
        self.data = amend(read_bounded(os.path.join(self.bundle, name), name=name), source=name)
        if options.transform is not None:
            self.data = options.transform(self.data)
        self.config = parse_config(self.data, source=name, bundle=self.bundle)
        self.handler = handlers.choose(self.config)
        if self.handler is not None:
            self.data = self.handler.amend(self.data)
            self.config = parse_config(self.data, source=name, bundle=self.bundle)
        log.step("read %s of %s: %d bytes", name, self.bundle, len(self.data))
        self.host = facts.probe()
        self.rootfs = find_rootfs(self.config, self.bundle)
        self.rootless = self.host.rootless if options.rootless is None else options.rootless
        hooks.check_output(self.config)
        self.pid_file = options.pid_file
        self.console_socket = options.console_socket
        self.pidfd_socket = options.pidfd_socket or self.config.annotations.get(PIDFD_RECEIVER, "")
        self.notify = (
            service_manager.notify_directory(options.root, self.id)
            if options.service_manager
            else ""
        )
        linux = self.config.linux
        self.rdt = self._rdt()
        self.cgroup = cgroups.resolve(
            options.cgroup_driver,
            linux.cgroups_path,
            self.id,
            rootless=self.rootless,
            annotations=self.config.annotations,
            shown=self.manages_cgroup,
        )
        self.warnings: tuple[Problem, ...] = ()
        self.attached = False  # the parent moves the init into the cgroup when it asks
        self.filter = self.explanation = None
        wrong = Collected(name)
        with wrong:
            self.warnings = check_host(
                self.config, self.host, cgroup_version=only_version(self.cgroup), source=name
            )
        trace.phase("filter")
        with wrong:
            self.filter = compile_filter(self.config, cache=cache)
            self.explanation = explanation(self.filter) if options.explain_seccomp else None
            if self.filter is not None and self.explanation is None:
                refuse_unstartable(self.config, self.filter, source=name)
        trace.phase("plan")
        with wrong:
            self.plan = self._compile(options)
        wrong.finish()
        log.step(
            "planned %d operations; new namespaces: %s; cgroups: %s; seccomp: %s",
            len(self.plan.ops),
            ", ".join(sorted(self.new_namespaces)) or "none",
            self.cgroup.driver,
            "yes" if self.filter else "no",
        )

    def _compile(self, options: CreateOptions) -> Plan:
        cgroup = cgroup_view(self.cgroup, self.config, clone=self.clones_into_cgroup)
        self.attached = cgroup.attached
        return compile_create(
            self.config,
            self.host,
            container_id=self.id,
            rootfs=self.rootfs,
            bundle=self.bundle,
            cgroup=cgroup,
            seccomp=self.explanation.filter if self.explanation else self.filter,
            listen_fds=self.listen_fds,
            preserve_fds=self.preserve_fds - self.listen_fds,
            notify_directory=self.notify,
            program=self.handler.program if self.handler else "",
            links=read_links(symlink_sources(self.config)),
            no_pivot=options.no_pivot,
            no_new_keyring=options.no_new_keyring,
            console=self.terminal,
            state_json=self.hook_state,
            traced=trace.on,
        )

    def _rdt(self) -> rdt.Group | None:
        node = self.config.linux.intel_rdt
        if node is None:
            return None
        from pyrunc.cgroups import rdt

        return rdt.Group.resolve(node, self.id)

    @property
    def clones_into_cgroup(self) -> bool:
        """Whether the init is born in its cgroup2, not moved there.

        In a cgroup namespace of others clone3 does not find a cgroup outside it, where cgroup2 is
        mounted with nsdelegate. A descriptor that we have opened keeps our own view (Linux 5.16).
        One that is born late has no rights over cgroups by then.
        """
        if created_late(self.config):
            return False
        return not any(one.type == "cgroup" and one.path for one in self.config.linux.namespaces)

    def all_warnings(self) -> list[Problem]:
        """Every warning about the configuration, for this host and caller."""
        return [*self.config.warnings, *self.warnings, *self.plan.warnings]

    def log_warnings(self) -> None:
        """Log what was asked for and is not in force.

        For capabilities config.md, Linux Process, asks for this. Of unknown properties those are
        logged whose names are near to known ones: a filter or a limit that was meant is missing.
        """
        for problem in self.all_warnings():
            if problem.misspelt or problem.pointer.startswith(LOGGED):
                log.problem(problem)

    @property
    def terminal(self) -> bool:
        return bool(self.config.process.terminal)

    @property
    def new_namespaces(self) -> frozenset[str]:
        return frozenset(one.type for one in self.config.linux.namespaces if not one.path)

    @property
    def sees_writable_cgroup(self) -> bool:
        """Whether a mount shows the container's cgroups, as the root of a namespace of its own."""
        return "cgroup" in self.new_namespaces and any(
            mount.type in ("cgroup", "cgroup2") and "ro" not in mount.options
            for mount in self.config.mounts
        )

    @property
    def manages_cgroup(self) -> bool:
        """Whether the container is to manage its cgroup: it sees it, and is not privileged.

        A privileged one has such a mount without having asked for it, and can do it by itself.
        """
        privileged = "user" not in self.new_namespaces and may_hold_sys_admin(self.config.process)
        return self.sees_writable_cgroup and not privileged

    @property
    def cgroup_owner(self) -> tuple[int, int] | None:
        """Who gets the container's cgroup: its root, if it can use it and is not the caller."""
        config = self.config
        if not {"cgroup", "user"} <= self.new_namespaces:
            return None
        if not self.cgroup.leaf and not self.sees_writable_cgroup:
            return None
        uid = container_root(config.linux.uid_mappings)
        gid = container_root(config.linux.gid_mappings)
        return (uid, gid) if uid not in (-1, self.host.euid) else None

    @property
    def shared_pid(self) -> bool:
        """Whether the end of the init leaves the other processes of the container alive."""
        return "pid" not in self.new_namespaces

    def record(self) -> dict[str, Any]:
        """Return the part of the state that is known before anything is made."""
        told = {"explained": True} if self.explanation is not None else {}
        return {
            **told,
            "ociVersion": self.config.oci_version,
            "id": self.id,
            "bundle": self.bundle,
            "rootfs": self.rootfs,
            "annotations": self.config.annotations,
        }

    def hook_state(self, status: str) -> tuple[str, str]:
        """Return the state that hooks inside the container read, split around the pid."""
        text = jsontext.encode(oci_state(self.record(), status=status, pid=0))
        # No string can hold this: the quotes in it would be escaped.
        head, mark, tail = text.partition('"pid":0')
        return head + mark[:-1], tail

    def saved_hooks(self) -> dict[str, list[dict[str, Any]]]:
        """Return the hooks that later commands run."""
        found = self.config.hooks
        if found is None:
            return {"poststart": [], "poststop": []}
        return {"poststart": hooks.save(found.poststart), "poststop": hooks.save(found.poststop)}


def only_version(manager: Manager) -> int:
    """1 where all controllers are on v1 hierarchies, 2 where none is; beside each other: 0."""
    if manager.pure:
        return 2
    return 1 if manager.members and manager.unified is None else 0


def container_root(mappings: Sequence[IdMapping]) -> int:
    """Return the host's id of the container's id 0; -1 when it has none."""
    return next((one.host_id for one in mappings if one.container_id == 0 and one.size), -1)


def cgroup_view(manager: Manager, config: Config, *, clone: bool) -> CgroupView:
    """Return what the plan has to know about the container's cgroups."""
    view = manager.view()
    return CgroupView.of(
        view,
        enters=view.enters,
        clone=clone,
        leaf=view.leaf,
        forced=config.annotations.get(FORCE_V1, ""),
        in_force=cgroup_options(config),
    )


def cgroup_options(config: Config) -> dict[int, frozenset[str]]:
    """Read the options of the host's cgroup mounts, by version, for those who give some."""
    from pyrunc.cgroups.layout import cgroup_mounts, read_whole, shared_options

    mine = [mount for mount in config.mounts if mount.type in ("cgroup", "cgroup2")]
    if not any(parse_mount_options(mount).data for mount in mine):
        return {}
    return shared_options(cgroup_mounts(read_whole("/proc/self/mountinfo")))


def read_links(sources: list[str]) -> dict[str, str]:
    """Return what the sources of `copy-symlink` point to, as far as they are symbolic links."""
    targets = {}
    for source in sources:
        try:
            targets[source] = os.readlink(source)
        except OSError:  # no link: an ordinary bind mount
            continue
    return targets


def find_rootfs(config: Config, bundle: str) -> str:
    """Return the absolute path of the root file system: an existing directory, not a link."""
    root = config.root
    if root is None:
        raise Failure("the configuration has no root", pointer="/root")
    path = os.path.normpath(os.path.join(bundle, root.path))
    try:
        mode = os.lstat(path).st_mode
    except OSError as error:
        raise Failure(
            f"cannot find the root file system {path}",
            errno=error.errno or 0,
            pointer="/root/path",
            hint="root.path is relative to the bundle; is the image unpacked there?",
        ) from None
    if stat.S_ISLNK(mode):
        message = f"the root file system {path} is a symbolic link"
        raise Failure(message, pointer="/root/path", hint="name the directory that it leads to")
    if not stat.S_ISDIR(mode):
        message = f"the root file system {path}: not a directory"
        raise Failure(message, pointer="/root/path", hint="root.path names an unpacked image")
    return path
