# SPDX-License-Identifier: Apache-2.0
"""What the kernel refuses in control files, where no cgroup can be made to ask it."""

from __future__ import annotations

import errno

import pytest

from pyrunc.cgroups.resources.ranges import Offers, allowed, numbers, refusal

HOST = Offers(
    cpus="0-3",
    mems="0",
    disks=["8:0", "254:0"],
    pages=["2MB"],
    rdma=[],
    interfaces=["lo", "eth0"],
    files={"memory": frozenset(("memory.max", "memory.high"))},
)
UNKNOWN = Offers()

REFUSED = (
    ("cpuset.cpus", "99", errno.EINVAL),
    ("cpuset.cpus", "2-4", errno.EINVAL),
    ("cpuset.mems", "9", errno.EINVAL),
    ("cpu.max", "10 100000", errno.EINVAL),
    ("cpu.max", "50000 2000000", errno.EINVAL),
    ("cpu.max", "max 999", errno.EINVAL),
    ("cpu.cfs_period_us", "2000000", errno.EINVAL),
    ("cpu.cfs_quota_us", "10", errno.EINVAL),
    ("cpu.weight", "10001", errno.ERANGE),
    ("io.max", "250:9 rbps=1000", errno.ENODEV),
    ("blkio.throttle.read_bps_device", "250:9 1000", errno.ENODEV),
    ("rdma.max", "mlx5_1 hca_handle=3", errno.ENODEV),
    ("net_prio.ifpriomap", "nothing0 5", errno.ENODEV),
    ("hugetlb.1GB.max", "0", errno.ENOENT),
    ("memory.nonsense", "1", errno.ENOENT),
)
TAKEN = (
    ("cpuset.cpus", "0-3"),
    ("cpuset.cpus", "0,2-3"),
    ("cpuset.cpus", "0-3:1/2"),  # of a form that is not looked into
    ("cpuset.mems", "0"),
    ("cpu.max", "max 100000"),
    ("cpu.max", "1000 1000"),
    ("cpu.max", "max"),
    ("cpu.cfs_period_us", "1000000"),
    ("cpu.cfs_quota_us", "-1"),
    ("cpu.weight", "10000"),
    ("cpu.weight", "0x10"),
    ("io.max", "8:0 rbps=1000"),
    ("io.bfq.weight", "default 50"),
    ("net_prio.ifpriomap", "lo 5"),
    ("hugetlb.2MB.max", "0"),
    ("memory.max", "max"),
    ("new.control", "1"),
)


@pytest.mark.parametrize(("file", "value", "number"), REFUSED)
def test_a_value_is_refused(file: str, value: str, number: int) -> None:
    assert refusal(file, value, HOST) == number
    assert file == "memory.nonsense" or allowed(file, HOST)


@pytest.mark.parametrize(("file", "value"), TAKEN)
def test_a_value_is_taken(file: str, value: str) -> None:
    assert refusal(file, value, HOST) == 0


@pytest.mark.parametrize("file", sorted({case[0] for case in REFUSED} - {"cpu.weight"}))
def test_nothing_is_said_of_a_host_that_cannot_be_seen(file: str) -> None:
    assert refusal(file, "250", UNKNOWN) == 0 or file.startswith("cpu.")


def test_lists_of_the_kernel_are_read() -> None:
    assert numbers("0-2,7\n") == {0, 1, 2, 7}
    assert numbers("") == set()
    assert numbers("0-x") is None
    assert numbers("0-999999999999999999") is None
