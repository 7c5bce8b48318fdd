# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: RUF023 - __slots__ has the order of PROPERTIES
"""The model of a configuration: process, root, mounts, hooks. `model_linux` has the rest.

OCI runtime-spec 1.3. Each class lists its attributes and, in the same order, the JSON properties
with their kinds (see `readers`). Absent objects and scalars are None, absent arrays (), absent maps
{}; capability sets are None when absent, because an empty set is not the same.

PURE.
"""

from __future__ import annotations

from pyrunc.spec.constants import (
    HOOK_KINDS,
    IO_CLASSES,
    RLIMITS,
    SCHEDULER_FLAGS,
    SCHEDULER_POLICIES,
)
from pyrunc.spec.limits import MAX_ID
from pyrunc.spec.model_linux import IdMapping, Linux
from pyrunc.spec.readers import (
    BOOLEAN,
    INT32,
    LINE,
    PATH,
    TEXT,
    TEXT_MAP,
    TEXTS,
    TEXTS_OR_NONE,
    UINT64,
    Node,
    choice,
    integer,
    items,
    node,
    nodes,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.errors import Problem

ID = integer((0, MAX_ID), noun=f"an integer from 0 to {MAX_ID}")


class ConsoleSize(Node):
    __slots__ = ("height", "width")
    PROPERTIES = {"height!": integer((0, 65535)), "width!": integer((0, 65535))}

    height: int
    width: int


class User(Node):
    """Who the process is. An absent `user` is 0:0, as it is for every other runtime."""

    __slots__ = ("uid", "gid", "umask", "additional_gids")
    PROPERTIES = {
        "uid": (ID[0], 0),
        "gid": (ID[0], 0),
        "umask": integer((0, 0o777)),
        "additionalGids": items(ID),
    }
    ELSEWHERE = ("username",)

    uid: int
    gid: int
    umask: int | None
    additional_gids: tuple[int, ...]


class Capabilities(Node):
    __slots__ = ("bounding", "effective", "inheritable", "permitted", "ambient")
    PROPERTIES = {
        "bounding": TEXTS_OR_NONE,
        "effective": TEXTS_OR_NONE,
        "inheritable": TEXTS_OR_NONE,
        "permitted": TEXTS_OR_NONE,
        "ambient": TEXTS_OR_NONE,
    }

    bounding: tuple[str, ...] | None
    effective: tuple[str, ...] | None
    inheritable: tuple[str, ...] | None
    permitted: tuple[str, ...] | None
    ambient: tuple[str, ...] | None


class Rlimit(Node):
    __slots__ = ("type", "soft", "hard")
    PROPERTIES = {
        "type!": choice(RLIMITS, noun="resource limit"),
        "soft!": integer(UINT64),
        "hard!": integer(UINT64),
    }

    type: str
    soft: int
    hard: int


class Scheduler(Node):
    __slots__ = ("policy", "nice", "priority", "flags", "runtime", "deadline", "period")
    PROPERTIES = {
        "policy!": choice(SCHEDULER_POLICIES, noun="scheduling policy"),
        "nice": integer((-20, 19)),
        "priority": integer(INT32),
        "flags": items(choice(SCHEDULER_FLAGS, noun="scheduler flag")),
        "runtime": integer(UINT64),
        "deadline": integer(UINT64),
        "period": integer(UINT64),
    }

    policy: str
    nice: int | None
    priority: int | None
    flags: tuple[str, ...]
    runtime: int | None
    deadline: int | None
    period: int | None


class IoPriority(Node):
    __slots__ = ("class_", "priority")
    PROPERTIES = {
        "class!": choice(IO_CLASSES, noun="I/O priority class"),
        "priority": (integer((0, 7))[0], 0),
    }

    class_: str
    priority: int


class ExecCpuAffinity(Node):
    __slots__ = ("initial", "final")
    PROPERTIES = {"initial": LINE, "final": LINE}

    initial: str | None
    final: str | None


class Process(Node):
    __slots__ = (
        "terminal",
        "console_size",
        "user",
        "args",
        "env",
        "cwd",
        "capabilities",
        "rlimits",
        "no_new_privileges",
        "apparmor_profile",
        "oom_score_adj",
        "scheduler",
        "selinux_label",
        "io_priority",
        "exec_cpu_affinity",
    )
    PROPERTIES = {
        "terminal": BOOLEAN,
        "consoleSize": node(ConsoleSize),
        "user": node(User),
        "args": TEXTS,
        "env": TEXTS,
        "cwd!": TEXT,
        "capabilities": node(Capabilities),
        "rlimits": nodes(Rlimit),
        "noNewPrivileges": BOOLEAN,
        "apparmorProfile": LINE,
        "oomScoreAdj": integer((-1000, 1000)),
        "scheduler": node(Scheduler),
        "selinuxLabel": LINE,
        "ioPriority": node(IoPriority),
        "execCPUAffinity": node(ExecCpuAffinity),
    }
    ELSEWHERE = ("commandLine",)

    terminal: bool | None
    console_size: ConsoleSize | None
    user: User
    args: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    capabilities: Capabilities | None
    rlimits: tuple[Rlimit, ...]
    no_new_privileges: bool | None
    apparmor_profile: str | None
    oom_score_adj: int | None
    scheduler: Scheduler | None
    selinux_label: str | None
    io_priority: IoPriority | None
    exec_cpu_affinity: ExecCpuAffinity | None


class Root(Node):
    __slots__ = ("path", "readonly")
    PROPERTIES = {"path!": TEXT, "readonly": BOOLEAN}

    path: str
    readonly: bool | None


class Mount(Node):
    __slots__ = ("destination", "type", "source", "options", "uid_mappings", "gid_mappings")
    PROPERTIES = {
        "destination!": TEXT,
        "type": LINE,
        "source": TEXT,
        "options": TEXTS,
        "uidMappings": nodes(IdMapping),
        "gidMappings": nodes(IdMapping),
    }

    destination: str
    type: str | None
    source: str | None
    options: tuple[str, ...]
    uid_mappings: tuple[IdMapping, ...]
    gid_mappings: tuple[IdMapping, ...]


class Hook(Node):
    """`env` is None when absent: a hook without environment is not one that inherits."""

    __slots__ = ("path", "args", "env", "timeout")
    PROPERTIES = {
        "path!": PATH,
        "args": TEXTS,
        "env": TEXTS_OR_NONE,
        "timeout": integer((1, 2**31 - 1), noun="a number of seconds greater than 0"),
    }

    path: str
    args: tuple[str, ...]
    env: tuple[str, ...] | None
    timeout: int | None


class Hooks(Node):
    __slots__ = (
        "prestart",
        "create_runtime",
        "create_container",
        "start_container",
        "poststart",
        "poststop",
    )
    PROPERTIES = {kind: nodes(Hook) for kind in HOOK_KINDS}

    prestart: tuple[Hook, ...]
    create_runtime: tuple[Hook, ...]
    create_container: tuple[Hook, ...]
    start_container: tuple[Hook, ...]
    poststart: tuple[Hook, ...]
    poststop: tuple[Hook, ...]


class Config(Node):
    """A configuration that passed every check that needs no host.

    `linux` is an empty node when absent: a container without namespaces and limits.
    """

    __slots__ = (
        "oci_version",
        "process",
        "root",
        "hostname",
        "domainname",
        "mounts",
        "hooks",
        "annotations",
        "linux",
        # not in the file:
        "raw",
        "warnings",
    )
    PROPERTIES = {
        "ociVersion!": LINE,
        "process!": node(Process),
        "root!": node(Root),
        "hostname": LINE,
        "domainname": LINE,
        "mounts": nodes(Mount),
        "hooks": node(Hooks),
        "annotations": TEXT_MAP,
        "linux": node(Linux),
    }
    ELSEWHERE = ("solaris", "windows", "vm", "zos", "freebsd")

    oci_version: str
    process: Process
    root: Root
    hostname: str | None
    domainname: str | None
    mounts: tuple[Mount, ...]
    hooks: Hooks | None
    annotations: dict[str, str]
    linux: Linux
    raw: dict[str, Any]  # the parsed JSON, for saving
    warnings: tuple[Problem, ...]
