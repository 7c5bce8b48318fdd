# SPDX-License-Identifier: Apache-2.0
"""From the working directory to the exec: look-ups, HOME, hooks, the gate."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyrunc.init import ops
from tests.init.harness import (
    AWAIT,
    BUSYBOX,
    ERROR,
    EXEC,
    HOST,
    MESSAGE,
    Failed,
    Init,
    Message,
    enter,
    execute,
    failure,
    output,
    shell,
    stop,
)
from tests.support.wait import readable

pytestmark = pytest.mark.root


def program(path: Path, text: str = "#!/bin/sh\necho ran $0\n", mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def find(name: str, search: str = "/bin") -> ops.Op:
    return ops.FindExecutable(name=name, search=search)


def run(argv: list[str], env: list[str], **more: int) -> ops.Op:
    values = {"home": ops.NO_INDEX, "listen": ops.NO_INDEX, "preserved": 0} | more
    return ops.Execute(
        argv=argv,
        env=env,
        home=values["home"],
        listen=values["listen"],
        preserved=values["preserved"],
    )


class Gate:
    """The two fifos of a created container."""

    def __init__(self, directory: Path) -> None:
        for name in ("gate", "report"):
            os.mkfifo(directory / name)
        self.gate = os.open(directory / "gate", os.O_RDWR | os.O_CLOEXEC)
        self.report = os.open(directory / "report", os.O_RDWR | os.O_CLOEXEC)
        self.reader = os.open(directory / "report", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def close(self) -> None:
        for fd in (self.gate, self.report, self.reader):
            os.close(fd)

    def read(self) -> Message | None:
        assert readable(self.reader, 10)
        data = os.read(self.reader, MESSAGE.size)
        return Message(data, []) if data else None


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


USER = [
    ops.SetIds(uid=1000, gid=1000),
    ops.SetCapabilities(effective=0, permitted=0, inheritable=0, ambient=0),
]


def test_a_program_is_found_along_the_path(rootfs: Path) -> None:
    program(rootfs / "one/tool", mode=0o644)
    (rootfs / "two/tool").mkdir(parents=True)
    program(rootfs / "three/tool")
    plan = [*enter(rootfs), find("tool", "/absent:/one::/two:/three:/bin"), run(["x"], [])]
    assert output(plan) == "ran /three/tool\n"


def test_an_empty_entry_of_the_path_is_the_working_directory(rootfs: Path) -> None:
    program(rootfs / "here/tool")
    plan = [
        *enter(rootfs),
        ops.ChangeDirectory(path="/here", create=0, retry_later=0),
        find("tool", ":/bin"),
        run(["x"], []),
    ]
    assert output(plan) == "ran ./tool\n"


def test_the_program_gets_argv_and_env_as_they_are(rootfs: Path) -> None:
    argv = ["odd name", "", "two\nlines", "\udcff", "x" * 100_000]
    script = program(
        rootfs / "show",
        '#!/bin/sh\nfor a in "$@"; do echo "${#a}"; done\nenv',
    )
    del script
    env = ["PATH=/bin", "A=b=c", "EMPTY=", "odd=\udcff"]
    text = output([*enter(rootfs), find("/show"), run(argv, env)])
    lines = text.splitlines()
    assert lines[:4] == ["0", "9", "1", "100000"]
    assert {"A=b=c", "EMPTY="} <= set(lines)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("absent", ("path", "ENOENT")),
        ("", ("path", "ENOENT")),
        ("/absent", ("stat", "ENOENT")),
        ("/etc", ("directory", "EISDIR")),
        ("/plain", ("permission", "EACCES")),
        ("/pipe", ("permission", "EACCES")),
        ("/plain/x", ("stat", "ENOTDIR")),
        ("/loop", ("stat", "ELOOP")),
        ("./bin/sh/", ("stat", "ENOTDIR")),
    ],
)
def test_a_program_that_cannot_be_run(name: str, expected: tuple[str, str], rootfs: Path) -> None:
    program(rootfs / "plain", mode=0o644)
    os.mkfifo(rootfs / "pipe", 0o777)
    (rootfs / "loop").symlink_to("loop")
    found = failure([*enter(rootfs), find(name), run(["x"], [])])
    assert (found.op, found.step, found.errno) == ("find_executable", *expected)


def test_a_directory_on_the_path_that_may_not_be_searched_is_named(rootfs: Path) -> None:
    program(rootfs / "closed/bin/tool")
    (rootfs / "closed").chmod(0o700)
    found = failure([*enter(rootfs), *USER, find("tool", "/bin:/closed/bin"), run(["x"], [])])
    assert (found.short, found.detail) == (("find_executable", "path", "ENOENT"), "/closed")
    found = failure([*enter(rootfs), *USER, find("/closed/bin/tool"), run(["x"], [])])
    assert (found.short, found.detail) == (("find_executable", "stat", "EACCES"), "/closed")


def test_a_program_is_judged_with_the_rights_of_the_user(rootfs: Path) -> None:
    program(rootfs / "private", mode=0o700)
    found = failure([*enter(rootfs), *USER, find("/private"), run(["x"], [])])
    assert found.short == ("find_executable", "permission", "EACCES")
    assert found.detail == "/private"
    os.chown(rootfs / "private", 1000, 1000)
    with Init([*enter(rootfs), *USER, find("/private"), stop()]) as init:
        init.pause()


def test_a_program_on_a_mount_without_exec(rootfs: Path) -> None:
    plan = [
        *enter(rootfs)[:-1],
        ops.CloneTree(
            slot=50, path=str(rootfs / "bin"), recursive=0, nofollow=0, type=0, rdev=0, ask=0
        ),
        ops.SetAttributes(slot=50, set=8, clear=0, recursive=0, keep_locked=0, explicit=0),
        enter(rootfs)[-1],
        ops.Attach(slot=50, path="/tmp", flags=0),
        find("/tmp/sh"),
        run(["x"], []),
    ]
    assert failure(plan).short == ("find_executable", "permission", "EACCES")


def test_an_exec_that_fails_is_reported_after_exec(rootfs: Path) -> None:
    program(rootfs / "strange", "\x7fELF what?")
    program(rootfs / "lonely", "#!/absent\n")
    for name, expected in (("/strange", "ENOEXEC"), ("/lonely", "ENOENT")):
        with Init(plan := [*enter(rootfs), find(name), run(["x"], [])]) as init:
            message = init.receive()
            assert message is not None
            assert message.type == EXEC
            message = init.receive()
            assert message is not None
            assert message.type == ERROR
            found = Failed(plan, message)
            assert found.short == ("execute", "execve", expected)
            assert found.detail.splitlines()[0] == name  # then what kind of file it is
            assert init.wait() == 255


def test_execute_needs_a_program_that_was_found(rootfs: Path) -> None:
    assert failure([*enter(rootfs), run(["x"], [])]).short == ("execute", "close", "ENOENT")


@contextmanager
def preserved() -> Iterator[None]:
    """Descriptors 3 and 4 are pipes that an exec keeps."""
    pipe = os.pipe()
    saved = {}
    for number, fd in zip((3, 4), pipe, strict=True):
        try:
            saved[number] = os.dup(number)
        except OSError:
            saved[number] = -1
        if fd == number:
            os.set_inheritable(fd, True)
        else:
            os.dup2(fd, number, inheritable=True)
    try:
        yield
    finally:
        for number, fd in saved.items():
            if fd >= 0:
                os.dup2(fd, number, inheritable=False)
                os.close(fd)
            else:
                os.close(number)
        for fd in set(pipe) - {3, 4}:
            os.close(fd)


def with_proc(rootfs: Path) -> list[ops.Op]:
    return [
        *enter(rootfs)[:2],
        ops.NewMount(slot=50, fstype="proc", source="proc", options=[], attributes=0),
        *enter(rootfs)[2:],
        ops.Attach(slot=50, path="/proc", flags=0),
    ]


def test_preserved_descriptors_keep_their_numbers(rootfs: Path) -> None:
    """FD-4 FD-5: exactly those."""
    show = run(["sh", "-c", "echo /proc/self/fd/*"], [], preserved=2)
    with preserved():
        text = output([*with_proc(rootfs), find("/bin/sh"), show], base=5)
    assert text.split() == [f"/proc/self/fd/{n}" for n in range(6)]  # 5: the shell itself


def test_preserved_descriptors_are_not_for_hooks(rootfs: Path) -> None:
    """HK-4."""
    op = script("echo /proc/$$/fd/* >/fds")
    with preserved(), Init([*with_proc(rootfs), op, stop()], base=5) as init:
        init.pause()
    assert "/proc/" in (rootfs / "fds").read_text()
    assert not (rootfs / "fds").read_text().rstrip().endswith("/4")
    assert "/fd/4 " not in (rootfs / "fds").read_text()


def test_a_program_behind_a_descriptor_of_the_host_is_gone(rootfs: Path) -> None:
    """FD-5: closed for good before the exec, not only by it."""
    plan = [*with_proc(rootfs), find("/proc/self/fd/6/busybox"), run(["true"], [])]
    directory = os.open(BUSYBOX.parent, os.O_PATH)
    with Init(plan, objects=[directory]) as init:
        message = init.receive()
        assert message is not None
        assert message.type == EXEC
        message = init.receive()
        assert message is not None
        found = Failed(plan, message)
    os.close(directory)
    assert found.short == ("execute", "execve", "ENOENT")


@pytest.mark.parametrize("count", [1, 0xFFFFFFFD, 0xFFFFFFFF])
def test_more_preserved_descriptors_than_there_are_is_an_error(count: int, rootfs: Path) -> None:
    found = failure([*enter(rootfs), find("/bin/sh"), run(["x"], [], preserved=count)])
    assert found.short == ("execute", "close", "EINVAL")
    plan = [
        ops.CloseDescriptors(preserved=count, gate=0, report=0, out=0, err=0, program=0),
        stop(),
    ]
    assert failure(plan).short == ("close_descriptors", "close", "EINVAL")


def test_descriptors_are_closed_before_a_filter(rootfs: Path, gate: Gate) -> None:
    """FD-5: all but the channels that are still needed."""
    other = os.open("/", os.O_PATH)
    plan = [
        *enter(rootfs),
        ops.CloseDescriptors(preserved=0, gate=1, report=2, out=0, err=0, program=0),
        stop(),
        find("/bin/true"),
        ops.WaitAtGate(gate=1, report=2),
        run(["true"], []),
    ]
    with Init(plan, objects=[gate.gate, gate.report, other]) as init:
        init.pause()
        assert sorted(map(int, os.listdir(f"/proc/{init.pid}/fd"))) == [0, 1, 2, 3, 6, 7]
        init.go()
        assert init.receive() is None
        os.write(gate.gate, b"0")
        message = gate.read()
        assert message is not None
        assert message.type == EXEC
        assert init.wait() == 0
    os.close(other)
    gate.close()


def test_home_and_listen_pid_are_filled_in(rootfs: Path) -> None:
    (rootfs / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n"
    )
    plan = [
        *enter(rootfs),
        ops.FindHome(uid=1000),
        find("/bin/sh"),
        run(
            ["sh", "-c", 'echo "$HOME $((LISTEN_PID == $$))"'],
            ["HOME=", "X=y", "LISTEN_PID="],
            home=0,
            listen=2,
        ),
    ]
    assert output(plan) == "/home/user 1\n"
    for more in ({"home": 3}, {"listen": 3}):
        found = failure([*enter(rootfs), find("/bin/sh"), run(["x"], ["A=", "B=", "C="], **more)])
        assert found.short == ("execute", "close", "EINVAL")


HOMES = {
    "user:x:1000:1000::/home/user:/bin/sh": "/home/user",
    "# comment\n\n:\nbad\nuser:x:1000:1000::/h:": "/h",
    "user:x:1000:1000::/first:\nuser2:x:1000:1000::/second:": "/first",
    "1000:x:0:0::/byname:/bin/sh": "/",
    "user:x:01000:1000::/octal:": "/octal",
    "user:x:+1000:1000::/plus:": "/",
    "user:x: 1000:1000::/blank:": "/",
    "user:x:4294968296:1000::/wrapped:": "/",
    "user:x:1000:1000::relative:": "/",
    "user:x:1000:1000:::": "/",
    "user:x:1000:1000::/no-end": "/",
    "user:x:1000:1000::/nul\0x:": "/",
    "x" * 5000 + "\nuser:x:1000:1000::/after-long:": "/after-long",
    "y" * 5000 + ":x:1000:1000::/in-long:": "/",
    "user:x:1000:1000::/" + "h" * 4090 + ":": "/",
    "": "/",
}


@pytest.mark.parametrize("number", range(len(HOMES)))
def test_home_is_read_from_passwd_or_is_the_root(number: int, rootfs: Path) -> None:
    """CR-3."""
    text, home = list(HOMES.items())[number]
    (rootfs / "etc/passwd").write_bytes(text.encode())
    assert home_of(rootfs) == home


def home_of(rootfs: Path) -> str:
    plan = [
        *enter(rootfs),
        ops.FindHome(uid=1000),
        find("/bin/sh"),
        run(["sh", "-c", "echo $HOME"], ["HOME=unset"], home=0),
    ]
    return output(plan).rstrip("\n")


@pytest.mark.parametrize(
    "kind", ["absent", "pipe", "directory", "loop", "device", "huge", "socket", "dangling"]
)
def test_an_odd_passwd_costs_nothing(kind: str, rootfs: Path) -> None:
    """CR-3 RS-1: bounded, never blocking, only regular files."""
    path = rootfs / "etc/passwd"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to("passwd")
    elif kind == "dangling":
        path.symlink_to("/none")
    elif kind == "device":
        os.mknod(path, 0o20666, os.makedev(1, 5))
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(1 << 30)
            file.seek(1 << 30)
            file.write(b"\nuser:x:1000:1000::/far:\n")
    elif kind == "socket":
        os.mknod(path, 0o140666)
    assert home_of(rootfs) == "/"


def test_passwd_behind_a_link_inside_of_the_root(rootfs: Path, canary: Path) -> None:
    (rootfs / "etc/passwd").symlink_to("/usr/etc/passwd")
    program(rootfs / "usr/etc/passwd", "user:x:1000:1000::/linked:\n")
    assert home_of(rootfs) == "/linked"


def change(path: str, create: int = 0, retry: int = 0) -> ops.Op:
    return ops.ChangeDirectory(path=path, create=create, retry_later=retry)


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (change("/absent"), ("open", "ENOENT")),
        (change("/bin/busybox"), ("open", "ENOTDIR")),
        (change("/bin/busybox", create=1), ("open", "ENOTDIR")),
        (change("/absent", retry=1), ("open", "ENOENT")),
    ],
)
def test_a_working_directory_that_is_none(
    op: ops.Op, expected: tuple[str, str], rootfs: Path
) -> None:
    found = failure([*enter(rootfs), op, stop()])
    assert (found.op, found.step, found.errno) == ("change_directory", *expected)


def test_a_working_directory_is_made_and_entered(rootfs: Path) -> None:
    """FD-7."""
    plan = [*enter(rootfs), change("/a/b", create=1), *shell("pwd")]
    assert output(plan) == "/a/b\n"
    assert (rootfs / "a/b").stat().st_mode == 0o40755


def test_a_working_directory_that_only_the_user_may_enter(rootfs: Path) -> None:
    """FD-7: tried before and after the change of ids, and only a refusal is left to later."""
    (rootfs / "home").mkdir(mode=0o700)
    os.chown(rootfs / "home", 1000, 1000)
    nobody = ops.SetCapabilities(
        effective=1 << 6 | 1 << 7, permitted=1 << 6 | 1 << 7, inheritable=0, ambient=0
    )
    plan = [*enter(rootfs), nobody, change("/home", retry=1), *USER, change("/home"), stop()]
    with Init(plan) as init:
        init.pause()
        assert os.path.samefile(f"/proc/{init.pid}/cwd", rootfs / "home")
    found = failure([*enter(rootfs), nobody, change("/home"), stop()])
    assert (found.op, found.step, found.errno) == ("change_directory", "chdir", "EACCES")


def test_a_working_directory_that_was_entered_is_not_tried_again(rootfs: Path) -> None:
    """As root; the user need not have the right."""
    (rootfs / "home").mkdir(mode=0o700)
    plan = [*enter(rootfs), change("/home", retry=1), *USER, change("/home"), stop()]
    with Init(plan) as init:
        init.pause()
        assert os.path.samefile(f"/proc/{init.pid}/cwd", rootfs / "home")


def hook(path: str = "/bin/sh", *argv: str, **more: object) -> ops.Op:
    values: dict[str, object] = {
        "env": [],
        "timeout_ms": 0,
        "head": "",
        "tail": "",
        "cwd": "",
        "directory": 0,
    }
    values |= {"out": 0, "err": 0, "home": ops.NO_INDEX, "filter_flags": 0, "filter": b""} | more
    return ops.RunHook(path=path, argv=argv or ("sh",), **values)  # type: ignore[arg-type]


def script(text: str, **more: object) -> ops.Op:
    return hook("/bin/sh", "sh", "-c", text, **more)


def test_a_hook_gets_its_input_environment_and_directory(rootfs: Path) -> None:
    """HK-1 HK-2 HK-4."""
    record = "cat >/record; cat /proc/$$/environ >/environ; pwd >>/record; echo /proc/$$/fd/* >/fds"
    op = script(record, env=["A=b"], head='{"pid":', tail=',"x":"é"}\n', cwd="/etc")
    plan = [
        *enter(rootfs)[:2],
        ops.NewMount(slot=50, fstype="proc", source="proc", options=[], attributes=0),
        *enter(rootfs)[2:],
        ops.Attach(slot=50, path="/proc", flags=0),
        op,
        stop(),
    ]
    with Init(plan) as init:
        init.pause()
        assert init.hooks == [plan.index(op)]
        lines = (rootfs / "record").read_text().splitlines()
        assert lines[0] == f'{{"pid":{init.pid},"x":"é"}}'
        assert lines[1] == "/etc"
        assert (rootfs / "environ").read_bytes() == b"A=b\0"
        fds = {name.rsplit("/", 1)[1] for name in (rootfs / "fds").read_text().split()}
        assert {"0", "1", "2"} <= fds <= {"0", "1", "2", "3", "10"}  # 3, 10: the shell's own


def test_a_hook_may_ignore_a_large_input(rootfs: Path) -> None:
    plan = [*enter(rootfs), script("true", head="x" * 300_000), stop()]
    with Init(plan) as init:
        init.pause()


def test_a_hook_reads_a_large_input_to_its_end(rootfs: Path) -> None:
    plan = [*enter(rootfs), script("cat >/copy", head="h" * 300_000, tail="t" * 300_000), stop()]
    with Init(plan) as init:
        init.pause()
        text = (rootfs / "copy").read_text()
        assert text == "h" * 300_000 + str(init.pid) + "t" * 300_000


def test_a_hook_that_fails_is_reported_with_the_end_of_its_output(rootfs: Path) -> None:
    """RS-1: bounded, however much it writes."""
    (rootfs / "bin/seq").symlink_to("busybox")
    found = failure([*enter(rootfs), script("seq 1 100000; echo the end >&2; exit 7"), stop()])
    assert (found.op, found.step, found.value) == ("run_hook", "exit", 7 << 8)
    assert found.detail.endswith("99999\n100000\nthe end\n")
    assert len(found.detail) == 240


def test_a_hook_that_a_signal_ends(rootfs: Path) -> None:
    found = failure([*enter(rootfs), script("kill -9 $$"), stop()])
    assert (found.step, found.value) == ("exit", signal.SIGKILL)


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (hook("/absent"), ("spawn", "ENOENT")),
        (hook("/etc"), ("spawn", "EACCES")),
        (script("true", cwd="/absent"), ("spawn", "ENOENT")),
    ],
)
def test_a_hook_that_cannot_be_started(op: ops.Op, expected: tuple[str, str], rootfs: Path) -> None:
    found = failure([*enter(rootfs), op, stop()])
    assert (found.step, found.errno) == expected


def test_a_hook_past_its_time_is_killed_with_its_session(rootfs: Path) -> None:
    """HK-3."""
    marker = rootfs / "alive"
    (rootfs / "dev/null").write_text("")  # which the shell opens for what runs behind
    op = script("echo started; (sleep 2; echo x >/alive) & sleep 60", timeout_ms=300)
    found = failure([*enter(rootfs), op, stop()])
    assert found.short == ("run_hook", "timeout", "ETIMEDOUT")
    assert found.detail == "started\n"
    time.sleep(2.5)
    assert not marker.exists()


def test_a_hook_that_leaves_a_child_behind_does_not_hold_us_up(rootfs: Path) -> None:
    op = script("sleep 3 & echo done")
    with Init([*enter(rootfs), op, stop()]) as init:
        init.pause()
        time.sleep(3)  # the child must not outlive the test


def test_a_hook_before_the_pivot_sees_the_host(rootfs: Path, tmp_path: Path) -> None:
    op = script(f"echo ran >{tmp_path}/record")
    plan = [*enter(rootfs), ops.LeaveRoot(host=HOST), op, stop()]
    with Init(plan) as init:
        init.pause()
    assert (tmp_path / "record").read_text() == "ran\n"


def waiting(rootfs: Path, *after: ops.Op) -> list[ops.Op]:
    return [
        *enter(rootfs),
        ops.Await(name=ops.RENDEZVOUS_READY, slot=0, count=0),
        ops.WaitAtGate(gate=1, report=2),
        *after,
    ]


def test_the_gate_ends_the_create_and_begins_the_start(rootfs: Path, gate: Gate) -> None:
    with Init(waiting(rootfs, *shell("exit 3")), objects=[gate.gate, gate.report]) as init:
        assert init.pause().value == ops.RENDEZVOUS_READY
        init.go()
        assert init.receive() is None  # the socket is closed: create may end
        os.close(gate.report)
        gate.report = os.open("/dev/null", os.O_RDONLY)
        os.write(gate.gate, b"0")
        message = gate.read()
        assert message is not None
        assert message.type == EXEC
        assert gate.read() is None
        assert init.wait() == 3
    gate.close()


def test_what_fails_after_the_gate_is_reported_to_the_fifo(rootfs: Path, gate: Gate) -> None:
    plan = waiting(rootfs, find("/absent"))
    with Init(plan, objects=[gate.gate, gate.report]) as init:
        init.pause()
        init.go()
        assert init.receive() is None
        os.write(gate.gate, b"0")
        message = gate.read()
        assert message is not None
        assert Failed(plan, message).short == ("find_executable", "stat", "ENOENT")
        assert init.wait() == 255
    gate.close()


def test_a_created_container_outlives_its_creator(rootfs: Path, gate: Gate) -> None:
    """AR-5: until then the end of the parent is the end of the init; from then on it is not."""
    with Init(waiting(rootfs, *shell("true")), objects=[gate.gate, gate.report]) as init:
        init.pause()
        signal_field = Path(f"/proc/{init.pid}/status").read_text()
        assert "Threads:\t1" in signal_field
        init.go()
        assert init.receive() is None
        time.sleep(0.1)
        assert Path(f"/proc/{init.pid}/stat").read_text().split()[2] == "S"
        fds = sorted(map(int, os.listdir(f"/proc/{init.pid}/fd")))
        assert 3 not in fds
    gate.close()


def test_hidden_state_is_not_inherited(rootfs: Path) -> None:
    """CR-8: no parent-death signal, default dispositions, an empty mask."""
    plan = [
        *enter(rootfs)[:2],
        ops.NewMount(slot=50, fstype="proc", source="proc", options=[], attributes=0),
        *enter(rootfs)[2:],
        ops.Attach(slot=50, path="/proc", flags=0),
        *execute("/bin/cat", "/proc/self/status"),
    ]
    text = output(plan)
    found = dict(line.split(":", 1) for line in text.splitlines())
    for name in ("SigBlk", "SigIgn", "SigCgt"):
        assert int(found[name], 16) == 0, name


def test_messages_have_a_fixed_size() -> None:
    assert MESSAGE.size == 256
    assert AWAIT == 1
