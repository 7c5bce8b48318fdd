# SPDX-License-Identifier: Apache-2.0
"""What the command line asks of CRIU. PURE."""

from __future__ import annotations

from pyrunc.checkpoint import protocol
from pyrunc.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Any, Final

MAX_PORT: Final = 65535
LSM_TYPES: Final = ("apparmor", "selinux")
EMPTY_NAMESPACES: Final = ("network",)

# Flags of the command line that are fields of CRIU's options under another name or the same.
SWITCHES: Final = {
    "ext-unix-sk": "ext_unix_sk",
    "tcp-established": "tcp_established",
    "tcp-close": "tcp_close",
    "tcp-skip-in-flight": "tcp_skip_in_flight",
    "link-remap": "link_remap",
    "shell-job": "shell_job",
    "file-locks": "file_locks",
    "auto-dedup": "auto_dedup",
    "lazy-pages": "lazy_pages",
}


class CriuOptions:
    """The options of `checkpoint` or `restore`, checked.

    images, work   directories of the images and of CRIU's logs; empty for the default
    switches       flags that are set, those of SWITCHES
    network_lock   a name of NETWORK_LOCKS; empty: CRIU's default
    page_server    ADDRESS:PORT; empty for none
    parent         the images of the dump before, relative to `images`; empty for none
    status_fd      a descriptor of the caller's that is written to and closed; -1 for none
    lsm_profile    TYPE:NAME for the restored processes; empty: that of the images
    """

    __slots__ = (
        "empty_network",
        "fields",
        "images",
        "lazy_pages",
        "leave_running",
        "parent",
        "pre_dump",
        "status_fd",
        "work",
    )

    def __init__(
        self,
        *,
        images: str = "",
        work: str = "",
        switches: Collection[str] = (),
        cgroups_mode: str = "soft",
        network_lock: str = "",
        page_server: str = "",
        empty_namespaces: Sequence[str] = (),
        parent: str = "",
        leave_running: bool = False,
        pre_dump: bool = False,
        status_fd: int = -1,
        lsm_profile: str = "",
        lsm_mount_context: str = "",
    ) -> None:
        """UsageError for a value that CRIU cannot mean."""
        self.images = images
        self.work = work
        self.fields: dict[str, Any] = {
            field: True for flag, field in SWITCHES.items() if flag in switches
        }
        self.fields["manage_cgroups_mode"] = protocol.CGROUP_MODES[cgroups_mode]
        if network_lock:
            self.fields["network_lock"] = protocol.NETWORK_LOCKS[network_lock]
        if page_server:
            self.fields["ps"] = _page_server(page_server)
        self.fields.update(_lsm(lsm_profile, lsm_mount_context))
        self.lazy_pages = "lazy-pages" in switches
        self.empty_network = bool(_empty_namespaces(empty_namespaces))
        self.parent = parent
        self.leave_running = leave_running
        self.pre_dump = pre_dump
        self.status_fd = status_fd
        if self.status_fd >= 0 and not self.lazy_pages:
            raise UsageError("--status-fd tells when lazy pages are ready: it needs --lazy-pages")

    def check_lazy_dump(self) -> None:
        """UsageError where a dump has nobody who serves its lazy pages."""
        if self.lazy_pages and "ps" not in self.fields:
            raise UsageError(
                "--lazy-pages serves memory over the network: it needs --page-server ADDR:PORT"
            )


def _page_server(text: str) -> dict[str, Any]:
    """``ADDR:PORT``; an IPv6 address stands in brackets."""
    address, colon, port = text.rpartition(":")
    good = port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) <= MAX_PORT
    if not colon or not address or not good:
        raise UsageError(
            f"--page-server {text}: it must be ADDRESS:PORT, with a port from 1 to {MAX_PORT}"
        )
    return {"address": address.strip("[]"), "port": int(port)}


def _empty_namespaces(names: Sequence[str]) -> Sequence[str]:
    for name in names:
        if name not in EMPTY_NAMESPACES:
            raise UsageError(
                f'namespace "{name}" is not supported by --empty-ns '
                f"(allowed: {', '.join(EMPTY_NAMESPACES)})"
            )
    return names


def _lsm(profile: str, mount_context: str) -> dict[str, str]:
    """Return the fields of --lsm-profile and --lsm-mount-context."""
    fields: dict[str, str] = {}
    if profile:
        kind, colon, name = profile.partition(":")
        if kind not in LSM_TYPES or not colon or not name:
            raise UsageError(
                f"--lsm-profile {profile}: it must be TYPE:NAME, with the type "
                f"{' or '.join(LSM_TYPES)}"
            )
        fields["lsm_profile"] = profile
    if mount_context:
        fields["lsm_mount_context"] = mount_context
    return fields
