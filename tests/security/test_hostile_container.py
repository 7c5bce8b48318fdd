# SPDX-License-Identifier: Apache-2.0
"""exec and terminals where the container itself is hostile: joining it lends it nothing."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import strace
from tests.support.bundle import Config
from tests.support.canary import Canary
from tests.support.runtime import Container, Runtime
from tests.support.terminal import FdSocket
from tests.support.types import Create
from tests.support.wait import until

STOPPED_S = 0.15  # longer than a tracer takes for a system call
EXECS = int(os.environ.get("PYRUNC_WATCHED_EXECS", "25"))
O_PATH = 0o10000000
EVERYTHING = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
    "CAP_SYS_ADMIN", "CAP_SYS_PTRACE",
]  # fmt: skip

IDS = {"0": 0, "1": 1, "5": 5, "1000": 1000, "65534": 65534, "65535": 65535, "65536": 65536,
       "2147483647": 2**31 - 1, "2147483648": 2**31, "4294967294": 2**32 - 2}  # fmt: skip
NO_IDS = (
    "", " ", "-1", "+1", " 1", "1 ", "\t1", "1\n", "\n1", "0x1", "0X1", "0b1", "0o7", "010", "00",
    "01", "1e3", "1.0", "1.", ".1", "1,000", "1_0", "_1", "4294967295", "4294967296", "4294967297",
    "9999999999", "18446744073709551615", "18446744073709551616", "99999999999999999999",
    "-4294967295", "1:", ":1", ":", "1:2:3", "1::2", "1:-1", "1:x", "1: 2", "root", "root:root",
    "1root", "root1", "nobody", "#1", "$UID", "NaN", "inf", "True", "\u0661", "\uff11", "\u00b2",
    "\u0967", "1\u0661", "1;2", "1/2", "%d", "--1", "1-", "0:4294967295", "0:+0",
)  # fmt: skip


@pytest.mark.parametrize("text", sorted(IDS))
def test_a_user_is_the_number_that_was_asked_for(running: Container, text: str) -> None:
    """CR-1, CR-2, R025: also where 32 bits with a sign would not hold it."""
    script = "grep ^Uid: /proc/self/status; grep ^Gid: /proc/self/status"
    argv = ("exec", "--user", f"{text}:{text}", running.id, "sh", "-c", script)
    assert [line.split()[1:] for line in running.runtime(*argv).ok().lines] == [
        [str(IDS[text])] * 4,
        [str(IDS[text])] * 4,
    ]


def test_what_is_no_id_of_a_user_is_refused(running: Container) -> None:
    """CR-1, CR-2, PY-6, R025: nothing is run, least of all as user 0."""
    for text in NO_IDS:
        result = running.runtime("exec", f"--user={text}", running.id, "id", "-u")
        assert (result.status, result.stdout) == (255, ""), repr(text)
        assert "--user" in result.error, repr(text)
    assert len(IDS) + len(set(NO_IDS)) >= 60


SUBGROUPS = ("..", "../..", "../other", "/..", "a/../..", "a/../../other", "./..", "..//", "...",
             "a\nb", "/../../../../../../tmp", "absent")  # fmt: skip


@pytest.mark.parametrize("path", SUBGROUPS, ids=ascii)
def test_a_cgroup_of_an_exec_is_below_the_containers(running: Container, path: str) -> None:
    """CG-3, R031: refused before anything runs."""
    parent = Path("/sys/fs/cgroup/pids")
    argument = f"pids:{path}" if parent.is_dir() else path
    result = running.runtime("exec", "--cgroup", argument, running.id, "echo", "ran")
    assert (result.status, result.stdout) == (255, "")
    assert "cgroup" in result.error


def test_a_cgroup_of_an_exec_that_is_the_containers_own(running: Container) -> None:
    """CG-3, R031: / is the container's, not the host's."""
    argument = "pids:/" if Path("/sys/fs/cgroup/pids").is_dir() else "/"
    inside = Path(f"/proc/{running.pid}/cgroup").read_text()
    argv = ("exec", "--cgroup", argument, running.id, "sh", "-c", "cat /proc/self/cgroup")
    own = running.runtime("exec", running.id, "cat", "/proc/1/cgroup").ok().stdout
    assert running.runtime(*argv).ok().stdout == own
    assert Path(f"/proc/{running.pid}/cgroup").read_text() == inside


@pytest.mark.parametrize("flag", ["--apparmor", "--process-label"])
def test_a_label_is_not_written_to_files_of_the_container(
    create: Create, config: Config, flag: str
) -> None:
    """PS-1, JN-5, R043: without a proc mount its /proc is only files, and they are believed by
    nobody.
    """
    config.without_mount("/proc")
    names = ["attr/exec", "attr/current", "attr/apparmor/exec", "attr/keycreate"]
    files = [
        config.file(f"proc/{task}/{name}", "unconfined\n")
        for task in ("self", "thread-self", "1")
        for name in names
    ]
    config.file("sys/module/apparmor/parameters/enabled", "Y\n")
    config.without_mount("/sys")
    container = create(config, "sleep", "600").start()
    result = container.runtime("exec", flag, "a_label:of:some:s0", container.id, "echo", "ran")
    if result.status == 0:  # a security module is here: then the label is real or there is none
        pytest.skip("the label was applied on this machine")
    assert result.status == 255
    assert result.stdout == ""
    assert {file.read_text() for file in files} == {"unconfined\n"}


def tracer(output: Path, call: str) -> list[str]:
    """A prefix that stops the init of an exec after one of its calls, for others to look at it."""
    strace.prefix(output)  # is it there?
    options = ["-f", "-qq", "-e", f"trace={call}", "-e", f"inject={call}:signal=STOP:when=1"]
    return ["strace", *options, "-o", str(output)]


def stopped_init(container: Container) -> int | None:
    """The process that is being made ready in the container and stands still."""
    namespace = os.readlink(f"/proc/{container.pid}/ns/mnt")
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdigit() or os.readlink(entry / "ns/mnt") != namespace:
                continue
            name, _, rest = (entry / "stat").read_text().partition(") ")
        except OSError:  # it ended just now
            continue
        if name.endswith("(pyrunc-init") and rest[0] in "tT" and stands_still(entry):
            return int(entry.name)
    return None


def stands_still(entry: Path) -> bool:
    """Tell a stop by the signal from those of the tracer at each system call, which are short."""
    try:
        before = (entry / "status").read_text()
        time.sleep(STOPPED_S)
        return (entry / "status").read_text() == before  # with the number of context switches
    except OSError:
        return False


def look_at(pid: int) -> None:
    for name in os.listdir(f"/proc/{pid}/fd"):
        facts = os.stat(f"/proc/{pid}/fd/{name}")
        assert not stat.S_ISDIR(facts.st_mode), os.readlink(f"/proc/{pid}/fd/{name}")
        info = Path(f"/proc/{pid}/fdinfo/{name}").read_text()
        flags = next(line for line in info.splitlines() if line.startswith("flags:"))
        assert not int(flags.split()[1], 8) & O_PATH
    assert os.stat(f"/proc/{pid}/mem").st_uid == 0
    assert Path(f"/proc/{pid}/environ").read_bytes() == b""


@pytest.mark.parametrize("call", ["setns", "setsid", "setgroups", "setresuid"])
def test_a_joining_process_carries_nothing_of_the_host(
    running: Container, workspace: Path, call: str
) -> None:
    """FD-3, JN-1, JN-4, R006, R045: no directory, no path, not dumpable, at these moments."""
    argv = running.runtime.argv("exec", running.id, "true")
    null = subprocess.DEVNULL
    command = subprocess.Popen(
        [*tracer(workspace / "trace", call), *argv], stdin=null, stdout=null, stderr=null
    )
    try:
        stops = 0
        while command.poll() is None:  # in the process before the fork, and in the one after it
            pid = stopped_init(running)
            if pid is not None:
                try:
                    look_at(pid)
                except FileNotFoundError:  # strace had stopped it at a system call: it went on
                    continue
                stops += 1
                os.kill(pid, signal.SIGCONT)
        assert command.wait(30) == 0
        assert stops
    finally:
        command.kill()
        command.wait()


@pytest.mark.parametrize("mapped", [False, True], ids=["root", "user-namespace"])
def test_a_joining_process_cannot_be_reached_from_inside(
    create: Create, config: Config, probe: Path, mapped: bool
) -> None:
    """JN-1, JN-3, R003: not traced, not opened, by root of the container with all rights there."""
    config.bind(probe, "/probe")
    if mapped:
        config.user_namespace()
        config.capabilities(*EVERYTHING)
    container = create(config, "sh", "-c", "/probe watch /tmp/stop; sleep 600").start()
    for _ in range(EXECS):
        container.runtime("exec", container.id, "true").ok()
    config.file("/tmp/stop")
    until(lambda: "seen" in container.output, "the watcher says what it has seen")
    words = container.output.split()
    assert (words[0], words[2:]) == ("seen", ["reached", "0"])
    assert int(words[1]) > 0, "the watcher was too slow to see any: raise PYRUNC_WATCHED_EXECS"


@pytest.fixture
def console(workspace: Path) -> Iterator[FdSocket]:
    found = FdSocket(workspace / "console.sock")
    yield found
    found.close()


def _devpts_only(config: Config) -> None:
    """/dev is the image's own directory."""
    kept = ("/proc", "/dev/pts")
    config["mounts"] = [entry for entry in config["mounts"] if entry["destination"] in kept]


LINKS = ("dev/console", "dev/pts", "dev/ptmx", "dev/tty", "dev")


@pytest.mark.parametrize("target", ["directory", "file", "absent", "inside"])
@pytest.mark.parametrize("place", LINKS)
def test_a_terminal_is_the_containers_own(
    runtime: Runtime,
    config: Config,
    canary: Canary,
    console: FdSocket,
    place: str,
    target: str,
) -> None:
    """CN-1, CN-2, CN-3, R019, R027: whatever the image has put where the terminal goes."""
    _devpts_only(config)
    if place == "dev":
        (config.rootfs / "dev").rmdir()
    if place == "dev/pts" and target == "inside":
        (config.rootfs / "dev/inside").mkdir()
    leads = {"directory": canary.directory, "file": canary.file, "absent": canary.top / "new"}
    (config.rootfs / place).symlink_to(leads.get(target, Path("inside")))
    if place == "dev":
        (config.rootfs / "inside").mkdir()
    script = "stat -c '%F %t:%T' /dev/console; stat -f -c %t /dev/console; "
    script += "stat -L -c %t:%T /proc/self/fd/0"
    config.process["terminal"] = True
    config.process["args"] = ["sh", "-c", script]
    config.write()
    container = Container(runtime, runtime.new_id(), config)
    flags = ("--console-socket", console.path)
    result = runtime("create", "--bundle", config.bundle, *flags, container.id)
    assert not (canary.top / "new").exists()
    if result.status:
        assert len(result.error) < 1024
        return
    master = console.wait()
    container.start().wait()
    lines = os.read(master, 4096).decode().splitlines()
    assert lines[0].startswith("character special file 88:")
    assert lines[1] == "1cd1"
    assert lines[2] == lines[0].split()[-1]
    container.delete().ok()
