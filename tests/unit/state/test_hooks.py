# SPDX-License-Identifier: Apache-2.0
"""Hooks in the runtime's namespaces: what they get, and what becomes of their failures."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pyrunc.errors import Failure
from pyrunc.host import process
from pyrunc.lifecycle import hooks
from tests.support.wait import until


def hook(script: str, **more: Any) -> hooks.SavedHook:
    return hooks.SavedHook(
        {
            "path": "/bin/sh",
            "args": ["sh", "-c", script],
            "env": [],
            "timeout": None,
            "pointer": "/hooks/prestart/0",
            **more,
        }
    )


def run(one: hooks.SavedHook, tmp_path: Path, **state: Any) -> None:
    hooks.run(one, name="prestart hook #0", state={"id": "web", "bundle": str(tmp_path), **state})


def test_a_hook_reads_the_state(tmp_path: Path) -> None:
    """HK-2"""
    run(hook("cat > state"), tmp_path, annotations={"k": "é\n"}, pid=5)
    assert json.loads((tmp_path / "state").read_text()) == {
        "id": "web",
        "bundle": str(tmp_path),
        "annotations": {"k": "é\n"},
        "pid": 5,
    }


def test_a_large_state_reaches_a_hook_that_reads_late(tmp_path: Path) -> None:
    run(hook("sleep 0.1; wc -c > size"), tmp_path, annotations={"k": "x" * 300_000})
    assert int((tmp_path / "size").read_text()) > 300_000


def test_a_hook_that_does_not_read_its_input_is_no_error(tmp_path: Path) -> None:
    run(hook("exec <&-"), tmp_path, annotations={"k": "x" * 300_000})


def test_the_environment_is_exactly_that_of_the_hook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HK-1"""
    monkeypatch.setenv("SECRET", "x")
    env = {"path": "/usr/bin/env", "args": ["env"]}
    for given in (["A=b", "A=c", "X=\udc80"], []):
        script = {**env, "env": given}
        with pytest.raises(Failure) as caught:
            run(hooks.SavedHook({**script, "args": ["env", "-u", "Q", "sh", "-c", "exit 1"],
                                 "timeout": None, "pointer": ""}), tmp_path)  # fmt: skip
        assert "exit status 1" in str(caught.value) or "127" in str(caught.value)
    run(hook("/usr/bin/env > env", env=["A=b"]), tmp_path)
    lines = (tmp_path / "env").read_text().splitlines()
    assert "A=b" in lines
    assert not any(line.startswith(("SECRET", "PATH=", "HOME")) for line in lines)


def test_a_hook_runs_in_the_bundle_in_a_session_of_its_own(tmp_path: Path) -> None:
    run(hook("pwd > where; cut -d' ' -f1,6 /proc/self/stat > ids; echo $$ >> ids"), tmp_path)
    assert (tmp_path / "where").read_text().strip() == str(tmp_path)
    stat, shell = (tmp_path / "ids").read_text().splitlines()
    assert stat.split()[1] == shell
    assert int(shell) != os.getsid(0)


def test_a_hook_inherits_no_descriptor(tmp_path: Path) -> None:
    """HK-4"""
    extra = os.open("/", os.O_RDONLY)
    os.set_inheritable(extra, True)
    try:
        run(hook("ls /proc/$$/fd > fds"), tmp_path)
    finally:
        os.close(extra)
    numbers = {int(word) for word in (tmp_path / "fds").read_text().split()}
    assert extra not in numbers
    assert numbers <= {0, 1, 2, 10, 255}  # a shell keeps its script at 10 or 255


def test_argv_is_args_or_the_path(tmp_path: Path) -> None:
    script = tmp_path / "hook"
    script.write_text('#!/bin/sh\necho "$0 $*" > argv\n')
    script.chmod(0o700)
    run(hook("", path=str(script), args=[]), tmp_path)
    assert (tmp_path / "argv").read_text().split() == [str(script)]
    run(hook("", path=str(script), args=["ignored", "a b"]), tmp_path)
    assert (tmp_path / "argv").read_text() == f"{script} a b\n"


def test_a_failure_tells_the_status_and_the_output(tmp_path: Path) -> None:
    with pytest.raises(Failure) as caught:
        run(hook("echo some; echo thing >&2; exit 7"), tmp_path)
    assert str(caught.value) == (
        "error running prestart hook #0: exit status 7, stdout: some, stderr: thing"
    )
    assert caught.value.pointer == "/hooks/prestart/0"


def test_a_hook_that_is_killed_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="hook #0: signal 9"):
        run(hook("kill -9 $$"), tmp_path)


def test_a_hook_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"prestart hook #0: /no/hook: no such file or directory"):
        run(hook("", path="/no/hook"), tmp_path)


def test_only_the_end_of_a_long_output_is_told(tmp_path: Path) -> None:
    """HK-2"""
    with pytest.raises(Failure) as caught:
        run(hook("yes 0123456789 | head -c 3000000; echo cause >&2; exit 1"), tmp_path)
    assert len(str(caught.value)) < 2000
    assert "[cut]" in str(caught.value)
    assert "cause" in str(caught.value)


def test_a_timeout_ends_the_hook_and_what_it_started(tmp_path: Path) -> None:
    """HK-3"""
    one = hook("sleep 613 & echo $! > child; echo begun; sleep 613", timeout=1)
    with pytest.raises(Failure) as caught:
        run(one, tmp_path)
    assert "hook ran past specified timeout of 1.0s, stdout: begun" in str(caught.value)
    assert caught.value.pointer == "/hooks/prestart/0/timeout"
    child = int((tmp_path / "child").read_text())
    until(lambda: _dead(child), "the child of the hook is dead")


def _dead(pid: int) -> bool:
    found = process.read_stat(pid)
    return found is None or found.state in process.DEAD


def test_a_daemon_of_a_hook_does_not_hold_it_up(tmp_path: Path) -> None:
    run(hook("sleep 20 & echo $! > child"), tmp_path)
    os.kill(int((tmp_path / "child").read_text()), 9)


def test_the_first_failure_ends_the_list(tmp_path: Path) -> None:
    state = {"id": "web", "bundle": str(tmp_path)}
    with pytest.raises(Failure, match="createRuntime hook #1"):
        hooks.run_all(
            "createRuntime", [hook("echo >> a"), hook("exit 1"), hook("echo >> b")], state
        )
    assert (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()
