# SPDX-License-Identifier: Apache-2.0
"""Ops that make, change and attach mounts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyrunc.host import syscalls
from pyrunc.init import ops
from tests.init.harness import (
    FIRST,
    HOST,
    ROOT,
    Init,
    attach,
    clone,
    enter,
    failure,
    private_mounts,
    stop,
    tmpfs,
)
from tests.init.scenes import (
    ATIME,
    NOATIME,
    NODEV,
    NOEXEC,
    NOSUID,
    RDONLY,
    STRICTATIME,
    Outer,
    change,
    inside,
)

pytestmark = pytest.mark.root

S_IFDIR, S_IFCHR, S_IFREG = 0o040000, 0o020000, 0o100000
NULL = os.makedev(1, 3)


def options(pid: int, rootfs: Path, path: str) -> list[str]:
    """The mount options of the topmost mount at a path."""
    lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    found = [line.split() for line in lines if line.split()[4] == path]
    assert found, f"nothing is mounted on {path}"
    return found[-1][5].split(",")


def test_attach_makes_the_target_as_the_mounted_object_is(rootfs: Path) -> None:
    plan = inside(
        rootfs,
        [tmpfs(FIRST), clone(FIRST + 1, "/etc/passwd")],
        attach(FIRST, "/new/directory"),
        attach(FIRST + 1, "/other/file"),
    )
    with Init(plan) as init:
        init.pause()
        seen = Path(f"/proc/{init.pid}/root")
        assert (seen / "other/file").read_text() == Path("/etc/passwd").read_text()
        assert "rw" in options(init.pid, rootfs, "/new/directory")
        assert len(os.listdir(f"/proc/{init.pid}/fd")) == 7  # 0-3, root, host, / of look-ups
    assert (rootfs / "new/directory").stat().st_mode == 0o40755
    assert (rootfs / "other/file").stat().st_mode == 0o100644
    assert (rootfs / "other/file").stat().st_size == 0


def test_attach_keeps_a_slot_for_a_later_op(rootfs: Path) -> None:
    plan = inside(
        rootfs, [tmpfs(FIRST)], attach(FIRST, "/tmp", ops.ATTACH_KEEP), change(FIRST, set=RDONLY)
    )
    with Init(plan) as init:
        init.pause()
        assert "ro" in options(init.pid, rootfs, "/tmp")


def test_cover_root_makes_a_mount_the_root(rootfs: Path) -> None:
    """What comes later is resolved in it, and it is what pivot_root takes."""
    plan = inside(
        rootfs,
        [tmpfs(FIRST), tmpfs(FIRST + 1)],
        ops.CoverRoot(slot=FIRST, root=ROOT),
        attach(FIRST + 1, "/below"),
        change(FIRST, set=RDONLY),
        ops.LeaveRoot(host=HOST),
        ops.Pivot(slot=ROOT),
    )
    with Init(plan) as init:
        init.pause()
        seen = Path(f"/proc/{init.pid}/root")
        assert os.listdir(seen) == ["below"]
        assert "ro" in options(init.pid, Path("/"), "/")
        lines = Path(f"/proc/{init.pid}/mountinfo").read_text().splitlines()
        assert len(lines) == 2  # nothing of the image or the host is left
    assert not (rootfs / "below").exists()


def test_cover_root_takes_no_file(rootfs: Path) -> None:
    found = failure(
        inside(rootfs, [clone(FIRST, "/etc/passwd")], ops.CoverRoot(slot=FIRST, root=ROOT))
    )
    assert found.short == ("cover_root", "verify", "ENOTDIR")


def test_an_attached_mount_is_sent_to_the_parent(rootfs: Path) -> None:
    plan = inside(
        rootfs,
        [tmpfs(FIRST)],
        attach(FIRST, "/tmp/new", ops.ATTACH_KEEP),
        ops.SendMount(slot=FIRST),
    )
    with Init(plan) as init:
        message = init.receive()
        assert message is not None
        assert message.value == ops.RENDEZVOUS_MOUNTED
        number = syscalls.mount_id(message.fds[0])
        for fd in message.fds:
            os.close(fd)
        lines = Path(f"/proc/{init.pid}/mountinfo").read_text().splitlines()
        places = [line.split()[4] for line in lines if int(line.split()[0]) == number]
        assert places == ["/tmp/new"]


def test_only_the_mount_with_the_id_is_detached(rootfs: Path) -> None:
    def detach(path: str, id: int = 1) -> ops.Op:
        return ops.DetachMount(path=path, id=id)

    (rootfs / "link").symlink_to("tmp")
    for path, expected in (
        ("/tmp", ("detach_mount", "verify", "ESTALE")),
        ("/tmp/absent", ("detach_mount", "verify", "ENOENT")),
        ("/absent/tmp", ("detach_mount", "resolve", "ENOENT")),
        ("/link/x", ("detach_mount", "resolve", "ELOOP")),
        ("/", ("detach_mount", "resolve", "EBUSY")),
    ):
        plan = inside(rootfs, [tmpfs(FIRST)], attach(FIRST, "/tmp"), detach(path))
        assert failure(plan).short == expected, path


def test_a_file_and_a_directory_do_not_cover_each_other(rootfs: Path) -> None:
    for host, path in ((tmpfs(FIRST), "/bin/busybox"), (clone(FIRST, "/etc/passwd"), "/tmp")):
        found = failure(inside(rootfs, [host], attach(FIRST, path)))
        assert found.short == ("attach", "verify", "ENOTDIR")
        assert "directory" in found.detail


@pytest.mark.parametrize("flags", [ops.ATTACH_REAL_DIRECTORY, ops.ATTACH_NOFOLLOW])
def test_a_link_is_refused_where_none_may_be(flags: int, rootfs: Path) -> None:
    """MT-6: also one that leads to a proper directory inside."""
    (rootfs / "link").symlink_to("tmp")
    for path in ("/link", "/link/", "/link//.", "/./link/././"):
        found = failure(inside(rootfs, [tmpfs(FIRST)], attach(FIRST, path, flags)))
        assert found.errno == "ELOOP", path


def proc(slot: int) -> ops.Op:
    return ops.NewMount(slot=slot, fstype="proc", source="proc", options=[], attributes=0)


@pytest.mark.parametrize("path", ["/proc", "/proc/self", "/proc//sys/kernel/..", "/p/sys"])
def test_nothing_is_mounted_over_procfs(path: str, rootfs: Path) -> None:
    """MT-7: decided on what the path resolves to."""
    (rootfs / "p").symlink_to("proc")
    plan = inside(
        rootfs, [proc(FIRST), tmpfs(FIRST + 1)], attach(FIRST, "/proc"), attach(FIRST + 1, path)
    )
    assert failure(plan).short == ("attach", "verify", "EPERM")


def test_a_second_procfs_and_an_allowed_file_are_mounted_over_procfs(rootfs: Path) -> None:
    plan = inside(
        rootfs,
        [proc(FIRST), proc(FIRST + 1), clone(FIRST + 2, "/etc/passwd")],
        attach(FIRST, "/proc"),
        attach(FIRST + 1, "/proc"),
        attach(FIRST + 2, "/proc/uptime", ops.ATTACH_PROC_ALLOWED),
    )
    with Init(plan) as init:
        init.pause()
        text = Path(f"/proc/{init.pid}/root/proc/uptime").read_text()
        assert text == Path("/etc/passwd").read_text()


def test_clone_tree_takes_what_is_mounted_below_or_not(rootfs: Path) -> None:
    plan = [
        *private_mounts(),
        ops.AttachRoot(slot=ROOT, path=str(rootfs), ask=0),
        tmpfs(FIRST),
        ops.EnterRoot(root=ROOT, host=HOST),
        attach(FIRST, "/tmp/a"),
        ops.LeaveRoot(host=HOST),
        clone(FIRST + 1, rootfs / "tmp"),
        clone(FIRST + 2, rootfs / "tmp", recursive=1),
        ops.EnterRoot(root=ROOT, host=HOST),
        attach(FIRST + 1, "/one"),
        attach(FIRST + 2, "/all"),
        stop(),
    ]
    with Init(plan) as init:
        init.pause()
        lines = Path(f"/proc/{init.pid}/mountinfo").read_text().splitlines()
        points = [line.split()[4] for line in lines]
        assert "/one" in points
        assert "/one/a" not in points
        assert "/all/a" in points


@pytest.mark.parametrize(
    ("path", "kind", "rdev", "name"),
    [
        ("/dev/null", S_IFCHR, NULL, None),
        ("/dev/zero", S_IFCHR, NULL, "ENODEV"),
        ("/etc/passwd", S_IFCHR, NULL, "ENODEV"),
        ("/etc/passwd", S_IFCHR, 0, "ENODEV"),
        ("/etc/passwd", S_IFREG, 0, None),
        ("/etc/passwd", S_IFDIR, 0, "ENOTDIR"),
        ("/etc", 0, 0, None),
    ],
)
def test_clone_tree_verifies_what_it_clones(
    path: str, kind: int, rdev: int, name: str | None
) -> None:
    """MT-9 DV-5: both the type and the number."""
    plan = [*private_mounts(), clone(FIRST, path, kind=kind, rdev=rdev), stop()]
    if name is None:
        with Init(plan) as init:
            init.pause()
    else:
        assert failure(plan).short == ("clone_tree", "verify", name)


def test_clone_tree_of_a_link(rootfs: Path) -> None:
    (rootfs / "link").symlink_to("/dev/null")
    plan = [*private_mounts(), clone(FIRST, rootfs / "link", kind=S_IFCHR, rdev=NULL), stop()]
    with Init(plan) as init:
        init.pause()
    nofollow = ops.CloneTree(
        slot=FIRST,
        path=str(rootfs / "link"),
        recursive=0,
        nofollow=1,
        type=S_IFCHR,
        rdev=NULL,
        ask=0,
    )
    assert failure([*private_mounts(), nofollow, stop()]).short == (
        "clone_tree",
        "verify",
        "ENODEV",
    )
    found = failure([*private_mounts(), clone(FIRST, rootfs / "absent"), stop()])
    assert found.short == ("clone_tree", "open", "ENOENT")


@pytest.mark.parametrize(
    ("options", "detail"),
    [(["mode=0700", "sizze=1m"], "sizze=1m"), (["size=many"], "size=many"), (["nope"], "nope")],
)
def test_a_refused_option_is_named(options: list[str], detail: str) -> None:
    found = failure([tmpfs(FIRST, *options), stop()])
    assert found.short == ("new_mount", "option", "EINVAL")
    assert found.detail.startswith(detail)


def test_an_unknown_file_system_is_an_error() -> None:
    plan = [
        ops.NewMount(slot=FIRST, fstype="nonesuch", source="", options=[], attributes=0),
        stop(),
    ]
    assert failure(plan).short == ("new_mount", "open", "ENODEV")


def test_what_the_kernel_says_about_a_mount_is_reported() -> None:
    plan = [
        *private_mounts(),
        ops.NewMount(
            slot=FIRST, fstype="overlay", source="o", options=["lowerdir=/absent"], attributes=0
        ),
        stop(),
    ]
    found = failure(plan)
    assert found.op == "new_mount"
    assert found.errno == "ENOENT"
    assert "absent" in found.detail or "resolve" in found.detail


def test_options_longer_than_fsconfig_takes(rootfs: Path) -> None:
    """The layers of an overlay: the kernel's limit for one string is 255 bytes."""
    layers = []
    for number in range(12):
        layer = rootfs.parent / ("layer" * 8 + str(number))
        layer.mkdir()
        (layer / f"file{number}").write_text("x")
        layers.append(str(layer))
    text = ":".join(layers)
    assert len(text) > 255
    overlay = ops.NewMount(
        slot=FIRST, fstype="overlay", source="o", options=[f"lowerdir={text}"], attributes=NODEV
    )
    with Init(inside(rootfs, [overlay], attach(FIRST, "/tmp"))) as init:
        init.pause()
        assert len(os.listdir(f"/proc/{init.pid}/root/tmp")) == 12
        assert "nodev" in options(init.pid, rootfs, "/tmp")


def test_attributes_are_there_before_anybody_sees_the_mount(rootfs: Path) -> None:
    """MT-1."""
    flags = RDONLY | NOSUID | NODEV | NOEXEC | NOATIME
    plan = inside(rootfs, [tmpfs(FIRST, attributes=flags)], attach(FIRST, "/tmp"))
    with Init(plan) as init:
        init.pause()
        assert options(init.pid, rootfs, "/tmp") == ["ro", "nosuid", "nodev", "noexec", "noatime"]


def test_set_attributes_sets_and_clears(rootfs: Path) -> None:
    plan = inside(
        rootfs,
        [tmpfs(FIRST, attributes=RDONLY | NOSUID)],
        change(FIRST, set=NODEV | STRICTATIME, clear=RDONLY | ATIME),
        attach(FIRST, "/tmp"),
    )
    with Init(plan) as init:
        init.pause()
        assert options(init.pid, rootfs, "/tmp") == ["rw", "nosuid", "nodev"]


def test_locked_flags_are_kept_where_nobody_asked_to_clear_them(rootfs: Path) -> None:
    """MT-11 UN-10: a clone made inside of the user namespace carries the locks."""
    outer = Outer(rootfs)
    with outer.init:
        clear = RDONLY | NOSUID | NODEV
        found = outer.run(change(FIRST, set=NOEXEC, clear=clear))
        assert found is not None
        assert found.short == ("set_attributes", "setattr", "EPERM")
        found = outer.run(change(FIRST, set=NOEXEC, clear=clear, keep=1))
        assert found is None
        found = outer.run(change(FIRST, set=NOEXEC, clear=clear, keep=1, explicit=NODEV))
        assert found is None
        for flag in (RDONLY, NOSUID):
            found = outer.run(change(FIRST, clear=clear, keep=1, explicit=flag))
            assert found is not None
            assert found.short == ("set_attributes", "locked", "EPERM")
        found = outer.run(change(FIRST, set=STRICTATIME, clear=clear | ATIME, keep=1))
        assert found is None
        found = outer.run(change(FIRST, set=STRICTATIME, clear=ATIME, keep=1, explicit=STRICTATIME))
        assert found is not None
        assert found.step == "locked"


def test_what_is_kept_is_still_in_force(rootfs: Path) -> None:
    """AR-7: also the flags that were to be set."""
    outer = Outer(rootfs)
    point = str(rootfs / "etc")
    with outer.init:
        found = outer.run(
            change(FIRST, set=NOEXEC, clear=RDONLY | NOSUID, keep=1),
            ops.Attach(slot=FIRST, path=point, flags=0),
            ops.VerifyMount(
                path=point, attributes=RDONLY | NOSUID | NOEXEC | NOATIME, magic=0, index=0
            ),
        )
        assert found is None


def test_set_propagation(rootfs: Path) -> None:
    shared, slave, private = 0x100000, 0x80000, 0x40000
    for flag, wanted in ((shared, "shared:"), (slave, " - "), (private, " - ")):
        plan = inside(
            rootfs,
            [tmpfs(FIRST)],
            attach(FIRST, "/tmp", ops.ATTACH_KEEP),
            ops.SetPropagation(slot=FIRST, flags=flag, recursive=1),
        )
        with Init(plan) as init:
            init.pause()
            lines = Path(f"/proc/{init.pid}/mountinfo").read_text().splitlines()
            line = next(line for line in lines if line.split()[4] == "/tmp")
            assert wanted in line
            assert ("shared:" in line) is (flag == shared)
    plan = inside(
        rootfs, [tmpfs(FIRST)], ops.SetPropagation(slot=FIRST, flags=0x140000, recursive=0)
    )
    assert failure(plan).short == ("set_propagation", "setattr", "EINVAL")


def test_set_root_attributes(rootfs: Path) -> None:
    plan = [
        *enter(rootfs),
        ops.LeaveRoot(host=HOST),
        ops.Pivot(slot=ROOT),
        ops.SetRootAttributes(set=RDONLY, clear=0, recursive=0),
        ops.MakeDirectory(path="/new", mode=0o755, uid=0, gid=0),
        stop(),
    ]
    assert failure(plan).short == ("make_directory", "create", "EROFS")


@pytest.mark.parametrize(
    ("attributes", "magic", "expected"),
    [
        (RDONLY | NOSUID | NODEV, 0x01021994, None),
        (RDONLY | NOSUID | NODEV | NOEXEC, 0, ("verify_mount", "flags", "EPERM")),
        (RDONLY, 0x9FA0, ("verify_mount", "magic", "EMEDIUMTYPE")),
        (STRICTATIME, 0, ("verify_mount", "flags", "EPERM")),
    ],
)
def test_verify_mount(
    attributes: int, magic: int, expected: tuple[str, str, str] | None, rootfs: Path
) -> None:
    """AR-7."""
    plan = inside(
        rootfs,
        [tmpfs(FIRST, attributes=RDONLY | NOSUID | NODEV)],
        attach(FIRST, "/tmp"),
        ops.VerifyMount(path="/tmp", attributes=attributes, magic=magic, index=0),
    )
    if expected is None:
        with Init(plan) as init:
            init.pause()
    else:
        assert failure(plan).short == expected


def test_mount_classic_takes_the_old_flags(rootfs: Path) -> None:
    remount, silent, readonly = 0x20, 0x8000, 1
    plan = inside(
        rootfs,
        [],
        ops.MountClassic(path="/new", fstype="tmpfs", source="x", flags=silent, data="size=64k"),
        ops.MountClassic(path="/new", fstype="", source="", flags=remount | readonly, data=""),
    )
    with Init(plan) as init:
        init.pause()
        assert "ro" in options(init.pid, rootfs, "/new")
        assert os.path.samefile(f"/proc/{init.pid}/cwd", rootfs)
    found = failure(
        inside(
            rootfs,
            [],
            ops.MountClassic(path="/tmp", fstype="tmpfs", source="x", flags=0, data="nope"),
        )
    )
    assert found.short == ("mount_classic", "mount", "EINVAL")


def mask(path: str) -> ops.Op:
    return ops.Mask(path=path, null=FIRST, directory=FIRST + 1)


MASKS = [
    clone(FIRST, "/dev/null", kind=S_IFCHR, rdev=NULL),
    tmpfs(FIRST + 1, "nr_blocks=1", "nr_inodes=1", attributes=RDONLY),
]


def test_masks_hide_files_and_directories(rootfs: Path) -> None:
    """MT-9 MT-10: several of each, from one object."""
    for name in ("a", "b", "c"):
        (rootfs / f"file-{name}").write_text("secret")
        (rootfs / f"directory-{name}").mkdir()
        (rootfs / f"directory-{name}/file").write_text("secret")
    paths = [f"/{kind}-{name}" for kind in ("file", "directory") for name in ("a", "b", "c")]
    with Init(inside(rootfs, MASKS, *map(mask, paths))) as init:
        init.pause()
        seen = f"/proc/{init.pid}/root"
        for path in paths:
            facts = os.stat(seen + path)
            if path.startswith("/file"):
                assert facts.st_rdev == NULL
            else:
                assert os.listdir(seen + path) == []
                assert "ro" in options(init.pid, rootfs, path)


@pytest.mark.parametrize("op", [mask, lambda path: ops.MakeReadonly(path=path)])
@pytest.mark.parametrize(
    ("path", "name"),
    [("/absent", None), ("/file/x", None), ("/absent/x", None), ("/loop", "ELOOP")],
)
def test_only_what_is_absent_is_skipped(
    op: object, path: str, name: str | None, rootfs: Path
) -> None:
    """MT-10."""
    (rootfs / "file").write_text("")
    (rootfs / "loop").symlink_to("loop")
    assert callable(op)
    plan = inside(rootfs, MASKS, op(path))
    if name is None:
        with Init(plan) as init:
            init.pause()
    else:
        assert failure(plan).errno == name


def test_a_mask_follows_a_link_inside_of_the_root(rootfs: Path) -> None:
    (rootfs / "link").symlink_to("/etc/secret")
    (rootfs / "etc/secret").write_text("secret")
    with Init(inside(rootfs, MASKS, mask("/link"))) as init:
        init.pause()
        assert os.stat(f"/proc/{init.pid}/root/etc/secret").st_rdev == NULL


def test_the_null_device_of_the_image_is_no_mask(rootfs: Path) -> None:
    """MT-9: the host's is, whatever lies at /dev/null."""
    (rootfs / "dev/null").symlink_to("/etc/other")
    (rootfs / "etc/secret").write_text("secret")
    with Init(inside(rootfs, MASKS, mask("/etc/secret"))) as init:
        init.pause()
        assert os.stat(f"/proc/{init.pid}/root/etc/secret").st_rdev == NULL


def test_make_readonly_covers_a_tree(rootfs: Path) -> None:
    plan = inside(
        rootfs,
        [tmpfs(FIRST), tmpfs(FIRST + 1)],
        attach(FIRST, "/tmp"),
        attach(FIRST + 1, "/tmp/below"),
        ops.MakeReadonly(path="/tmp"),
        ops.MakeReadonly(path="/bin/busybox"),
    )
    with Init(plan) as init:
        init.pause()
        assert "ro" in options(init.pid, rootfs, "/tmp")
        assert "ro" in options(init.pid, rootfs, "/bin/busybox")
        assert "rw" in options(init.pid, rootfs, "/tmp/below")  # as runc: mounts below stay


def test_inherit_mode(rootfs: Path) -> None:
    (rootfs / "tmp").chmod(0o1777)
    for path, mode in (("/tmp", 0o41777), ("/absent", 0o40700)):
        plan = inside(
            rootfs,
            [tmpfs(FIRST, "mode=0700")],
            ops.InheritMode(slot=FIRST, path=path),
            attach(FIRST, path),
        )
        with Init(plan) as init:
            init.pause()
            assert os.stat(f"/proc/{init.pid}/root{path}").st_mode == mode


def tree(directory: Path) -> list[tuple[str, int, int, int, int, str]]:
    found = []
    for path in sorted(directory.rglob("*")):
        facts = path.lstat()
        content = ""
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = path.read_text()
        found.append(
            (
                str(path.relative_to(directory)),
                facts.st_mode,
                facts.st_uid,
                facts.st_gid,
                facts.st_rdev,
                content,
            )
        )
    return found


def test_copy_up_copies_the_tree(rootfs: Path) -> None:
    source = rootfs / "etc"
    deep = source / "a/b/c"
    deep.mkdir(parents=True)
    (deep / "file").write_text("x" * 3_000_000)
    os.chown(deep / "file", 12, 34)
    (deep / "file").chmod(0o4751)
    (source / "link").symlink_to("/nowhere")
    os.mknod(source / "node", 0o20600, NULL)
    os.mkfifo(source / "pipe", 0o600)
    for number in range(300):  # more than one buffer of entries, with directories between
        (source / f"many{number}").mkdir(mode=0o750)
        (source / f"many{number}/file").write_text(str(number))
    plan = inside(
        rootfs, [tmpfs(FIRST)], ops.CopyUp(slot=FIRST, path="/etc"), attach(FIRST, "/etc")
    )
    with Init(plan) as init:
        init.pause()
        assert tree(Path(f"/proc/{init.pid}/root/etc")) == tree(source)


def test_copy_up_of_nothing_and_of_too_deep_a_tree(rootfs: Path) -> None:
    with Init(inside(rootfs, [tmpfs(FIRST)], ops.CopyUp(slot=FIRST, path="/absent"))) as init:
        init.pause()
    deep = rootfs / "etc"
    for _ in range(260):
        deep = deep / "d"
    deep.mkdir(parents=True)
    found = failure(inside(rootfs, [tmpfs(FIRST)], ops.CopyUp(slot=FIRST, path="/etc")))
    assert found.short == ("copy_up", "copy", "ELOOP")


def test_copy_up_into_too_small_a_tmpfs_is_an_error(rootfs: Path) -> None:
    (rootfs / "etc/large").write_bytes(bytes(100_000))
    found = failure(inside(rootfs, [tmpfs(FIRST, "size=8k")], ops.CopyUp(slot=FIRST, path="/etc")))
    assert found.short == ("copy_up", "copy", "ENOSPC")
    assert found.detail == "large"
