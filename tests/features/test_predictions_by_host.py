# SPDX-License-Identifier: Apache-2.0
"""Configurations that are valid on one kind of host only: `check` says what `create` does here.

Run in guests of each kind (`python -m tests.vm.guest --mode ...`) the same table has other answers.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Runtime

# Keys of cgroup2 files, which only hosts with that controller on cgroup2 have.
UNIFIED = {
    "memory.min": "0", "memory.low": "0", "memory.high": "100000000", "memory.max": "100000000",
    "memory.swap.max": "100000000", "memory.swap.high": "100000000", "memory.zswap.max": "0",
    "memory.oom.group": "1", "memory.zswap.writeback": "1", "memory.reclaim": "0",
    "memory.nonsense": "1", "memory.limit_in_bytes": "100000000", "cpu.max": "50000 100000",
    "cpu.max.burst": "0", "cpu.weight": "50", "cpu.weight.nice": "3", "cpu.idle": "0",
    "cpu.uclamp.min": "0", "cpu.uclamp.max": "max", "cpu.shares": "100", "cpuset.cpus": "0",
    "cpuset.mems": "0", "cpuset.cpus.partition": "member", "cpuset.cpus.exclusive": "0",
    "cpuset.cpus.effective": "0", "io.weight": "default 50", "io.max": "", "io.latency": "",
    "io.bfq.weight": "50", "io.cost.qos": "", "pids.max": "50", "pids.current": "1",
    "pids.peak": "1", "hugetlb.2MB.max": "0", "hugetlb.1GB.max": "0", "hugetlb.3MB.max": "0",
    "rdma.max": "mlx hca_handle=1", "misc.max": "res_a 1", "dmem.max": "", "cgroup.freeze": "0",
    "cgroup.max.depth": "3", "cgroup.max.descendants": "3", "cgroup.type": "threaded",
    "cgroup.pressure": "1", "cgroup.nonsense": "1", "nonsense.max": "1", "memory": "1",
}  # fmt: skip
RESOURCES: dict[str, dict[str, Any]] = {
    "swappiness": {"memory": {"limit": 100000000, "swappiness": 10}},
    "no-oom-killer": {"memory": {"limit": 100000000, "disableOOMKiller": True}},
    "kernel-tcp": {"memory": {"limit": 100000000, "kernelTCP": 50000000}},
    "kernel-memory": {"memory": {"limit": 100000000, "kernel": 50000000}},
    "hierarchy": {"memory": {"limit": 100000000, "useHierarchy": True}},
    "swap": {"memory": {"limit": 100000000, "swap": 200000000}},
    "swap-without-limit": {"memory": {"swap": 200000000}},
    "reservation": {"memory": {"limit": 100000000, "reservation": 50000000}},
    "memory-too-low": {"memory": {"limit": 4096}},
    "real-time": {"cpu": {"realtimePeriod": 1000000, "realtimeRuntime": 1000}},
    "burst": {"cpu": {"quota": 50000, "period": 100000, "burst": 10000}},
    "burst-above-quota": {"cpu": {"quota": 50000, "period": 100000, "burst": 60000}},
    "idle": {"cpu": {"idle": 1}},
    "idle-with-shares": {"cpu": {"idle": 1, "shares": 100}},
    "shares": {"cpu": {"shares": 100}},
    "period-too-long": {"cpu": {"quota": 50000, "period": 2000000}},
    "processor-0": {"cpu": {"cpus": "0"}},
    "processor-1": {"cpu": {"cpus": "1"}},
    "processor-9999": {"cpu": {"cpus": "9999"}},
    "memory-node-7": {"cpu": {"mems": "7"}},
    "block-weight": {"blockIO": {"weight": 100}},
    "block-leaf-weight": {"blockIO": {"leafWeight": 100}},
    "block-weight-of-nothing": {
        "blockIO": {"weightDevice": [{"major": 250, "minor": 9, "weight": 10}]}
    },
    "block-limit-of-nothing": {
        "blockIO": {"throttleReadBpsDevice": [{"major": 250, "minor": 9, "rate": 1000}]}
    },
    "class": {"network": {"classID": 1048577}},
    "priority": {"network": {"priorities": [{"name": "lo", "priority": 5}]}},
    "priority-of-nothing": {"network": {"priorities": [{"name": "nothing0", "priority": 5}]}},
    "huge-2MB": {"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]},
    "huge-1GB": {"hugepageLimits": [{"pageSize": "1GB", "limit": 0}]},
    "huge-64KB": {"hugepageLimits": [{"pageSize": "64KB", "limit": 0}]},
    "rdma": {"rdma": {"mlx5_1": {"hcaHandles": 3}}},
    "pids": {"pids": {"limit": 50}},
}  # fmt: skip
FILE_SYSTEMS = (
    "bpf", "tracefs", "debugfs", "securityfs", "configfs", "efivarfs", "binfmt_misc", "hugetlbfs",
    "mqueue", "ramfs", "cgroup", "cgroup2", "nonsensefs", "fusectl", "pstore", "selinuxfs",
)  # fmt: skip
LINUX: dict[str, dict[str, Any]] = {
    "time": {"timeOffsets": {"boottime": {"secs": 5, "nanosecs": 0}}},
    "cache": {"intelRdt": {"l3CacheSchema": "L3:0=f"}},
    "personality": {"personality": {"domain": "LINUX32"}},
    "net-device": {"netDevices": {"nothing0": {}}},
    "memory-policy": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0"}},
    "memory-policy-7": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "7"}},
    "mount-label": {"mountLabel": "system_u:object_r:container_file_t:s0"},
    "sysctl": {"sysctl": {"kernel.shm_rmid_forced": "1"}},
    "sysctl-of-nothing": {"sysctl": {"net.ipv4.nonsense": "1"}},
    "path-of-systemd": {"cgroupsPath": "system.slice:pyrunc:tried"},
}
PROCESS: dict[str, dict[str, Any]] = {
    "apparmor": {"apparmorProfile": "docker-default"},
    "selinux": {"selinuxLabel": "system_u:system_r:container_t:s0"},
    "deadline": {"scheduler": {"policy": "SCHED_FIFO", "priority": 5}},
    "idle": {"scheduler": {"policy": "SCHED_IDLE"}},
    "io-priority": {"ioPriority": {"class": "IOPRIO_CLASS_RT", "priority": 3}},
    "affinity": {"execCPUAffinity": {"initial": "0", "final": "0"}},
}


@pytest.fixture(params=[*UNIFIED.items()], ids=lambda item: item[0])
def unified(request: pytest.FixtureRequest) -> tuple[str, str]:
    item: tuple[str, str] = request.param
    return item


def agree(runtime: Runtime, config: Config) -> None:
    """`check` finds an error if and only if `create` fails, and it has the words of `create`."""
    config.process["args"] = ["true"]
    config.write()
    asked = runtime("check", "--no-schema", "--format", "json", "--id", "tried", config.bundle)
    errors = json.loads(asked.stdout)["errors"]
    made = runtime("create", "--bundle", config.bundle, "tried")
    if not made.status:
        runtime("delete", "--force", "tried").ok()
    assert bool(errors) == bool(made.status), (errors, made.stderr)
    assert asked.status == int(bool(errors))


def test_a_key_of_cgroup2(pyrunc: Runtime, config: Config, unified: tuple[str, str]) -> None:
    key, value = unified
    config.linux["resources"] = {"unified": {key: value}}
    agree(pyrunc, config)


@pytest.mark.parametrize("name", RESOURCES)
def test_a_resource(pyrunc: Runtime, config: Config, name: str) -> None:
    config.linux["resources"] = RESOURCES[name]
    agree(pyrunc, config)


@pytest.mark.parametrize("name", FILE_SYSTEMS)
def test_a_file_system(pyrunc: Runtime, config: Config, name: str) -> None:
    config.mount("/mnt", name, name)
    agree(pyrunc, config)


@pytest.mark.parametrize("name", LINUX)
def test_a_property_of_linux(pyrunc: Runtime, config: Config, name: str) -> None:
    if name == "time":
        config.namespace("time")
    config.linux.update(LINUX[name])
    agree(pyrunc, config)


@pytest.mark.parametrize("name", PROCESS)
def test_a_property_of_the_process(pyrunc: Runtime, config: Config, name: str) -> None:
    config.process.update(PROCESS[name])
    agree(pyrunc, config)
