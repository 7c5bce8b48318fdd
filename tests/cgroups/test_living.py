# SPDX-License-Identifier: Apache-2.0
"""Freezing, killing, delegation and the search for leftovers, on v1 and v2."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrunc import cgroups
from pyrunc.cgroups import delegate, doctor, freezer, kill, layout
from pyrunc.cgroups.fs import FsManager
from pyrunc.cgroups.layout import Layout
from pyrunc.cgroups.member import Cgroup
from pyrunc.errors import Failure
from tests.cgroups.conftest import Make, Task, needs, wait_children
from tests.support import machine
from tests.support.wait import until

Spawn = Callable[..., Task]
BUSY = "i=0; while :; do i=$((i+1)); done"


def used(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def check_freezing(manager: FsManager, spawn: Spawn) -> None:
    manager.prepare()
    task = spawn(manager, BUSY)
    until(lambda: used(task.pid) > 2, "some work")
    assert not manager.frozen()
    manager.freeze()
    again = cgroups.from_record(manager.record())
    assert again.frozen()
    before = used(task.pid)
    assert not [pid for pid in manager.pids() if pid != task.pid]
    manager.freeze()
    assert used(task.pid) == before
    again.thaw()
    again.close()
    assert not manager.frozen()
    until(lambda: used(task.pid) > before, "work after the thaw")
    manager.freeze()
    manager.kill()
    assert task.wait() == -9
    manager.thaw()


def test_a_container_is_frozen_thawed_and_killed_while_frozen_on_v1(
    make: Make, host: Layout, spawn: Spawn
) -> None:
    needs(host, "freezer", version=1)
    v1 = Layout([one for one in host.hierarchies if one.version == 1])
    check_freezing(make(on=v1), spawn)


def test_a_container_is_frozen_thawed_and_killed_while_frozen_on_v2(
    v2: FsManager, spawn: Spawn
) -> None:
    check_freezing(v2, spawn)


def test_a_freeze_that_does_not_succeed_is_taken_back_and_explained(
    v2: FsManager, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    v2.prepare()
    task = spawn(v2, "sleep 100")
    wait_children(v2, 2)
    monkeypatch.setattr(freezer, "_step_v2", lambda member, turn: member.put("cgroup.freeze", "1"))
    lines = {"stat": b"5 (a b) D 1", "wchan": b"nfs_wait"}
    monkeypatch.setattr(freezer, "_read_proc", lambda path: lines[path.rpartition("/")[2]])
    with pytest.raises(Failure, match=r"unable to freeze .* within 0.05 s") as caught:
        freezer.freeze(v2.members[0], limit_s=0.05)
    assert f"{task.pid} (a b) in nfs_wait" in caught.value.hint
    assert v2.members[0].read("cgroup.freeze") == "0"


def test_every_process_is_killed_also_those_that_fork(
    make: Make, host: Layout, spawn: Spawn
) -> None:
    """PD-1, PD-3"""
    needs(host, "freezer", "pids", version=1)
    v1 = Layout([one for one in host.hierarchies if one.version == 1])
    manager = make(on=v1)
    manager.prepare()
    manager.find("pids").put("pids.max", "60")  # type: ignore[union-attr]
    task = spawn(manager, "while :; do sleep 0.01 & sleep 30 & done 2>/dev/null")
    wait_children(manager, 20)
    manager.kill()
    until(lambda: manager.pids() == [], "the end of all processes")
    assert task.wait() == -9


def test_without_a_freezer_processes_are_killed_in_rounds(
    make: Make, host: Layout, spawn: Spawn
) -> None:
    needs(host, "pids", version=1)
    only = Layout([one for one in host.hierarchies if "pids" in one.controllers])
    manager = make(on=only)
    manager.prepare()
    task = spawn(manager, "for i in 1 2 3 4 5; do sleep 50 & done; wait")
    wait_children(manager, 6)
    assert kill.signal_all(manager.members[0], 9) == 6
    assert task.wait() == -9


def test_the_kernel_kills_a_cgroup2_as_a_whole(v2: FsManager, spawn: Spawn) -> None:
    v2.prepare()
    task = spawn(v2, "sleep 50 & sleep 50 & wait")
    wait_children(v2, 3)
    v2.kill()
    assert task.wait() == -9
    v2.kill()


def test_the_end_of_a_cgroup2_is_noticed(v2: FsManager, spawn: Spawn) -> None:
    v2.prepare()
    task = spawn(v2, "sleep 50")
    wait_children(v2, 2)
    watch = v2.watch_oom()
    assert watch.wait(0) == (0, False)
    v2.kill()
    task.wait()
    until(lambda: watch.wait(1000)[1], "populated 0")
    watch.close()


# -- delegation ------------------------------------------------------------------------------------


def test_a_writable_cgroup_belongs_to_the_containers_root(v2: FsManager, tmp_path: Path) -> None:
    v2.leaf = "init"
    v2.prepare()
    v2.give(12345, 12345)
    top = Path(v2.members[0].path)
    assert top.stat().st_uid == 12345
    assert (top / "init").stat().st_uid == 12345
    for name in ("cgroup.procs", "cgroup.subtree_control"):
        assert (top / name).stat().st_uid == 12345
        assert (top / "init" / name).stat().st_uid == 12345
    assert (top / "cgroup.freeze").stat().st_uid == 0
    entry = v2.entry()
    assert os.readlink(f"/proc/self/fd/{entry.leaf}") == str(top / "init/cgroup.procs")
    assert os.readlink(f"/proc/self/fd/{entry.into}") == str(top)
    entry.close()


def test_an_unprivileged_owner_can_enable_controllers_and_move_its_processes(
    v2: FsManager,
) -> None:
    v2.leaf = "init"
    v2.prepare()
    v2.give(65534, 65534)
    top = v2.members[0].path
    offered = Path(top, "cgroup.controllers").read_text().split()
    entry = v2.entry()
    enable = f"echo +{offered[0]} > {top}/cgroup.subtree_control;" if offered else ""
    script = f"echo 0 > {top}/init/cgroup.procs; {enable} mkdir {top}/mine; "
    script += f"sh -c 'echo 0 > {top}/mine/cgroup.procs; cat /proc/self/cgroup'"
    # As the init: born in the cgroup, then the leaf; only then without privileges.
    argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-ec", script]

    def enter() -> None:
        Path(top, "cgroup.procs").write_text("0")

    result = subprocess.run(argv, capture_output=True, text=True, check=False, preexec_fn=enter)
    entry.close()
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1].endswith("/mine")


def test_a_writable_cgroup_is_refused_where_controllers_are_v1(host: Layout, name: str) -> None:
    if host.kind == "v2":
        pytest.skip("this host has no v1 hierarchy")
    wanted = {delegate.ANNOTATION: "true"}
    with pytest.raises(Failure, match="not on cgroup2"):
        cgroups.resolve("cgroupfs", name, "x", annotations=wanted).prepare()
    with pytest.raises(Failure, match="allowed: true, false"):
        cgroups.resolve("cgroupfs", name, "x", annotations={delegate.ANNOTATION: "yes"})


# -- rootless --------------------------------------------------------------------------------------


def as_nobody(script: str) -> str:
    program = "import os\nos.setgroups([]); os.setgid(65534); os.setuid(65534)\n" + script
    tree = Path(__file__).parents[2]
    argv = ["/usr/bin/python3", "-c", program]
    return subprocess.run(
        argv, capture_output=True, text=True, check=True, cwd=tree, timeout=60
    ).stdout


def test_without_permission_a_rootless_container_needs_no_cgroup_unless_it_asks() -> None:
    out = as_nobody(
        "import json\n"
        "from types import SimpleNamespace as N\n"
        "from pyrunc import cgroups\n"
        "from pyrunc.errors import Failure\n"
        "from pyrunc.spec import parse_resources\n"
        "m = cgroups.resolve('cgroupfs', None, 'x', rootless=True)\n"
        "m.prepare(); m.apply(None)\n"
        "print(m.entry().kind, m.members)\n"
        'try: m.apply(parse_resources(b\'{"pids": {"limit": 5}}\'))\n'
        "except Failure as failure: print(failure)\n"
        "m = cgroups.resolve('cgroupfs', '/x', 'x', rootless=True)\n"
        "try: m.prepare()\n"
        "except Failure as failure: print(failure)\n"
    )
    first, second, third = out.splitlines()
    assert first == "none []"
    text = "rootless needs no limits + no cgrouppath when no permission is granted for cgroups"
    assert second.startswith(text)
    assert third.startswith(text)


# -- leftovers -------------------------------------------------------------------------------------


def test_leftovers_are_found_and_removed(make: Make, name: str, spawn: Spawn) -> None:
    live, lost = make(f"{name}/live"), make(f"{name}/lost")
    for manager in (live, lost):
        manager.prepare()
    task = spawn(lost, "sleep 100")
    wait_children(lost, 2)
    findings = doctor.scan([live.record()], lost=[lost.record()])
    assert sorted(one.name for one in findings) == sorted(one.path for one in lost.members)
    same = doctor.scan([live.record()], ids=["lost", "live"])
    assert {one.name for one in findings} <= {one.name for one in same}
    assert not any(one.name.endswith("/live") for one in same)
    with pytest.raises(Failure, match=r"has 2 process\(es\)"):
        doctor.remove(findings[0])
    assert task.poll() is None
    for finding in findings:
        doctor.remove(finding, end_processes=True)
    assert task.wait() == -9
    assert doctor.scan([live.record()], lost=[lost.record()]) == []


def test_what_is_mounted_on_a_cgroup_is_no_part_of_it(v2: FsManager) -> None:
    """As the hierarchy of an old systemd below /sys/fs/cgroup."""
    v2.prepare()
    top = Path(v2.members[0].path)
    (top / "covered").mkdir()
    machine.mount("tmpfs", top / "covered", "tmpfs")
    (top / "covered/inside").mkdir()
    try:
        found = {path for _, path in doctor.scan_cgroups([v2.members[0].hierarchy])}
        own = "/".join(v2.members[0].parts)
        assert own in found
        assert f"{own}/covered/inside" not in found
        assert v2.pids() == []
    finally:
        machine.unmount(top / "covered")


def test_the_scan_sees_every_hierarchy(make: Make, name: str, host: Layout) -> None:
    manager = make()
    manager.prepare()
    seen = {
        (hierarchy.mount, path)
        for hierarchy, path in doctor.scan_cgroups(layout.probe().hierarchies)
    }
    assert {(one.hierarchy.mount, name[1:]) for one in manager.members} <= seen


def test_a_member_survives_its_record(make: Make) -> None:
    manager = make()
    manager.prepare()
    for member in manager.members:
        again = Cgroup.from_record(member.record())
        assert (again.path, again.ours) == (member.path, True)
    hostile = manager.members[0].record()
    for path in ("../x", "", "/", "a/../b"):
        with pytest.raises(Failure):
            Cgroup.from_record({**hostile, "path": path})
    assert machine.TOKEN in manager.members[0].path
