# SPDX-License-Identifier: Apache-2.0
"""What users of judges, sandboxes and test harnesses have reported, replayed on the library."""

from __future__ import annotations

import concurrent.futures
import gc
import multiprocessing
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pyrunc
from pyrunc.lifecycle.create import Create
from tests.support.runtime import TREE

pytestmark = pytest.mark.root
Script = Callable[[str], pyrunc.Spec]
EAT = "x=$(head -c 8000000 /dev/zero | tr '\\0' x); echo ${#x}"


@pytest.fixture
def box(library: pyrunc.Runtime, spec: pyrunc.Spec, base: Path) -> pyrunc.Sandbox:
    return pyrunc.Sandbox(base, spec=spec, runtime=library, memory="64m", pids=32)


def test_figures_of_a_run_are_its_own(box: pyrunc.Sandbox) -> None:
    """isolate#136, #158: memory and time of the run before were those of the next one, too."""
    large = box.run(["sh", "-c", EAT])
    assert large.stdout == b"8000000\n"
    small = box.run(["true"])
    assert small.peak_memory < large.peak_memory
    assert small.cpu_seconds < large.cpu_seconds


def test_a_limit_goes_up_and_down_and_away(library: pyrunc.Runtime, script: Script) -> None:
    """isolate#195, #123, #105: a limit that was there before stood in the way of a higher one."""
    with library.create(script("sleep 600").limit(memory="32m")) as container:
        container.start()
        for size in (64 << 20, 16 << 20, 128 << 20):
            container.update(memory=size)
            assert container.stats().memory.limit == size
        container.update({"memory": {"limit": -1, "swap": -1}})
        assert container.stats().memory.limit == 0


def test_scratch_space_has_a_bound_of_files(
    library: pyrunc.Runtime, spec: pyrunc.Spec, base: Path
) -> None:
    """snekbox#187: files without content took memory of the kernel without an end."""
    small = pyrunc.Sandbox(base, spec=spec, runtime=library, scratch="1m", memory="64m")
    done = small.run(["sh", "-c", "touch $(seq 3000); ls | wc -l"])
    assert 0 < int(done.text) < 1024
    assert b"No space left" in done.stderr


def test_no_allocation_is_told_as_what_it_is(box: pyrunc.Sandbox) -> None:
    """isolate#5: a program that handles the refusal of memory is no victim of the kernel."""
    done = box.run(["sh", "-c", "ulimit -v 20000; x=$(head -c 80000000 /dev/zero | tr '\\0' x)"])
    assert done.returncode != 0
    assert not done.oom_killed


def test_a_time_limit_of_a_client_is_none_of_a_command(
    library: pyrunc.Runtime, script: Script
) -> None:
    """docker-py#3124, #2077: a command that is silent for long ended with a time-out of sockets."""
    assert library.run(script("sleep 1; echo late")).text == "late\n"


def test_a_terminal_loses_nothing(library: pyrunc.Runtime, script: Script) -> None:
    """docker-py#2327: the output of a terminal was cut."""
    done = library.run(script("seq 20000").terminal())
    assert done.stdout.replace(b"\r\n", b"\n") == b"".join(b"%d\n" % n for n in range(1, 20001))


WORKERS = """
import concurrent.futures as futures, multiprocessing, sys
import pyrunc

def work(root, image, number):
    runtime = pyrunc.Runtime(root)
    spec = pyrunc.Spec.default(["sh", "-c", f"sleep 0.1; echo {number}"], rootfs=image)
    spec = spec.env(PATH="/bin")
    if number == 3:
        runtime.run(spec.args("no-such-program"))
    assert runtime.doctor() == []
    return runtime.run(spec).text

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[3])
    with futures.ProcessPoolExecutor(4, mp_context=context) as pool:
        asked = [pool.submit(work, *sys.argv[1:3], number) for number in range(12)]
        for number, one in enumerate(asked):
            try:
                assert one.result() == f"{number}\\n"
            except pyrunc.InitError as error:
                print(number, error.pointer, error.value)
"""


@pytest.mark.parametrize("way", ["fork", "forkserver", "spawn"])
def test_workers_share_a_root_and_leave_each_others_containers(
    library: pyrunc.Runtime, base: Path, way: str
) -> None:
    """testcontainers#567, #746, with pytest-xdist; genai#572, inspect_scout#616: lost errors."""
    place = Path(library.root).parent / "workers.py"
    place.write_text(WORKERS)
    done = subprocess.run(
        [sys.executable, place, library.root, base, way],
        capture_output=True, text=True, env={"PYTHONPATH": str(TREE), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stdout == "3 /process/args/0 'no-such-program'\n", done.stderr
    assert library.ids() == []


def test_values_go_to_other_processes_and_handles_say_why_not(
    library: pyrunc.Runtime, script: Script, base: Path
) -> None:
    """docker-py#1809, munin#1531: forkserver, the default since Python 3.14, pickles arguments."""
    with library.create(script("sleep 600")) as container:
        container.start()
        values: list[Any] = [container.spec, container.stats(), library.list(), library]
        values += [library.check(container.spec), container.exec(["echo"]), container.processes()]
        for value in values:
            again = pickle.loads(pickle.dumps(value))
            assert type(again) is type(value)
        for handle in (container, pyrunc.Sandbox(base, runtime=library)):
            with pytest.raises(TypeError, match="cannot be pickled"):
                pickle.dumps(handle)


def test_an_error_keeps_nothing_alive(library: pyrunc.Runtime, script: Script) -> None:
    """Own: descriptors of a failed create stayed open until the collector came."""
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(pyrunc.InitError):
            library.run(script("true").args("no-such-program"))
        assert not [thing for thing in gc.get_objects() if isinstance(thing, Create)]
    finally:
        gc.enable()


def test_containers_end_with_a_thread_pool_that_is_shut_down(
    library: pyrunc.Runtime, script: Script
) -> None:
    """E2B#339: under load a run hung beyond its own limit of time."""
    stop = threading.Event()

    def burn() -> None:
        while not stop.is_set():
            library.run(script("true"))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        burning = [pool.submit(burn) for _ in range(7)]
        try:
            assert library.run(script("sleep 600"), timeout=0.5).timed_out
        finally:
            stop.set()
        assert [one.result() for one in burning] == [None] * 7
    assert multiprocessing.active_children() == []
