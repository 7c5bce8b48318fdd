# SPDX-License-Identifier: Apache-2.0
"""Every resource on every kind of host that has its controller: written, and read back from the
kernel.

A case is skipped where the controller, or what the kernel was built without, is missing; between
this machine and the guests each runs somewhere (docs/cgroups.md has the table).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pyrunc.cgroups import update
from pyrunc.cgroups.fs import FsManager
from pyrunc.cgroups.layout import Layout
from pyrunc.errors import Failure
from tests.cgroups.conftest import Disk, Make, needs, versions
from tests.support.cgroups import read, resources

MB = 1 << 20
Values = dict[str, str]


def case(row: str, controller: str, node: dict[str, Any], v1: Values, v2: Values) -> Any:
    """`row`: of the feature table. An empty dictionary: the version has no such control."""
    name = f"{row.partition(' ')[0]}-{'-'.join(sorted({**v1, **v2}))[:60]}"
    return pytest.param(controller, node, v1, v2, marks=pytest.mark.feature(row), id=name)


CASES = [
    case("8.35 pids.limit", "pids", {"pids": {"limit": 7}}, {"pids.max": "7"}, {"pids.max": "7"}),
    case(
        "8.35 pids.limit", "pids", {"pids": {"limit": -1}}, {"pids.max": "max"}, {"pids.max": "max"}
    ),
    case("8.35 pids.limit", "pids", {"pids": {"limit": 0}}, {"pids.max": "1"}, {"pids.max": "1"}),
    case(
        "8.23 memory.limit",
        "memory",
        {"memory": {"limit": 64 * MB}},
        {"memory.limit_in_bytes": str(64 * MB)},
        {"memory.max": str(64 * MB)},
    ),
    case(
        "8.23 memory.limit",
        "memory",
        {"memory": {"limit": -1}},
        {"memory.limit_in_bytes": "9223372036854771712"},
        {"memory.max": "max"},
    ),
    case(
        "8.24 memory.reservation",
        "memory",
        {"memory": {"reservation": 32 * MB}},
        {"memory.soft_limit_in_bytes": str(32 * MB)},
        {"memory.low": str(32 * MB)},
    ),
    case(
        "8.25 memory.swap",
        "memory",
        {"memory": {"limit": 64 * MB, "swap": 96 * MB}},
        {"memory.limit_in_bytes": str(64 * MB), "memory.memsw.limit_in_bytes": str(96 * MB)},
        {"memory.max": str(64 * MB), "memory.swap.max": str(32 * MB)},
    ),
    case(
        "8.25 memory.swap",
        "memory",
        {"memory": {"limit": 64 * MB, "swap": 64 * MB}},
        {"memory.memsw.limit_in_bytes": str(64 * MB)},
        {"memory.swap.max": "0"},
    ),
    case(
        "8.26 memory.kernel",
        "memory",
        {"memory": {"kernelTCP": 32 * MB}},
        {"memory.kmem.tcp.limit_in_bytes": str(32 * MB)},
        {},
    ),
    case(
        "8.27 memory.swappiness",
        "memory",
        {"memory": {"swappiness": 3}},
        {"memory.swappiness": "3"},
        {},
    ),
    case(
        "8.27 memory.swappiness",
        "memory",
        {"memory": {"disableOOMKiller": True, "useHierarchy": True}},
        {"memory.oom_control": "oom_kill_disable 1", "memory.use_hierarchy": "1"},
        {},
    ),
    case(
        "8.29 cpu.shares",
        "cpu",
        {"cpu": {"shares": 512}},
        {"cpu.shares": "512"},
        {"cpu.weight": "59"},
    ),
    case(
        "8.30 cpu.quota",
        "cpu",
        {"cpu": {"quota": 20000, "period": 50000}},
        {"cpu.cfs_quota_us": "20000", "cpu.cfs_period_us": "50000"},
        {"cpu.max": "20000 50000"},
    ),
    case(
        "8.30 cpu.quota",
        "cpu",
        {"cpu": {"quota": -1}},
        {"cpu.cfs_quota_us": "-1"},
        {"cpu.max": "max 100000"},
    ),
    case(
        "8.31 cpu.burst",
        "cpu",
        {"cpu": {"quota": 20000, "period": 50000, "burst": 10000}},
        {"cpu.cfs_quota_us": "20000", "cpu.cfs_burst_us": "10000"},
        {"cpu.max": "20000 50000", "cpu.max.burst": "10000"},
    ),
    case("8.32 cpu.idle", "cpu", {"cpu": {"idle": 1}}, {"cpu.idle": "1"}, {"cpu.idle": "1"}),
    case(
        "8.33 cpu.realtimeRuntime",
        "cpu",
        {"cpu": {"realtimeRuntime": 1000, "realtimePeriod": 500000}},
        {"cpu.rt_runtime_us": "1000", "cpu.rt_period_us": "500000"},
        {},
    ),
    case(
        "8.34 cpu.cpus",
        "cpuset",
        {"cpu": {"cpus": "0", "mems": "0"}},
        {"cpuset.cpus": "0", "cpuset.mems": "0"},
        {"cpuset.cpus": "0", "cpuset.mems": "0"},
    ),
    case(
        "8.40 hugepageLimits",
        "hugetlb",
        {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MB}]},
        {
            "hugetlb.2MB.limit_in_bytes": str(4 * MB),
            "hugetlb.2MB.rsvd.limit_in_bytes": str(4 * MB),
        },
        {"hugetlb.2MB.max": str(4 * MB), "hugetlb.2MB.rsvd.max": str(4 * MB)},
    ),
    case(
        "8.41 network.classID",
        "net_cls",
        {"network": {"classID": 0x100001}},
        {"net_cls.classid": "1048577"},
        {},
    ),
    case(
        "8.41 network.classID",
        "net_prio",
        {"network": {"priorities": [{"name": "lo", "priority": 5}]}},
        {"net_prio.ifpriomap": "lo 5"},
        {},
    ),
    case(
        "8.43 unified",
        "memory",
        {"unified": {"memory.high": str(MB), "memory.oom.group": "1"}},
        {},
        {"memory.high": str(MB), "memory.oom.group": "1"},
    ),
]
# What some kernels are built without: no file of a name with this in it, and no error is ours.
OPTIONAL = {
    "memsw": "swap accounting",
    "memory.swap": "swap accounting",
    "kmem": "accounting of kernel memory",
    "burst": "cpu burst",
    "rt_": "realtime groups",
    "rsvd": "limits on reserved huge pages",
    "cpu.idle": "idle groups",
}


def present(manager: FsManager, files: Values) -> None:
    """Skip where the kernel was built without a control."""
    for file in files:
        member = manager.find(file.partition(".")[0])
        assert member is not None
        if not Path(member.path, file).exists():
            lacking = next((what for part, what in OPTIONAL.items() if part in file), "")
            assert lacking, f"{member.path} has no {file}"
            pytest.skip(f"this kernel has no {lacking} ({file})")


@pytest.mark.parametrize(("controller", "node", "v1", "v2"), CASES)
def test_a_limit_is_what_the_kernel_has(
    v2_setting: None,
    mounted: Layout,
    make: Make,
    controller: str,
    node: dict[str, Any],
    v1: Values,
    v2: Values,
) -> None:
    version = needs(mounted, controller)
    expected = v1 if version == 1 else v2
    if not expected:
        pytest.skip(f"not a matter of cgroup v{version}")
    if controller == "hugetlb" and not Path("/sys/kernel/mm/hugepages/hugepages-2048kB").exists():
        pytest.skip("this kernel has no 2 MB pages")
    manager = make()
    manager.prepare()
    wanted = resources(**node)
    manager.enable_needed(manager.writes(wanted))
    present(manager, expected)
    manager.apply(wanted)
    for file, value in expected.items():
        assert value in read(manager, file).splitlines()
    # What the kernel shows afterwards counts as the same value: nothing is left to update.
    differences = update.diff(manager, None, wanted)
    assert [line for line in differences if "memory.oom_control" not in line] == []


@pytest.mark.feature("8.33 cpu.realtimeRuntime")
@pytest.mark.parametrize(
    ("node", "property"),
    [
        ({"cpu": {"realtimeRuntime": 1000}}, "cpu.realtimeRuntime"),
        ({"memory": {"kernelTCP": MB}}, "memory.kernelTCP"),
        ({"memory": {"swappiness": 3}}, "memory.swappiness"),
        ({"memory": {"disableOOMKiller": True}}, "memory.disableOOMKiller"),
        ({"blockIO": {"leafWeight": 100}}, "blockIO.leafWeight"),
        ({"network": {"classID": 5}}, "network.classID"),
    ],
)
def test_what_cgroup2_lacks_is_refused_before_anything_is_made(
    make: Make, host: Layout, node: dict[str, Any], property: str
) -> None:
    """AR-6"""
    if host.kind != "v2":
        pytest.skip("the controllers of this host are on v1 hierarchies")
    with pytest.raises(Failure, match=f"{property} cannot be applied: cgroup v2 has no such"):
        make().planned(resources(**node))


# -- block devices ---------------------------------------------------------------------------------

THROTTLES = {
    "throttleReadBpsDevice": ("read_bps", "rbps", 1048576),
    "throttleWriteBpsDevice": ("write_bps", "wbps", 2097152),
    "throttleReadIOPSDevice": ("read_iops", "riops", 300),
    "throttleWriteIOPSDevice": ("write_iops", "wiops", 400),
}


@pytest.mark.feature("8.39 throttle", "2.71 update per-device")
def test_the_rates_of_a_device_are_set_and_changed_one_by_one(
    make: Make, host: Layout, disk: Disk
) -> None:
    version = block_io(host)
    manager = make()
    manager.prepare()
    old = {
        key: [{"major": disk.major, "minor": disk.minor, "rate": rate}]
        for key, (_, _, rate) in THROTTLES.items()
    }
    manager.apply(resources(blockIO=old))
    assert rates(manager, disk, version) == {key: rate for key, (_, _, rate) in THROTTLES.items()}
    assert update.diff(manager, None, resources(blockIO=old)) == []
    changed = "throttleReadIOPSDevice"
    new = {**old, changed: [{**old[changed][0], "rate": 7}]}
    assert len(manager.update(resources(blockIO=old), resources(blockIO=new))) == 1
    assert rates(manager, disk, version)[changed] == 7
    none = {key: [{**value[0], "rate": 0}] for key, value in new.items()}
    manager.update(resources(blockIO=new), resources(blockIO=none))
    assert rates(manager, disk, version) == {}


def block_io(host: Layout) -> int:
    """The version of the hierarchy with the controller, which has two names."""
    return needs(host, "blkio" if versions(host).get("blkio") else "io")


def rates(manager: FsManager, disk: Disk, version: int) -> dict[str, int]:
    """Property -> rate, of those that are limited."""
    found = {}
    for key, (old, new, _) in THROTTLES.items():
        file = f"blkio.throttle.{old}_device" if version == 1 else "io.max"
        for line in read(manager, file).splitlines():
            device, _, rest = line.partition(" ")
            value = dict(pair.split("=") for pair in rest.split())[new] if version == 2 else rest
            if device == disk.number and value.isdecimal():
                found[key] = int(value)
    return found


@pytest.mark.feature("8.36 blockIO.weight", "8.38 blockIO.weightDevice")
def test_weights_are_those_of_the_scheduler_that_has_them(
    make: Make, host: Layout, weighed: Disk
) -> None:
    version = block_io(host)
    manager = make()
    manager.prepare()
    member = manager.find("blkio" if version == 1 else "io")
    assert member is not None
    if not Path(member.path, "blkio.bfq.weight" if version == 1 else "io.bfq.weight").exists():
        pytest.skip("the bfq scheduler of this kernel was built without groups")
    device = {"major": weighed.major, "minor": weighed.minor, "weight": 300}
    wanted = resources(blockIO={"weight": 500, "weightDevice": [device]})
    manager.apply(wanted)
    if version == 1:
        assert read(manager, "blkio.bfq.weight").split()[-1] == "500"
        assert f"{weighed.number} 300" in read(manager, "blkio.bfq.weight_device").splitlines()
    else:
        lines = read(manager, "io.bfq.weight").splitlines()
        assert lines == ["default 500", f"{weighed.number} 300"]
    assert update.diff(manager, None, wanted) == []


@pytest.mark.feature("8.37 blockIO.leafWeight")
def test_a_leaf_weight_is_written_or_its_absence_said(make: Make, host: Layout) -> None:
    """Kernels since 5.0 have none; AR-6."""
    needs(host, "blkio", version=1)
    manager = make()
    manager.prepare()
    wanted = resources(blockIO={"leafWeight": 100})
    if Path(manager.find("blkio").path, "blkio.leaf_weight").exists():  # type: ignore[union-attr]
        manager.apply(wanted)
        assert read(manager, "blkio.leaf_weight").split()[-1] == "100"
        return
    with pytest.raises(Failure, match="this kernel has no such control") as caught:
        manager.apply(wanted)
    assert caught.value.pointer.endswith("/blockIO")


@pytest.mark.feature("8.39 throttle")
def test_a_device_that_does_not_exist_is_named(make: Make, host: Layout) -> None:
    block_io(host)
    manager = make()
    manager.prepare()
    item = {"major": 4000, "minor": 7, "rate": 1000}
    with pytest.raises(Failure, match="cannot write '4000:7 ") as caught:
        manager.apply(resources(blockIO={"throttleReadBpsDevice": [item]}))
    assert "no such block device" in caught.value.hint
    assert caught.value.pointer.endswith("/blockIO/throttleReadBpsDevice/0")


# -- controllers of devices that the hosts of the tests do not have --------------------------------


@pytest.mark.feature("8.42 rdma")
def test_an_rdma_device_that_does_not_exist_is_named(
    v2_setting: None, mounted: Layout, make: Make
) -> None:
    """No host here has one: the kernel is asked all the same, and its answer is the error."""
    needs(mounted, "rdma")
    manager = make()
    manager.prepare()
    with pytest.raises(Failure, match="cannot write 'mlx5_9 hca_handle=3 hca_object=7'") as caught:
        manager.apply(resources(rdma={"mlx5_9": {"hcaHandles": 3, "hcaObjects": 7}}))
    assert caught.value.hint == "there is no such RDMA device"
    assert caught.value.pointer.endswith("/rdma/mlx5_9")


@pytest.mark.feature("8.42 rdma")
def test_a_controller_that_no_hierarchy_has_is_an_error(make: Make, host: Layout) -> None:
    """AR-6"""
    if "rdma" in versions(host):
        pytest.skip("this host has the rdma controller")
    manager = make()
    manager.prepare()
    with pytest.raises(Failure, match="controller rdma not available") as caught:
        manager.apply(resources(rdma={"mlx5_9": {"hcaHandles": 3}}))
    assert caught.value.pointer.endswith("/rdma/mlx5_9")


@pytest.mark.feature("8.44 misc")
@pytest.mark.parametrize(
    ("key", "value"), [("misc.max", "no_such_resource 1"), ("dmem.max", "no/such/region 4096")]
)
def test_unified_reaches_controllers_that_the_specification_does_not_know(
    v2_setting: None, make: Make, host: Layout, key: str, value: str
) -> None:
    """No host here has what these count: the value gets to the kernel, whose answer is the error,
    or nobody has the controller, and the error says that."""
    controller = key.partition(".")[0]
    manager = make()
    manager.prepare()
    has = versions(host).get(controller)
    if has == 1:
        pytest.skip(f"the {controller} controller of this host is a v1 one")
    expected = f"cannot write '{value}' to .*/{key}" if has else f"controller {controller} not"
    with pytest.raises(Failure, match=expected):
        manager.apply(resources(unified={key: value}))
