# SPDX-License-Identifier: Apache-2.0
"""Section 4 of the feature table, as far as tests/container does not hold it: id-mapped mounts,
options of the runtime itself, and what stands in for mounts that the kernel refuses.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.features.conftest import Mode, User
from tests.support import machine, mountinfo
from tests.support.bundle import Config
from tests.support.runtime import TREE, Runtime
from tests.support.types import Run, Shell

feature = pytest.mark.feature
# What a runtime inside a container needs.
NESTING = [
    *("CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_MKNOD"),
    *("CAP_FOWNER", "CAP_KILL", "CAP_SYS_CHROOT", "CAP_SYS_RESOURCE", "CAP_SETPCAP"),
    *("CAP_SETFCAP", "CAP_NET_ADMIN"),
]


@pytest.fixture
def owned(workspace: Path) -> Path:
    """A directory with a file of user 1000, and one of user 0."""
    directory = workspace / "owned"
    directory.mkdir()
    for name, uid in (("mine", 1000), ("roots", 0)):
        (directory / name).write_text(name)
        os.chown(directory / name, uid, uid)
    return directory


def owners(shell: Shell, config: Config, where: str = "/mnt") -> dict[str, str]:
    lines = shell(config, f"cd {where}; stat -c '%n %u:%g' *").splitlines()
    return dict(line.split() for line in lines)


def mapping(container: int, host: int, size: int) -> list[dict[str, int]]:
    return [{"containerID": container, "hostID": host, "size": size}]


# -- id-mapped mounts ------------------------------------------------------------------------------


@feature("4.15 idmap")
def test_a_mount_has_the_mappings_of_its_properties(
    shell: Shell, config: Config, owned: Path
) -> None:
    config.bind(owned, "/mnt", "bind", "idmap")
    maps = mapping(1000, 2000, 10)
    config["mounts"][-1].update(uidMappings=maps, gidMappings=maps)
    assert owners(shell, config) == {"mine": "2000:2000", "roots": "65534:65534"}


@feature("4.15 idmap")
def test_a_mount_has_the_mappings_of_its_option(shell: Shell, config: Config, owned: Path) -> None:
    """As crun writes them: id on disk, id on the host, how many."""
    config.bind(owned, "/mnt", "bind", "idmap=uids=0-3000-1#1000-2000-10;gids=0-0-2000")
    assert owners(shell, config) == {"mine": "2000:1000", "roots": "3000:0"}


@feature("4.15 idmap")
def test_a_relative_mapping_is_one_of_the_container(
    shell: Shell, config: Config, owned: Path
) -> None:
    config.user_namespace()
    config.bind(owned, "/mnt", "bind", "idmap=uids=@1000-5-1;gids=@1000-5-1")
    assert owners(shell, config)["mine"] == "5:5"


@feature("4.16 idmap with userns of the container")
def test_a_mount_takes_the_mappings_of_the_container(
    shell: Shell, config: Config, owned: Path
) -> None:
    config.user_namespace()
    config.bind(owned, "/mnt", "bind", "idmap")
    assert owners(shell, config) == {"mine": "1000:1000", "roots": "0:0"}
    shell(config, "touch /mnt/new")
    assert (owned / "new").stat().st_uid == 0


@pytest.fixture
def nested(owned: Path) -> Iterator[Path]:
    """The directory with a tmpfs below it."""
    below = owned / "below"
    below.mkdir()
    machine.mount("tmpfs", below, "tmpfs")
    (below / "deep").write_text("")
    os.chown(below / "deep", 1000, 1000)
    yield owned
    machine.unmount(below)


@feature("4.15 idmap")
@pytest.mark.parametrize(("option", "deep"), [("idmap", "1000:1000"), ("ridmap", "2000:2000")])
def test_only_ridmap_maps_the_mounts_below(
    shell: Shell, config: Config, nested: Path, option: str, deep: str
) -> None:
    config.bind(nested, "/mnt", "rbind", f"{option}=uids=1000-2000-1;gids=1000-2000-1")
    assert owners(shell, config, "/mnt/below")["deep"] == deep


@feature("4.15 idmap")
def test_a_file_system_that_cannot_be_mapped_is_named(run: Run, config: Config) -> None:
    config.bind("/proc/fs", "/mnt", "bind", "idmap=uids=0-1-1;gids=0-1-1")
    result = run(config, "true")
    assert result.status == 1
    assert "/proc/fs" in result.error
    assert "proc does not support id-mapped mounts" in result.stderr
    assert "/mounts/5" in result.stderr


@feature("4.15 idmap")
def test_an_id_mapped_source_that_is_missing_is_named(run: Run, config: Config) -> None:
    config.bind("/no/such", "/mnt", "bind", "idmap=uids=0-1-1;gids=0-1-1")
    result = run(config, "true")
    assert "/no/such" in result.error
    assert "no such file or directory" in result.error


@feature("4.15 idmap")
def test_a_user_is_told_that_mapping_needs_root(user: User) -> None:
    user.config.bind("/etc", "/mnt", "bind", "idmap")
    result = user.run("true")
    assert result.status == 1
    assert "id-mapped mounts need root" in result.error


# -- options of the runtime ------------------------------------------------------------------------


@feature("4.14 tmpcopyup")
def test_a_tmpfs_begins_with_what_it_covers(shell: Shell, config: Config) -> None:
    config.file("/var/data/file", "content\n", mode=0o606)
    os.chown(config.rootfs / "var/data/file", 1000, 1000)
    (config.rootfs / "var/data/link").symlink_to("file")
    (config.rootfs / "var/data/empty").mkdir(mode=0o711)
    config.mount("/var/data", "tmpfs", "tmpfs", "tmpcopyup", "rw", "nodev")
    script = "cd /var/data; cat link; stat -c '%a %u' file empty; echo changed >file"
    found = shell(config, script).split()
    assert found == ["content", "606", "1000", "711", "0"]
    assert (config.rootfs / "var/data/file").read_text() == "content\n"


@feature("4.14 tmpcopyup")
def test_a_copy_that_does_not_fit_is_an_error(run: Run, config: Config) -> None:
    config.file("/var/data/file", "x" * 65536)
    config.mount("/var/data", "tmpfs", "tmpfs", "tmpcopyup", "size=8k")
    result = run(config, "true")
    assert result.status == 1
    assert "no space left on device" in result.error
    assert "/mounts/5" in result.stderr


def deep(path: Path) -> None:
    (path / "/".join("d" * 260)).mkdir(parents=True)


def circle(path: Path) -> None:
    path.rmdir()
    path.symlink_to(path.name)


def unreadable(path: Path) -> None:
    (path / "file").touch(mode=0o600)
    os.chown(path / "file", 77, 77)


def node(path: Path) -> None:
    os.mknod(path / "null", 0o20666, os.makedev(1, 3))


@pytest.mark.root
@pytest.mark.parametrize(
    ("prepare", "mapped", "hint"),
    [
        (deep, False, "at most 255 directories deep"),
        (circle, False, "lead in a circle"),
        (unreadable, True, "its owner has no mapping"),
        (node, True, "device nodes cannot be made"),
    ],
)
def test_what_cannot_be_copied_comes_with_a_hint(
    pyrunc: Runtime, config: Config, prepare: Callable[[Path], None], mapped: bool, hint: str
) -> None:
    data = config.rootfs / "data"
    data.mkdir(mode=0o777)
    data.chmod(0o777)
    if mapped:
        config.user_namespace()
    prepare(data)
    config.mount("/data", "tmpfs", "tmpfs", "tmpcopyup")
    result = pyrunc.run(config, "true")
    assert result.status == 1
    assert hint in result.stderr
    assert "/mounts/5" in result.stderr


@pytest.mark.root
def test_a_tree_of_eighty_directories_is_copied(pyrunc: Runtime, config: Config) -> None:
    deepest = config.rootfs / "data" / "/".join("d" * 80)
    deepest.mkdir(parents=True)
    (deepest / "file").write_text("down here")
    config.mount("/data", "tmpfs", "tmpfs", "tmpcopyup")
    path = "/data/" + "d/" * 80 + "file"
    assert pyrunc.run(config, "cat", path).ok().stdout == "down here"


@feature("4.17 copy-symlink")
def test_a_link_is_copied_instead_of_followed(
    shell: Shell, config: Config, workspace: Path
) -> None:
    link = workspace / "link"
    link.symlink_to("/etc/passwd")
    config.bind(link, "/mnt/link", "bind", "copy-symlink")
    config.bind(config.file("/etc/plain", "plain\n"), "/mnt/plain", "bind", "copy-symlink")
    script = "readlink /mnt/link; cat /mnt/plain; grep -c ' /mnt' /proc/mounts"
    assert shell(config, script).split() == ["/etc/passwd", "plain", "1"]


@feature("4.18 src-nofollow dest-nofollow")
def test_a_source_that_is_a_link_is_mounted_itself(
    shell: Shell, run: Run, config: Config, workspace: Path
) -> None:
    link = workspace / "link"
    link.symlink_to("/etc/passwd")
    config.bind(link, "/mnt/link", "bind", "src-nofollow")
    result = run(config, "readlink", "/mnt/link")
    if result.status == 0:
        assert result.stdout == "/etc/passwd\n"
    else:
        assert "/mnt/link" in result.error


@feature("4.18 src-nofollow dest-nofollow")
@pytest.mark.parametrize("target", ["/absent", "file", "/proc/self/fd/0", "link"])
def test_a_link_that_is_mounted_itself_may_lead_anywhere(
    pyrunc: Runtime, config: Config, workspace: Path, target: str
) -> None:
    link = workspace / "link"
    link.symlink_to(target)
    config.bind(link, "/mnt/link", "bind", "src-nofollow")
    assert pyrunc.run(config, "readlink", "/mnt/link").ok().stdout == f"{target}\n"


@feature("4.18 src-nofollow dest-nofollow")
def test_a_destination_that_is_a_link_is_covered_or_refused(
    run: Run, config: Config, workspace: Path
) -> None:
    """What the link points to stays as it is."""
    (config.rootfs / "mnt/link").symlink_to("/etc/passwd")
    (workspace / "file").write_text("from outside")
    config.bind(workspace / "file", "/mnt/link", "bind", "dest-nofollow")
    result = run(config, "cat", "/etc/passwd")
    assert "from outside" not in result.stdout
    config["mounts"][-1]["options"] = ["bind"]
    assert run(config, "cat", "/etc/passwd").ok().stdout == "from outside"


@feature("4.4 sync async dirsync remount")
def test_a_remount_changes_a_mount_that_is_there(shell: Shell, config: Config) -> None:
    config.mount("/mnt", "tmpfs", "tmpfs", "rw", "size=64k")
    config.mount("/mnt", "tmpfs", "tmpfs", "remount", "ro", "bind")
    found = mountinfo.parse(shell(config, "cat /proc/self/mountinfo"))["/mnt"]
    assert "ro" in found.options


@feature("4.4 sync async dirsync remount")
@pytest.mark.parametrize("option", ["rsync", "rasync", "rdirsync", "rmand", "rnomand"])
def test_options_of_crun_are_known(run: Run, config: Config, option: str) -> None:
    config.mount("/mnt", "tmpfs", "tmpfs", option)
    result = run(config, "true")
    assert result.status == 0 or option in ("rmand", "rnomand")


# -- a mount on the root ---------------------------------------------------------------------------


@pytest.fixture
def other(config: Config) -> Path:
    """Another image."""
    directory = config.bundle / "other"
    shutil.copytree(config.rootfs, directory, symlinks=True)
    (directory / "etc/image").write_text("another\n")
    return directory


@feature("4.20 mount on / of the rootfs")
def test_a_bind_on_the_root_is_the_root(mode: Mode, other: Path) -> None:
    """Devices, masks and mounts are made in it, and the image below is out of reach."""
    config = mode.config
    for directory, names, _files in os.walk(other):
        for path in (directory, *(os.path.join(directory, name) for name in names)):
            facts = os.stat(config.rootfs)
            os.chown(path, facts.st_uid, facts.st_gid)
    config["mounts"].insert(0, bind_root(other))
    config["root"]["readonly"] = True
    config.linux["maskedPaths"] = ["/proc/keys"]
    script = "cat /etc/image; test -c /dev/null; cat /proc/keys; touch /x 2>/dev/null || echo ro; "
    script += "cut -d' ' -f5 /proc/self/mountinfo | grep -cx /"
    assert mode.shell(script).split() == ["another", "ro", "1"]
    name = mode.start("sleep", "600")
    assert mode.inside(name, "cat /etc/image") == "another\n"


def bind_root(source: Path, *options: str) -> dict[str, object]:
    return {"destination": "/", "source": str(source), "options": ["rbind", *options]}


@feature("4.20 mount on / of the rootfs")
@pytest.mark.parametrize("flags", [(), ("--no-pivot",)])
def test_a_tmpfs_on_the_root_may_hold_the_image(
    run: Run, config: Config, flags: tuple[str, ...]
) -> None:
    """With tmpcopyup: what is written is gone with the container; a read-only one is filled
    first.
    """
    config.file("/etc/mine", "of the image\n")
    entry = {"destination": "/", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}
    config["mounts"].insert(0, entry)
    script = "cat /etc/mine; echo changed >/etc/mine; touch /new; cat /etc/mine"
    found = run(config, "sh", "-ec", script, flags=flags).ok().stdout
    assert found.splitlines() == ["of the image", "changed"]
    assert (config.rootfs / "etc/mine").read_text() == "of the image\n"
    assert not (config.rootfs / "new").exists()
    entry["options"].append("ro")  # type: ignore[attr-defined]
    result = run(config, "sh", "-c", "touch /new || test -d /dev/pts", flags=flags).ok()
    assert "Read-only file system" in result.stderr


@feature("4.20 mount on / of the rootfs")
def test_a_read_only_mount_on_the_root_gets_its_content_first(
    shell: Shell, config: Config, other: Path
) -> None:
    """Mount points are made in it as in an image with root.readonly."""
    config["mounts"].insert(0, bind_root(other, "ro"))
    config.mount("/made/later", "tmpfs", "tmpfs")
    script = "touch /made/later/x; touch /made/x 2>/dev/null || echo refused"
    assert shell(config, script) == "refused\n"


@feature("4.20 mount on / of the rootfs")
def test_a_mount_on_the_root_hides_the_mounts_before_it(
    pyrunc: Runtime, config: Config, other: Path
) -> None:
    config["mounts"].append(bind_root(other))
    result = pyrunc.run(config, "ls", "/proc")
    assert result.stdout == ""
    config.write()
    shown = pyrunc("check", "--no-schema", config.bundle).ok().stdout
    assert "hides those that are listed before it" in shown


@feature("4.20 mount on / of the rootfs")
def test_hooks_and_the_terminal_see_the_mount_on_the_root(
    run: Run, config: Config, other: Path
) -> None:
    config["mounts"].insert(0, bind_root(other))
    config.hook("createContainer", "/bin/sh", "-c", "test -e etc/image")
    config.hook("startContainer", "/bin/sh", "-c", "test -e /etc/image")
    config.process["terminal"] = True
    assert "/dev/pts/0" in run(config, "sh", "-c", "tty; ls -l /dev/console").ok().stdout


# -- what the kernel refuses -----------------------------------------------------------------------


@feature("4.27 sysfs in userns without netns")
def test_sysfs_without_a_network_namespace_is_the_hosts(shell: Shell, config: Config) -> None:
    """The kernel gives sysfs only to the owner of the network namespace: a bind, read-only."""
    config.user_namespace()
    config.without_namespace("network")
    script = "ls /sys/class/net; grep ' /sys ' /proc/mounts"
    *names, line = shell(config, script).splitlines()
    assert names == sorted(os.listdir("/sys/class/net"))
    assert "ro" in line.split()[3].split(",")


@feature("4.1 types bind, rbind, tmpfs, proc")
def test_proc_without_a_pid_namespace_is_the_hosts(shell: Shell, config: Config) -> None:
    config.user_namespace()
    config.without_namespace("pid")
    shown = shell(config, "ls /proc | grep -c '^[0-9]'; grep ' /proc ' /proc/mounts")
    assert int(shown.split()[0]) > 5


@feature("4.1 types bind, rbind, tmpfs, proc")
def test_mqueue_without_an_ipc_namespace_is_the_hosts_or_explained(
    run: Run, config: Config
) -> None:
    config.user_namespace()
    config.without_namespace("ipc")
    config.mount("/dev/mqueue", "mqueue", "mqueue", "nosuid")
    result = run(config, "true")
    assert result.status == 0 or "/dev/mqueue" in result.error


@feature("4.1 types bind, rbind, tmpfs, proc", "6.12 rootless without cgroup access")
def test_a_container_in_a_container_gets_what_the_outer_one_allows(
    pyrunc: Runtime, config: Config, make_config: Callable[[], Config]
) -> None:
    """The outer one masks parts of /proc: a new proc is refused, and the error says why."""
    inner = make_config()
    inner.process["args"] = ["echo", "from the inner container"]
    inner.without_namespace("cgroup")
    inner.namespace("user")
    maps = mapping(0, 0, 2000)
    inner.linux.update(uidMappings=maps, gidMappings=maps)
    inner.write()
    outer = config
    outer.user_namespace()
    for directory, _names, _files in os.walk(inner.bundle):
        if Path(directory).name != "bin":
            os.chown(directory, 100000, 100000)
    outer.linux["maskedPaths"] = ["/proc/kcore", "/proc/keys"]
    outer.capabilities(*NESTING)
    outer.process["noNewPrivileges"] = False
    for path in ("/usr", "/lib", "/lib64", str(TREE)):
        if Path(path).exists():
            outer.bind(path, path, "rbind", "ro")
    outer.bind(inner.bundle, "/inner", "rbind")
    argv = [str(pyrunc.program), "--root", "/tmp/state", "--cgroup-manager", "disabled"]
    result = pyrunc.run(outer, *argv, "run", "--bundle", "/inner", "inner")
    assert result.status == 1
    assert "cannot mount proc on /proc" in result.error
    assert "operation not permitted" in result.error
    assert "an outer container masks parts of /proc" in result.stderr
    outer.linux["maskedPaths"] = []
    result = pyrunc.run(outer, *argv, "run", "--bundle", "/inner", "inner")
    assert result.stdout == "from the inner container\n", result.stderr


# -- cgroups ---------------------------------------------------------------------------------------


@feature("4.28 cgroup v1 mount", "4.29 cgroup2 mount with fallback to bind")
@pytest.mark.parametrize("kind", ["cgroup", "cgroup2"])
@pytest.mark.parametrize("namespace", [True, False], ids=["own-namespace", "shared-namespace"])
@pytest.mark.parametrize("userns", [False, True], ids=["root", "userns"])
@pytest.mark.parametrize("access", ["ro", "rw"])
def test_a_cgroup_mount_in_every_combination(
    shell: Shell, config: Config, kind: str, namespace: bool, userns: bool, access: str
) -> None:
    if not namespace:
        config.without_namespace("cgroup")
    if userns:
        config.user_namespace()
    config.mount("/sys/fs/cgroup", kind, kind, "nosuid", "noexec", "nodev", "relatime", access)
    script = "ls /sys/fs/cgroup; cat /proc/self/mountinfo"
    found = shell(config, script)
    top = mountinfo.parse("\n".join(line for line in found.splitlines() if " - " in line))
    assert "/sys/fs/cgroup" in top
    assert access in top["/sys/fs/cgroup"].options
    if kind == "cgroup" and Path("/sys/fs/cgroup/pids").is_dir():
        assert "pids" in found.split()
        assert top["/sys/fs/cgroup/pids"].fstype == "cgroup"
        assert access in top["/sys/fs/cgroup/pids"].options
    else:
        assert "cgroup.procs" in found.split()


@feature("4.30 linux.mountLabel", "14.8 run.oci.mount_context_type")
def test_a_label_of_mounts_needs_selinux(pyrunc: Runtime, config: Config) -> None:
    """The options are in the plan tests: the kernel of this machine has no SELinux."""
    if Path("/sys/fs/selinux/enforce").exists():
        pytest.skip("this kernel has SELinux")
    config.linux["mountLabel"] = "system_u:object_r:container_file_t:s0:c1,c2"
    result = pyrunc.run(config, "true")
    assert result.status == 1
    assert "selinux" in result.error.lower()
    assert "/linux/mountLabel" in result.stderr


@feature("4.31 new mount API")
def test_mounts_are_made_detached(pyrunc: Runtime, config: Config, workspace: Path) -> None:
    """Nothing is seen half made: fsopen, fsmount, move_mount; mount(2) only for propagation."""
    from tests.support import strace

    config.write()
    output = workspace / "trace"
    prefix = strace.prefix(output, "mount", "fsopen", "fsmount", "move_mount", "open_tree")
    pyrunc("run", "--bundle", config.bundle, pyrunc.new_id(), prefix=prefix).ok()
    calls = strace.parse(output)
    assert len(strace.named(calls, "move_mount")) >= len(config["mounts"])
    assert all("NULL" in call.args or "MS_" in call.args for call in strace.named(calls, "mount"))
    assert len(strace.named(calls, "mount")) <= 2
