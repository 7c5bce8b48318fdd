# SPDX-License-Identifier: Apache-2.0
"""Rules that need facts about the host. Pure: the facts are handed in.

Whether a namespace path is a namespace, whether a namespace that is joined is the host's, and
whether a file exists is found out where it is opened.

PURE.
"""

from __future__ import annotations

from pyrunc.spec.constants import CAPABILITIES, CAPABILITY_SETS
from pyrunc.spec.problems import Problems, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from pyrunc.errors import Problem
    from pyrunc.spec.model import Config, Process
    from pyrunc.spec.model_linux import IdMapping

    class Facts(Protocol):
        """What is asked of `host.Host`."""

        @property
        def euid(self) -> int: ...
        @property
        def apparmor(self) -> bool: ...
        @property
        def selinux(self) -> bool: ...
        @property
        def last_cap(self) -> int: ...


def check_host(
    config: Config, host: Facts, *, cgroup_version: int = 0, source: str = "config.json"
) -> tuple[Problem, ...]:
    """Warnings, or ConfigErrors with all that this host cannot do (`cgroup_version` 0: unknown)."""
    problems = Problems()
    _process(config.process, host, problems)
    if config.linux.mount_label and not host.selinux:
        _no_selinux("/linux/mountLabel", config.linux.mount_label, problems)
    resources = config.linux.resources
    if cgroup_version == 1 and resources is not None and resources.unified:
        problems.add(
            resources.pointer + "/unified",
            "'unified' needs cgroup v2, and this host has cgroup v1",
            hint="use the properties of the controllers",
        )
    if host.euid != 0:
        _rootless(config, problems)
    problems.finish(source=source)
    return tuple(problems.warnings)


def check_host_process(
    process: Process, host: Facts, *, source: str = "process.json"
) -> tuple[Problem, ...]:
    """Check the same for a process that `exec` adds."""
    problems = Problems()
    _process(process, host, problems)
    problems.finish(source=source)
    return tuple(problems.warnings)


def _process(process: Process, host: Facts, problems: Problems) -> None:
    if process.selinux_label and not host.selinux:
        _no_selinux(process.pointer + "/selinuxLabel", process.selinux_label, problems)
    profile = process.apparmor_profile
    if profile and profile != "unconfined" and not host.apparmor:
        problems.add(
            process.pointer + "/apparmorProfile",
            "apparmor profile is specified in config, but apparmor is disabled or not supported",
            value=show(profile),
            hint="remove the property, or enable AppArmor on the host",
        )
    for kind in CAPABILITY_SETS if process.capabilities is not None else ():
        for index, name in enumerate(getattr(process.capabilities, kind) or ()):
            if CAPABILITIES.get(name, 0) > host.last_cap:
                problems.warn(
                    f"{process.pointer}/capabilities/{kind}/{index}",
                    f"this kernel does not know {name}; it is ignored",
                )


def _no_selinux(pointer: str, label: str, problems: Problems) -> None:
    problems.add(
        pointer,
        "selinux label is specified in config, but selinux is disabled or not supported",
        value=show(label),
        hint="remove the property, or enable SELinux on the host",
    )


def _rootless(config: Config, problems: Problems) -> None:
    linux = config.linux
    user = linux.namespace("user")
    if user is None:
        problems.add(
            "/linux/namespaces",
            "rootless containers require user namespaces",
            hint="'pyrunc spec --rootless' writes a configuration that has one",
        )
    elif not user.path:
        for name, mappings in (("UID", linux.uid_mappings), ("GID", linux.gid_mappings)):
            if not mappings:
                pointer = f"/linux/{name.lower()}Mappings"
                problems.add(pointer, f"rootless containers require at least one {name} mapping")
    if config.process.user.additional_gids:
        problems.add(
            config.process.user.pointer + "/additionalGids",
            "cannot set any additional groups in a rootless container",
        )
    if linux.net_devices:
        problems.add("/linux/netDevices", "network devices cannot be moved by a rootless container")
    for mount in config.mounts:
        for index, option in enumerate(mount.options):
            _mount_id(option, f"{mount.pointer}/options/{index}", config, problems)
        if mount.uid_mappings or mount.gid_mappings:
            problems.add(mount.pointer, "id-mapped mounts need root")


def _mount_id(option: str, pointer: str, config: Config, problems: Problems) -> None:
    """`uid=` and `gid=` take ids of the container, which must exist there."""
    name, _, text = option.partition("=")
    if name in ("idmap", "ridmap"):
        problems.add(pointer, "id-mapped mounts need root", value=show(option))
    if name not in ("uid", "gid") or not (text.isascii() and text.isdigit() and len(text) < 11):
        return
    mappings = config.linux.uid_mappings if name == "uid" else config.linux.gid_mappings
    if mappings and not _is_mapped(int(text), mappings):
        problems.add(
            pointer,
            f"the {name} is not mapped in the user namespace",
            value=show(option),
            allowed=f"an id of /linux/{name}Mappings",
        )


def _is_mapped(number: int, mappings: tuple[IdMapping, ...]) -> bool:
    return any(entry.container_id <= number < entry.container_id + entry.size for entry in mappings)
