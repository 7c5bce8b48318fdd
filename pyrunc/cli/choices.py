# SPDX-License-Identifier: Apache-2.0
"""From flags to the options of the lifecycle, for the verbs that share them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.flags import Args


def cgroup_driver(args: Args) -> str:
    """cgroupfs, systemd or disabled."""
    if args.given("cgroup-manager"):
        return args.text("cgroup-manager")
    return "systemd" if args.flag("systemd-cgroup") else "cgroupfs"


def rootless(args: Args) -> bool | None:
    """Return whether cgroups that cannot be written are tolerated while no limits are asked for.

    None: a fact of the host decides.
    """
    choice = args.text("rootless")
    return None if choice == "auto" else choice == "true"
