# SPDX-License-Identifier: Apache-2.0
"""The systemd driver with a real systemd (as in the guests; elsewhere a peer plays it)."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pyrunc import cgroups
from pyrunc.cgroups import delegate, doctor
from pyrunc.cgroups.devices import attach
from pyrunc.cgroups.systemd.manager import SystemdManager
from pyrunc.errors import Failure, HostError
from pyrunc.spec.model_resources import Resources
from tests.support import machine
from tests.support.bundle import Config
from tests.support.cgroups import resources
from tests.support.runtime import Runtime
from tests.support.wait import until

pytestmark = pytest.mark.skipif(
    not Path("/run/systemd/system").is_dir(), reason="systemd is not running"
)

MB = 1 << 20
Start = Callable[..., tuple[SystemdManager, subprocess.Popen[bytes]]]


def show(unit: str, *names: str) -> dict[str, str]:
    argv = ["systemctl", "show", unit, *(f"--property={name}" for name in names)]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    found: dict[str, str] = {}
    for key, _, value in (line.partition("=") for line in lines):
        found[key] = f"{found[key]}; {value}" if key in found else value
    return found


@pytest.fixture
def start() -> Iterator[Start]:
    """start(path, resources): a unit with a shell in it."""
    made: list[tuple[SystemdManager, subprocess.Popen[bytes]]] = []

    def start(
        path: str, wanted: Resources | None = None, **more: Any
    ) -> tuple[SystemdManager, subprocess.Popen[bytes]]:
        manager = cgroups.resolve("systemd", path, "x", **more)
        assert isinstance(manager, SystemdManager)
        task = subprocess.Popen(["sleep", "1000"])
        made.append((manager, task))
        manager.prepare()
        manager.apply(wanted)
        assert manager.entry().kind == "attach"
        manager.attach(task.pid)
        return manager, task

    yield start
    for manager, task in made:
        task.kill()
        task.wait()
        manager.destroy()
        manager.close()


def name(suffix: str) -> str:
    return f"system.slice:pyrunc:{machine.TOKEN}{suffix}"


def test_a_process_is_in_its_scope_with_its_limits(start: Start) -> None:
    """CG-4, CG-6"""
    wanted = resources(
        pids={"limit": 9}, memory={"limit": 64 * MB}, cpu={"shares": 512, "quota": 33333}
    )
    manager, task = start(name("a"), wanted)
    unit = f"pyrunc-{machine.TOKEN}a.scope"
    own = Path(f"/proc/{task.pid}/cgroup").read_text().strip()
    assert own.endswith(f"/system.slice/{unit}")
    shown = show(unit, "Slice", "Delegate", "TasksMax", "MemoryMax", "CPUWeight", "DevicePolicy")
    assert shown["Slice"] == "system.slice"
    assert shown["Delegate"] == "yes"
    assert shown["TasksMax"] == "9"
    assert shown["MemoryMax"] == str(64 * MB)
    assert shown["CPUWeight"] == "59"
    assert shown["DevicePolicy"] == "strict"
    assert manager.pids() == [task.pid]
    for file, value in manager.planned(wanted):
        if "device" not in file:
            assert Path(file).read_text().strip() == value


def test_a_daemon_reload_loses_nothing(start: Start) -> None:
    rule = {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"}
    wanted = resources(devices=[rule], pids={"limit": 9}, cpu={"quota": 30000})
    manager, _ = start(name("b"), wanted)
    unified = manager.unified
    assert unified is not None
    ours = attach.attached(unified.open())
    before = {file: Path(file).read_text() for file, _ in manager.planned(wanted)[:-1]}
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    assert {file: Path(file).read_text() for file in before} == before
    assert set(ours) & set(attach.attached(unified.open()))
    allowed = show(manager.unit.name, "DeviceAllow")["DeviceAllow"]
    assert "/dev/char/1:11 r" in allowed


def test_an_update_is_known_to_systemd(start: Start) -> None:
    old = resources(pids={"limit": 9}, memory={"limit": 64 * MB})
    manager, _ = start(name("c"), old)
    new = resources(pids={"limit": 11}, memory={"limit": 64 * MB})
    again = cgroups.from_record(json.loads(json.dumps(manager.record())))
    lines = again.update(old, new)
    again.close()
    assert len(lines) == 1
    assert show(manager.unit.name, "TasksMax")["TasksMax"] == "11"
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    unified = manager.unified
    assert unified is not None
    assert unified.read("pids.max") == "11"


def test_device_rules_are_changed_in_both_programs(start: Start) -> None:
    old = resources()
    manager, _ = start(name("d"), old)
    rule = {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"}
    manager.update(old, resources(devices=[rule]))
    assert "/dev/char/1:11 r" in show(manager.unit.name, "DeviceAllow")["DeviceAllow"]


def test_destroying_stops_the_unit(start: Start) -> None:
    manager, task = start(name("e"))
    record = json.loads(json.dumps(manager.record()))
    again = cgroups.from_record(record)
    again.kill()
    task.wait()
    again.destroy()
    again.destroy()
    assert not any(Path(member.path).exists() for member in manager.members)
    assert show(manager.unit.name, "LoadState")["LoadState"] == "not-found"


def test_a_unit_that_is_in_use_is_refused_and_left_alone(start: Start) -> None:
    """CG-8"""
    _, task = start(name("f"))
    second = cgroups.resolve("systemd", name("f"), "x")
    with pytest.raises(Failure, match=r"container's cgroup is not empty: 1 process\(es\)"):
        second.prepare()
    second.destroy()
    assert task.poll() is None


def test_nested_slices_and_user_properties(start: Start) -> None:
    annotations = {"org.systemd.property.TimeoutStopUSec": "uint64 7000000"}
    path = f"a{machine.TOKEN}-b.slice:p:n"
    manager, task = start(path, annotations=annotations)
    own = Path(f"/proc/{task.pid}/cgroup").read_text().strip()
    assert own.endswith(f"/a{machine.TOKEN}.slice/a{machine.TOKEN}-b.slice/p-n.scope")
    assert show("p-n.scope", "TimeoutStopUSec")["TimeoutStopUSec"] == "7s"
    task.kill()
    task.wait()
    manager.destroy()
    subprocess.run(["systemctl", "stop", f"a{machine.TOKEN}.slice"], check=True)


def test_a_property_that_systemd_does_not_know_is_an_error_that_names_the_unit(
    start: Start,
) -> None:
    annotations = {"org.systemd.property.NoSuchThing": "true"}
    with pytest.raises(HostError, match="cannot start the systemd unit pyrunc-"):
        start(name("g"), annotations=annotations)


def test_a_scope_of_no_container_is_found_and_stopped(start: Start) -> None:
    manager, task = start(name("h"))
    names = [one.name for one in doctor.scan_units([manager.record()])]
    assert manager.unit.name not in names
    (finding,) = [one for one in doctor.scan_units([]) if one.name == manager.unit.name]
    assert finding.pids == (task.pid,)
    with pytest.raises(Failure, match=r"has 1 process\(es\)"):
        doctor.remove(finding)
    assert task.poll() is None
    doctor.remove(finding, end_processes=True)
    until(lambda: task.poll() is not None, "the end of the process")
    assert [one for one in doctor.scan_units([]) if one.name == manager.unit.name] == []


def test_a_scope_of_a_container_of_another_root_is_left_alone(start: Start, tmp_path: Path) -> None:
    manager, _ = start(name("j"))
    for owner, found in ((tmp_path, 0), (tmp_path / "gone", 1)):
        for member in manager.members:
            member.mark(str(owner))
        names = [one.name for one in doctor.scan_units([])]
        assert names.count(manager.unit.name) == found


def test_a_writable_cgroup_has_a_leaf(start: Start) -> None:
    manager, task = start(name("i"), annotations={delegate.ANNOTATION: "true"})
    manager.give(12345, 12345)
    entry = manager.promised
    assert entry is not None
    os.write(entry.leaf, str(task.pid).encode())
    entry.close()
    assert Path(f"/proc/{task.pid}/cgroup").read_text().strip().endswith(".scope/init")
    assert manager.pids() == [task.pid]


@pytest.mark.feature("8.12 sub-cgroup", "14.9 run.oci.systemd.subgroup")
def test_a_container_is_in_the_sub_cgroup_that_is_asked_for(start: Start) -> None:
    """With its limits; they are the scope's, too, and survive a reload and an update."""
    wanted = resources(pids={"limit": 9}, memory={"limit": 64 * MB})
    manager, task = start(name("k"), wanted, annotations={delegate.SUBGROUP: "container"})
    own = Path(f"/proc/{task.pid}/cgroup").read_text().strip()
    assert own.endswith(f"/system.slice/{manager.unit.name}/container")
    inner = Path(manager.members[-1].path)
    again = cgroups.from_record(json.loads(json.dumps(manager.record())))
    assert again.pids() == [task.pid]
    again.update(wanted, resources(pids={"limit": 11}, memory={"limit": 64 * MB}))
    again.close()
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    for top in (inner, inner.parent):
        assert (top / "pids.max").read_text() == "11\n"
        assert (top / "memory.max").read_text() == f"{64 * MB}\n"
    assert (inner.parent / "cgroup.procs").read_text() == ""
    task.kill()
    task.wait()
    manager.destroy()
    assert not inner.exists()
    assert not inner.parent.exists()


def test_a_sub_cgroup_in_use_is_refused_and_left_alone(start: Start) -> None:
    """CG-8"""
    annotations = {delegate.SUBGROUP: "container"}
    _, task = start(name("l"), annotations=annotations)
    for other in (annotations, {}):
        second = cgroups.resolve("systemd", name("l"), "x", annotations=other)
        with pytest.raises(Failure, match=r"container's cgroup is not empty: 1 process\(es\)"):
            second.prepare()
        second.destroy()
        second.close()
    assert task.poll() is None


def test_a_scope_with_a_sub_cgroup_is_one_leftover(start: Start, tmp_path: Path) -> None:
    manager, task = start(name("m"), annotations={delegate.SUBGROUP: "container"})
    for owner, found in ((tmp_path, 0), (tmp_path / "gone", 1)):
        for member in manager.members:
            manager.mark = str(owner)
            manager._mark(member)
        names = [one.name for one in doctor.scan_units([])]
        assert names.count(manager.unit.name) == found
    (finding,) = [one for one in doctor.scan_units([]) if one.name == manager.unit.name]
    assert finding.pids == (task.pid,)


@pytest.mark.feature("8.9 .slice units")
def test_a_container_can_be_a_slice_of_its_own(start: Start) -> None:
    wanted = resources(pids={"limit": 9})
    slice_name = f"b{machine.TOKEN}.slice"
    manager, task = start(f"system.slice::{slice_name}", wanted)
    own = Path(f"/proc/{task.pid}/cgroup").read_text().strip()
    assert own.endswith(f"/{slice_name}")
    assert show(slice_name, "TasksMax")["TasksMax"] == "9"
    assert manager.pids() == [task.pid]
    assert manager.members[-1].read("pids.max") == "9"
    task.kill()
    task.wait()
    manager.destroy()
    assert not manager.members[-1].present()


@pytest.fixture
def frozen_slice() -> Iterator[str]:
    """A slice with a process that is frozen, as `systemctl freeze` does it."""
    unit = f"f{machine.TOKEN}.slice"
    argv = ["systemd-run", "--quiet", f"--slice={unit}", f"--unit=f{machine.TOKEN}", "sleep", "100"]
    subprocess.run(argv, check=True)
    freeze = Path(f"/sys/fs/cgroup/{unit}/cgroup.freeze")
    freeze.write_text("1")
    yield unit
    freeze.write_text("0")
    subprocess.run(["systemctl", "stop", unit], check=True)


@pytest.mark.parametrize("below", ["", "-x"])
def test_nothing_is_started_where_it_would_be_frozen(
    runtime: Runtime, config: Config, frozen_slice: str, below: str
) -> None:
    """At once: it would not answer, and nobody would know why."""
    slice_name = f"{frozen_slice.removesuffix('.slice')}{below}.slice"
    config.linux["cgroupsPath"] = f"{slice_name}:pyrunc:x"
    before = time.monotonic()
    result = replace(runtime, globals=("--systemd-cgroup",)).run(config, "true")
    assert result.status == 1
    assert f"container's cgroup unexpectedly frozen: /sys/fs/cgroup/{frozen_slice}" in result.stderr
    assert time.monotonic() - before < 5
    assert show("pyrunc-x.scope", "LoadState")["LoadState"] == "not-found"


def test_a_cgroup_that_is_left_frozen_is_refused(runtime: Runtime, config: Config) -> None:
    unit = Path(f"/sys/fs/cgroup/system.slice/pyrunc-{machine.TOKEN}z.scope")
    unit.mkdir()
    (unit / "cgroup.freeze").write_text("1")
    config.linux["cgroupsPath"] = name("z")
    result = replace(runtime, globals=("--systemd-cgroup",)).run(config, "true")
    assert f"unexpectedly frozen: {unit}" in result.stderr
    unit.rmdir()


def test_a_unit_that_has_failed_is_forgotten_with_its_container(start: Start) -> None:
    """Its cgroup is gone by then, but systemd keeps it in its list."""
    manager, task = start(
        name("q"), annotations={"org.systemd.property.RuntimeMaxUSec": "uint64 200000"}
    )
    task.wait()
    unit = manager.unit.name
    until(lambda: show(unit, "ActiveState")["ActiveState"] == "failed", "the failure of the unit")
    assert not manager.members[-1].present()
    again = cgroups.from_record(json.loads(json.dumps(manager.record())))
    again.destroy()
    again.close()
    assert show(unit, "LoadState")["LoadState"] == "not-found"


def test_a_failed_unit_is_no_reason_to_keep_a_container(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager, task = start(
        name("r"), annotations={"org.systemd.property.RuntimeMaxUSec": "uint64 200000"}
    )
    task.wait()
    unit = manager.unit.name
    until(lambda: show(unit, "ActiveState")["ActiveState"] == "failed", "the failure of the unit")
    with monkeypatch.context() as patch:
        patch.setattr("pyrunc.cgroups.systemd.dbus.addresses", lambda **_: [("/nowhere", True)])
        manager.destroy()
    assert show(unit, "ActiveState")["ActiveState"] == "failed"


def test_a_group_that_is_idle_no_more_stays_so_across_a_reload(start: Start) -> None:
    idle = resources(cpu={"idle": 1})
    manager, _ = start(name("s"), idle)
    for wanted, weight in (
        (resources(cpu={"idle": 0}), "100"),
        (resources(cpu={"idle": 0}, unified={"cpu.weight": "50"}), "50"),
        (resources(cpu={"idle": 1}, unified={"cpu.weight": "50"}), "idle"),
        (resources(cpu={"idle": 0, "shares": 512}), "59"),
        (resources(cpu={"idle": 0}, unified={"cpu.weight.nice": "5"}), "33"),
    ):
        manager.update(idle, wanted)
        subprocess.run(["systemctl", "daemon-reload"], check=True)
        assert show(manager.unit.name, "CPUWeight")["CPUWeight"] == weight
        assert manager.members[-1].read("cpu.idle") == str(int(weight == "idle"))
        assert weight == "idle" or manager.members[-1].read("cpu.weight") == weight
        idle = wanted


def test_a_period_without_a_quota_outlives_another_update(start: Start) -> None:
    period = resources(cpu={"period": 900000})
    manager, _ = start(name("v"), resources())
    manager.update(resources(), period)
    manager.update(period, resources(cpu={"period": 900000}, memory={"limit": 64 * MB}))
    assert manager.members[-1].read("cpu.max") == "max 900000"


def test_a_device_of_a_driver_that_is_loaded_later_is_allowed(start: Start) -> None:
    """Character devices 188 are serial adapters on USB: without one there is no such driver."""
    rule = {"allow": True, "type": "c", "major": 188, "access": "rwm"}
    every = {"allow": True, "type": "b", "minor": 5, "access": "r"}
    manager, _ = start(name("t"), resources(devices=[rule, every]))
    assert " 188 " not in Path("/proc/devices").read_text()
    allowed = show(manager.unit.name, "DeviceAllow")["DeviceAllow"].split("; ")
    assert "char-188 rwm" in allowed
    assert "block-* rm" in allowed


def test_properties_in_all_forms_of_gvariant_reach_systemd(start: Start) -> None:
    given = {"AllowedCPUs": "[byte 1]", "TimeoutStopSec": "1e1", "Documentation": "@as []"}
    annotations = {f"org.systemd.property.{key}": value for key, value in given.items()}
    manager, _ = start(name("u"), annotations=annotations)
    found = show(manager.unit.name, "AllowedCPUs", "TimeoutStopUSec", "Documentation")
    assert found == {"AllowedCPUs": "0", "TimeoutStopUSec": "10s", "Documentation": ""}


def test_without_a_bus_systemd_is_asked_by_its_private_socket(
    runtime: Runtime, config: Config, workspace: Path
) -> None:
    """As on a small host without a D-Bus daemon. Each command within its time, not only some."""
    nowhere = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={workspace}/nothing"}
    driver = replace(runtime, globals=("--systemd-cgroup",))
    for _ in range(8):
        before = time.monotonic()
        result = driver.run(config, "true", env=nowhere)
        assert (result.status, result.stderr) == (0, "")
        assert time.monotonic() - before < 5
