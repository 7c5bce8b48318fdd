# SPDX-License-Identifier: Apache-2.0
"""The namespaces of a container, new and joined, in the order that kernel rights demand. PURE."""

from __future__ import annotations

from errno import EACCES, ENOSYS, EPERM

from pyrunc.init import ops
from pyrunc.spec.constants import NAMESPACES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyrunc.host.facts import Host
    from pyrunc.init.cgroup_view import CgroupView
    from pyrunc.init.context import Context
    from pyrunc.init.ops import Op
    from pyrunc.spec.model import Config
    from pyrunc.spec.model_linux import IdMapping, Linux

KEEP_GROUPS = "run.oci.keep_original_groups"
# Who may search the keyring, as bits of KEYCTL_SETPERM: another uid of the same user namespace
# never is "other" to itself, a mapped root is.
KEY_USER_SEARCH = 0x80000
KEY_OTHER_SEARCH = 0x8


def settle(context: Context, config: Config) -> None:
    """Note the namespaces and ids of a container that is to be made."""
    linux = config.linux
    context.new = frozenset(entry.type for entry in linux.namespaces if not entry.path)
    context.joined = frozenset(entry.type for entry in linux.namespaces if entry.path)
    context.uid_mappings, context.gid_mappings = linux.uid_mappings, linux.gid_mappings
    context.root_uid = mapped_root(linux.uid_mappings) if "user" in context.new else 0
    context.root_gid = mapped_root(linux.gid_mappings) if "user" in context.new else 0
    if "user" in context.new:
        context.setgroups = not denies_setgroups(linux, context.host)
    elif context.host.in_userns:
        context.setgroups = not context.host.setgroups_denied
    if keeps_groups(config.annotations):
        context.setgroups, context.keep_groups = False, True


def keeps_groups(annotations: dict[str, str]) -> bool:
    """Return whether the annotation of crun keeps the caller's supplementary groups."""
    return annotations.get(KEEP_GROUPS, "0") not in ("", "0", "false")


def mapped_root(mappings: Iterable[IdMapping]) -> int:
    """Return 0 where it is mapped, else the lowest mapped id.

    Whoever makes a user namespace has all rights in it.
    """
    return min((entry.container_id for entry in mappings if entry.size), default=0)


def is_mapped(id: int, mappings: Iterable[IdMapping]) -> bool:
    return any(0 <= id - entry.container_id < entry.size for entry in mappings)


def host_id(id: int, mappings: Iterable[IdMapping]) -> int:
    """Return the caller's id for one of the container, -1 for one without."""
    for entry in mappings:
        if 0 <= id - entry.container_id < entry.size:
            return entry.host_id + id - entry.container_id
    return -1


def denies_setgroups(linux: Linux, host: Host) -> bool:
    """Return whether setgroups must be denied before the map of groups is written.

    A caller without CAP_SETGID may map only its own group, after that (user_namespaces(7)).
    """
    if host.euid == 0:
        return host.in_userns and host.setgroups_denied
    mappings = linux.gid_mappings
    return len(mappings) == 1 and mappings[0].size == 1 and mappings[0].host_id == host.egid


def flags(kinds: Iterable[str]) -> int:
    """CLONE_NEW* of some kinds."""
    value = 0
    for kind in kinds:
        value |= NAMESPACES[kind]
    return value


# -- ops, in the order of a plan -------------------------------------------------------------------


def begin(context: Context, *, oom_score_adj: int | None, pointer: str) -> list[Op]:
    """Set oom_score_adj, then make the init non-dumpable.

    The file belongs to the caller only while the init is dumpable, so it comes first.
    """
    planned: list[Op] = []
    if oom_score_adj is not None:
        slot = context.slot()
        planned += [
            ops.OpenProc(slot=slot, kind=ops.PROC_HOST, action="open /proc"),
            ops.WriteProc(
                proc=slot,
                path="self/oom_score_adj",
                value=str(oom_score_adj),
                readback="",
                # Without CAP_SYS_RESOURCE the value can only grow. Engines ask for 0 always,
                # below a user session that runs with 100 or 200: not worth a failure there.
                tolerate=EACCES if context.host.rootless else 0,
                pointer=pointer,
                action=f"set oom_score_adj to {oom_score_adj}",
            ),
            ops.CloseSlot(slot=slot),
        ]
    if not _late_dumpable(context):
        planned.append(ops.SetDumpable(value=0))
    return planned


def _late_dumpable(context: Context) -> bool:
    """Return whether the init stays dumpable until the id maps are written.

    Proc files of a non-dumpable task belong to root: an unprivileged parent could not write
    them.
    """
    return "user" in context.new and context.host.euid != 0


def open_up(context: Context) -> list[Op]:
    """Let an unprivileged caller look into the init before the gate, once it holds no secrets.

    It cannot take the listener of a filter or enter the namespaces of a task that is not dumpable,
    while root can. Who else can is a process of the container with the same ids and rights.
    """
    if context.host.euid == 0:
        return []
    return [ops.SetDumpable(value=1, action="let the caller join the container")]


def join(context: Context, linux: Linux) -> list[Op]:
    """Open every namespace, then join: with privilege the user namespace last, without it first.

    Root of the host has rights over all namespaces below it and loses them when it enters a user
    namespace; an unprivileged caller gets its rights from there.
    """
    entries = [entry for entry in linux.namespaces if entry.path]
    entries.sort(key=lambda entry: (entry.type == "user") == (context.host.euid == 0))
    opened, joined = [], []
    for entry in entries:
        slot, kind = context.slot(), NAMESPACES[entry.type]
        action = f"join the {entry.type} namespace {entry.path}"
        opened.append(
            ops.OpenNamespace(
                slot=slot,
                path=entry.path or "",
                kind=kind,
                pointer=entry.pointer + "/path",
                action=action,
            )
        )
        joined += [
            ops.JoinNamespace(
                slot=slot, kind=kind, tolerate=0, pointer=entry.pointer, action=action
            ),
            ops.CloseSlot(slot=slot),
        ]
    return opened + drop_groups(context) + joined


def drop_groups(context: Context) -> list[Op]:
    """Drop the caller's groups, which mean nothing in the container."""
    if not context.drops_groups:
        return []
    return [ops.SetGroups(gids=b"", action="give up the caller's supplementary groups")]


def unshare(context: Context) -> list[Op]:
    """Make the new namespaces at once: the kernel makes the user namespace first, as owner.

    Not the cgroup namespace: its root is the cgroup that the task is in when it is made.
    """
    kinds = sorted(context.new - {"cgroup"}, key=list(NAMESPACES).index)
    if not kinds:
        return []
    action = f"make new namespaces ({', '.join(kinds)})"
    return [ops.Unshare(flags=flags(kinds), pointer="/linux/namespaces", action=action)]


def await_parent(
    context: Context, cgroup: CgroupView, *, into: int, tasks: int, leaf: int
) -> list[Op]:
    """Let the parent write id maps and time offsets, move network devices and make cgroups.

    It hands the cgroups over, unless it attaches the process to them later.
    """
    count = 0 if cgroup.attached else int(cgroup.into) + cgroup.tasks + int(cgroup.leaf)
    planned: list[Op] = [
        ops.Await(
            name=ops.RENDEZVOUS_NAMESPACES,
            slot=(into or tasks or leaf) if count else 0,
            count=count,
            action="wait for the parent to set up namespaces and cgroups",
        )
    ]
    if _late_dumpable(context):
        planned.append(ops.SetDumpable(value=0))
    return planned


def become_root(context: Context) -> list[Op]:
    """Take the ids that own what is made in the container."""
    return [
        ops.Become(
            uid=context.root_uid,
            gid=context.root_gid,
            keep_groups=int(context.drops_groups or not context.setgroups),
            # Whoever made the namespace may have denied it.
            tolerate=EPERM if context.may_deny_groups else 0,
            action=f"become user {context.root_uid} and group {context.root_gid} of the container",
        )
    ]


def fork(*, cgroup: int = 0) -> list[Op]:
    """Plan to go on in a child: only a child enters a pid or a time namespace."""
    return [ops.Fork(cgroup=cgroup, action="start the container's first process")]


def caller_is_root(context: Context) -> bool:
    """Tell whether the container's root may move itself where the caller may.

    A cgroup v1 and the systemd of a user move processes of the caller only (kernel:
    __cgroup1_procs_write), and a user without privileges may have given root another id.
    """
    if not context.host.rootless or not context.userns:
        return True
    return host_id(context.root_uid, context.uid_mappings) == context.host.euid


def settle_down(
    context: Context, cgroup: CgroupView, *, into: int, tasks: int, leaf: int
) -> list[Op]:
    """Enter the cgroups, become the container's root, fork where only a child enters a namespace.

    The last process alone enters the cgroups: a limit on processes may be 1. In a pid namespace of
    others root comes before the fork, since the child may be seen there (JN-3); only a cgroup2 is
    entered with the fork, and with the rights of whoever forks. `forks_late`: `exposure.appear`.
    """
    enter: list[Op] = []
    if cgroup.tasks:
        action = "enter the container's cgroups"
        enter.append(ops.JoinCgroup(slot=tasks, count=cgroup.tasks, action=action))
    elif cgroup.attached:
        action = "wait for the parent to move this process into the container's cgroup"
        count = int(cgroup.leaf)
        enter.append(
            ops.Await(
                name=ops.RENDEZVOUS_CGROUPS, slot=leaf if count else 0, count=count, action=action
            )
        )
    root = become_root(context)
    planned: list[Op]
    if cgroup.into:
        planned = [*fork(cgroup=into), *enter, *root]
    elif context.forks_late or not (context.has("pid") or context.has("time")):
        planned = [*enter, *root]
    elif "pid" in context.new and enter:
        planned = [*fork(), *enter, *root]
    elif caller_is_root(context):
        planned = [*root, *fork(), *enter]
    else:
        planned = [*enter, *root, *fork()]
    if "cgroup" in context.new:
        kind = flags(["cgroup"])
        action = "make a new cgroup namespace"
        planned.append(ops.Unshare(flags=kind, pointer="/linux/namespaces", action=action))
    return planned


def enter_leaf(cgroup: CgroupView, *, leaf: int) -> list[Op]:
    """Move below the root of the new cgroup namespace.

    The container can then enable controllers there.
    """
    if not cgroup.leaf:
        return []
    return [ops.JoinCgroup(slot=leaf, count=1, action="enter the leaf of the container's cgroup")]


def session(context: Context, *, keyring: bool) -> list[Op]:
    """Plan a session, and an anonymous keyring: other processes could join a named one.

    A child has the keyring, but no terminal of a session whose leader ended: it starts its own.
    """
    planned: list[Op] = []
    if not context.forks_late:
        planned.append(ops.SetSession(action="start a new session"))
    if keyring:
        permissions = KEY_OTHER_SEARCH if context.userns else KEY_USER_SEARCH
        planned.append(
            ops.NewKeyring(
                permissions=permissions,
                tolerate=ENOSYS,  # a kernel without keys has none to keep apart
                action="make a new session keyring",
            )
        )
    return planned


def loopback(context: Context) -> list[Op]:
    """Bring up the interface lo, which is down in a new network namespace."""
    if "network" not in context.new:
        return []
    return [ops.RaiseLoopback(pointer="/linux/namespaces", action="set the interface lo up")]


def check_ids(context: Context, ids: Sequence[tuple[str, int]], *, groups: bool) -> None:
    """Ids of a process must exist in the user namespace (UN-5); a joined one knows its own."""
    mappings = context.gid_mappings if groups else context.uid_mappings
    if not context.userns or not mappings:
        return
    name = "gidMappings" if groups else "uidMappings"
    for pointer, id in ids:
        if not is_mapped(id, mappings):
            ranges = (
                f"{entry.container_id} to {entry.container_id + entry.size - 1}"
                for entry in mappings
            )
            context.problem(
                pointer,
                f"id {id} is not mapped in the user namespace",
                allowed=", ".join(ranges),
                hint=f"add it to linux.{name}",
            )
