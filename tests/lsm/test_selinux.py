# SPDX-License-Identifier: Apache-2.0
"""SELinux: the labels of the program and of the mounts have effect for create and for exec, or
nothing starts.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.lsm.kinds import DENIED, KINDS
from tests.support.bundle import Config
from tests.support.runtime import Result, Runtime

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("selinux")]

CONTAINER = "system_u:system_r:container_t:s0:c1,c2"
OTHER = "system_u:system_r:other_t:s0"
UNKNOWN = "system_u:system_r:nobody_t:s0"
SECRET = "system_u:object_r:secret_t:s0"
FILES = "system_u:object_r:file_t:s0:c1,c2"
READ = "tr -d '\\0' </proc/self/attr/current; echo; cat /open; cat /secret"


@pytest.fixture
def labelled(secret: Config) -> Config:
    """The bundle with /secret labelled so that container_t may not read it."""
    os.setxattr(secret.rootfs / "secret", "security.selinux", SECRET.encode() + b"\0")
    return secret


@pytest.mark.parametrize("kind", KINDS)
def test_a_denied_read_is_denied_to_the_first_process(
    run: Callable[..., Result], labelled: Config, kind: Callable[[Config], None]
) -> None:
    """CR-7"""
    kind(labelled)
    assert "hidden" in run(labelled, "cat", "/secret").ok().stdout
    labelled.process["selinuxLabel"] = CONTAINER
    result = run(labelled, "sh", "-c", READ)
    assert result.lines == [CONTAINER, "shown"]
    assert DENIED.format("/secret") in result.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_denied_read_is_denied_to_an_executed_process(
    runtime: Runtime, labelled: Config, kind: Callable[[Config], None]
) -> None:
    """JN-7: the container's own label, and another one that is asked for."""
    kind(labelled)
    labelled.process["selinuxLabel"] = CONTAINER
    container = runtime.create(labelled, "sleep", "60").start()
    own = container.command("exec", "sh", "-c", READ)
    lower = CONTAINER.partition(":c1")[0]
    other = runtime("exec", "--process-label", lower, container.id, "sh", "-c", READ)
    container.delete()
    assert own.lines == [CONTAINER, "shown"]
    assert DENIED.format("/secret") in own.stderr
    assert other.lines == [lower, "shown"]


@pytest.mark.parametrize(("label", "word"), [(UNKNOWN, UNKNOWN), (OTHER, "exec /bin/touch")])
def test_a_label_that_the_policy_does_not_give_is_refused(
    runtime: Runtime, labelled: Config, label: str, word: str
) -> None:
    """The unknown one when it is written, the forbidden one when the program is executed."""
    labelled.process["selinuxLabel"] = label
    result = runtime.run(labelled, "touch", "/never")
    assert result.status != 0
    assert word in result.error
    assert not (labelled.rootfs / "never").exists()


@pytest.mark.parametrize(("label", "word"), [(UNKNOWN, UNKNOWN), (OTHER, "exec /bin/touch")])
def test_a_label_that_the_policy_does_not_give_is_refused_to_an_executed_process(
    runtime: Runtime, labelled: Config, label: str, word: str
) -> None:
    container = runtime.create(labelled, "sleep", "60").start()
    result = runtime("exec", "--process-label", label, container.id, "touch", "/never")
    container.delete()
    assert result.status != 0
    assert word in result.error
    assert not (labelled.rootfs / "never").exists()


def label_of(path: str) -> str:
    return os.getxattr(path, "security.selinux").decode().rstrip("\0")


def test_new_file_systems_get_the_mount_label(runtime: Runtime, labelled: Config) -> None:
    labelled.process["selinuxLabel"] = CONTAINER
    labelled.linux["mountLabel"] = FILES
    container = runtime.create(labelled, "sh", "-c", "echo x >/dev/shm/made; sleep 60").start()
    assert container.command("exec", "cat", "/dev/shm/made").ok().stdout == "x\n"
    root = f"/proc/{container.pid}/root"
    assert {label_of(root + path) for path in ("/dev", "/dev/shm", "/dev/shm/made")} == {FILES}
    assert label_of(root + "/open") != FILES
    container.delete()


def test_the_mount_label_decides_what_the_container_may_do(
    run: Callable[..., Result], labelled: Config
) -> None:
    labelled.process["selinuxLabel"] = CONTAINER
    labelled.mount("/mnt", "tmpfs", "tmpfs")
    run(labelled, "sh", "-c", "echo x >/mnt/made").ok()
    labelled.linux["mountLabel"] = SECRET
    result = run(labelled, "sh", "-c", "echo x >/mnt/made")
    assert result.status != 0
    assert "Permission denied" in result.stderr


def test_an_unknown_mount_label_is_refused(runtime: Runtime, labelled: Config) -> None:
    labelled.linux["mountLabel"] = UNKNOWN
    result = runtime.run(labelled, "touch", "/never")
    assert result.status != 0
    assert "mount" in result.error
    assert not (labelled.rootfs / "never").exists()


def test_an_apparmor_profile_is_an_error_here(runtime: Runtime, labelled: Config) -> None:
    """The module that is not active is missing although another one is."""
    labelled.process["apparmorProfile"] = "some-profile"
    assert "apparmor is disabled or not supported" in runtime.run(labelled, "true").stderr
