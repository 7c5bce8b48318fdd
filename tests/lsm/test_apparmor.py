# SPDX-License-Identifier: Apache-2.0
"""AppArmor: the profile binds the program of create and of exec, or nothing starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.lsm.kinds import DENIED, KINDS
from tests.support.bundle import Config
from tests.support.runtime import Result, Runtime

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("apparmor")]

READ = "cat /proc/self/attr/current; cat /open; cat /secret"
NOBODY = "no-such-profile"


@pytest.mark.parametrize("kind", KINDS)
def test_a_denied_read_is_denied_to_the_first_process(
    run: Callable[..., Result], secret: Config, kind: Callable[[Config], None]
) -> None:
    """CR-7"""
    kind(secret)
    assert "hidden" in run(secret, "cat", "/secret").ok().stdout
    secret.process["apparmorProfile"] = "pyrunc-test"
    result = run(secret, "sh", "-c", READ)
    assert result.lines == ["pyrunc-test (enforce)", "shown"]
    assert DENIED.format("/secret") in result.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_denied_read_is_denied_to_an_executed_process(
    runtime: Runtime, secret: Config, kind: Callable[[Config], None]
) -> None:
    """JN-7: the container's own profile, and another one that is asked for."""
    kind(secret)
    secret.process["apparmorProfile"] = "pyrunc-test"
    container = runtime.create(secret, "sleep", "60").start()
    own = container.command("exec", "sh", "-c", READ)
    other = runtime("exec", "--apparmor", "pyrunc-other", container.id, "sh", "-c", READ)
    container.delete()
    assert own.lines == ["pyrunc-test (enforce)", "shown"]
    assert DENIED.format("/secret") in own.stderr
    assert other.lines == ["pyrunc-other (enforce)", "hidden"]
    assert DENIED.format("/open") in other.stderr


def test_without_a_profile_and_as_unconfined_everything_is_read(
    run: Callable[..., Result], secret: Config
) -> None:
    for profile in ({}, {"apparmorProfile": "unconfined"}, {"apparmorProfile": ""}):
        secret.process.update(profile)
        assert run(secret, "sh", "-c", READ).ok().lines == ["unconfined", "shown", "hidden"]


@pytest.mark.parametrize("more", [{}, {"noNewPrivileges": False}])
def test_an_unknown_profile_is_refused(
    runtime: Runtime, secret: Config, more: dict[str, Any]
) -> None:
    secret.process.update(more, apparmorProfile=NOBODY)
    result = runtime.run(secret, "touch", "/never")
    assert result.status != 0
    assert NOBODY in result.error
    assert not (secret.rootfs / "never").exists()


def test_an_unknown_profile_is_refused_to_an_executed_process(
    runtime: Runtime, secret: Config
) -> None:
    container = runtime.create(secret, "sleep", "60").start()
    result = runtime("exec", "--apparmor", NOBODY, container.id, "touch", "/never")
    container.delete()
    assert result.status != 0
    assert NOBODY in result.error
    assert not (secret.rootfs / "never").exists()


def test_an_selinux_label_is_an_error_here(runtime: Runtime, secret: Config) -> None:
    """The module that is not active is missing although another one is."""
    secret.process["selinuxLabel"] = "system_u:system_r:container_t:s0"
    assert "selinux is disabled or not supported" in runtime.run(secret, "true").stderr
