# SPDX-License-Identifier: Apache-2.0
"""Which mounts of the host appear in a container, and the other way round (decision 025).

The host's mounts are shared, as systemd makes them.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import machine, mountinfo
from tests.support.bundle import Config
from tests.support.runtime import Container

MS_BIND, MS_PRIVATE, MS_SHARED = 0x1000, 1 << 18, 1 << 20
Create = Callable[..., Container]
KINDS = ("", "private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable")
APART = ("private", "rprivate", "unbindable")

# (rootfsPropagation, option of the mount) -> what the mount is: "in" receives from the host,
# "out" sends to it.
NONE, IN, BOTH = "", "in", "in out"
WITHOUT_OPTION = {
    "": IN, "private": NONE, "rprivate": NONE, "slave": IN, "rslave": IN,
    "shared": BOTH, "rshared": BOTH, "unbindable": NONE,
}  # fmt: skip
SLAVE = {kind: NONE if kind == "rprivate" else IN for kind in KINDS}
SHARED = {
    "": IN, "private": BOTH, "rprivate": NONE, "slave": BOTH, "rslave": IN,
    "shared": BOTH, "rshared": BOTH, "unbindable": BOTH,
}  # fmt: skip
OPTIONS = {"": WITHOUT_OPTION, "rslave": SLAVE, "slave": SLAVE, "rshared": SHARED, "shared": SHARED}
CASES = [
    (kind, option, table.get(kind))
    for option, table in {**OPTIONS, "rprivate": {}, "private": {}}.items()
    for kind in KINDS
]


@contextmanager
def shared(path: Path) -> Iterator[Path]:
    """Make a directory a shared mount of its own."""
    machine.mount(str(path), path, flags=MS_BIND)
    machine.mount("", path, flags=MS_SHARED)
    try:
        yield path
    finally:
        machine.unmount(path)


@pytest.fixture
def volume(workspace: Path) -> Iterator[Path]:
    for name in ("late", "inner"):
        (workspace / "volume" / name).mkdir(parents=True)
    with shared(workspace / "volume") as found:
        yield found


def mounts(pid: int | str) -> dict[str, mountinfo.Mount]:
    return mountinfo.parse(Path(f"/proc/{pid}/mountinfo").read_text())


def mount_inside(container: Container, path: str) -> None:
    where = f"/proc/{container.pid}"
    enter = ["nsenter", f"--mount={where}/ns/mnt", f"--root={where}/root"]
    subprocess.run([*enter, "mount", "-t", "tmpfs", "none", path], check=True)


def flow(container: Container, host: Path, path: str) -> str:
    """Mount below a directory on both sides, and tell what appears on the other."""
    found = []
    machine.mount("none", host / "late", "tmpfs")
    try:
        if f"{path}/late" in mounts(container.pid):
            found.append("in")
    finally:
        machine.unmount(host / "late")
    mount_inside(container, f"{path}/inner")
    if str(host / "inner") in mounts("self"):
        machine.unmount(host / "inner")
        found.append("out")
    return " ".join(found)


def settle(config: Config, volume: Path, kind: str, option: str) -> None:
    if kind:
        config.linux["rootfsPropagation"] = kind
    config.bind(volume, "/mnt", "rbind", *filter(None, [option]))


@pytest.mark.parametrize(("kind", "option", "expected"), CASES)
def test_a_mount_takes_part_in_what_its_options_say(
    create: Create, config: Config, volume: Path, kind: str, option: str, expected: str | None
) -> None:
    settle(config, volume, kind, option)
    assert flow(create(config, "true"), volume, "/mnt") == (expected or NONE)


@pytest.mark.parametrize("kind", KINDS)
def test_an_id_mapped_mount_takes_part_as_one_without_a_map(
    create: Create, config: Config, volume: Path, kind: str
) -> None:
    """Its clone is made outside, where it is a peer of the host's."""
    settle(config, volume, kind, "")
    ids = [{"containerID": 0, "hostID": 0, "size": 1000}]
    config["mounts"][-1].update(uidMappings=ids, gidMappings=ids)
    assert flow(create(config, "true"), volume, "/mnt") == WITHOUT_OPTION[kind]


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("option", ["", "rshared", "rslave"])
@pytest.mark.parametrize("kind", ["", "private", "slave", "shared"])
def test_nothing_gets_out_of_a_user_namespace(
    create: Create, config: Config, volume: Path, kind: str, option: str, mapped: bool
) -> None:
    settle(config, volume, kind, option)
    ids = [{"containerID": 0, "hostID": 0, "size": 70000}]
    config.linux["namespaces"].append({"type": "user"})
    config.linux.update(uidMappings=ids, gidMappings=ids)
    if mapped:
        config["mounts"][-1].update(uidMappings=ids, gidMappings=ids)
    expected = NONE if kind == "private" and not option else IN
    assert flow(create(config, "true"), volume, "/mnt") == expected


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_root_that_is_a_slave_receives_mounts_of_the_host(
    create: Create, config: Config, kind: str
) -> None:
    for name in ("late", "inner"):
        (config.rootfs / "srv" / name).mkdir(parents=True)
    if kind:
        config.linux["rootfsPropagation"] = kind
    with shared(config.rootfs):
        container = create(config, "true")
        expected = IN if kind in ("slave", "rslave") else NONE
        assert flow(container, config.rootfs / "srv", "/srv") == expected
        container.delete()


@pytest.mark.parametrize("kind", ["", "slave", "shared"])
def test_a_volume_in_the_rootfs_does_not_get_out(create: Create, config: Config, kind: str) -> None:
    """An engine's mount below the rootfs is cloned with the root."""
    for name in ("late", "inner"):
        (config.rootfs / "srv" / name).mkdir(parents=True)
    if kind:
        config.linux["rootfsPropagation"] = kind
    with shared(config.rootfs / "srv") as inner:
        container = create(config, "true")
        assert flow(container, inner, "/srv") == (IN if kind == "slave" else NONE)
        container.delete()


@pytest.mark.parametrize("option", ["", "rprivate"])
def test_a_mount_on_an_id_mapped_one_stays_in_the_container(
    create: Create, config: Config, volume: Path, option: str
) -> None:
    """The first mount is attached before the second is made on it."""
    config.user_namespace()
    before = set(mounts("self"))
    for source, target in ((volume, "/mnt"), (volume / "inner", "/mnt/inner")):
        config.bind(source, target, "rbind", "idmap", *filter(None, [option]))
    assert "/mnt/inner" in mounts(create(config, "true").pid)
    assert set(mounts("self")) == before
