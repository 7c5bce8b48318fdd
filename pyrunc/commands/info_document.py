# SPDX-License-Identifier: Apache-2.0
"""What this host offers to containers: the document of `info`.

Everything is read, nothing is tried or changed. A feature that is off has the reason, which is what
an error would say when a configuration asks for it.
"""

from __future__ import annotations

import os

from pyrunc import __version__, buildinfo
from pyrunc.cgroups import layout, rdt
from pyrunc.checkpoint import program
from pyrunc.cli import version
from pyrunc.errors import Failure, HostError
from pyrunc.helpers import run
from pyrunc.host import facts as host
from pyrunc.lifecycle.id_maps import find_program
from pyrunc.spec.constants import CAP_NAMES, NAMESPACES, SECCOMP_ACTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

FLOOR = (5, 12)  # Linux: openat2, mount_setattr and the others that the init uses
# The kernel's names of actions (/proc/sys/kernel/seccomp/actions_avail) that are not ours.
KERNEL_ACTIONS = {"kill_process", "kill_thread", "trap", "errno", "user_notif", "trace", "log",
                  "allow"}  # fmt: skip
NOTIFY = "user_notif"
NAMESPACE_FILES = {"mount": "mnt", "network": "net"}
BASIC_CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")
V1_NAMES = {"io": "blkio"}
RESCTRL = "/sys/fs/resctrl"  # the usual place


def document() -> dict[str, Any]:
    """Return the whole diagnosis, ready for JSON."""
    facts = host.probe()
    cgroups = _cgroups()
    namespaces = _namespaces()
    seccomp = _seccomp()
    return {
        "pyrunc": {"version": __version__, "commit": version.commit(), **buildinfo.describe()},
        "kernel": _kernel(facts),
        "caller": _caller(facts),
        "cgroups": cgroups,
        "namespaces": namespaces,
        "seccomp": seccomp,
        "securityModules": _modules(facts),
        "features": {
            name: {"enabled": not why, **({"reason": why} if why else {})}
            for name, why in _features(facts, cgroups, namespaces, seccomp)
        },
    }


def _kernel(facts: host.Host) -> dict[str, Any]:
    names = os.uname()
    return {
        "release": names.release,
        "machine": names.machine,
        "least": ".".join(map(str, FLOOR)),
        "recentEnough": facts.kernel >= FLOOR,
    }


def _caller(facts: host.Host) -> dict[str, Any]:
    held = [name for bit, name in enumerate(CAP_NAMES) if facts.permitted >> bit & 1]
    return {
        "uid": facts.euid,
        "gid": facts.egid,
        "userNamespace": facts.in_userns,
        "rootless": facts.rootless,
        "capabilities": held,
    }


def _cgroups() -> dict[str, Any]:
    try:
        host_layout = layout.probe()
    except HostError as error:
        return {"layout": "none", "reason": str(error), "hierarchies": []}
    try:
        rows = [
            {
                "version": hierarchy.version,
                "name": hierarchy.name,
                "mount": hierarchy.mount,
                "own": hierarchy.own,
                "controllers": list(hierarchy.controllers)
                or host.read(f"{hierarchy.mount}/cgroup.controllers").split(),
                "writable": os.access(hierarchy.mount + hierarchy.own, os.W_OK),
            }
            for hierarchy in host_layout.hierarchies
        ]
    finally:
        for hierarchy in host_layout.hierarchies:
            if hierarchy.fd >= 0:
                os.close(hierarchy.fd)
                hierarchy.fd = -1  # its owner closes what is open, and the number may be another's
    return {"layout": host_layout.kind, "hierarchies": rows}


def _namespaces() -> dict[str, Any]:
    """Each kind that the kernel has, with the largest number that the caller may have."""
    kinds = {}
    for kind in sorted(NAMESPACES):
        name = NAMESPACE_FILES.get(kind, kind)
        limit = host.read(f"/proc/sys/user/max_{name}_namespaces").strip()
        kinds[kind] = {
            "available": host.exists(f"/proc/self/ns/{name}") and limit != "0",
            **({"most": int(limit)} if limit.isdigit() else {}),
        }
    return kinds


def _seccomp() -> dict[str, Any]:
    actions = host.read("/proc/sys/kernel/seccomp/actions_avail").split()
    return {
        "kernelActions": actions,
        "unknownToPyrunc": sorted(set(actions) - KERNEL_ACTIONS),
        "actions": sorted(SECCOMP_ACTIONS),
    }


def _modules(facts: host.Host) -> dict[str, Any]:
    return {
        "active": [name for name in facts.lsms if name],
        "apparmor": facts.apparmor,
        "selinux": facts.selinux,
    }


def _features(
    facts: host.Host, cgroups: dict[str, Any], namespaces: dict[str, Any], seccomp: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    """(feature, why it is off, or nothing)."""
    release = os.uname().release
    old = f"Linux {release} is older than {FLOOR[0]}.{FLOOR[1]}"
    yield "containers", "" if facts.kernel >= FLOOR else old
    for kind, namespace in namespaces.items():
        yield f"namespace {kind}", "" if namespace["available"] else _no_namespace(kind)
    yield "cgroups", str(cgroups.get("reason", ""))
    yield from _controllers(cgroups)
    yield "systemd cgroups", _no_systemd(facts)
    actions = seccomp["kernelActions"]
    yield "seccomp", "" if actions else "the kernel was built without seccomp filters"
    yield "seccomp notify", "" if NOTIFY in actions else "the kernel has no user_notif action"
    yield "apparmor", "" if facts.apparmor else "AppArmor is not active in this kernel"
    yield "selinux", "" if facts.selinux else "SELinux is not active in this kernel"
    root = "only root of the machine can do it"
    yield "id-mapped mounts", root if facts.rootless else ""
    yield "device nodes", "bind mounts stand in for them" if facts.rootless else ""
    yield "network devices", root if facts.rootless else _no_library("pyroute2")
    yield "intel rdt", _no_resctrl()
    numa = "the kernel was built without NUMA"
    yield "memory policy", "" if host.exists("/proc/self/numa_maps") else numa
    yield "checkpoint and restore", _no_criu()
    yield "subordinate ids", _no_helper()
    yield "json schema of check", _no_library("jsonschema")


def _no_namespace(kind: str) -> str:
    name = NAMESPACE_FILES.get(kind, kind)
    if host.exists(f"/proc/self/ns/{name}"):
        return f"/proc/sys/user/max_{name}_namespaces is 0"
    return "the kernel was built without it"


def _controllers(cgroups: dict[str, Any]) -> Iterator[tuple[str, str]]:
    rows = cgroups["hierarchies"]
    for name in BASIC_CONTROLLERS:
        own = [
            row
            for row in rows
            if name in row["controllers"] or V1_NAMES.get(name) in row["controllers"]
        ]
        if not own:
            yield f"cgroup {name}", "no hierarchy offers this controller"
        else:
            writable = any(row["writable"] for row in own)
            yield f"cgroup {name}", "" if writable else "the caller may not write in its cgroup"


def _no_systemd(facts: host.Host) -> str:
    from pyrunc.cgroups.systemd import dbus  # jeepney

    tried = [
        path
        for path, _private in dbus.addresses(
            user=facts.rootless, environment=os.environ, uid=facts.euid
        )
        if path[:1] != "\0"
    ]
    if any(host.exists(path) for path in tried):
        return ""
    if facts.rootless:
        return "there is no bus of a user session"
    return f"systemd does not answer: there is no {' and no '.join(tried)}"


def _no_resctrl() -> str:
    if rdt.find_mount() is not None:
        return ""
    if "resctrl" in host.read("/proc/filesystems").split():
        return f"resctrl is not mounted on {RESCTRL}"
    return "this processor or kernel has no resctrl"


def _no_criu() -> str:
    try:
        program.find()
    except HostError as error:
        return str(error) if error.errno else "criu is not in PATH (package criu)"
    return ""


def _no_helper() -> str:
    there = find_program("newuidmap")
    return "" if there else "newuidmap is not in PATH (package uidmap)"


def _no_library(name: str) -> str:
    try:
        run.find(name, purpose=name)
    except Failure as failure:
        return str(failure)
    return ""
