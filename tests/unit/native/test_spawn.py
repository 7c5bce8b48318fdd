# SPDX-License-Identifier: Apache-2.0
"""Starting programs: what they see, and what they must not see."""

from __future__ import annotations

import errno
import fcntl
import os
import pathlib
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from pyrunc.host import syscalls
from tests.support import machine

HERE = pathlib.Path(__file__).parent


class Report:
    """What report.c said."""

    def __init__(self, text: str) -> None:
        self.env: list[str] = []
        self.signals: dict[str, int] = {}
        self.fds: dict[int, tuple[int, str]] = {}
        for line in text.splitlines():
            word, _, rest = line.partition(" ")
            if word == "env":
                self.env.append(rest)
            elif word == "argc":
                self.argc = int(rest)
            elif word == "fd":
                number, flags, identity = rest.split()
                self.fds[int(number)] = (int(flags), identity)
            elif word.startswith(("SigIgn", "SigBlk", "SigCgt")):
                name, _, value = line.partition(":")
                self.signals[name] = int(value, 16)


def children() -> set[str]:
    """Ours, the dead that nobody has collected among them."""
    return set(pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def identity(fd: int) -> str:
    facts = os.fstat(fd)
    return f"{facts.st_dev}:{facts.st_ino}"


@pytest.fixture(scope="session")
def reporter(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    compiler = shutil.which("musl-gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (musl-gcc or cc)")
    target = tmp_path_factory.mktemp("report") / "report"
    subprocess.run([compiler, "-static", "-O1", HERE / "report.c", "-o", target], check=True)
    return target.read_bytes()


@pytest.fixture
def exe_fd(reporter: bytes) -> Iterator[int]:
    fd = syscalls.memfd_sealed(b"report", reporter, exec=True)
    yield fd
    os.close(fd)


@pytest.fixture
def files(tmp_path: pathlib.Path) -> Iterator[Callable[[], int]]:
    """Makes open descriptors of distinct files."""
    opened: list[int] = []

    def make() -> int:
        fd = os.open(tmp_path / f"file{len(opened)}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        opened.append(fd)
        return fd

    yield make
    for fd in opened:
        os.close(fd)


def read_report(pid: int, pidfd: int, reader: int) -> Report:
    with os.fdopen(reader) as pipe:
        report = Report(pipe.read())
    assert syscalls.waitid_pidfd(pidfd) == (syscalls.CLD_EXITED, 0)
    os.close(pidfd)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    return report


def spawn(exe_fd: int, objects: list[int], *, base: int) -> Report:
    """Spawn the reporter with a pipe as first object."""
    reader, writer = os.pipe()
    fds = [writer, *objects]
    expected = [identity(fd) for fd in fds]
    pid, pidfd = syscalls.spawn(exe_fd, b"%d" % base, fds, base=base)
    os.close(writer)
    report = read_report(pid, pidfd, reader)
    assert [report.fds[base + i][1] for i in range(len(fds))] == expected
    return report


def test_objects_arrive_in_order_and_nothing_else_does(
    exe_fd: int, files: Callable[[], int]
) -> None:
    """FD-1, FD-5: descriptors of the caller that are not handed over are closed, flag or not."""
    leak = files()
    os.set_inheritable(leak, True)
    report = spawn(exe_fd, [files(), files()], base=3)
    assert set(report.fds) == {0, 1, 2, 3, 4, 5}
    assert identity(leak) not in [entry[1] for entry in report.fds.values()]


def test_objects_stay_open_over_the_exec_of_the_init(exe_fd: int, files: Callable[[], int]) -> None:
    report = spawn(exe_fd, [files()], base=3)
    assert [report.fds[fd][0] for fd in (3, 4)] == [0, 0]


@pytest.mark.parametrize("rotation", range(6))
def test_numbers_that_collide_are_shuffled_without_loss(
    exe_fd: int, files: Callable[[], int], rotation: int
) -> None:
    """Sources inside the target range, in every rotation, the executable among them."""
    fds = [files() for _ in range(6)]
    lowest = min(fds)
    objects = fds[rotation:] + fds[:rotation]
    spawn(exe_fd, objects, base=lowest)
    spawn(exe_fd, [*objects, exe_fd, objects[0]], base=max(3, exe_fd - 3))


def test_an_object_that_already_has_its_number_loses_only_its_flag(
    exe_fd: int, files: Callable[[], int]
) -> None:
    fd = files()
    report = spawn(exe_fd, [fd], base=fd - 1)
    assert report.fds[fd] == (0, identity(fd))


def test_preserved_descriptors_keep_their_numbers_and_those_of_ours_end(
    exe_fd: int, files: Callable[[], int]
) -> None:
    preserved, ours = fcntl.fcntl(files(), fcntl.F_DUPFD, 40), files()
    try:
        report = spawn(exe_fd, [files()], base=max(preserved, ours) + 10)
        assert report.fds[preserved][1] == identity(preserved)
        assert identity(ours) not in [entry[1] for entry in report.fds.values()]
    finally:
        os.close(preserved)


def test_signals_are_at_their_defaults_in_the_child_and_untouched_in_the_caller(
    exe_fd: int,
) -> None:
    """CR-8: Python ignores SIGPIPE, a caller may ignore or block others."""
    hang_up = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    real_time = signal.signal(signal.SIGRTMAX, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        report = spawn(exe_fd, [], base=3)
        assert report.signals == {"SigBlk": 0, "SigIgn": 0, "SigCgt": 0}
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask | {signal.SIGUSR1}
    finally:
        signal.signal(signal.SIGHUP, hang_up)
        signal.signal(signal.SIGRTMAX, real_time)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def test_the_environment_of_the_caller_stays_with_the_caller(
    exe_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EX-4: the init is started with one argument and no environment."""
    monkeypatch.setenv("CANARY", "value")
    report = spawn(exe_fd, [], base=3)
    assert (report.argc, report.env) == (1, [])


def test_a_failed_exec_is_an_error_of_the_caller_and_leaves_no_child() -> None:
    text = syscalls.memfd_sealed(b"text", b"no program", exec=True)
    before, born_before = machine.descriptors(), children()
    try:
        with pytest.raises(OSError, match="execve") as caught:
            syscalls.spawn(text, b"x", [text], base=10)
        assert caught.value.errno == errno.ENOEXEC
        assert children() <= born_before
        assert machine.descriptors() <= before
    finally:
        os.close(text)


def test_a_closed_object_is_named_as_a_descriptor_problem(exe_fd: int) -> None:
    with pytest.raises(OSError, match="descriptors") as caught:
        syscalls.spawn(exe_fd, b"x", [4095], base=10)
    assert caught.value.errno == errno.EBADF


def test_a_base_among_stdio_is_refused(exe_fd: int) -> None:
    with pytest.raises(OSError, match="descriptors") as caught:
        syscalls.spawn(exe_fd, b"x", [exe_fd], base=2)
    assert caught.value.errno == errno.EINVAL


def test_spawning_often_leaks_nothing(exe_fd: int) -> None:
    before = machine.descriptors()
    for _ in range(50):
        spawn(exe_fd, [], base=3)
    assert machine.descriptors() <= before


@pytest.fixture
def program(reporter: bytes, tmp_path: pathlib.Path) -> bytes:
    path = tmp_path / "report"
    path.write_bytes(reporter)
    path.chmod(0o755)
    return bytes(path)


def run(program: bytes, **options: int | bytes | None) -> Report:
    reader, writer = os.pipe()
    options.setdefault("stdout_fd", writer)
    argv0 = b"%d" % next(
        i for i, v in enumerate(("stdin_fd", "stdout_fd", "stderr_fd")) if options.get(v) == writer
    )
    pid, pidfd = syscalls.run_program(program, [argv0], [b"A=1", b"B="], **options)  # type: ignore[arg-type]  # a mixed dictionary
    os.close(writer)
    return read_report(pid, pidfd, reader)


def test_a_program_gets_exactly_its_environment_and_three_descriptors(
    program: bytes, files: Callable[[], int]
) -> None:
    """HK-1, HK-4: the environment is what the hook says, no descriptor leaks."""
    os.set_inheritable(files(), True)
    null = os.open("/dev/null", os.O_RDWR)
    try:
        report = run(program, stdin_fd=null, stderr_fd=null)
    finally:
        os.close(null)
    assert report.env == ["A=1", "B="]
    assert set(report.fds) == {0, 1, 2}
    assert report.signals == {"SigBlk": 0, "SigIgn": 0, "SigCgt": 0}


def test_standard_descriptors_may_be_exchanged(program: bytes) -> None:
    """A caller whose own 0-2 are the sources, crosswise."""
    reader, writer = os.pipe()
    expected = [identity(2), identity(writer), identity(0)]
    pid, pidfd = syscalls.run_program(
        program, [b"1"], [], stdin_fd=2, stdout_fd=writer, stderr_fd=0
    )
    os.close(writer)
    report = read_report(pid, pidfd, reader)
    assert [report.fds[fd][1] for fd in range(3)] == expected


def test_a_missing_program_and_a_missing_directory_are_told_apart(program: bytes) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        syscalls.run_program(b"/no/such", [b"x"], [])
    assert caught.value.filename == "/no/such"
    with pytest.raises(FileNotFoundError) as caught:
        syscalls.run_program(program, [b"x"], [], cwd=b"/no/such")
    assert caught.value.filename == "chdir"


def test_a_new_session_is_made_when_asked() -> None:
    pid, pidfd = syscalls.run_program(b"/bin/sleep", [b"sleep", b"60"], [], setsid=True)
    assert os.getsid(pid) == pid
    syscalls.pidfd_send_signal(pidfd, signal.SIGKILL)
    code, status = syscalls.waitid_pidfd(pidfd) or (0, 0)
    assert (code != syscalls.CLD_EXITED, status) == (True, signal.SIGKILL)
    os.close(pidfd)


def test_more_descriptors_follow_the_standard_ones(
    program: bytes, files: Callable[[], int]
) -> None:
    """Also where a source has the number of another target."""
    reader, writer = os.pipe()
    first, second = files(), files()
    os.dup2(second, 3 if first != 3 else 4)
    expected = [identity(first), identity(second)]
    pid, pidfd = syscalls.run_program(
        program, [b"1"], [], stdout_fd=writer, more_fds=[first, second]
    )
    os.close(writer)
    report = read_report(pid, pidfd, reader)
    assert set(report.fds) == {0, 1, 2, 3, 4}
    assert [report.fds[fd][1] for fd in (3, 4)] == expected


def test_a_program_can_be_kept_from_the_keys_of_the_session() -> None:
    def session_keyring(*, new_keyring: bool = False) -> str:
        read, write = os.pipe()
        script = "import ctypes; print(ctypes.CDLL(None).syscall(250, 0, -3, 0))"
        _pid, pidfd = syscalls.run_program(
            b"/usr/bin/python3",
            [b"python3", b"-c", script.encode()],
            [],
            stdout_fd=write,
            new_keyring=new_keyring,
        )
        os.close(write)
        assert syscalls.waitid_pidfd(pidfd) == (syscalls.CLD_EXITED, 0)
        os.close(pidfd)
        text = os.read(read, 100).decode()
        os.close(read)
        return text

    assert session_keyring() == session_keyring()
    assert session_keyring(new_keyring=True) != session_keyring()


def test_an_unfinished_child_is_none_with_nohang() -> None:
    _, pidfd = syscalls.run_program(b"/bin/sleep", [b"sleep", b"60"], [])
    assert syscalls.waitid_pidfd(pidfd, nohang=True) is None
    syscalls.pidfd_send_signal(pidfd, signal.SIGKILL)
    assert syscalls.waitid_pidfd(pidfd) is not None
    os.close(pidfd)
