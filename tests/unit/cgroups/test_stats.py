# SPDX-License-Identifier: Apache-2.0
"""Kernel texts, captured, become the figures of `events`."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.cgroups import freezer
from pyrunc.cgroups.stats import collect, oom, parse
from tests.unit.cgroups.support import directory_member

pytestmark = pytest.mark.usefixtures("closed_cgroups")
PRESSURE = """\
some avg10=1.50 avg60=0.25 avg300=0.00 total=123456
full avg10=0.00 avg60=0.00 avg300=0.00 total=42
"""
V2_FILES = {
    "cpu.stat": "usage_usec 2000\nuser_usec 1500\nsystem_usec 500\nnr_periods 10\n"
    "nr_throttled 3\nthrottled_usec 700\nnr_bursts 0\n",
    "cpu.pressure": PRESSURE,
    "cpuset.cpus.effective": "0-1,3\n",
    "cpuset.mems.effective": "0\n",
    "memory.current": "4096\n",
    "memory.peak": "8192\n",
    "memory.max": "max\n",
    "memory.swap.current": "100\n",
    "memory.swap.max": "max\n",
    "memory.stat": "anon 1\nfile 77\nworkingset_nodes 0\n",
    "memory.events": "low 0\nhigh 0\nmax 5\noom 1\noom_kill 2\noom_group_kill 0\n",
    "memory.pressure": PRESSURE,
    "pids.current": "3\n",
    "pids.max": "17\n",
    "io.stat": "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n254:1 \n",
    "hugetlb.2MB.current": "2097152\n",
    "hugetlb.2MB.events": "max 9\n",
    "hugetlb.2MB.rsvd.current": "1\n",
}


def test_the_figures_of_a_v2_cgroup(tmp_path: Path) -> None:
    member = directory_member(tmp_path, version=2, files=V2_FILES)
    data = collect.collect([member])
    assert data["cpu"]["usage"] == {"total": 2000000, "user": 1500000, "kernel": 500000}
    assert data["cpu"]["throttling"] == {
        "periods": 10,
        "throttledPeriods": 3,
        "throttledTime": 700000,
    }
    assert data["cpu"]["psi"]["some"] == {
        "avg10": 1.5,
        "avg60": 0.25,
        "avg300": 0.0,
        "total": 123456,
    }
    assert data["cpuset"] == {"cpus": [0, 1, 3], "mems": [0]}
    assert data["memory"]["usage"] == {
        "limit": 2**64 - 1,
        "usage": 4096,
        "max": 8192,
        "failcnt": 5,
    }
    assert data["memory"]["swap"] == {"limit": 2**64 - 1, "usage": 4196}
    assert data["memory"]["cache"] == 77
    assert data["memory"]["raw"]["workingset_nodes"] == 0
    assert data["memory"]["psi"]["full"]["total"] == 42
    assert data["pids"] == {"current": 3, "limit": 17}
    assert {"major": 8, "minor": 0, "op": "Write", "value": 20} in data["blkio"][
        "ioServiceBytesRecursive"
    ]
    assert data["hugetlb"] == {"2MB": {"usage": 2097152, "failcnt": 9}}
    assert oom.kills(member) == 2


V1_FILES = {
    "cpu": {"cpu.stat": "nr_periods 4\nnr_throttled 1\nthrottled_time 900\n"},
    "cpuacct": {
        "cpuacct.usage": "3000\n",
        "cpuacct.usage_user": "1000\n",
        "cpuacct.usage_sys": "2000\n",
        "cpuacct.usage_all": "cpu user system\n0 600 1500\n1 400 500\n",
    },
    "cpuset": {
        "cpuset.cpus": "0-1\n",
        "cpuset.mems": "0\n",
        "cpuset.sched_load_balance": "1\n",
        "cpuset.sched_relax_domain_level": "-1\n",
    },
    "memory": {
        "memory.usage_in_bytes": "4096\n",
        "memory.limit_in_bytes": "9223372036854771712\n",
        "memory.max_usage_in_bytes": "8192\n",
        "memory.failcnt": "0\n",
        "memory.memsw.usage_in_bytes": "5000\n",
        "memory.stat": "cache 12\ntotal_rss 0\n",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
    },
    "pids": {"pids.current": "2\n", "pids.max": "max\n"},
    "blkio": {
        "blkio.throttle.io_service_bytes": "8:0 Read 10\n8:0 Total 10\nTotal 10\n",
        "blkio.bfq.io_service_bytes_recursive": "Total 0\n",
        "blkio.sectors_recursive": "8:0 3\n",
    },
    "hugetlb": {
        "hugetlb.2MB.usage_in_bytes": "0\n",
        "hugetlb.2MB.max_usage_in_bytes": "7\n",
        "hugetlb.2MB.failcnt": "1\n",
    },
}


def test_the_figures_of_v1_cgroups(tmp_path: Path) -> None:
    members = [
        directory_member(tmp_path / name, version=1, controllers=(name,), files=files)
        for name, files in V1_FILES.items()
    ]
    data = collect.collect(members)
    assert data["cpu"]["usage"]["percpu"] == [2100, 900]
    assert data["cpu"]["usage"]["percpu_kernel"] == [1500, 500]
    assert data["cpu"]["usage"]["total"] == 3000
    assert data["cpu"]["throttling"]["throttledTime"] == 900
    assert data["cpuset"] == {
        "cpus": [0, 1],
        "mems": [0],
        "sched_load_balance": 1,
        "sched_relax_domain_level": -1,
    }
    assert data["memory"]["usage"]["max"] == 8192
    assert "failcnt" not in data["memory"]["usage"]
    assert data["memory"]["swap"]["usage"] == 5000
    assert data["pids"] == {"current": 2}
    assert data["blkio"]["ioServiceBytesRecursive"][0] == {
        "major": 8,
        "minor": 0,
        "op": "Read",
        "value": 10,
    }
    assert data["blkio"]["sectorsRecursive"] == [{"major": 8, "minor": 0, "op": "", "value": 3}]
    assert data["hugetlb"] == {"2MB": {"max": 7, "failcnt": 1}}
    memory = next(one for one in members if "memory" in one.hierarchy.controllers)
    assert oom.kills(memory) == 4


def test_beside_v1_the_cgroup2_gives_only_the_pressure(tmp_path: Path) -> None:
    v1 = directory_member(
        tmp_path / "m", version=1, controllers=("memory",), files=V1_FILES["memory"]
    )
    unified = directory_member(
        tmp_path / "u", version=2, files={"memory.pressure": PRESSURE, "memory.current": "9"}
    )
    data = collect.collect([v1, unified])
    assert data["memory"]["usage"]["usage"] == 4096
    assert data["memory"]["psi"]["some"]["total"] == 123456


def test_a_container_without_cgroups_has_no_figures() -> None:
    assert collect.collect([]) == {}


@pytest.mark.parametrize(
    ("text", "expected"), [("0-3,7\n", [0, 1, 2, 3, 7]), ("", []), ("\n", []), ("5", [5])]
)
def test_lists_of_processors(text: str, expected: list[int]) -> None:
    assert parse.ranges(text) == expected


def test_a_list_that_would_fill_the_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="no list"):
        parse.ranges("0-99999999999")


@pytest.mark.generated
@given(st.text())
def test_no_text_of_a_kernel_file_breaks_the_readers(text: str) -> None:
    parse.flat(text)
    parse.blkio(text)


def test_the_name_in_a_stat_line_may_hold_anything() -> None:
    """PD-2"""
    assert freezer.parse_state(b"7 (a) b\n(c) D 1 2 3") == ("a) b?(c", "D")
    assert freezer.parse_state(b"") is None
