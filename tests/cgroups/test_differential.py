# SPDX-License-Identifier: Apache-2.0
"""The same configuration gives the same control-file values as with runc and crun."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyrunc import cgroups
from pyrunc.cgroups import devices
from pyrunc.cgroups.layout import Layout
from pyrunc.spec import parse_resources
from tests.cgroups.conftest import Make, versions
from tests.support.bundle import Config

MB = 1 << 20
RESOURCES: dict[str, Any] = {
    "pids": {"limit": 77},
    "memory": {"limit": 64 * MB, "reservation": 32 * MB},
    "cpu": {"shares": 1024, "quota": 30000, "period": 100000, "cpus": "0", "mems": "0"},
    "devices": [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
        {"allow": True, "type": "b", "major": 7, "access": "r"},
    ],
}
FILES = {
    1: ["pids.max", "memory.limit_in_bytes", "memory.soft_limit_in_bytes", "cpu.shares",
        "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpuset.cpus", "cpuset.mems"],
    2: ["pids.max", "memory.max", "memory.low", "cpu.max", "cpuset.cpus", "cpuset.mems"],
}  # fmt: skip


@pytest.fixture(params=["runc", "crun"])
def peer(
    request: pytest.FixtureRequest, config: Config, workspace: Path, name: str, host: Layout
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """peer(resources): a created container of another runtime in the cgroup `name`."""
    program = shutil.which(request.param)
    if program is None:
        pytest.skip(f"the Debian package {request.param} is missing")
    if request.param == "crun" and host.kind != "v2":
        # It refuses a cgroup2 that offers a controller beside v1, and where that is in use
        # elsewhere makes ordinary directories on the tmpfs.
        pytest.skip("crun is compared on a v2 host")
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

    def create(resources: dict[str, Any]) -> None:
        config.linux["cgroupsPath"] = name
        config.linux["resources"] = resources
        config.write()
        complaint = call("create", "--bundle", str(config.bundle), "peer")
        if complaint:
            pytest.skip(f"{request.param} cannot do this here: {complaint[-200:]}")

    yield create
    call("delete", "--force", "peer")


def values(manager: Any, files: list[str]) -> dict[str, str]:
    found = {}
    for file in files:
        member = manager.find(file.partition(".")[0])
        if member is not None and os.path.exists(f"{member.path}/{file}"):
            found[file] = member.read(file)
    return found


def test_the_values_are_those_of_the_peers(
    make: Make, host: Layout, name: str, peer: Callable[[dict[str, Any]], None]
) -> None:
    version = 2 if host.kind == "v2" else 1
    wanted = dict(RESOURCES)
    if "cpuset" not in versions(host):
        wanted["cpu"] = {key: RESOURCES["cpu"][key] for key in ("shares", "quota", "period")}
    peer(wanted)
    theirs = cgroups.resolve("cgroupfs", name, "x")
    ours = make(f"{name}-ours")
    ours.prepare()
    ours.apply(parse_resources(json.dumps(wanted).encode()))
    expected = values(theirs, FILES[version])
    assert values(ours, FILES[version]) == expected
    assert len(expected) >= 4
    listed = theirs.find("devices")
    if version == 1 and listed is not None:
        mine = ours.find("devices")
        assert mine is not None
        common = devices.parse_list(mine.read("devices.list"))
        other = devices.parse_list(listed.read("devices.list"))
        for differs in (("c", 5, 1), ("c", 10, 200)):  # crun has the console, but not tun
            other.exceptions.pop(differs, None)
            common.exceptions.pop(differs, None)
        assert common.allow == other.allow
        assert common.exceptions == other.exceptions
    theirs.close()
