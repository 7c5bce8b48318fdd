# SPDX-License-Identifier: Apache-2.0
"""Section 6 of the feature table: users without privileges, id maps, network devices, personality,
memory policy.
"""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.features.conftest import User
from tests.support.bundle import Config
from tests.support.runtime import Container, Runtime
from tests.support.types import Run, Shell
from tests.support.wait import until

feature = pytest.mark.feature


# -- users without privileges ----------------------------------------------------------------------


@feature("2.78 spec --rootless")
def test_spec_rootless_writes_a_config_that_the_user_can_run(user: User) -> None:
    (user.config.bundle / "config.json").unlink(missing_ok=True)
    user("spec", "--rootless").ok()
    config = json.loads((user.config.bundle / "config.json").read_text())
    config["process"].update(args=["sh", "-c", "id -u; cat /proc/self/uid_map"], terminal=False)
    (user.config.bundle / "config.json").write_text(json.dumps(config))
    lines = user("run", user.runtime.new_id()).ok().lines
    assert lines[0] == "0"
    assert lines[1].split() == ["0", str(user.uid), "1"]


@feature("6.6 uidMappings", "6.12 rootless without cgroup access", "8.22 eBPF errors tolerated")
def test_a_user_goes_through_the_life_of_a_container(user: User) -> None:
    user.config.process["args"] = ["sleep", "600"]
    user.config.write()
    name = user.runtime.new_id()
    pid_file = user.config.bundle / "pid"
    flags = ("--detach", "--bundle", user.config.bundle, "--pid-file", pid_file)
    user("run", *flags, name).ok()
    try:
        state = json.loads(user("state", name).ok().stdout)
        assert state["status"] == "running"
        assert state["pid"] == int(pid_file.read_text())
        assert os.stat(f"/proc/{state['pid']}").st_uid == user.uid
        assert user("exec", name, "id", "-u").ok().stdout == "0\n"
        assert user("exec", name, "sh", "-c", "exit 3").status == 3
        assert name in user("list", "-q").ok().lines
    finally:
        user("delete", "--force", name).ok()


@feature("6.12 rootless without cgroup access")
def test_a_limit_that_a_user_cannot_have_is_an_error(user: User) -> None:
    user.config.linux["resources"] = {"pids": {"limit": 10}}
    result = user.run("true")
    assert result.status == 1
    assert "rootless needs no limits + no cgrouppath" in result.error
    assert "cgroup" in result.error


@feature("6.7 newuidmap/newgidmap fallback")
def test_newuidmap_writes_what_a_user_may_not(user: User, subids: tuple[int, int]) -> None:
    first, count = subids
    for name, own in (("uidMappings", user.uid), ("gidMappings", user.gid)):
        user.config.linux[name] = [
            {"containerID": 0, "hostID": own, "size": 1},
            {"containerID": 1, "hostID": first, "size": count},
        ]
    lines = user.run("cat", "/proc/self/uid_map", "/proc/self/gid_map").ok().lines
    assert [line.split() for line in lines] == [
        ["0", str(user.uid), "1"],
        ["1", str(first), str(count)],
    ] * 2


@feature("6.7 newuidmap/newgidmap fallback")
def test_ids_that_nobody_gave_to_the_user_are_explained(
    user: User, subids: tuple[int, int]
) -> None:
    user.config.linux["uidMappings"] = [{"containerID": 0, "hostID": 400000, "size": 10}]
    result = user.run("true")
    assert result.status == 1
    assert "newuidmap" in result.error
    assert "/etc/subuid" in result.stderr
    assert "/linux/uidMappings" in result.stderr


@feature("6.7 newuidmap/newgidmap fallback")
def test_a_missing_newuidmap_is_explained(user: User, workspace: Path) -> None:
    """The program is hidden by an empty file that nobody may execute."""
    from tests.support import machine

    hidden = workspace / "hidden"
    hidden.write_text("")
    program = "/usr/bin/newuidmap"
    if Path(program).exists():
        machine.mount(str(hidden), program, flags=4096)
    try:
        user.config.linux["uidMappings"] = [{"containerID": 0, "hostID": 400000, "size": 10}]
        result = user.run("true", env={"PATH": "/usr/bin:/bin"})
    finally:
        if Path(program).exists():
            machine.unmount(program)
    assert result.status == 1
    assert "it needs the program newuidmap, which is not installed" in result.error
    assert "install the package uidmap" in result.stderr


@feature("6.8 userns auto-created from subuid/subgid")
def test_a_user_namespace_without_mappings_gets_the_users_ids(
    user: User, subids: tuple[int, int]
) -> None:
    first, count = subids
    for name in ("uidMappings", "gidMappings"):
        del user.config.linux[name]
    script = "cat /proc/self/uid_map /proc/self/gid_map"
    lines = user.run("sh", "-c", script).ok().lines
    assert [line.split() for line in lines] == [
        ["0", str(user.uid), "1"],
        ["1", str(first), str(count)],
    ] * 2


@feature("6.8 userns auto-created from subuid/subgid")
def test_without_subordinate_ids_it_gets_one(user: User) -> None:
    if "nobody" in Path("/etc/subuid").read_text():
        pytest.skip("nobody has subordinate ids on this machine")
    for name in ("uidMappings", "gidMappings"):
        del user.config.linux[name]
    lines = user.run("cat", "/proc/self/uid_map").ok().lines
    assert [line.split() for line in lines] == [["0", str(user.uid), "1"]]


@feature("6.8 userns auto-created from subuid/subgid")
def test_root_has_to_say_which_ids(run: Run, config: Config) -> None:
    config.namespace("user")
    result = run(config, "true")
    assert result.status == 1
    assert "a new user namespace needs /linux/uidMappings" in result.error


@feature("6.9 container without mapping for id 0")
def test_a_container_needs_no_id_0(run: Run, config: Config) -> None:
    config.user_namespace()
    maps = [{"containerID": 1000, "hostID": 100000, "size": 10}]
    config.linux.update(uidMappings=maps, gidMappings=maps)
    config.process["user"] = {"uid": 1000, "gid": 1000}
    for mount in config["mounts"]:
        if mount["destination"] == "/dev/pts":
            mount["options"].remove("gid=5")
    lines = run(config, "sh", "-c", "id -u; id -g; stat -c %u /dev/shm /proc/1").ok().lines
    assert lines[:3] == ["1000", "1000", "1000"]


@feature("6.9 container without mapping for id 0")
def test_a_user_may_keep_its_own_number(user: User) -> None:
    maps = [{"containerID": user.uid, "hostID": user.uid, "size": 1}]
    user.config.linux.update(uidMappings=maps, gidMappings=maps)
    user.config.process["user"] = {"uid": user.uid, "gid": user.gid}
    assert user.run("id", "-u").ok().stdout == f"{user.uid}\n"


@feature("6.10 userns path plus identical mappings")
def test_a_joined_user_namespace_may_come_with_its_mappings(
    run: Run, config: Config, holder: Callable[..., int]
) -> None:
    pid = holder("--user", "--map-root-user", "--net")
    config.namespace("user", f"/proc/{pid}/ns/user")
    config.namespace("network", f"/proc/{pid}/ns/net")
    config.linux["uidMappings"] = [{"containerID": 0, "hostID": 0, "size": 1}]
    config.linux["gidMappings"] = [{"containerID": 0, "hostID": 0, "size": 1}]
    for mount in config["mounts"]:
        if mount["destination"] == "/dev/pts":
            mount["options"].remove("gid=5")
    lines = run(config, "cat", "/proc/self/uid_map").ok().lines
    assert [line.split() for line in lines] == [["0", "0", "1"]]


@feature("6.5 duplicates rejected")
def test_a_namespace_is_named_once(run: Run, config: Config) -> None:
    config.linux["namespaces"].append({"type": "pid"})
    result = run(config, "true")
    assert result.status == 1
    assert "duplicate pid namespace" in result.error


@feature("6.13 keep original groups", "14.7 run.oci.keep_original_groups")
def test_the_groups_of_the_caller_are_kept_when_asked(pyrunc: Runtime, config: Config) -> None:
    prefix = ["setpriv", "--groups", "4242,4343"]
    config.process["args"] = ["id", "-G"]
    config.write()
    argv = ("run", "--bundle", config.bundle)
    assert pyrunc(*argv, pyrunc.new_id(), prefix=prefix).ok().stdout.split() == ["0"]
    config["annotations"] = {"run.oci.keep_original_groups": "1"}
    config.write()
    found = pyrunc(*argv, pyrunc.new_id(), prefix=prefix).ok().stdout.split()
    assert found == ["0", "4242", "4343"]
    # An image with an /etc/group makes engines list groups all the same.
    config.process["user"] = {"uid": 0, "gid": 0, "additionalGids": [7, 8]}
    config.write()
    result = pyrunc(*argv, pyrunc.new_id(), prefix=prefix).ok()
    assert result.stdout.split() == ["0", "4242", "4343"]
    assert "keep_original_groups" in result.stderr


@feature("14.7 run.oci.keep_original_groups")
def test_the_groups_of_the_caller_of_exec_are_kept_when_asked(
    pyrunc: Runtime, create: Callable[..., Container], config: Config
) -> None:
    config["annotations"] = {"run.oci.keep_original_groups": "1"}
    config.process["user"] = {"uid": 0, "gid": 0, "additionalGids": [7, 8]}
    container = create(config, "sleep", "600").start()
    prefix = ["setpriv", "--groups", "4242,4343"]
    result = pyrunc("exec", container.id, "id", "-G", prefix=prefix).ok()
    assert result.stdout.split() == ["0", "4242", "4343"]
    assert result.stderr == ""  # create has said it
    result = pyrunc("exec", "-g", "9", container.id, "id", "-G", prefix=prefix).ok()
    assert result.stdout.split() == ["0", "4242", "4343"]
    assert "keep_original_groups" in result.stderr


@feature("3.25 process.user.additionalGids")
def test_a_user_joins_a_user_namespace_that_denies_setgroups(user: User) -> None:
    """It has its groups in there, as in one of its own."""
    holder = subprocess.Popen(
        [*user.prefix, "unshare", "--user", "--map-root-user", "sleep", "600"],
        start_new_session=True,
    )
    try:
        file = Path(f"/proc/{holder.pid}/setgroups")
        until(lambda: file.read_text() == "deny\n", "unshare --map-root-user")
        until(lambda: Path(f"/proc/{holder.pid}/comm").read_text() == "sleep\n", "sleep")
        user.config.namespace("user", f"/proc/{holder.pid}/ns/user")
        for name in ("uidMappings", "gidMappings"):
            del user.config.linux[name]
        assert user.run("id", "-u").ok().stdout == "0\n"
        user.config.process["user"] = {"uid": 0, "gid": 0, "additionalGids": [0]}
        assert user.run("id", "-u").status == 1
    finally:
        holder.kill()
        holder.wait()


@feature("3.25 process.user.additionalGids")
def test_a_user_cannot_have_more_groups(user: User) -> None:
    user.config.process["user"] = {"uid": 0, "gid": 0, "additionalGids": [0]}
    result = user.run("true")
    assert result.status == 1
    assert "additional groups in a rootless container" in result.stderr


# -- network devices -------------------------------------------------------------------------------


@pytest.fixture
def device(workspace: Path) -> Iterator[str]:
    """One end of a veth pair with addresses of both families, up."""
    name, other = "pyt0", "pyt1"
    commands = (
        f"link add {name} type veth peer name {other}",
        f"addr add 10.98.0.1/24 broadcast + dev {name}",
        f"addr add fd00:98::1/64 dev {name} nodad",
        f"link set {name} up",
    )
    for command in commands:
        done = subprocess.run(["ip", *command.split()], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"ip {command}: {done.stderr.decode().strip()}")
    yield name
    # The pair goes with either end; the kernel takes its time where a namespace has ended.
    subprocess.run(["ip", "link", "del", other], capture_output=True, check=False)
    subprocess.run(["ip", "link", "del", name], capture_output=True, check=False)


@feature("6.16 linux.netDevices")
def test_a_network_device_moves_with_its_addresses(
    shell: Shell, config: Config, device: str
) -> None:
    config.linux["netDevices"] = {device: {"name": "eth7"}}
    text = shell(config, "ip link show eth7; ip addr show eth7")
    assert "UP" in text.partition(">")[0]
    assert "inet 10.98.0.1/24 brd 10.98.0.255 scope global eth7" in text
    assert "inet6 fd00:98::1/64 scope global" in text


@feature("6.16 linux.netDevices")
def test_a_network_device_keeps_its_name_or_takes_the_next_free_number(
    shell: Shell, config: Config, device: str
) -> None:
    config.linux["netDevices"] = {device: {}}
    assert device in shell(config, "ls /sys/class/net").split()


@feature("6.16 linux.netDevices")
def test_the_kernel_chooses_a_number_for_a_template(
    shell: Shell, config: Config, device: str
) -> None:
    config.linux["netDevices"] = {device: {"name": "port%d"}}
    text = shell(config, "ip addr show port0")
    address = ipaddress.ip_interface(text.partition("inet ")[2].split()[0])
    assert address == ipaddress.ip_interface("10.98.0.1/24")


@feature("6.16 linux.netDevices")
def test_a_network_device_moves_into_a_user_namespaces_network(
    shell: Shell, config: Config, device: str
) -> None:
    config.user_namespace()
    config.linux["netDevices"] = {device: {"name": "eth0"}}
    assert "10.98.0.1/24" in shell(config, "ip addr show eth0")


@feature("6.16 linux.netDevices")
@pytest.mark.parametrize("name", ["pyt-absent"])
def test_a_missing_network_device_is_named(run: Run, config: Config, name: str) -> None:
    config.linux["netDevices"] = {name: {}}
    result = run(config, "true")
    assert result.status == 1
    assert f"cannot move the network device {name}: no such interface" in result.error
    assert f"/linux/netDevices/{name}" in result.stderr


@feature("6.16 linux.netDevices")
def test_a_name_that_is_taken_inside_is_named(run: Run, config: Config, device: str) -> None:
    config.linux["netDevices"] = {device: {"name": "lo"}}
    result = run(config, "true")
    assert result.status == 1
    assert device in result.error
    assert Path(f"/sys/class/net/{device}").exists()


@feature("6.16 linux.netDevices")
def test_network_devices_need_a_namespace_and_root(
    run: Run, config: Config, user: User, device: str
) -> None:
    user.config.linux["netDevices"] = {device: {}}
    user.config.namespace("network")
    assert "cannot be moved by a rootless container" in user.run("true").stderr
    assert Path(f"/sys/class/net/{device}").exists()


@feature("6.16 linux.netDevices")
def test_without_a_namespace_of_its_own_no_device_is_moved(
    run: Run, config: Config, device: str
) -> None:
    config.without_namespace("network")
    config.linux["netDevices"] = {device: {}}
    result = run(config, "true")
    assert "unable to move network devices without a private NET namespace" in result.error
    assert Path(f"/sys/class/net/{device}").exists()


# -- personality, memory policy --------------------------------------------------------------------


@feature("6.17 linux.personality.domain")
def test_a_32_bit_personality_is_seen_by_uname(shell: Shell, config: Config) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("only x86_64 has another name for 32 bits")
    config.linux["personality"] = {"domain": "LINUX32"}
    assert shell(config, "uname -m").strip() == "i686"
    config.linux["personality"] = {"domain": "LINUX"}
    assert shell(config, "uname -m").strip() == "x86_64"


@feature("6.18 linux.personality.flags")
def test_flags_of_a_personality_are_set(shell: Shell, config: Config, probe: Path) -> None:
    """The specification names none, and the peers drop them; these are the kernel's names."""
    config.bind(probe, "/probe")
    config.linux["personality"] = {"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE", "UNAME26"]}
    text = shell(config, "/probe attributes; uname -r")
    assert "personality 60000" in text
    assert text.splitlines()[-1].startswith("2.6.")


@feature("6.18 linux.personality.flags")
def test_an_unknown_flag_of_a_personality_is_an_error(run: Run, config: Config) -> None:
    config.linux["personality"] = {"domain": "LINUX", "flags": ["NO_SUCH"]}
    result = run(config, "true")
    assert result.status == 1
    assert "/linux/personality/flags/0" in result.stderr


@feature("6.19 linux.memoryPolicy")
@pytest.mark.parametrize(
    ("policy", "shown"),
    [
        ({"mode": "MPOL_BIND", "nodes": "0"}, "bind:0"),
        ({"mode": "MPOL_INTERLEAVE", "nodes": "0"}, "interleave:0"),
        ({"mode": "MPOL_PREFERRED", "nodes": "0"}, "prefer:0"),
        ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}, "bind=static:0"),
        ({"mode": "MPOL_LOCAL"}, "local"),
        ({"mode": "MPOL_DEFAULT"}, "default"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_memory_comes_from_the_nodes_of_the_policy(
    shell: Shell, config: Config, policy: dict[str, object], shown: str
) -> None:
    if not Path("/proc/self/numa_maps").exists():
        pytest.skip("this kernel has no memory policies")
    config.linux["memoryPolicy"] = policy
    assert shell(config, "cat /proc/self/numa_maps").splitlines()[0].split()[1] == shown


@feature("6.19 linux.memoryPolicy")
def test_a_node_that_does_not_exist_is_named(run: Run, config: Config) -> None:
    if not Path("/proc/self/numa_maps").exists():
        pytest.skip("this kernel has no memory policies")
    config.linux["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "63"}
    result = run(config, "true")
    assert result.status == 1
    assert "/linux/memoryPolicy" in result.stderr
