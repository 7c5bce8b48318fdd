# SPDX-License-Identifier: Apache-2.0
"""Untrusted programs, one container each."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import pyrunc
from tests.support import machine

pytestmark = pytest.mark.root
CODES = ["sh", "-c"]


@pytest.fixture
def box(library: pyrunc.Runtime, spec: pyrunc.Spec, base: Path) -> pyrunc.Sandbox:
    return pyrunc.Sandbox(base, spec=spec, runtime=library, memory="64m", pids=32)


def test_a_program_gets_its_files_and_tells_how_it_went(box: pyrunc.Sandbox) -> None:
    result = box.run(
        [*CODES, "cat data.txt; cat; pwd; exit 7"], files={"data.txt": b"data\n"}, input=b"in\n"
    )
    assert (result.returncode, result.stdout) == (7, b"data\nin\n/tmp\n")
    assert 0 < result.peak_memory < 64 << 20
    assert 0 < result.cpu_seconds < 10
    assert not result.oom_killed


@pytest.mark.parametrize(
    "path", ["../x", "../../x", "a/../../../x", "/x", "", ".", "a//b", "a/", "a\0b"]
)
def test_files_cannot_lie_outside_of_the_working_directory(
    box: pyrunc.Sandbox, root: Path, path: str
) -> None:
    with pytest.raises(pyrunc.UsageError, match="no name below the directory"):
        box.run(["true"], files={path: b"data"})
    with pytest.raises(pyrunc.UsageError, match="no name below the directory"):
        box.runtime.create(box.spec, files={path: b"data"})
    assert not (root / "x").exists()
    assert not (root / ".bundles" / "x").exists()


def test_a_pool_that_cannot_be_filled_leaves_nothing(
    library: pyrunc.Runtime,
    spec: pyrunc.Spec,
    base: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting = pyrunc.Sandbox.waiting
    made: list[pyrunc.Container] = []

    def second_fails(self: pyrunc.Sandbox) -> pyrunc.Container:
        if made:
            raise pyrunc.HostError("no room")
        made.append(waiting(self))
        return made[0]

    monkeypatch.setattr(pyrunc.Sandbox, "waiting", second_fails)
    with pytest.raises(pyrunc.HostError, match="no room"):
        pyrunc.Sandbox(base, spec=spec, runtime=library, program=["true"], pool=2)
    assert made
    assert library.ids() == []


def test_it_can_write_to_its_scratch_space_alone(box: pyrunc.Sandbox) -> None:
    script = "echo a >x && cat x; for d in / /bin /etc; do echo b >$d/new && echo $d; done; true"
    assert box.run([*CODES, script]).stdout == b"a\n"


def test_scratch_space_is_bounded(box: pyrunc.Sandbox, base: Path) -> None:
    small = pyrunc.Sandbox(base, spec=box.spec, runtime=box.runtime, scratch="1m", memory="64m")
    result = small.run([*CODES, "dd if=/dev/zero of=/tmp/x bs=64k count=64"])
    assert result.returncode != 0
    assert b"No space left" in result.stderr


def test_a_program_that_runs_on_is_killed(box: pyrunc.Sandbox) -> None:
    result = box.run(["sleep", "60"], timeout=0.3)
    assert result.timed_out
    assert 0.3 <= result.seconds < 30


def test_memory_beyond_the_limit_kills_it_and_the_result_says_so(
    library: pyrunc.Runtime, spec: pyrunc.Spec, base: Path
) -> None:
    box = pyrunc.Sandbox(base, spec=spec, runtime=library, memory="16m")
    result = box.run([*CODES, "x=a; while true; do x=$x$x; done"], timeout=30)
    assert result.oom_killed
    assert result.returncode == 137
    assert result.peak_memory > 12 << 20


def test_tasks_beyond_the_limit_are_refused(box: pyrunc.Sandbox) -> None:
    result = box.run([*CODES, "for i in $(seq 100); do sleep 5 & done; echo done"], timeout=10)
    assert b"can't fork" in result.stderr


def test_there_is_no_network_and_no_other_process(box: pyrunc.Sandbox) -> None:
    result = box.run([*CODES, "ip -o link | wc -l; ps | wc -l"])
    assert result.stdout.split()[0] == b"1"
    assert int(result.stdout.split()[1]) < 8


def test_refused_system_calls_are_counted(
    library: pyrunc.Runtime, spec: pyrunc.Spec, base: Path
) -> None:
    box = pyrunc.Sandbox(base, spec=spec, runtime=library, memory="64m", explain=True)
    result = box.run([*CODES, "unshare -m true; chroot / true; exit 3"])
    assert result.returncode == 3
    assert any(line.startswith("unshare: refused once") for line in result.refused)


def test_waiting_containers_are_used_and_replaced(
    library: pyrunc.Runtime, spec: pyrunc.Spec, base: Path
) -> None:
    program = [*CODES, "cat"]
    options = {"spec": spec, "runtime": library, "memory": "64m", "program": program, "pool": 2}
    with pyrunc.Sandbox(base, **options) as box:  # type: ignore[arg-type]
        waiting = set(library.ids())
        assert len(waiting) == 2
        for number in range(6):
            assert box.run(input=b"%d" % number).stdout == b"%d" % number
        assert waiting.isdisjoint(library.ids())
        assert box.run([*CODES, "echo other"]).stdout == b"other\n"
    assert library.ids() == []


def test_many_programs_at_once_and_nothing_is_left(box: pyrunc.Sandbox) -> None:
    box.run(["true"])
    threads, descriptors = threading.active_count(), machine.descriptors()
    with ThreadPoolExecutor(16) as pool:
        results = pool.map(lambda n: box.run(["echo", str(n)]).text, range(96))
        assert list(results) == [f"{n}\n" for n in range(96)]
    assert threading.active_count() == threads
    assert machine.descriptors() == descriptors
    assert box.runtime.ids() == []


def resident_kb() -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGESIZE") // 1024


@pytest.mark.slow
def test_a_thousand_programs_leave_the_memory_flat(box: pyrunc.Sandbox) -> None:
    for _ in range(100):
        box.run(["true"])
    before, descriptors = resident_kb(), machine.descriptors()
    for _ in range(900):
        box.run(["true"])
    assert resident_kb() - before < 4096
    assert machine.descriptors() == descriptors
