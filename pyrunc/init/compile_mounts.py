# SPDX-License-Identifier: Apache-2.0
"""Compile the plans of `mounts add` and `mounts remove`. PURE.

A plan runs in a task that enters a running container and changes its mounts.

The container is hostile, as for `exec`: sources are cloned before the task joins its mount
namespace, targets are descriptors below the container's root, and what is unmounted is named by its
mount id.
"""

from __future__ import annotations

from pyrunc.init import capabilities, exposure, labels, mounts, namespaces, ops, paths, propagation
from pyrunc.init import rootfs as roots
from pyrunc.init.compile_exec import TARGET, become_process, join_container, settle
from pyrunc.init.mount_parts import Mounts
from pyrunc.init.plan import Plan
from pyrunc.spec.constants import NAMESPACES
from pyrunc.spec.options import CLASSIC_ONLY, parse_mount_options

TYPE_CHECKING = False
MOUNT = TARGET + 1  # the slot of the container's mount namespace
RESOLVE_NO_SYMLINKS = 0x04  # openat2(2)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyrunc.host.facts import Host
    from pyrunc.init.cgroup_view import CgroupView
    from pyrunc.init.context import Context
    from pyrunc.init.ops import Op
    from pyrunc.spec.model import Config


def compile_add(
    config: Config,
    host: Host,
    *,
    joined: Iterable[str],
    cgroup: CgroupView,
    source: str,
    links: Mapping[str, str] | None = None,
    rootfs: str = "",
) -> Plan:
    """Compile the plan of `mounts add`; `config` has the new mounts instead of the container's.

    Each mount is sent to the parent when it is attached (rendezvous mounted).
    """
    context = _context(config, host, joined, source=source, namespaces_held=1)
    planned = Mounts(
        context,
        cgroup=cgroup,
        label=labels.mount_option(context, config.linux.mount_label, config.annotations),
        links=links,
        sys_admin=capabilities.may_hold_sys_admin(config.process),
        rootfs=rootfs,
        propagation=propagation.of_root(config),
        inside_resolve=RESOLVE_NO_SYMLINKS,  # the container may have changed them
    )
    _check(context, config)
    context.forks_late = exposure.exposed(context)  # not at all: nothing of it needs the namespace
    mounts.plan(planned, config)
    sequence = namespaces.begin(context, oom_score_adj=None, pointer="")
    sequence += _enter(context, config, planned)
    sequence.append(ops.SetUmask(mask=0, action="clear the umask"))
    sequence += mounts.await_requests(planned)
    sequence += planned.made
    sequence += _reported(planned.inside)
    sequence += planned.late
    sequence.append(_done())
    context.finish()
    requests = [request for request, _slot in planned.requests]
    return Plan(
        sequence,
        objects=("process", "mount namespace"),
        requests=requests,
        mapped=planned.mapped,
        warnings=context.warnings,
    )


def compile_remove(
    config: Config,
    host: Host,
    *,
    joined: Iterable[str],
    targets: Sequence[tuple[str, int, str]],
) -> Plan:
    """`targets` are mount point, mount id and pointer, in the order of their going."""
    context = _context(config, host, joined, source="mounts")
    kinds = context.joined & {"user", "mount"}
    planned = namespaces.begin(context, oom_score_adj=None, pointer="")
    planned += [*namespaces.drop_groups(context), join_container(kinds), ops.CloseSlot(slot=TARGET)]
    planned += namespaces.become_root(context)
    for path, number, pointer in targets:
        action = f"unmount {path}"
        planned.append(ops.DetachMount(path=path, id=number, pointer=pointer, action=action))
    planned.append(_done())
    context.finish()
    return Plan(planned, objects=("process",))


def _context(
    config: Config, host: Host, joined: Iterable[str], *, source: str, namespaces_held: int = 0
) -> Context:
    kinds = frozenset(joined)
    context = settle(
        host,
        config.linux,
        kinds,
        tasks=namespaces_held,
        annotations=config.annotations,
        source=source,
    )
    if "mount" not in kinds:
        hint = "mount on the host instead, below the container's root"
        context.problem("", "the container has no mount namespace of its own", hint=hint)
    return context


def _check(context: Context, config: Config) -> None:
    """Refuse what only a container that is being made can have."""
    for mount in config.mounts:
        if parse_mount_options(mount).upper_size:
            message = "an overlay of a running container has no tmpfs for its upper layer"
            context.problem(mount.pointer + "/options", message, value="upper-size")
        if parse_mount_options(mount).flags & CLASSIC_ONLY:
            # The container could have put a link to a protected path there.
            context.problem(
                mount.pointer + "/options",
                "a mount of a running container cannot be changed",
                value="remount or iversion",
                hint="remove it and add another",
            )
        if paths.is_root(mount.destination):
            context.problem(
                mount.pointer + "/destination",
                "the root of a running container cannot be covered",
                hint="its processes would keep the old one",
            )


def _enter(context: Context, config: Config, wanted: Mounts) -> list[Op]:
    """Plan to enter the container, its mount namespace last.

    The host's objects are cloned before, in a copy of the host's mount namespace that belongs
    to the container's user namespace, so that the locks on their flags hold (UN-10) and no
    mount of the container reaches the host.
    """
    planned = namespaces.drop_groups(context)
    first = context.joined - {"mount"}
    planned += [join_container(first)] if first else []
    planned += wanted.early
    action = "copy the host's mount namespace"
    planned.append(ops.Unshare(flags=NAMESPACES["mount"], action=action))
    planned += [*wanted.peers, roots.part_from_host(config), *wanted.sources]
    # By its descriptor: the init of a container that is only created is not dumpable, and in the
    # container's user namespace the kernel does not let a pidfd of it be joined.
    action = "join the container's namespaces (mount)"
    planned += [
        ops.JoinNamespace(slot=MOUNT, kind=NAMESPACES["mount"], tolerate=0, action=action),
        ops.CloseSlot(slot=MOUNT),
        ops.CloseSlot(slot=TARGET),
    ]
    if context.forks_late:
        return planned + namespaces.become_root(context)
    return planned + become_process(context)


def _reported(inside: Sequence[Op]) -> list[Op]:
    """Plan to send the first mount of each entry to the parent; what lies below goes with it."""
    planned: list[Op] = []
    seen = set()
    for op in inside:
        planned.append(op)
        if isinstance(op, ops.Attach) and op.pointer not in seen:
            seen.add(op.pointer)
            op.flags |= ops.ATTACH_KEEP
            planned.append(ops.SendMount(slot=op.slot, pointer=op.pointer, action=op.action))
    return planned


def _done() -> Op:
    return ops.Await(name=ops.RENDEZVOUS_READY, slot=0, count=0, action="tell that all is done")
