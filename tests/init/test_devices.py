# SPDX-License-Identifier: Apache-2.0
"""Device nodes, links, the terminal and the standard descriptors."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrunc.init import ops
from tests.init.harness import (
    AWAIT,
    FIRST,
    HOST,
    MESSAGE,
    ROOT,
    Init,
    attach,
    clone,
    enter,
    execute,
    failure,
    shell,
    stop,
    tmpfs,
)
from tests.init.scenes import inside
from tests.support.wait import readable

pytestmark = pytest.mark.root

NULL = os.makedev(1, 3)


def device(path: str, mode: int = 0o20666, rdev: int = NULL, uid: int = 0, gid: int = 0) -> ops.Op:
    return ops.MakeDevice(path=path, mode=mode, rdev=rdev, uid=uid, gid=gid)


def test_make_device_makes_each_kind_exactly(rootfs: Path) -> None:
    """DV-4."""
    plan = inside(
        rootfs,
        [],
        device("/dev/new/char", 0o20620, os.makedev(4, 300), 5, 6),
        device("/dev/block", 0o60600, os.makedev(259, 1048575), 7, 8),
        device("/dev/pipe", 0o10644, 0, 9, 10),
    )
    with Init(plan) as init:
        init.pause()
    for name, mode, rdev, uid in (
        ("new/char", 0o20620, os.makedev(4, 300), 5),
        ("block", 0o60600, os.makedev(259, 1048575), 7),
        ("pipe", 0o10644, 0, 9),
    ):
        facts = (rootfs / "dev" / name).lstat()
        assert (facts.st_mode, facts.st_rdev, facts.st_uid, facts.st_gid) == (
            mode,
            rdev,
            uid,
            uid + 1,
        )


def test_an_existing_node_must_be_the_same_and_stays_as_it_is(rootfs: Path) -> None:
    os.mknod(rootfs / "dev/null", 0o20600, NULL)
    os.chown(rootfs / "dev/null", 3, 3)
    with Init(inside(rootfs, [], device("/dev/null"))) as init:
        init.pause()
    facts = (rootfs / "dev/null").stat()
    assert (facts.st_mode, facts.st_uid) == (0o20600, 3)


@pytest.mark.parametrize("kind", ["file", "directory", "link", "other", "block", "pipe"])
def test_something_else_at_the_path_of_a_node_is_an_error(kind: str, rootfs: Path) -> None:
    path = rootfs / "dev/null"
    make: dict[str, Callable[[], object]] = {
        "file": lambda: path.write_text(""),
        "directory": path.mkdir,
        "link": lambda: path.symlink_to("/dev/zero"),
        "other": lambda: os.mknod(path, 0o20666, os.makedev(1, 5)),
        "block": lambda: os.mknod(path, 0o60666, NULL),
        "pipe": lambda: os.mkfifo(path),
    }
    make[kind]()
    found = failure(inside(rootfs, [], device("/dev/null")))
    assert found.short == ("make_device", "verify", "EEXIST")


@pytest.mark.parametrize("path", ["/", "/dev/..", "/dev/.", ""])
def test_a_path_without_a_name_is_an_error(path: str, rootfs: Path) -> None:
    assert failure(inside(rootfs, [], device(path))).short == ("make_device", "resolve", "EINVAL")


def test_a_default_acl_does_not_change_the_mode(rootfs: Path) -> None:
    """The umask is not asked where an ACL is; the mode is verified through the descriptor."""
    acl = struct.pack("<I", 2)
    for tag, perm in ((1, 7), (4, 0), (16, 0), (32, 0)):
        acl += struct.pack("<HHI", tag, perm, 0xFFFFFFFF)
    try:
        os.setxattr(rootfs / "dev", "system.posix_acl_default", acl)
    except OSError as error:
        pytest.skip(f"no ACLs here: {error}")
    with Init(inside(rootfs, [], device("/dev/null"))) as init:
        init.pause()
    assert (rootfs / "dev/null").stat().st_mode == 0o20666


def link(path: str, target: str, replace: int = 0) -> ops.Op:
    return ops.MakeSymlink(path=path, target=target, replace=replace)


def test_make_symlink_leaves_or_replaces(rootfs: Path) -> None:
    (rootfs / "dev/ptmx").write_text("old")
    (rootfs / "dev/fd").write_text("old")
    plan = inside(
        rootfs,
        [],
        link("/dev/fd", "/proc/self/fd"),
        link("/dev/ptmx", "pts/ptmx", 1),
        link("/dev/new", "anything", 1),
    )
    with Init(plan) as init:
        init.pause()
    assert (rootfs / "dev/fd").read_text() == "old"
    assert os.readlink(rootfs / "dev/ptmx") == "pts/ptmx"
    assert os.readlink(rootfs / "dev/new") == "anything"


def test_make_symlink_does_not_remove_a_directory(rootfs: Path) -> None:
    (rootfs / "dev/ptmx").mkdir()
    found = failure(inside(rootfs, [], link("/dev/ptmx", "pts/ptmx", 1)))
    assert found.short == ("make_symlink", "remove", "EISDIR")


def console(bind: int = 1, rows: int = 40, columns: int = 120, uid: int = 1000) -> ops.Op:
    return ops.OpenConsole(rows=rows, columns=columns, uid=uid, bind=bind)


def with_devpts(rootfs: Path, *after: ops.Op) -> list[ops.Op]:
    devpts = ops.NewMount(
        slot=FIRST,
        fstype="devpts",
        source="devpts",
        options=["newinstance", "ptmxmode=0666", "mode=0620"],
        attributes=0,
    )
    head = enter(rootfs)
    return [
        *head[:-1],
        devpts,
        tmpfs(FIRST + 1, "mode=0755"),
        head[-1],
        attach(FIRST + 1, "/dev"),
        attach(FIRST, "/dev/pts"),
        *after,
    ]


def master_of(init: Init) -> int:
    message = init.receive()
    assert message is not None
    assert (message.type, message.value) == (AWAIT, ops.RENDEZVOUS_CONSOLE), MESSAGE
    assert len(message.fds) == 1
    return message.fds[0]


def read_all(master: int) -> str:
    data = b""
    while readable(master, 10):
        try:
            piece = os.read(master, 4096)
        except OSError:  # EIO: nobody holds the other side any more
            break
        data += piece
    return data.decode()


def test_the_terminal_is_the_programs_own(rootfs: Path) -> None:
    """CN-1 CN-2 CN-4: controlling terminal, size, owner, stdio and /dev/console."""
    (rootfs / "bin/stty").symlink_to("busybox")
    script = (
        "stat -c '%t:%T %u %a' /dev/console; stty size; ls /dev/pts; echo x >/dev/tty;"
        "for n in 0 1 2; do test -t $n && echo tty; done"
    )
    tty = device("/dev/tty", 0o20666, os.makedev(5, 0))
    terminal = [ops.SetSession(), console(), ops.TakeTerminal()]
    with Init(with_devpts(rootfs, tty, *terminal, *shell(script))) as init:
        master = master_of(init)
        init.go()
        assert init.succeed() == 0
        text = read_all(master)
        os.close(master)
    assert text.split() == ["88:0", "1000", "620", "40", "120", "0", "ptmx", "x", *["tty"] * 3]


def test_the_init_keeps_no_copy_of_the_master(rootfs: Path) -> None:
    """CN-2."""
    with Init(with_devpts(rootfs, console(), stop())) as init:
        master = master_of(init)
        init.go()
        init.pause()
        links = [os.readlink(f"/proc/{init.pid}/fd/{fd}") for fd in range(3)]
        assert all("/dev/pts/0" in link for link in links), links
        names = os.listdir(f"/proc/{init.pid}/fd")
        assert not any("ptmx" in os.readlink(f"/proc/{init.pid}/fd/{name}") for name in names)
        os.close(master)


def test_without_bind_there_is_no_dev_console_and_without_size_none_is_set(rootfs: Path) -> None:
    with Init(with_devpts(rootfs, console(bind=0, rows=0, columns=0), stop())) as init:
        master = master_of(init)
        size = fcntl.ioctl(master, termios.TIOCGWINSZ, bytes(8))
        assert struct.unpack("HHHH", size) == (0, 0, 0, 0)
        init.go()
        init.pause()
        os.close(master)
        assert not os.path.lexists(f"/proc/{init.pid}/root/dev/console")


@pytest.mark.parametrize("kind", ["link", "loop", "directory", "pipe"])
def test_an_odd_dev_console_is_an_error(kind: str, rootfs: Path, canary: Path) -> None:
    """CN-3: the last component may be no link, and the file must be one."""
    devpts = with_devpts(rootfs)
    devpts = [op for op in devpts if getattr(op, "path", "") != "/dev" and op.NAME != "x"]
    (rootfs / "dev/pts").mkdir()
    path = rootfs / "dev/console"
    if kind == "link":
        path.symlink_to(canary / "file")
    elif kind == "loop":
        path.symlink_to("console")
    elif kind == "directory":
        path.mkdir()
    else:
        os.mkfifo(path)
    found = failure([*devpts, console(), stop()])
    assert (found.op, found.step) == ("open_console", "console")
    assert (canary / "file").read_text() == "untouched"


def test_a_fake_devpts_is_refused(rootfs: Path) -> None:
    """CN-1: a directory of the image with a node that looks like ptmx."""
    pts = rootfs / "dev/pts"
    pts.mkdir()
    os.mknod(pts / "ptmx", 0o20666, os.makedev(5, 2))
    found = failure(inside(rootfs, [], console()))
    assert found.short == ("open_console", "verify", "ENODEV")
    pts.joinpath("ptmx").unlink()
    pts.rmdir()
    found = failure(inside(rootfs, [], console()))
    assert found.short == ("open_console", "open", "ENOENT")


def test_a_directory_below_a_devpts_is_none(rootfs: Path) -> None:
    (rootfs / "dev/pts").symlink_to("/real")
    (rootfs / "real").mkdir()
    plan = [op for op in with_devpts(rootfs) if getattr(op, "path", "") != "/dev"]
    with Init([*plan, console(), stop()]) as init:
        master = master_of(init)  # a link to the devpts itself is fine: what counts is what it is
        os.close(master)


def test_a_terminal_that_is_too_large_is_an_error(rootfs: Path) -> None:
    """CN-4."""
    found = failure(with_devpts(rootfs, console(rows=65536), stop()))
    assert found.short == ("open_console", "size", "ERANGE")


def test_own_stdio_gives_pipes_and_files_but_no_devices(tmp_path: Path) -> None:
    """DV-5: the host's /dev/null is never given away."""
    read, write = os.pipe()
    before = os.stat("/dev/null").st_uid
    with Init([ops.OwnStdio(uid=before + 4242, files=1), stop()], output=write) as init:
        init.pause()
        assert os.fstat(write).st_uid == before + 4242
        assert os.stat("/dev/null").st_uid != before + 4242
    os.close(read)
    os.close(write)


def test_reopen_null_takes_the_one_of_the_container(rootfs: Path) -> None:
    plan = inside(
        rootfs, [tmpfs(FIRST)], attach(FIRST, "/dev"), device("/dev/null"), ops.ReopenNull()
    )
    with Init(plan) as init:
        init.pause()
        own, host = os.stat(f"/proc/{init.pid}/fd/0"), os.stat("/dev/null")
        assert own.st_rdev == host.st_rdev
        assert own.st_dev != host.st_dev
        info = Path(f"/proc/{init.pid}/fdinfo/0").read_text()
        assert int(info.split("flags:")[1].split()[0], 8) & os.O_NONBLOCK == 0
        assert os.stat(f"/proc/{init.pid}/fd/1").st_rdev == 0  # was no /dev/null: as it was


@pytest.mark.parametrize("kind", ["file", "link", "zero", "pipe", "block"])
def test_reopen_null_refuses_everything_else(kind: str, rootfs: Path, canary: Path) -> None:
    """MT-9: by type and number; nothing is opened before that is known."""
    path = rootfs / "dev/null"
    if kind == "file":
        path.write_text("")
    elif kind == "link":
        path.symlink_to("/etc/shadow")
        (rootfs / "etc/shadow").write_text("")
    elif kind == "zero":
        os.mknod(path, 0o20666, os.makedev(1, 5))
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        os.mknod(path, 0o60666, NULL)
    found = failure(inside(rootfs, [], ops.ReopenNull()))
    assert found.short == ("reopen_null", "verify", "ENODEV")


def test_a_node_bound_from_the_host_is_never_changed(rootfs: Path) -> None:
    """DV-4: as in a user namespace, where nodes are bound."""
    before = os.stat("/dev/zero")
    plan = inside(
        rootfs,
        [clone(FIRST, "/dev/zero")],
        attach(FIRST, "/dev/zero"),
        device("/dev/zero", 0o20600, os.makedev(1, 5), 99, 99),
    )
    with Init(plan) as init:
        init.pause()
    after = os.stat("/dev/zero")
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )


def test_a_program_without_a_terminal_has_no_controlling_one(rootfs: Path) -> None:
    """CN-6."""
    plan = [
        *enter(rootfs)[:2],
        ops.SetSession(),
        ops.AttachRoot(slot=ROOT, path=str(rootfs), ask=0),
        ops.EnterRoot(root=ROOT, host=HOST),
        device("/dev/tty", 0o20666, os.makedev(5, 0)),
        *execute("/bin/sh", "-c", "echo x >/dev/tty"),
    ]
    with Init(plan) as init:
        assert init.succeed() == 1
        assert "No such device or address" in init.text()
