# SPDX-License-Identifier: Apache-2.0
"""`update` writes what changed, in an order that the kernel takes, and takes it back on failure."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from pyrunc.cgroups import update
from pyrunc.cgroups.fs import FsManager
from pyrunc.cgroups.member import Cgroup
from pyrunc.cgroups.resources.writes import Write
from pyrunc.errors import Failure
from tests.support.cgroups import resources
from tests.unit.cgroups.support import directory_member

pytestmark = pytest.mark.usefixtures("closed_cgroups")
MB = 1 << 20
FILES = {
    "cgroup.controllers": "cpu io memory pids\n",
    "pids.max": "max\n",
    "memory.max": "67108864\n",
    "memory.swap.max": "max\n",
    "memory.low": "0\n",
    "memory.current": "1048576\n",
    "cpu.max": "max 100000\n",
    "cpu.weight": "100\n",
    "cpu.idle": "0\n",
    "io.weight": "default 100\n",
    "io.max": "8:0 rbps=10 wbps=max riops=max wiops=max\n",
}


@pytest.fixture
def member(tmp_path: Path) -> Cgroup:
    return directory_member(tmp_path, version=2, files=FILES)


@pytest.fixture
def manager(member: Cgroup, monkeypatch: pytest.MonkeyPatch) -> FsManager:
    """A v2 container in a directory; writes replace the file, as the kernel's would."""
    group = Path(member.path)

    def put(self: Cgroup, name: str, value: str) -> None:
        if not (group / name).exists():
            raise FileNotFoundError(2, "no such file", name)
        if value.startswith("refuse"):
            raise OSError(22, "invalid argument")
        (group / name).write_text(value + "\n")
        writes.append((name, value))

    writes: list[tuple[str, str]] = []
    monkeypatch.setattr(Cgroup, "put", put)
    found = FsManager([member], driver="cgroupfs")
    found.journal = writes  # type: ignore[attr-defined]
    return found


def journal(manager: FsManager) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = manager.journal  # type: ignore[attr-defined]
    return found


def test_only_what_changed_is_written(manager: FsManager) -> None:
    old = resources(memory={"limit": 64 * MB}, pids={"limit": -1}, cpu={"shares": 1024})
    new = resources(memory={"limit": 64 * MB}, pids={"limit": 9}, cpu={"shares": 1024})
    lines = manager.update(old, new)
    assert journal(manager) == [("pids.max", "9")]
    assert lines == [f"{manager.members[0].path}/pids.max: max -> 9"]


def test_the_dry_run_shows_the_kernels_value_and_writes_nothing(manager: FsManager) -> None:
    new = resources(cpu={"quota": 5000, "period": 10000}, pids={"limit": 3})
    path = manager.members[0].path
    assert manager.diff(None, new) == [
        f"{path}/pids.max: max -> 3",
        f"{path}/cpu.max: max 100000 -> 5000 10000",
    ]
    assert journal(manager) == []


def test_a_value_that_somebody_else_changed_is_written_when_it_is_asked_for(
    manager: FsManager,
) -> None:
    stored = resources(memory={"limit": 32 * MB})
    assert manager.diff(stored, stored) == []
    lines = manager.update(stored, stored, requested={"memory/limit"})
    assert journal(manager) == [("memory.max", str(32 * MB))]
    assert len(lines) == 1


def test_what_the_kernel_already_has_is_not_written(manager: FsManager) -> None:
    assert manager.update(None, resources(memory={"limit": 64 * MB + 5})) == []
    assert journal(manager) == []


def test_one_device_of_io_max_is_changed_and_the_others_stay(manager: FsManager) -> None:
    rate = {"major": 8, "minor": 0, "rate": 20}
    new = resources(blockIO={"throttleReadBpsDevice": [rate], "throttleWriteBpsDevice": [rate]})
    path = manager.members[0].path
    assert manager.diff(None, new) == [
        f"{path}/io.max: 8:0 rbps=10 -> 8:0 rbps=20",
        f"{path}/io.max: 8:0 wbps=max -> 8:0 wbps=20",
    ]


def test_a_failed_write_restores_what_was_written_before(
    manager: FsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Cgroup.put

    def fail_cpu(self: Cgroup, name: str, value: str) -> None:
        if name == "cpu.weight":
            raise PermissionError(1, "operation not permitted")
        whole(self, name, value)

    monkeypatch.setattr(Cgroup, "put", fail_cpu)
    new = resources(pids={"limit": 9}, memory={"limit": MB}, cpu={"shares": 2})
    with pytest.raises(Failure, match=r"to .*/cpu[.]weight") as caught:
        manager.update(None, new)
    group = Path(manager.members[0].path)
    assert (group / "pids.max").read_text() == "max\n"
    assert (group / "memory.max").read_text() == "67108864\n"
    assert caught.value.detail.startswith("not restored: cannot write '100'")


def test_the_limit_is_checked_against_the_usage_when_that_is_asked_for(manager: FsManager) -> None:
    new = resources(memory={"limit": 4096, "checkBeforeUpdate": True})
    with pytest.raises(Failure, match="current usage: 1048576, peak usage: unknown"):
        manager.update(None, new)
    assert journal(manager) == []
    manager.update(None, resources(memory={"limit": 4096}))
    assert journal(manager) == [("memory.max", "4096")]


def test_writes_that_depend_on_each_other_are_tried_in_the_other_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """v1: the limit of memory and swap is never below that of memory."""
    files = {"memory.limit_in_bytes": "10", "memory.memsw.limit_in_bytes": "10"}
    member = directory_member(tmp_path, version=1, controllers=("memory",), files=files)
    values = {"memory.limit_in_bytes": 10, "memory.memsw.limit_in_bytes": 10}

    def put(self: Cgroup, name: str, value: str) -> None:
        changed = {**values, name: int(value)}
        if changed["memory.limit_in_bytes"] > changed["memory.memsw.limit_in_bytes"]:
            raise OSError(22, "invalid argument")
        values.update(changed)

    monkeypatch.setattr(Cgroup, "put", put)
    manager = FsManager([member], driver="cgroupfs")
    for limit, both in ((20, 30), (5, 6), (40, 40)):
        manager.put(manager.writes(resources(memory={"limit": limit, "swap": both})))
        assert list(values.values()) == [limit, both]


def test_a_limit_below_what_is_used_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "memory.limit_in_bytes": "9",
        "memory.usage_in_bytes": "700\n",
        "memory.max_usage_in_bytes": "900\n",
    }
    member = directory_member(tmp_path, version=1, controllers=("memory",), files=files)

    def busy(self: Cgroup, name: str, value: str) -> None:
        raise OSError(16, "device or resource busy")

    monkeypatch.setattr(Cgroup, "put", busy)
    with pytest.raises(Failure) as caught:
        member.apply(FsManager([member], driver="x").writes(resources(memory={"limit": 5})))
    assert "unable to set memory limit to 5 (current usage: 700, peak usage: 900)" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("file", "value", "present", "expected"),
    [
        ("memory.limit_in_bytes", "-1", "9223372036854771712", True),
        ("memory.limit_in_bytes", "-1", "4096", False),
        ("memory.max", "4097", "4096", True),
        ("memory.max", "max", "max", True),
        ("memory.max", "max", "4096", False),
        ("cpuset.cpus", "0,1,2", "0-2", True),
        ("cpuset.cpus", "0", "0-2", False),
        ("pids.max", "4097", "4096", False),
        ("rdma.max", "m hca_object=7", "m hca_handle=max hca_object=7", True),
        ("rdma.max", "m hca_object=7", "m hca_handle=max hca_object=70", False),
    ],
)
def test_equal_values_in_other_words(file: str, value: str, present: str, expected: bool) -> None:
    write = Write("x", file=file, value=value, pointer="")
    assert update.same(write, present) is expected


@pytest.mark.parametrize(
    ("file", "value", "text", "expected"),
    [
        ("io.weight", "500", "default 100\n8:0 300", "100"),
        ("io.bfq.weight", "500", "default 100", "100"),
        ("blkio.bfq.weight", "500", "100", "100"),
        ("io.bfq.weight", "8:0 500", "default 100\n8:0 300", "8:0 300"),
        ("io.bfq.weight", "8:16 500", "default 100\n8:0 300", "8:16 default"),
        ("blkio.bfq.weight_device", "8:16 500", "8:0 300", "8:16 default"),
        ("blkio.throttle.read_bps_device", "8:0 5", "8:16 7", "8:0 0"),
        ("io.max", "8:0 rbps=5", "8:16 rbps=7 wbps=max", "8:0 rbps=max"),
        ("net_prio.ifpriomap", "lo 5", "lo 0\neth0 0", "lo 0"),
        ("rdma.max", "b hca_object=5", "a hca_object=max\nb hca_object=max", "b hca_object=max"),
    ],
)
def test_the_value_before_is_one_that_can_be_written_again(
    file: str, value: str, text: str, expected: str
) -> None:
    assert update.find(text, Write("x", file=file, value=value, pointer="")) == expected


def test_what_a_partial_object_asks_for() -> None:
    partial: dict[str, Any] = {
        "memory": {"limit": 1, "disableOOMKiller": False},
        "cpu": {"shares": 5},
        "blockIO": {"weight": 10},
    }
    found = update.properties(resources(**partial))
    assert {"memory/limit", "cpu/shares", "blockIO/weight"} <= found
    assert "memory/swap" not in found


def test_device_rules_that_come_and_go_are_shown() -> None:
    old = resources(devices=[{"allow": True, "type": "c", "major": 10, "minor": 1, "access": "r"}])
    new = resources(devices=[{"allow": True, "type": "c", "major": 10, "minor": 2, "access": "rw"}])
    manager = FsManager([], driver="disabled")
    assert update.diff(manager, old, new) == [
        "devices: - allow c 10:1 r",
        "devices: + allow c 10:2 rw",
    ]


def test_a_kernel_without_limits_of_kernel_memory_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that takes the value and forgets it, one that refuses it, one without the file."""
    files = {"memory.kmem.limit_in_bytes": "9223372036854771712\n"}
    member = directory_member(tmp_path, version=1, controllers=("memory",), files=files)
    monkeypatch.setattr(Cgroup, "put", lambda self, name, value: None)
    manager = FsManager([member], driver="x")
    writes = manager.writes(resources(memory={"kernel": MB}))
    note = "/memory/kernel: ignored: this kernel has no memory.kmem.limit_in_bytes"
    for code in (0, errno.EOPNOTSUPP, errno.ENOENT):

        def put(self: Cgroup, name: str, value: str, code: int = code) -> None:
            if code:
                raise OSError(code, os.strerror(code))

        monkeypatch.setattr(Cgroup, "put", put)
        member.apply(writes)
        assert manager.notes() == [note]
        member.notes.clear()
    monkeypatch.setattr(Cgroup, "put", mock.Mock(side_effect=OSError(errno.EINVAL, "invalid")))
    with pytest.raises(Failure, match="cannot write"):
        member.apply(writes)


def test_shares_of_an_idle_cgroup_are_refused_unless_idle_is_given_too(manager: FsManager) -> None:
    old, new = resources(cpu={"idle": 1}), resources(cpu={"idle": 1, "shares": 200})
    for act in (manager.update, manager.diff):
        with pytest.raises(Failure, match=r"cannot be changed while cpu\.idle is 1") as caught:
            act(old, new, requested={"cpu/shares"})
        assert caught.value.pointer.endswith("/cpu/shares")
    assert journal(manager) == []
    awake = resources(cpu={"idle": 0, "shares": 200})
    manager.update(old, awake, requested={"cpu/shares", "cpu/idle"})
    assert ("cpu.weight", "29") in journal(manager)


def test_the_properties_of_a_partial_object_are_named_as_in_json() -> None:
    node = {"checkBeforeUpdate": True, "kernelTCP": 0, "limit": None}
    found = update.properties(resources(memory=node, cpu={"realtimeRuntime": 1}, blockIO={}))
    assert found == {"memory/checkBeforeUpdate", "memory/kernelTCP", "cpu/realtimeRuntime"}
