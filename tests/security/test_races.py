# SPDX-License-Identifier: Apache-2.0
"""S4: a sibling swaps what lies in a shared volume while containers are set up.

It exchanges a directory (or file) and a link to the canary tree with RENAME_EXCHANGE, as fast as it
can. A container may fail to start; it may never reach outside.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import machine, mountinfo
from tests.support.bundle import Config
from tests.support.canary import SECRET, Canary
from tests.support.runtime import Runtime

ROUNDS = int(os.environ.get("PYRUNC_RACE_ROUNDS", "12"))
FLIP = """
import ctypes, sys
libc = ctypes.CDLL(None)
one, two = (name.encode() for name in sys.argv[1:])
while True:
    libc.renameat2(-100, one, -100, two, 2)
"""


@pytest.fixture
def flip() -> Iterator[Callable[[Path, Path], None]]:
    """flip(one, two): exchange two names for ever, beside the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(one: Path, two: Path) -> None:
        assert ctypes.CDLL(None).renameat2(-100, str(one).encode(), -100, str(two).encode(), 2) == 0
        started.append(subprocess.Popen([sys.executable, "-ISc", FLIP, str(one), str(two)]))

    yield start
    for process in started:
        process.kill()
        process.wait()


def swapped(config: Config, canary: Canary, name: str) -> tuple[Path, Path]:
    """A directory of the image and, beside it, a link out of it."""
    place, link = config.rootfs / name, config.rootfs / f"{name}.link"
    place.mkdir(parents=True, exist_ok=True)
    link.symlink_to(canary.directory)
    return place, link


def rounds(runtime: Runtime, config: Config, script: str) -> list[str]:
    """What those containers wrote that ran; the others must have failed with a reason."""
    config.process["args"] = ["sh", "-c", script]
    outputs = []
    before = machine.mounts()
    for _ in range(ROUNDS):
        result = runtime.run(config, timeout_s=20)
        assert result.status == 0 or result.error
        assert SECRET not in result.stdout
        assert machine.mounts() == before
        outputs += [result.stdout] if result.status == 0 else []
    return outputs


def test_a_mount_target_that_is_swapped(
    runtime: Runtime,
    config: Config,
    canary: Canary,
    workspace: Path,
    flip: Callable[[Path, Path], None],
) -> None:
    """MT-1, AR-1, R011."""
    (workspace / "volume").mkdir()
    flip(*swapped(config, canary, "place"))
    config.bind(workspace / "volume", "/place")
    rounds(runtime, config, "cat /proc/self/mountinfo")


def test_a_parent_of_a_missing_target_that_is_swapped(
    runtime: Runtime,
    config: Config,
    canary: Canary,
    workspace: Path,
    flip: Callable[[Path, Path], None],
) -> None:
    """PR-4, R017: neither a directory nor a file is made outside."""
    (workspace / "file").write_text("x")
    flip(*swapped(config, canary, "place"))
    config.bind(workspace / "file", "/place/new/deeper/file")
    config.mount("/place/newer/tmp", "tmpfs", "tmpfs")
    rounds(runtime, config, "true")


def test_a_read_only_path_that_is_swapped(
    runtime: Runtime, config: Config, canary: Canary, flip: Callable[[Path, Path], None]
) -> None:
    """MT-1, MT-10, R040: what is seen at the name is read-only, or it was absent at that moment."""
    place, link = swapped(config, canary, "place")
    (place / "conf").mkdir()
    flip(place, link)
    config.linux["readonlyPaths"] = ["/place/conf"]
    for output in rounds(runtime, config, "cat /proc/self/mountinfo"):
        for target, mount in mountinfo.parse(output).items():
            if target.endswith("/conf"):
                assert "ro" in mount.options


def test_a_masked_directory_that_is_swapped(
    runtime: Runtime, config: Config, canary: Canary, flip: Callable[[Path, Path], None]
) -> None:
    """MT-9, MT-10, R018."""
    place, link = swapped(config, canary, "place")
    (place / "hidden").write_text("hidden")
    flip(place, link)
    config.linux["maskedPaths"] = ["/place"]
    rounds(runtime, config, "ls /place /place.link")


def test_a_dev_that_is_swapped(
    runtime: Runtime, config: Config, canary: Canary, flip: Callable[[Path, Path], None]
) -> None:
    """DV-3, R021, R026: no node and no link is made outside, none is removed there."""
    config["mounts"] = [entry for entry in config["mounts"] if entry["destination"] == "/proc"]
    flip(*swapped(config, canary, "dev"))
    rounds(runtime, config, "true")


def test_a_null_device_that_is_swapped(
    runtime: Runtime, config: Config, canary: Canary, flip: Callable[[Path, Path], None]
) -> None:
    """MT-9, DV-5, R018, R028, R038."""
    config["mounts"] = [entry for entry in config["mounts"] if entry["destination"] == "/proc"]
    null, link = config.rootfs / "dev/null", config.rootfs / "dev/null.link"
    os.mknod(null, 0o20666, os.makedev(1, 3))
    link.symlink_to(canary.file)
    config.file("etc/hidden", "hidden")
    config.linux["maskedPaths"] = ["/etc/hidden"]
    flip(null, link)
    for output in rounds(runtime, config, "cat /etc/hidden"):
        assert output == ""


def test_a_proc_that_is_swapped(
    runtime: Runtime, config: Config, canary: Canary, flip: Callable[[Path, Path], None]
) -> None:
    """MT-6, PS-1, R010, R037."""
    flip(*swapped(config, canary, "proc"))
    rounds(runtime, config, "cat /proc/self/status")


def test_a_working_directory_that_is_swapped(
    runtime: Runtime, config: Config, canary: Canary, flip: Callable[[Path, Path], None]
) -> None:
    """FD-7, R016, R069."""
    flip(*swapped(config, canary, "place"))
    config.process["cwd"] = "/place/down"
    for output in rounds(runtime, config, "pwd"):
        assert not output.startswith("(unreachable)")


def test_a_device_directory_that_is_swapped(
    runtime: Runtime, config: Config, canary: Canary, flip: Callable[[Path, Path], None]
) -> None:
    """DV-3, DV-4."""
    flip(*swapped(config, canary, "place"))
    config.linux["devices"] = [
        {"path": "/place/node", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600, "uid": 7}
    ]
    rounds(runtime, config, "true")


def test_a_console_that_is_swapped(
    runtime: Runtime, config: Config, canary: Canary, flip: Callable[[Path, Path], None]
) -> None:
    """CN-3, R027: the terminal is bound on a file of the image or nowhere."""
    kept = ("/proc", "/dev/pts")
    config["mounts"] = [entry for entry in config["mounts"] if entry["destination"] in kept]
    console, link = config.rootfs / "dev/console", config.rootfs / "dev/console.link"
    console.write_text("")
    link.symlink_to(canary.file)
    config.process["terminal"] = True
    flip(console, link)
    for output in rounds(runtime, config, "grep -c ' /dev/console' /proc/self/mountinfo; true"):
        assert output.strip() in ("0", "1")


def test_a_passwd_that_is_swapped_for_a_fifo(
    runtime: Runtime, config: Config, flip: Callable[[Path, Path], None]
) -> None:
    """CR-3, R061: it never waits for a writer."""
    passwd, fifo = config.rootfs / "etc/passwd", config.rootfs / "etc/fifo"
    os.mkfifo(fifo)
    flip(passwd, fifo)
    assert len(rounds(runtime, config, "echo $HOME")) == ROUNDS


def test_renames_beside_a_target_do_not_make_set_up_fail(
    runtime: Runtime, config: Config, workspace: Path, flip: Callable[[Path, Path], None]
) -> None:
    """PR-2, R092: openat2 answers EAGAIN while names move; that is tried again."""
    (workspace / "volume").mkdir()
    for name in ("one", "two"):
        (config.rootfs / "beside" / name).mkdir(parents=True)
    (config.rootfs / "place/a/b/c").mkdir(parents=True)
    flip(config.rootfs / "beside/one", config.rootfs / "beside/two")
    config.bind(workspace / "volume", "/place/a/../a/b/../b/c")
    assert len(rounds(runtime, config, "true")) == ROUNDS
