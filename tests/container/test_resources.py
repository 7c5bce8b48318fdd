# SPDX-License-Identifier: Apache-2.0
"""Resources as engines and users write them, and cgroups as they leave them behind."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyrunc.cgroups import layout
from pyrunc.cgroups.fs import FsManager
from tests.cgroups.conftest import needs
from tests.support import machine
from tests.support.bundle import Config
from tests.support.cgroups import closed_afterwards, manager_of
from tests.support.runtime import Runtime
from tests.support.types import Create
from tests.support.wait import until

MB = 1 << 20

NULLS: list[dict[str, Any]] = [
    *({name: None} for name in ("cpu", "memory", "pids", "blockIO", "network", "rdma")),
    *({name: None} for name in ("devices", "hugepageLimits", "unified")),
    {"cpu": {"shares": None, "idle": None, "cpus": None, "quota": None}},
    {"memory": {"limit": None, "swap": None, "kernel": None, "swappiness": None}},
    {"blockIO": {"weight": None, "weightDevice": None, "throttleReadBpsDevice": None}},
    {"pids": {"limit": None}},
]


@pytest.mark.parametrize("change", NULLS, ids=lambda one: json.dumps(one)[:40])
def test_a_property_that_is_null_is_absent(
    pyrunc: Runtime, create: Create, config: Config, change: dict[str, Any]
) -> None:
    """Programs that write JSON from structures write null for what is not set."""
    config.linux["resources"] = {"pids": {"limit": 60}, **change}
    if change.get("pids", 0) is None:
        config.linux["resources"] = change
    container = create(config, "sleep", "100").start()
    pyrunc("update", "--resources", "-", container.id, stdin=json.dumps(change)).ok()
    dry = ("update", "--dry-run", "--resources", "-", container.id)
    assert pyrunc(*dry, stdin=json.dumps(change)).ok().stdout == ""
    changed = pyrunc("update", "--resources", "-", container.id, stdin='{"cpu": {"shares": 2048}}')
    changed.ok()


def test_a_limit_of_kernel_memory_that_no_kernel_has_holds_nothing_up(
    pyrunc: Runtime, create: Create, config: Config
) -> None:
    """Linux 5.16 has dropped it, cgroup2 has never had it; old tools still ask for it."""
    with closed_afterwards():
        needs(layout.probe(), "memory")
    config.linux["resources"] = {"memory": {"kernel": 100 * MB}, "pids": {"limit": 50}}
    container = create(config, "sleep", "100").start()
    found = manager_of(container)
    memory, pids = found.find("memory"), found.find("pids")
    assert memory is not None
    assert pids is not None
    try:
        kept = memory.read("memory.kmem.limit_in_bytes") == str(100 * MB)
    except OSError:
        kept = False
    note = "/memory/kernel: ignored: this kernel has no memory.kmem.limit_in_bytes"
    assert (f"/linux/resources{note}" in container.output) != kept
    updated = pyrunc("update", "--kernel-memory", "200m", "--pids-limit", "40", container.id).ok()
    assert (note in updated.stderr) != kept
    assert pids.read("pids.max") == "40"
    found.close()


def test_shares_of_an_idle_container_are_an_error(
    pyrunc: Runtime, create: Create, config: Config
) -> None:
    config.linux["resources"] = {"pids": {"limit": 50}}
    container = create(config, "sleep", "100").start()
    if pyrunc("update", "--cpu-idle", "1", container.id).status != 0:
        pytest.skip("this kernel has no idle groups")
    refused = pyrunc("update", "--cpu-share", "200", container.id)
    assert refused.status == 1
    assert "cpu.shares cannot be changed while cpu.idle is 1" in refused.stderr
    pyrunc("update", "--cpu-share", "200", "--cpu-idle", "0", container.id).ok()


def test_unified_limits_the_tree_of_a_container(
    runtime: Runtime, create: Create, config: Config
) -> None:
    """cgroup.max.* belong to no controller, and need none."""
    with closed_afterwards():
        if layout.probe().kind != "v2":
            pytest.skip("the controllers of this host are on v1 hierarchies")
    config.linux["cgroupsPath"] = f"/{machine.TOKEN}-tree"
    config.linux["resources"] = {
        "unified": {"cgroup.max.descendants": "7", "cgroup.max.depth": "3", "pids.max": "20"}
    }
    create(config, "sleep", "100").start()
    own = Path(f"/sys/fs/cgroup/{machine.TOKEN}-tree")
    listed = [own / name for name in ("cgroup.max.descendants", "cgroup.max.depth", "pids.max")]
    assert [file.read_text() for file in listed] == ["7\n", "3\n", "20\n"]


@pytest.mark.parametrize("key", ["cgroup.procs", "cgroup.freeze", "cgroup.subtree_control"])
def test_check_says_which_files_of_a_cgroup_are_no_resources(
    pyrunc: Runtime, config: Config, key: str
) -> None:
    config.linux["resources"] = {"unified": {key: "1"}}
    config.write()
    found = pyrunc("check", config.bundle)
    assert found.status != 0
    assert f"unified key '{key}' is not a resource" in found.stdout + found.stderr


@pytest.fixture
def used(clean_machine: None) -> Iterator[FsManager]:
    """A cgroup that is empty, and in which the kernel has killed a process for its memory."""
    found = layout.probe()
    if needs(found, "memory") == 2 and found.kind != "v2":
        pytest.skip("beside v1 hierarchies controllers of the cgroup2 are enabled when needed")
    name = f"{machine.TOKEN}-used"
    manager = FsManager.resolve(found, cgroups_path=f"/{name}", container_id=name)
    manager.prepare()
    memory = manager.find("memory")
    assert memory is not None
    limit = "memory.max" if memory.hierarchy.version == 2 else "memory.limit_in_bytes"
    memory.put(limit, str(4 * MB))
    # A small program: the pages of a large one are read again and again before the kernel gives up.
    script = f"echo $$ > {memory.path}/cgroup.procs; exec tail /dev/zero"
    assert subprocess.run(["sh", "-c", script], check=False).returncode == -9
    memory.put(limit, "max" if memory.hierarchy.version == 2 else "-1")
    assert manager.oom_kills() > 0
    yield manager
    manager.destroy()
    manager.close()


def test_an_old_oom_kill_of_a_cgroup_hides_no_error(
    used: FsManager, pyrunc: Runtime, create: Create, run: Callable[..., Any], config: Config
) -> None:
    config.linux["cgroupsPath"] = f"/{machine.TOKEN}-used"
    failed = run(config, "/no/such/program")
    assert failed.status != 0
    assert "OOM" not in failed.stderr
    assert "/no/such/program" in failed.stderr


READ_ONLY = """
for point in $(grep -E ' - cgroup2? ' /proc/self/mountinfo | cut -d ' ' -f 5); do
    mount -o remount,bind,ro "$point"
done
exec "$@"
"""


def test_a_create_on_read_only_hierarchies_leaves_nothing(pyrunc: Runtime, config: Config) -> None:
    """In a container of an engine that shows them read-only."""
    name = pyrunc.new_id()
    config.linux["resources"] = {"pids": {"limit": 50}}
    config.write()
    inside = ("unshare", "-m", "--propagation", "private", "sh", "-ec", READ_ONLY, "sh")
    failed = pyrunc("create", "--bundle", config.bundle, name, prefix=inside)
    assert failed.status == 1
    assert "read-only file system" in failed.stderr
    assert not (pyrunc.root / name).exists()


def test_a_cgroup_of_exec_that_is_missing_is_named(
    pyrunc: Runtime, create: Create, config: Config
) -> None:
    config.linux["cgroupsPath"] = f"/{machine.TOKEN}-named"
    container = create(config, "sleep", "100").start()
    failed = pyrunc("exec", "--cgroup", "missing", container.id, "true")
    assert failed.status != 0
    assert f"/{machine.TOKEN}-named/missing: " in failed.stderr


def test_an_exec_follows_an_init_whose_cgroup_is_gone(
    pyrunc: Runtime, create: Create, config: Config
) -> None:
    """A service that moves itself (buildkitd does) leaves an empty cgroup, which goes away."""
    config.linux["cgroupsPath"] = f"/{machine.TOKEN}-first"
    config.without_namespace("cgroup")
    container = create(config, "sleep", "100").start()
    second = FsManager.resolve(
        layout.probe(), cgroups_path=f"/{machine.TOKEN}-second", container_id="x"
    )
    second.prepare()
    first = manager_of(container)
    try:
        second.attach(container.pid)
        for member in first.members:
            until(lambda: not first.pids(), "the container's cgroups are empty")
            Path(member.path).rmdir()
        listed = pyrunc("exec", container.id, "cat", "/proc/self/cgroup").ok().lines
        assert sum(line.endswith(f"/{machine.TOKEN}-second") for line in listed) == len(
            first.members
        )
        container.delete().ok()
    finally:
        second.destroy()
        second.close()
        first.close()
