# SPDX-License-Identifier: Apache-2.0
"""Section 2 of the feature table: flags of create, run, exec and the commands around them."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import stat
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Container, Runtime
from tests.support.terminal import window
from tests.support.types import Create, Run, Sockets, Terminals
from tests.support.wait import until

feature = pytest.mark.feature


def pid_of(fd: int) -> int:
    """The process behind a pidfd."""
    lines = Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pid:")).split()[1])


# -- create and run --------------------------------------------------------------------------------


@feature("2.5 --console-socket", "12.1 console-socket")
@pytest.mark.parametrize("depth", [0, 120])
def test_the_console_socket_gets_the_master(
    create: Create, config: Config, workspace: Path, fd_socket: Sockets, depth: int
) -> None:
    """Also where its path is longer than the 108 bytes that the kernel takes."""
    console = fd_socket(workspace / ("d" * depth) / "console.sock")
    config.process["terminal"] = True
    container = create(
        config, "sh", "-c", "tty; exec cat", flags=("--console-socket", console.path)
    )
    master = console.wait()
    assert os.isatty(master)
    assert 0 < len(console.data) < 4096
    container.start()
    until(lambda: b"/dev/pts/0" in os.read(master, 100), "the program sees its terminal")
    os.write(master, b"hello\n")
    until(lambda: b"hello" in os.read(master, 100), "the terminal echoes")


@feature("2.6 --pidfd-socket")
def test_a_pidfd_of_the_init_comes_before_create_returns(
    create: Create, config: Config, workspace: Path, fd_socket: Sockets
) -> None:
    receiver = fd_socket(workspace / "pidfd.sock")
    container = create(config, "sleep", "600", flags=("--pidfd-socket", receiver.path))
    pidfd = receiver.wait()
    assert pid_of(pidfd) == container.pid
    assert receiver.data == b"standard"
    container.start()
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    container.wait("stopped")


@feature("2.6 --pidfd-socket")
def test_a_pidfd_that_nobody_takes_undoes_the_create(
    pyrunc: Runtime, config: Config, workspace: Path
) -> None:
    config.write()
    flags = ("--pidfd-socket", workspace / "absent.sock")
    result = pyrunc("create", "--bundle", config.bundle, *flags, pyrunc.new_id())
    assert result.status == 1
    assert "/absent.sock" in result.error
    assert list(pyrunc.root.iterdir()) == []


@feature("2.9 --no-new-keyring")
def test_the_keyring_of_the_caller_is_kept_when_asked(
    run: Run, config: Config, probe: Path
) -> None:
    config.bind(probe, "/probe")
    config.process["noNewPrivileges"] = False
    outer = subprocess.run([probe, "keyring"], capture_output=True, text=True, check=True).stdout
    assert run(config, "/probe", "keyring").ok().stdout != outer
    assert run(config, "/probe", "keyring", flags=("--no-new-keyring",)).ok().stdout == outer


@feature("2.11 --no-subreaper", "12.6 pdeathsig/subreaper care")
def test_run_adopts_orphans_unless_told_not_to(pyrunc: Runtime, config: Config) -> None:
    """Without a pid namespace an orphan goes to the nearest subreaper."""
    config.without_namespace("pid")
    orphan = "(sleep 0.3; exec awk '/PPid/{print $2}' /proc/self/status) &"
    config.process["args"] = ["sh", "-c", 'sh -c "$1"; sleep 1', "-", orphan]
    config.write()
    for flags, adopts in (((), True), (("--no-subreaper",), False)):
        argv = pyrunc.argv("run", "--bundle", config.bundle, *flags, pyrunc.new_id())
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        out, _ = child.communicate(timeout=30)
        assert child.returncode == 0
        assert (int(out) == child.pid) == adopts


@feature("2.16 foreground pty relay", "3.9 process.terminal", "3.10 process.consoleSize")
def test_run_relays_a_terminal(pyrunc: Runtime, config: Config, terminal: Terminals) -> None:
    config.process["terminal"] = True
    config.process["args"] = ["sh", "-c", "tty; stty size; read line; echo got $line; exit 5"]
    config.write()
    argv = pyrunc.argv("run", "--bundle", config.bundle, pyrunc.new_id())
    mine = terminal(argv, rows=33, columns=99)
    mine.expect("33 99")
    mine.type("words\n")
    mine.expect("got words")
    assert mine.end() == 5
    assert "/dev/pts/0" in mine.seen.decode()


@feature("2.16 foreground pty relay")
def test_the_terminal_inside_follows_the_size_outside(
    pyrunc: Runtime, config: Config, terminal: Terminals
) -> None:
    config.process["terminal"] = True
    script = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done"
    config.process["args"] = ["sh", "-c", script]
    config.write()
    mine = terminal(pyrunc.argv("run", "--bundle", config.bundle, pyrunc.new_id()))
    mine.expect("ready")
    mine.size(50, 132)
    mine.process.send_signal(signal.SIGWINCH)
    mine.expect("50 132")
    assert mine.end() == 0


@feature("2.16 foreground pty relay")
def test_our_terminal_is_as_before_after_a_run(
    pyrunc: Runtime, config: Config, terminal: Terminals
) -> None:
    """Also keys such as Control-C are the container's meanwhile."""
    config.process["terminal"] = True
    script = "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 0.05; done"
    config.process["args"] = ["sh", "-c", script]
    config.write()
    mine = terminal(pyrunc.argv("run", "--bundle", config.bundle, pyrunc.new_id()))
    before = termios.tcgetattr(mine.master)
    mine.expect("ready")
    mine.type("\x03")
    mine.expect("caught")
    assert mine.process.wait(20) == 3
    assert termios.tcgetattr(mine.master) == before


@feature("2.16 foreground pty relay")
def test_a_terminal_with_pipes_as_stdio_ends_with_its_program(run: Run, config: Config) -> None:
    """BuildKit and CRI-O give pipes now and then."""
    config.process["terminal"] = True
    result = run(config, "sh", "-c", "tty; echo done", stdin="x\n")
    assert result.status == 0
    assert "done" in result.stdout


@feature("2.16 foreground pty relay")
@pytest.mark.parametrize("direction", ["input", "output"])
def test_signals_come_through_a_terminal_that_is_stuck(
    pyrunc: Runtime, config: Config, workspace: Path, direction: str
) -> None:
    """A program that reads nothing of what is typed, or a reader of ours that takes nothing."""
    config.process["terminal"] = True
    busy = "yes filling" if direction == "output" else "sleep 1000"
    news = workspace / "news"
    news.touch()
    config.bind(news, "/news")
    script = f"stty raw; trap 'echo end > /news; exit 7' TERM; echo begin > /news; {busy} & wait"
    config.process["args"] = ["sh", "-c", script]
    config.write()
    name = pyrunc.new_id()
    argv = pyrunc.argv("run", "--bundle", config.bundle, name)
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    stdin, stdout = (pipe, null) if direction == "input" else (null, pipe)
    with subprocess.Popen(argv, stdin=stdin, stdout=stdout) as child:
        try:
            until(lambda: news.read_text() == "begin\n", "the program is ready")
            if child.stdin is not None:
                os.set_blocking(child.stdin.fileno(), False)
                fill(child.stdin.fileno())
            else:
                assert child.stdout is not None
                held = child.stdout.fileno()
                until(lambda: unread(held) == unread(held, after_s=0.1) > 0, "our pipe is full")
            child.send_signal(signal.SIGTERM)
            until(lambda: news.read_text() == "end\n", "the signal comes through")
            if child.stdout is not None:
                child.stdout.close()
            assert child.wait(30) == 7
        finally:
            child.kill()
            pyrunc("delete", "--force", name)


def fill(fd: int) -> None:
    """Write until nobody takes any more."""
    taken = 0
    while taken < 1 << 20:
        try:
            taken += os.write(fd, b"x" * 4096)
        except BlockingIOError:
            if not select.select([], [fd], [], 0.3)[1]:
                return


def unread(fd: int, *, after_s: float = 0) -> int:
    """The bytes in a pipe."""
    time.sleep(after_s)
    answer = fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0")
    return int.from_bytes(answer, sys.byteorder)


@feature("3.10 process.consoleSize")
def test_a_terminal_has_the_size_of_the_config(
    create: Create, config: Config, workspace: Path, fd_socket: Sockets
) -> None:
    console = fd_socket(workspace / "console.sock")
    config.process["terminal"] = True
    config.process["consoleSize"] = {"height": 31, "width": 117}
    create(config, "cat", flags=("--console-socket", console.path))
    assert window(console.wait()) == (31, 117)


@feature("2.17 error exit status")
def test_an_error_of_create_and_run_is_status_1(pyrunc: Runtime, config: Config) -> None:
    config.process["args"] = ["absent"]
    config.write()
    for verb in ("create", "run"):
        assert pyrunc(verb, "--bundle", config.bundle, pyrunc.new_id()).status == 1


# -- kill and delete -------------------------------------------------------------------------------


@feature("2.25 kill --regex", "2.28 delete --regex")
def test_kill_and_delete_take_a_regular_expression(
    pyrunc: Runtime, make_config: Callable[[], Config]
) -> None:
    name = pyrunc.new_id()
    for suffix in ("a", "b", "other"):
        config = make_config()
        config.process["args"] = ["sleep", "600"]
        config.write()
        flags = ("--bundle", config.bundle, "--detach")
        pyrunc("run", *flags, f"{name}-{suffix}").ok()
    pyrunc("kill", "--regex", f"{name}-[ab]", "KILL").ok()

    def status(suffix: str) -> str:
        found: str = json.loads(pyrunc("state", f"{name}-{suffix}").ok().stdout)["status"]
        return found

    until(lambda: status("a") == status("b") == "stopped", "the two are stopped")
    assert status("other") == "running"
    pyrunc("delete", "--regex", f"{name}-[ab]").ok()
    assert [one.name for one in pyrunc.root.iterdir() if one.name[0] != "."] == [f"{name}-other"]
    pyrunc("delete", "--force", f"{name}-other").ok()


@feature("2.30 signalling through pidfd")
def test_a_signal_never_reaches_a_process_that_took_the_number(running: Container) -> None:
    """The state names the init by its number and its start time, which is in clock ticks."""
    pid = running.pid
    state = running.runtime.root / running.id / "state.json"
    text = state.read_text()
    time.sleep(2 / os.sysconf("SC_CLK_TCK"))
    victim = subprocess.Popen(["sleep", "600"])
    try:
        state.write_text(text.replace(f'"pid":{pid}', f'"pid":{victim.pid}'))
        assert running.command("kill", "KILL").status == 1
        assert victim.poll() is None
    finally:
        state.write_text(text)
        victim.kill()
        victim.wait()


# -- exec ------------------------------------------------------------------------------------------


@feature("2.37 --tty/-t", "2.31 exec ID CMD...")
def test_exec_relays_a_terminal(running: Container, terminal: Terminals) -> None:
    script = "tty; stty size; read line; echo got $line; exit 6"
    argv = running.runtime.argv("exec", "-t", running.id, "sh", "-c", script)
    mine = terminal(argv, rows=20, columns=71)
    mine.expect("20 71")
    mine.type("words\n")
    mine.expect("got words")
    assert mine.end() == 6
    # /dev/console belongs to the container's own terminal.
    listing = running.runtime("exec", running.id, "ls", "/dev").ok().lines
    assert "console" not in listing


@feature("2.35 --console-socket")
def test_exec_gives_its_terminal_to_a_console_socket(
    running: Container, workspace: Path, fd_socket: Sockets
) -> None:
    console = fd_socket(workspace / "exec.sock")
    file = workspace / "pid"
    flags = ("--tty", "--detach", "--console-socket", console.path, "--pid-file", file)
    running.runtime("exec", *flags, running.id, "sh", "-c", "tty; exec sleep 600").ok()
    master = console.wait()
    until(lambda: b"/dev/pts/0" in os.read(master, 100), "the program sees its terminal")
    pid = int(file.read_text())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@feature("2.35 --console-socket", "2.37 --tty/-t")
@pytest.mark.parametrize(
    ("flags", "phrase"),
    [
        (["--tty", "--detach"], "cannot allocate tty if"),
        (["--console-socket", "/x"], "cannot use console socket if"),
        (["--detach", "--console-socket", "/x"], "cannot use console socket if"),
    ],
)
def test_an_exec_whose_terminal_goes_nowhere_is_refused(
    running: Container, flags: list[str], phrase: str
) -> None:
    result = running.runtime("exec", *flags, running.id, "touch", "/tmp/done")
    assert result.status == 255
    assert phrase in result.error
    assert not (running.config.rootfs / "tmp/done").exists()


@feature("2.36 --pidfd-socket")
def test_exec_sends_a_pidfd_of_its_process(
    running: Container, workspace: Path, fd_socket: Sockets
) -> None:
    receiver = fd_socket(workspace / "pidfd.sock")
    file = workspace / "pid"
    flags = ("--detach", "--pidfd-socket", receiver.path, "--pid-file", file)
    running.runtime("exec", *flags, running.id, "sleep", "600").ok()
    pidfd = receiver.wait()
    pid = int(file.read_text())
    assert pid_of(pidfd) == pid
    assert receiver.data == b"setns"
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.waitpid(pid, 0)


@feature("2.42 --process-label", "3.22 process.selinuxLabel", "2.43 --apparmor")
@pytest.mark.parametrize(
    ("flag", "module"), [("--process-label", "selinux"), ("--apparmor", "apparmor")]
)
def test_a_label_that_cannot_be_had_is_an_error(running: Container, flag: str, module: str) -> None:
    """Neither module is on in the kernel of this machine; the writes are in the plan tests."""
    if Path("/sys/fs/selinux/enforce").exists() or Path("/sys/module/apparmor").exists():
        pytest.skip("this kernel has a security module")
    result = running.runtime("exec", flag, "system_u:system_r:c_t:s0", running.id, "true")
    assert result.status == 255
    assert module in result.error


@feature("2.44 --no-new-privs")
def test_exec_sets_no_new_privileges_when_asked(create: Create, config: Config) -> None:
    config.process["noNewPrivileges"] = False
    container = create(config, "sleep", "600").start()
    argv = ("grep", "NoNewPrivs", "/proc/self/status")
    assert container.runtime("exec", container.id, *argv).ok().stdout.split() == [
        "NoNewPrivs:",
        "0",
    ]
    found = container.runtime("exec", "--no-new-privs", container.id, *argv).ok()
    assert found.stdout.split() == ["NoNewPrivs:", "1"]


@feature("2.46 --preserve-fds", "12.2 LISTEN_FDS")
def test_exec_passes_sockets_and_descriptors(running: Container, workspace: Path) -> None:
    ours = [os.open(workspace / name, os.O_RDWR | os.O_CREAT) for name in ("three", "four")]
    script = "for n in 3 4; do readlink /proc/self/fd/$n; done; echo $LISTEN_FDS $$ $LISTEN_PID"
    argv = running.runtime.argv("exec", "--preserve-fds", "1", running.id, "sh", "-c", script)

    def place() -> None:
        for target, fd in zip((3, 4), ours, strict=True):
            os.dup2(fd, target + 200)
        for target in (3, 4):
            os.dup2(target + 200, target)
            os.close(target + 200)

    done = subprocess.run(
        argv, preexec_fn=place, close_fds=False, capture_output=True, text=True, check=True,
        env={**os.environ, "LISTEN_FDS": "1"}, timeout=30,
    )  # fmt: skip
    for fd in ours:
        os.close(fd)
    three, four, listen = done.stdout.splitlines()
    assert three.endswith("/three")
    assert four.endswith("/four")
    count, own, told = listen.split()
    assert (count, own) == ("1", told)


@feature("2.47 --cgroup PATH", "8.7 cgroupsPath")
def test_exec_enters_a_cgroup_below_the_containers(create: Create, config: Config) -> None:
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        hierarchies, flag = [Path("/sys/fs/cgroup")], "{}"
    else:
        hierarchies, flag = [Path("/sys/fs/cgroup/pids")], "pids:{}"
    container = create(config, "sleep", "600").start()
    lines = Path(f"/proc/{container.pid}/cgroup").read_text().splitlines()
    line = next(
        one
        for one in lines
        if one.split(":")[1] in ("", "pids") and ("pids" in one or flag == "{}")
    )
    below = hierarchies[0] / line.split(":")[2].lstrip("/") / "below"
    below.mkdir()
    try:
        argv = ("exec", "--cgroup", flag.format("/below"), container.id, "cat", "/proc/self/cgroup")
        found = container.runtime(*argv).ok().lines
        assert any(one.endswith("/below") for one in found)
        wrong = flag.format("/../..")
        result = container.runtime("exec", "--cgroup", wrong, container.id, "true")
        assert result.status == 255
    finally:
        below.rmdir()


@feature("2.48 --ignore-paused")
def test_exec_in_a_paused_container_waits_when_it_may(running: Container) -> None:
    running.command("pause").ok()
    argv = running.runtime.argv("exec", "--ignore-paused", running.id, "sh", "-c", "exit 4")
    child = subprocess.Popen(argv)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.5)
        running.command("resume").ok()
        assert child.wait(20) == 4
    finally:
        child.kill()
        child.wait()


@feature("2.50 exec without --process takes defaults from")
def test_exec_takes_what_is_missing_from_the_saved_config(
    create: Create, config: Config, workspace: Path
) -> None:
    """The copy in the state, not the bundle as it is now."""
    config.process["env"] += ["WHO=saved"]
    config.process["rlimits"] = [{"type": "RLIMIT_CORE", "soft": 7, "hard": 9}]
    config.process["cwd"] = "/tmp"
    config.process["user"]["umask"] = 0o77
    container = create(config, "sleep", "600").start()
    config.process["env"][-1] = "WHO=changed"
    config.write()
    script = "echo $WHO; pwd; ulimit -c; umask; grep -c . /proc/self/limits"
    found = container.runtime("exec", container.id, "sh", "-c", script).ok().lines
    assert found[:2] == ["saved", "/tmp"]
    assert found[3] == "0077"
    file = workspace / "process.json"
    process = {"args": ["cat", "/proc/self/limits"], "cwd": "/", "user": {"uid": 0, "gid": 0}}
    file.write_text(json.dumps({**process, "env": ["PATH=/bin"]}))
    limits = container.runtime("exec", "--process", file, container.id).ok().stdout
    assert "Max core file size        7                    9" in limits


@feature("2.31 exec ID CMD...")
def test_exec_in_a_container_that_is_not_started_yet(create: Create, config: Config) -> None:
    container = create(config, "true")
    result = container.runtime("exec", container.id, "sh", "-c", "echo $$").ok()
    assert int(result.stdout) > 1
    assert container.state()["status"] == "created"
    container.start().wait("stopped")


@feature("2.31 exec ID CMD...", "6.6 uidMappings")
def test_exec_in_a_user_namespace(create: Create, config: Config) -> None:
    config.user_namespace()
    container = create(config, "sleep", "600").start()
    script = "cat /proc/self/uid_map; id -u; readlink /proc/self/ns/user"
    found = container.runtime("exec", container.id, "sh", "-c", script).ok().lines
    assert found[0].split() == ["0", "100000", "65536"]
    assert found[1] == "0"
    assert found[2] == os.readlink(f"/proc/{container.pid}/ns/user")


@feature("2.31 exec ID CMD...")
def test_exec_forwards_signals_and_reports_the_one_that_killed(running: Container) -> None:
    script = "trap 'exit 9' USR1; touch /tmp/ready; while :; do sleep 0.05; done"
    child = subprocess.Popen(running.runtime.argv("exec", running.id, "sh", "-c", script))
    ready = running.config.rootfs / "tmp/ready"
    until(ready.exists, "the trap is set")
    child.send_signal(signal.SIGUSR1)
    assert child.wait(20) == 9


@feature("2.29 delete in state created", "2.27 delete --force/-f")
def test_an_attached_exec_ends_with_its_container(running: Container) -> None:
    child = subprocess.Popen(running.runtime.argv("exec", running.id, "sleep", "600"))

    def pids() -> list[int]:
        found: list[int] = json.loads(running.runtime("ps", "-f", "json", running.id).ok().stdout)
        return found

    until(lambda: len(pids()) == 2, "exec runs")
    running.command("kill", "KILL").ok()
    assert child.wait(20) == 137


# -- update, ps, events, spec ----------------------------------------------------------------------


@feature("2.56 ps --format", "2.57 ps ID [ps args]")
def test_ps_passes_options_on(running: Container) -> None:
    rows = running.runtime("ps", running.id, "-o", "pid,comm").ok().lines
    assert rows[0].split() == ["PID", "COMMAND"]
    assert rows[1].split() == [str(running.pid), "sleep"]


@feature("2.58 events ID stream")
def test_events_stream_statistics(running: Container) -> None:
    argv = running.runtime.argv("events", "--interval", "100ms", running.id)
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        records = [json.loads(child.stdout.readline()) for _ in range(2)]
    finally:
        child.kill()
        child.communicate()
    assert [one["type"] for one in records] == ["stats", "stats"]
    assert records[0]["id"] == running.id


UPDATES = [
    (["--pids-limit", "77"], "pids", "pids.max", "77", "2.69 update --pids-limit"),
    (["--memory", "64m"], "memory", "memory.limit_in_bytes", "67108864", "2.67 update --memory"),
    (["--cpu-quota", "50000"], "cpu", "cpu.cfs_quota_us", "50000", "2.63 update --cpu-period"),
    (["--cpu-share", "300"], "cpu", "cpu.shares", "300", "2.63 update --cpu-period"),
    (["--cpu-burst", "900", "--cpu-quota", "50000"], "cpu", "cpu.cfs_burst_us", "900",
     "2.64 update --cpu-burst"),
    (["--cpuset-cpus", "0"], "cpuset", "cpuset.cpus", "0", "2.66 update --cpuset-cpus"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "controller", "file", "value"),
    [pytest.param(*row[:4], marks=feature(row[4]), id=row[2]) for row in UPDATES],
)
def test_update_changes_what_its_flag_says(
    running: Container, flags: list[str], controller: str, file: str, value: str
) -> None:
    top = Path("/sys/fs/cgroup") / controller
    if not top.is_dir():
        pytest.skip(f"no v1 hierarchy of {controller} on this machine")
    lines = Path(f"/proc/{running.pid}/cgroup").read_text().splitlines()
    path = next(one.split(":")[2] for one in lines if controller in one.split(":")[1].split(","))
    if not (top / path.lstrip("/") / file).exists():
        pytest.skip(f"this kernel has no {file}")
    running.runtime("update", *flags, running.id).ok()
    assert (top / path.lstrip("/") / file).read_text().strip() == value


@feature("2.74 rollback when a write fails")
def test_an_update_that_fails_changes_nothing(running: Container) -> None:
    before = running.runtime("update", "--dry-run", "--pids-limit", "50", running.id).ok().stdout
    change = json.dumps({"pids": {"limit": 51}, "cpu": {"cpus": "900"}})
    result = running.runtime("update", "--resources", "-", running.id, stdin=change)
    assert result.status == 1
    after = running.runtime("update", "--dry-run", "--pids-limit", "50", running.id).ok().stdout
    assert after == before


@feature("2.75 spec", "2.76 spec --bundle/-b", "2.77 spec --file/-f")
def test_spec_writes_a_config_that_runs(
    pyrunc: Runtime, config: Config, terminal: Terminals
) -> None:
    (config.bundle / "config.json").unlink(missing_ok=True)
    pyrunc("spec", "--bundle", config.bundle).ok()
    again = pyrunc("spec", "--bundle", config.bundle)
    assert again.error.endswith("File config.json exists. Remove it first")
    pyrunc("spec", "--bundle", config.bundle, "--file", "other.json").ok()
    written = json.loads((config.bundle / "other.json").read_text())
    assert written["process"]["args"] == ["sh"]
    mine = terminal(pyrunc.argv("run", "--bundle", config.bundle, pyrunc.new_id()))
    mine.type("hostname; exit 8\n")
    assert mine.end() == 8


@feature("2.111 seccomp BPF cache")
def test_a_compiled_filter_is_kept(run: Run, pyrunc: Runtime, config: Config) -> None:
    config.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["getcwd"], "action": "SCMP_ACT_ERRNO"}],
    }
    run(config, "true").ok()
    kept = list((pyrunc.root / ".seccomp").iterdir())
    assert kept
    assert all(stat.S_IMODE(one.stat().st_mode) & 0o077 == 0 for one in kept)


@feature("2.112 contrib seccomp agent example")
def test_the_example_of_an_agent_is_there() -> None:
    from tests.support.runtime import TREE

    compile((TREE / "docs/examples/seccomp-agent.py").read_text(), "agent", "exec")


@feature("2.79 features")
def test_features_says_nothing_on_stderr(pyrunc: Runtime) -> None:
    """CRI-O reads both streams as one document."""
    result = pyrunc("features").ok()
    assert result.stderr == ""
    assert json.loads(result.stdout)["ociVersionMin"]
