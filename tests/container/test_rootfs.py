# SPDX-License-Identifier: Apache-2.0
"""The root file system as the program finds it: devices, links, masks, pivot and its variants."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import machine, mountinfo
from tests.support.bundle import Config
from tests.support.runtime import Container, Runtime
from tests.support.types import Run, Shell

DEVICES = {
    "null": "1:3",
    "zero": "1:5",
    "full": "1:7",
    "random": "1:8",
    "urandom": "1:9",
    "tty": "5:0",
}
LINKS = {
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
    "/dev/ptmx": "pts/ptmx",
}


def devices(shell: Shell, config: Config, *names: str) -> list[tuple[str, ...]]:
    paths = " ".join(f"/dev/{name}" for name in names)
    lines = shell(config, f"stat -c '%F|%t:%T|%a|%u:%g' {paths}").splitlines()
    return [tuple(line.split("|")) for line in lines]


# -- devices --------------------------------------------------------------------------------------


def test_the_default_devices_are_there(shell: Shell, config: Config) -> None:
    found = devices(shell, config, *DEVICES)
    expected = [("character special file", number, "666", "0:0") for number in DEVICES.values()]
    assert found == expected


def test_the_default_devices_work(shell: Shell, config: Config) -> None:
    script = "echo lost >/dev/null; head -c 3 /dev/zero | wc -c; head -c 2 /dev/urandom | wc -c"
    assert shell(config, script).split() == ["3", "2"]


@pytest.mark.parametrize("link", sorted(LINKS))
def test_the_default_links_are_there(shell: Shell, config: Config, link: str) -> None:
    assert shell(config, f"readlink {link}").strip() == LINKS[link]


def test_the_core_link_is_there_where_the_kernel_has_kcore(shell: Shell, config: Config) -> None:
    found = shell(config, "readlink /dev/core || echo none").strip()
    assert found == ("/proc/kcore" if Path("/proc/kcore").exists() else "none")


def test_devices_of_the_config_are_made_as_it_says(shell: Shell, config: Config) -> None:
    config.linux["devices"] = [
        {"path": "/dev/chr", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 7},
        {"path": "/dev/blk", "type": "b", "major": 7, "minor": 0, "fileMode": 0o600, "gid": 8},
        {"path": "/dev/unb", "type": "u", "major": 1, "minor": 3, "fileMode": 0o666},
        {"path": "/dev/fifo", "type": "p", "fileMode": 0o622},
        {"path": "/dev/deep/er/chr", "type": "c", "major": 1, "minor": 5},
    ]
    found = devices(shell, config, "chr", "blk", "unb", "fifo", "deep/er/chr")
    assert found[0] == ("character special file", "a:e5", "640", "7:0")
    assert found[1] == ("block special file", "7:0", "600", "0:8")
    assert found[2] == ("character special file", "1:3", "666", "0:0")
    assert found[3][0::2] == ("fifo", "622")
    assert found[4][0:2] == ("character special file", "1:5")


def test_a_device_outside_dev_is_made(shell: Shell, config: Config) -> None:
    config.linux["devices"] = [
        {"path": "/var/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o444}
    ]
    assert shell(config, "stat -c %t:%T:%a /var/zero").strip() == "1:5:444"
    assert stat.S_ISCHR((config.rootfs / "var/zero").stat().st_mode)


def test_the_mode_of_a_device_does_not_depend_on_the_umask_of_the_caller(
    shell: Shell, config: Config
) -> None:
    config.linux["devices"] = [
        {"path": "/dev/open", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}
    ]
    before = os.umask(0o077)
    try:
        assert devices(shell, config, "open", "null")[0][2] == "666"
    finally:
        os.umask(before)


def test_devices_in_a_user_namespace_are_those_of_the_host(shell: Shell, config: Config) -> None:
    """mknod needs privilege over the device, so the host's nodes are bound."""
    config.user_namespace()
    numbers = [entry[1] for entry in devices(shell, config, *DEVICES)]
    assert numbers == list(DEVICES.values())
    assert shell(config, "echo x >/dev/null; head -c 1 /dev/zero | wc -c").strip() == "1"


def test_a_dev_that_is_a_bind_of_the_host_is_left_alone(
    shell: Shell, config: Config, workspace: Path
) -> None:
    own = workspace / "dev"
    own.mkdir()
    os.mknod(own / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    config["mounts"] = [
        entry for entry in config["mounts"] if not entry["destination"].startswith("/dev")
    ]
    config.bind(own, "/dev", "rbind")
    assert shell(config, "ls /dev").split() == ["null"]
    assert [entry.name for entry in own.iterdir()] == ["null"]


def test_devices_are_made_in_an_image_without_a_dev_mount(shell: Shell, config: Config) -> None:
    config["mounts"] = [entry for entry in config["mounts"] if entry["destination"] == "/proc"]
    assert devices(shell, config, "null")[0][1] == "1:3"


def test_a_device_node_of_another_number_is_an_error(pyrunc: Runtime, config: Config) -> None:
    """DV-3, DV-4: something else is in the way and is neither used nor removed."""
    config["mounts"] = [entry for entry in config["mounts"] if entry["destination"] == "/proc"]
    os.mknod(config.rootfs / "dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    result = pyrunc.run(config, "true")
    assert result.status == 1
    assert "/dev/null" in result.stderr
    assert (config.rootfs / "dev/null").stat().st_rdev == os.makedev(1, 5)


def test_the_null_device_of_the_host_is_not_touched(shell: Shell, config: Config) -> None:
    """DV-4, R088."""
    config.process["user"] = {"uid": 1000, "gid": 1000}
    before = os.stat("/dev/null")
    shell(config, "true >/dev/null")
    after = os.stat("/dev/null")
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )


# -- masks ----------------------------------------------------------------------------------------


def test_a_masked_file_reads_as_empty(shell: Shell, config: Config) -> None:
    config.file("etc/secret", "secret")
    config.linux["maskedPaths"] = ["/etc/secret", "/proc/kallsyms", "/proc/version"]
    assert shell(config, "cat /etc/secret /proc/version | wc -c").strip() == "0"


def test_a_masked_directory_is_empty_and_not_writable(shell: Shell, config: Config) -> None:
    config.file("etc/hidden/secret", "secret")
    config.linux["maskedPaths"] = ["/etc/hidden"]
    script = "ls -A /etc/hidden | wc -l; touch /etc/hidden/new 2>&1 || true"
    count, error = shell(config, script).splitlines()
    assert count == "0"
    assert "Read-only file system" in error
    assert (config.rootfs / "etc/hidden/secret").read_text() == "secret"


def test_several_masked_directories_are_all_hidden(shell: Shell, config: Config) -> None:
    for name in ("one", "two", "three"):
        config.file(f"etc/{name}/secret")
    config.linux["maskedPaths"] = ["/etc/one", "/etc/two", "/etc/three", "/sys/firmware"]
    assert shell(config, "ls -A /etc/one /etc/two /etc/three | grep -c secret || true") == "0\n"


@pytest.mark.parametrize("path", ["/proc/absent", "/etc/passwd/below", "/absent/deeper"])
def test_a_masked_path_that_is_absent_is_no_error(
    pyrunc: Runtime, run: Run, config: Config, path: str
) -> None:
    """MT-10: ENOENT and ENOTDIR mean nothing to hide."""
    config.linux["maskedPaths"] = [path]
    config.linux["readonlyPaths"] = [path]
    assert run(config, "true").status == 0


def test_a_masked_path_behind_a_link_of_the_image_is_hidden_inside(
    shell: Shell, config: Config
) -> None:
    config.file("var/real/secret", "secret")
    (config.rootfs / "etc/link").symlink_to("/var/real/secret")
    config.linux["maskedPaths"] = ["/etc/link"]
    assert shell(config, "cat /var/real/secret") == ""


def test_a_link_loop_in_a_masked_path_is_an_error(pyrunc: Runtime, config: Config) -> None:
    """MT-10, R093: anything but absence fails."""
    (config.rootfs / "etc/loop").symlink_to("loop")
    config.linux["maskedPaths"] = ["/etc/loop"]
    result = pyrunc.run(config, "true")
    assert result.status == 1
    assert "/linux/maskedPaths/0" in result.stderr


def test_a_mask_does_not_use_the_null_of_the_image(pyrunc: Runtime, config: Config) -> None:
    """MT-9, R018, R038: the container's own /dev/null is a trap, the host's is bound."""
    config["mounts"] = [entry for entry in config["mounts"] if entry["destination"] == "/proc"]
    config.file("etc/secret", "secret")
    config.file("etc/canary", "canary")
    config.linux["maskedPaths"] = ["/etc/secret"]
    (config.rootfs / "dev/null").symlink_to("/etc/canary")
    result = pyrunc.run(config, "cat", "/etc/secret")
    assert "canary" not in result.stdout
    assert "secret" not in result.stdout


def test_a_readonly_path_cannot_be_written(shell: Shell, config: Config) -> None:
    config.file("etc/conf/file", "before")
    config.linux["readonlyPaths"] = ["/etc/conf", "/proc/sys"]
    script = "touch /etc/conf/new 2>&1 || true; echo 1 2>&1 >/proc/sys/kernel/msgmax || true"
    assert shell(config, script).count("Read-only file system") >= 1
    table = mountinfo.parse(shell(config, "cat /proc/self/mountinfo"))
    assert "ro" in table["/etc/conf"].options
    assert "ro" in table["/proc/sys"].options


def test_a_readonly_path_keeps_its_other_flags(shell: Shell, config: Config) -> None:
    config.linux["readonlyPaths"] = ["/sys/fs"]
    table = mountinfo.parse(shell(config, "cat /proc/self/mountinfo"))
    assert {"ro", "nosuid", "nodev", "noexec"} <= table["/sys/fs"].options


def test_a_readonly_path_shows_the_mounts_below(shell: Shell, config: Config) -> None:
    config.mount("/mnt/one", "tmpfs", "tmpfs")
    config.linux["readonlyPaths"] = ["/mnt"]
    table = mountinfo.parse(shell(config, "cat /proc/self/mountinfo"))
    assert "ro" in table["/mnt"].options
    assert table["/mnt/one"].fstype == "tmpfs"


# -- root -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["private", "slave", "shared", "unbindable"])
def test_the_root_has_the_propagation_of_the_config(
    pyrunc: Runtime, shell: Shell, config: Config, kind: str
) -> None:
    config.linux["rootfsPropagation"] = kind
    found = mountinfo.parse(shell(config, "cat /proc/self/mountinfo"))["/"].propagation
    expected = {"shared": {"shared"}, "unbindable": {"unbindable"}}.get(kind, set())
    assert found - {"master"} == expected


def test_a_mount_of_the_host_reaches_a_slave_container(
    create: Callable[..., Container], config: Config, workspace: Path
) -> None:
    """A volume that is mounted later below a shared directory is seen inside."""
    volume = workspace / "volume"
    (volume / "late").mkdir(parents=True)
    machine.mount(str(volume), volume, flags=0x1000)
    machine.mount("", volume, flags=1 << 20)
    try:
        config.bind(volume, "/mnt", "rbind", "rslave")
        container = create(
            config, "sh", "-c", "until test -e /mnt/late/x; do sleep 0.02; done; echo seen"
        )
        container.start()
        machine.mount("tmpfs", volume / "late", "tmpfs")
        (volume / "late/x").touch()
        container.wait()
        assert container.output == "seen\n"
        machine.unmount(volume / "late")
    finally:
        machine.unmount(volume)


def test_the_host_cannot_be_reached_through_the_root(shell: Shell, config: Config) -> None:
    script = "cd /; cd ../../../..; pwd; ls /proc/1/root/; stat -c %i / /.. /proc/1/root/."
    lines = shell(config, script).splitlines()
    assert lines[0] == "/"
    assert len(set(lines[-3:])) == 1


def test_the_root_of_the_container_is_its_root_file_system(shell: Shell, config: Config) -> None:
    inode = shell(config, "stat -c %i /").strip()
    assert inode == str(config.rootfs.stat().st_ino)


def test_an_absolute_root_path_is_used_as_it_is(
    shell: Shell, config: Config, workspace: Path
) -> None:
    config.rootfs.rename(workspace / "elsewhere")
    config["root"]["path"] = str(workspace / "elsewhere")
    assert "root:x:0:0" in shell(config, "cat /etc/passwd")


def test_without_pivot_the_host_is_hidden_too(run: Run, config: Config) -> None:
    script = "ls /; stat -c %i /; readlink /proc/self/ns/pid"
    lines = run(config, "sh", "-c", script, flags=["--no-pivot"]).ok().lines
    assert "etc" in lines
    assert lines[-2] == str(config.rootfs.stat().st_ino)
    assert lines[-1] != os.readlink("/proc/self/ns/pid")


def test_without_pivot_nothing_of_the_hosts_proc_is_left(run: Run, config: Config) -> None:
    """The old root is only covered: its proc and sysfs must not stay reachable."""
    table = run(config, "cat", "/proc/self/mountinfo", flags=["--no-pivot"]).ok().stdout
    kinds = [line.partition(" - ")[2].split()[0] for line in table.splitlines()]
    assert kinds.count("proc") == 1
    assert kinds.count("sysfs") == 1


def test_without_a_mount_namespace_the_root_is_changed(pyrunc: Runtime, config: Config) -> None:
    config.without_namespace("mount")
    config["mounts"] = []
    result = pyrunc.run(config, "sh", "-c", "cat /etc/passwd; stat -c %i /; cd ..; ls")
    assert result.ok().stdout.startswith("root:x:0:0")
    assert str(config.rootfs.stat().st_ino) in result.lines


def test_mounts_without_a_mount_namespace_are_taken_away_again(
    pyrunc: Runtime, create: Callable[..., Container], config: Config
) -> None:
    """They are made in the caller's namespace, as the config asks for; `delete` unmounts them."""
    config.without_namespace("mount")
    config["mounts"] = [{"destination": "/mnt", "type": "tmpfs", "source": "tmpfs"}]
    container = create(config, "touch", "/mnt/inside").start().wait()
    assert (config.rootfs / "mnt/inside").exists()
    container.delete().ok()
    assert not (config.rootfs / "mnt/inside").exists()


def test_a_root_that_is_missing_is_named(run: Run, config: Config) -> None:
    config["root"]["path"] = "absent"
    result = run(config, "true")
    assert result.status == 1
    assert "/absent: no such file or directory" in result.stderr


def test_a_root_that_is_a_link_is_refused(run: Run, config: Config) -> None:
    """ST-6, R085."""
    (config.bundle / "link").symlink_to("rootfs")
    config["root"]["path"] = "link"
    result = run(config, "true")
    assert result.status == 1
    assert "link" in result.stderr


def test_a_read_only_bundle_is_enough_for_what_needs_no_new_directory(
    run: Run, config: Config
) -> None:
    config["root"]["readonly"] = True
    before = sorted(os.listdir(config.rootfs))
    run(config, "true").ok()
    assert sorted(os.listdir(config.rootfs)) == before
