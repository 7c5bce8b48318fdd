# SPDX-License-Identifier: Apache-2.0
"""Programs that do not behave, handles that are closed too early, owners that are forged."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import pyrunc
from pyrunc.host import process
from pyrunc.library import orphans
from tests.support import machine
from tests.support.runtime import TREE

pytestmark = pytest.mark.root
Script = Callable[[str], pyrunc.Spec]
Namer = Callable[[], str]


def test_programs_that_write_for_ever_do_not_hold_up_a_time_out(
    library: pyrunc.Runtime, script: Script
) -> None:
    began = time.monotonic()
    done = library.run(script("yes & yes & yes & yes >&2 & yes"), timeout=0.5)
    assert done.timed_out
    assert time.monotonic() - began < 15


def test_a_program_has_ended_though_its_children_write_for_ever(
    library: pyrunc.Runtime, script: Script
) -> None:
    began = time.monotonic()
    with library.create(script("sleep 60")) as container:
        container.start()
        done = container.exec(["sh", "-c", "for i in 1 2 3 4; do setsid yes & done; exit 4"])
    assert done.returncode == 4
    assert time.monotonic() - began < 30


def test_a_handle_that_is_closed_outlasts_those_who_wait(
    library: pyrunc.Runtime, script: Script
) -> None:
    with library.create(script("sleep 60")) as container:
        container.start()
        other = library.get(container.id)
        with ThreadPoolExecutor(2) as pool:
            waits: list[Future[Any]] = [pool.submit(other.wait), pool.submit(container.communicate)]
            time.sleep(0.2)
            other.close()
            container.delete(force=True)
            assert waits[1].result(10).returncode == 137
            waits[0].result(10)
        assert other.pidfd == container.pidfd == -1


def test_a_container_that_cannot_be_deleted_keeps_its_handle(
    library: pyrunc.Runtime, script: Script
) -> None:
    with library.create(script("sleep 60")) as container:
        container.start()
        with pytest.raises(pyrunc.StateError, match="not stopped"):
            container.delete()
        assert container.poll() is None
        assert container.kill()
        assert container.wait(10) == 137


@pytest.mark.parametrize("mark", ["2:1", "1:1", "\u00b2:3", "5:x", "9" * 30, "", "99999999999:1"])
def test_a_forged_owner_gives_nobody_a_container(
    library: pyrunc.Runtime, spec: pyrunc.Spec, root: Path, workspace: Path, name: Namer, mark: str
) -> None:
    """The annotation alone is no ground to delete: others than the library may have set it."""
    bundle = workspace / "forged"
    bundle.mkdir(mode=0o711)
    forged = spec.annotation("org.pyrunc.owner", mark)
    (bundle / "config.json").write_text(forged.json(), encoding="utf-8")
    container_id = name()
    made = subprocess.run(
        [TREE / "bin/pyrunc", "--root", root, "create", "--bundle", bundle, container_id],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert made.returncode == 0
    assert library.doctor() == []
    assert library.ids() == [container_id]
    library.get(container_id).delete(force=True)


def test_the_owner_may_have_any_pid_and_zombies_own_nothing() -> None:
    first = process.read_stat(1)
    assert first is not None
    assert orphans.lives(f"1:{first.start_time}")
    assert not orphans.lives(f"1:{first.start_time + 1}")
    for garbage in ("", ":", "1", "1:", ":1", "\u00b2:3", "1:x", "9" * 30 + ":1"):
        assert orphans.lives(garbage)


def in_a_fork(work: Callable[[], None]) -> int:
    """Run something in a copy of this program, which leaves as a program does; its exit code."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except SystemExit as end:
            os._exit(int(str(end)))
        except BaseException:
            os._exit(99)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_fork_that_leaves_the_block_of_a_container_ends_nothing(
    library: pyrunc.Runtime, script: Script
) -> None:
    with library.create(script("sleep 60")) as container:
        container.start()
        with container.spawn(["sleep", "60"]) as process:

            def leave() -> None:
                with container, process:
                    raise SystemExit(3)

            assert in_a_fork(leave) == 3
            assert container.status == "running"
            assert process.poll() is None


def test_a_fork_takes_no_container_of_the_pool(
    library: pyrunc.Runtime, spec: pyrunc.Spec, base: Path
) -> None:
    def run() -> None:
        with box:
            assert box.run(input=b"echo child").stdout == b"child\n"

    with pyrunc.Sandbox(base, spec=spec, runtime=library, program=["sh"], pool=2) as box:
        waiting = set(library.ids())
        assert in_a_fork(run) == 0
        assert set(library.ids()) == waiting
        assert box.run(input=b"echo parent").stdout == b"parent\n"


def test_a_mount_point_that_the_image_lacks_is_an_error_that_says_what_helps(
    library: pyrunc.Runtime, spec: pyrunc.Spec
) -> None:
    bound = spec.args("ls", "/data").bind("/bin", "/data")
    with pytest.raises(pyrunc.InitError, match="/data") as error:
        library.run(bound)
    assert "Spec.ephemeral()" in error.value.hint
    assert library.run(bound.ephemeral()).returncode == 0


def test_a_bundle_that_was_never_finished_goes_when_it_is_old(tmp_path: Path) -> None:
    """Its maker was killed before it could say who it is."""
    bundles = tmp_path / ".bundles"
    for name in ("old", "young", "finished"):
        (bundles / name).mkdir(parents=True)
    (bundles / "finished/config.json").write_text("{}")
    for name in ("old", "finished"):
        os.utime(bundles / name, (0, 0))
    assert orphans.remove(str(tmp_path)) == ["old"]
    assert sorted(os.listdir(bundles)) == ["finished", "young"]


def test_a_program_without_descriptors_gets_failures_and_loses_none(
    library: pyrunc.Runtime, script: Script
) -> None:
    """Each number of descriptors that is left ends at another step of a create."""
    spec = script("exit 5")
    assert library.run(spec).returncode == 5
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ways: list[Callable[[pyrunc.Spec], object]] = [
        library.run, library.check, library.explain, lambda spec: library.run(spec.ephemeral()),
    ]  # fmt: skip
    before = machine.descriptors()
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    for more in range(45):
        for way in ways:
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + more, hard))
            try:
                way(spec)
            except pyrunc.Failure:
                pass
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert machine.descriptors() == before
    bundles = Path(library.root) / ".bundles"
    while bundles.exists() and os.listdir(bundles):
        left = len(os.listdir(bundles))
        assert library.run(spec).returncode == 5
        assert not bundles.exists() or len(os.listdir(bundles)) < left
