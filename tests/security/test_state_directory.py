# SPDX-License-Identifier: Apache-2.0
"""The state directory, the program file, and callers without privileges."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.support.bundle import Config
from tests.support.canary import Canary
from tests.support.runtime import Result, Runtime

USER = 4711


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_state_is_private_whatever_the_umask(
    runtime: Runtime, config: Config, workspace: Path, umask: int
) -> None:
    """ST-3, R058."""
    runtime.root = workspace / "fresh"
    before = os.umask(umask)
    try:
        container = runtime.create(config, "true")
    finally:
        os.umask(before)
    try:
        assert stat.S_IMODE(runtime.root.stat().st_mode) & 0o777 == 0o700
        for path in runtime.root.rglob("*"):
            facts = path.lstat()
            assert facts.st_uid == 0
            if path.name == "exec.fifo":  # the init, of whatever user, opens it by its descriptor
                continue
            assert facts.st_mode & 0o066 == 0, path
    finally:
        container.delete().ok()


@pytest.mark.parametrize("name", ["state.json", "config.json", "intents", "exec.fifo"])
def test_a_planted_link_in_the_state_directory_is_refused(
    runtime: Runtime, config: Config, canary: Canary, name: str
) -> None:
    """ST-2, ST-5, R042: the directory must be ours, so a create stops at one that is there."""
    planted = runtime.new_id()
    (runtime.root / planted).mkdir(mode=0o700)
    (runtime.root / planted / name).symlink_to(canary.file)
    config.write()
    result = runtime("create", "--bundle", config.bundle, planted)
    assert result.status == 1
    assert "container with given ID already exists" in result.stderr
    for verb in ("state", "start", "kill"):
        assert runtime(verb, planted).status == 1
    runtime("delete", "--force", planted)
    if (runtime.root / planted).exists():  # refused, since only its owner can have planted it
        (runtime.root / planted / name).unlink()
        runtime("delete", "--force", planted).ok()


def test_a_state_directory_that_is_a_link_is_refused(
    runtime: Runtime, config: Config, canary: Canary
) -> None:
    """ST-2, R042."""
    planted = runtime.new_id()
    (runtime.root / planted).symlink_to(canary.directory)
    config.write()
    assert runtime("create", "--bundle", config.bundle, planted).status == 1
    runtime("delete", "--force", planted)
    (runtime.root / planted).unlink(missing_ok=True)


def test_a_setuid_program_refuses_to_run(runtime: Runtime, workspace: Path) -> None:
    """ST-8, R049, R052, R053, R082: nobody gets more by it."""
    copy = workspace / "pyrunc"
    shutil.copy(os.path.realpath(runtime.program), copy)
    if copy.read_bytes()[:2] == b"#!":
        pytest.skip("a script cannot be setuid")
    copy.chmod(0o4755)
    caller = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"]
    root, runtime.root, program = runtime.root, workspace / "own", runtime.program
    runtime.root.mkdir(mode=0o700)
    os.chown(runtime.root, USER, USER)
    try:
        runtime.program = copy
        result = runtime("list", prefix=caller)
    finally:
        runtime.program, runtime.root = program, root
    assert result.status != 0
    assert "setuid" in result.stderr


def test_a_container_cannot_change_what_is_said_of_it(runtime: Runtime, config: Config) -> None:
    """PD-2, R080: its name is read by nobody."""
    script = "printf 'evil) Z 1 1' >/proc/$$/comm; sleep 100 & wait"
    container = runtime.create(config, "sh", "-c", script)
    container.start()
    before = container.state()
    assert before["status"] == "running"
    assert container.command("kill", "KILL").status == 0
    container.wait().delete().ok()


def rootless(runtime: Runtime, config: Config, workspace: Path, *argv: str) -> Result:
    """Run as a user without privileges, who may map nobody but himself."""
    own = workspace / "own"
    own.mkdir(mode=0o700, exist_ok=True)
    config.namespace("user")
    config.without_namespace("network")
    config.without_mount("/sys")
    config.without_mount("/dev/pts")
    mapping = [{"containerID": 0, "hostID": USER, "size": 1}]
    config.linux["uidMappings"] = config.linux["gidMappings"] = mapping
    config.process["args"] = list(argv)
    config.write()
    for path in (own, config.bundle, *config.rootfs.iterdir(), config.rootfs):
        os.chown(path, USER, USER, follow_symlinks=False)
    caller = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"]
    root, runtime.root = runtime.root, own / "state"
    try:
        return runtime("run", "--bundle", config.bundle, runtime.new_id(), prefix=caller)
    finally:
        runtime.root = root


def test_a_user_without_privileges_gives_up_setgroups(
    runtime: Runtime, config: Config, workspace: Path
) -> None:
    """UN-2, R001."""
    result = rootless(runtime, config, workspace, "cat", "/proc/self/setgroups")
    assert result.ok().stdout == "deny\n"


def test_additional_groups_that_cannot_be_had_are_an_error(
    runtime: Runtime, config: Config, workspace: Path
) -> None:
    """CR-5, UN-2, R001: never left out in silence."""
    config.process["user"]["additionalGids"] = [0]
    result = rootless(runtime, config, workspace, "true")
    assert result.status == 1
    assert "additionalGids" in result.stderr
