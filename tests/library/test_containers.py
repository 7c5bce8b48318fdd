# SPDX-License-Identifier: Apache-2.0
"""Containers made by a Python program, in its own process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import pyrunc
from tests.support import machine
from tests.support.runtime import TREE
from tests.support.wait import until

pytestmark = pytest.mark.root
Script = Callable[[str], pyrunc.Spec]


def test_a_program_runs_to_its_end(library: pyrunc.Runtime, script: Script) -> None:
    done = library.run(script("cat; echo error >&2; exit 3"), input=b"input")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"input", b"error\n")
    assert not done.timed_out


def test_much_input_and_output_pass_at_once(library: pyrunc.Runtime, script: Script) -> None:
    data = os.urandom(3 << 20)
    done = library.run(script("cat; dd if=/dev/zero bs=64k count=20 >&2 2>/dev/null"), input=data)
    assert done.stdout == data
    assert len(done.stderr) == 20 * 65536


def test_a_program_that_takes_too_long_is_killed(library: pyrunc.Runtime, script: Script) -> None:
    done = library.run(script("echo before; sleep 60"), timeout=0.5)
    assert done.timed_out
    assert done.returncode == 128 + signal.SIGKILL
    assert done.stdout == b"before\n"


def test_the_life_of_a_container(library: pyrunc.Runtime, script: Script) -> None:
    with library.create(script("sleep 60")) as container:
        assert container.status == "created"
        assert container.start().status == "running"
        assert container.state["id"] == container.id
        until(
            lambda: [one.command for one in container.processes()] == ["sleep 60"],
            "the shell has become its last command",
        )
        assert "/proc" in {one.point for one in container.mounts()}
        container.pause()
        assert container.status == "paused"
        container.resume()
        assert container.kill(signal.SIGKILL)
        assert container.wait(5) == 137
        assert container.status == "stopped"
    assert library.ids() == []


def test_a_container_is_deleted_when_its_block_fails(
    library: pyrunc.Runtime, script: Script
) -> None:
    def use() -> None:
        with library.create(script("sleep 60")) as container:
            container.start()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()
    assert library.ids() == []


def test_exec_gives_code_and_output(library: pyrunc.Runtime, script: Script) -> None:
    with library.create(script("sleep 60")) as container:
        container.start()
        done = container.exec(["sh", "-c", "cat; echo $A; pwd; exit 5"], input=b"in\n",
                              env={"A": "value"}, cwd="/tmp")  # fmt: skip
        assert (done.returncode, done.text) == (5, "in\nvalue\n/tmp\n")
        assert container.exec(["sleep", "60"], timeout=0.3).timed_out
        children = ["sh", "-c", "sleep 50 & sleep 60; true"]
        assert container.exec(children, timeout=0.3).timed_out
        until(lambda: len(container.processes()) == 1, "what it has started is gone, too")
        assert container.exec(["id", "-u"], user=(7, 7)).text == "7\n"


def test_a_program_that_cannot_be_executed_is_an_error_with_its_name(
    library: pyrunc.Runtime, spec: pyrunc.Spec
) -> None:
    with pytest.raises(pyrunc.InitError, match="no-such-program") as error:
        library.create(spec.args("no-such-program"))
    assert error.value.pointer == "/process/args/0"


def test_every_problem_of_a_configuration_is_reported_at_once(
    library: pyrunc.Runtime, spec: pyrunc.Spec
) -> None:
    wrong = spec.set("/process/cwd", "relative").set("/linux/resources", {"pids": {"limit": "x"}})
    pointers = {problem.pointer for problem in library.check(wrong).errors}
    assert {"/process/cwd", "/linux/resources/pids/limit"} <= pointers
    with pytest.raises(pyrunc.ConfigErrors) as error:
        library.create(wrong)
    assert {problem.pointer for problem in error.value.problems} == pointers
    assert library.check(spec).ok


def test_explain_has_the_plan_and_the_writes(library: pyrunc.Runtime, spec: pyrunc.Spec) -> None:
    explained = library.explain(spec.limit(pids=7))
    assert "execute" in explained.operations[-1].name
    assert any(path.endswith("pids.max") and value == "7" for path, value in explained.writes)
    assert library.ids() == []


def test_limits_are_changed_and_read_back(library: pyrunc.Runtime, script: Script) -> None:
    with library.create(script("sleep 60").limit(pids=20)) as container:
        container.start()
        (line,) = container.update({"pids": {"limit": 30}}, dry_run=True)
        assert line.endswith("20 -> 30")
        assert container.stats().pids.limit == 20
        container.update({"pids": {"limit": 30}})
        assert container.stats().pids.limit == 30
        assert container.stats().memory.usage > 0


def test_events_end_with_the_exit(library: pyrunc.Runtime, script: Script) -> None:
    with library.create(script("sleep 0.5; exit 4")) as container:
        container.start()
        events = list(container.events(interval=0.1))
    assert events[-1].type == "exit"
    assert events[-1].returncode == 4
    assert {event.type for event in events[:-1]} == {"stats"}


def test_a_name_that_is_taken_is_refused_and_the_other_container_stays(
    library: pyrunc.Runtime, script: Script, name: Callable[[], str]
) -> None:
    taken = name()
    with library.create(script("sleep 60"), id=taken) as container:
        container.start()
        with pytest.raises(pyrunc.StateError, match="already exists"):
            library.create(script("true"), id=taken)
        assert container.status == "running"
        assert Path(container.state["bundle"], "config.json").exists()


def test_a_terminal_belongs_to_the_caller(library: pyrunc.Runtime, script: Script) -> None:
    spec = script("tty; stty size").set("/process/terminal", True)
    spec = spec.set("/process/consoleSize", {"height": 11, "width": 22})
    with library.create(spec) as container:
        container.start()
        shown = b""
        while True:
            try:
                part = os.read(container.terminal, 4096)
            except OSError:  # EIO: the last process has closed the other side
                break
            shown += part
        assert container.wait(5) == 0
    assert shown == b"/dev/pts/0\r\n11 22\r\n"


def test_an_ephemeral_root_leaves_the_image_untouched(
    library: pyrunc.Runtime, script: Script, base: Path
) -> None:
    spec = script("echo changed >/bin/new && cat /bin/new").without_user_namespace().ephemeral()
    done = library.run(spec)
    assert (done.stderr, done.stdout) == (b"", b"changed\n")
    assert not (base / "bin/new").exists()


def test_the_other_front_ends_see_the_container(
    library: pyrunc.Runtime, script: Script, root: Path
) -> None:
    with library.create(script("sleep 60")) as container:
        container.start()
        shown = subprocess.run(
            [TREE / "bin/pyrunc", "--root", root, "list", "-q"], capture_output=True, text=True
        )
        assert shown.stdout.split() == [container.id]
        subprocess.run([TREE / "bin/pyrunc", "--root", root, "kill", container.id, "KILL"])
        assert container.wait(5) == 137


def test_a_container_of_somebody_else_is_found_and_not_deleted(
    library: pyrunc.Runtime, script: Script
) -> None:
    with library.create(script("sleep 60")) as container:
        container.start()
        with library.get(container.id) as again:
            assert again.status == "running"
            assert again.poll() is None
        assert container.status == "running"


def test_many_threads_work_at_once(library: pyrunc.Runtime, script: Script) -> None:
    """100 containers from 20 threads: every output goes to whom it belongs."""

    def one(number: int) -> str:
        return library.run(script(f"echo {number}")).text

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(one, range(100))) == [f"{number}\n" for number in range(100)]


def test_threads_of_one_container_do_not_disturb_each_other(
    library: pyrunc.Runtime, script: Script
) -> None:
    with library.create(script("sleep 60")) as container:
        container.start()
        with ThreadPoolExecutor(8) as pool:
            codes = pool.map(lambda n: container.exec(["sh", "-c", f"exit {n}"]).returncode,
                             range(24))  # fmt: skip
            assert list(codes) == list(range(24))


def test_nothing_of_the_process_is_changed(library: pyrunc.Runtime, script: Script) -> None:
    handlers = [signal.getsignal(number) for number in signal.valid_signals() if number < 32]
    before = (os.getcwd(), os.sched_getaffinity(0), signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    threads, descriptors = threading.active_count(), machine.descriptors()
    for _ in range(5):
        library.run(script("true"))
    assert handlers == [signal.getsignal(n) for n in signal.valid_signals() if n < 32]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert (os.getcwd(), os.sched_getaffinity(0), mask) == before
    assert threading.active_count() == threads
    assert machine.descriptors() == descriptors
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_fork_in_the_middle_holds_nothing_up(library: pyrunc.Runtime, script: Script) -> None:
    """A copy of this program that never ends must not make a container look created."""
    stop = threading.Event()
    children: list[int] = []

    def fork() -> None:
        while not stop.is_set():
            pid = os.fork()
            if pid == 0:
                time.sleep(30)
                os._exit(0)
            children.append(pid)
            time.sleep(0.005)

    forker = threading.Thread(target=fork)
    forker.start()
    try:
        for _ in range(10):
            with library.create(script("true")) as container:
                container.start()
                container.wait(5)
                assert container.status == "stopped"
    finally:
        stop.set()
        forker.join()
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


KILLED = """
import os, sys, time
sys.path[:0] = {paths!r}
import pyrunc
runtime = pyrunc.Runtime({root!r})
container = runtime.create(pyrunc.Spec.default(["sleep", "600"], rootfs={rootfs!r}), id={name!r})
container.start()
print("ready", flush=True)
time.sleep(600)
"""


def test_what_a_killed_program_leaves_is_removed_by_the_next_one(
    root: Path, base: Path, script: Script, name: Callable[[], str]
) -> None:
    taken = name()
    site = next((TREE / ".venv/lib").glob("python3*/site-packages"))
    text = KILLED.format(paths=[str(TREE), str(site)], root=str(root), rootfs=str(base), name=taken)
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        runtime = pyrunc.Runtime(root)
        assert runtime.doctor() == []  # its owner lives
        program.kill()
    assert runtime.ids() == [taken]
    assert runtime.doctor() == [taken]
    assert runtime.ids() == []
    assert not (root / ".bundles").exists()
    until(lambda: not machine.children(), "the orphan is gone")


UNPRIVILEGED = """
import os, sys
sys.path[:0] = {paths!r}
import pyrunc
runtime = pyrunc.Runtime({root!r}, cgroup_manager="disabled")
spec = pyrunc.Spec.default(["sh", "-c", "id -u; cat; exit 3"], rootfs={rootfs!r})
spec = spec.set("/process/env", ["PATH=/bin"])
done = runtime.run(spec, input=b"input")
print(done.returncode, done.stdout, done.stderr)
with runtime.create(spec.args("sleep", "60")) as container:
    container.start()
    print(container.exec(["echo", "inside"]).text.strip(), runtime.ids() == [container.id])
made = spec.args("sh", "-c", "mkdir -p /made/deep; echo x >/made/deep/file; chmod 0 /made; ls /")
print(*("made" in runtime.run(made.ephemeral(size=size)).text for size in (None, "1m")))
print(".bundles" in os.listdir({root!r}))
with runtime.create(spec.args("sleep", "1")) as container:
    events = list(container.start().events(interval=0.2))
    print(events[0].type, events[-1].type, events[-1].returncode, container.oom_kills())
with pyrunc.Sandbox({rootfs!r}, spec=spec, runtime=runtime, memory=None, pids=None) as box:
    result = box.run(["sh", "-c", "cat; cat main.txt"], input=b"in ", files={{"main.txt": b"file"}})
    print(result.stdout)
import gc
gc.disable()
before = os.listdir("/proc/self/fd")
for _ in range(3):
    try:
        runtime.run(spec.args("no-such-program"))
    except pyrunc.InitError:
        pass
print(os.listdir("/proc/self/fd") == before)
try:
    pyrunc.Runtime({root!r}).run(spec.limit(pids=5))
except pyrunc.Failure as failure:
    print("None" in failure.hint)
print(runtime.ids())
"""


def test_a_user_without_privileges_runs_containers(workspace: Path, base: Path) -> None:
    root = workspace / "theirs"
    root.mkdir(mode=0o700)
    os.chown(root, 1000, 1000)
    site = next((TREE / ".venv/lib").glob("python3*/site-packages"))
    text = UNPRIVILEGED.format(paths=[str(TREE), str(site)], root=str(root), rootfs=str(base))
    done = subprocess.run(
        ["/usr/bin/python3", "-IBc", text], capture_output=True, text=True, user=1000, group=1000,
        extra_groups=[], cwd="/",
    )  # fmt: skip
    assert done.stderr == ""
    lines = [
        "3 b'0\\ninput' b''",
        "inside True",
        "True True",
        "False",
        "stats exit 0 0",
        "b'in file'",
        "True",
        "True",
        "[]",
    ]
    assert done.stdout.splitlines() == lines
