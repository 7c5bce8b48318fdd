# SPDX-License-Identifier: Apache-2.0
"""`check` asks the kernel what it refuses in control files, and nobody sees that it has asked."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from pyrunc import cgroups
from pyrunc.cgroups import names
from pyrunc.cgroups.member import Cgroup
from pyrunc.cgroups.trial import Trial
from pyrunc.spec.config import parse_config
from tests.support.bundle import Config
from tests.support.runtime import Runtime

MINIMAL = {
    "ociVersion": "1.0.2",
    "root": {"path": "rootfs"},
    "process": {"user": {"uid": 0, "gid": 0}, "args": ["true"], "cwd": "/"},
}
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "processors": ({"cpu": {"cpus": "4000"}}, "/linux/resources/cpu/cpus", "0"),
    "nodes": ({"cpu": {"mems": "900"}}, "/linux/resources/cpu/mems", "0"),
    "quota": ({"cpu": {"quota": 10, "period": 100000}}, "/linux/resources/cpu/quota", "1000"),
    "device": (
        {"blockIO": {"throttleReadBpsDevice": [{"major": 250, "minor": 9, "rate": 1000}]}},
        "/linux/resources/blockIO/throttleReadBpsDevice/0",
        "",
    ),
}


def need_cpuset(resources: dict[str, Any]) -> None:
    """Not every kernel of a guest has that controller: then there is another error."""
    offered = {line.split()[0] for line in Path("/proc/cgroups").read_text().splitlines()[1:]}
    if "cpuset" not in offered and {"cpus", "mems"} & set(resources.get("cpu", ())):
        pytest.skip("needs the cpuset controller")


def check(runtime: Runtime, config: Config) -> list[dict[str, str]]:
    config.write()
    asked = runtime("check", "--no-schema", "--format", "json", config.bundle)
    errors: list[dict[str, str]] = json.loads(asked.stdout)["errors"]
    return errors


def hierarchies() -> list[Path]:
    """Where this host has cgroups; the cgroup2 first if it is the only one."""
    top = Path("/sys/fs/cgroup")
    return (
        [top]
        if (top / "cgroup.procs").exists()
        else [one for one in top.iterdir() if one.is_mount()]
    )


@pytest.fixture
def parents(pyrunc: Runtime, config: Config) -> Iterator[list[Path]]:
    """A cgroup of this test's own in each hierarchy, and the container's path below it."""
    if "--systemd-cgroup" in os.environ.get("PYRUNC_FLAGS", ""):
        pytest.skip("needs a cgroup at a path: the systemd driver names units")
    name = pyrunc.new_id()
    config.linux["cgroupsPath"] = f"/{name}/container"
    made = [one / name for one in hierarchies()]
    for path in made:
        path.mkdir()
    yield made
    for path in made:
        path.rmdir()  # nothing is left in it


def test_it_leaves_everything_as_it_was(
    pyrunc: Runtime, config: Config, parents: list[Path]
) -> None:
    """No cgroup is left, no controller enabled, no list of processors filled."""
    config.linux["resources"] = {"cpu": {"cpus": "0", "shares": 512}, "pids": {"limit": 50}}
    need_cpuset(config.linux["resources"])
    files = ("cgroup.subtree_control", "cpuset.cpus")
    held = [path / name for path in parents for name in files if (path / name).exists()]
    before = [path.read_text() for path in held]
    assert check(pyrunc, config) == []
    assert [path.read_text() for path in held] == before
    assert not [one for path in parents for one in path.iterdir() if one.is_dir()]


@pytest.mark.parametrize("name", REFUSED)
def test_it_says_what_is_wrong_and_what_is_allowed(
    pyrunc: Runtime, config: Config, name: str
) -> None:
    resources, pointer, allowed = REFUSED[name]
    need_cpuset(resources)
    config.linux["resources"] = resources
    (error,) = check(pyrunc, config)
    assert error["pointer"].startswith(pointer.rpartition("/")[0])
    assert error["value"]
    assert allowed in error["allowed"]
    assert f"{names.TRIAL}." not in json.dumps(error), "it speaks of the container's own cgroup"


def test_a_quota_above_that_of_the_parent(
    pyrunc: Runtime, config: Config, parents: list[Path]
) -> None:
    """Version 1 refuses it; the error says what the parent has. Version 2 takes it."""
    cpu = next((one for one in parents if (one / "cpu.cfs_quota_us").exists()), None)
    if cpu is None:
        pytest.skip("needs the cpu controller on cgroup v1")
    (cpu / "cpu.cfs_quota_us").write_text("5000")
    config.linux["resources"] = {"cpu": {"quota": 5100, "period": 100000}}
    (error,) = check(pyrunc, config)
    assert error["pointer"] == "/linux/resources/cpu/quota"
    assert f"no more than 5000 us of 100000 us, as {cpu} has" in error["allowed"]
    config.linux["resources"] = {"cpu": {"quota": 5000, "period": 100000}}
    assert check(pyrunc, config) == []


@pytest.mark.parametrize("limit", [4096, 1 << 17, 1 << 20])
def test_a_limit_of_memory_is_no_false_alarm(pyrunc: Runtime, config: Config, limit: int) -> None:
    config.linux["resources"] = {"memory": {"limit": limit}}
    config.process["args"] = ["true"]
    errors = check(pyrunc, config)
    made = pyrunc("create", "--bundle", config.bundle, name := pyrunc.new_id())
    pyrunc("delete", "--force", name)
    assert bool(errors) <= bool(made.status), (errors, made.stderr)


def test_all_refusals_are_said_at_once(pyrunc: Runtime, config: Config) -> None:
    config.linux["resources"] = {
        "cpu": {"cpus": "4000", "mems": "900", "quota": 10},
        "pids": {"limit": 50},
    }
    need_cpuset(config.linux["resources"])
    pointers = {error["pointer"] for error in check(pyrunc, config)}
    cpu = "/linux/resources/cpu"
    assert pointers == {f"{cpu}/cpus", f"{cpu}/mems", f"{cpu}/quota"}


def test_a_file_in_the_way_of_a_mount_point_is_said(pyrunc: Runtime, config: Config) -> None:
    config.file("/etc/mask", "a file")
    source = config.bundle / "source"
    source.write_text("")
    config.bind(source, "/etc/mask/mask")
    (error,) = check(pyrunc, config)
    made = pyrunc("create", "--bundle", config.bundle, pyrunc.new_id())
    assert made.status == 1
    assert error["reason"] in made.stderr
    assert "a part of the destination before its last is a file" in error["hint"]


@pytest.mark.parametrize("command", ["/bin", "/noexec"])
def test_what_cannot_be_executed_is_said(pyrunc: Runtime, config: Config, command: str) -> None:
    config.file("/noexec", mode=0)
    config.process["args"] = [command]
    (error,) = check(pyrunc, config)
    made = pyrunc("create", "--bundle", config.bundle, pyrunc.new_id())
    assert made.status == 1
    assert error["reason"] in made.stderr
    assert error["pointer"].startswith("/process/args")


def test_without_looking_nothing_is_said(pyrunc: Runtime, config: Config) -> None:
    config.linux["resources"] = {"cpu": {"cpus": "4000"}}
    config.write()
    assert pyrunc("check", "--no-schema", "--offline", config.bundle).status == 0


@pytest.mark.usefixtures("parents")
def test_a_cgroup_that_is_used_is_an_error(pyrunc: Runtime, config: Config) -> None:
    container = pyrunc.create(config, "sleep", "600")
    errors = check(pyrunc, config)
    container.delete()
    assert [error["pointer"] for error in errors] == ["/linux/cgroupsPath"]
    assert "is not empty" in errors[0]["reason"]
    assert check(pyrunc, config) == []


@pytest.mark.parametrize("alive", [False, True])
def test_doctor_removes_the_trial_of_a_check_that_was_killed(pyrunc: Runtime, alive: bool) -> None:
    maker = subprocess.Popen(["sleep", "600"])
    try:
        words = Path(f"/proc/{maker.pid}/stat").read_text().rpartition(")")[2].split()
        start = int(words[19])
        left = hierarchies()[0] / names.trial(maker.pid, start if alive else start + 1)
        left.mkdir()
        try:
            told = pyrunc("doctor").stdout
            pyrunc("doctor", "--fix")
            assert left.exists() == alive
            assert (left.name in told) == (not alive)
        finally:
            if left.exists():
                left.rmdir()
    finally:
        maker.kill()
        maker.wait()


def test_threads_of_a_library_do_not_share_a_trial() -> None:
    manager = cgroups.resolve("cgroupfs", "/pt-none", "none")
    with ThreadPoolExecutor(2) as pool:
        barrier = Barrier(2)

        def name(_number: int) -> str:
            barrier.wait(20)
            return Trial(manager, None).name

        assert len(set(pool.map(name, range(2)))) == 2
    for member in manager.members:
        for fd in member.release():
            os.close(fd)


def test_a_trial_that_others_remove_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A doctor in another pid namespace may; the values are not known to be wrong then."""
    manager = cgroups.resolve("cgroupfs", f"/pt-none-{os.getpid()}", "none")
    make = Cgroup.make

    def lose(self: Cgroup) -> bool:
        new = make(self)
        os.rmdir(self.path)
        return new

    monkeypatch.setattr(Cgroup, "make", lose)
    resources = parse_config(
        json.dumps({**MINIMAL, "linux": {"resources": {"pids": {"limit": 50}}}}).encode(),
        source="config.json",
    ).linux.resources
    trial = Trial(manager, resources)
    trial.run()
    for member in manager.members:
        for fd in member.release():
            os.close(fd)
    assert trial.problems == []
