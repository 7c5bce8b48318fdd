# SPDX-License-Identifier: Apache-2.0
"""Ops that make, join and populate namespaces and cgroups."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest

from pyrunc.host import syscalls
from pyrunc.init import ops
from tests.init.harness import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    FIRST,
    FORKED,
    HOST,
    MESSAGE,
    PROC,
    ROOT,
    Init,
    enter,
    execute,
    failure,
    output,
    shell,
    stop,
)
from tests.init.scenes import write_maps

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("clean_machine")]

KINDS = {
    "mnt": CLONE_NEWNS,
    "uts": CLONE_NEWUTS,
    "ipc": CLONE_NEWIPC,
    "net": CLONE_NEWNET,
    "cgroup": CLONE_NEWCGROUP,
    "user": CLONE_NEWUSER,
}


def namespace(pid: int | str, name: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{name}")


@pytest.mark.parametrize("name", KINDS)
def test_unshare_makes_a_namespace(name: str) -> None:
    with Init([ops.Unshare(flags=KINDS[name]), stop()]) as init:
        init.pause()
        assert namespace(init.pid, name) != namespace("self", name)


def test_unshare_of_something_else_is_an_error() -> None:
    assert failure([ops.Unshare(flags=0x1), stop()]).short == ("unshare", "unshare", "EINVAL")


def test_fork_is_pid_1_of_a_new_pid_namespace_and_our_child() -> None:
    with Init([ops.Unshare(flags=CLONE_NEWPID), ops.Fork(cgroup=0), stop()]) as init:
        init.pause()
        first, second = init.pids
        assert os.waitpid(first, 0) == (first, 0)
        init.pids = [second]
        status = Path(f"/proc/{second}/status").read_text()
        assert f"PPid:\t{os.getpid()}\n" in status
        assert f"NSpid:\t{second}\t1\n" in status


def test_the_new_pid_is_reported_before_the_new_task_says_anything() -> None:
    for _ in range(200):
        with Init([ops.Unshare(flags=CLONE_NEWPID), ops.Fork(cgroup=0), stop()]) as init:
            data, _fds = syscalls.recv_message(init.sync, MESSAGE.size)
            assert MESSAGE.unpack(data)[0] == FORKED
            init.pids.append(MESSAGE.unpack(data)[3])


def test_a_new_time_namespace_is_entered_by_the_fork() -> None:
    with Init([ops.Unshare(flags=CLONE_NEWTIME), ops.Fork(cgroup=0), stop()]) as init:
        init.pause()
        assert namespace(init.pid, "time") != namespace("self", "time")


def cgroup2() -> Path:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[fields.index("-") + 1] == "cgroup2":
            return Path(fields[4])
    pytest.skip("no cgroup2 hierarchy is mounted")


def test_fork_enters_a_cgroup2() -> None:
    """CG-4: never for a moment outside."""
    path = cgroup2() / f"pyrunc-test-{os.getpid()}"
    path.mkdir()
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with Init([ops.Fork(cgroup=1), stop()], objects=[fd]) as init:
            init.pause()
            assert (path / "cgroup.procs").read_text().split() == [str(init.pid)]
            assert len(os.listdir(f"/proc/{init.pid}/fd")) == 4  # the directory is closed
            os.kill(init.pid, signal.SIGKILL)
            init.wait()
    finally:
        os.close(fd)
        path.rmdir()


def test_fork_into_something_else_is_an_error() -> None:
    fd = os.open("/tmp", os.O_RDONLY)
    found = failure([ops.Fork(cgroup=1), stop()], objects=[fd])
    os.close(fd)
    assert found.short == ("fork", "clone", "EBADF")


def test_await_fills_slots_and_join_cgroup_writes_to_them() -> None:
    with tempfile.TemporaryFile() as first, tempfile.TemporaryFile() as second:
        plan = [
            ops.Await(name=ops.RENDEZVOUS_NAMESPACES, slot=FIRST, count=3),
            ops.JoinCgroup(slot=FIRST, count=3),
            stop(),
        ]
        with Init(plan) as init:
            assert init.pause().value == ops.RENDEZVOUS_NAMESPACES
            init.go(first.fileno(), second.fileno())
            init.pause()
            assert len(os.listdir(f"/proc/{init.pid}/fd")) == 4
        assert (first.read(), second.read()) == (b"", b"")  # the offset is shared
        first.seek(0)
        second.seek(0)
        assert (first.read(), second.read()) == (b"0", b"0")


def test_more_descriptors_than_asked_for_are_an_error() -> None:
    plan = [ops.Await(name=ops.RENDEZVOUS_MOUNTS, slot=FIRST, count=1), stop()]
    with Init(plan) as init:
        init.pause()
        init.go(0, 1)
        assert init.fail().short == ("await", "receive", "EMSGSIZE")


def test_a_slot_in_use_is_not_filled_again() -> None:
    plan = [ops.Await(name=ops.RENDEZVOUS_MOUNTS, slot=1, count=1), stop()]
    with Init(plan, objects=[0]) as init:
        init.pause()
        init.go(0)
        assert init.fail().short == ("await", "receive", "EBUSY")


def test_an_empty_slot_is_an_error() -> None:
    assert failure([ops.CloseSlot(slot=9), stop()]).short == ("close_slot", "close", "EBADF")
    found = failure([ops.CloseSlot(slot=1), ops.CloseSlot(slot=1), stop()], objects=[0])
    assert found.op == "close_slot"


def join(path: str, kind: int, declared: int | None = None, tolerate: int = 0) -> list[ops.Op]:
    return [
        ops.OpenNamespace(slot=FIRST, path=path, kind=declared or kind),
        ops.JoinNamespace(slot=FIRST, kind=kind, tolerate=tolerate),
        stop(),
    ]


@pytest.mark.parametrize("name", [name for name in KINDS if name != "user"])
def test_a_namespace_is_joined_by_its_path(name: str) -> None:
    with Init([ops.Unshare(flags=KINDS[name]), stop()]) as other:
        other.pause()
        with Init(join(f"/proc/{other.pid}/ns/{name}", KINDS[name])) as init:
            init.pause()
            assert namespace(init.pid, name) == namespace(other.pid, name)


@pytest.mark.parametrize(
    ("path", "step", "name"),
    [
        ("/proc/self/ns/uts", "verify", "EINVAL"),
        ("/etc/passwd", "verify", "EINVAL"),
        ("/proc/self/status", "verify", "EINVAL"),
        ("/", "verify", "EINVAL"),
        ("/absent", "open", "ENOENT"),
    ],
)
def test_a_path_that_is_no_namespace_of_the_kind_is_refused(
    path: str, step: str, name: str
) -> None:
    """JN-2."""
    found = failure(join(path, CLONE_NEWNET))
    assert found.short == ("open_namespace", step, name)


def test_a_pipe_instead_of_a_namespace_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert failure(join(str(tmp_path / "pipe"), CLONE_NEWNET)).step == "verify"


def test_a_tolerated_errno_of_a_join_is_no_error() -> None:
    import errno

    path, kind = "/proc/self/ns/user", CLONE_NEWUSER  # one's own cannot be joined
    assert failure(join(path, kind)).short == ("join_namespace", "setns", "EINVAL")
    with Init(join(path, kind, tolerate=errno.EINVAL)) as init:
        init.pause()
    assert failure(join(path, kind, tolerate=errno.EPERM)).errno == "EINVAL"


def test_all_namespaces_of_a_process_are_joined_at_once() -> None:
    flags = CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWNS
    with Init([ops.Unshare(flags=flags), stop()]) as other:
        other.pause()
        with Init([ops.JoinProcess(slot=1, flags=flags), stop()], objects=[other.pidfd]) as init:
            init.pause()
            for name in ("net", "uts", "mnt"):
                assert namespace(init.pid, name) == namespace(other.pid, name)


def test_a_dead_process_is_not_joined() -> None:
    """JN-6."""
    with Init([stop(), stop()]) as other:
        other.pause()
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        plan = [ops.JoinProcess(slot=1, flags=CLONE_NEWNET), stop()]
        assert failure(plan, objects=[other.pidfd]).short == ("join_process", "setns", "ESRCH")


def user_namespace(then: list[ops.Op]) -> list[ops.Op]:
    return [
        ops.Unshare(flags=CLONE_NEWUSER | CLONE_NEWNS),
        ops.Await(name=ops.RENDEZVOUS_NAMESPACES, slot=0, count=0),
        *then,
    ]


def test_become_takes_the_ids_that_the_maps_give() -> None:
    """JN-3."""
    plan = user_namespace([ops.Become(uid=0, gid=0, keep_groups=0, tolerate=0), stop()])
    with Init(plan) as init:
        init.pause()
        write_maps(init.pid)
        init.go()
        init.pause()
        status = Path(f"/proc/{init.pid}/status").read_text()
        assert "Uid:\t100000\t100000\t100000\t100000\n" in status
        assert "Gid:\t200000\t200000\t200000\t200000\n" in status
        assert "Groups:\t \n" in status


def test_become_stays_hidden() -> None:
    """JN-1: a change of ids must not make the init dumpable again."""
    plan = user_namespace(
        [ops.SetDumpable(value=0), ops.Become(uid=0, gid=0, keep_groups=0, tolerate=0), stop()]
    )
    with Init(plan) as init:
        init.pause()
        write_maps(init.pid)
        init.go()
        init.pause()
        assert os.stat(f"/proc/{init.pid}/mem").st_uid == 0


def test_become_where_setgroups_is_denied() -> None:
    """CR-5."""
    for keep, expected in ((0, ("become", "setgroups", "EPERM")), (1, None)):
        plan = user_namespace([ops.Become(uid=0, gid=0, keep_groups=keep, tolerate=0), stop()])
        with Init(plan) as init:
            init.pause()
            write_maps(init.pid, deny=True)
            init.go()
            if expected is None:
                init.pause()
            else:
                assert init.fail().short == expected


def test_become_without_a_map_is_an_error() -> None:
    plan = user_namespace([ops.Become(uid=0, gid=0, keep_groups=1, tolerate=0), stop()])
    assert failure(plan).short == ("become", "setgid", "EINVAL")


def test_raise_loopback(rootfs: Path) -> None:
    plan = [ops.Unshare(flags=CLONE_NEWNET), ops.RaiseLoopback()]
    (rootfs / "bin/ifconfig").symlink_to("busybox")
    text = output([*plan, *enter(rootfs), *execute("/bin/ifconfig", "lo")])
    assert "UP LOOPBACK RUNNING" in text
    assert "127.0.0.1" in text


def test_propagate_root_keeps_mounts_to_ourselves() -> None:
    """MT-5."""
    shared = 0x100000
    for flags, wanted, unwanted in ((shared, "shared:", "master:"), (0x40000, "", "shared:")):
        plan = [ops.Unshare(flags=CLONE_NEWNS), ops.PropagateRoot(flags=flags), stop()]
        with Init(plan) as init:
            init.pause()
            lines = Path(f"/proc/{init.pid}/mountinfo").read_text().splitlines()
            root = next(line for line in lines if line.split()[4] == "/")
            assert wanted in root
            assert unwanted not in root
    found = failure([ops.Unshare(flags=CLONE_NEWNS), ops.PropagateRoot(flags=0x140000), stop()])
    assert found.short == ("propagate_root", "mount", "EINVAL")


def test_enter_and_leave_root(rootfs: Path) -> None:
    with Init([*enter(rootfs), stop(), ops.LeaveRoot(host=HOST), stop()]) as init:
        init.pause()
        assert os.path.samefile(f"/proc/{init.pid}/root", rootfs)
        assert os.path.samefile(f"/proc/{init.pid}/cwd", rootfs)
        init.go()
        init.pause()
        assert os.path.samefile(f"/proc/{init.pid}/root", "/")
        assert os.path.samefile(f"/proc/{init.pid}/cwd", "/")


def test_attach_root_of_something_else_is_an_error(rootfs: Path) -> None:
    head = enter(rootfs)[:2]
    for path, name in ((rootfs / "absent", "ENOENT"), (rootfs / "bin/busybox", "ENOTDIR")):
        found = failure([*head, ops.AttachRoot(slot=ROOT, path=str(path), ask=0), stop()])
        assert found.short == ("attach_root", "open", name)


def test_pivot_leaves_nothing_of_the_host(rootfs: Path) -> None:
    """FD-6."""
    plan = [*enter(rootfs), ops.LeaveRoot(host=HOST), ops.Pivot(slot=ROOT), stop()]
    with Init(plan) as init:
        init.pause()
        lines = Path(f"/proc/{init.pid}/mountinfo").read_text().splitlines()
        assert [line.split()[4] for line in lines] == ["/"]
        descriptors = Path(f"/proc/{init.pid}/fd")
        inside = [entry for entry in descriptors.iterdir() if int(entry.name) > 3]
        assert len(inside) == 1  # where look-ups start
        assert inside[0].samefile(f"/proc/{init.pid}/root")


def test_pivot_inside_of_the_root_is_an_error(rootfs: Path) -> None:
    found = failure([*enter(rootfs), ops.Pivot(slot=ROOT), stop()])
    assert (found.op, found.step) == ("pivot", "pivot")


def test_move_root_hides_the_procfs_of_the_host(rootfs: Path) -> None:
    plan = [
        *enter(rootfs),
        ops.NewMount(slot=FIRST, fstype="proc", source="proc", options=[], attributes=0),
        ops.Attach(slot=FIRST, path="/proc", flags=0),
        ops.LeaveRoot(host=HOST),
        ops.MoveRoot(slot=ROOT, path=str(rootfs)),
        stop(),
    ]
    with Init(plan) as init:
        init.pause()
        assert os.path.samefile(f"/proc/{init.pid}/root/bin/busybox", rootfs / "bin/busybox")
        lines = Path(f"/proc/{init.pid}/mountinfo").read_text().splitlines()
        assert [line.split()[4] for line in lines if " - proc " in line] == ["/proc"]


def test_change_root_without_a_mount_namespace(rootfs: Path) -> None:
    plan = [ops.ChangeRoot(path=str(rootfs)), *shell("ls /")]
    assert output(plan).split() == ["bin", "dev", "etc", "proc", "sys", "tmp"]
    found = failure([ops.ChangeRoot(path="/absent"), stop()])
    assert found.short == ("change_root", "open", "ENOENT")


@pytest.mark.parametrize("kind", [ops.PROC_PIDS, ops.PROC_FULL, ops.PROC_HOST])
def test_write_proc_through_a_handle_of_its_own(kind: int) -> None:
    """PS-1 PS-4."""
    plan = [
        ops.OpenProc(slot=PROC, kind=kind),
        ops.WriteProc(
            proc=PROC, path="thread-self/oom_score_adj", value="77", readback="77", tolerate=0
        ),
        stop(),
    ]
    with Init(plan) as init:
        init.pause()
        assert Path(f"/proc/{init.pid}/oom_score_adj").read_text() == "77\n"


def write(path: str, value: str = "1", readback: str = "", tolerate: int = 0) -> ops.Op:
    return ops.WriteProc(proc=PROC, path=path, value=value, readback=readback, tolerate=tolerate)


def test_sysctls_are_those_of_the_new_namespaces() -> None:
    plan = [
        ops.Unshare(flags=CLONE_NEWNET | CLONE_NEWIPC),
        ops.OpenProc(slot=PROC, kind=ops.PROC_FULL),
        write("sys/net/ipv4/ip_forward", "1", "1"),
        write("sys/kernel/msgmax", "4096", "4096"),
        stop(),
    ]
    before = Path("/proc/sys/kernel/msgmax").read_text()
    with Init(plan) as init:
        init.pause()
    assert Path("/proc/sys/kernel/msgmax").read_text() == before


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (write("thread-self/oom_score_adj", "5", "6"), ("readback", "EIO")),
        (write("thread-self/oom_score_adj", "50", "5"), ("readback", "EIO")),
        (write("thread-self/oom_score_adj", "9999"), ("write", "EINVAL")),
        (write("thread-self/absent"), ("open", "ENOENT")),
        (write("../etc/passwd"), ("open", "EXDEV")),
        (write("/etc/passwd"), ("open", "EXDEV")),
        (write("self/root/etc/absent"), ("open", "ELOOP")),
        (write("self/fd/1"), ("open", "ELOOP")),
        (write("sys/kernel/hostname/x"), ("open", "ENOENT")),  # subset=pid shows no sys
    ],
    ids=str,
)
def test_write_proc_goes_nowhere_else(op: ops.Op, expected: tuple[str, str]) -> None:
    """PS-1 PS-2."""
    found = failure([ops.OpenProc(slot=PROC, kind=ops.PROC_PIDS), op, stop()])
    assert (found.step, found.errno) == expected


@pytest.mark.parametrize(
    ("text", "label", "good"),
    [
        ("label", "label", True),
        ("label (enforce)", "label", True),
        ("unconfined", "unconfined", True),
        ("unconfined_foo", "unconfined", False),
        ("unconfined2", "unconfined", False),
        ("unconfine", "unconfined", False),
        ("label_(enforce)", "label", False),
        ("label(enforce)", "label", False),
        ("label enforce", "label", False),
        ("label (enforce", "label", False),
        ("label ()", "label", False),
        ("alabel", "label", False),
        ("Label", "label", False),
    ],
)
def test_a_label_is_compared_as_a_whole(text: str, label: str, good: bool) -> None:
    """PS-5, R034: neither a longer name nor a short answer is taken for it. The name of a task
    reads back what was written, as a label does.
    """
    plan = [
        ops.OpenProc(slot=PROC, kind=ops.PROC_PIDS),
        write("thread-self/comm", text, label),
        stop(),
    ]
    if good:
        with Init(plan) as init:
            init.pause()
    else:
        assert failure(plan).short == ("write_proc", "readback", "EIO")


def test_a_tolerated_errno_of_a_write_is_no_error() -> None:
    import errno

    plan = [
        ops.OpenProc(slot=PROC, kind=ops.PROC_PIDS),
        write("thread-self/oom_score_adj", "9999", tolerate=errno.EINVAL),
        write("thread-self/absent", tolerate=errno.ENOENT),
        stop(),
    ]
    with Init(plan) as init:
        init.pause()


def test_a_directory_that_is_no_procfs_is_refused(rootfs: Path) -> None:
    """PS-1 PS-3: what the image has at /proc is never written to."""
    target = rootfs / "proc/thread-self"
    target.mkdir()
    (target / "oom_score_adj").write_text("fake")
    found = failure([*enter(rootfs), ops.OpenProc(slot=PROC, kind=ops.PROC_HOST), stop()])
    assert found.short == ("open_proc", "verify", "ENODEV")
    plan = [
        *enter(rootfs),
        ops.OpenProc(slot=PROC, kind=ops.PROC_FULL),
        write("thread-self/oom_score_adj", "78", "78"),
        stop(),
    ]
    with Init(plan) as init:
        init.pause()
        assert Path(f"/proc/{init.pid}/oom_score_adj").read_text() == "78\n"
    assert (target / "oom_score_adj").read_text() == "fake"


def test_a_file_mounted_over_an_entry_of_proc_is_not_written_to(rootfs: Path) -> None:
    """PS-1: the mount of the file must be that of the handle."""
    fake = rootfs / "fake"
    fake.mkdir()
    (fake / "hostname").write_text("fake")
    plan = [
        *enter(rootfs)[:2],
        ops.CloneTree(slot=FIRST, path=str(fake), recursive=0, nofollow=0, type=0, rdev=0, ask=0),
        ops.Attach(slot=FIRST, path="/proc/sys/kernel", flags=ops.ATTACH_PROC_ALLOWED),
        ops.OpenProc(slot=PROC, kind=ops.PROC_HOST),
        write("sys/kernel/hostname", "escaped"),
        stop(),
    ]
    assert failure(plan).short == ("write_proc", "open", "EXDEV")
    assert (fake / "hostname").read_text() == "fake"


def test_a_hidden_init_belongs_to_root_alone() -> None:
    """JN-1 EX-6."""
    for value, flag in ((0, False), (1, True)):
        plan = [
            ops.SetIds(uid=1000, gid=1000),
            ops.SetDumpable(value=value),
            stop(),
        ]
        with Init(plan) as init:
            init.pause()
            assert (os.stat(f"/proc/{init.pid}/mem").st_uid == 1000) is flag


def test_two_inits_do_not_disturb_each_other() -> None:
    with Init([stop(), stop()]) as first, Init([stop(), stop()]) as second:
        first.pause()
        second.pause()
        assert first.pid != second.pid
        syscalls.pidfd_send_signal(first.pidfd, signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
        second.go()
        second.pause()
