# SPDX-License-Identifier: Apache-2.0
"""A root file system below a directory of another user that nobody else may enter, and a container
with a user namespace: root as the caller means what root sees there (decision 058).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import machine, mountinfo
from tests.support.bundle import Config
from tests.support.runtime import Container, Runtime
from tests.support.types import Shell

READ_ONLY_REMOUNT = 1 | 32 | 4096  # MS_RDONLY, MS_REMOUNT, MS_BIND
MS_BIND = 4096


@pytest.fixture
def private(config: Config, workspace: Path) -> Config:
    """A user namespace whose root may not pass the directory above the root file system."""
    config.user_namespace()
    home = workspace / "alice"
    home.mkdir()
    config["root"]["path"] = str(home / "tree")
    shutil.move(config.rootfs, home / "tree")
    config.rootfs = home / "tree"
    os.chown(home, 4321, 4321)
    home.chmod(0o700)
    return config


def test_it_starts(shell: Shell, private: Config) -> None:
    private.file("mark", "of alice")
    (private.rootfs / "mark").chmod(0o644)
    assert shell(private, "cat /mark; id -u; echo x > /tmp/new; ls -n /tmp/new").split()[:3] == [
        *("of", "alice0", "-rw-r--r--")
    ]


@pytest.mark.parametrize("flags", [(), ("--no-pivot",)])
def test_the_host_is_out_of_reach(pyrunc: Runtime, private: Config, flags: tuple[str, ...]) -> None:
    lines = pyrunc.run(private, "sh", "-c", "ls -d /.. /../*", flags=flags).ok().lines
    assert "/../mnt" in lines
    assert "/../boot" not in lines


def test_a_read_only_root_with_masks(shell: Shell, private: Config) -> None:
    private["root"]["readonly"] = True
    private.linux["maskedPaths"] = ["/etc/passwd"]
    private.linux["readonlyPaths"] = ["/proc/sys"]
    script = "cat /etc/passwd; touch /file || touch /proc/sys/kernel/panic || true"
    assert shell(private, f"({script}) 2>&1").count("Read-only file system") == 2


def test_what_the_host_has_locked_stays_locked(
    pyrunc: Runtime, private: Config, workspace: Path
) -> None:
    """Decision 003: root inside may not clear the flags of a mount of the host."""
    (private.rootfs / "mnt/in").mkdir()
    volume = private.rootfs / "mnt/in"
    machine.mount("tmpfs", volume, "tmpfs")
    machine.mount("", volume, flags=READ_ONLY_REMOUNT)
    try:
        private.capabilities("CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE")
        script = "mount -o remount,bind,rw /mnt/in || umount /mnt/in || cat /proc/self/mountinfo"
        found = mountinfo.parse(pyrunc.run(private, "sh", "-c", script).ok().stdout)
        assert "ro" in found["/mnt/in"].options
    finally:
        machine.unmount(volume)


@pytest.mark.parametrize("propagation", ["", "slave", "shared"])
def test_nothing_of_it_reaches_the_host(
    shell: Shell, private: Config, propagation: str, workspace: Path
) -> None:
    if propagation:
        private.linux["rootfsPropagation"] = propagation
    before = Path("/proc/self/mountinfo").read_text()
    shell(private, "true")
    assert Path("/proc/self/mountinfo").read_text() == before


def test_what_comes_later_finds_it(
    pyrunc: Runtime, create: Callable[..., Container], private: Config, workspace: Path
) -> None:
    """Exec, an added mount, a comparison, and a bind of a part of the root on another part."""
    private.file("etc/inner", "inner")
    (private.rootfs / "etc/inner").chmod(0o644)
    private.bind(private.rootfs / "etc", "/mnt")
    container = create(private, "sleep", "600").start()
    (workspace / "added").mkdir(mode=0o755)
    (workspace / "added/file").write_text("added")
    mount = {"destination": "/home", "source": str(workspace / "added"), "options": ["bind"]}
    pyrunc("mounts", "add", container.id, "-", stdin=json.dumps([mount])).ok()
    assert container.command("exec", "cat", "/mnt/inner", "/home/file").ok().stdout == "inneradded"
    pyrunc("verify", container.id).ok()


def test_a_create_container_hook_runs_in_it(
    pyrunc: Runtime, private: Config, workspace: Path
) -> None:
    """It has the root file system as its working directory, as elsewhere."""
    private.hook("createContainer", "/bin/sh", "-c", "touch tmp/hooked")
    pyrunc.run(private, "true").ok()
    assert (private.rootfs / "tmp/hooked").exists()


def test_a_joined_user_namespace(
    create: Callable[..., Container],
    shell: Shell,
    make_config: Callable[[], Config],
    private: Config,
) -> None:
    other = make_config()
    other.user_namespace()
    holder = create(other, "sleep", "600").start()
    for namespace in private.linux["namespaces"]:
        if namespace["type"] == "user":
            namespace["path"] = f"/proc/{holder.pid}/ns/user"
    del private.linux["uidMappings"], private.linux["gidMappings"]
    assert shell(private, "id -u") == "0\n"


def test_check_starts_it_too_and_makes_nothing(pyrunc: Runtime, private: Config) -> None:
    shutil.rmtree(private.rootfs / "mnt")
    private.bind("/etc", "/mnt")
    private.process["args"] = ["true"]
    private.write()
    found = pyrunc("check", private.bundle).ok()
    assert "0 error(s)" in found.stdout
    assert not (private.rootfs / "mnt").exists()


def test_a_root_that_is_itself_closed_is_an_error_that_says_so(
    pyrunc: Runtime, private: Config
) -> None:
    os.chown(private.rootfs, 4321, 4321)
    private.rootfs.chmod(0o700)
    found = pyrunc.run(private, "true")
    assert found.status == 1
    assert "enter the rootfs" in found.error
    assert "chown it to that id or chmod a+x" in found.stderr
    assert "/root/path" in found.stderr
