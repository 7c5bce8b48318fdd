# SPDX-License-Identifier: Apache-2.0
"""Namespaces: new ones, joined ones, and what is set inside them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Container, Runtime
from tests.support.types import Hold, Run, Shell

FILES = {
    "pid": "pid",
    "network": "net",
    "ipc": "ipc",
    "uts": "uts",
    "mount": "mnt",
    "cgroup": "cgroup",
    "user": "user",
    "time": "time",
}


def host(kind: str) -> str:
    return os.readlink(f"/proc/self/ns/{FILES[kind]}")


def inside(shell: Shell, config: Config, kind: str) -> str:
    return shell(config, f"readlink /proc/self/ns/{FILES[kind]}").strip()


@pytest.mark.parametrize("kind", sorted(FILES.keys() - {"user", "time"}))
def test_a_namespace_that_is_named_is_new(shell: Shell, config: Config, kind: str) -> None:
    assert inside(shell, config, kind) != host(kind)


def test_a_user_namespace_is_new_and_has_the_maps(shell: Shell, config: Config) -> None:
    config.user_namespace(100000, 65536)
    script = "readlink /proc/self/ns/user; cat /proc/self/uid_map /proc/self/gid_map; id -u; id -g"
    link, uid_map, gid_map, uid, gid = shell(config, script).splitlines()
    assert link != host("user")
    assert uid_map.split() == gid_map.split() == ["0", "100000", "65536"]
    assert (uid, gid) == ("0", "0")


def test_files_of_a_mapped_owner_are_seen_with_the_inner_id(shell: Shell, config: Config) -> None:
    config.user_namespace(100000, 65536)
    os.chown(config.file("etc/mine"), 101000, 101001)
    config.file("etc/strange")
    script = "stat -c %u:%g /etc/mine /etc/strange"
    assert shell(config, script).split() == ["1000:1001", "65534:65534"]


def test_several_map_lines_are_applied_in_order(shell: Shell, config: Config) -> None:
    config.user_namespace()
    lines = [(0, 100000, 10), (10, 200000, 5), (1000, 300000, 1)]
    config.linux["uidMappings"] = config.linux["gidMappings"] = [
        {"containerID": inner, "hostID": outer, "size": size} for inner, outer, size in lines
    ]
    found = [
        tuple(map(int, line.split()))
        for line in shell(config, "cat /proc/self/uid_map").splitlines()
    ]
    assert found == lines


def test_a_root_file_system_below_a_private_directory_works_with_mapped_ids(
    pyrunc: Runtime, config: Config, workspace: Path
) -> None:
    """The directory above is 0700 and root's: the mapped root could not reach it by name."""
    config.user_namespace(100000, 65536)
    workspace.chmod(0o700)
    assert pyrunc.run(config, "id", "-u").ok().stdout == "0\n"


def test_a_source_below_a_private_directory_of_a_mapped_owner_is_bound(
    shell: Shell, config: Config, workspace: Path
) -> None:
    """Engines keep a container's own files below a directory of its root's host id."""
    config.user_namespace(100000, 65536)
    private = workspace / "private"
    (private / "shm").mkdir(parents=True)
    (private / "shm" / "file").write_text("found")
    os.chown(private, 100000, 100000)
    private.chmod(0o700)
    config.bind(private / "shm", "/mnt")
    assert shell(config, "cat /mnt/file") == "found"


def test_a_time_namespace_is_new_and_has_the_offsets(
    pyrunc: Runtime, shell: Shell, config: Config
) -> None:
    config.namespace("time")
    config.linux["timeOffsets"] = {
        "monotonic": {"secs": 1000, "nanosecs": 5},
        "boottime": {"secs": 100000, "nanosecs": 0},
    }
    script = "readlink /proc/self/ns/time; cat /proc/self/timens_offsets; cat /proc/uptime"
    link, monotonic, boottime, uptime = shell(config, script).splitlines()
    assert link != host("time")
    assert monotonic.split() == ["monotonic", "1000", "5"]
    assert boottime.split() == ["boottime", "100000", "0"]
    assert float(uptime.split()[0]) > 100000


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "cgroup", "pid"])
def test_a_namespace_that_is_not_named_is_the_callers(
    shell: Shell, config: Config, kind: str
) -> None:
    config.without_namespace(kind)
    if kind == "uts":
        del config["hostname"]
    assert inside(shell, config, kind) == host(kind)


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "cgroup"])
def test_a_namespace_is_joined_by_its_path(
    shell: Shell, config: Config, holder: Hold, kind: str
) -> None:
    option = {"network": "--net"}.get(kind, f"--{kind}")
    path = f"/proc/{holder(option)}/ns/{FILES[kind]}"
    config.namespace(kind, path)
    assert inside(shell, config, kind) == os.readlink(path) != host(kind)


def test_a_pid_namespace_is_joined_by_its_path(shell: Shell, config: Config, holder: Hold) -> None:
    pid = holder("--pid", "--fork", "--kill-child")
    path = f"/proc/{pid}/ns/pid_for_children"
    config.namespace("pid", path)
    link, number = shell(config, "readlink /proc/self/ns/pid; echo $$").split()
    assert link == os.readlink(path)
    assert number != "1"


def test_a_time_namespace_is_joined_by_its_path(
    pyrunc: Runtime, shell: Shell, config: Config, holder: Hold
) -> None:
    pid = holder("--time", "--boottime", "5000000", "--fork", "--kill-child")
    path = f"/proc/{pid}/ns/time_for_children"
    config.namespace("time", path)
    link, uptime = shell(config, "readlink /proc/self/ns/time; cut -d. -f1 /proc/uptime").split()
    assert link == os.readlink(path)
    assert int(uptime) > 5000000


def test_a_user_namespace_is_joined_by_its_path(
    pyrunc: Runtime, shell: Shell, config: Config, holder: Hold
) -> None:
    pid = holder("--user")
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{pid}/{name}").write_text("0 100000 1000")
    config.namespace("user", f"/proc/{pid}/ns/user")
    script = "readlink /proc/self/ns/user; cat /proc/self/uid_map; id -u; id -G"
    link, uid_map, uid, groups = shell(config, script).splitlines()
    assert link == os.readlink(f"/proc/{pid}/ns/user")
    assert uid_map.split() == ["0", "100000", "1000"]
    assert (uid, groups) == ("0", "0")


def test_a_mount_namespace_is_joined_by_its_path(
    pyrunc: Runtime, shell: Shell, config: Config, holder: Hold
) -> None:
    path = f"/proc/{holder('--mount')}/ns/mnt"
    config.namespace("mount", path)
    assert inside(shell, config, "mount") == os.readlink(path)


def test_a_path_that_is_no_namespace_is_refused(pyrunc: Runtime, run: Run, config: Config) -> None:
    config.namespace("network", "/etc/passwd")
    result = run(config, "true")
    assert result.status == 1
    assert "/etc/passwd" in result.stderr


def test_a_namespace_of_another_kind_is_refused(pyrunc: Runtime, run: Run, config: Config) -> None:
    """UN-6, JN-2: the kind is asked from the opened file."""
    config.namespace("network", "/proc/self/ns/uts")
    result = run(config, "true")
    assert result.status == 1
    assert "/proc/self/ns/uts" in result.stderr


def test_a_missing_namespace_file_is_named(run: Run, config: Config) -> None:
    config.namespace("ipc", "/run/absent-namespace")
    result = run(config, "true")
    assert result.status == 1
    assert "/run/absent-namespace" in result.stderr
    assert "no such file or directory" in result.stderr


def test_the_loopback_interface_of_a_new_network_namespace_is_up(
    shell: Shell, config: Config
) -> None:
    assert "UP LOOPBACK RUNNING" in shell(config, "ifconfig lo")
    assert "127.0.0.1" in shell(config, "ifconfig lo")


def test_a_joined_network_namespace_is_left_as_it_is(
    shell: Shell, config: Config, holder: Hold
) -> None:
    config.namespace("network", f"/proc/{holder('--net')}/ns/net")
    assert "UP" not in shell(config, "ifconfig lo")


def test_the_hostname_is_set_inside_only(shell: Shell, config: Config) -> None:
    before = os.uname().nodename
    config["hostname"] = "inner-name"
    assert shell(config, "hostname").strip() == "inner-name"
    assert os.uname().nodename == before


def test_the_domainname_is_set_inside_only(pyrunc: Runtime, shell: Shell, config: Config) -> None:
    before = Path("/proc/sys/kernel/domainname").read_text()
    config["domainname"] = "inner.example"
    assert shell(config, "cat /proc/sys/kernel/domainname").strip() == "inner.example"
    assert Path("/proc/sys/kernel/domainname").read_text() == before


def test_the_program_is_process_1_of_a_new_pid_namespace(shell: Shell, config: Config) -> None:
    """Nothing of the runtime is left inside: the only process is the program and its children."""
    assert shell(config, "echo $$; for p in /proc/[0-9]*; do basename $p; done").split() == [
        "1",
        "1",
    ]


def test_the_view_of_cgroups_begins_at_the_own_cgroup(shell: Shell, config: Config) -> None:
    paths = {line.split(":", 2)[2] for line in shell(config, "cat /proc/self/cgroup").splitlines()}
    assert paths == {"/"}


SYSCTLS = {
    "net.ipv4.ip_forward": "1",
    "net/ipv4/conf/lo/forwarding": "1",
    "kernel.msgmax": "10001",
    "kernel.sem": "100\t200\t50\t60",
    "kernel.shm_rmid_forced": "1",
    "fs.mqueue.msg_max": "17",
}


@pytest.mark.parametrize("name", sorted(SYSCTLS))
def test_a_sysctl_is_set_in_its_namespace_only(shell: Shell, config: Config, name: str) -> None:
    """PS-6: kernel, fs.mqueue and net values land in the container's namespaces."""
    path = "/proc/sys/" + (name if "/" in name else name.replace(".", "/"))
    before = Path(path).read_text()
    config.linux["sysctl"] = {name: SYSCTLS[name]}
    assert shell(config, f"cat {path}").split() == SYSCTLS[name].split()
    assert Path(path).read_text() == before


def test_a_sysctl_of_a_user_namespace_is_set(pyrunc: Runtime, shell: Shell, config: Config) -> None:
    config.user_namespace()
    config.linux["sysctl"] = {"user.max_net_namespaces": "7"}
    assert shell(config, "cat /proc/sys/user/max_net_namespaces").strip() == "7"


@pytest.mark.parametrize(
    "name", ["kernel.panic", "vm.swappiness", "kernel.hostname", "net", "fs.file-max"]
)
def test_a_sysctl_of_the_host_is_refused(run: Run, config: Config, name: str) -> None:
    """PS-6."""
    config.linux["sysctl"] = {name: "1"}
    result = run(config, "true")
    assert result.status == 1
    assert name in result.stderr


def test_a_sysctl_of_a_shared_namespace_is_refused(run: Run, config: Config) -> None:
    """PS-6: the network namespace is the host's."""
    config.without_namespace("network")
    config.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    result = run(config, "true")
    assert result.status == 1
    assert "net.ipv4.ip_forward" in result.stderr


def test_a_sysctl_the_kernel_does_not_have_is_an_error(run: Run, config: Config) -> None:
    config.linux["sysctl"] = {"net.ipv4.absent_value": "1"}
    result = run(config, "true")
    assert result.status == 1
    assert "absent_value" in result.stderr


def test_the_namespaces_of_a_created_container_are_complete(
    create: Callable[..., Container], config: Config
) -> None:
    """Hooks and engines use /proc/PID/ns of a container that waits for start."""
    container = create(config, "true")
    for kind in ("pid", "network", "ipc", "uts", "mount"):
        assert os.readlink(f"/proc/{container.pid}/ns/{FILES[kind]}") != host(kind)
