# SPDX-License-Identifier: Apache-2.0
"""Control groups as users of the program see them: its own delegation, limits, control, figures."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pyrunc.cgroups import delegate, freezer, layout
from tests.support.bundle import DEFAULT_CAPABILITIES, Config
from tests.support.cgroups import closed_afterwards, manager_of
from tests.support.machine import TOKEN
from tests.support.runtime import Container, Runtime
from tests.support.types import Create, Shell
from tests.support.wait import until

MB = 1 << 20


@pytest.fixture(scope="module")
def host() -> layout.Layout:
    with closed_afterwards():  # nothing is written through it
        return layout.probe()


@pytest.fixture
def only_v2(host: layout.Layout) -> None:
    if host.kind != "v2":
        pytest.skip("the controllers of this host are on v1 hierarchies")


def read(container: Container, v1: str, v2: str) -> str:
    """A control file of the hierarchy that has its controller."""
    found = manager_of(container)
    member = found.find(v1.partition(".")[0])
    assert member is not None
    text = member.read(v1 if member.hierarchy.version == 1 else v2)
    found.close()
    return text


# -- delegation ------------------------------------------------------------------------------------


def writable(config: Config) -> None:
    config.user_namespace()
    config.namespace("cgroup")
    config.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev")


def test_a_writable_cgroup_is_managed_by_an_unprivileged_container(
    only_v2: None, pyrunc: Runtime, shell: Shell, config: Config
) -> None:
    """One switch: nested containers of a container without privileges have limits of their own."""
    writable(config)
    config["annotations"] = {"org.pyrunc.cgroup.writable": "true"}
    config.linux["resources"] = {"pids": {"limit": 50}}
    script = """
    cd /sys/fs/cgroup
    echo +pids > cgroup.subtree_control
    mkdir mine && echo 7 > mine/pids.max
    sh -c 'echo 0 > mine/cgroup.procs; cat /proc/self/cgroup; cat mine/pids.max'
    cat /proc/self/cgroup
    (echo 99 > pids.max) 2>/dev/null && echo its limit was changed
    true
    """
    assert shell(config, script).split() == ["0::/mine", "7", "0::/init"]


MANAGE = """
cd /sys/fs/cgroup
echo "+pids +memory" > cgroup.subtree_control
mkdir mine && echo 7 > mine/pids.max && echo 64M > mine/memory.max
echo 0 > mine/cgroup.procs
cat /proc/self/cgroup mine/pids.max pids.max
"""


@pytest.mark.parametrize("separate_ids", [False, True], ids=["host-ids", "user-namespace"])
def test_a_cgroup_that_is_shown_writable_is_managed_by_the_container(
    only_v2: None, runtime: Runtime, shell: Shell, config: Config, *, separate_ids: bool
) -> None:
    """kubernetes#121190, containerd#14040: no annotation, controllers can be enabled at once."""
    if separate_ids:
        config.user_namespace()
    config.namespace("cgroup")
    config.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev")
    config.linux["resources"] = {"pids": {"limit": 50}}
    assert shell(config, MANAGE).split() == ["0::/mine", "7", "50"]


def test_what_is_delegated_belongs_to_the_root_of_the_container_and_no_limit_does(
    only_v2: None, pyrunc: Runtime, create: Create, config: Config
) -> None:
    writable(config)
    config.linux["resources"] = {"pids": {"limit": 50}}
    container = create(config, "sleep", "100").start()
    found = manager_of(container)
    assert found.unified is not None
    top = Path(found.unified.path)
    given = [name for name in delegate.files() if (top / name).exists()]
    assert {"cgroup.procs", "cgroup.subtree_control", "cgroup.threads"} <= set(given)
    for path in (top, *(top / name for name in given), top / "init", top / "init/cgroup.procs"):
        assert path.stat().st_uid == path.stat().st_gid == 100000
    assert (top / "pids.max").stat().st_uid == 0
    assert container.command("exec", "cat", "/proc/self/cgroup").ok().stdout == "0::/init\n"
    found.close()


@pytest.mark.parametrize("reason", ["read-only", "privileged", "declined", "shared"])
def test_a_container_that_does_not_manage_its_cgroup_has_no_leaf(
    only_v2: None, pyrunc: Runtime, shell: Shell, config: Config, reason: str
) -> None:
    """Docker's privileged containers have a writable mount that nobody has asked for."""
    if reason != "shared":
        config.namespace("cgroup")
    else:
        config.without_namespace("cgroup")
    flags = ["ro"] if reason == "read-only" else []
    config.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", *flags)
    if reason == "privileged":
        config.capabilities("CAP_SYS_ADMIN")
    if reason == "declined":
        config["annotations"] = {"org.pyrunc.cgroup.writable": "false"}
    assert not shell(config, "cat /proc/self/cgroup").strip().endswith("/init")


def test_a_runtime_inside_a_container_without_privileges_limits_its_containers(
    only_v2: None,
    pyrunc: Runtime,
    shell: Shell,
    config: Config,
    make_config: Callable[[], Config],
) -> None:
    inner = make_config()
    inner.without_mount("/proc")
    inner.linux["cgroupsPath"] = "/inner"
    inner.linux["resources"] = {"pids": {"limit": 9}, "devices": []}
    inner.without_namespace("cgroup", "network")
    inner.mount("/sys", "cgroup", "cgroup", "ro")
    inner.process["args"] = ["sh", "-c", "cat /sys/inner/pids.max /proc/self/cgroup || true"]
    inner.write()
    writable(config)
    needed = ("CHOWN", "DAC_OVERRIDE", "SETGID", "SETUID", "SETPCAP", "SYS_ADMIN", "SYS_CHROOT")
    held = [f"CAP_{name}" for name in (*needed, "FOWNER", "MKNOD")]
    config.capabilities(*held, *DEFAULT_CAPABILITIES)
    config.bind(pyrunc.program.parents[1] / "build", "/runtime", "ro")
    config.bind(inner.bundle, "/inner", "rw")
    script = "/runtime/pyrunc --root /tmp/state run --bundle /inner one"
    assert shell(config, script).split()[:1] == ["9"]


@pytest.mark.feature("8.13 run.oci.delegate-cgroup", "14.10 run.oci.delegate-cgroup")
def test_the_leaf_of_a_writable_cgroup_has_the_name_that_is_asked_for(
    only_v2: None, pyrunc: Runtime, shell: Shell, config: Config
) -> None:
    writable(config)
    config["annotations"] = {"run.oci.delegate-cgroup": "payload"}
    config.linux["resources"] = {"pids": {"limit": 50}}
    script = """
    cd /sys/fs/cgroup
    echo +pids > payload/../cgroup.subtree_control
    cat payload/pids.max pids.max
    cat /proc/self/cgroup
    mkdir payload/below && rmdir payload/below && echo managed
    """
    assert shell(config, script).split() == ["max", "50", "0::/payload", "managed"]


@pytest.mark.parametrize("value", ["a/b", "..", "cgroup.procs", "a\nb"])
@pytest.mark.parametrize("name", ["run.oci.delegate-cgroup", "run.oci.systemd.subgroup"])
def test_a_sub_cgroup_is_one_component(
    pyrunc: Runtime, run: Callable[..., Any], config: Config, name: str, value: str
) -> None:
    """CG-3"""
    config["annotations"] = {name: value}
    flags = () if name.endswith("delegate-cgroup") else ("--systemd-cgroup",)
    config.process["args"] = ["true"]
    config.write()
    result = pyrunc(*flags, "run", "--bundle", config.bundle, pyrunc.new_id())
    assert result.status == 1
    assert f"{name} " in result.error
    assert "is not valid" in result.error


def old_systemd(host: layout.Layout) -> str:
    """The mount point of the hierarchy that a systemd without cgroup2 wants."""
    for one in host.hierarchies:
        if one.name == "name=systemd":
            return one.mount
    pytest.skip("the hierarchy name=systemd is not mounted on this host")


@pytest.mark.feature("14.9 run.oci.systemd.subgroup")
def test_a_mount_shows_only_the_hierarchy_of_an_old_systemd(
    host: layout.Layout, pyrunc: Runtime, shell: Shell, config: Config
) -> None:
    old_systemd(host)
    config.namespace("cgroup")
    config.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev")
    config["annotations"] = {"run.oci.systemd.force_cgroup_v1": "/sys/fs/cgroup"}
    script = """
    grep ' /sys/fs/cgroup ' /proc/self/mountinfo | sed 's/.* - //'
    grep ':name=systemd:/$' /proc/self/cgroup | wc -l
    mkdir /sys/fs/cgroup/init.scope
    echo 0 > /sys/fs/cgroup/init.scope/cgroup.procs
    grep -c name=systemd:/init.scope /proc/1/cgroup
    """
    mounted, root, moved = shell(config, script).splitlines()
    assert mounted.startswith("cgroup ")
    assert "name=systemd" in mounted
    assert (root, moved) == ("1", "1")


def test_the_hierarchy_of_an_old_systemd_is_refused_where_it_cannot_be_shown(
    pyrunc: Runtime, run: Callable[..., Any], config: Config
) -> None:
    """AR-6"""
    config["annotations"] = {"run.oci.systemd.force_cgroup_v1": "/nowhere"}
    result = run(config, "true")
    assert result.status == 1
    assert "no mount of type cgroup has this destination" in result.stderr
    assert "/nowhere" in result.stderr


def test_an_exec_goes_where_the_processes_of_a_writable_cgroup_are(
    only_v2: None, pyrunc: Runtime, create: Create, config: Config
) -> None:
    writable(config)
    config["annotations"] = {"org.pyrunc.cgroup.writable": "true"}
    container = create(config, "sleep", "100").start()
    script = "echo +pids > /sys/fs/cgroup/cgroup.subtree_control; cat /proc/self/cgroup"
    for _ in range(2):
        out = container.runtime("exec", container.id, "sh", "-c", script).ok().stdout
        assert out == "0::/init\n"


@pytest.mark.parametrize(("option", "owner"), [("rw", 100000), ("ro", 0)])
def test_a_cgroup_belongs_to_the_root_that_may_write_to_it(
    only_v2: None, pyrunc: Runtime, create: Create, config: Config, option: str, owner: int
) -> None:
    """CG-5"""
    writable(config)
    config["mounts"][-1]["options"].append(option)
    found = manager_of(create(config, "sleep", "100"))
    top = Path(found.members[0].path)
    assert top.stat().st_uid == owner
    assert (top / "cgroup.procs").stat().st_uid == owner
    assert (top / "cgroup.freeze").stat().st_uid == 0
    found.close()


def test_a_writable_cgroup_is_refused_where_it_cannot_be(
    pyrunc: Runtime, host: layout.Layout, run: Callable[..., Any], config: Config
) -> None:
    """AR-6"""
    if host.kind == "v2":
        pytest.skip("this host has no v1 hierarchy")
    writable(config)
    config["annotations"] = {"org.pyrunc.cgroup.writable": "true"}
    result = run(config, "true")
    assert result.status == 1
    assert "a writable cgroup is requested" in result.stderr


# -- limits ----------------------------------------------------------------------------------------


def test_an_init_that_memory_is_too_small_for_is_said_to_be_killed_for_it(
    pyrunc: Runtime, run: Callable[..., Any], config: Config
) -> None:
    config.linux["resources"] = {"memory": {"limit": 8192}}
    result = run(config, "true")
    assert result.status != 0
    assert "container init was OOM-killed (memory limit too low?)" in result.stderr


def test_unified_properties_are_refused_early_where_there_is_no_version_2(
    pyrunc: Runtime, host: layout.Layout, run: Callable[..., Any], config: Config
) -> None:
    """AR-6"""
    if host.kind != "v1":
        pytest.skip("this host has a cgroup2")
    config.linux["resources"] = {"unified": {"pids.max": "7"}}
    assert "'unified' needs cgroup v2" in run(config, "true").stderr


def test_update_shows_and_changes_the_device_rules_of_a_running_container(
    pyrunc: Runtime, create: Create, config: Config
) -> None:
    """DV-1: what `--dry-run` shows is what happens, and nothing happens with it."""
    os.mknod(config.rootfs / "node", 0o20666, os.makedev(1, 11))  # kmsg, which every kernel has
    config.capabilities(*DEFAULT_CAPABILITIES, "CAP_SYSLOG")
    container = create(config, "sleep", "100").start()
    probe = ("exec", container.id, "sh", "-c", "exec 3</node")
    try:
        os.close(os.open(config.rootfs / "node", os.O_RDONLY))
    except OSError as error:
        pytest.skip(f"device nodes cannot be opened here: {error.strerror}")
    assert pyrunc(*probe).status != 0
    rules = [{"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"}]
    change = json.dumps({"devices": rules})
    dry = pyrunc("update", "--dry-run", "--resources", "-", container.id, stdin=change).ok()
    assert dry.lines == ["devices: + allow c 1:11 r"]
    assert pyrunc(*probe).status != 0
    pyrunc("update", "--resources", "-", container.id, stdin=change).ok()
    assert pyrunc(*probe).status == 0
    again = pyrunc("update", "--dry-run", "--resources", "-", container.id, stdin=change)
    assert again.ok().lines == []


def test_a_failed_update_changes_nothing(pyrunc: Runtime, create: Create, config: Config) -> None:
    config.linux["resources"] = {"pids": {"limit": 60}}
    container = create(config, "sleep", "100").start()
    change = json.dumps({"pids": {"limit": 70}, "cpu": {"quota": 1000, "period": 7}})
    refused = pyrunc("update", "--resources", "-", container.id, stdin=change)
    assert refused.status == 1
    assert read(container, "pids.max", "pids.max") == "60"
    dry = pyrunc("update", "--dry-run", "--pids-limit", "60", container.id)
    assert dry.ok().lines == []


def test_a_cgroup_that_was_there_is_no_damage_to_the_state(create: Create, config: Config) -> None:
    """The intent was recorded before the empty cgroup became the container's."""
    config.linux["cgroupsPath"] = f"/{TOKEN}-there"
    first = create(config, "true")
    manager = manager_of(first)
    paths = [member.path for member in manager.members]
    manager.close()
    first.delete().ok()
    for path in paths:
        os.mkdir(path)
    again = create(config, "sleep", "100").start()
    deleted = again.delete()
    for path in paths:
        with suppress(FileNotFoundError):  # where it became the container's
            os.rmdir(path)
    assert deleted.ok().stderr == ""


# -- control ---------------------------------------------------------------------------------------


def test_kill_all_signals_every_process(pyrunc: Runtime, create: Create, config: Config) -> None:
    """PD-1"""
    script = "trap 'echo first' TERM; sh -c 'trap \"echo second; exit\" TERM; echo up; "
    script += "while :; do sleep 0.1; done' & while :; do wait; sleep 0.1; done"
    container = create(config, "sh", "-c", script).start()
    until(lambda: "up" in container.output, "the second shell runs")
    pyrunc("kill", "--all", container.id, "TERM").ok()
    until(lambda: {"first", "second"} <= set(container.output.split()), "both got it")
    assert container.state()["status"] == "running"


def test_a_signal_to_all_of_a_paused_container_waits(
    pyrunc: Runtime, create: Create, config: Config
) -> None:
    script = "trap 'echo got; exit' TERM; echo up; while :; do sleep 0.1; done"
    container = create(config, "sh", "-c", script)
    container.start()
    until(lambda: "up" in container.output, "the trap is set")
    container.command("pause").ok()
    pyrunc("kill", "--all", container.id, "TERM").ok()
    assert container.state()["status"] == "paused"
    assert "got" not in container.output
    container.command("resume").ok()
    container.wait("stopped")
    assert "got" in container.output


def test_a_created_container_can_be_paused_but_not_started_then(
    pyrunc: Runtime, create: Create, config: Config
) -> None:
    container = create(config, "true")
    container.command("pause").ok()
    refused = container.command("start")
    assert refused.status == 1
    assert "cannot start a container in the paused state" in refused.stderr
    container.command("resume").ok()
    container.start().wait("stopped")


# -- figures ---------------------------------------------------------------------------------------


def test_the_table_of_processes_needs_no_program(
    pyrunc: Runtime, create: Create, config: Config
) -> None:
    container = create(config, "sleep", "100").start()
    result = pyrunc("ps", container.id, env={"PATH": "/absent"}).ok()
    heading, line = result.lines
    assert heading.split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert line.split()[1] == str(container.pid)
    assert line.endswith(" sleep 100")


def test_events_tell_of_processes_that_memory_has_ended(
    pyrunc: Runtime, create: Create, config: Config, workspace: Path
) -> None:
    config.linux["resources"] = {"memory": {"limit": 16 * MB}}
    config.mount("/big", "tmpfs", "tmpfs", "size=64m")
    script = "while ! [ -e /go ]; do sleep 0.1; done; cat /dev/zero | tail; sleep 100"
    container = create(config, "sh", "-c", script).start()
    output = workspace / "events"
    with output.open("wb") as stream:
        follower = subprocess.Popen(
            pyrunc.argv("events", "--interval", "200ms", container.id), stdout=stream
        )
    try:
        until(lambda: '"type":"stats"' in output.read_text(), "the first figures")
        (config.rootfs / "go").touch()
        until(lambda: '"type":"oom"' in output.read_text(), "an oom event", patience_s=60)
        container.delete().ok()
        assert follower.wait(20) == 0  # the cgroup has gone
    finally:
        follower.kill()
        follower.wait()
    first = json.loads(output.read_text().splitlines()[0])
    assert first["id"] == container.id
    assert first["data"]["memory"]["usage"]["limit"] == 16 * MB
    assert first["data"]["pids"]["current"] >= 1


def test_figures_tell_of_pressure_where_the_kernel_does(
    only_v2: None, pyrunc: Runtime, create: Create, config: Config
) -> None:
    container = create(config, "sleep", "100").start()
    top = Path(manager_of(container).members[0].path)
    if not (top / "cpu.pressure").exists():
        pytest.skip("this kernel does not measure pressure")
    line = pyrunc("events", "--stats", container.id).ok().stdout
    data = json.loads(line)["data"]
    assert set(data["cpu"]["psi"]) <= {"some", "full"}
    assert {"avg10", "avg60", "avg300", "total"} == set(data["cpu"]["psi"]["some"])


# -- a cgroup above that is frozen -----------------------------------------------------------------


@pytest.fixture
def outer(pyrunc: Runtime, config: Config, create: Create) -> Iterator[tuple[Container, Path, str]]:
    """A container that waits, and the file and word that freeze the cgroup above its own."""
    name = f"{TOKEN}-outer"
    config.linux["cgroupsPath"] = f"/{name}/inner"
    container = create(config, "sleep", "600")
    found = manager_of(container)
    member = freezer.choose(found.members)
    assert member is not None
    version = member.hierarchy.version
    above = Path(member.path).parent
    found.close()
    words = ("cgroup.freeze", "1", "0") if version == 2 else ("freezer.state", "FROZEN", "THAWED")
    yield container, above / words[0], words[1]
    (above / words[0]).write_text(words[2])
    container.delete().ok()


def is_frozen(file: Path) -> bool:
    if file.name == "freezer.state":
        return file.read_text() == "FROZEN\n"
    return "frozen 1" in (file.parent / "cgroup.events").read_text()


@pytest.mark.parametrize("started", [False, True])
def test_nothing_is_started_below_a_cgroup_that_was_frozen_later(
    pyrunc: Runtime, outer: tuple[Container, Path, str], started: bool
) -> None:
    """It would wait in silence, for as long as the one above stays frozen."""
    container, file, word = outer
    if started:
        container.start()
    argv = ("exec", container.id, "true") if started else ("start", container.id)
    file.write_text(word)
    until(lambda: is_frozen(file), "all below are frozen, which cgroup2 does in its own time")
    began = time.monotonic()
    result = pyrunc(*argv)
    assert time.monotonic() - began < 5
    assert result.status in (1, 255)
    assert f"container's cgroup unexpectedly frozen: {file.parent}" in result.error
    assert container.state()["status"] == ("running" if started else "created")
    file.write_text("0" if word == "1" else "THAWED")
    pyrunc(*argv).ok()
