# SPDX-License-Identifier: Apache-2.0
"""The same configuration gives the same control-file values as with runc and crun."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pyrunc.cgroups.devices import rules as devices
from pyrunc.cgroups.layout import Layout
from pyrunc.errors import Failure
from pyrunc.spec import parse_resources
from tests.cgroups.conftest import Make, needs, versions
from tests.support import machine
from tests.support.bundle import Config
from tests.support.runtime import Runtime
from tests.support.wait import until

MB = 1 << 20
RULES: list[dict[str, Any]] = [
    {"allow": False, "access": "rwm"},
    {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
    {"allow": True, "type": "b", "major": 7, "access": "r"},
]


@dataclass(frozen=True)
class Case:
    """Resources, the controllers that they need, and the files to compare on v1 and on v2."""

    needs: tuple[str, ...]
    resources: dict[str, Any]
    v1: tuple[str, ...]
    v2: tuple[str, ...]


def memory(*v2: str, **node: Any) -> Case:
    names = "limit_in_bytes soft_limit_in_bytes memsw.limit_in_bytes swappiness oom_control"
    v1 = f"{names} kmem.tcp.limit_in_bytes".split()
    return Case(("memory",), {"memory": node}, tuple(f"memory.{name}" for name in v1), v2)


def cpu(**node: Any) -> Case:
    names = "shares cfs_quota_us cfs_period_us cfs_burst_us idle rt_runtime_us rt_period_us"
    v1 = tuple(f"cpu.{name}" for name in names.split())
    v2 = ("cpu.weight", "cpu.max", "cpu.max.burst", "cpu.idle")
    return Case(("cpu",), {"cpu": node}, v1, v2)


PIDS = ("pids.max",), ("pids.max",)
HUGE = tuple(f"hugetlb.2MB.{name}limit_in_bytes" for name in ("", "rsvd."))
CASES = {
    "shares": cpu(shares=512),
    "default shares": cpu(shares=1024),
    "quota": cpu(quota=30000, period=100000),
    "no quota": cpu(quota=-1),
    "burst": cpu(quota=30000, burst=10000),
    "idle": cpu(idle=1),
    "realtime": cpu(realtimeRuntime=1000, realtimePeriod=500000),
    "cpuset": Case(
        ("cpuset",),
        {"cpu": {"cpus": "0", "mems": "0"}},
        ("cpuset.cpus", "cpuset.mems"),
        ("cpuset.cpus", "cpuset.mems"),
    ),
    "memory": memory("memory.max", "memory.low", limit=64 * MB, reservation=32 * MB),
    "no limit": memory("memory.max", "memory.swap.max", limit=-1),
    "swap": memory("memory.max", "memory.swap.max", limit=64 * MB, swap=96 * MB),
    "no swap": memory("memory.max", "memory.swap.max", limit=64 * MB, swap=64 * MB),
    "free swap": memory("memory.max", "memory.swap.max", limit=64 * MB, swap=-1),
    "kernelTCP": memory("memory.max", kernelTCP=32 * MB),
    "swappiness": memory("memory.max", swappiness=3),
    "oom killer": memory("memory.max", limit=64 * MB, disableOOMKiller=True),
    "pids": Case(("pids",), {"pids": {"limit": 77}}, *PIDS),
    "no pids": Case(("pids",), {"pids": {"limit": 0}}, *PIDS),
    "all pids": Case(("pids",), {"pids": {"limit": -1}}, *PIDS),
    "weight": Case(
        ("blkio", "io"), {"blockIO": {"weight": 300}}, ("blkio.bfq.weight",), ("io.weight",)
    ),
    "huge pages": Case(
        ("hugetlb",),
        {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MB}]},
        HUGE,
        ("hugetlb.2MB.max", "hugetlb.2MB.rsvd.max"),
    ),
    "class": Case(("net_cls",), {"network": {"classID": 5}}, ("net_cls.classid",), ()),
    "priority": Case(
        ("net_prio",),
        {"network": {"priorities": [{"name": "lo", "priority": 5}]}},
        ("net_prio.ifpriomap",),
        (),
    ),
    "unified": Case(
        ("memory", "pids"),
        {"unified": {"memory.high": str(MB), "pids.max": "44"}},
        (),
        ("memory.high", "pids.max"),
    ),
}
REFUSED = {"refused": ""}
NOT_ON_2 = "ignores what cgroup2 has no control for"
# (case, version, peer) -> what a peer has that is not what we have, and why. A newer one may agree.
EXPLAINED: dict[tuple[str, int, str], tuple[dict[str, str], str]] = {
    ("shares", 2, "runc"): ({"cpu.weight": "20"}, "1.1 draws a straight line to the weight"),
    ("shares", 2, "crun"): ({"cpu.weight": "20"}, "1.8 draws a straight line to the weight"),
    ("default shares", 2, "runc"): ({"cpu.weight": "39"}, "1.1 draws a straight line"),
    ("default shares", 2, "crun"): ({"cpu.weight": "39"}, "1.8 draws a straight line"),
    ("burst", 1, "runc"): ({"cpu.cfs_burst_us": "0"}, "1.1 does not know it"),
    ("burst", 1, "crun"): ({"cpu.cfs_burst_us": "0"}, "1.8 does not know it"),
    ("burst", 2, "runc"): ({"cpu.max.burst": "0"}, "1.1 does not know it"),
    ("burst", 2, "crun"): ({"cpu.max.burst": "0"}, "1.8 does not know it"),
    ("idle", 1, "runc"): ({"cpu.idle": "0", "cpu.shares": "1024"}, "1.1 does not know it"),
    ("idle", 2, "runc"): ({"cpu.idle": "0", "cpu.weight": "100"}, "1.1 does not know it"),
    ("realtime", 2, "runc"): ({}, NOT_ON_2),
    ("kernelTCP", 1, "runc"): (
        {"memory.kmem.tcp.limit_in_bytes": "9223372036854771712"},
        "1.1 has given up kernel memory",
    ),
    ("kernelTCP", 2, "runc"): ({}, NOT_ON_2),
    ("swappiness", 2, "runc"): ({}, NOT_ON_2),
    ("oom killer", 2, "runc"): ({}, NOT_ON_2),
    ("class", 2, "runc"): ({}, NOT_ON_2),
    ("class", 1, "crun"): (REFUSED, "1.8 wants net_prio for it, too, which not every kernel has"),
    ("priority", 2, "runc"): ({}, NOT_ON_2),
    ("no pids", 1, "runc"): ({"pids.max": "max"}, "1.1 takes 0 for unset"),
    ("no pids", 1, "crun"): ({"pids.max": "max"}, "1.8 takes 0 for unset"),
    ("no pids", 2, "runc"): ({"pids.max": "max"}, "1.1 takes 0 for unset"),
    ("no pids", 2, "crun"): ({"pids.max": "max"}, "1.8 takes 0 for unset"),
    ("all pids", 1, "crun"): (REFUSED, "1.8 writes -1, which the kernel refuses"),

    ("no quota", 1, "crun"): (REFUSED, "1.8 writes -1 as a number that is out of range"),
    ("weight", 1, "crun"): (REFUSED, "1.8 looks for blkio.weight only"),
    ("huge pages", 1, "runc"): ({HUGE[1]: "9223372036854771712"}, "1.1 limits no reservations"),
    ("huge pages", 1, "crun"): ({HUGE[1]: "9223372036854771712"}, "1.8 limits no reservations"),
    ("huge pages", 2, "runc"): ({"hugetlb.2MB.rsvd.max": "max"}, "1.1 limits no reservations"),
    ("huge pages", 2, "crun"): ({"hugetlb.2MB.rsvd.max": "max"}, "1.8 limits no reservations"),
}  # fmt: skip


@dataclass(frozen=True)
class Peer:
    """Another runtime; `create(resources)` returns its complaint, or nothing."""

    name: str
    create: Callable[[dict[str, Any]], str]


@pytest.fixture(params=["runc", "crun"])
def peer(
    request: pytest.FixtureRequest, config: Config, workspace: Path, name: str, host: Layout
) -> Iterator[Peer]:
    """A created container of another runtime in the cgroup `name`."""
    program = shutil.which(request.param)
    if program is None:
        pytest.skip(f"the Debian package {request.param} is missing")
    if request.param == "crun" and host.kind == "hybrid" and 2 in versions(host).values():
        pytest.skip("crun refuses a cgroup2 that offers a controller beside v1 hierarchies")
    root = str(workspace / "peer")

    def call(*argv: str) -> str:
        """What it says when it fails, else nothing. The container keeps its standard streams."""
        with open(workspace / "peer.log", "w+") as log:
            status = subprocess.run(
                [str(program), "--root", root, *argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                timeout=60,
            ).returncode
            log.seek(0)
            return log.read().strip() or "no message" if status else ""

    def create(resources: dict[str, Any]) -> str:
        config.linux["cgroupsPath"] = name
        config.linux["resources"] = resources
        config.write()
        return call("create", "--bundle", str(config.bundle), "peer")

    with machine.tidied_peer():
        yield Peer(request.param, create)
        call("delete", "--force", "peer")
    until(lambda: gone(name), "the end of what the peer has killed")


def gone(name: str) -> bool:
    """A peer does not always wait until what it has killed has left its cgroups."""
    machine.remove_cgroups(name[1:])
    return not any(name[1:] in path for path in machine.cgroups())


def values(manager: Any, files: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for file in files:
        member = manager.find(file.partition(".")[0])
        if member is not None and os.path.exists(f"{member.path}/{file}"):
            found[file] = member.read(file)
    return found


def chosen(case: Case, host: Layout) -> int:
    """The version of the hierarchy that has the case's controllers; skips without."""
    present = [name for name in case.needs if name in versions(host)]
    if case.needs == ("blkio", "io"):
        return needs(host, *(present or case.needs))
    if host.kind == "v2" and case.needs[0].startswith("net_"):
        return 2  # to be refused
    return needs(host, *case.needs)


def outcome(call: Callable[[], str], read: Callable[[], dict[str, str]]) -> dict[str, str]:
    """What the files hold, or that it was refused."""
    try:
        complaint = call()
    except Failure as failure:
        complaint = str(failure)
    return {**REFUSED, "why": complaint} if complaint else read()


@pytest.mark.parametrize("about", CASES)
def test_the_values_are_those_of_the_peers(
    mounted: Layout, make: Make, name: str, peer: Peer, v2_setting: None, about: str
) -> None:
    """Where a peer has other values, EXPLAINED says which and why."""
    case = CASES[about]
    version = chosen(case, mounted)
    if version == 2 and mounted.kind == "hybrid":
        pytest.skip("the peers use no controller of a cgroup2 beside v1 hierarchies")
    files = case.v1 if version == 1 else case.v2
    if not files and about == "unified":
        pytest.skip("not a matter of cgroup v1")
    found = make()
    member = found.find(case.needs[0])
    if member is not None and not member.path.startswith("/sys/fs/cgroup"):
        pytest.skip("the peers look for hierarchies in /sys/fs/cgroup only")
    theirs = outcome(
        lambda: peer.create(case.resources),
        lambda: values(found, files),
    )
    manager = make(f"{name}-ours")

    def apply() -> str:
        manager.prepare()
        manager.apply(parse_resources(json.dumps(case.resources).encode()))
        return ""

    ours = outcome(apply, lambda: values(manager, files))
    refused = {key for key, found in (("ours", ours), ("theirs", theirs)) if "refused" in found}
    if len(refused) != 2 and theirs != ours:
        different, why = EXPLAINED.get((about, version, peer.name), (None, ""))
        assert different is not None, f"{peer.name} has {theirs}, we have {ours}"
        if refused:
            assert ("theirs" in refused) == (different == REFUSED), why
        else:
            assert theirs == {**ours, **different}, why
    assert ours or version == 2


def test_the_device_rules_are_those_of_the_peers(
    make: Make, host: Layout, name: str, peer: Peer
) -> None:
    """As the kernel lists them; what a cgroup2 program does is compared by what it lets pass."""
    needs(host, "devices", version=1)
    complaint = peer.create({"devices": RULES})
    assert not complaint
    theirs = make().find("devices")
    ours = make(f"{name}-ours")
    ours.prepare()
    ours.apply(parse_resources(json.dumps({"devices": RULES}).encode()))
    mine = ours.find("devices")
    assert mine is not None
    assert theirs is not None
    common = devices.parse_list(mine.read("devices.list"))
    other = devices.parse_list(theirs.read("devices.list"))
    for differs in (("c", 5, 1), ("c", 10, 200)):  # crun has the console, but not tun
        other.exceptions.pop(differs, None)
        common.exceptions.pop(differs, None)
    assert common.allow == other.allow
    assert common.exceptions == other.exceptions


NODES = {"kmsg": (1, 11), "mem": (1, 1), "null": (1, 3), "zero": (1, 5), "urandom": (1, 9)}


@pytest.mark.parametrize("other", ["runc", "crun"])
@pytest.mark.parametrize("access", ["r", "w", "rw"])
def test_what_a_container_can_open_is_what_it_can_with_the_peers(
    pyrunc: Runtime, config: Config, workspace: Path, host: Layout, other: str, access: str
) -> None:
    """The effect of the rules, on v1 and of a cgroup2 program."""
    found = shutil.which(other)
    if found is None:
        pytest.skip(f"the Debian package {other} is missing")
    if other == "crun" and host.kind == "hybrid" and 2 in versions(host).values():
        pytest.skip("crun refuses a cgroup2 that offers a controller beside v1 hierarchies")
    rules = [{"allow": False, "access": "rwm"}]
    rules += [{"allow": True, "type": "c", "major": 1, "minor": 11, "access": access}]
    config.linux["resources"] = {"devices": rules}
    config.capabilities("CAP_SYSLOG", "CAP_SYS_RAWIO", "CAP_MKNOD", "CAP_DAC_OVERRIDE")
    for node, (major, minor) in NODES.items():
        os.mknod(config.rootfs / node, 0o20666, os.makedev(major, minor))
    script = "for n in kmsg mem null zero urandom; do "
    script += '(exec 3<"/$n") 2>/dev/null && echo "$n r"; (exec 3>"/$n") 2>/dev/null && '
    script += 'echo "$n w"; done; mknod /made c 1 7 && echo made; true'
    with machine.tidied_peer():
        peer = Runtime(Path(found), workspace / "peer-state")
        theirs = peer.run(config, "sh", "-c", script).ok().lines
    ours = pyrunc.run(config, "sh", "-c", script).ok().lines
    (config.rootfs / "made").unlink(missing_ok=True)
    assert [line for line in ours if line != "made"] == [x for x in theirs if x != "made"]
    assert "null w" in ours
    assert not any(line.startswith("mem") for line in ours)
    assert {line for line in ours if line.startswith("kmsg")} == {f"kmsg {one}" for one in access}
