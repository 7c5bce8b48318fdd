# SPDX-License-Identifier: Apache-2.0
"""S2: hostile images. Every place that the set-up touches, occupied by every odd kind of inode.

Whatever is found there, nothing outside the root file system changes, nothing hangs, and nothing is
left. What each layout leads to, the container running or a refusal, is written in layouts.txt and
reviewed like a plan: `make update-plans` writes it again.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bundle import Config
from tests.support.canary import SECRET, Canary
from tests.support.runtime import Runtime

EXPECTED = Path(__file__).with_name("layouts.txt")
PATIENCE_S = 10

Odd = Callable[[Path, Config, Canary], None]


def _link(target: str) -> Odd:
    return lambda path, config, canary: path.symlink_to(target)


def _link_out(path: Path, config: Config, canary: Canary) -> None:
    path.symlink_to(canary.directory)


def _link_out_to_file(path: Path, config: Config, canary: Canary) -> None:
    path.symlink_to(canary.file)


def _climb(path: Path, config: Config, canary: Canary) -> None:
    path.symlink_to("../" * 12 + str(canary.directory).lstrip("/"))


def _chain(path: Path, config: Config, canary: Canary) -> None:
    names = [f"chain{number}" for number in range(41)]
    for name, following in zip(names, [*names[1:], "home"], strict=True):
        (config.rootfs / name).symlink_to(f"/{following}")
    path.symlink_to("/chain0")


def _socket(path: Path, config: Config, canary: Canary) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        # The path may be longer than a socket address: bind beside it and move it there.
        name = config.rootfs.parent / "s"
        made.bind(os.path.relpath(name))
        name.rename(path)


def _node(path: Path, config: Config, canary: Canary) -> None:
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))


def _sparse(path: Path, config: Config, canary: Canary) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 30)


def _hard_link(path: Path, config: Config, canary: Canary) -> None:
    os.link(config.rootfs / "bin/busybox", path)


def _file(path: Path, config: Config, canary: Canary) -> None:
    path.write_text("x")


def _closed(path: Path, config: Config, canary: Canary) -> None:
    path.mkdir()
    path.chmod(0)


ODD: dict[str, Odd] = {
    "link-out": _link_out,
    "link-out-to-file": _link_out_to_file,
    "climbing-link": _climb,
    "link-inside": _link("/home"),
    "link-to-magic-root": _link("/proc/self/root"),
    "link-to-magic-descriptor": _link("/proc/self/fd/3"),
    "dangling-link": _link("absent"),
    "link-loop": lambda path, config, canary: path.symlink_to(path.name),
    "link-chain": _chain,
    "file": _file,
    "directory": lambda path, config, canary: path.mkdir(),
    "closed-directory": _closed,
    "fifo": lambda path, config, canary: os.mkfifo(path),
    "socket": _socket,
    "device": _node,
    "hard-link": _hard_link,
    "sparse-file": _sparse,
}

Use = Callable[[Config, Path], None]


def _nothing(config: Config, volume: Path) -> None:
    """The place is touched by every container."""


def _bare_dev(config: Config, volume: Path) -> None:
    """Nothing is mounted on /dev: the image's own directory is used."""
    config["mounts"] = [entry for entry in config["mounts"] if entry["destination"] == "/proc"]


def _bare_dev_with_mask(config: Config, volume: Path) -> None:
    _bare_dev(config, volume)
    config.linux["maskedPaths"] = ["/etc/passwd"]


def _bind(config: Config, volume: Path) -> None:
    config.bind(volume, "/place")


def _bind_below(config: Config, volume: Path) -> None:
    config.bind(volume, "/place/below")


def _bind_file(config: Config, volume: Path) -> None:
    config.bind(volume / "file", "/place")


def _tmpfs(config: Config, volume: Path) -> None:
    config.mount("/place", "tmpfs", "tmpfs", "ro")


def _masked(config: Config, volume: Path) -> None:
    config.linux["maskedPaths"] = ["/place"]


def _readonly(config: Config, volume: Path) -> None:
    config.linux["readonlyPaths"] = ["/place"]


def _cwd(config: Config, volume: Path) -> None:
    config.process["cwd"] = "/place"


def _cwd_below(config: Config, volume: Path) -> None:
    config.process["cwd"] = "/place/below/it"


def _program(config: Config, volume: Path) -> None:
    config.process["args"] = ["/place"]


def _device(config: Config, volume: Path) -> None:
    config.linux["devices"] = [{"path": "/place", "type": "c", "major": 1, "minor": 3}]


def _device_below(config: Config, volume: Path) -> None:
    config.linux["devices"] = [{"path": "/place/dev", "type": "c", "major": 1, "minor": 3}]


PLACES: dict[str, tuple[str, Use]] = {
    "proc": ("proc", _nothing),
    "sys": ("sys", _nothing),
    "dev": ("dev", _nothing),
    "bare-dev": ("dev", _bare_dev),
    "bare-dev-null": ("dev/null", _bare_dev),
    "bare-dev-null-with-mask": ("dev/null", _bare_dev_with_mask),
    "bare-dev-fd": ("dev/fd", _bare_dev),
    "bare-dev-ptmx": ("dev/ptmx", _bare_dev),
    "bare-dev-console": ("dev/console", _bare_dev),
    "etc": ("etc", _nothing),
    "passwd": ("etc/passwd", _nothing),
    "bind": ("place", _bind),
    "bind-below": ("place", _bind_below),
    "bind-file": ("place", _bind_file),
    "tmpfs": ("place", _tmpfs),
    "masked": ("place", _masked),
    "readonly": ("place", _readonly),
    "cwd": ("place", _cwd),
    "cwd-below": ("place", _cwd_below),
    "program": ("place", _program),
    "device": ("place", _device),
    "device-below": ("place", _device_below),
}

MODES = ("root", "mapped")  # the container's root is the host's, or has a user namespace
CASES = [f"{place} {odd} {mode}" for place in PLACES for odd in ODD for mode in MODES]


def expected() -> dict[str, str]:
    lines = EXPECTED.read_text().splitlines() if EXPECTED.exists() else []
    return dict(line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))


def clear(path: Path) -> None:
    """Make room for the odd inode."""
    if path.is_dir() and not path.is_symlink():
        for entry in path.iterdir():
            clear(entry)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_image_changes_nothing_outside(
    runtime: Runtime,
    config: Config,
    canary: Canary,
    workspace: Path,
    case: str,
    request: pytest.FixtureRequest,
) -> None:
    """AR-1, PR-1, PR-4, MT-6, MT-9, MT-10, CR-3, DV-3, FD-7; R002 R010 R018 R021 R022 R026 to R028
    R037 R038 R044 R054 R061 R069 R093."""
    place, odd, mode = case.split()
    name, use = PLACES[place]
    volume = workspace / "volume"
    volume.mkdir()
    (volume / "file").write_text("volume")
    config.process["args"] = ["true"]
    use(config, volume)
    if mode == "mapped":
        config.user_namespace()  # before: the odd inode stays that of an owner without a mapping
    clear(config.rootfs / name)
    ODD[odd](config.rootfs / name, config, canary)
    result = runtime.run(config, timeout_s=PATIENCE_S)
    assert SECRET not in result.stdout + result.stderr
    outcome = "runs" if result.status == 0 else "refused"
    if request.config.getoption("--update-plans"):
        _record(case, outcome)
    else:
        assert outcome == expected().get(case), result.stderr
    assert outcome == "runs" or len(result.error) < 1024


def _record(case: str, outcome: str) -> None:
    found = {**expected(), case: outcome}
    lines = [f"{name} {found[name]}" for name in CASES if name in found]
    EXPECTED.write_text(
        "# PLACE ODDITY MODE OUTCOME, see test_layouts.py\n" + "\n".join(lines) + "\n"
    )
