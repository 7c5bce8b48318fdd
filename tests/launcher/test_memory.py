# SPDX-License-Identifier: Apache-2.0
"""What a command needs of the machine's memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import bundles
from bench.runtime import Meter
from bench.targets import PEAK_KB


@pytest.fixture(scope="module")
def meter(tmp_path_factory: pytest.TempPathFactory) -> Meter:
    return Meter(tmp_path_factory.mktemp("meter"))


def test_the_plan_of_a_large_configuration_fits(
    launcher: Path, meter: Meter, tmp_path: Path
) -> None:
    """`explain` does all of `create` but making the container."""
    if not bundles.BUSYBOX.exists():
        pytest.skip("the Debian package busybox-static is missing")
    made = bundles.make(tmp_path)
    sample = meter([str(launcher), "--cgroup-manager", "disabled", "explain", str(made["sleep"])])
    assert sample.peak_kb <= PEAK_KB


def test_a_small_command_uses_few_pages(launcher: Path, meter: Meter, tmp_path: Path) -> None:
    """Each page fault costs microseconds; with objects where they happen to lie there are 300."""
    sample = meter([str(launcher), "--root", str(tmp_path / "absent"), "list"])
    assert sample.faults <= 250
    assert sample.peak_kb <= 8 * 1024
