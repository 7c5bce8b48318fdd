# SPDX-License-Identifier: Apache-2.0
"""A plan carried out by an init that is killed where the container would be ready to start.

What would be seen outside of it is left out or done elsewhere:

* the image is the lower layer of an overlay, whose upper one is a tmpfs that ends with it;
* clones of the host's directories are read-only, and nothing is made below them;
* mounts do not propagate; what is joined (a namespace of others) is not changed;
* no cgroup is made or entered, no device is moved, no hook or program runs, no agent is asked.

Other processes see a process that comes and goes.
"""

from __future__ import annotations

import os

from pyrunc.errors import Failure
from pyrunc.init import ops
from pyrunc.init.launch import spawn
from pyrunc.init.plan import Plan
from pyrunc.lifecycle import handover, id_maps
from pyrunc.log import log
from pyrunc.spec.constants import NAMESPACES
from pyrunc.spec.options import MS_REC, MS_SLAVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyrunc.cgroups.member import Cgroup
    from pyrunc.init.launch import Child, Message
    from pyrunc.init.ops import Op
    from pyrunc.lifecycle.prepare import PreparedCreate

IMAGE, COVER, OVERLAY = 1, 2, 3  # slots of the init that makes the overlay
READ_ONLY = 1  # MOUNT_ATTR_RDONLY
TRY_ROOT = "try the root file system"
# They change or ask something outside, or compare with what is left out.
LEFT_OUT = (ops.OwnStdio, ops.RunHook, ops.VerifyMount)
OF_NAMESPACE = (
    (ops.SetHostname, "uts"),
    (ops.SetDomainname, "uts"),
    (ops.RaiseLoopback, "network"),
)
# They may make files: not below a directory of the host.
MAKES_FILES = (
    ops.Attach,
    ops.ChangeDirectory,
    ops.MakeDevice,
    ops.MakeSymlink,
    ops.MakeDirectory,
    ops.MountClassic,
)


class NotTried(Exception):
    """The rest of the plan cannot be tried here; the text says why."""


def try_plan(
    prepared: PreparedCreate, ready: Callable[[Child], None], *, group: Cgroup | None = None
) -> None:
    """Carry out what can be undone by ending the init; Failure as `create` would raise it.

    `group`: the init is put into it. `ready` is called while the init waits, with root file system
    and mounts in place. NotTried when only a part could be tried.
    """
    mount = prepared.config.linux.namespace("mount")
    if mount is None or mount.path:
        raise NotTried("mounts would be made in a mount namespace of others")
    image, reason = -1, ""
    if prepared.host.euid:
        reason = _try_unprivileged(prepared, ready, group)
        if not reason:
            return
    else:
        try:
            image = _overlay(prepared)
        except (Failure, OSError) as failure:
            reason = f"no overlay can be made of the image ({failure})"
    try:
        plan = Plan(
            list(_trial(prepared, whole=not reason)),
            objects=prepared.plan.object_names,
            requests=prepared.plan.requests,
            mapped=tuple(prepared.plan.mapped.values()),
            rlimits=prepared.plan.rlimits,
        )
        _serve(prepared, plan, image=image, ready=None if reason else ready, group=group)
    finally:
        if image >= 0:
            os.close(image)
    if reason:
        raise NotTried(reason)


def _try_unprivileged(
    prepared: PreparedCreate, ready: Callable[[Child], None], group: Cgroup | None
) -> str:
    """Try all with an overlay that the init itself makes; return why that cannot be done."""
    if "user" not in prepared.new_namespaces:
        return "a user without privileges cannot copy the image"
    cover = _cover(prepared, first=1 + max(getattr(op, "slot", 0) for op in prepared.plan.ops))
    plan = Plan(
        list(_trial(prepared, whole=True, cover=cover)),
        objects=prepared.plan.object_names,
        requests=prepared.plan.requests,
        mapped=tuple(prepared.plan.mapped.values()),
        rlimits=prepared.plan.rlimits,
    )
    try:
        _serve(prepared, plan, image=-1, ready=ready, group=group)
    except Failure as failure:
        if TRY_ROOT not in str(failure):
            raise
        return f"no overlay can be made of the image ({failure})"
    return ""


def _trial(prepared: PreparedCreate, *, whole: bool, cover: Sequence[Op] = ()) -> Iterator[Op]:
    """Choose from the ops of the plan, up to the rendezvous `ready`.

    `cover` puts the overlay on the image where the caller cannot.
    """
    joined = {one.type for one in prepared.config.linux.namespaces if one.path}
    own = tuple(member.path for member in prepared.cgroup.members)
    outside: set[int] = set()  # slots that are not filled
    binds: list[str] = []
    sources: set[int] = set()
    for op in prepared.plan.ops:
        slot = getattr(op, "slot", 0)
        if isinstance(op, ops.CloneTree) and own and op.path.startswith(own):
            outside.add(slot)
        if (slot in outside and not isinstance(op, ops.Await)) or _left_out(op, joined):
            continue
        if isinstance(op, ops.AttachRoot | ops.ChangeRoot):
            if not whole:
                yield ops.Await(name=ops.RENDEZVOUS_READY, slot=0, count=0)
                return
            yield from cover or (ops.Await(name=ops.RENDEZVOUS_MOUNTED, slot=0, count=0),)
        if isinstance(op, ops.CloneTree) and not op.rdev:
            sources.add(slot)
        if isinstance(op, ops.PropagateRoot):
            op = ops.PropagateRoot(flags=MS_REC | MS_SLAVE, pointer=op.pointer, action=op.action)
        path = getattr(op, "path", "")
        if isinstance(op, MAKES_FILES) and _below(path, binds):
            if slot:
                outside.add(slot)
            continue
        if isinstance(op, ops.Attach) and slot in sources:
            yield ops.SetAttributes(
                slot=slot, set=READ_ONLY, clear=0, recursive=1, keep_locked=1, explicit=0
            )
            binds.append(os.path.normpath(path) + "/")
        yield op
        if isinstance(op, ops.Await) and op.name == ops.RENDEZVOUS_READY:
            return


def _left_out(op: Op, joined: set[str]) -> bool:
    if isinstance(op, LEFT_OUT):
        return True
    if isinstance(op, ops.WriteProc) and op.path.startswith("sys/"):
        return bool(joined)
    if isinstance(op, ops.LoadSeccomp) and op.listener:
        return True
    return any(isinstance(op, kind) and name in joined for kind, name in OF_NAMESPACE)


def _below(path: str, binds: Sequence[str]) -> bool:
    return path.startswith(tuple(binds)) if binds else False


def _serve(
    prepared: PreparedCreate,
    plan: Plan,
    *,
    image: int,
    ready: Callable[[Child], None] | None,
    group: Cgroup | None,
) -> None:
    from pyrunc.lifecycle import mount_sources
    from pyrunc.lifecycle.idmapped_mounts import Mapper

    read, write = os.pipe2(os.O_CLOEXEC)  # in the place of the gate and the files for output
    mapper = Mapper(plan.requests)
    masters: list[int] = []  # a terminal whose master is closed answers EIO

    def keep_master(message: Message) -> Sequence[int]:
        masters.extend(os.dup(fd) for fd in message.fds)
        return ()

    def cover_image(message: Message) -> Sequence[int]:
        mount_sources.cover(image, prepared.rootfs, pid=child.pid, action=TRY_ROOT)
        return ()

    try:
        child = spawn(plan, [write] * plan.objects, preserve_fds=prepared.preserve_fds)
        try:
            child.serve(
                {
                    ops.RENDEZVOUS_NAMESPACES: lambda message: _admit(prepared, child, group),
                    ops.RENDEZVOUS_CGROUPS: lambda message: (),
                    ops.RENDEZVOUS_MOUNTS: lambda message: mapper.next(
                        plan.ops[message.op].count,
                        pid=child.pid,
                    ),
                    ops.RENDEZVOUS_MAP: lambda message: mapper.map(message, plan, pid=child.pid),
                    ops.RENDEZVOUS_SOURCE: lambda message: mount_sources.answer(
                        message, plan, pid=child.pid
                    ),
                    ops.RENDEZVOUS_MOUNTED: cover_image,
                    ops.RENDEZVOUS_HOOKS: lambda message: (),
                    ops.RENDEZVOUS_CONSOLE: keep_master,
                    ops.RENDEZVOUS_READY: lambda message: _on_ready(child, ready),
                },
                until=ops.RENDEZVOUS_READY,
                on_forked=lambda: None,
            )
        finally:
            child.kill()
    finally:
        mapper.close()
        for fd in masters:
            os.close(fd)
        os.close(read)
        os.close(write)


def _on_ready(child: Child, ready: Callable[[Child], None] | None) -> Sequence[int]:
    handover.set_limits(child)
    if ready is not None:
        ready(child)
    return ()


def _admit(prepared: PreparedCreate, child: Child, group: Cgroup | None) -> Sequence[int]:
    """Write the id maps and clocks, and put the init into a cgroup where that is allowed."""
    if group is not None:
        try:
            group.put("cgroup.procs", str(child.pid))
        except OSError as error:
            log.debug(f"the init is not put into {group.path}: {error.strerror}")
    kinds, linux = prepared.new_namespaces, prepared.config.linux
    files = id_maps.ProcessFiles(child.pid)
    try:
        if "user" in kinds:
            id_maps.write_maps(
                files, uids=linux.uid_mappings, gids=linux.gid_mappings, pointer=linux.pointer
            )
        if "time" in kinds and linux.time_offsets:
            id_maps.write_time_offsets(
                files, linux.time_offsets, pointer=f"{linux.pointer}/timeOffsets"
            )
    finally:
        files.close()
    return ()


def _overlay(prepared: PreparedCreate) -> int:
    """Return a detached overlay over the image, which the caller closes."""
    from pyrunc.lifecycle import mount_sources

    status = os.stat(prepared.rootfs)
    plan = Plan(
        [
            ops.SetDumpable(value=0),
            ops.Unshare(flags=NAMESPACES["mount"], action=TRY_ROOT),
            ops.PropagateRoot(flags=MS_REC | MS_SLAVE, action=TRY_ROOT),
            *_layers(prepared.rootfs, (IMAGE, COVER, OVERLAY), status.st_uid, status.st_gid),
            ops.MapMount(slot=OVERLAY, pointer="/root/path", action=TRY_ROOT),
        ]
    )
    return mount_sources.receive(plan, until=ops.RENDEZVOUS_MAP)[0]


def _cover(prepared: PreparedCreate, *, first: int) -> list[Op]:
    """Plan the overlay of an init in a user namespace of its own, and put it over the image."""
    slots = (first, first + 1, first + 2)
    layers = _layers(prepared.rootfs, slots, 0, 0, more=("userxattr",))
    return [*layers, ops.Attach(slot=slots[2], path=prepared.rootfs, flags=0, action=TRY_ROOT)]


def _layers(
    root: str, slots: tuple[int, int, int], uid: int, gid: int, *, more: Sequence[str] = ()
) -> list[Op]:
    """Plan an overlay of the image in the last of three slots; its layers lie on the image."""
    image, cover, overlay = slots
    mode = os.stat(root).st_mode & 0o7777
    lower = root.replace("\\", "\\\\").replace(":", "\\:")
    options = (f"lowerdir={lower}/lower", f"upperdir={root}/upper", f"workdir={root}/work", *more)

    def directory(name: str, mode: int, uid: int, gid: int) -> Op:
        path = f"{root}/{name}"
        return ops.MakeDirectory(path=path, mode=mode, uid=uid, gid=gid, action=TRY_ROOT)

    return [
        ops.CloneTree(
            slot=image, path=root, recursive=0, nofollow=1, type=0, rdev=0, ask=0, action=TRY_ROOT
        ),
        _new_mount(cover, "tmpfs", ("mode=755",)),
        ops.Attach(slot=cover, path=root, flags=0, action=TRY_ROOT),
        directory("lower", 0o755, 0, 0),
        directory("upper", mode, uid, gid),
        directory("work", 0o755, 0, 0),
        ops.Attach(slot=image, path=f"{root}/lower", flags=0, action=TRY_ROOT),
        _new_mount(overlay, "overlay", options),
    ]


def _new_mount(slot: int, fstype: str, options: Sequence[str]) -> Op:
    return ops.NewMount(
        slot=slot, fstype=fstype, source=fstype, options=options, attributes=0, action=TRY_ROOT
    )
