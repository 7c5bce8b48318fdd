# SPDX-License-Identifier: Apache-2.0
"""Sections 3 and 12 of the feature table: what a process is given, and what it inherits."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.features.conftest import User
from tests.support.bundle import Config
from tests.support.programs import static_program
from tests.support.runtime import Runtime
from tests.support.types import Create, Run, Shell

feature = pytest.mark.feature
RESET = ["SCHED_FLAG_RESET_ON_FORK"]


# -- section 3 -------------------------------------------------------------------------------------


@feature("3.2 root.path relative to bundle")
def test_the_root_is_found_from_anywhere(pyrunc: Runtime, config: Config, workspace: Path) -> None:
    config.process["args"] = ["cat", "/etc/passwd"]
    config.write()
    relative = os.path.relpath(config.bundle, workspace)
    result = pyrunc("run", "--bundle", relative, pyrunc.new_id(), cwd=workspace)
    assert "worker" in result.ok().stdout


@feature("3.27 process.scheduler")
@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        ({"policy": "SCHED_OTHER", "nice": 7}, ["0", "7", "0"]),
        ({"policy": "SCHED_BATCH", "nice": 3}, ["3", "3", "0"]),
        ({"policy": "SCHED_IDLE"}, ["5", "0", "0"]),
        ({"policy": "SCHED_FIFO", "priority": 9, "flags": RESET}, ["1", "0", "9"]),
        ({"policy": "SCHED_RR", "priority": 3}, ["2", "0", "3"]),
    ],
    ids=lambda value: value["policy"] if isinstance(value, dict) else "",
)  # fmt: skip
def test_the_scheduler_is_that_of_the_config(
    run: Run, config: Config, scheduler: dict[str, object], expected: list[str]
) -> None:
    config.process["scheduler"] = scheduler
    result = run(config, "cat", "/proc/self/stat")
    if result.status and "operation not permitted" in result.error:
        assert "/process/scheduler" in result.stderr
        pytest.skip("this kernel gives the cgroup no real-time bandwidth")
    fields = result.ok().stdout.rpartition(")")[2].split()
    nice, realtime, policy = fields[16], fields[37], fields[38]
    assert [policy, nice, realtime] == expected


@feature("3.27 process.scheduler")
def test_a_deadline_is_set_or_explained(run: Run, config: Config) -> None:
    config.process["scheduler"] = {
        "policy": "SCHED_DEADLINE", "runtime": 10**6, "deadline": 10**7, "period": 10**7,
    }  # fmt: skip
    result = run(config, "cat", "/proc/self/stat")
    if result.status:
        assert "/process/scheduler" in result.stderr
        assert "SCHED_DEADLINE" in result.stderr
    else:
        assert result.stdout.rpartition(")")[2].split()[38] == "6"


@feature("3.27 process.scheduler", "2.50 exec without --process takes defaults from")
def test_exec_has_the_scheduler_of_the_container(create: Create, config: Config) -> None:
    config.process["scheduler"] = {"policy": "SCHED_BATCH", "nice": 4}
    container = create(config, "sleep", "600").start()
    stat = container.runtime("exec", container.id, "cat", "/proc/self/stat").ok().stdout
    fields = stat.rpartition(")")[2].split()
    assert (fields[38], fields[16]) == ("3", "4")


@feature("3.28 process.ioPriority")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("IOPRIO_CLASS_RT", "realtime"),
        ("IOPRIO_CLASS_BE", "best-effort"),
        ("IOPRIO_CLASS_IDLE", "idle"),
    ],
)  # fmt: skip
def test_the_io_priority_is_that_of_the_config(
    shell: Shell, config: Config, name: str, words: str
) -> None:
    config.process["ioPriority"] = {"class": name, "priority": 5}
    found = shell(config, "ionice -p $$").strip()
    assert found.startswith(words)
    assert found.endswith("5") or words == "idle"


def affinity(pid: int | str = "self") -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line for line in lines if line.startswith("Cpus_allowed_list")).split()[1]


@feature("3.29 process.execCPUAffinity.initial/final")
def test_exec_runs_on_the_final_processors(create: Create, config: Config, workspace: Path) -> None:
    if os.cpu_count() == 1:
        pytest.skip("this machine has one processor")
    config.process["execCPUAffinity"] = {"initial": "0", "final": "1"}
    container = create(config, "sleep", "600").start()
    assert affinity(container.pid) == affinity()
    argv = ("grep", "Cpus_allowed_list", "/proc/self/status")
    assert container.runtime("exec", container.id, *argv).ok().stdout.split()[1] == "1"
    file = workspace / "process.json"
    process = {"args": list(argv), "cwd": "/", "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"]}
    file.write_text(json.dumps({**process, "execCPUAffinity": {"initial": "0"}}))
    found = container.runtime("exec", "--process", file, container.id).ok().stdout
    assert found.split()[1] == "0"


@feature("3.30 default: CPU affinity reset")
@pytest.mark.parametrize("verb", ["run", "exec"])
def test_the_processors_of_the_caller_do_not_matter(
    pyrunc: Runtime, create: Create, config: Config, verb: str
) -> None:
    if os.cpu_count() == 1:
        pytest.skip("this machine has one processor")
    argv = ("grep", "Cpus_allowed_list", "/proc/self/status")
    pinned = ["taskset", "-c", "0"]
    if verb == "run":
        config.process["args"] = list(argv)
        config.write()
        result = pyrunc("run", "--bundle", config.bundle, pyrunc.new_id(), prefix=pinned)
    else:
        container = create(config, "sleep", "600").start()
        result = pyrunc("exec", container.id, *argv, prefix=pinned)
    assert result.ok().stdout.split()[1] == affinity()


@feature("3.18 process.apparmorProfile", "3.22 process.selinuxLabel")
@pytest.mark.parametrize("name", ["apparmorProfile", "selinuxLabel"])
def test_a_label_without_its_module_is_refused_and_unconfined_is_not(
    run: Run, config: Config, name: str
) -> None:
    """The writes themselves are in the plan tests: the kernel of this machine has neither."""
    if Path("/sys/fs/selinux/enforce").exists() or Path("/sys/module/apparmor").exists():
        pytest.skip("this kernel has a security module")
    config.process[name] = "some_u:some_r:some_t:s0"
    result = run(config, "true")
    assert result.status == 1
    assert f"/process/{name}" in result.stderr
    config.process[name] = "unconfined" if name == "apparmorProfile" else ""
    run(config, "true").ok()


# -- section 12 ------------------------------------------------------------------------------------


@contextmanager
def descriptors(*paths: Path) -> Iterator[Callable[[], None]]:
    """What a child has to run so that it has these files as descriptors 3, 4, ..."""
    ours = [os.open(path, os.O_RDWR | os.O_CREAT) for path in paths]

    def place() -> None:
        high = [os.dup(fd) for fd in ours]
        for fd in high:
            os.dup2(fd, fd + 300)
        for index, fd in enumerate(high):
            os.dup2(fd + 300, 3 + index)
        os.closerange(3 + len(high), 1000)

    yield place
    for fd in ours:
        os.close(fd)


def run_with(
    runtime: Runtime, config: Config, place: Callable[[], None], *flags: str, **env: str
) -> subprocess.CompletedProcess[str]:
    config.write()
    argv = runtime.argv("run", "--bundle", config.bundle, *flags, runtime.new_id())
    return subprocess.run(
        argv, preexec_fn=place, close_fds=False, capture_output=True, text=True, check=False,
        env={**os.environ, **env}, timeout=30,
    )  # fmt: skip


@feature("12.2 LISTEN_FDS", "12.5 preserve-fds")
def test_sockets_of_the_service_manager_come_first(
    pyrunc: Runtime, config: Config, workspace: Path
) -> None:
    script = "for n in 3 4 5; do readlink /proc/self/fd/$n; done; echo $LISTEN_FDS $LISTEN_PID $$"
    config.process["args"] = ["sh", "-c", script]
    with descriptors(*(workspace / name for name in ("a", "b", "c"))) as place:
        done = run_with(pyrunc, config, place, "--preserve-fds", "1", LISTEN_FDS="2")
    lines = done.stdout.splitlines()
    assert [line[-2:] for line in lines[:3]] == ["/a", "/b", "/c"]
    assert lines[3] == "2 1 1"


@feature("12.2 LISTEN_FDS")
def test_sockets_for_another_process_are_not_passed_on(
    pyrunc: Runtime, config: Config, workspace: Path
) -> None:
    config.process["args"] = ["sh", "-c", "ls /proc/self/fd; echo [$LISTEN_FDS]"]
    with descriptors(workspace / "a") as place:
        done = run_with(pyrunc, config, place, LISTEN_FDS="1", LISTEN_PID="1")
    # The third is the directory that ls itself reads.
    assert done.stdout.split() == ["0", "1", "2", "3", "[]"]


@feature("12.2 LISTEN_FDS")
@pytest.mark.parametrize("count", ["1", "2"])
def test_a_number_of_sockets_for_nobody_is_not_passed_on(
    pyrunc: Runtime, config: Config, count: str
) -> None:
    """LISTEN_FDS without LISTEN_PID and without the sockets: the environment of a parent."""
    env = {**os.environ, "LISTEN_FDS": count}
    done = pyrunc.run(config, "sh", "-c", "echo [$LISTEN_FDS]", env=env).ok()
    assert done.stdout == "[]\n"


@feature("12.2 LISTEN_FDS")
@pytest.mark.parametrize("value", ["x", "-1", "99999"])
def test_sockets_that_are_not_there_are_an_error(
    pyrunc: Runtime, config: Config, workspace: Path, value: str
) -> None:
    with descriptors(workspace / "a") as place:
        done = run_with(pyrunc, config, place, LISTEN_FDS=value)
    assert done.returncode == 1
    assert list(pyrunc.root.iterdir()) == []


class Manager:
    """The end of NOTIFY_SOCKET where a service manager listens."""

    def __init__(self, address: str | bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(20)

    def receive(self) -> tuple[str, int]:
        """One message, and how many descriptors came along."""
        data, ancillary, _flags, _address = self.socket.recvmsg(4096, socket.CMSG_SPACE(16))
        fds = [
            int.from_bytes(content[at : at + 4], "little")
            for _level, _type, content in ancillary
            for at in range(0, len(content), 4)
        ]
        for fd in fds:
            os.close(fd)
        return data.decode(), len(fds)


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, workspace: Path) -> Iterator[tuple[Manager, str]]:
    """A service manager, and the value of NOTIFY_SOCKET."""
    if request.param == "path":
        address = str(workspace / "manager.sock")
        found = Manager(address)
    else:
        address = f"@pyrunc-test-{os.getpid()}"
        found = Manager(b"\0" + address[1:].encode())
    yield found, address
    found.socket.close()


NOTIFIER = """
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	strncpy(address.sun_path, getenv("NOTIFY_SOCKET"), sizeof(address.sun_path) - 1);
	for (int i = 2; i < argc; i++)
		if (sendto(fd, argv[i], strlen(argv[i]), 0, (void *)&address, sizeof(address)) < 0)
			return 9;
	sleep((unsigned)atoi(argv[1]));
	return 0;
}
"""


@pytest.fixture(scope="session")
def notifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static program that sends its arguments but the first, and waits that many seconds."""
    directory = tmp_path_factory.mktemp("notifier")
    (directory / "notifier.c").write_text(NOTIFIER)
    return static_program(directory / "notifier.c", directory / "notifier")


@feature("12.3 NOTIFY_SOCKET proxy")
def test_the_service_manager_hears_that_the_container_is_ready(
    pyrunc: Runtime, config: Config, notifier: Path, manager: tuple[Manager, str]
) -> None:
    """READY with the pid that the manager knows; then a barrier, so that it can look at us."""
    listener, address = manager
    env = {**os.environ, "NOTIFY_SOCKET": address}
    config.bind(notifier, "/notifier")
    config.process["args"] = ["/notifier", "600", "STATUS=starting", "READY=1\nSTATUS=up"]
    config.process["user"] = {"uid": 1000, "gid": 1000}
    config.write()
    name = pyrunc.new_id()
    pyrunc("create", "--bundle", config.bundle, name, env=env).ok()
    pid = json.loads(pyrunc("state", name).ok().stdout)["pid"]
    child = subprocess.Popen(pyrunc.argv("start", name), env=env)
    try:
        assert listener.receive() == (f"MAINPID={pid}\nREADY=1", 0)
        assert listener.receive() == ("BARRIER=1", 1)
        assert child.wait(20) == 0
    finally:
        child.kill()
        child.wait()
        pyrunc("delete", "--force", name).ok()


@feature("12.3 NOTIFY_SOCKET proxy")
@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_run_notifies_in_the_foreground_and_detached(
    pyrunc: Runtime, config: Config, notifier: Path, manager: tuple[Manager, str]
) -> None:
    listener, address = manager
    env = {**os.environ, "NOTIFY_SOCKET": address}
    config.bind(notifier, "/notifier")
    config.process["args"] = ["/notifier", "0", "READY=1"]
    config.write()
    assert pyrunc("run", "--bundle", config.bundle, pyrunc.new_id(), env=env).status == 0
    assert listener.receive()[0].endswith("READY=1")
    config.process["args"][1] = "600"
    config.write()
    name = pyrunc.new_id()
    child = subprocess.Popen(
        pyrunc.argv("run", "--detach", "--bundle", config.bundle, name), env=env
    )
    assert listener.receive()[0].endswith("READY=1")
    assert listener.receive() == ("BARRIER=1", 1)
    assert child.wait(20) == 0
    pyrunc("delete", "--force", name).ok()


@feature("12.3 NOTIFY_SOCKET proxy")
@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_start_ends_with_a_container_that_never_is_ready(
    pyrunc: Runtime, config: Config, manager: tuple[Manager, str]
) -> None:
    _listener, address = manager
    env = {**os.environ, "NOTIFY_SOCKET": address}
    config.process["args"] = ["sh", "-c", "test -S $NOTIFY_SOCKET; exit 3"]
    config.write()
    name = pyrunc.new_id()
    pyrunc("create", "--bundle", config.bundle, name, env=env).ok()
    pyrunc("start", name, env=env, timeout_s=20).ok()
    pyrunc("delete", "--force", name).ok()


@feature("12.3 NOTIFY_SOCKET proxy")
def test_the_socket_of_the_manager_is_not_seen_inside(
    pyrunc: Runtime, config: Config, workspace: Path
) -> None:
    listener = Manager(str(workspace / "manager.sock"))
    config.process["args"] = ["sh", "-c", "echo $NOTIFY_SOCKET; grep /run/notify /proc/mounts"]
    config.write()
    env = {**os.environ, "NOTIFY_SOCKET": str(workspace / "manager.sock")}
    result = pyrunc("run", "--bundle", config.bundle, pyrunc.new_id(), env=env).ok()
    listener.socket.close()
    assert result.lines[0] == "/run/notify/notify.sock"
    options = result.lines[1].split()[3].split(",")
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(options)


@feature("12.4 stdio chown to the container user")
def test_pipes_belong_to_the_user_of_the_container(run: Run, config: Config) -> None:
    """So that it can open /dev/stdout again by name."""
    config.process["user"] = {"uid": 1000, "gid": 1000}
    assert run(config, "sh", "-c", "echo again >/dev/stdout").ok().stdout == "again\n"
    assert os.stat("/dev/null").st_uid == 0


@feature("11.9 fds re-opened for /dev/null after pivot")
def test_the_null_device_of_stdio_is_the_containers(pyrunc: Runtime, config: Config) -> None:
    config.process["args"] = ["sh", "-c", "stat -L -c %d /proc/self/fd/0 /dev/null >/tmp/out"]
    config.write()
    argv = pyrunc.argv("run", "--bundle", config.bundle, pyrunc.new_id())
    subprocess.run(argv, stdin=subprocess.DEVNULL, check=True, timeout=30)
    inside, null = (config.rootfs / "tmp/out").read_text().split()
    assert inside == null
    assert int(null) != os.stat("/dev/null").st_dev


@feature("11.7 init non-dumpable while joining", "2.51 CLONE_INTO_CGROUP")
def test_an_exec_is_never_seen_outside_its_cgroup(create: Create, config: Config) -> None:
    """It enters the cgroup of the container before it enters the container."""
    config.linux["resources"] = {"pids": {"limit": 2}}
    container = create(config, "sleep", "600").start()
    result = container.runtime("exec", container.id, "sh", "-c", "true & true & wait")
    assert result.status != 0
    assert "fork" in result.stderr.lower() or "resource" in result.stderr.lower()


@feature("12.4 stdio chown to the container user", "6.7 newuidmap/newgidmap fallback")
def test_a_user_gives_stdio_to_a_mapped_id(user: User, subids: tuple[int, int]) -> None:
    first, count = subids
    for name, own in (("uidMappings", user.uid), ("gidMappings", user.gid)):
        user.config.linux[name] = [
            {"containerID": 0, "hostID": own, "size": 1},
            {"containerID": 1, "hostID": first, "size": count},
        ]
    user.config.process["user"] = {"uid": 1000, "gid": 1000}
    assert user.run("id", "-u").ok().stdout == "1000\n"
