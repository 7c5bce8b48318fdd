# SPDX-License-Identifier: Apache-2.0
"""Where the source of a mount is looked for, and what of it is seen."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import machine, mountinfo
from tests.support.bundle import Config
from tests.support.runtime import Container, Runtime
from tests.support.types import Run, Shell

UNPRIVILEGED = 65534
READ_ONLY_REMOUNT = 0x1 | 0x20 | 0x1000  # MS_RDONLY, MS_REMOUNT, MS_BIND

# -- relative sources -----------------------------------------------------------------------------


@pytest.fixture
def elsewhere(workspace: Path) -> Path:
    """A working directory of the caller, with files of the names that the bundle has."""
    directory = workspace / "elsewhere"
    (directory / "v").mkdir(parents=True)
    (directory / "v/file").write_text("of the caller")
    (directory / "one").write_text("of the caller")
    return directory


def volume(directory: Path) -> None:
    directory.mkdir()
    (directory / "file").write_text("of the bundle")


@pytest.mark.parametrize("user_namespace", [False, True])
@pytest.mark.parametrize("spelling", ["v", "./v", "v/", "../{bundle}/v", "v/../v/."])
def test_a_relative_source_starts_at_the_bundle(
    run: Run, config: Config, elsewhere: Path, spelling: str, user_namespace: bool
) -> None:
    """config.md, Mounts: relative to the bundle, wherever the caller is."""
    volume(config.bundle / "v")
    config.bind(spelling.format(bundle=config.bundle.name), "/mnt", "rbind")
    if user_namespace:
        config.user_namespace()
    assert run(config, "cat", "/mnt/file", cwd=elsewhere).ok().stdout == "of the bundle"


def test_a_relative_source_may_be_a_file_of_a_mount_without_a_type(
    run: Run, config: Config, elsewhere: Path
) -> None:
    (config.bundle / "one").write_text("of the bundle")
    config.mount("/mnt/one", "none", "one", "bind")
    assert run(config, "cat", "/mnt/one", cwd=elsewhere).ok().stdout == "of the bundle"


def test_a_relative_source_of_a_relative_bundle(
    runtime: Runtime, config: Config, elsewhere: Path
) -> None:
    volume(config.bundle / "v")
    config.bind("v", "/mnt")
    config.process["args"] = ["cat", "/mnt/file"]
    config.write()
    bundle = os.path.relpath(config.bundle, elsewhere)
    done = runtime("run", "--bundle", bundle, runtime.new_id(), cwd=elsewhere)
    assert done.ok().stdout == "of the bundle"


def test_a_relative_source_of_a_mapped_mount(
    pyrunc: Runtime, config: Config, elsewhere: Path
) -> None:
    volume(config.bundle / "v")
    config.bind("v", "/mnt", "bind", "idmap=uids=0-7-1;gids=0-7-1")
    found = pyrunc.run(config, "stat", "-c", "%u:%g", "/mnt/file", cwd=elsewhere)
    assert found.ok().stdout.strip() == "7:7"


def test_a_link_is_copied_from_the_bundle(pyrunc: Runtime, config: Config, elsewhere: Path) -> None:
    (config.bundle / "link").symlink_to("/of/the/bundle")
    (elsewhere / "link").symlink_to("/of/the/caller")
    config.bind("link", "/mnt/link", "bind", "copy-symlink")
    found = pyrunc.run(config, "readlink", "/mnt/link", cwd=elsewhere)
    assert found.ok().stdout.strip() == "/of/the/bundle"


def test_a_relative_source_of_an_added_mount(
    pyrunc: Runtime, running: Container, elsewhere: Path
) -> None:
    """As in config.json, whose format it is."""
    volume(running.config.bundle / "v")
    mount = {"destination": "/mnt", "source": "v", "options": ["bind"]}
    (elsewhere / "mounts.json").write_text(json.dumps([mount]))
    pyrunc("mounts", "add", running.id, "mounts.json", cwd=elsewhere).ok()
    assert running.command("exec", "cat", "/mnt/file").ok().stdout == "of the bundle"


def test_a_missing_relative_source_is_named_with_its_whole_path(
    pyrunc: Runtime, config: Config, elsewhere: Path
) -> None:
    config.bind("v", "/mnt")
    result = pyrunc.run(config, "true", cwd=elsewhere)
    assert result.status == 1
    assert f"{config.bundle}/v" in result.error


def test_the_source_of_another_type_is_no_path(shell: Shell, config: Config) -> None:
    """`tmpfs` is a name that mountinfo shows."""
    config.mount("/mnt", "tmpfs", "named")
    assert "\nnamed /mnt tmpfs" in shell(config, "cat /proc/mounts")


def test_a_relative_layer_is_refused(pyrunc: Runtime, config: Config, elsewhere: Path) -> None:
    """The kernel would take it from the caller's directory."""
    config.mount("/mnt", "overlay", "overlay", "lowerdir=v")
    result = pyrunc.run(config, "cat", "/mnt/file", cwd=elsewhere)
    assert result.status == 1
    assert "/mounts/5/options/0: a layer of an overlay has a relative path" in result.error


# -- sources in the root file system --------------------------------------------------------------


@pytest.mark.parametrize("user_namespace", [False, True])
def test_a_source_in_the_root_shows_what_was_mounted_there_before(
    shell: Shell, config: Config, user_namespace: bool
) -> None:
    config.mount("/mnt", "tmpfs", "tmpfs", "mode=1777")
    config.bind(config.rootfs / "mnt", "/one", "rbind")
    config.bind("rootfs/./mnt", "/two", "bind")
    if user_namespace:
        config.user_namespace()
    script = "echo here >/mnt/file; cat /one/file /two/file"
    assert shell(config, script) == "here\nhere\n"


def test_a_source_in_the_root_shows_a_bind_of_before(shell: Shell, config: Config) -> None:
    volume(config.bundle / "v")
    config.bind("v", "/mnt", "bind")
    config.bind(config.rootfs / "mnt/file", "/one", "bind", "ro")
    assert shell(config, "cat /one; ! echo >/one") == "of the bundle"


def test_the_options_of_a_mount_of_before_are_those_of_its_clone(
    shell: Shell, config: Config
) -> None:
    config.mount("/mnt", "tmpfs", "tmpfs", "noexec", "nodev")
    config.bind(config.rootfs / "mnt", "/one", "bind")
    found = mountinfo.parse(shell(config, "cat /proc/self/mountinfo"))["/one"].options
    assert {"noexec", "nodev"} <= found


def test_a_link_of_the_image_in_a_source_leads_to_the_image(
    pyrunc: Runtime, shell: Shell, config: Config, elsewhere: Path
) -> None:
    """Peers follow it on the host."""
    config.file(f"{elsewhere}/v/file", "of the image")
    (config.rootfs / "link").symlink_to(elsewhere / "v")
    config.bind(config.rootfs / "link", "/mnt")
    assert shell(config, "cat /mnt/file") == "of the image"


@pytest.mark.parametrize("target", ["/proc", "/proc/sys", "../../../proc"])
def test_a_link_of_the_image_does_not_lead_a_source_past_the_masks(
    pyrunc: Runtime, config: Config, target: str
) -> None:
    (config.rootfs / "link").symlink_to(target)
    config.bind(config.rootfs / "link", "/mnt")
    config.linux["maskedPaths"] = ["/proc/kcore"]
    result = pyrunc.run(config, "true")
    assert result.status == 1
    assert "a link of the image leads to procfs" in result.error


def test_a_source_with_the_roots_name_as_a_prefix_is_not_in_it(
    shell: Shell, config: Config
) -> None:
    volume(config.bundle / "rootfs-not")
    config.bind("rootfs-not", "/mnt")
    assert shell(config, "cat /mnt/file") == "of the bundle"


def test_a_missing_source_in_the_root_is_named(pyrunc: Runtime, config: Config) -> None:
    config.bind(config.rootfs / "absent", "/mnt")
    result = pyrunc.run(config, "true")
    assert result.status == 1
    assert f"cannot bind {config.rootfs}/absent on /mnt: no such file or directory" in result.error


@pytest.mark.parametrize("user_namespace", [False, True])
def test_a_mapped_source_in_the_root(pyrunc: Runtime, config: Config, user_namespace: bool) -> None:
    config.file("data/file", "x")
    maps = "idmap=uids=0-7-1;gids=0-7-1"
    if user_namespace:
        config.user_namespace()
        os.chown(config.rootfs / "data/file", 0, 0)
        maps = "idmap=uids=@0-7-1;gids=@0-7-1"
    config.bind(config.rootfs / "data", "/mnt", "bind", maps)
    found = pyrunc.run(config, "stat", "-c", "%u:%g", "/mnt/file")
    assert found.ok().stdout.strip() == "7:7"


def test_a_source_in_the_root_of_an_added_mount(pyrunc: Runtime, running: Container) -> None:
    running.command("exec", "sh", "-c", "mkdir /dev/shm/made; echo inside >/dev/shm/made/file").ok()
    mount = {
        "destination": "/mnt",
        "source": str(running.config.rootfs / "dev/shm/made"),
        "options": ["bind"],
    }
    pyrunc("mounts", "add", running.id, "-", stdin=json.dumps([mount])).ok()
    assert running.command("exec", "cat", "/mnt/file").ok().stdout == "inside\n"


def test_a_link_of_a_running_container_leads_an_added_mount_nowhere(
    pyrunc: Runtime, running: Container
) -> None:
    running.command("exec", "ln", "-s", "/etc", "/link").ok()
    mount = {"destination": "/mnt", "source": str(running.config.rootfs / "link")}
    text = json.dumps([{**mount, "options": ["bind"]}])
    result = pyrunc("mounts", "add", running.id, "-", stdin=text)
    assert result.status == 1
    assert "too many levels of symbolic links" in result.error


# -- sources that the container's root may not get at ---------------------------------------------


@pytest.fixture
def private(workspace: Path) -> Iterator[Path]:
    """A read-only file system in a directory that only another user may enter."""
    home = workspace / "alice"
    top = home / "volume"
    top.mkdir(parents=True)
    machine.mount("tmpfs", top, "tmpfs")
    (top / "file").write_text("of alice")
    (top / "sub").mkdir()
    machine.mount("tmpfs", top / "sub", "tmpfs")
    (top / "sub/file").write_text("below")
    machine.mount("", top, flags=READ_ONLY_REMOUNT)
    os.chown(home, 4321, 4321)
    home.chmod(0o700)
    yield top
    machine.unmount(top / "sub")
    machine.unmount(top)


def test_a_source_below_a_private_directory_in_a_user_namespace(
    shell: Shell, config: Config, private: Path
) -> None:
    config.bind(private, "/mnt", "rbind")
    config.bind(private / "file", "/one", "bind")
    config.user_namespace()
    assert shell(config, "cat /mnt/file /mnt/sub/file /one") == "of alicebelowof alice"


def test_its_flags_stay_locked(pyrunc: Runtime, config: Config, private: Path) -> None:
    """Decision 003: root inside may not clear what the host has set."""
    config.bind(private, "/mnt", "rbind")
    config.bind(private / "file", "/one", "bind")
    config.user_namespace()
    config.capabilities("CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE")
    script = "mount -o remount,bind,rw /mnt || mount -o remount,bind,rw /one || umount /mnt/sub"
    result = pyrunc.run(config, "sh", "-c", f"{script} || cat /proc/self/mountinfo")
    found = mountinfo.parse(result.ok().stdout)
    assert "ro" in found["/mnt"].options
    assert "ro" in found["/one"].options


def test_nothing_of_it_reaches_the_host(shell: Shell, config: Config, private: Path) -> None:
    config.bind(private, "/mnt", "rbind", "rslave")
    config.user_namespace()
    before = Path("/proc/self/mountinfo").read_text()
    shell(config, "true")
    assert Path("/proc/self/mountinfo").read_text() == before


def test_a_private_source_of_an_added_mount(
    pyrunc: Runtime, create: Callable[..., Container], config: Config, private: Path
) -> None:
    config.user_namespace()
    container = create(config, "sleep", "600").start()
    mount = {"destination": "/mnt", "source": str(private), "options": ["rbind"]}
    pyrunc("mounts", "add", container.id, "-", stdin=json.dumps([mount])).ok()
    assert container.command("exec", "cat", "/mnt/file").ok().stdout == "of alice"


def test_a_private_source_that_is_missing_is_named(
    pyrunc: Runtime, config: Config, private: Path
) -> None:
    config.bind(private / "absent", "/mnt")
    config.user_namespace()
    result = pyrunc.run(config, "true")
    assert result.status == 1
    assert f"cannot bind {private}/absent on /mnt: no such file or directory" in result.error
    assert "/mounts/5/source" in result.stderr


def test_a_bind_in_a_user_namespace_leaves_out_what_is_mounted_below(
    pyrunc: Runtime, shell: Shell, config: Config, private: Path
) -> None:
    """The kernel locks mounts below in a user namespace, so that only the host can leave them out;
    runc fails.
    """
    config.bind(private, "/mnt", "bind")
    config.user_namespace()
    assert shell(config, "cat /mnt/file; ls /mnt/sub") == "of alice"


# -- mounts over mounts ---------------------------------------------------------------------------


@pytest.mark.parametrize("user_namespace", [False, True])
def test_a_recursive_bind_covers_mounts_with_those_that_it_brings(
    run: Run, config: Config, user_namespace: bool
) -> None:
    """The default mounts on /dev and below, then the host's /dev."""
    config.bind("/dev", "/dev", "rbind")
    if user_namespace:
        config.user_namespace()
    run(config, "ls", "/dev/null").ok()


def test_a_recursive_bind_covers_mounts_below_its_target(
    shell: Shell, config: Config, workspace: Path
) -> None:
    top = workspace / "tree"
    (top / "a/b").mkdir(parents=True)
    machine.mount("tmpfs", top / "a", "tmpfs")
    (top / "a/file").write_text("of the tree")
    (top / "a/b").mkdir()
    for path in ("/mnt", "/mnt/a", "/mnt/a/b"):
        config.mount(path, "tmpfs", "tmpfs")
    config.bind(top, "/mnt", "rbind")
    try:
        assert shell(config, "cat /mnt/a/file") == "of the tree"
    finally:
        machine.unmount(top / "a")


def test_a_bind_over_a_link_itself(pyrunc: Runtime, config: Config) -> None:
    """As crun does with `dest-nofollow`: the link is covered, what it leads to is not."""
    volume(config.bundle / "v")
    config.file("there", "of the image")
    (config.rootfs / "link").symlink_to("there")
    config.bind("v/file", "/link", "bind", "dest-nofollow")
    found = pyrunc.run(config, "cat", "/link", "/there").ok().stdout
    assert found == "of the bundleof the image"


# -- reports of others ----------------------------------------------------------------------------


def test_a_file_on_a_dangling_link_of_the_image(shell: Shell, config: Config) -> None:
    """crun#426: -v /etc/localtime:/etc/localtime on an image without time zones."""
    volume(config.bundle / "v")
    (config.rootfs / "etc/localtime").symlink_to("../usr/share/zoneinfo/UTC")
    config.bind("v/file", "/etc/localtime", "rbind", "ro")
    assert shell(config, "cat /etc/localtime /usr/share/zoneinfo/UTC") == 2 * "of the bundle"


@pytest.mark.parametrize("target", ["{workspace}/one/file", "../one/file"])
def test_a_directory_over_a_file_that_is_a_link_in_it(
    shell: Shell, config: Config, workspace: Path, target: str
) -> None:
    """crun#497: the link is covered with the directory that it lies in, and dangles then."""
    volume(workspace / "one")
    (workspace / "two").mkdir()
    (workspace / "two/link").symlink_to(target.format(workspace=workspace))
    config.bind(workspace / "two/link", "/two/link", "rbind")
    config.bind(workspace / "two", "/two", "rbind")
    assert shell(config, "readlink /two/link").strip() == target.format(workspace=workspace)


def test_a_source_is_a_link_to_a_program(shell: Shell, config: Config) -> None:
    """crun#890: the init of an engine is a link on the host."""
    config.user_namespace()
    (config.bundle / "catatonit").write_text("#!/bin/sh\necho it runs\n")
    (config.bundle / "catatonit").chmod(0o755)
    (config.bundle / "link").symlink_to("catatonit")
    config.bind("link", "/dev/init", "bind", "private", "ro")
    assert shell(config, "/dev/init") == "it runs\n"


@pytest.mark.parametrize("options", [("rbind", "ro"), ("bind", "rw"), ("rbind", "rprivate")])
def test_locked_flags_of_a_source_are_no_obstacle(
    shell: Shell, config: Config, workspace: Path, options: tuple[str, ...]
) -> None:
    """runc#1229, moby#42230, k3s#10850: nosuid, nodev and noexec of the host's mount stay."""
    top = workspace / "flags"
    top.mkdir()
    machine.mount("tmpfs", top, "tmpfs", flags=2 | 4 | 8)
    config.bind(top, "/mnt", *options)
    config.user_namespace()
    try:
        found = mountinfo.parse(shell(config, "cat /proc/self/mountinfo"))["/mnt"].options
        assert {"nosuid", "nodev", "noexec"} <= found
    finally:
        machine.unmount(top)


def test_one_directory_at_several_places_with_other_flags(shell: Shell, config: Config) -> None:
    """The flags belong to the mount and not to its source."""
    volume(config.bundle / "v")
    config.bind("v", "/mnt/ro", "bind", "ro")
    config.bind("v", "/mnt/rw", "bind", "rw")
    script = "echo new >/mnt/rw/file; cat /mnt/ro/file; ! echo >/mnt/ro/file"
    assert shell(config, script) == "new\n"


# -- unprivileged callers -------------------------------------------------------------------------


def test_sources_of_an_unprivileged_caller(
    runtime: Runtime, config: Config, elsewhere: Path, workspace: Path
) -> None:
    """Relative ones, and those in the root after a mount."""
    volume(config.bundle / "v")
    config.mount("/tmp", "tmpfs", "tmpfs", "", "mode=1777")
    config.bind("v", "/mnt", "rbind", "")
    config.bind(config.rootfs / "tmp", "/one", "bind")
    config.bind("rootfs/mnt/file", "/two", "bind")
    config.user_namespace(UNPRIVILEGED, 1)
    for mount in config["mounts"]:
        mount["options"] = [one for one in mount.get("options", []) if one != "gid=5"]
    config.process["args"] = ["sh", "-c", "echo here >/tmp/x; cat /mnt/file /one/x /two"]
    config.write()
    root = workspace / "unprivileged"
    root.mkdir()
    os.chown(root, UNPRIVILEGED, UNPRIVILEGED)
    prefix = ["setpriv", f"--reuid={UNPRIVILEGED}", f"--regid={UNPRIVILEGED}", "--clear-groups"]
    own = dataclasses.replace(runtime, root=root)
    done = own("run", "--bundle", config.bundle, own.new_id(), cwd=elsewhere, prefix=prefix)
    assert done.ok().stdout == "of the bundlehere\nof the bundle"


def test_ids_of_a_file_system_of_the_container_are_not_mapped_again(
    pyrunc: Runtime, config: Config
) -> None:
    """The kernel refuses to map a file system to the user namespace that it belongs to."""
    config.user_namespace()
    config.mount("/mnt", "tmpfs", "tmpfs")
    config.bind(config.rootfs / "mnt", "/one", "bind", "idmap")
    result = pyrunc.run(config, "true")
    assert result.status == 1
    assert "has the ids of its user namespace already" in result.stderr
