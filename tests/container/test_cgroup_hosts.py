# SPDX-License-Identifier: Apache-2.0
"""Hosts on which other programs, other containers or a service manager use cgroups, too."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyrunc.cgroups import layout
from tests.support import machine
from tests.support.bundle import Config
from tests.support.cgroups import closed_afterwards
from tests.support.runtime import Result, Runtime
from tests.support.types import Create, Shell


@pytest.fixture
def only_v2() -> None:
    if layout_kind() != "v2":
        pytest.skip("the controllers of this host are on v1 hierarchies")


@pytest.fixture
def vpn(only_v2: None, workspace: Path) -> Iterator[None]:
    """What a VPN client does: it mounts net_cls, on the cgroup2 or at a place of its own."""
    places = [workspace / "net_cls", Path("/sys/fs/cgroup") / f"{machine.TOKEN}-net_cls"]
    try:
        for place in places:
            place.mkdir()
            machine.mount("net_cls", place, "cgroup", data="net_cls")
    except OSError as error:
        for place in filter(Path.exists, places):
            place.rmdir()
        pytest.skip(f"this kernel has no net_cls of version 1: {error}")
    yield
    for place in places:
        machine.unmount(place)
        place.rmdir()


def test_a_controller_of_another_program_changes_nothing_for_containers(
    vpn: None, runtime: Runtime, shell: Shell, config: Config
) -> None:
    config.namespace("cgroup")
    config.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "ro")
    config.linux["resources"] = {"pids": {"limit": 50}}
    script = """
    grep ' /sys/fs/cgroup ' /proc/self/mountinfo | sed 's/.* - //' | cut -d ' ' -f 1
    cat /sys/fs/cgroup/pids.max
    grep ':net_cls:' /proc/self/cgroup | cut -d : -f 3
    """
    assert shell(config, script).split() == ["cgroup2", "50", "/"]
    if runtime.name == "pyrunc":
        assert json.loads(runtime("info", "--format", "json").ok().stdout)["cgroups"]["layout"] == (
            "v2"
        )


@pytest.mark.parametrize("annotation", ["run.oci.delegate-cgroup", "org.pyrunc.cgroup.writable"])
def test_what_manages_a_writable_cgroup_has_controllers_for_its_children(
    only_v2: None, pyrunc: Runtime, shell: Shell, config: Config, annotation: str
) -> None:
    """A systemd inside takes the leaf for the root of its tree: it cannot enable them there."""
    config.user_namespace()
    config.namespace("cgroup")
    config.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev")
    value = "true" if annotation.endswith("writable") else "payload"
    config["annotations"] = {annotation: value}
    script = """
    cd /sys/fs/cgroup
    cat cgroup.controllers && cat cgroup.subtree_control
    cat $(cut -d : -f 3 /proc/self/cgroup | cut -c 2-)/cgroup.controllers
    """
    offered, enabled, below = shell(config, script).splitlines()
    assert "pids" in offered.split()
    assert set(offered.split()) == set(enabled.split()) == set(below.split())


def test_a_container_joins_the_cgroup_namespace_of_another(
    runtime: Runtime, create: Create, make_config: Callable[[], Config]
) -> None:
    """With nsdelegate a clone into a cgroup outside the namespace is refused (ENOENT)."""
    with nsdelegate():
        first, second = make_config(), make_config()
        first.namespace("cgroup")
        owner = create(first, "sleep", "100").start()
        second.namespace("cgroup", f"/proc/{owner.pid}/ns/cgroup")
        second.linux["cgroupsPath"] = f"/{machine.TOKEN}-joins"
        joined = create(second, "sleep", "100").start()
        lines = Path(f"/proc/{joined.pid}/cgroup").read_text().splitlines()
        assert all(line.endswith(f"/{machine.TOKEN}-joins") for line in lines if known(line))
        namespaces = [os.readlink(f"/proc/{one.pid}/ns/cgroup") for one in (owner, joined)]
        assert namespaces[0] == namespaces[1]
        assert joined.command("exec", "true").status == 0


@contextmanager
def nsdelegate() -> Iterator[None]:
    """Mount cgroup2 as systemd does; in a guest, whose mounts are nobody else's."""
    if "IN_GUEST" in os.environ and layout_kind() == "v2":
        subprocess.run(["mount", "-o", "remount,nsdelegate", "/sys/fs/cgroup"], check=True)
    yield


def layout_kind() -> str:
    with closed_afterwards():
        return layout.probe().kind


def known(line: str) -> bool:
    """Whether a line of /proc/PID/cgroup is about a hierarchy in which a runtime makes cgroups."""
    with closed_afterwards():
        return line.split(":")[1] in [one.name for one in layout.probe().hierarchies]


USER = 1000
AS_USER = ("setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups")


@pytest.fixture
def given(only_v2: None) -> Iterator[Path]:
    """A part of the cgroup tree that belongs to a user, by chown, with a cgroup for a session."""
    group = Path("/sys/fs/cgroup") / f"{machine.TOKEN}-given"
    (group / "session").mkdir(parents=True)
    files = ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "session")
    for name in (*files, "session/cgroup.procs"):
        os.chown(group / name, USER, USER)
    yield group
    (group / "session").rmdir()
    group.rmdir()


@pytest.fixture
def of_user(given: Path, pyrunc: Runtime, config: Config) -> Iterator[Callable[..., Result]]:
    """of_user(*arguments, inside): a command of the user, from the session or from elsewhere."""
    pyrunc.root.chmod(0o755)
    os.chown(pyrunc.root, USER, USER)
    config.user_namespace(USER, 1)
    config["mounts"] = []  # options name groups that this user has not
    config.mount("/proc", "proc", "proc")
    config.linux["cgroupsPath"] = f"/{given.name}/container"
    config.process["args"] = ["sleep", "600"]
    config.without_namespace("cgroup", "network")
    config.write()
    enter = ("sh", "-c", f'echo 0 > {given}/session/cgroup.procs; exec "$@"', "sh")

    def run(*arguments: str | Path, inside: bool = False) -> Result:
        return pyrunc(*arguments, prefix=(*(enter if inside else ()), *AS_USER))

    yield run
    run("delete", "--force", f"{machine.TOKEN}-of-user", inside=True).ok()


def test_an_exec_from_outside_the_tree_of_its_user_stays_there_and_says_so(
    given: Path, of_user: Callable[..., Result], config: Config
) -> None:
    """The kernel asks for write access to the cgroup above both; runc says nothing."""
    name = f"{machine.TOKEN}-of-user"
    of_user("create", "--bundle", config.bundle, name, inside=True).ok()
    of_user("start", name).ok()
    line = f"0::/{given.name}/container\n"
    assert of_user("exec", name, "cat", "/proc/self/cgroup", inside=True).ok().stdout == line
    outside = of_user("exec", name, "cat", "/proc/self/cgroup").ok()
    assert outside.stdout != line
    assert "without the container's limits" in outside.stderr
    refused = of_user("exec", "--cgroup", "/", name, "true")
    assert refused.status != 0
    assert "cannot move a process into the container's cgroup" in refused.stderr
