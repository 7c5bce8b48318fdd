# SPDX-License-Identifier: Apache-2.0
"""What the command line asks of CRIU. PURE."""

from __future__ import annotations

from pyrunc.checkpoint import protocol
from pyrunc.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from pyrunc.flags import Args

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


class Wishes:
    """The flags of `checkpoint` or `restore`, checked."""

    __slots__ = (
        "empty_network",
        "fields",
        "lazy_pages",
        "leave_running",
        "parent",
        "pre_dump",
        "status_fd",
    )

    def __init__(self, args: Args) -> None:
        """UsageError for what cannot be meant."""
        self.fields: dict[str, Any] = {
            field: True for flag, field in SWITCHES.items() if args.flag(flag)
        }
        self.fields["manage_cgroups_mode"] = protocol.CGROUP_MODES[args.text("manage-cgroups-mode")]
        if args.given("network-lock"):
            self.fields["network_lock"] = protocol.NETWORK_LOCKS[args.text("network-lock")]
        if args.given("page-server"):
            self.fields["ps"] = page_server(args.text("page-server"))
        self.lazy_pages = args.flag("lazy-pages")
        self.empty_network = bool(_empty_namespaces(args.many("empty-ns")))
        self.parent = args.text("parent-path")
        self.leave_running = args.flag("leave-running")
        self.pre_dump = args.flag("pre-dump")
        self.status_fd = args.number("status-fd") if args.given("status-fd") else -1
        if self.status_fd >= 0 and not self.lazy_pages:
            raise UsageError("--status-fd tells when lazy pages are ready: it needs --lazy-pages")
        if self.lazy_pages and args.verb == "checkpoint" and "ps" not in self.fields:
            raise UsageError(
                "--lazy-pages serves memory over the network: it needs --page-server ADDR:PORT"
            )


def page_server(text: str) -> dict[str, Any]:
    """``ADDR:PORT``; an IPv6 address stands in brackets."""
    address, colon, port = text.rpartition(":")
    good = port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) <= MAX_PORT
    if not colon or not address or not good:
        raise UsageError(
            f"--page-server {text}: it must be ADDRESS:PORT, with a port from 1 to {MAX_PORT}"
        )
    return {"address": address.strip("[]"), "port": int(port)}


def _empty_namespaces(names: list[str]) -> list[str]:
    for name in names:
        if name not in EMPTY_NAMESPACES:
            raise UsageError(
                f'namespace "{name}" is not supported by --empty-ns '
                f"(allowed: {', '.join(EMPTY_NAMESPACES)})"
            )
    return names


def lsm(args: Args) -> dict[str, Any]:
    """--lsm-profile and --lsm-mount-context of `restore`."""
    found: dict[str, Any] = {}
    if args.given("lsm-profile"):
        text = args.text("lsm-profile")
        kind, colon, name = text.partition(":")
        if kind not in LSM_TYPES or not colon or not name:
            raise UsageError(
                f"--lsm-profile {text}: it must be TYPE:NAME, with the type "
                f"{' or '.join(LSM_TYPES)}"
            )
        found["lsm_profile"] = text
    if args.given("lsm-mount-context"):
        found["lsm_mount_context"] = args.text("lsm-mount-context")
    return found
