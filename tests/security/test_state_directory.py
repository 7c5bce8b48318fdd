# SPDX-License-Identifier: Apache-2.0
"""The state directory, the program file, and callers without privileges."""

from __future__ import annotations

import json
import os
import shutil
import stat
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrunc.host import syscalls
from tests.support import machine
from tests.support.bundle import Config
from tests.support.canary import Canary
from tests.support.runtime import Result, Runtime

USER = 4711
TMPFS = 0x01021994


def magic_of(path: Path) -> int:
    fd = os.open(path, os.O_RDONLY)
    try:
        return syscalls.filesystem_magic(fd)
    finally:
        os.close(fd)


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
    runtime("delete", "--force", planted).ok()
    assert not (runtime.root / planted).exists()


ODD: dict[str, Callable[[Path, Canary], None]] = {
    "link": lambda path, canary: path.symlink_to(canary.file),
    "link-to-directory": lambda path, canary: path.symlink_to(canary.directory),
    "dangling-link": lambda path, canary: path.symlink_to("absent"),
    "loop": lambda path, canary: path.symlink_to(path.name),
    "directory": lambda path, canary: (path / "deep").mkdir(parents=True),
    "fifo": lambda path, canary: os.mkfifo(path),
    "socket": lambda path, canary: os.mknod(path, stat.S_IFSOCK | 0o600),
    "device": lambda path, canary: os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3)),
    "empty": lambda path, canary: path.touch(),
}


@pytest.mark.parametrize("odd", sorted(ODD))
@pytest.mark.parametrize("name", ["state.json", "intents", "config.json", "exec.fifo"])
def test_what_was_put_in_place_of_a_file_does_not_stop_a_delete(
    runtime: Runtime, config: Config, canary: Canary, name: str, odd: str
) -> None:
    """ST-2, ST-5, ST-7, R042: neither followed nor waited for. What the other files name is undone:
    the harness looks for the process and the cgroups.
    """
    container = runtime.create(config, "sleep", "600")
    path = runtime.root / container.id / name
    path.unlink()
    ODD[odd](path, canary)
    state = container.command("state")
    assert state.status == 0 or name in state.stderr or "does not exist" in state.stderr
    container.delete().ok()
    assert not (runtime.root / container.id).exists()


@pytest.mark.parametrize("odd", ["link", "directory", "socket"])
def test_a_delete_that_knows_nothing_says_so(runtime: Runtime, canary: Canary, odd: str) -> None:
    """ST-5: with neither file nobody can tell what there was."""
    planted = runtime.new_id()
    (runtime.root / planted).mkdir(mode=0o700)
    for name in ("state.json", "intents"):
        ODD[odd](runtime.root / planted / name, canary)
    refused = runtime("delete", planted)
    assert (refused.status, refused.lines) == (1, [])
    assert f"state.json of container {planted} is no ordinary file" in refused.error
    assert f"delete --force {planted}" in refused.stderr
    result = runtime("delete", "--force", planted).ok()
    assert "may be left" in result.stderr
    assert not (runtime.root / planted).exists()


def test_a_state_of_another_boot_names_no_process(runtime: Runtime, config: Config) -> None:
    """PD-1: pid and start time may be those of another process after a reboot."""
    container = runtime.create(config, "sleep", "600").start()
    pid = container.pid
    path = runtime.root / container.id / "state.json"
    state = json.loads(path.read_text())
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert state["boot"] in ("", boot)
    path.write_text(json.dumps({**state, "boot": "00000000-0000-4000-8000-000000000000"}))
    seen = container.state()
    assert (seen["status"], seen["pid"]) == ("stopped", 0)
    assert "container not running" in container.command("kill", "KILL").stderr
    assert runtime("exec", container.id, "true").status == 255
    assert container.command("start").status == 1
    assert runtime("list", "--quiet").lines == [container.id]
    assert Path(f"/proc/{pid}/stat").exists()
    path.write_text(json.dumps(state))
    assert container.state()["status"] == "running"
    container.delete().ok()


@pytest.mark.parametrize("volatile", [False, True], ids=["disk", "tmpfs"])
def test_only_a_state_that_can_outlive_the_boot_names_it(
    runtime: Runtime, config: Config, volatile: bool
) -> None:
    """PD-1: on a tmpfs no command has to ask for the boot."""
    if volatile:
        machine.mount("none", runtime.root, "tmpfs", data="mode=700")
    elif magic_of(runtime.root) == TMPFS:
        pytest.skip("the temporary files of the tests lie on a tmpfs")
    try:
        container = runtime.create(config, "sleep", "600")
        state = json.loads((runtime.root / container.id / "state.json").read_text())
        assert bool(state["boot"]) != volatile
        container.delete().ok()
    finally:
        if volatile:
            machine.unmount(str(runtime.root))


def test_intents_of_another_boot_name_no_process(
    runtime: Runtime, config: Config, holder: Callable[..., int]
) -> None:
    """PD-1, AR-5."""
    pid = holder("--uts")
    start = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    half = runtime.root / runtime.new_id()
    half.mkdir(mode=0o711)
    other = {"pid": pid, "startTime": start, "boot": "00000000-0000-4000-8000-000000000000"}
    records = [{"kind": kind, **other} for kind in ("process", "hook")]
    (half / "intents").write_text("".join(json.dumps(record) + "\n" for record in records))
    runtime("delete", "--force", half.name).ok()
    os.kill(pid, 0)


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


@pytest.mark.parametrize("kind", ["setuid", "setgid", "capabilities"])
def test_a_privileged_file_refuses_to_run(
    runtime: Runtime, tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    """ST-8, R049, R052, R053, R082: it refuses before it looks at anything of the caller's."""
    place = tmp_path_factory.mktemp("own")
    for parent in (place, *place.parents[:2]):
        parent.chmod(0o711)
    copy, secret = place / "program", place / "log"
    shutil.copy(os.path.realpath(runtime.program), copy)
    if copy.read_bytes()[:2] == b"#!":
        pytest.skip("a script gets nothing from its mode")
    copy.chmod({"setuid": 0o4755, "setgid": 0o2755}.get(kind, 0o755))
    if kind == "capabilities":  # CAP_DAC_OVERRIDE, effective: struct vfs_cap_data, version 2
        os.setxattr(copy, "security.capability", struct.pack("<IIIII", 0x02000001, 2, 0, 0, 0))
    caller = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"]
    argv = [*caller, str(copy), "--log", str(secret), "--root", "/absent", "state", "nothing"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("pyrunc: refused: it runs with more rights than its caller")
    assert not secret.exists()
    plain = place / "plain"
    shutil.copy(copy, plain)
    plain.chmod(0o755)
    argv[argv.index(str(copy))] = str(plain)
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert "refused" not in done.stderr


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
