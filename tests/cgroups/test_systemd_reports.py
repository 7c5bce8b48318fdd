# SPDX-License-Identifier: Apache-2.0
"""What users of other runtimes report of units (docs/field.md)."""

from __future__ import annotations

import os
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


@pytest.fixture
def systemd(pyrunc: Runtime) -> Runtime:
    return replace(pyrunc, globals=("--systemd-cgroup",))


@pytest.fixture
def masked() -> Iterator[str]:
    """A slice in which systemd makes no unit."""
    unit = f"m{machine.TOKEN}.slice"
    subprocess.run(["systemctl", "mask", "--runtime", unit], check=True, capture_output=True)
    yield unit
    subprocess.run(["systemctl", "unmask", "--runtime", unit], check=True, capture_output=True)


def test_a_unit_that_systemd_refuses_is_an_error_and_nothing_runs(
    systemd: Runtime, config: Config, masked: str
) -> None:
    """Other runtimes ran it in the caller's cgroup, and changed and removed that."""
    own = Path("/proc/self/cgroup").read_text()
    config.linux["cgroupsPath"] = f"{masked}:pyrunc:{machine.TOKEN}m"
    config.linux["resources"] = {"pids": {"limit": 7}}
    config.process["args"] = ["sleep", "600"]
    config.write()
    known = systemd.new_id()
    refused = systemd("run", "--detach", "--bundle", config.bundle, known)
    assert refused.status == 1
    assert "cannot start the systemd unit" in refused.stderr
    assert f"{masked} is masked" in refused.stderr
    assert not (systemd.root / known).exists()
    assert Path("/proc/self/cgroup").read_text() == own


def test_a_name_is_used_again_after_its_unit_has_ended(systemd: Runtime, config: Config) -> None:
    config.linux["cgroupsPath"] = f":pyrunc:{machine.TOKEN}again"
    config.process["args"] = ["sleep", "600"]
    config.write()
    for _again in range(3):
        container = Container(systemd, systemd.new_id(), config)
        container.create()
        container.start()
        os.kill(container.pid, 9)
        container.wait()
        container.delete(force=False).ok()
