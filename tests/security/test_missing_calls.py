# SPDX-License-Identifier: Apache-2.0
"""KF-2: a kernel, or a filter around us, without one of the system calls that we use.

Whatever is missing, a command either does what it always does by other means, or says that it
cannot. It never does something else, and nothing is left behind. The filter is inherited by the
init and stays, so what a container is like is asked from outside. calls.txt holds the calls of all
commands, as strace saw them; `make update-plans` writes it again.
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrunc.seccomp import library
from tests.support import machine, strace
from tests.support.bundle import Config
from tests.support.runtime import Container, Result, Runtime
from tests.support.strace import Call
from tests.support.wait import until

LIST = Path(__file__).with_name("calls.txt")
CALLS = [line for line in LIST.read_text().splitlines() if line[:1] != "#"]
# Without these no program of any kind starts, or none can say a word: only that it ends is asked.
MUTE = frozenset(
    (
        "arch_prctl", "brk", "close", "execve", "exit_group", "fcntl", "fstat", "getrandom", "mmap",
        "mprotect", "munmap", "newfstatat", "openat", "poll", "pread64", "prlimit64", "read",
        "readlink", "rt_sigaction", "rt_sigprocmask", "set_tid_address", "write", "exit", "futex",
    )
)  # fmt: skip
# What older kernels lack and filters of other runtimes refuse with EPERM.
OPTIONAL = (
    "openat2", "close_range", "clone3", "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "fsopen",
    "fsconfig", "fsmount", "open_tree", "move_mount", "mount_setattr", "statx", "memfd_create",
    "faccessat2", "fchmodat2", "execveat", "keyctl", "bpf", "seccomp", "unshare", "setns",
)  # fmt: skip
STATUS = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs",
          "Seccomp_filters", "SigIgn", "SigBlk", "Threads", "Umask")  # fmt: skip
PROFILE = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}],
}


@pytest.fixture
def rich(config: Config) -> Config:
    """A config with something of everything that one system call alone may bring about."""
    config.user_namespace()
    config.namespace("time")
    config.process["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [5], "umask": 0o27}
    config.process["cwd"] = "/made"
    config.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 100}]
    config.process["oomScoreAdj"] = 200
    config.process["args"] = ["sleep", "600"]
    config.capabilities("CAP_KILL", "CAP_CHOWN")
    config.file("etc/hidden/x")
    config.file("etc/masked")
    config.linux["maskedPaths"] = ["/etc/hidden", "/etc/masked", "/proc/kcore"]
    config.linux["readonlyPaths"] = ["/etc", "/proc/sys"]
    config.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    config.linux["resources"] = {"pids": {"limit": 77}}
    config.linux["seccomp"] = PROFILE
    config["root"]["readonly"] = True
    config.mount("/tmp", "tmpfs", "tmpfs", "ro", "mode=1777")
    return config


def posture(pid: int) -> dict[str, object]:
    """What can be seen of a process from outside, without what differs between two of them."""
    proc = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    mounts = [line.split() for line in (proc / "mountinfo").read_text().splitlines()]
    links = {name: os.readlink(proc / "ns" / name) for name in os.listdir(proc / "ns")}
    joined = subprocess.run(
        ["nsenter", f"--uts=/proc/{pid}/ns/uts", f"--net=/proc/{pid}/ns/net", "sh", "-c",
         "hostname; cat /proc/sys/net/ipv4/ip_forward; cat /sys/class/net/lo/flags"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return {
        "status": {name: status[name].split() for name in STATUS},
        "mounts": [
            (line[4], line[5], [word.split(":")[0] for word in line[6 : line.index("-")]],
             line[line.index("-") + 1])
            for line in mounts
        ],
        "private": {
            name: link != os.readlink(f"/proc/self/ns/{name}") for name, link in links.items()
        },
        "cgroups": [line.rpartition("/")[0] for line in (proc / "cgroup").read_text().splitlines()],
        "pids": pids_limit(proc),
        "limits": (proc / "limits").read_text(),
        "oom": (proc / "oom_score_adj").read_text(),
        "maps": (proc / "uid_map").read_text() + (proc / "gid_map").read_text(),
        "clocks": (proc / "timens_offsets").read_text(),
        "descriptors": len(os.listdir(proc / "fd")),
        "directory": os.readlink(proc / "cwd"),
        "session": (proc / "stat").read_text().rpartition(")")[2].split()[3] == str(pid),
        "inside": joined,
    }  # fmt: skip


def pids_limit(proc: Path) -> str:
    """The limit that the process's own cgroup says, where the hierarchy is mounted here."""
    for line in (proc / "cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        for top in ("/sys/fs/cgroup/pids", "/sys/fs/cgroup"):
            file = Path(f"{top}{path}/pids.max")
            if names in ("", "pids") and file.exists():
                return file.read_text()
    return ""


class Without:
    """Commands for which one system call fails."""

    def __init__(self, runtime: Runtime, probe: Path, name: str, number: int) -> None:
        self.runtime = runtime
        call = library.resolve(library.NATIVE, [name])[0]
        self.prefix = [str(probe), "without", str(call), str(number)]
        self.name = name

    def __call__(self, *args: str | Path) -> Result:
        result = self.runtime(*args, prefix=self.prefix)
        assert "Traceback" not in result.stderr, self.name
        if result.status and self.name not in MUTE:
            assert result.error, f"{args[0]} says nothing without {self.name}"
            assert len(result.stderr) < 4096
        return result


@pytest.fixture
def reference(runtime: Runtime, rich: Config) -> dict[str, object]:
    """The posture of a container while it waits, with every system call there."""
    container = runtime.create(rich)
    found = posture(container.pid)
    container.delete().ok()
    return found


def cases() -> list[object]:
    every = [pytest.param(name, errno.ENOSYS, id=f"{name}-ENOSYS") for name in CALLS]
    return [*every, *(pytest.param(name, errno.EPERM, id=f"{name}-EPERM") for name in OPTIONAL)]


def expected_after(reference: dict[str, object]) -> dict[str, object]:
    """The same with one filter more, that of the test."""
    status = dict(reference["status"])  # type: ignore[call-overload]
    status["Seccomp_filters"] = [str(int(status["Seccomp_filters"][0]) + 1)]
    return {**reference, "status": status}


@pytest.mark.parametrize(("name", "number"), cases())
def test_a_container_is_made_as_always_or_not_at_all(
    runtime: Runtime,
    rich: Config,
    probe: Path,
    reference: dict[str, object],
    name: str,
    number: int,
) -> None:
    """KF-2, AR-6."""
    container = Container(runtime, runtime.new_id(), rich)
    without = Without(runtime, probe, name, number)
    result = without("create", "--bundle", rich.bundle, container.id)
    if result.status == 0:
        assert posture(container.pid) == expected_after(reference)
        started = container.command("start")
        if started.status == 0:
            container.wait("running")
            filters = re.search(
                r"Seccomp_filters:\s+(\d)", Path(f"/proc/{container.pid}/status").read_text()
            )
            assert filters is None or filters[1] == "2"
        else:
            assert started.error
    else:
        # Without unlinkat nothing can be removed before the `delete` below.
        assert not (runtime.root / container.id).exists() or name in (*MUTE, "unlinkat")
    container.delete().ok()


@pytest.mark.parametrize(("name", "number"), cases())
def test_a_command_on_a_container_does_its_work_or_says_that_it_cannot(
    runtime: Runtime,
    config: Config,
    probe: Path,
    create: Callable[..., Container],
    name: str,
    number: int,
) -> None:
    """KF-2, PD-1: and never anything to somebody else."""
    container = create(config, "sleep", "600")
    without = Without(runtime, probe, name, number)
    if without("start", container.id).status == 0:
        assert container.state()["status"] == "running"
    elif container.state()["status"] == "created":
        container.start()
    seen = without("state", container.id)
    if seen.status == 0:
        assert f'"pid": {container.pid}' in seen.stdout
    elif container.state()["status"] == "running":
        done = without("exec", container.id, "true")
        assert done.status in (0, 255) or name in MUTE
    if without("kill", container.id, "KILL").status == 0:
        # What an init has forked and could not tell is an orphan, adopted by this process; the
        # kernel ends a pid namespace when its last process is reaped (zap_pid_ns_processes).
        machine.reap()
        container.wait("stopped")
    if without("delete", "--force", container.id).status == 0:
        assert not (runtime.root / container.id).exists()


def without_program(calls: list[Call]) -> list[Call]:
    """What the program does once it runs is its own business."""
    inits = strace.init_processes(calls)
    ran = (
        i for i, call in enumerate(calls) if call.name == "execve" and call.pid in inits and i > 2
    )
    end = next(ran, len(calls))
    return [call for i, call in enumerate(calls) if i <= end or call.pid not in inits]


def tracers(workspace: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:  # it ended just now
            continue
        if words.startswith(b"strace") and bytes(workspace) in words:
            found.append(entry.name)
    return found


def test_the_list_holds_every_call(
    runtime: Runtime, rich: Config, workspace: Path, request: pytest.FixtureRequest
) -> None:
    """A call that comes to be used comes to be tested."""
    rich.write()
    container = Container(runtime, runtime.new_id(), rich)
    lives = {
        "create": ("create", "--bundle", rich.bundle, container.id),
        "start": ("start", container.id),
        "state": ("state", container.id),
        "exec": ("exec", container.id, "true"),
        "kill": ("kill", container.id, "KILL"),
        "delete": ("delete", "--force", container.id),
    }
    for verb, argv in lives.items():
        # -D: a tracer beside it, for the init outlives the command.
        runtime(*argv, prefix=[*strace.prefix(workspace / f"{verb}.calls"), "-D"]).ok()
    until(lambda: not tracers(workspace), "the tracers have ended with the container")
    used = {
        call.name
        for verb in lives
        for call in without_program(strace.parse(workspace / f"{verb}.calls"))
    }
    if request.config.getoption("--update-plans"):
        head = "# The system calls of create, start, state, exec, kill and delete.\n"
        LIST.write_text(head + "\n".join(sorted(used | set(CALLS))) + "\n")
    else:
        assert used <= set(CALLS) | {"restart_syscall", "rt_sigreturn"}
