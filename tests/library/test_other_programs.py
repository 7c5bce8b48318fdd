# SPDX-License-Identifier: Apache-2.0
"""The library in programs that ignore SIGCHLD, reap what they find, fork, and use many files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import pyrunc
from tests.support.runtime import TREE

pytestmark = pytest.mark.root
Script = Callable[[str], pyrunc.Spec]
REAPERS = {
    "ignored": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "reaped by a handler": "signal.signal(signal.SIGCHLD, reap)",
}
PROGRAM = """
import os, signal, sys
import pyrunc
def reap(*_):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
%s
spec = pyrunc.Spec.default(["echo", "hello"], rootfs=sys.argv[2]).set("/process/env", ["PATH=/bin"])
runtime = pyrunc.Runtime(sys.argv[1])
for _ in range(5):
    assert runtime.run(spec).text == "hello\\n"
print("all", len(runtime.ids()))
"""


@pytest.mark.parametrize("way", REAPERS)
def test_containers_live_where_ended_children_are(way: str, root: Path, base: Path) -> None:
    """The init's first task ends in each create; whoever reaps it, the container goes on."""
    program = PROGRAM % REAPERS[way]
    done = subprocess.run(
        [sys.executable, "-c", program, root, base], cwd=TREE, capture_output=True, text=True
    )
    assert done.stdout == "all 0\n", done.stderr


def test_a_fork_sees_a_running_container_as_running(
    library: pyrunc.Runtime, script: Script
) -> None:
    with library.create(script("sleep 60")) as container:
        container.start()
        child = os.fork()
        if child == 0:
            os._exit(7 if container.poll() is None else 8)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 7
        container.kill(signal.SIGKILL)
        assert container.wait(10) == 137


def test_a_look_at_the_host_closes_nothing_of_others(library: pyrunc.Runtime) -> None:
    stop, lost = threading.Event(), []

    def use_files() -> None:
        while not stop.is_set():
            try:
                os.close(os.open("/dev/null", os.O_RDONLY))
            except OSError as error:
                lost.append(error)

    threads = [threading.Thread(target=use_files) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(30):
            library.info()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not lost


def test_check_foresees_what_this_host_refuses(
    library: pyrunc.Runtime, spec: pyrunc.Spec, workspace: Path
) -> None:
    assert library.check(spec).ok
    absent = spec.bind(str(workspace / "absent"), "/data")
    (problem,) = library.check(absent).errors
    assert problem.pointer.startswith("/mounts/")
    with pytest.raises(pyrunc.Failure):
        library.run(absent)
    assert not library.check(spec.args("/bin/no-such-program")).ok


def test_limits_and_times_at_their_ends(library: pyrunc.Runtime, script: Script) -> None:
    assert library.run(script("exit 3"), timeout=float("inf")).returncode == 3
    with pytest.raises(pyrunc.UsageError, match=r"cpus 1e-09: at least 0\.01"):
        script("true").limit(cpus=1e-9)
    with pytest.raises(TypeError, match="detach"):
        library.run(script("true"), detach=True)  # type: ignore[call-arg]
