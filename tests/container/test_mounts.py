# SPDX-License-Identifier: Apache-2.0
"""Mounts: every option, where a mount lands, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import machine, mountinfo
from tests.support.bundle import Config
from tests.support.runtime import Runtime
from tests.support.types import Run, Shell

TABLE = "cat /proc/self/mountinfo"

# option -> (shown by the mount or the file system, not shown)
ATTRIBUTES = {
    "ro": ({"ro"}, {"rw"}),
    "rw": ({"rw"}, {"ro"}),
    "nosuid": ({"nosuid"}, set()),
    "nodev": ({"nodev"}, set()),
    "noexec": ({"noexec"}, set()),
    "noatime": ({"noatime"}, {"relatime"}),
    "nodiratime": ({"nodiratime"}, set()),
    "relatime": ({"relatime"}, {"noatime"}),
    "strictatime": (set(), {"relatime", "noatime"}),
    "nosymfollow": ({"nosymfollow"}, set()),
    "defaults": ({"rw"}, {"nosuid", "nodev", "noexec"}),
}
CLEARED = {
    "suid": ("nosuid", "nosuid"),
    "dev": ("nodev", "nodev"),
    "exec": ("noexec", "noexec"),
    "rw": ("ro", "ro"),
    "diratime": ("nodiratime", "nodiratime"),
    "symfollow": ("nosymfollow", "nosymfollow"),
    "atime": ("noatime", "noatime"),
    "norelatime": ("relatime", "noatime"),
    "nostrictatime": ("strictatime", "noatime"),
}
SUPERBLOCK = {"sync": "sync", "dirsync": "dirsync", "lazytime": "lazytime"}
HARMLESS = ("async", "nomand", "loud", "silent", "noiversion", "nolazytime", "iversion")
RECURSIVE = {
    "rro": "ro",
    "rnosuid": "nosuid",
    "rnodev": "nodev",
    "rnoexec": "noexec",
    "rnoatime": "noatime",
    "rnodiratime": "nodiratime",
    "rnosymfollow": "nosymfollow",
    "rrelatime": "relatime",
}
RECURSIVE_CLEAR = {
    "rrw": "ro",
    "rsuid": "nosuid",
    "rdev": "nodev",
    "rexec": "noexec",
    "rdiratime": "nodiratime",
    "rsymfollow": "nosymfollow",
    "rstrictatime": "relatime",
}


def mounted(shell: Shell, config: Config, target: str = "/mnt") -> mountinfo.Mount:
    return mountinfo.parse(shell(config, TABLE))[target]


@pytest.fixture
def tree(workspace: Path) -> Iterator[Path]:
    """A host directory with a file, and a file system mounted below it."""
    top = workspace / "tree"
    (top / "sub").mkdir(parents=True)
    (top / "file").write_text("host file")
    machine.mount("tmpfs", top / "sub", "tmpfs")
    (top / "sub/file").write_text("file below")
    yield top
    while machine.is_mount_point(top):  # a test has bound it onto itself
        machine.unmount(top)
    machine.unmount(top / "sub")


# -- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", sorted(ATTRIBUTES))
def test_an_option_of_a_new_file_system_is_in_force(
    shell: Shell, config: Config, option: str
) -> None:
    shown, hidden = ATTRIBUTES[option]
    config.mount("/mnt", "tmpfs", "tmpfs", option)
    found = mounted(shell, config).options
    assert shown <= found
    assert not hidden & found


@pytest.mark.parametrize("option", sorted(ATTRIBUTES))
def test_an_option_of_a_bind_mount_is_in_force(
    shell: Shell, config: Config, tree: Path, option: str
) -> None:
    shown, hidden = ATTRIBUTES[option]
    config.bind(tree, "/mnt", "bind", option)
    found = mounted(shell, config).options
    assert shown <= found
    assert not hidden & found


@pytest.mark.parametrize("option", sorted(CLEARED))
def test_the_later_of_two_opposite_options_wins(shell: Shell, config: Config, option: str) -> None:
    earlier, absent = CLEARED[option]
    config.mount("/mnt", "tmpfs", "tmpfs", earlier, option)
    assert absent not in mounted(shell, config).options


@pytest.mark.parametrize("option", sorted(SUPERBLOCK))
def test_an_option_of_the_file_system_itself_is_in_force(
    shell: Shell, config: Config, option: str
) -> None:
    config.mount("/mnt", "tmpfs", "tmpfs", option)
    found = mounted(shell, config)
    assert SUPERBLOCK[option] in found.data | found.options


@pytest.mark.parametrize("option", HARMLESS)
def test_an_option_without_effect_on_a_tmpfs_is_accepted(
    shell: Shell, config: Config, option: str
) -> None:
    config.mount("/mnt", "tmpfs", "tmpfs", option)
    assert mounted(shell, config).fstype == "tmpfs"


def test_mand_is_accepted_or_named(run: Run, config: Config) -> None:
    """Linux has no mandatory locks any more: the option does nothing or is an error, as it says."""
    config.mount("/mnt", "tmpfs", "tmpfs", "mand")
    result = run(config, "true")
    assert result.status == 0 or "mand" in result.stderr


@pytest.mark.parametrize("option", sorted(RECURSIVE))
def test_a_recursive_option_reaches_the_mounts_below(
    shell: Shell, config: Config, tree: Path, option: str
) -> None:
    config.bind(tree, "/mnt", "rbind", option)
    table = mountinfo.parse(shell(config, TABLE))
    assert RECURSIVE[option] in table["/mnt"].options
    assert RECURSIVE[option] in table["/mnt/sub"].options


@pytest.mark.parametrize("option", sorted(RECURSIVE_CLEAR))
def test_a_recursive_option_clears_below(
    shell: Shell, config: Config, tree: Path, option: str
) -> None:
    name = RECURSIVE_CLEAR[option]
    if name != "relatime":
        flags = {"ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8, "nosymfollow": 256}
        machine.mount("", tree / "sub", flags=0x20 | 0x1000 | flags.get(name, 2048))
    config.bind(tree, "/mnt", "rbind", option)
    assert name not in mountinfo.parse(shell(config, TABLE))["/mnt/sub"].options


def test_a_plain_option_leaves_the_mounts_below_alone(
    shell: Shell, config: Config, tree: Path
) -> None:
    config.bind(tree, "/mnt", "rbind", "ro")
    table = mountinfo.parse(shell(config, TABLE))
    assert "ro" in table["/mnt"].options
    assert "rw" in table["/mnt/sub"].options


PROPAGATION = {
    "private": (set(), set()),
    "rprivate": (set(), set()),
    "shared": ({"shared"}, set()),
    "rshared": ({"shared"}, {"shared"}),
    "unbindable": ({"unbindable"}, set()),
    "runbindable": ({"unbindable"}, {"unbindable"}),
}


@pytest.mark.parametrize("option", sorted(PROPAGATION))
def test_propagation_of_a_mount_and_below(
    shell: Shell, config: Config, tree: Path, option: str
) -> None:
    config.bind(tree, "/mnt", "rbind", option)
    table = mountinfo.parse(shell(config, TABLE))
    top, below = PROPAGATION[option]
    assert table["/mnt"].propagation == top
    assert table["/mnt/sub"].propagation == below


@pytest.mark.parametrize("option", ["slave", "rslave"])
def test_a_slave_mount_receives_from_its_shared_source(
    shell: Shell, config: Config, tree: Path, option: str
) -> None:
    machine.mount(str(tree), tree, flags=0x1000)
    machine.mount("", tree, flags=1 << 20)
    config["linux"]["rootfsPropagation"] = "slave"
    config.bind(tree, "/mnt", "bind", option)
    assert mounted(shell, config).propagation == {"master"}


def test_data_options_reach_the_file_system(shell: Shell, config: Config) -> None:
    config.mount("/mnt", "tmpfs", "tmpfs", "size=512k", "mode=0710", "nr_inodes=100")
    found = mounted(shell, config)
    assert {"size=512k", "nr_inodes=100"} <= found.data
    assert shell(config, "stat -c %a /mnt").strip() == "710"


def test_a_tmpfs_keeps_the_mode_of_the_directory_it_covers(shell: Shell, config: Config) -> None:
    (config.rootfs / "mnt").chmod(0o2751)
    config.mount("/mnt", "tmpfs", "tmpfs", "size=64k")
    assert shell(config, "stat -c %a /mnt").strip() in {"751", "2751"}


def test_mounts_are_listed_in_the_order_of_the_configuration(
    shell: Shell, config: Config, tree: Path
) -> None:
    """config.md, Mounts. Since Linux 6.8 mountinfo is ordered by age, before by attachment."""
    for name in ("one", "two"):
        config.mount(f"/mnt/{name}-new", "tmpfs", "tmpfs", "size=64k")
        config.bind(tree, f"/mnt/{name}-bind")
    wanted = [one["destination"] for one in config["mounts"]]
    listed = [line.split()[4] for line in shell(config, TABLE).splitlines()]
    assert [path for path in listed if path in wanted] == wanted


def test_an_unknown_option_of_a_bind_mount_is_refused(
    pyrunc: Runtime, config: Config, tree: Path
) -> None:
    config.bind(tree, "/mnt", "bind", "rdonly")
    result = pyrunc.run(config, "true")
    assert result.status == 1
    assert "rdonly" in result.error


def test_an_option_the_file_system_refuses_is_named(run: Run, config: Config) -> None:
    config.mount("/mnt", "tmpfs", "tmpfs", "sizzle=1")
    result = run(config, "true")
    assert result.status == 1
    assert "/mnt" in result.stderr


def test_an_unknown_file_system_is_an_error(run: Run, config: Config) -> None:
    config.mount("/mnt", "absentfs", "none")
    result = run(config, "true")
    assert result.status == 1
    assert "no such device" in result.stderr


# -- targets and sources --------------------------------------------------------------------------


def test_a_missing_target_directory_is_made(shell: Shell, config: Config, tree: Path) -> None:
    config.bind(tree, "/one/two/three")
    script = "cat /one/two/three/file; stat -c %a:%u /one /one/two"
    assert shell(config, script).split("\n")[0:1] == ["host file755:0"]
    assert (config.rootfs / "one/two/three").is_dir()


def test_a_missing_target_file_is_made_for_a_file(shell: Shell, config: Config, tree: Path) -> None:
    config.bind(tree / "file", "/one/two/here")
    assert shell(config, "cat /one/two/here") == "host file"
    assert (config.rootfs / "one/two/here").read_text() == ""


def test_a_relative_target_is_below_the_root(run: Run, config: Config, tree: Path) -> None:
    config.bind(tree, "relative/place")
    assert run(config, "cat", "/relative/place/file").ok().stdout == "host file"


def test_a_bind_is_not_recursive_unless_asked(shell: Shell, config: Config, tree: Path) -> None:
    config.bind(tree, "/mnt", "bind")
    assert shell(config, "ls /mnt/sub") == ""


def test_an_rbind_is_recursive(shell: Shell, config: Config, tree: Path) -> None:
    config.bind(tree, "/mnt", "rbind")
    assert shell(config, "cat /mnt/sub/file") == "file below"


def test_a_bind_by_option_needs_no_type(shell: Shell, config: Config, tree: Path) -> None:
    config["mounts"].append(
        {"destination": "/mnt", "source": str(tree), "options": ["rbind", "ro"]}
    )
    assert shell(config, "cat /mnt/sub/file") == "file below"


def test_mounts_are_made_in_their_order(shell: Shell, config: Config, tree: Path) -> None:
    config.bind(tree, "/mnt", "bind")
    config.mount("/mnt/sub", "tmpfs", "tmpfs", "size=64k")
    config.bind(tree / "file", "/mnt/sub/again")
    assert shell(config, "cat /mnt/file /mnt/sub/again") == "host filehost file"


def test_a_later_mount_covers_an_earlier_one(shell: Shell, config: Config, tree: Path) -> None:
    config.bind(tree, "/mnt", "bind")
    config.mount("/mnt", "tmpfs", "tmpfs")
    assert shell(config, "ls /mnt") == ""


def test_a_missing_source_is_named_with_both_paths(run: Run, config: Config) -> None:
    config.bind("/run/absent-source", "/mnt")
    result = run(config, "true")
    assert result.status == 1
    assert "/run/absent-source" in result.stderr
    assert "/mnt" in result.stderr
    assert "no such file or directory" in result.stderr


def test_a_directory_on_a_file_is_not_a_directory(run: Run, config: Config, tree: Path) -> None:
    config.file("target")
    config.bind(tree, "/target")
    result = run(config, "true")
    assert result.status == 1
    assert "not a directory" in result.stderr


def test_a_file_on_a_directory_is_not_a_directory(run: Run, config: Config, tree: Path) -> None:
    config.bind(tree / "file", "/mnt")
    result = run(config, "true")
    assert result.status == 1
    assert "not a directory" in result.stderr


def test_a_link_in_the_image_leads_inside_the_image(
    shell: Shell, config: Config, tree: Path
) -> None:
    """PR-1: an absolute link means the container's root, and .. ends there."""
    (config.rootfs / "link").symlink_to("/mnt")
    (config.rootfs / "climb").symlink_to("../../../../../../../home")
    config.bind(tree, "/link/here")
    config.bind(tree, "/climb/here")
    assert shell(config, "cat /mnt/here/file /home/here/file") == "host filehost file"


def test_a_mount_on_the_root_itself_hides_the_image(pyrunc: Runtime, config: Config) -> None:
    config.mount("/", "tmpfs", "tmpfs")
    result = pyrunc.run(config, "true")
    assert result.status == 1
    assert "executable file not found" in result.stderr


@pytest.mark.parametrize("kind", ["proc", "sysfs"])
def test_proc_and_sysfs_need_a_directory_of_their_own(run: Run, config: Config, kind: str) -> None:
    """MT-6: reached without any link."""
    (config.rootfs / "link").symlink_to("mnt")
    config.mount("/link", kind, kind)
    assert run(config, "true").status == 1


PROC_FILES = ("cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg")


@pytest.mark.parametrize("name", PROC_FILES)
def test_a_file_may_be_put_on_a_harmless_file_of_proc(
    shell: Shell, config: Config, tree: Path, name: str
) -> None:
    """MT-7: what lxcfs does."""
    config.bind(tree / "file", f"/proc/{name}")
    assert shell(config, f"cat /proc/{name}") == "host file"


@pytest.mark.parametrize(
    "path", ["/proc/sys", "/proc/self", "/proc/1/attr", "/proc//sys/net", "/proc/version"]
)
def test_nothing_else_may_be_put_on_proc(
    pyrunc: Runtime, config: Config, tree: Path, path: str
) -> None:
    """MT-7."""
    config.bind(tree, path)
    result = pyrunc.run(config, "true")
    assert result.status == 1
    assert "because it is inside /proc" in result.stderr


def test_proc_may_only_be_covered_by_proc(run: Run, config: Config, tree: Path) -> None:
    """MT-7."""
    config.without_mount("/proc")
    config.bind(tree, "/proc")
    result = run(config, "true")
    assert result.status == 1
    assert "/proc" in result.stderr


def test_the_proc_of_the_host_may_be_bound_on_proc(shell: Shell, config: Config) -> None:
    config.without_mount("/proc")
    config.without_namespace("pid")
    config.bind("/proc", "/proc", "rbind")
    assert shell(config, "readlink /proc/self/ns/pid").strip() == os.readlink("/proc/self/ns/pid")


# -- file systems ---------------------------------------------------------------------------------


def test_every_kind_of_file_system_of_a_usual_config(shell: Shell, config: Config) -> None:
    config.mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev")
    table = mountinfo.parse(shell(config, TABLE))
    kinds = {target: table[target].fstype for target in table}
    expected = {
        "/proc": "proc",
        "/dev": "tmpfs",
        "/dev/pts": "devpts",
        "/dev/shm": "tmpfs",
        "/dev/mqueue": "mqueue",
        "/sys": "sysfs",
    }
    assert expected.items() <= kinds.items()


def test_sysfs_shows_the_network_of_the_container(shell: Shell, config: Config) -> None:
    assert shell(config, "ls /sys/class/net").split() == ["lo"]


def test_a_cgroup_mount_shows_the_own_cgroups_and_is_read_only(
    shell: Shell, config: Config
) -> None:
    """CG-5, CVE-2022-0492: nothing writable, no release_agent to set."""
    config.mount(
        "/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro"
    )
    names = set(shell(config, "ls /sys/fs/cgroup").split())
    hierarchies = {path.name for path in Path("/sys/fs/cgroup").iterdir() if path.is_dir()}
    assert names
    if "pids" in hierarchies:
        assert {"pids", "memory", "cpu"} & hierarchies <= names
    script = "find /sys/fs/cgroup -name cgroup.procs | head -n 1 | xargs cat"
    assert "1" in shell(config, script).split()
    attempts = (
        "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do"
        " mkdir $d/new 2>/dev/null && echo $d; done; true"
    )
    assert shell(config, attempts) == ""


def test_the_root_is_read_only_when_asked(shell: Shell, config: Config) -> None:
    config["root"]["readonly"] = True
    script = "touch /file 2>&1 || true; touch /dev/shm/x; grep -c . /proc/self/mountinfo"
    assert "Read-only file system" in shell(config, script)
    assert not (config.rootfs / "file").exists()


def test_the_root_is_writable_by_default(shell: Shell, config: Config) -> None:
    shell(config, "echo hello >/file")
    assert (config.rootfs / "file").read_text() == "hello\n"


def test_a_mount_into_a_user_namespace_keeps_what_the_host_locked(
    pyrunc: Runtime, config: Config, tree: Path, probe: Path
) -> None:
    """UN-10, R099: ro, nosuid, nodev and noexec of a host mount cannot be cleared from inside."""
    machine.mount("", tree / "sub", flags=0x20 | 0x1000 | 15)
    config.user_namespace()
    config.capabilities("CAP_SYS_ADMIN")
    config.bind(tree / "sub", "/mnt", "bind")
    config.bind(probe, "/bin/probe")
    lines = pyrunc.run(config, "probe", "clear-attributes", "/mnt").ok().lines
    assert lines == [
        f"{name}: Operation not permitted" for name in ("ro", "nosuid", "nodev", "noexec")
    ]


def test_clearing_a_locked_flag_is_an_error(pyrunc: Runtime, config: Config, tree: Path) -> None:
    """MT-11: asked to make it writable, we cannot, and say so."""
    machine.mount("", tree / "sub", flags=0x20 | 0x1000 | 1)
    config.user_namespace()
    config.bind(tree / "sub", "/mnt", "bind", "rw")
    result = pyrunc.run(config, "true")
    assert result.status == 1
    assert "cannot clear locked flags" in result.stderr


def test_the_mounts_of_the_host_are_not_seen(shell: Shell, config: Config) -> None:
    """The old root is detached: only what the config names is in the table."""
    table = set(mountinfo.parse(shell(config, TABLE)))
    assert table == {"/", *(entry["destination"] for entry in config["mounts"])}


def test_the_mounts_of_a_container_are_not_seen_by_the_host(
    create: Callable[..., object], config: Config
) -> None:
    """MT-5, R087, even when every mount above is shared."""
    above = [path for path in (config.bundle, *config.bundle.parents) if path.is_mount()]
    for path in above:
        machine.mount("", path, flags=1 << 20)
    try:
        before = machine.mounts()
        create(config, "true")
        assert machine.mounts() == before
    finally:
        for path in above:
            machine.mount("", path, flags=1 << 18)
