# SPDX-License-Identifier: Apache-2.0
"""`mounts add` and `mounts remove`: mounts of a container that runs, whatever its processes do."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.features.conftest import Mode
from tests.support import machine, mountinfo, strace
from tests.support.bundle import Config
from tests.support.runtime import Container, Result, Runtime
from tests.support.types import Create

feature = pytest.mark.feature
pytestmark = feature("2.105 mounts add|remove")
MS_RDONLY, MS_NOSUID = 1, 2


def change(container: Container, action: str, *mounts: dict[str, Any]) -> Result:
    """`mounts add` or `mounts remove`, from the standard input."""
    text = json.dumps({"mounts": mounts})
    return container.runtime("mounts", action, container.id, "-", stdin=text)


def bind(source: Path | str, destination: str, *options: str) -> dict[str, Any]:
    return {
        "destination": destination,
        "source": str(source),
        "options": ["bind", *options],
    }


def inside(container: Container, script: str) -> str:
    return container.runtime("exec", container.id, "sh", "-ec", script).ok().stdout


def seen(container: Container) -> dict[str, mountinfo.Mount]:
    return mountinfo.parse(inside(container, "cat /proc/self/mountinfo"))


@pytest.fixture
def data(workspace: Path) -> Path:
    """A directory of the host."""
    directory = workspace / "data"
    directory.mkdir()
    (directory / "file").write_text("from the host")
    return directory


def test_mounts_are_added_to_a_running_container_and_removed(mode: Mode, data: Path) -> None:
    """As root, in a user namespace, and as a user without privileges."""
    container = mode.start("sleep", "600")
    wanted = [
        bind(data, "/data", "ro", "nosuid"),
        {"destination": "/new/scratch", "type": "tmpfs", "source": "x", "options": ["size=64k"]},
        bind(data / "file", "/etc/one-file"),
    ]
    mode.mounts("add", container, *wanted).ok()
    script = "cat /data/file /etc/one-file; touch /new/scratch/a; cat /proc/self/mountinfo"
    text = mode.inside(container, script)
    assert text.startswith("from the hostfrom the host")
    found = mountinfo.parse(text)
    assert {"ro", "nosuid"} <= set(found["/data"].options)
    assert found["/new/scratch"].fstype == "tmpfs"
    mode.mounts("remove", container, *wanted).ok()
    found = mountinfo.parse(mode.inside(container, "cat /proc/self/mountinfo"))
    assert not {"/data", "/new/scratch", "/etc/one-file"} & found.keys()


def test_the_file_may_be_an_array(running: Container, data: Path, workspace: Path) -> None:
    file = workspace / "mounts.json"
    file.write_text(json.dumps([bind(data, "/data")]))
    running.runtime("mounts", "add", running.id, file).ok()
    assert inside(running, "cat /data/file") == "from the host"


def test_a_container_that_is_created_or_paused_can_get_mounts(
    create: Create, config: Config, data: Path
) -> None:
    container = create(config, "sleep", "600")
    change(container, "add", bind(data, "/first")).ok()
    container.start()
    container.command("pause").ok()
    change(container, "add", bind(data, "/second")).ok()
    container.command("resume").ok()
    assert {"/first", "/second"} <= seen(container).keys()


def test_file_systems_are_those_of_the_containers_namespaces(
    create: Create, config: Config
) -> None:
    config.user_namespace()
    container = create(config, "sleep", "600").start()
    change(
        container,
        "add",
        {"destination": "/mnt", "type": "proc", "source": "proc"},
        {"destination": "/cg", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
    ).ok()
    pids = inside(container, "ls /mnt").split()
    assert "1" in pids
    assert len([one for one in pids if one.isdigit()]) <= 4
    assert inside(container, "ls /cg").split()
    change(container, "remove", {"destination": "/cg", "type": "cgroup", "source": "x"}).ok()
    assert inside(container, "ls /cg") == ""


def test_owners_are_mapped(create: Create, config: Config, data: Path) -> None:
    os.chown(data / "file", 1000, 1000)
    config.user_namespace()
    container = create(config, "sleep", "600").start()
    change(container, "add", bind(data, "/data", "idmap")).ok()
    assert inside(container, "stat -c %u /data/file").strip() == "1000"


@pytest.fixture
def locked(workspace: Path) -> Iterator[Path]:
    """A mount of the host that is read-only and nosuid."""
    directory = workspace / "locked"
    directory.mkdir()
    machine.mount("tmpfs", directory, "tmpfs", flags=MS_RDONLY | MS_NOSUID)
    yield directory
    machine.unmount(directory)


def test_flags_of_the_host_are_locked_in_a_user_namespace(
    create: Create, config: Config, locked: Path
) -> None:
    config.user_namespace()
    config.capabilities("CAP_SYS_ADMIN")
    container = create(config, "sleep", "600").start()
    change(container, "add", bind(locked, "/data")).ok()
    assert {"ro", "nosuid"} <= set(seen(container)["/data"].options)
    script = "mount -o remount,bind,rw /data 2>&1 || echo refused"
    assert "refused" in inside(container, script)
    assert "ro" in seen(container)["/data"].options


def test_what_the_container_mounts_below_does_not_reach_the_host(
    create: Create, config: Config, workspace: Path
) -> None:
    """The host shares its mount with peers; the clone is none of them."""
    shared = workspace / "shared"
    shared.mkdir()
    machine.mount("tmpfs", shared, "tmpfs")
    machine.mount("none", shared, flags=1 << 20)  # MS_SHARED
    (shared / "below").mkdir()
    config.capabilities("CAP_SYS_ADMIN")
    container = create(config, "sleep", "600").start()
    try:
        change(container, "add", bind(shared, "/data")).ok()
        inside(container, "mount -t tmpfs x /data/below; touch /data/below/inside")
        assert os.listdir(shared / "below") == []
    finally:
        machine.unmount(shared)


def test_a_failure_takes_back_what_was_mounted_before(running: Container, data: Path) -> None:
    result = change(running, "add", bind(data, "/data"), bind("/no/such/source", "/other"))
    assert result.status == 1
    result = change(
        running,
        "add",
        bind(data, "/data"),
        {"destination": "/other", "type": "no-such-fs", "source": "x"},
        bind(data, "/etc/passwd"),
    )
    assert result.status == 1
    assert "/mounts/1" in result.stderr
    result = change(running, "add", bind(data, "/data"), bind(data, "/etc/passwd"))
    assert "cannot bind" in result.error
    assert "/mounts/1" in result.stderr
    assert "/data" not in seen(running)
    assert change(running, "remove", bind(data, "/data")).status == 1


# -- a container that is hostile -------------------------------------------------------------------


def test_a_link_of_the_container_leads_into_the_container(running: Container, data: Path) -> None:
    inside(running, "ln -s /etc /away; ln -s ../../../../../../tmp /up")
    change(running, "add", bind(data, "/away"), bind(data, "/up")).ok()
    assert {"/etc", "/tmp"} <= seen(running).keys()


def test_nothing_is_mounted_on_the_kernels_files(running: Container, data: Path) -> None:
    """Neither by its name nor through a link that was put there."""
    inside(running, "ln -s /proc/sys /link")
    for destination in ("/proc/sys", "/proc", "/link", "/link/kernel"):
        result = change(running, "add", bind(data, destination))
        assert result.status == 1, destination
    assert not [path for path in seen(running) if path.startswith("/proc/sys/")]


def test_only_what_was_added_is_removed(create: Create, config: Config, data: Path) -> None:
    """A link that now leads to a mask takes no mask away."""
    config.linux["maskedPaths"] = ["/proc/keys", "/sys/firmware"]
    container = create(config, "sleep", "600").start()
    change(container, "add", bind(data, "/data/deep")).ok()
    inside(container, "mv /data /moved 2>/dev/null || true; ln -s /proc /other")
    for destination in ("/proc", "/dev", "/other/keys", "/proc/keys"):
        result = change(container, "remove", bind(data, destination))
        assert result.status == 1
        assert "no mount was added" in result.error or "inside /proc" in result.error
    change(container, "remove", bind(data, "/data/deep")).ok()
    assert inside(container, "cat /proc/keys") == ""
    assert not [path for path in seen(container) if path.endswith("/deep")]


def test_a_mount_over_ours_stays_and_is_named(create: Create, config: Config, data: Path) -> None:
    config.capabilities("CAP_SYS_ADMIN")
    container = create(config, "sleep", "600").start()
    change(container, "add", bind(data, "/data")).ok()
    inside(container, "mount -t tmpfs x /data; touch /data/own")
    result = change(container, "remove", bind(data, "/data"))
    assert result.status == 1
    assert "something else is mounted over it" in result.error
    assert inside(container, "ls /data") == "own\n"
    inside(container, "umount /data; umount /data")
    result = change(container, "remove", bind(data, "/data"))
    assert result.status == 0
    assert "is not mounted any more" in result.stderr


def test_two_mounts_on_one_place_go_one_after_the_other(running: Container, data: Path) -> None:
    tmpfs = {"destination": "/data", "type": "tmpfs", "source": "x"}
    change(running, "add", bind(data, "/data"), tmpfs).ok()
    assert inside(running, "ls /data") == ""
    change(running, "remove", tmpfs).ok()
    assert inside(running, "ls /data") == "file\n"
    change(running, "remove", tmpfs).ok()
    assert "/data" not in seen(running)


def test_python_never_enters_the_container(running: Container, data: Path, workspace: Path) -> None:
    """JN-1: a task of the init joins, from a sealed copy of its program."""
    output = workspace / "trace"
    prefix = strace.prefix(output, "execve", "execveat", "setns", "move_mount", "umount2")
    text = json.dumps([bind(data, "/data")])
    runtime = running.runtime
    runtime("mounts", "add", running.id, "-", stdin=text, prefix=prefix).ok()
    calls = strace.parse(output)
    python = calls[0].pid
    joins = strace.named(calls, "setns")
    assert joins
    assert python not in {call.pid for call in (*joins, *strace.named(calls, "move_mount"))}


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("{", "line 1"),
        ("[]", "there is no mount in it"),
        ("{}", "it must be an object with 'mounts'"),
        ('{"mounts": [], "process": {}}', "unknown: process"),
        ('[{"destination": "/x", "source": "/etc"}]', "a mount needs a type"),
        ('[{"destination": "/x", "source": "/etc", "options": ["bind", "ro1"]}]', "did you mean"),
        ('[{"destination": "/", "source": "/etc", "options": ["bind"]}]', "cannot be covered"),
        (
            '[{"destination": "/x", "type": "tmpfs", "options": ["remount"]}]',
            "a mount of a running container cannot be changed",
        ),
    ],
)
def test_a_file_that_cannot_be_done_is_explained(
    running: Container, text: str, phrase: str
) -> None:
    result = running.runtime("mounts", "add", running.id, "-", stdin=text)
    assert result.status == 1
    assert phrase in result.stderr


def test_a_container_that_has_none_or_has_stopped(
    pyrunc: Runtime, create: Create, config: Config, data: Path
) -> None:
    container = create(config, "true").start()
    container.wait("stopped")
    result = change(container, "add", bind(data, "/data"))
    assert "stopped container" in result.error
    result = pyrunc("mounts", "add", "absent", "-", stdin="[]")
    assert "does not exist" in result.error
    result = pyrunc("mounts", "turn", container.id, "-", stdin="[]")
    assert "it is add or remove" in result.error


def test_a_container_in_the_hosts_mount_namespace_is_refused(
    create: Create, config: Config, data: Path
) -> None:
    config.without_namespace("mount")
    config["mounts"] = []
    config.linux.pop("maskedPaths", None)
    config.linux.pop("readonlyPaths", None)
    container = create(config, "sleep", "600").start()
    result = change(container, "add", bind(data, "/data"))
    assert "the container has no mount namespace of its own" in result.error


MOVES = "/bin/true; while :; do mv /tmp/a /tmp/b; mv /tmp/b /tmp/a; done"


def test_a_container_that_moves_the_directory_does_not_keep_the_mount(
    create: Create, config: Config, data: Path
) -> None:
    """MT-9: where it is now is looked up again, as often as the container is faster."""
    config.file("/tmp/a/m/under")
    container = create(config, "sh", "-c", MOVES).start()
    for _ in range(5):
        added = change(container, "add", bind(data, "/tmp/a/m"))
        if added.status:  # it was moved away just then
            continue
        change(container, "remove", bind(data, "/tmp/a/m")).ok()
        assert str(data) not in Path(f"/proc/{container.pid}/mountinfo").read_text()


def test_a_directory_that_is_never_where_it_was_is_an_error(
    create: Create, config: Config, data: Path
) -> None:
    """It ends, and says what helps."""
    config.file("/tmp/a/m/under")
    container = create(config, "sleep", "600").start()
    change(container, "add", bind(data, "/tmp/a/m")).ok()
    script = "n=0; p=/tmp/a; while :; do n=$((n+1)); mv $p /tmp/$n; p=/tmp/$n; done"
    container.runtime("exec", "-d", container.id, "sh", "-c", script).ok()
    result = change(container, "remove", bind(data, "/tmp/a/m"))
    assert result.status == 0 or "pause it first" in result.stderr
    container.runtime("pause", container.id).ok()
    if result.status:
        change(container, "remove", bind(data, "/tmp/a/m")).ok()
    assert str(data) not in Path(f"/proc/{container.pid}/mountinfo").read_text()
    container.runtime("resume", container.id).ok()
