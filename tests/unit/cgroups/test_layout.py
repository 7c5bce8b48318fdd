# SPDX-License-Identifier: Apache-2.0
"""mountinfo and /proc/self/cgroup as captured on hosts of every kind."""

from __future__ import annotations

import errno
import os
from unittest import mock

import pytest

from pyrunc.cgroups import layout
from pyrunc.errors import HostError

HYBRID_MOUNTS = b"""\
23 30 0:21 / /sys rw,nosuid shared:7 - sysfs sysfs rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
37 31 0:34 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup none rw,xattr,release_agent=/x,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
42 31 0:32 /docker/abc /var/lib/bind rw - cgroup cgroup rw,memory
"""
HYBRID_OWN = b"""\
4:memory:/user/me
3:freezer:/
2:cpu,cpuacct:/
1:name=systemd:/user.slice
0::/user.slice/x:y.scope
"""


def test_a_hybrid_host_has_its_v1_hierarchies_and_the_cgroup2_last() -> None:
    found = layout.build(layout.cgroup_mounts(HYBRID_MOUNTS), layout.parse_own(HYBRID_OWN))
    assert found.kind == "hybrid"
    assert [one.name for one in found.hierarchies] == [
        "cpu,cpuacct",
        "memory",
        "freezer",
        "name=systemd",
        "",
    ]
    cpu, memory, _, named, unified = found.hierarchies
    assert cpu.controllers == ("cpu", "cpuacct")
    assert (memory.mount, memory.own) == ("/sys/fs/cgroup/memory", "/user/me")
    assert named.controllers == ()
    assert unified.own == "/user.slice/x:y.scope"
    assert unified.device == os.makedev(0, 38)


def test_a_v2_host_has_one_hierarchy() -> None:
    mounts = b"29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
    found = layout.build(layout.cgroup_mounts(mounts), layout.parse_own(b"0::/init.scope\n"))
    assert found.kind == "v2"
    assert found.hierarchies[0].own == "/init.scope"


def test_a_bind_mount_of_a_part_is_seen_from_its_root() -> None:
    mounts = b"29 23 0:26 /docker/abc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
    own = layout.parse_own(b"3:pids:/docker/abc/inner\n")
    found = layout.build(layout.cgroup_mounts(mounts), own)
    assert found.hierarchies[0].own == "/inner"


def test_the_prefix_of_a_bind_mount_ends_at_a_component() -> None:
    """IN-9"""
    mounts = b"29 23 0:26 /docker/abc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
    own = layout.parse_own(b"3:pids:/docker/abcdef\n")
    assert layout.build(layout.cgroup_mounts(mounts), own).hierarchies[0].own == "/docker/abcdef"


def test_a_mount_that_another_covers_is_skipped() -> None:
    mounts = layout.cgroup_mounts(HYBRID_MOUNTS)
    own = layout.parse_own(HYBRID_OWN)
    found = layout.build(mounts, own, opened=lambda one: None if one.type == "cgroup" else -1)
    assert found.kind == "v2"


V2_MOUNTS = b"""\
28 23 0:50 / /opt/vpn/net_cls rw - cgroup cgroup rw,net_cls
29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate
30 29 0:51 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
31 29 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
"""
V2_OWN = b"3:pids:/\n2:net_cls:/\n1:name=systemd:/\n0::/user.slice\n"


def test_a_controller_that_another_program_has_mounted_makes_no_host_hybrid() -> None:
    """A VPN client mounts net_cls, at a place of its own or on a directory of the cgroup2."""
    found = layout.build(layout.cgroup_mounts(V2_MOUNTS), layout.parse_own(V2_OWN))
    assert found.kind == "v2"
    assert [one.mount for one in found.hierarchies] == ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup"]


def test_mounts_elsewhere_count_only_where_there_are_no_others() -> None:
    elsewhere = V2_MOUNTS.replace(b"/sys/fs/cgroup", b"/mnt")
    found = layout.build(layout.cgroup_mounts(elsewhere), layout.parse_own(V2_OWN))
    assert found.kind == "hybrid"
    more = HYBRID_MOUNTS + b"43 1 0:50 / /opt/vpn/net_cls rw - cgroup cgroup rw,net_cls\n"
    found = layout.build(layout.cgroup_mounts(more), layout.parse_own(HYBRID_OWN + V2_OWN))
    assert "net_cls" not in [one.name for one in found.hierarchies]


@pytest.mark.parametrize("mounts", [V2_MOUNTS, HYBRID_MOUNTS])
def test_a_hierarchy_that_cannot_be_opened_now_is_not_done_without(mounts: bytes) -> None:
    """With no descriptor left a limit would vanish with its hierarchy."""
    mounted = layout.cgroup_mounts(mounts)[1]
    with mock.patch("posix.open", side_effect=OSError(errno.EMFILE, "too many open files")):
        with pytest.raises(OSError, match="too many"):
            layout.open_mount(mounted)
        with pytest.raises(HostError, match="cannot find the cgroups"):
            layout.probe()
    with mock.patch("posix.open", side_effect=OSError(errno.EACCES, "permission denied")):
        assert layout.open_mount(mounted) is None


def test_names_with_spaces_and_the_word_cgroup_in_other_mounts_do_no_harm() -> None:
    mounts = (
        b"29 23 0:26 / /a\\040b\\134c rw - cgroup2 cgroup2 rw\n"
        b"30 23 0:27 / /x rw - ext4 cgroup rw\n"
        b"31 23 0:27 / /y rw - tmpfs - cgroup rw\n"
    )
    assert [one.point for one in layout.cgroup_mounts(mounts)] == ["/a b\\c"]


def test_the_options_in_force_are_those_of_all_mounts_of_a_version() -> None:
    mounts = (
        b"29 23 0:26 / /u rw - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
        b"30 23 0:27 / /p rw - cgroup cgroup rw,xattr,pids\n"
        b"31 23 0:28 / /m rw - cgroup cgroup rw,xattr,memory\n"
    )
    assert layout.shared_options(layout.cgroup_mounts(mounts)) == {
        1: {"rw", "xattr"},
        2: {"rw", "nsdelegate", "memory_recursiveprot"},
    }


def test_a_hierarchy_with_only_a_name_makes_no_host_hybrid() -> None:
    def hierarchy(name: str, *, version: int = 1) -> layout.Hierarchy:
        named = name.startswith("name=") or not name
        controllers = () if named else tuple(name.split(","))
        return layout.Hierarchy(
            name=name, controllers=controllers, version=version, mount="/x", device=1
        )

    unified = hierarchy("", version=2)
    for others, kind in (
        (["name=systemd"], "v2"),
        (["name=systemd", "pids"], "hybrid"),
        ([], "v2"),
    ):
        assert layout.Layout([*map(hierarchy, others), unified]).kind == kind
    assert layout.Layout([hierarchy("name=systemd"), hierarchy("pids")]).kind == "v1"


@pytest.mark.parametrize("mark", ["\v", "\f", "\x1c", "\x85", "\u2028"])
def test_the_name_of_a_cgroup_cannot_begin_another_line(mark: str) -> None:
    """A container with cgroups of its own must not move where the host looks for it."""
    own = layout.parse_own(f"0::/box/a{mark}0::/elsewhere\n".encode())
    assert own == {"": f"/box/a{mark}0::/elsewhere"}
