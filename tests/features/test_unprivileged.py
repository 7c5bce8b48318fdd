# SPDX-License-Identifier: Apache-2.0
"""What a user without privileges can do with the init that waits for `start`: all that runc can."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.features.conftest import User
from tests.support import machine
from tests.support.bundle import Config
from tests.support.types import Create
from tests.support.wait import until


@pytest.fixture
def created(user: User) -> Iterator[str]:
    """The id of a container of a user that waits for `start`."""
    user.config.process["args"] = ["sleep", "600"]
    yield user.runtime.new_id()
    for name in os.listdir(user.runtime.root):
        if not name.startswith("."):
            user("delete", "--force", name)


def create(user: User, name: str) -> None:
    user.config.write()
    user("create", "--bundle", user.config.bundle, name).ok()


def test_a_user_can_exec_into_a_created_container(user: User, created: str) -> None:
    create(user, created)
    assert user("exec", created, "cat", "/proc/1/comm").ok().stdout != "sleep\n"
    user("start", created).ok()
    assert user("exec", created, "id", "-u").ok().stdout == "0\n"


def test_a_user_needs_no_right_to_list_the_directories_above(user: User) -> None:
    """crun#249: / without read permission was an error."""
    above = user.config.bundle.parent
    above.chmod(0o711)
    assert user.run("echo", "hello").ok().stdout == "hello\n"


class Agent:
    """A seccomp agent that keeps what it is sent."""

    def __init__(self, path: Path) -> None:
        self.messages: list[tuple[dict[str, object], int]] = []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        path.chmod(0o777)
        self.socket.listen()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                data, descriptors, _, _ = socket.recv_fds(connection, 65536, 2)
            for fd in descriptors:
                os.close(fd)
            if data:
                self.messages.append((json.loads(data), len(descriptors)))

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()


def test_a_user_can_hand_notifications_to_an_agent(
    user: User, created: str, workspace: Path
) -> None:
    agent = Agent(workspace / "agent")
    rule = {"names": ["sethostname"], "action": "SCMP_ACT_NOTIFY"}
    user.config.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": str(workspace / "agent"),
        "syscalls": [rule],
    }
    try:
        create(user, created)
        user("start", created).ok()
        user("exec", created, "true").ok()
    finally:
        agent.close()
    assert [count for _message, count in agent.messages] == [1, 1]
    states = [message["state"] for message, _count in agent.messages]
    assert all(isinstance(state, dict) and state.get("created") != "" for state in states)


def test_the_waiting_init_of_root_stays_closed(create: Create, config: Config) -> None:
    """Root can look into it as it is; its files in /proc belong to root of the host."""
    config.user_namespace()
    waiting = create(config, "sleep", "600")
    assert os.stat(f"/proc/{waiting.pid}/fd").st_uid == 0
    waiting.start()
    assert os.stat(f"/proc/{waiting.pid}/fd").st_uid == 100000


@pytest.fixture
def given(user: User) -> Iterator[str]:
    """A cgroup of the user's in every hierarchy, as an administrator gives it by chown."""
    name = f"{machine.TOKEN}-given"
    mounts = [path.parent for path in Path("/sys/fs/cgroup").glob("*/cgroup.procs")]
    if not any((mount / "devices.list").exists() or mount.name == "devices" for mount in mounts):
        pytest.skip("no devices controller of version 1")
    tops = [mount / name for mount in mounts]
    for top in tops:
        top.mkdir()
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (top / file).exists():
                (top / file).write_text((top.parent / file).read_text())
        for path in (top, *top.iterdir()):
            os.chown(path, user.uid, user.gid)
    # A cgroup2 is entered only from below what is given (kernel: the common ancestor).
    caller = Path("/sys/fs/cgroup/unified", name, "caller")
    if caller.parent.exists():
        caller.mkdir()
        (caller / "cgroup.procs").write_text(str(os.getpid()))
    yield name
    if caller.exists():
        (caller.parents[1] / "cgroup.procs").write_text(str(os.getpid()))
        caller.rmdir()
    for top in tops:
        top.rmdir()


def test_rules_for_devices_need_no_right_over_those_of_the_host(user: User, given: str) -> None:
    """The kernel takes rules from CAP_SYS_ADMIN of the host only, whoever owns the files: a user's
    devices are guarded by their permissions. The limits beside them hold.
    """
    user.config.linux["cgroupsPath"] = f"/{given}/inner"
    user.config.linux["resources"] = {
        "devices": [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rw"},
        ],
        "pids": {"limit": 17},
    }
    result = user.run("cat", "/proc/self/cgroup").ok()
    assert f"devices:/{given}/inner" in result.stdout
    assert f"pids:/{given}/inner" in result.stdout
    user.config.process["args"] = ["sleep", "600"]
    name = user.runtime.new_id()
    create(user, name)
    pids = Path("/sys/fs/cgroup/pids", given, "inner/pids.max")
    assert pids.read_text() == "17\n"
    user("update", "--pids-limit", "18", name).ok()
    assert pids.read_text() == "18\n"
    user("delete", "--force", name).ok()


def test_a_full_container_whose_root_is_a_subordinate_id_is_entered(
    user: User, given: str, subids: tuple[int, int]
) -> None:
    """Version 1 moves processes of the caller only: before they become the container's root, and
    after the fork, which the limit would refuse.
    """
    for kind, own in (("uidMappings", user.uid), ("gidMappings", user.gid)):
        user.config.linux[kind] = [
            {"containerID": 0, "hostID": subids[0], "size": 1000},
            {"containerID": 1000, "hostID": own, "size": 1},
        ]
    user.config.linux["cgroupsPath"] = f"/{given}/inner"
    user.config.linux["resources"] = {"pids": {"limit": 3}}
    user.config.process["args"] = ["sh", "-c", "sleep 600 & sleep 600 & wait"]
    name = user.runtime.new_id()
    create(user, name)
    user("start", name).ok()
    pids = Path("/sys/fs/cgroup/pids", given, "inner/pids.current")
    until(lambda: pids.read_text() == "3\n", "the limit is reached")
    result = user("exec", name, "cat", "/proc/self/cgroup").ok()
    assert f"pids:/{given}/inner" in result.stdout
    user("delete", "--force", name).ok()
