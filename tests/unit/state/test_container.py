# SPDX-License-Identifier: Apache-2.0
"""Status, start, signals and deletion of containers that are stood in for by ordinary processes."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyrunc.errors import Failure, InitError, StateError
from pyrunc.host import process
from pyrunc.init.messages import ERROR, EXEC, MESSAGE
from pyrunc.lifecycle import delete
from pyrunc.lifecycle.container import Container
from pyrunc.lifecycle.state import StateDirectory
from pyrunc.spec.signals import parse_signal
from tests.support.states import complete


def message(kind: int, *, op: int = 0, step: int = 0, value: int = 0, detail: bytes = b"") -> bytes:
    return MESSAGE.pack(kind, op, step, value, detail)


@pytest.fixture
def root(tmp_path: Path) -> str:
    directory = tmp_path / "root"
    directory.mkdir(mode=0o700)
    return str(directory)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as child:
        yield child
        child.kill()


@pytest.fixture
def make(root: str) -> Iterator[Callable[..., Container]]:
    """make(pid): a container whose init is this process."""
    made = []

    def make(pid: int = 0, **more: Any) -> Container:
        stat = process.read_stat(pid) if pid else None
        directory = StateDirectory.claim(root, "web")
        start_time = stat.start_time if stat else 0
        directory.save(complete(pid=pid, **{"startTime": start_time, **more}))
        made.append(directory)
        state = directory.load()
        assert state is not None
        return Container(directory, state)

    yield make
    for directory in made:
        directory.close()


def hook(script: str, **more: Any) -> dict[str, Any]:
    return {
        "path": "/bin/sh",
        "args": ["sh", "-c", script],
        "env": [],
        "timeout": None,
        "pointer": "/hooks/x/0",
        **more,
    }


def test_a_container_whose_init_waits_is_created(
    make: Callable[..., Container], sleeper: subprocess.Popen[bytes]
) -> None:
    one = make(sleeper.pid)
    fds = one.directory.make_gate()
    assert one.status() == "created"
    for fd in fds:
        os.close(fd)
    assert one.status() == "running"


def test_a_container_whose_init_is_gone_is_stopped(make: Callable[..., Container]) -> None:
    child = subprocess.Popen(["true"])
    one = make(child.pid)
    child.wait()
    assert one.status() == "stopped"


def test_a_zombie_is_stopped(make: Callable[..., Container]) -> None:
    """PD-4"""
    with subprocess.Popen(["sleep", "600"]) as child:
        one = make(child.pid)
        pidfd = os.pidfd_open(child.pid)
        child.kill()
        assert process.wait_dead(pidfd, 5000)
        assert one.status() == "stopped"
        os.close(pidfd)


def test_another_process_with_the_same_pid_is_not_the_container(
    make: Callable[..., Container], sleeper: subprocess.Popen[bytes]
) -> None:
    """PD-1"""
    one = make(sleeper.pid, startTime=1)
    assert one.status() == "stopped"
    assert one.kill(9) is False
    assert sleeper.poll() is None


@pytest.mark.parametrize("pid", [-1, 0, 1])
def test_a_corrupt_pid_is_never_signalled(make: Callable[..., Container], pid: int) -> None:
    """PD-1"""
    one = make(0)
    one.state["pid"] = pid
    one.state["startTime"] = 0
    assert one.status() == "stopped"
    assert one.kill(0) is False


@pytest.mark.parametrize(
    ("version", "text", "frozen"),
    [(1, "THAWED\n", False), (1, "FROZEN\n", True), (1, "FREEZING\n", True)]
    + [(2, "populated 1\nfrozen 0\n", False), (2, "populated 1\nfrozen 1\n", True)],
)
def test_a_frozen_cgroup_is_noticed(
    make: Callable[..., Container],
    sleeper: subprocess.Popen[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: int,
    text: str,
    frozen: bool,
) -> None:
    (tmp_path / "freezer").write_text(text)
    one = make(sleeper.pid, freezer=[version, str(tmp_path / "freezer")])
    manager = type("Manager", (), {"frozen": lambda self: True})()
    monkeypatch.setattr(Container, "cgroup", lambda self, *, now: manager)
    assert one.status() == ("paused" if frozen else "running")


def test_a_cgroup_that_is_gone_is_not_frozen(
    make: Callable[..., Container], sleeper: subprocess.Popen[bytes]
) -> None:
    assert make(sleeper.pid, freezer=[1, "/nonexistent/freezer.state"]).status() == "running"


def test_the_state_has_the_fields_of_the_specification(make: Callable[..., Container]) -> None:
    assert make().oci_state("stopped") == {
        "ociVersion": "1.2.0",
        "id": "web",
        "pid": 0,
        "status": "stopped",
        "bundle": "/",
        "rootfs": "/rootfs",
        "created": "2026-01-02T03:04:05.000000006Z",
        "annotations": {"a": "b"},
    }


def answer_gate(gate: int, report: int, *messages: bytes) -> threading.Thread:
    """Do what the init does: wait for the byte, report, close."""

    def work() -> None:
        os.read(gate, 1)
        for one in messages:
            os.write(report, one)
        os.close(gate)
        os.close(report)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_start_returns_when_the_program_runs(
    make: Callable[..., Container], sleeper: subprocess.Popen[bytes]
) -> None:
    one = make(sleeper.pid)
    thread = answer_gate(*one.directory.make_gate(), message(EXEC))
    one.start()
    thread.join()
    assert one.status() == "running"
    assert "exec.fifo" not in os.listdir(one.directory.fd)
    with pytest.raises(StateError, match="cannot start an already running container"):
        one.start()


def test_start_says_why_the_program_could_not_be_run(
    make: Callable[..., Container], sleeper: subprocess.Popen[bytes]
) -> None:
    execute = {
        "name": "execute",
        "steps": ["close", "execve"],
        "what": "run the program",
        "pointer": "/process/args",
        "argv": ["/bin/app"],
    }
    one = make(sleeper.pid, late={"first": 7, "ops": [{**execute, "name": "wait"}, execute]})
    failed = message(ERROR, op=8, step=1, value=8)  # ENOEXEC
    thread = answer_gate(*one.directory.make_gate(), message(EXEC), failed)
    with pytest.raises(InitError) as caught:
        one.start()
    thread.join()
    assert str(caught.value) == "exec /bin/app: exec format error"
    assert caught.value.pointer == "/process/args"
    assert caught.value.hint


def test_start_notices_an_init_that_dies(
    make: Callable[..., Container], sleeper: subprocess.Popen[bytes]
) -> None:
    one = make(sleeper.pid)
    thread = answer_gate(*one.directory.make_gate())
    with pytest.raises(InitError, match="ended before it could run the program"):
        one.start()
    thread.join()


def test_a_stopped_container_cannot_be_started(make: Callable[..., Container]) -> None:
    with pytest.raises(StateError, match="cannot start a container that has stopped"):
        make().start()


def test_a_failing_poststart_hook_kills_the_container(
    make: Callable[..., Container], sleeper: subprocess.Popen[bytes]
) -> None:
    hooks = {"poststart": [hook("echo no >&2; exit 3")], "poststop": []}
    one = make(sleeper.pid, hooks=hooks)
    thread = answer_gate(*one.directory.make_gate(), message(EXEC))
    with pytest.raises(Failure, match="poststart hook #0: exit status 3, stdout: , stderr: no"):
        one.start()
    thread.join()
    assert sleeper.wait(5) == -9


def test_kill_signals_the_init(
    make: Callable[..., Container], sleeper: subprocess.Popen[bytes]
) -> None:
    assert make(sleeper.pid).kill(15) is True
    assert sleeper.wait(5) == -15


def test_delete_of_nothing_is_an_error_unless_forced(root: str) -> None:
    with pytest.raises(StateError, match="container does not exist"):
        delete.delete(root, "web", force=False)
    delete.delete(root, "web", force=True)


def test_delete_refuses_a_running_container(
    root: str, make: Callable[..., Container], sleeper: subprocess.Popen[bytes]
) -> None:
    make(sleeper.pid).directory.close()
    with pytest.raises(
        StateError, match="cannot delete container web that is not stopped: running"
    ):
        delete.delete(root, "web", force=False)
    delete.delete(root, "web", force=True)
    assert sleeper.wait(5) == -9
    assert os.listdir(root) == []


def test_delete_runs_every_poststop_hook_though_one_fails(
    root: str, make: Callable[..., Container], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ran = tmp_path / "ran"
    stop = [hook("exit 1"), hook(f"cat > {ran}")]
    make(hooks={"poststart": [], "poststop": stop}).directory.close()
    delete.delete(root, "web", force=False)
    assert '"status":"stopped"' in ran.read_text()
    assert '"pid":0' in ran.read_text()
    assert "poststop hook #0: exit status 1" in capfd.readouterr().err
    assert os.listdir(root) == []


def test_delete_removes_a_half_created_container(
    root: str, sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """AR-5: the intents name what a killed create has made."""
    directory = StateDirectory.claim(root, "web")
    stat = process.read_stat(sleeper.pid)
    assert stat is not None
    directory.intend("process", {"pid": sleeper.pid, "startTime": stat.start_time})
    state = {"ociVersion": "1.2.0", "id": "web", "bundle": "/", "rootfs": "/", "annotations": {}}
    ran = tmp_path / "ran"
    directory.intend("hooks", {"poststop": [hook(f"echo > {ran}")], "state": state})
    directory.close()
    delete.delete(root, "web", force=True)
    assert sleeper.wait(5) == -9
    assert ran.exists()
    assert os.listdir(root) == []


def test_deleting_what_is_half_created_says_that_it_did_not_exist(root: str) -> None:
    StateDirectory.claim(root, "web").close()
    with pytest.raises(StateError, match="container does not exist"):
        delete.delete(root, "web", force=False)
    assert os.listdir(root) == []


def test_a_damaged_state_can_only_be_deleted_by_force(root: str) -> None:
    directory = StateDirectory.claim(root, "web")
    directory.write("state.json", "{")
    directory.close()
    with pytest.raises(StateError, match="damaged"):
        delete.delete(root, "web", force=False)
    delete.delete(root, "web", force=True)
    assert os.listdir(root) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [("9", 9), ("0", 0), ("64", 64), ("KILL", 9), ("SIGKILL", 9), ("sigterm", 15), ("Hup", 1)]
    + [("WINCH", 28), ("sigusr1", 10)],
)
def test_signals_are_numbers_or_names(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize(
    "text", ["", "65", "-1", "SIG", "FOO", "SIGSIGTERM", "٩", "1_0", " 9", "9 "]
)
def test_an_unknown_signal_is_refused(text: str) -> None:
    with pytest.raises(StateError, match="unknown signal"):
        parse_signal(text)


def test_a_name_of_a_process_cannot_forge_its_state(tmp_path: Path) -> None:
    program = tmp_path / "a) Z 1 1 1"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "600"]) as child:
        found = process.read_stat(child.pid)
        assert found is not None
        assert found.state in "RSD"
        assert process.alive(child.pid, found.start_time)
        child.kill()


def test_the_message_of_the_gate_is_256_bytes() -> None:
    assert MESSAGE.size == 256
