# SPDX-License-Identifier: Apache-2.0
"""Limits read back from the kernel, and their effects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyrunc import cgroups
from pyrunc.cgroups import update
from pyrunc.cgroups.fs import FsManager
from pyrunc.cgroups.layout import Layout
from pyrunc.errors import Failure
from tests.cgroups.conftest import Disk, Make, Task, needs, versions, wait_children
from tests.support.cgroups import read, resources
from tests.support.wait import readable, until

Spawn = Callable[..., Task]
MB = 1 << 20


def test_the_plan_names_what_is_written(make: Make, host: Layout) -> None:
    needs(host, "pids", "cpu")
    manager = make()
    wanted = resources(pids={"limit": 7}, cpu={"quota": 20000})
    planned = manager.planned(wanted)
    manager.prepare()
    manager.apply(wanted)
    written = [item for item in planned if "device" not in item[0]]
    assert len(written) == 2
    for file, value in written:
        assert Path(file).read_text().strip() == value
    if host.kind == "v2":
        assert planned[-1][1].startswith("deny all; allow c *:* m, b *:* m, c 1:3 rwm")
    else:
        allowed = [line for file, line in planned if file.endswith("devices.allow")]
        assert read(manager, "devices.list").splitlines() == allowed


def test_a_fork_bomb_is_stopped(make: Make, host: Layout, spawn: Spawn) -> None:
    needs(host, "pids")
    manager = make()
    manager.prepare()
    manager.apply(resources(pids={"limit": 8}))
    task = spawn(manager, 'for i in $(seq 40); do sleep 60 & done 2>/dev/null; echo "end $?"; wait')
    until(lambda: "max 0" not in read(manager, "pids.events"), "a fork that is refused")
    assert int(read(manager, "pids.current")) <= 8
    manager.kill()
    task.wait()


def test_too_much_memory_is_killed_and_counted(make: Make, host: Layout, spawn: Spawn) -> None:
    needs(host, "memory")
    manager = make()
    manager.prepare()
    manager.apply(resources(memory={"limit": 32 * MB}))
    watch = manager.watch_oom()
    task = spawn(manager, f"x = bytearray({128 * MB})\nprint(len(x))", python=True)
    assert task.wait() == -9
    assert manager.oom_kills() == 1
    assert watch.wait(10000)[0] == 1
    assert cgroups.from_record(manager.record()).oom_kills() == 1
    if host.kind == "v2":
        until(lambda: watch.wait(1000) == (0, True), "the end of the last process")
    manager.destroy()
    assert watch.wait(10000) == (0, True)
    watch.close()
    assert manager.oom_kills() == 0


def test_a_cpuset_binds_its_tasks(make: Make, host: Layout, spawn: Spawn) -> None:
    needs(host, "cpuset")
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("there is one processor only")
    manager = make()
    manager.prepare()
    manager.apply(resources(cpu={"cpus": "1", "mems": "0"}))
    task = spawn(manager, "import os\nprint(os.sched_getaffinity(0))", python=True)
    assert task.communicate()[0] == b"{1}\n"


HUGE = """
import mmap
flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000  # MAP_HUGETLB
mmap.mmap(-1, 2 << 20, flags=flags).close()
try: mmap.mmap(-1, 4 << 20, flags=flags)
except OSError as error: print(error.errno)
else: print("given")
"""


@pytest.fixture
def huge_pages() -> Iterator[None]:
    """Few hosts set huge pages aside for the programs that ask for them."""
    pool = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
    if not pool.exists():
        pytest.skip("this kernel has no pages of 2 MB")
    setting = pool / "nr_hugepages"
    before = setting.read_text()
    wanted = str(max(int(before), 4))
    if wanted != before.strip():
        try:
            setting.write_text(wanted)
        except OSError as error:
            pytest.skip(f"this host sets no pages of 2 MB aside: {error.strerror}")
    try:
        if int((pool / "free_hugepages").read_text()) < 2:
            pytest.skip("this host has no two free pages of 2 MB: its memory is fragmented")
        yield
    finally:
        if wanted != before.strip():
            setting.write_text(before)


@pytest.mark.usefixtures("huge_pages")
def test_reserving_more_huge_pages_than_the_limit_is_refused(
    v2_setting: None, mounted: Layout, make: Make, spawn: Spawn
) -> None:
    needs(mounted, "hugetlb")
    manager = make()
    manager.prepare()
    for limit, expected in ((4 * MB, b"given\n"), (2 * MB, b"12\n")):  # ENOMEM
        manager.update(None, resources(hugepageLimits=[{"pageSize": "2MB", "limit": limit}]))
        assert spawn(manager, HUGE, python=True).communicate()[0] == expected


READER = """
import mmap, os
fd, page = os.open({path!r}, os.O_RDONLY | os.O_DIRECT), mmap.mmap(-1, 65536)
for number in range(64):
    os.readv(fd, [page])
    if number < 2: print("block", flush=True)
"""


@pytest.mark.feature("8.39 throttle")
def test_a_rate_limit_slows_the_reader_of_a_device(
    make: Make, host: Layout, spawn: Spawn, disk: Disk
) -> None:
    """One with a limit has not read 4 MiB when one without, which began later, has."""
    needs(host, "blkio" if "blkio" in versions(host) else "io")
    manager = make()
    manager.prepare()
    rate = {"major": disk.major, "minor": disk.minor, "rate": 65536}
    rule = {"allow": True, "type": "b", "major": disk.major, "minor": disk.minor, "access": "r"}
    manager.apply(resources(blockIO={"throttleReadBpsDevice": [rate]}, devices=[rule]))
    script = READER.format(path=str(disk.path))
    limited = spawn(manager, script, python=True)
    assert limited.stdout is not None
    assert limited.stdout.readline() == b"block\n"
    subprocess.run([sys.executable, "-S", "-c", script], check=True, stdout=subprocess.DEVNULL)
    assert limited.poll() is None
    manager.kill()
    limited.wait()


def test_a_cpu_quota_throttles(make: Make, host: Layout, spawn: Spawn) -> None:
    needs(host, "cpu")
    manager = make()
    manager.prepare()
    manager.apply(resources(cpu={"quota": 5000, "period": 50000}))
    task = spawn(manager, "while :; do :; done")
    until(lambda: throttled(manager) > 2, "throttling")
    manager.kill()
    task.wait()


def total(manager: FsManager) -> int:
    return int(manager.stats().get("cpu", {}).get("usage", {}).get("total", 0))


def throttled(manager: FsManager) -> int:
    return int(manager.stats().get("cpu", {}).get("throttling", {}).get("throttledPeriods", 0))


def open_node(manager: FsManager, spawn: Spawn, node: Path, mode: str) -> bool:
    script = f"import os\ntry: os.open('{node}', os.{mode})\nexcept PermissionError: os._exit(7)"
    return spawn(manager, script, python=True).wait() == 0


DEVICE = {"type": "c", "major": 1, "minor": 11}  # /dev/kmsg, which no default allows


def check_devices(manager: FsManager, spawn: Spawn, node: Path) -> None:
    old = resources()
    manager.prepare()
    manager.apply(old)
    assert not open_node(manager, spawn, node, "O_RDONLY")
    assert open_node(manager, spawn, Path("/dev/null"), "O_RDWR")
    new = resources(devices=[{"allow": True, **DEVICE, "access": "r"}])
    assert manager.diff(old, new) == ["devices: + allow c 1:11 r"]
    manager.update(old, new)
    assert open_node(manager, spawn, node, "O_RDONLY")
    assert not open_node(manager, spawn, node, "O_WRONLY")
    manager.update(new, old)
    assert not open_node(manager, spawn, node, "O_RDONLY")
    everything = resources(devices=[{"allow": True, "access": "rwm"}])
    manager.update(old, everything)
    assert open_node(manager, spawn, node, "O_RDONLY")


@pytest.fixture
def node(tmp_path: Path) -> Path:
    path = tmp_path / "node"
    os.mknod(path, 0o20600, os.makedev(1, 11))
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError as error:
        pytest.skip(f"device nodes cannot be opened below {tmp_path}: {error.strerror}")
    return path


def test_devices_of_a_running_container_are_changed_on_v1(
    make: Make, host: Layout, spawn: Spawn, node: Path
) -> None:
    """CG-7, DV-1"""
    needs(host, "devices", version=1)
    check_devices(make(), spawn, node)


def test_devices_of_a_running_container_are_changed_on_v2(
    v2: FsManager, spawn: Spawn, node: Path
) -> None:
    """CG-7, DV-1"""
    from pyrunc.cgroups.devices import attach

    check_devices(v2, spawn, node)
    assert len(attach.attached(v2.members[0].open())) == 1


def test_replaced_programs_do_not_add_up(v2: FsManager) -> None:
    from pyrunc.cgroups.devices import attach

    v2.prepare()
    v2.apply(None)
    first = attach.attached(v2.members[0].open())
    for _ in range(5):
        v2.apply_devices(None, new=False)
    last = attach.attached(v2.members[0].open())
    assert len(first) == len(last) == 1
    assert first != last


def test_a_dry_run_enables_no_controller(make: Make, host: Layout, v2_setting: None) -> None:
    if host.kind != "hybrid":
        pytest.skip("a cgroup2 beside v1 hierarchies is not here")
    manager = make()
    manager.prepare()
    offered = manager.unified.read("cgroup.controllers").split()  # type: ignore[union-attr]
    wanted = {"memory": {"memory.high": str(MB)}, "pids": {"pids.max": "9"}, "io": {}, "cpu": {}}
    top = Path(manager.unified.hierarchy.mount)  # type: ignore[union-attr]
    free = set((top / "cgroup.controllers").read_text().split()) - set(offered)
    chosen = next((name for name in wanted if name in free and wanted[name]), "")
    if not chosen:
        pytest.skip("the cgroup2 has no controller that could be enabled")
    before = (top / "cgroup.subtree_control").read_text()
    assert len(manager.diff(None, resources(unified=wanted[chosen]))) == 1
    assert (top / "cgroup.subtree_control").read_text() == before


def test_a_failed_update_leaves_everything_as_it_was(make: Make, host: Layout) -> None:
    needs(host, "pids", "cpuset")
    manager = make()
    manager.prepare()
    old = resources(pids={"limit": 7})
    manager.apply(old)
    new = resources(pids={"limit": 9}, cpu={"cpus": "4000"})
    with pytest.raises(Failure, match=r"cpuset\.cpus") as caught:
        manager.update(old, new)
    assert read(manager, "pids.max") == "7"
    assert caught.value.pointer.endswith("/cpu/cpus")
    assert caught.value.detail == ""


def test_limits_grow_and_shrink_together(make: Make, host: Layout) -> None:
    needs(host, "memory", version=1)
    manager = make()
    manager.prepare()
    old = None
    for limit, swap in ((64, 64), (128, 256), (16, 16), (512, 512)):
        new = resources(memory={"limit": limit * MB, "swap": swap * MB})
        manager.update(old, new)
        assert read(manager, "memory.limit_in_bytes") == str(limit * MB)
        assert read(manager, "memory.memsw.limit_in_bytes") == str(swap * MB)
        old = new


def test_a_limit_below_the_usage_is_refused_with_the_figures(
    make: Make, host: Layout, spawn: Spawn
) -> None:
    version = needs(host, "memory")
    manager = make()
    manager.prepare()
    manager.apply(resources(memory={"limit": 256 * MB}))
    task = spawn(
        manager, f"x = bytearray({64 * MB})\nprint('there', flush=True)\ninput()", python=True
    )
    assert task.stdout is not None
    assert readable(task.stdout, 20)
    assert task.stdout.readline() == b"there\n"
    # cgroup2 would kill instead of refusing, so that the check must be asked for.
    new = resources(memory={"limit": 8 * MB, "checkBeforeUpdate": version == 2})
    pattern = r"limit to 8388608 \(current usage: \d+, peak usage: (\d+|unknown)\)"
    with pytest.raises(Failure, match=pattern):
        manager.update(resources(memory={"limit": 256 * MB}), new)
    file = "memory.max" if version == 2 else "memory.limit_in_bytes"
    assert read(manager, file) == str(256 * MB)


@pytest.mark.feature("8.36 blockIO.weight")
def test_the_weight_of_block_io_goes_to_the_file_that_is_there(make: Make, host: Layout) -> None:
    controller = "blkio" if "blkio" in versions(host) else "io"
    version = needs(host, controller)
    manager = make()
    manager.prepare()
    directory = Path(manager.find(controller).path)  # type: ignore[union-attr]
    names = ("blkio.weight", "blkio.bfq.weight") if version == 1 else ("io.bfq.weight", "io.weight")
    present = [name for name in names if (directory / name).exists()]
    if not present:
        pytest.skip(f"this kernel has neither {names[0]} nor {names[1]}")
    wanted = resources(blockIO={"weight": 300})
    manager.apply(wanted)
    expected = "2930" if present[0] == "io.weight" else "300"
    assert (directory / present[0]).read_text().split()[-1] == expected
    assert update.diff(manager, None, wanted) == []


def test_the_disabled_driver_refuses_limits_and_has_nothing_else() -> None:
    """AR-6"""
    manager = cgroups.resolve("disabled", None, "x")
    manager.prepare()
    manager.apply(None)
    with pytest.raises(Failure, match="controller pids not available"):
        manager.apply(resources(pids={"limit": 7}))
    assert manager.pids() == []
    assert manager.stats() == {}
    assert manager.entry().kind == "none"
    assert not manager.frozen()
    with pytest.raises(Failure, match="no cgroup with a freezer"):
        manager.freeze()
    again = cgroups.from_record(json.loads(json.dumps(manager.record())))
    again.kill()
    again.destroy()


def test_figures_of_a_busy_container(make: Make, host: Layout, spawn: Spawn) -> None:
    version = needs(host, "memory", "pids", "cpu")
    manager = make()
    manager.prepare()
    manager.apply(resources(pids={"limit": 50}))
    task = spawn(manager, "while :; do :; done")
    wait_children(manager, 1)
    until(lambda: total(manager) > 10**7, "10 ms of work")
    data = manager.stats()
    assert data["pids"] == {"current": 1, "limit": 50}
    assert data["memory"]["raw"]
    if version == 1:
        assert sum(data["cpu"]["usage"]["percpu"]) > 0
    json.dumps(data)
    manager.kill()
    task.wait()
