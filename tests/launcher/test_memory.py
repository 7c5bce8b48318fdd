# SPDX-License-Identifier: Apache-2.0
"""What a command needs of the machine's memory."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from bench import bundles
from bench.runtime import Meter
from bench.targets import PEAK_KB
from tests.support.bundle import Config
from tests.support.runtime import Runtime
from tests.support.wait import until

HEAP = "100000000000-"  # HEAP_BASE of csrc/launcher/region.h
# What a `run` has copied of the dump, in kB; counters in adapted code alone would make it 280.
COPIED_KB = 100


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


def copied_kb(pid: int) -> int:
    """Return how much of the dumped heap a process has written to."""
    text = Path(f"/proc/{pid}/smaps").read_text()
    _, heap = text.split(HEAP, 1)
    found = re.search(r"^Anonymous: +(\d+) kB", heap, re.MULTILINE)
    assert found
    return int(found[1])


@pytest.mark.root
def test_a_command_leaves_the_pages_of_the_dump_as_they_are(
    launcher: Path, pyrunc: Runtime, config: Config
) -> None:
    """Neither reference counts nor the counters of adapted code are written."""
    config.process["args"] = ["sleep", "600"]
    config.write()
    name = pyrunc.new_id()
    argv = [str(launcher), *pyrunc.argv("run", "--bundle", config.bundle, name)[1:]]
    null = subprocess.DEVNULL
    with subprocess.Popen(argv, stdin=null, stdout=null, stderr=null) as command:
        try:
            until(lambda: '"running"' in pyrunc("state", name).stdout, "the start of the container")
            assert copied_kb(command.pid) <= COPIED_KB
        finally:
            pyrunc("delete", "--force", name)
