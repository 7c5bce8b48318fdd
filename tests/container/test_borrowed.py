# SPDX-License-Identifier: Apache-2.0
"""A new user namespace around namespaces of others, as pods with a shared pid namespace have it:
what shows a namespace shows the joined one, never the host's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Container, Result, Runtime

Run = Callable[..., Result]
Shell = Callable[..., str]
Hold = Callable[..., int]
FILES = {"pid": "pid_for_children", "ipc": "ipc", "network": "net"}


@pytest.fixture
def pod(holder: Hold, config: Config) -> Config:
    """A config with a user namespace of its own that joins the other namespaces of a pod."""
    keeper = holder("--pid", "--ipc", "--net", "--fork", "--kill-child")
    for kind, file in FILES.items():
        config.namespace(kind, f"/proc/{keeper}/ns/{file}")
    config.user_namespace()
    config.mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev")
    return config


def test_proc_of_a_joined_pid_namespace_shows_its_processes_alone(
    pyrunc: Runtime, shell: Shell, pod: Config
) -> None:
    script = "cat /proc/1/comm; ls /proc | grep '^[0-9]'"
    first, *pids = shell(pod, script).split()
    assert first == "sleep"
    assert all(int(pid) < 20 for pid in pids)
    assert len(pids) < 8


def test_proc_of_a_joined_pid_namespace_takes_its_options(
    pyrunc: Runtime, shell: Shell, pod: Config
) -> None:
    pod.without_mount("/proc")
    pod["mounts"].insert(
        0,
        {
            "destination": "/proc",
            "type": "proc",
            "source": "proc",
            "options": ["nosuid", "nodev", "noexec", "ro", "subset=pid"],
        },
    )
    script = "ls /proc | grep -v '^[0-9]'; cat /proc/self/mountinfo"
    found = shell(pod, script)
    assert "cpuinfo" not in found
    line = next(line for line in found.splitlines() if " /proc " in line)
    assert line.split()[5].startswith("ro,nosuid,nodev,noexec")
    assert line.endswith("subset=pid")


def test_an_option_that_the_file_system_refuses_is_named(
    pyrunc: Runtime, run: Run, pod: Config
) -> None:
    pod.without_mount("/proc")
    pod.mount("/proc", "proc", "proc", "hidepid=nonsense")
    result = run(pod, "true")
    assert result.status == 1
    assert "hidepid" in result.stderr


def test_queues_of_a_joined_ipc_namespace_are_not_the_hosts(
    pyrunc: Runtime, shell: Shell, pod: Config
) -> None:
    """The file system of an ipc namespace is one, wherever it is mounted."""
    joined = shell(pod, "stat -c %d /dev/mqueue")
    assert shell(pod, "stat -c %d /dev/mqueue") == joined
    pod.without_namespace("ipc", "user")
    del pod.linux["uidMappings"], pod.linux["gidMappings"]
    assert shell(pod, "stat -c %d /dev/mqueue") != joined


def test_sys_of_a_joined_network_namespace_shows_its_devices_and_is_read_only(
    pyrunc: Runtime, shell: Shell, pod: Config
) -> None:
    pod.without_mount("/sys")
    pod.mount("/sys", "sysfs", "sysfs")
    script = "ls /sys/class/net; grep -c ' /sys ro' /proc/self/mountinfo"
    assert shell(pod, script).split() == ["lo", "1"]


def test_exec_into_such_a_container_sees_the_same(
    pyrunc: Runtime, create: Callable[..., Container], pod: Config
) -> None:
    container = create(pod, "sleep", "600").start()
    result = pyrunc("exec", container.id, "cat", "/proc/1/comm").ok()
    assert result.stdout == "sleep\n"


def test_without_a_joined_namespace_the_hosts_is_what_was_asked_for(
    shell: Shell, config: Config
) -> None:
    config.user_namespace()
    config.without_namespace("pid")
    config.without_mount("/proc")
    config.bind("/proc", "/proc", "rbind")
    assert shell(config, "cat /proc/1/comm") == Path("/proc/1/comm").read_text()
