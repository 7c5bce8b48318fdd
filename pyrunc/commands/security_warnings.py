# SPDX-License-Identifier: Apache-2.0
"""Settings of a configuration that hand the host away, for ``pyrunc check``. PURE.

All of them are permitted: somebody may need them. docs/security-warnings.md explains each by the
name in brackets.
"""

from __future__ import annotations

from pyrunc.errors import Problem
from pyrunc.seccomp import lint
from pyrunc.spec.options import asks_for_bind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyrunc.spec.model import Config

# With them, root in the container becomes root of the host in a few known steps.
STRONG_CAPABILITIES = {
    "CAP_BPF": "loads programs into the kernel",
    "CAP_DAC_READ_SEARCH": "opens any file of a mounted file system by its handle",
    "CAP_MAC_ADMIN": "changes the host's security policy",
    "CAP_SYS_ADMIN": "mounts file systems, and much more",
    "CAP_SYS_BOOT": "restarts the host and loads another kernel",
    "CAP_SYS_MODULE": "loads kernel modules",
    "CAP_SYS_RAWIO": "reaches memory and ports of the hardware",
}
MANY_CAPABILITIES = 38  # a list this long is "all of them", whichever kernel it was written for

# Sources whose writable mount is a way to run code on the host.
HOST_PATHS = (
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var",
    "/var/lib",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/kubelet",
    "/var/run",
    "/var/spool/cron",
)
ENGINE_SOCKETS = (
    "buildkitd.sock",
    "containerd.sock",
    "crio.sock",
    "docker.sock",
    "podman.sock",
)
MEMORY_DEVICES = {(1, 1): "mem", (1, 2): "kmem", (1, 4): "port"}

HOST_NAMESPACES = ("/proc/1/ns/net", "/proc/1/ns/pid")

Finding = tuple[str, str, str]  # pointer, message, hint


class _View:
    """What several rules ask about a configuration."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.linux = config.linux
        self.new = {one.type for one in config.linux.namespaces if not one.path}
        # Capabilities in a user namespace of the container's own do not reach the host.
        self.own_user = self.linux.namespace("user") is not None
        self.capabilities = self._capabilities()

    def _capabilities(self) -> frozenset[str]:
        sets = self.config.process.capabilities
        if sets is None:
            return frozenset()
        return frozenset(sets.bounding or ()) | frozenset(sets.effective or ())

    def has(self, capability: str) -> bool:
        """Whether the container has a capability over the host."""
        return capability in self.capabilities and not self.own_user

    def private(self, kind: str) -> bool:
        """Return whether a namespace is not the host's, as far as its path tells."""
        one = self.linux.namespace(kind)
        return one is not None and one.path not in HOST_NAMESPACES


def _ptrace(view: _View) -> Iterator[Finding]:
    if view.has("CAP_SYS_PTRACE") and not view.private("pid"):
        yield (
            "/process/capabilities",
            "CAP_SYS_PTRACE with the host's pid namespace controls every process of the host",
            "add a pid namespace, or remove CAP_SYS_PTRACE",
        )


def _unfiltered(view: _View) -> Iterator[Finding]:
    node = view.linux.seccomp
    filtered = node is not None and (node.default_action != "SCMP_ACT_ALLOW" or node.syscalls)
    if not filtered and len(view.capabilities) >= MANY_CAPABILITIES and not view.own_user:
        yield (
            "/linux/seccomp",
            "no system call filter, with all capabilities: nothing stands before the kernel",
            "add a seccomp profile or a user namespace",
        )


def _capabilities(view: _View) -> Iterator[Finding]:
    for name, power in STRONG_CAPABILITIES.items():
        if view.has(name):
            yield (
                "/process/capabilities",
                f"{name} without a user namespace {power}",
                "remove it, or add a user namespace",
            )


def _last(options: Sequence[str], yes: str, no: str) -> bool:
    """Which of two opposite options holds: the last one, `no` by default."""
    relevant = [option for option in options if option in (yes, no)]
    return bool(relevant) and relevant[-1] == yes


def _normal(path: str) -> str:
    """Return the path without doubled, trailing and dot components."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def _binds(view: _View) -> Iterator[Finding]:
    for mount in view.config.mounts:
        if not asks_for_bind(mount):
            continue
        source = _normal(mount.source or "")
        readonly = _last(mount.options, "ro", "rw") or _last(mount.options, "rro", "rrw")
        if source.rsplit("/", 1)[-1] in ENGINE_SOCKETS:
            yield (
                f"{mount.pointer}/source",
                f"{source} lets the container make containers on the host, with any rights",
                "use a proxy that permits what is needed",
            )
        elif source in HOST_PATHS and not readonly:
            yield (
                f"{mount.pointer}/options",
                f"{source} of the host is writable at {mount.destination}",
                "add the option ro (rro for the mounts below it), or mount less",
            )


def _root(view: _View) -> Iterator[Finding]:
    root = view.config.root
    if root.path.startswith("/") and _normal(root.path) == "/":
        readonly = "read-only" if root.readonly else "writable"
        yield (
            "/root/path",
            f"the root file system is the host's own, {readonly}",
            "use a tree of its own",
        )
    if "mount" not in view.new:
        yield (
            "/linux/namespaces",
            "no mount namespace of its own: mounts of the container are mounts of the host",
            'add {"type": "mount"}',
        )


def _devices(view: _View) -> Iterator[Finding]:
    if view.own_user:
        return
    resources = view.linux.resources
    for rule in resources.devices if resources is not None else ():
        everything = rule.type in (None, "", "a", "b") and rule.major in (None, -1)
        if rule.allow and everything and "w" in (rule.access or "rwm"):
            yield (
                rule.pointer,
                "every device may be written, the host's disks among them",
                "allow single devices by type, major and minor",
            )
    for device in view.linux.devices:
        numbers = (device.major or 0, device.minor or 0)
        if device.type == "b" or (device.type in ("c", "u") and numbers in MEMORY_DEVICES):
            kind = "a disk" if device.type == "b" else "the memory"
            yield f"{device.pointer}", f"{device.path} is {kind} of the host", "remove it"


def _network(view: _View) -> Iterator[Finding]:
    if view.has("CAP_NET_ADMIN") and not view.private("network"):
        yield (
            "/process/capabilities",
            "CAP_NET_ADMIN with the host's network namespace configures the host's network",
            "add a network namespace, or remove CAP_NET_ADMIN",
        )


def _proc(view: _View) -> Iterator[Finding]:
    """Sysctls and sysrq are guarded by being root, not by a capability."""
    guarded = (*view.linux.masked_paths, *view.linux.readonly_paths)
    for mount in view.config.mounts:
        open_ = mount.type == "proc" and "ro" not in mount.options and not view.own_user
        if open_ and not any(_normal(path) in ("/proc/sys", "/proc") for path in guarded):
            yield (
                mount.pointer,
                "/proc/sys is writable: some settings run programs on the host (core_pattern)",
                "add /proc/sys and /proc/sysrq-trigger to readonlyPaths",
            )


def _cgroup(view: _View) -> Iterator[Finding]:
    if not view.has("CAP_SYS_ADMIN") and "cgroup" in view.new:
        return
    for mount in view.config.mounts:
        if mount.type in ("cgroup", "cgroup2") and not _last(mount.options, "ro", "rw"):
            yield (
                mount.pointer,
                "the control groups are writable: limits can be changed, and on cgroup v1 "
                "release_agent runs programs on the host",
                "add the option ro, or a cgroup namespace",
            )


def _mappings(view: _View) -> Iterator[Finding]:
    for mapping in (*view.linux.uid_mappings, *view.linux.gid_mappings):
        if mapping.host_id == 0:
            yield (
                mapping.pointer,
                "maps an id of the container to root of the host",
                "map to ids that nothing else uses",
            )


def _propagation(view: _View) -> Iterator[Finding]:
    if view.linux.rootfs_propagation in ("shared", "rshared"):
        yield (
            "/linux/rootfsPropagation",
            "mounts made in the container may appear on the host",
            "use slave or private",
        )
    for mount in view.config.mounts:
        if asks_for_bind(mount) and {"shared", "rshared"} & set(mount.options):
            yield (
                f"{mount.pointer}/options",
                f"mounts made below {mount.destination} appear on the host",
                "use rslave",
            )


# The names stand behind the messages and in docs/security-warnings.md.
RULES: dict[str, Callable[[_View], Iterator[Finding]]] = {
    "host-ptrace": _ptrace,
    "unfiltered": _unfiltered,
    "strong-capability": _capabilities,
    "host-path": _binds,
    "host-root": _root,
    "host-devices": _devices,
    "host-network": _network,
    "writable-proc-sys": _proc,
    "writable-cgroup": _cgroup,
    "mapped-root": _mappings,
    "shared-mounts": _propagation,
}


def security_warnings(config: Config, *, ignored: Sequence[str] = ()) -> list[Problem]:
    """Return the warnings about a configuration and its seccomp profile, in the order of RULES.

    `ignored` are the names of system calls that the compiler did not know (`Filter.report`).
    """
    view = _View(config)
    warned = [
        Problem(pointer, f"{message} [{name}]", hint=hint)
        for name, rule in RULES.items()
        for pointer, message, hint in rule(view)
    ]
    return warned + lint.warnings(config.linux.seccomp, ignored=ignored)
