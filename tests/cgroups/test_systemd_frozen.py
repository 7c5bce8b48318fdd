# SPDX-License-Identifier: Apache-2.0
"""`start` and `exec` below a unit that systemd has frozen since the container was made."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import machine
from tests.support.bundle import Config
from tests.support.runtime import Container, Runtime

pytestmark = pytest.mark.skipif(
    not Path("/run/systemd/system").is_dir(), reason="systemd is not running"
)

UNIT = f"q{machine.TOKEN}.slice"


def systemctl(verb: str, unit: str) -> None:
    subprocess.run(["systemctl", verb, unit], check=True)


@pytest.fixture
def container(pyrunc: Runtime, config: Config) -> Iterator[Container]:
    """A container that waits for `start`, in a scope of a slice of its own."""
    systemd = replace(pyrunc, globals=("--systemd-cgroup",))
    config.linux["cgroupsPath"] = f"{UNIT}:pyrunc:{machine.TOKEN}q"
    made = systemd.create(config, "sleep", "600")
    yield made
    systemctl("thaw", UNIT)
    made.delete().ok()
    subprocess.run(["systemctl", "stop", UNIT], check=False)


@pytest.mark.parametrize("started", [False, True])
def test_nothing_runs_below_a_slice_that_was_frozen_later(
    container: Container, started: bool
) -> None:
    """Refused at once, with the cgroup that is frozen; thawed, it goes on."""
    if started:
        container.start()
    argv = ("exec", container.id, "true") if started else ("start", container.id)
    systemctl("freeze", UNIT)
    result = container.runtime(*argv)
    assert result.status in (1, 255)
    assert "container's cgroup unexpectedly frozen: /sys/fs/cgroup/" in result.error
    assert UNIT in result.error
    # A new systemd freezes what is below one by one, an old one the slice alone.
    assert container.state()["status"] in ("paused", "running" if started else "created")
    if container.state()["status"] == "paused":
        resumed = container.runtime("resume", container.id).ok()
        assert f"stays frozen with a cgroup above it: /sys/fs/cgroup/{UNIT}" in resumed.stderr
    systemctl("thaw", UNIT)
    container.runtime(*argv).ok()
