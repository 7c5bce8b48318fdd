# SPDX-License-Identifier: Apache-2.0
"""Every property of linux.resources: value in, file writes out, on v1 and on v2.

The expected values follow the conversions that the OCI runtimes share.
"""

from __future__ import annotations

from typing import Any

import pytest

from pyrunc.cgroups.resources import convert, convert_v2
from pyrunc.errors import Failure
from tests.support.cgroups import resources
from tests.unit.cgroups.support import ALL_V1, ALL_V2, v1, v2, written

MB = 1 << 20

PIDS = [
    (5, [("pids.max", "5")]),
    (0, [("pids.max", "1")]),
    (-1, [("pids.max", "max")]),
    (-7, [("pids.max", "max")]),
    (4 << 20, [("pids.max", "4194304")]),
    (None, []),
]


@pytest.mark.parametrize(("limit", "expected"), PIDS)
def test_pids(limit: int | None, expected: list[tuple[str, str]]) -> None:
    assert v1(pids={"limit": limit}) == expected
    assert v2(pids={"limit": limit}) == expected


MEMORY_V2: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({"limit": 64 * MB}, [("memory.max", "67108864")]),
    ({"limit": -1}, [("memory.swap.max", "max"), ("memory.max", "max")]),
    ({"limit": 0}, []),
    ({"reservation": 32 * MB}, [("memory.low", "33554432")]),
    ({"reservation": -1}, [("memory.low", "max")]),
    (
        {"limit": 64 * MB, "swap": 96 * MB},
        [("memory.swap.max", "33554432"), ("memory.max", "67108864")],
    ),
    (
        {"limit": 64 * MB, "swap": 64 * MB},
        [("memory.swap.max", "0"), ("memory.max", "67108864")],
    ),
    ({"limit": 64 * MB, "swap": -1}, [("memory.swap.max", "max"), ("memory.max", "67108864")]),
    ({"limit": 64 * MB, "swap": 0}, [("memory.max", "67108864")]),
    ({"limit": -1, "swap": 96 * MB}, [("memory.swap.max", "100663296"), ("memory.max", "max")]),
    ({"swap": -1}, [("memory.swap.max", "max")]),
    ({"disableOOMKiller": False, "useHierarchy": True, "kernel": -1}, []),
    ({"checkBeforeUpdate": True}, []),
    ({"swappiness": 2**64 - 1}, []),
]


@pytest.mark.parametrize(("node", "expected"), MEMORY_V2)
def test_memory_on_v2(node: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert v2(memory=node) == expected


MEMORY_V1: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({"limit": 64 * MB}, [("memory.limit_in_bytes", "67108864")]),
    ({"limit": -1}, [("memory.limit_in_bytes", "-1"), ("memory.memsw.limit_in_bytes", "-1")]),
    (
        {"limit": 64 * MB, "swap": 96 * MB, "reservation": 32 * MB},
        [
            ("memory.limit_in_bytes", "67108864"),
            ("memory.memsw.limit_in_bytes", "100663296"),
            ("memory.soft_limit_in_bytes", "33554432"),
        ],
    ),
    ({"kernel": 1 * MB}, [("memory.kmem.limit_in_bytes", "1048576")]),
    ({"kernelTCP": 1 * MB}, [("memory.kmem.tcp.limit_in_bytes", "1048576")]),
    ({"swappiness": 0}, [("memory.swappiness", "0")]),
    ({"swappiness": 2**64 - 1}, []),
    ({"disableOOMKiller": True}, [("memory.oom_control", "1")]),
    ({"disableOOMKiller": False}, []),
    ({"useHierarchy": True}, [("memory.use_hierarchy", "1")]),
]


@pytest.mark.parametrize(("node", "expected"), MEMORY_V1)
def test_memory_on_v1(node: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert v1(memory=node) == expected


@pytest.mark.parametrize("convert_all", [v1, v2])
def test_swap_needs_a_memory_limit_that_it_includes(convert_all: Any) -> None:
    with pytest.raises(Failure, match="unable to set swap limit without memory limit"):
        convert_all(memory={"swap": MB})
    with pytest.raises(Failure, match="memory\\+swap limit should be >= memory limit") as caught:
        convert_all(memory={"limit": 2 * MB, "swap": MB})
    assert caught.value.pointer.endswith("/memory/swap")


@pytest.mark.parametrize(
    ("node", "pointer"),
    [
        ({"kernelTCP": MB}, "/memory/kernelTCP"),
        ({"swappiness": 10}, "/memory/swappiness"),
        ({"disableOOMKiller": True}, "/memory/disableOOMKiller"),
        ({"useHierarchy": False}, "/memory/useHierarchy"),
    ],
)
def test_what_v2_lacks_in_memory_is_refused(node: dict[str, Any], pointer: str) -> None:
    """AR-6"""
    with pytest.raises(Failure) as caught:
        v2(memory=node)
    assert caught.value.pointer.endswith(pointer)


@pytest.mark.parametrize(
    ("shares", "weight"),
    [(1, 1), (2, 1), (3, 2), (512, 59), (1024, 100), (2048, 174), (4096, 303), (262144, 10000)],
)
def test_shares_become_a_weight_by_the_quadratic_formula(shares: int, weight: int) -> None:
    assert v2(cpu={"shares": shares}) == [("cpu.weight", str(weight))]


def test_weights_rise_with_shares_and_stay_in_range() -> None:
    weights = [convert_v2.weight_of_shares(shares) for shares in range(2, 262145, 97)]
    assert weights == sorted(weights)
    assert weights[0] == 1
    assert convert_v2.weight_of_shares(2**40) == 10000


CPU: list[tuple[dict[str, Any], list[tuple[str, str]], list[tuple[str, str]]]] = [
    ({"shares": 0}, [], []),
    ({"shares": 1024}, [("cpu.shares", "1024")], [("cpu.weight", "100")]),
    (
        {"quota": 50000, "period": 200000},
        [("cpu.cfs_period_us", "200000"), ("cpu.cfs_quota_us", "50000")],
        [("cpu.max", "50000 200000")],
    ),
    ({"quota": 50000}, [("cpu.cfs_quota_us", "50000")], [("cpu.max", "50000 100000")]),
    ({"quota": -1}, [("cpu.cfs_quota_us", "-1")], [("cpu.max", "max 100000")]),
    ({"period": 50000}, [("cpu.cfs_period_us", "50000")], [("cpu.max", "max 50000")]),
    (
        {"quota": 50000, "burst": 10000},
        [("cpu.cfs_quota_us", "50000"), ("cpu.cfs_burst_us", "10000")],
        [("cpu.max.burst", "10000"), ("cpu.max", "50000 100000")],
    ),
    ({"burst": 0}, [("cpu.cfs_burst_us", "0")], [("cpu.max.burst", "0")]),
    ({"idle": 1, "shares": 512}, [("cpu.idle", "1")], [("cpu.idle", "1")]),
    (
        {"idle": 0, "shares": 512},
        [("cpu.idle", "0"), ("cpu.shares", "512")],
        [("cpu.idle", "0"), ("cpu.weight", "59")],
    ),
    (
        {"cpus": "0-1", "mems": "0"},
        [("cpuset.cpus", "0-1"), ("cpuset.mems", "0")],
        [("cpuset.cpus", "0-1"), ("cpuset.mems", "0")],
    ),
]


@pytest.mark.parametrize(("node", "old", "new"), CPU)
def test_cpu(node: dict[str, Any], old: list[tuple[str, str]], new: list[tuple[str, str]]) -> None:
    assert v1(cpu=node) == old
    assert v2(cpu=node) == new


def test_realtime_is_a_matter_of_v1() -> None:
    node = {"realtimeRuntime": 950, "realtimePeriod": 1000}
    assert v1(cpu=node) == [("cpu.rt_period_us", "1000"), ("cpu.rt_runtime_us", "950")]
    with pytest.raises(Failure, match="realtimeRuntime cannot be applied"):
        v2(cpu=node)


DEVICE = {"major": 8, "minor": 0}
BLOCK_IO: list[tuple[dict[str, Any], list[tuple[str, str]], list[tuple[str, str]]]] = [
    ({"weight": 500}, [("blkio.weight", "500")], [("io.bfq.weight", "500")]),
    (
        {"weightDevice": [{**DEVICE, "weight": 300}]},
        [("blkio.weight_device", "8:0 300")],
        [("io.bfq.weight", "8:0 300")],
    ),
    (
        {"throttleReadBpsDevice": [{**DEVICE, "rate": 1000}]},
        [("blkio.throttle.read_bps_device", "8:0 1000")],
        [("io.max", "8:0 rbps=1000")],
    ),
    (
        {"throttleWriteBpsDevice": [{**DEVICE, "rate": 0}]},
        [("blkio.throttle.write_bps_device", "8:0 0")],
        [("io.max", "8:0 wbps=max")],
    ),
    (
        {"throttleReadIOPSDevice": [{**DEVICE, "rate": 7}]},
        [("blkio.throttle.read_iops_device", "8:0 7")],
        [("io.max", "8:0 riops=7")],
    ),
    (
        {"throttleWriteIOPSDevice": [{**DEVICE, "rate": 7}]},
        [("blkio.throttle.write_iops_device", "8:0 7")],
        [("io.max", "8:0 wiops=7")],
    ),
]


@pytest.mark.parametrize(("node", "old", "new"), BLOCK_IO)
def test_block_io(
    node: dict[str, Any], old: list[tuple[str, str]], new: list[tuple[str, str]]
) -> None:
    assert v1(blockIO=node) == old
    assert v2(blockIO=node) == new


@pytest.mark.parametrize(
    ("weight", "io"), [(10, "1"), (100, "910"), (500, "4950"), (1000, "10000")]
)
def test_the_io_weight_takes_the_place_of_bfq(weight: int, io: str) -> None:
    node = resources(blockIO={"weight": weight})
    (write,) = convert_v2.blkio(node)
    assert write.otherwise is not None
    assert (write.otherwise.file, write.otherwise.value) == ("io.weight", io)


def test_leaf_weights_are_a_matter_of_v1() -> None:
    assert v1(blockIO={"leafWeight": 300}) == [("blkio.leaf_weight", "300")]
    with pytest.raises(Failure, match="leafWeight cannot be applied"):
        v2(blockIO={"leafWeight": 300})


@pytest.mark.parametrize("size", ["64KB", "2MB", "1GB"])
def test_huge_pages_limit_use_and_reservation(size: str) -> None:
    node = [{"pageSize": size, "limit": 4 * MB}]
    assert v1(hugepageLimits=node) == [
        (f"hugetlb.{size}.limit_in_bytes", "4194304"),
        (f"hugetlb.{size}.rsvd.limit_in_bytes", "4194304"),
    ]
    assert v2(hugepageLimits=node) == [
        (f"hugetlb.{size}.max", "4194304"),
        (f"hugetlb.{size}.rsvd.max", "4194304"),
    ]


@pytest.mark.parametrize("size", ["2M", "2mb", "../2MB", "MB", "2MB/", "٢MB", "-2MB"])
def test_a_page_size_is_no_path(size: str) -> None:
    """IN-6, CG-2"""
    with pytest.raises(Failure):
        v2(hugepageLimits=[{"pageSize": size, "limit": 1}])


def test_network_classes_and_priorities_are_a_matter_of_v1() -> None:
    node = {"classID": 0x100001, "priorities": [{"name": "eth0", "priority": 5}]}
    assert v1(network=node) == [("net_cls.classid", "1048577"), ("net_prio.ifpriomap", "eth0 5")]
    with pytest.raises(Failure, match="classID cannot be applied"):
        v2(network=node)
    with pytest.raises(Failure, match="priorities cannot be applied"):
        v2(network={"priorities": node["priorities"]})


def test_rdma_is_the_same_on_both() -> None:
    node = {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}, "mlx4_0": {"hcaObjects": 7}}
    expected = [
        ("rdma.max", "mlx5_1 hca_handle=3 hca_object=10000"),
        ("rdma.max", "mlx4_0 hca_object=7"),
    ]
    assert v1(rdma=node) == expected
    assert v2(rdma=node) == expected


def test_unified_values_are_written_line_by_line() -> None:
    node = {"io.max": "8:0 rbps=1\n8:16 wbps=2\n", "memory.high": "1000"}
    assert v2(unified=node) == [
        ("io.max", "8:0 rbps=1"),
        ("io.max", "8:16 wbps=2"),
        ("memory.high", "1000"),
    ]


def test_unified_is_refused_where_the_controller_is_v1() -> None:
    with pytest.raises(Failure, match="is a cgroup v1 controller here"):
        v1(unified={"memory.high": "1"})


def test_unified_reaches_the_limits_of_the_tree_and_files_with_upper_case_letters() -> None:
    unified = {"cgroup.max.depth": "2", "cgroup.max.descendants": "9", "hugetlb.2MB.max": "0"}
    found = written({**ALL_V2, "cgroup": 2}, unified=unified)
    assert found == list(unified.items())


@pytest.mark.parametrize("key", ["cgroup.procs", "cgroup.freeze", "cgroup.subtree_control"])
def test_unified_reaches_no_management_file(key: str) -> None:
    with pytest.raises(Failure, match="is not a resource"):
        v2(unified={key: "1"})


def test_a_missing_controller_is_an_error_that_names_it() -> None:
    with pytest.raises(convert.Unavailable, match="controller cpuset not available") as caught:
        written({"cpu": 2, "memory": 2}, cpu={"cpus": "0"})
    assert caught.value.controller == "cpuset"
    with pytest.raises(convert.Unavailable, match="controller misc not available"):
        written({"cpu": 2}, unified={"misc.max": "res 1"})


def test_a_hybrid_host_converts_for_the_hierarchy_that_has_the_controller() -> None:
    versions = {**ALL_V1, "hugetlb": 2}
    del versions["rdma"]
    found = written(
        versions, memory={"limit": MB}, hugepageLimits=[{"pageSize": "2MB", "limit": 0}]
    )
    assert found == [
        ("memory.limit_in_bytes", "1048576"),
        ("hugetlb.2MB.max", "0"),
        ("hugetlb.2MB.rsvd.max", "0"),
    ]


def test_controllers_are_written_in_the_order_that_is_safe() -> None:
    found = v2(
        unified={"memory.high": "1"},
        rdma={"m": {"hcaObjects": 1}},
        hugepageLimits=[{"pageSize": "2MB", "limit": 1}],
        cpu={"cpus": "0", "shares": 2},
        blockIO={"weight": 10},
        memory={"limit": 1},
        pids={"limit": 1},
    )
    order = [file.partition(".")[0] for file, _ in found]
    assert list(dict.fromkeys(order)) == [
        "pids",
        "memory",
        "io",
        "cpu",
        "cpuset",
        "hugetlb",
        "rdma",
    ]


def test_no_resources_are_no_writes() -> None:
    assert convert.to_writes(None, versions={}, default=2) == []
    assert v2() == []


def test_an_idle_group_gets_no_weight_by_any_name() -> None:
    """The kernel answers EINVAL to it; and a group is idle no more before it gets one."""
    weights = {"cpu.weight": "50", "cpu.weight.nice": "3"}
    assert v2(cpu={"idle": 1}, unified=weights) == [("cpu.idle", "1")]
    assert v2(unified={**weights, "cpu.idle": "1"}) == [("cpu.idle", "1")]
    found = v2(unified={"cpu.weight": "50", "cpu.idle": "0"})
    assert found == [("cpu.idle", "0"), ("cpu.weight", "50")]
    found = v2(cpu={"idle": 1}, unified={"cpu.weight": "50", "cpu.idle": "0"})
    assert found == [("cpu.idle", "1"), ("cpu.idle", "0"), ("cpu.weight", "50")]
