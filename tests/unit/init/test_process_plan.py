# SPDX-License-Identifier: Apache-2.0
"""The environment, number lists, mappings and other small parts of plans."""

from __future__ import annotations

import pytest

from pyrunc.errors import ConfigErrors
from pyrunc.host.facts import Host
from pyrunc.init import (
    attributes,
    capabilities,
    devices,
    mount_idmap,
    mounts,
    namespaces,
    ops,
    paths,
)
from pyrunc.init.cgroup_view import CgroupDirectory, CgroupView
from pyrunc.init.compile_create import compile_create
from pyrunc.init.context import Context
from pyrunc.init.process import Environment
from tests.plans import cases


def test_the_last_of_two_variables_wins_and_the_order_is_kept() -> None:
    found = Environment(["A=1", "B=2", "A=3", "HOME=/h"])
    assert found.variables == ("B=2", "A=3", "HOME=/h")
    assert found.home == ops.NO_INDEX


def test_an_unset_home_is_looked_up() -> None:
    found = Environment(["A=1"])
    assert found.variables[found.home] == "HOME="


def test_an_empty_home_is_looked_up() -> None:
    """As runc does: CR-3."""
    found = Environment(["HOME=", "A=1"])
    assert found.home == 0


def test_without_path_the_c_librarys_default_is_searched() -> None:
    assert Environment([]).path == "/bin:/usr/bin"
    assert Environment(["PATH=/x", "PATH=/y"]).path == "/y"
    assert Environment(["PATH="]).path == ""


def test_listening_sockets_are_announced_and_replace_those_of_the_config() -> None:
    found = Environment(["LISTEN_FDS=9", "LISTEN_PID=7"], listen_fds=2)
    assert found.variables[found.listen] == "LISTEN_PID=1"
    assert "LISTEN_FDS=2" in found.variables


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0", {0}),
        ("0-3,7", {0, 1, 2, 3, 7}),
        ("63", {63}),
        ("64", {64}),
        ("0-7:2/4", {0, 1, 4, 5}),
        ("all", set(range(64))),
    ],
)
def test_a_list_of_numbers_is_a_mask_of_whole_words(text: str, numbers: set[int]) -> None:
    mask = attributes.number_mask(text)
    assert mask is not None
    assert len(mask) % 8 == 0
    assert {bit for bit in range(len(mask) * 8) if mask[bit // 8] >> bit % 8 & 1} == numbers


@pytest.mark.parametrize("text", ["", "a", "3-1", "1-", "-1", "1,,2", "99999", "²", "0-3:5/4"])
def test_what_is_no_list_of_numbers_is_refused(text: str) -> None:
    assert attributes.number_mask(text) is None


@pytest.mark.parametrize(
    ("major", "minor", "packed"),
    [(1, 3, 0x103), (10, 229, 0xAE5), (300, 70000, 0x11112C70), (4095, 255, 0xFFFFF)],
)
def test_device_numbers_are_packed_as_the_kernel_does(major: int, minor: int, packed: int) -> None:
    import os

    assert devices.makedev(major, minor) == os.makedev(major, minor)
    if minor < 256 and major < 4096:
        assert devices.makedev(major, minor) == packed


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("/proc", ("proc",)),
        ("//proc/./x/..", ("proc",)),
        ("proc/../etc", ("etc",)),
        ("/../..", ()),
        ("/proc2", ("proc2",)),
    ],
)
def test_paths_are_compared_by_components(path: str, parts: tuple[str, ...]) -> None:
    """PR-8."""
    assert paths.components(path) == parts
    assert paths.is_proc(path) == (parts == ("proc",))


def test_the_lowest_mapped_id_stands_for_an_unmapped_root() -> None:
    config = cases.config_of(
        {
            "linux": {
                "namespaces": [{"type": "user"}, {"type": "mount"}],
                "uidMappings": [
                    {"containerID": 9, "hostID": 1, "size": 1},
                    {"containerID": 5, "hostID": 2, "size": 2},
                ],
                "gidMappings": [{"containerID": 0, "hostID": 1, "size": 1}],
            },
            "process": {"user": {"uid": 5, "gid": 0}},
        }
    )
    context = Context(cases.host_of({}))
    namespaces.settle(context, config)
    assert (context.root_uid, context.root_gid) == (5, 0)


def test_capability_names_are_numbers_and_unknown_names_grant_nothing() -> None:
    """CR-4."""
    assert capabilities.mask(["CAP_CHOWN", "CAP_KILL"]) == 0b100001
    assert capabilities.mask(["CAP_FUTURE", "chown", "CAP_chown"]) == 0


def test_a_joined_pair_of_namespaces_is_believed_to_belong_together() -> None:
    context = Context(cases.host_of({}))
    context.joined = frozenset(("user", "network"))
    assert context.owns("network")
    assert not context.owns("ipc")
    context.new = frozenset(("user",))
    assert not context.owns("network")


def test_root_of_the_machine_owns_what_it_shares() -> None:
    assert Context(cases.host_of({})).owns("network")
    assert not Context(cases.host_of({"in_userns": True})).owns("network")


def test_too_many_mounts_are_an_error_and_no_overflow() -> None:
    context = Context(cases.host_of({}))
    with pytest.raises(ConfigErrors, match="more than 4096"):
        context.slot(5000)


def test_a_mapping_relative_to_the_container_is_translated() -> None:
    """The example of crun's manual."""
    config = cases.config_of(
        {
            "linux": {
                "namespaces": [{"type": "user"}, {"type": "pid"}, {"type": "mount"}],
                "uidMappings": [
                    {"containerID": 0, "hostID": 0, "size": 1},
                    {"containerID": 1, "hostID": 2, "size": 1000},
                ],
                "gidMappings": [{"containerID": 0, "hostID": 0, "size": 1000}],
            },
            "mounts": [
                {
                    "destination": "/d",
                    "source": "/s",
                    "options": ["bind", "idmap=uids=@1-3-10;gids=0-0-1"],
                }
            ],
        }
    )
    plan = compile_create(config, cases.host_of({}), rootfs="/r")
    assert mount_idmap.show(plan.requests[0].uids) == "1-4-10"


def test_many_id_mapped_mounts_are_fetched_in_parts() -> None:
    entry = {
        "source": "/s",
        "options": ["bind", "idmap"],
        "uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}],
        "gidMappings": [{"containerID": 0, "hostID": 1, "size": 1}],
    }
    wanted = [{**entry, "destination": f"/d{number}"} for number in range(450)]
    plan = cases.plan_of({"config": {"mounts": wanted}})
    counts = [op.count for op in plan.ops if isinstance(op, ops.Await) and op.name == 2]
    assert counts == [200, 200, 50]
    assert len(plan.requests) == 450


def test_only_copied_links_have_to_be_read() -> None:
    config = cases.config_of(
        {
            "mounts": [
                {"destination": "/a", "source": "/x", "options": ["bind", "copy-symlink"]},
                {"destination": "/b", "source": "/y", "options": ["bind"]},
            ]
        }
    )
    assert mounts.symlink_sources(config) == ["/x"]


def test_the_view_of_a_cgroup_manager_says_how_the_init_enters() -> None:
    class Hierarchy:
        def __init__(self, name: str, mount: str, version: int) -> None:
            self.name, self.mount, self.version = name, mount, version
            self.controllers = (name,)

    class View:
        version = 1
        hierarchies = (
            (Hierarchy("pids", "/sys/fs/cgroup/pids", 1), "/a/b"),
            (Hierarchy("", "/sys/fs/cgroup/unified", 2), "/"),
        )

    found = CgroupView.of(View())
    assert (found.into, found.tasks) == (True, 1)
    assert [one.path for one in found.directories] == [
        "/sys/fs/cgroup/pids/a/b",
        "/sys/fs/cgroup/unified",
    ]
    assert (CgroupView.of(View(), enters=False).tasks) == 0


def test_a_cgroup_directory_knows_its_version() -> None:
    assert CgroupDirectory("pids", mount="/m", path="/m/x").version == 1


def test_facts_of_a_host_are_asked_for_once_and_may_be_given() -> None:
    host = Host(euid=7)
    assert host.euid == 7
    assert host.kernel >= (5, 12)
    assert host.kernel is host.kernel
    with pytest.raises(AttributeError):
        _ = host.weather


def test_only_root_of_the_machine_is_not_rootless() -> None:
    assert not Host(euid=0, in_userns=False).rootless
    assert Host(euid=0, in_userns=True).rootless
    assert Host(euid=5, in_userns=False).rootless
