# SPDX-License-Identifier: Apache-2.0
"""Where cgroups are made, what is refused, and that they go away."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrunc import cgroups
from pyrunc.cgroups import layout, tree
from pyrunc.cgroups.fs import FsManager
from pyrunc.cgroups.layout import Hierarchy, Layout
from pyrunc.errors import Failure, HostError
from tests.cgroups.conftest import Make, Task, needs, wait_children
from tests.support import machine

Spawn = Callable[..., Task]


def paths(manager: FsManager) -> list[Path]:
    return [Path(member.path) for member in manager.members]


def test_a_cgroup_is_made_in_every_hierarchy_and_removed_with_its_new_parents(
    make: Make, name: str, host: Layout
) -> None:
    manager = make(f"{name}/a/b")
    manager.prepare()
    assert len(manager.members) == len(host.hierarchies)
    assert all(path.is_dir() and str(path).endswith(f"{name}/a/b") for path in paths(manager))
    manager.destroy()
    assert not any(path.parent.parent.exists() for path in paths(manager))


def test_beside_v1_a_container_is_in_the_cgroup2_too(
    make: Make, name: str, host: Layout, spawn: Spawn
) -> None:
    """Where the kernel can end it as a whole."""
    if host.kind != "hybrid":
        pytest.skip("this host has not both versions")
    manager = make()
    manager.prepare()
    task = spawn(manager, "sleep 100 & wait")
    wait_children(manager, 2)
    own = layout.parse_own(Path(f"/proc/{task.pid}/cgroup").read_bytes())
    assert {own[one.name] for one in host.hierarchies} == {name}
    assert manager.unified is not None
    manager.unified.put("cgroup.kill", "1")
    assert task.wait() == -9


def test_a_parent_that_was_there_stays(make: Make, name: str) -> None:
    outer = make(name)
    outer.prepare()
    inner = make(f"{name}/a/b")
    inner.prepare()
    inner.destroy()
    assert all(path.is_dir() for path in paths(outer))
    assert not any(path.parent.exists() for path in paths(inner))


def test_a_relative_path_is_below_the_callers_own_cgroup(host: Layout) -> None:
    manager = cgroups.resolve("cgroupfs", None, f"{machine.TOKEN}-rel")
    own = layout.parse_own(Path("/proc/self/cgroup").read_bytes())
    for member in manager.members:
        mine = own[member.hierarchy.name]
        if member.hierarchy.version == 2:
            mine = mine.rpartition("/")[0]
        assert member.path == f"{member.hierarchy.mount}{mine.rstrip('/')}/{machine.TOKEN}-rel"


def test_nothing_is_made_before_prepare(make: Make) -> None:
    """AR-5"""
    manager = make()
    record = manager.record()
    assert not any(path.exists() for path in paths(manager))
    cgroups.from_record(record).destroy()


def test_the_intent_alone_removes_what_a_killed_create_left(make: Make, name: str) -> None:
    """AR-5"""
    manager = make(f"{name}/deep")
    record = manager.record()
    for member in manager.members[::2]:
        os.makedirs(member.path)
    cgroups.from_record(record).destroy()
    assert not any(path.parent.exists() for path in paths(manager))


def test_a_cgroup_with_processes_is_refused_and_its_processes_live(
    make: Make, spawn: Spawn
) -> None:
    """CG-8"""
    first = make()
    first.prepare()
    task = spawn(first, "sleep 100")
    wait_children(first, 2)
    second = make()
    record = second.record()
    with pytest.raises(Failure, match=r"container's cgroup is not empty: 2 process\(es\) found"):
        second.prepare()
    second.kill()
    second.destroy(limit_s=0.1)
    cgroups.from_record(record).kill()
    cgroups.from_record(record).destroy(limit_s=0.1)
    assert task.poll() is None
    assert len(first.pids()) == 2
    first.kill()


def test_an_empty_cgroup_that_exists_is_used(make: Make, spawn: Spawn) -> None:
    first = make()
    first.prepare()
    second = make()
    second.prepare()
    task = spawn(second, "sleep 100")
    wait_children(second, 2)
    again = cgroups.from_record(second.record())
    again.kill()
    assert task.wait() == -9


def test_what_was_gone_when_it_was_made_is_removed(make: Make, name: str) -> None:
    """G6: a create looks before it has the id; the container before it may go meanwhile."""
    first = make(f"{name}/a/b")
    first.prepare()
    second = make(f"{name}/a/b")
    first.destroy()
    second.look_again()
    record = second.record()
    second.prepare()
    second.correct(record)
    again = cgroups.from_record(record)
    assert [one.path for one in again.ours()] == [one.path for one in second.members]
    again.destroy()
    assert not any(path.parent.parent.exists() for path in paths(second))


def test_a_cgroup_that_is_marked_as_another_containers_is_left_alone(
    make: Make, spawn: Spawn
) -> None:
    """CG-8, G7: whatever a damaged or copied state says."""
    first = make()
    first.mark = "/run/pyrunc/one"
    record = {**first.record(), "mark": "/run/pyrunc/other"}
    first.prepare()
    task = spawn(first, "sleep 100")
    wait_children(first, 2)
    other = cgroups.from_record(record)
    other.kill()
    other.destroy(limit_s=0.1)
    assert task.poll() is None
    again = cgroups.from_record({**record, "mark": first.mark})
    again.kill()
    assert task.wait() == -9
    other.destroy(limit_s=0.1)
    assert all(path.is_dir() for path in paths(first))
    again.destroy()
    assert not any(path.is_dir() for path in paths(first))


def test_a_frozen_parent_is_refused(make: Make, name: str, host: Layout) -> None:
    needs(host, "freezer", version=1)
    outer = make(name)
    outer.prepare()
    outer.freeze()
    with pytest.raises(Failure, match="container's cgroup unexpectedly frozen"):
        make(f"{name}/inner").prepare()
    outer.thaw()


def test_a_frozen_parent_is_refused_on_v2(v2: FsManager, make: Make, name: str) -> None:
    v2.prepare()
    v2.freeze()
    inner = make(f"{name}/inner", on=Layout([v2.members[0].hierarchy]))
    with pytest.raises(Failure, match="container's cgroup unexpectedly frozen"):
        inner.prepare()
    v2.thaw()


def test_a_cpuset_gets_its_parents_lists_through_all_levels(
    make: Make, name: str, host: Layout
) -> None:
    needs(host, "cpuset", version=1)
    manager = make(f"{name}/a/b/c")
    manager.prepare()
    member = manager.find("cpuset")
    assert member is not None
    for file in ("cpuset.cpus", "cpuset.mems"):
        whole = Path(member.hierarchy.mount, file).read_text()
        assert Path(member.path, file).read_text() == whole
        assert Path(member.path).parent.joinpath(file).read_text() == whole


def test_what_is_no_cgroup_file_system_gets_no_file(tmp_path: Path) -> None:
    """CG-1"""
    fake = Hierarchy(
        name="pids", controllers=("pids",), version=1, mount=str(tmp_path), device=12345
    )
    with pytest.raises(HostError, match="does not belong to the cgroup hierarchy"):
        FsManager.resolve(Layout([fake]), cgroups_path="/x", container_id="x")
    assert list(tmp_path.iterdir()) == []
    fake.device = tmp_path.stat().st_dev
    manager = FsManager.resolve(Layout([fake]), cgroups_path="/x", container_id="x")
    manager.prepare()
    with pytest.raises(Failure):
        manager.attach(os.getpid())
    assert list((tmp_path / "x").iterdir()) == []


def test_a_link_in_place_of_the_cgroup_is_not_followed(tmp_path: Path) -> None:
    """CG-1"""
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "x").symlink_to(real)
    fake = Hierarchy(
        name="pids",
        controllers=("pids",),
        version=1,
        mount=str(tmp_path),
        device=tmp_path.stat().st_dev,
    )
    manager = FsManager.resolve(Layout([fake]), cgroups_path="/x", container_id="x")
    with pytest.raises(HostError):
        manager.prepare()


def test_a_task_enters_all_hierarchies_by_its_own_writes(make: Make, name: str) -> None:
    """CG-4"""
    manager = make()
    manager.prepare()
    entry = manager.entry(clone=False)
    script = "import os,sys\nfor fd in map(int, sys.argv[1:]): os.write(fd, b'0')\n"
    script += "print(open('/proc/self/cgroup').read())"
    argv = ["/usr/bin/python3", "-S", "-c", script, *map(str, entry.fds)]
    result = subprocess.run(argv, pass_fds=entry.fds, capture_output=True, text=True, check=True)
    entry.close()
    # Another mount namespace may have hierarchies that this one does not see.
    where = layout.parse_own(result.stdout.strip().encode())
    assert {where[member.hierarchy.name] for member in manager.members} == {name}


def test_a_task_is_born_into_the_cgroup2(v2: FsManager) -> None:
    """CG-4"""
    from pyrunc.host import syscalls

    v2.prepare()
    entry = v2.entry()
    assert (entry.kind, entry.fds) == ("into", ())
    fd = os.open("/bin/true", os.O_RDONLY | os.O_CLOEXEC)
    pid, pidfd = syscalls.spawn(fd, b"true", [], base=3, cgroup_fd=entry.into)
    assert v2.pids() in ([pid], [])  # it may have ended already
    syscalls.waitid_pidfd(pidfd)
    os.close(pidfd)
    os.close(fd)
    entry.close()


def test_a_busy_cgroup_is_emptied_after_the_bound(make: Make, spawn: Spawn) -> None:
    """CG-8"""
    manager = make()
    manager.prepare()
    task = spawn(manager, "sleep 100 & sleep 100")
    wait_children(manager, 3)
    manager.destroy(limit_s=0.5)
    assert task.wait() == -9
    assert not any(path.exists() for path in paths(manager))


def test_sub_cgroups_go_first(make: Make, spawn: Spawn, host: Layout) -> None:
    manager = make()
    manager.prepare()
    for member in manager.members:
        if "cpuset" not in member.hierarchy.controllers:
            os.makedirs(f"{member.path}/a/b")
            os.mkdir(f"{member.path}/c")
    manager.destroy()
    assert not any(path.exists() for path in paths(manager))


def test_concurrent_creates_and_removals_below_one_parent_all_succeed(
    host: Layout, name: str
) -> None:
    problems: list[BaseException] = []

    def live(number: int) -> None:
        try:
            for _ in range(10):
                manager = FsManager.resolve(
                    layout.probe(), cgroups_path=f"{name}/{number}", container_id="x"
                )
                manager.prepare()
                manager.destroy()
                manager.close()
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=live, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    for hierarchy in host.hierarchies:  # the last one may have seen a parent that it did not make
        tree.remove(tree.open_hierarchy(hierarchy), (name[1:],), deadline=time.monotonic() + 2)


def test_exec_enters_a_sub_cgroup_that_exists_and_no_other(v2: FsManager) -> None:
    """JN-9, CG-3"""
    v2.prepare()
    os.mkdir(f"{v2.members[0].path}/sub")
    entry = v2.exec_entry(os.getpid(), paths=["sub"])
    assert os.readlink(f"/proc/self/fd/{entry.into}").endswith("/sub")
    entry.close()
    for path in ("..", "../x", "a/../.."):
        with pytest.raises(Failure, match="sub-cgroup"):
            v2.exec_entry(os.getpid(), paths=[path])
    with pytest.raises(Failure, match="no such file or directory") as caught:
        v2.exec_entry(os.getpid(), paths=["absent"])
    assert "must exist" in caught.value.hint


def test_exec_chooses_hierarchies_by_controller(make: Make, host: Layout) -> None:
    needs(host, "pids", "cpu", version=1)
    manager = make()
    manager.prepare()
    pids = manager.find("pids")
    assert pids is not None
    os.mkdir(f"{pids.path}/sub")
    entry = manager.exec_entry(os.getpid(), paths=["pids:sub"])
    opened = [os.readlink(f"/proc/self/fd/{fd}") for fd in entry.fds]
    entry.close()
    assert f"{pids.path}/sub/tasks" in opened
    assert sum(path.endswith("/sub/tasks") for path in opened) == 1
    with pytest.raises(Failure, match="no controller 'nonsense'"):
        manager.exec_entry(os.getpid(), paths=["nonsense:sub"])


def test_exec_follows_an_init_that_has_moved_on(v2: FsManager, spawn: Spawn) -> None:
    v2.prepare()
    top = Path(v2.members[0].path)
    offered = (top / "cgroup.controllers").read_text().split()
    if not offered:
        pytest.skip("this host's cgroup2 offers no controller")
    task = spawn(v2, "sleep 100")
    wait_children(v2, 2)
    (top / "own").mkdir()
    for pid in v2.pids():
        (top / "own/cgroup.procs").write_text(str(pid))
    (top / "cgroup.subtree_control").write_text(f"+{offered[0]}")
    entry = v2.exec_entry(task.pid)
    assert os.readlink(f"/proc/self/fd/{entry.into}") == str(top / "own")
    entry.close()
    v2.kill()
    task.wait()
