# SPDX-License-Identifier: Apache-2.0
"""`doctor` finds what belongs to no container, and with --fix removes it; nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrunc import cgroups
from pyrunc.cgroups.fs import FsManager
from tests.support import machine
from tests.support.bundle import Config
from tests.support.runtime import Container, Runtime
from tests.support.types import Create
from tests.support.wait import until


@pytest.fixture(autouse=True)
def _only(pyrunc: Runtime) -> None:
    """The peers have no doctor."""


def paths(container: Container) -> list[Path]:
    """The container's cgroups."""
    import json

    state = json.loads((container.runtime.root / container.id / "state.json").read_text())
    manager = cgroups.from_record(state["cgroup"])
    return [Path(member.path) for member in manager.members]


def lines(runtime: Runtime, *flags: str) -> list[str]:
    """What doctor says about this session's things; other sessions may have leftovers."""
    return [line for line in runtime("doctor", *flags).lines if machine.TOKEN in line]


def lose(container: Container) -> list[Path]:
    """Remove the state directory as a careless administrator would."""
    found = paths(container)
    pid = container.pid
    shutil.rmtree(container.runtime.root / container.id)
    assert Path(f"/proc/{pid}").exists()
    return found


def test_containers_in_any_state_are_left_alone(
    runtime: Runtime, create: Create, make_config: Callable[[], Config]
) -> None:
    created = create(make_config(), "sleep", "100")
    running = create(make_config(), "sleep", "100").start()
    stopped = create(make_config(), "true").start().wait()
    assert lines(runtime) == []
    assert lines(runtime, "--fix", "--force") == []
    assert [one.state()["status"] for one in (created, running, stopped)] == [
        "created",
        "running",
        "stopped",
    ]


def test_containers_of_another_root_are_left_alone(
    runtime: Runtime, create: Create, config: Config, workspace: Path
) -> None:
    container = create(config, "sleep", "100").start()
    other = Runtime(runtime.program, workspace / "other")
    assert lines(other, "--fix", "--force") == []
    assert container.state()["status"] == "running"


def test_cgroups_whose_state_is_gone_are_found_and_removed_by_force(
    runtime: Runtime, config: Config
) -> None:
    """Issue 6: nothing that a container leaves stays for ever."""
    container = runtime.create(config, "sleep", "100")
    container.start()
    pid = container.pid
    left = lose(container)
    found = lines(runtime)
    for path in left:
        kind = "unit" if path.suffix == ".scope" else "cgroup"
        text = f"{path.name} belongs to no container with 1 process(es): {pid}"
        assert any(line.startswith(f"{kind} ") and line.endswith(text) for line in found)
    refused = runtime("doctor", "--fix")
    assert refused.status == 1
    assert "`pyrunc doctor --fix --force` kills them" in refused.stderr
    assert Path(f"/proc/{pid}").exists()
    runtime("doctor", "--fix", "--force")
    assert lines(runtime) == []
    assert not any(path.exists() for path in left)
    until(lambda: not alive(pid), "the end of the process")


def test_only_what_belonged_to_the_ids_is_removed(
    runtime: Runtime, make_config: Callable[[], Config]
) -> None:
    """An id is not the start of another one, and who is named and lives is left alone."""
    lost = [runtime.create(make_config(), "sleep", "100").start() for _ in range(2)]
    living = runtime.create(make_config(), "sleep", "100").start()
    pids = [container.pid for container in lost]
    left = [lose(container) for container in lost]
    (runtime.root / f"{machine.TOKEN}-half").mkdir(mode=0o711)
    first, second = lost
    assert runtime("doctor", first.id[:-1]).stdout == "nothing is left over\n"
    assert len(lines(runtime, first.id)) == len(left[0])
    runtime("doctor", "--fix", "--force", first.id, living.id).ok()
    until(lambda: not alive(pids[0]), "the end of the first process")
    assert not any(path.exists() for path in left[0])
    assert alive(pids[1])
    assert living.state()["status"] == "running"
    assert lines(runtime, f"{machine.TOKEN}-half") == [
        f"state {machine.TOKEN}-half was never finished"
    ]
    runtime("doctor", "--fix", "--force", second.id, f"{machine.TOKEN}-half").ok()
    until(lambda: not alive(pids[1]), "the end of the second process")
    living.delete().ok()
    assert runtime("doctor", "../x").status == 1


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_an_empty_cgroup_goes_without_force(runtime: Runtime, workspace: Path) -> None:
    manager = cgroups.resolve("cgroupfs", f"/{machine.TOKEN}-empty", "x")
    assert isinstance(manager, FsManager)
    manager.mark = str(workspace / "state" / "gone")
    manager.prepare()
    left = [Path(member.path) for member in manager.members]
    manager.close()
    assert len(lines(runtime)) == len(left)
    lines(runtime, "--fix")
    assert not any(path.exists() for path in left)
    assert lines(runtime) == []


def test_a_cgroup_that_carries_no_mark_is_somebody_elses(runtime: Runtime) -> None:
    manager = cgroups.resolve("cgroupfs", f"/{machine.TOKEN}-foreign", "x")
    assert isinstance(manager, FsManager)
    manager.prepare()
    assert lines(runtime, "--fix", "--force") == []
    assert manager.members[0].present()
    manager.destroy()
    manager.close()


def test_a_create_that_was_killed_is_found_and_removed(runtime: Runtime) -> None:
    (runtime.root / f"{machine.TOKEN}-half").mkdir(mode=0o711)
    assert lines(runtime) == [f"state {machine.TOKEN}-half was never finished"]
    assert runtime("doctor").status == 1
    assert runtime("doctor", "--fix").stdout.startswith("state ")
    assert list(runtime.root.iterdir()) == []


def test_a_state_that_cannot_be_read_is_removed_by_force_only(
    runtime: Runtime, config: Config
) -> None:
    container = runtime.create(config, "sleep", "100")
    container.start()
    pid, left = container.pid, paths(container)
    (runtime.root / container.id / "state.json").write_text("{")
    assert f"state {container.id} cannot be read" in lines(runtime)
    refused = runtime("doctor", "--fix")
    assert "may be that of a running container" in refused.stderr
    assert alive(pid)
    runtime("doctor", "--fix", "--force")
    assert not any(path.exists() for path in left)
    assert lines(runtime) == []


def test_a_mount_below_the_state_root_is_taken_off(runtime: Runtime) -> None:
    target = runtime.root / f"{machine.TOKEN}-lost"
    target.mkdir()
    machine.mount("tmpfs", target, "tmpfs")
    deeper = target / "deeper"
    deeper.mkdir()
    machine.mount("tmpfs", deeper, "tmpfs")
    for path in (deeper, target):
        assert f"mount {path} belongs to no container" in lines(runtime)
    lines(runtime, "--fix")
    assert not machine.is_mount_point(deeper)
    assert not machine.is_mount_point(target)
    assert lines(runtime) == []


def test_a_leftover_is_not_hidden_by_its_name(runtime: Runtime, workspace: Path) -> None:
    manager = cgroups.resolve("cgroupfs", f"/{machine.TOKEN}-odd\u009b2J", "x")
    assert isinstance(manager, FsManager)
    manager.mark = str(workspace / "gone")
    manager.prepare()
    manager.close()
    found = lines(runtime, "--fix")
    assert found
    assert all(line.isprintable() for line in found)
    assert lines(runtime) == []


def test_delete_by_force_ends_a_container_whose_state_is_lost(
    runtime: Runtime, create: Create, config: Config, make_config: Callable[[], Config]
) -> None:
    """Its cgroups say whose they are; those of another container are left alone."""
    other = create(make_config(), "sleep", "100").start()
    container = runtime.create(config, "sleep", "600").start()
    pid = container.pid
    found = lose(container)
    result = runtime("delete", "--force", container.id).ok()
    assert "is lost" in result.stderr
    until(lambda: not Path(f"/proc/{pid}/exe").exists(), "the process ends")
    assert not any(path.exists() for path in found)
    assert not (runtime.root / container.id).exists()
    assert other.state()["status"] == "running"
    assert runtime("delete", "--force", container.id).ok().stderr == ""
