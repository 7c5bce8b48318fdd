# SPDX-License-Identifier: Apache-2.0
"""Intel RDT through the whole life of a container. Few machines have it: a directory stands in
for resctrl, and a front end gives new groups the files that the kernel would.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bundle import Config
from tests.support.runtime import FRONTS, Container, Runtime

FRONT = """
import os, sys
from pyrunc.cgroups import rdt
MOUNT = {mount!r}
FILES = ("tasks", "schemata")
make, remove = rdt.Group._mkdir, rdt.Group._rmdir
def mkdir(self, path):
    make(self, path)
    for name in FILES:
        open(f"{{path}}/{{name}}", "a").close()
    os.makedirs(f"{{path}}/mon_groups", exist_ok=True)
def rmdir(self, path):
    for name in FILES:
        if os.path.exists(f"{{path}}/{{name}}"):
            os.unlink(f"{{path}}/{{name}}")
    if os.path.isdir(f"{{path}}/mon_groups"):
        os.rmdir(f"{{path}}/mon_groups")
    remove(self, path)
rdt.Group._mkdir, rdt.Group._rmdir = mkdir, rmdir
rdt.find_mount = lambda: MOUNT
"""


@pytest.fixture
def resctrl(workspace: Path) -> Path:
    mount = workspace / "resctrl"
    (mount / "info").mkdir(parents=True)
    (mount / "schemata").write_text("L3:0=fffff\nMB:0=100\n")
    (mount / "tasks").touch()
    return mount


@pytest.fixture
def rdt(pyrunc: Runtime, workspace: Path, resctrl: Path) -> Runtime:
    """A front end that takes the directory for resctrl."""
    head, _, tail = FRONTS["stock"].read_text().partition("from pyrunc.__main__")
    program = workspace / "pyrunc-rdt"
    program.write_text(f"{head}{FRONT.format(mount=str(resctrl))}\nfrom pyrunc.__main__{tail}")
    program.chmod(0o755)
    return Runtime(program, pyrunc.root)


@pytest.fixture
def container(rdt: Runtime, config: Config) -> Iterator[Container]:
    config.linux["intelRdt"] = {"l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=50"}
    config.linux["resources"] = {"pids": {"limit": 60}}
    made = rdt.create(config, "sleep", "100")
    yield made
    made.delete().ok()


def test_the_init_and_every_exec_are_in_the_group_and_delete_removes_it(
    rdt: Runtime, container: Container, resctrl: Path
) -> None:
    group = resctrl / container.id
    assert (group / "schemata").read_text() == "L3:0=f\nMB:0=50\n"
    assert int((group / "tasks").read_text()) > 1
    container.start()
    (group / "tasks").write_text("")
    rdt("exec", container.id, "true").ok()
    assert int((group / "tasks").read_text()) > 1
    container.delete().ok()
    assert not group.exists()


def test_events_show_the_group(rdt: Runtime, container: Container) -> None:
    container.start()
    data = json.loads(rdt("events", "--stats", container.id).ok().stdout)["data"]
    assert data["intel_rdt"]["l3_cache_schema"] == "L3:0=f"
    assert data["intel_rdt"]["mem_bw_schema_root"] == "MB:0=100"


def test_update_changes_the_schemata_together_with_limits_or_neither(
    rdt: Runtime, container: Container, resctrl: Path
) -> None:
    container.start()
    group = resctrl / container.id
    flags = ("--l3-cache-schema", "L3:0=3", "--pids-limit", "70")
    dry = rdt("update", "--dry-run", *flags, container.id).ok().lines
    assert dry[0].endswith("pids.max: 60 -> 70")
    assert dry[1] == f"{group}/schemata: L3:0=f -> L3:0=3"
    (group / "schemata").rename(group / "away")
    refused = rdt("update", *flags, container.id)
    assert refused.status == 1
    assert rdt("update", "--dry-run", "--pids-limit", "60", container.id).ok().lines == []
    (group / "away").rename(group / "schemata")
    rdt("update", *flags, container.id).ok()
    assert (group / "schemata").read_text().startswith("L3:0=3\n")
    assert rdt("update", "--dry-run", "--pids-limit", "70", container.id).ok().lines == []


def test_a_container_without_a_group_gets_none_by_update(
    rdt: Runtime, config: Config, resctrl: Path
) -> None:
    container = rdt.create(config, "sleep", "100")
    refused = rdt("update", "--mem-bw-schema", "MB:0=50", container.id)
    assert "updating a non-existent Intel RDT configuration" in refused.error
    container.delete().ok()


def test_a_group_of_a_create_that_failed_is_removed(
    rdt: Runtime, config: Config, resctrl: Path
) -> None:
    """AR-5"""
    config.linux["intelRdt"] = {"l3CacheSchema": "L3:0=f"}
    config.process["cwd"] = "/bin/busybox"
    assert rdt.run(config, "true").status != 0
    assert sorted(path.name for path in resctrl.iterdir()) == ["info", "schemata", "tasks"]


def test_doctor_finds_the_group_of_a_create_that_was_killed(
    rdt: Runtime, container: Container, resctrl: Path
) -> None:
    container.start()
    (rdt.root / container.id / "state.json").rename(rdt.root / container.id / "away")
    found = rdt("doctor").lines
    assert f"rdt {resctrl / container.id} belongs to no container" in found
    (rdt.root / container.id / "away").rename(rdt.root / container.id / "state.json")
    assert not any("rdt" in line for line in rdt("doctor").lines)


def test_a_group_of_no_container_is_found_and_removed(
    rdt: Runtime, config: Config, resctrl: Path
) -> None:
    """Issue 6: its state is gone, so that its cgroup and its group belong to nobody."""
    config.linux["intelRdt"] = {"l3CacheSchema": "L3:0=f"}
    lost, kept = (rdt.create(config, "sleep", "100") for _ in range(2))
    shutil.rmtree(rdt.root / lost.id)
    group = resctrl / lost.id
    found = [line for line in rdt("doctor").lines if str(resctrl) in line]
    assert found == [f"rdt {group} belongs to no container"]
    for name in ("tasks", "schemata"):  # go with the group where the kernel has made them
        (group / name).unlink()
    (group / "mon_groups").rmdir()
    rdt("doctor", "--fix", "--force")
    assert not group.exists()
    assert (resctrl / kept.id).exists()
    assert not [line for line in rdt("doctor").lines if lost.id in line]
    kept.delete().ok()
