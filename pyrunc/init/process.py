# SPDX-License-Identifier: Apache-2.0
"""The program of a container: environment, credentials, working directory, the filter, execve.

For create and exec.

PURE.
"""

from __future__ import annotations

from stat import S_IFREG
from struct import pack

from pyrunc.init import capabilities, namespaces, ops
from pyrunc.init.namespaces import check_ids
from pyrunc.spec.options import MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from pyrunc.init.capabilities import Sets
    from pyrunc.init.context import Context
    from pyrunc.init.ops import Op
    from pyrunc.spec.model import Process

    class FilterLike(Protocol):
        program: bytes
        flags: int
        listener: int

        @property
        def lets_fork(self) -> bool: ...


DEFAULT_PATH = "/bin:/usr/bin"  # what the C library searches without PATH


def last_wins(env: Sequence[str]) -> dict[str, str]:
    """Sort out the variables by name: of several the last one wins, and has its place."""
    values: dict[str, str] = {}
    for variable in env:
        name, _, value = variable.partition("=")
        values.pop(name, None)
        values[name] = value
    return values


class Environment:
    """The program's variables; `home` and `listen` are the indices of what the init fills in."""

    __slots__ = ("home", "listen", "path", "variables")

    def __init__(
        self, env: Sequence[str], *, extra: Sequence[str] = (), listen_fds: int = 0
    ) -> None:
        values = last_wins((*env, *extra))
        if listen_fds:
            values |= {"LISTEN_FDS": str(listen_fds), "LISTEN_PID": "1"}
        filled = bool(values.get("HOME"))
        values.setdefault("HOME", "")
        names = list(values)
        self.home = ops.NO_INDEX if filled else names.index("HOME")
        self.listen = names.index("LISTEN_PID") if listen_fds else ops.NO_INDEX
        self.path = values.get("PATH", DEFAULT_PATH)
        self.variables = tuple(f"{name}={value}" for name, value in values.items())


def check(context: Context, process: Process) -> None:
    """Ids that the user namespace does not know, and groups where groups are forbidden."""
    user = process.user
    pointer = user.pointer
    check_ids(context, [(pointer + "/uid", user.uid)], groups=False)
    groups = enumerate(user.additional_gids)
    gids = [(f"{pointer}/additionalGids/{index}", gid) for index, gid in groups]
    check_ids(context, [(pointer + "/gid", user.gid), *gids], groups=True)
    if user.additional_gids and context.keep_groups:
        context.warn(
            pointer + "/additionalGids",
            "not set: the annotation run.oci.keep_original_groups keeps the caller's groups",
            value=", ".join(map(str, user.additional_gids)),
        )
    elif user.additional_gids and not context.setgroups:
        context.problem(
            pointer + "/additionalGids",
            "supplementary groups cannot be set: setgroups is denied in this user namespace",
            value=", ".join(map(str, user.additional_gids)),
            hint="map more than one group with newgidmap, or leave the property away",
        )


def filter_ops(process: Process, sets: Sets, filter: FilterLike | None) -> list[Op]:
    """Load the filter as the last thing, so that it has to allow as little as possible.

    That is write, execve and, without no_new_privs, which needs CAP_SYS_ADMIN to the last, the
    capset that gives it up.
    """
    if filter is None:
        return []
    load = ops.LoadSeccomp(
        flags=filter.flags,
        filter=filter.program,
        listener=int(filter.listener),
        pointer="/linux/seccomp",
        action="load the seccomp filter",
    )
    if process.no_new_privileges:
        return [load]
    pointer = process.pointer + "/capabilities"
    take = ops.AdjustCapabilities(
        effective=sets.effective | capabilities.SYS_ADMIN,
        permitted=sets.permitted | capabilities.SYS_ADMIN,
        inheritable=sets.inheritable,
        pointer=pointer,
        action="take CAP_SYS_ADMIN to load the seccomp filter",
    )
    give = ops.AdjustCapabilities(
        effective=sets.effective,
        permitted=sets.permitted,
        inheritable=sets.inheritable,
        pointer=pointer,
        action="set the capabilities under the seccomp filter",
    )
    return [take, load, give]


def close_descriptors(
    preserved: int,
    *,
    gate: int = 0,
    report: int = 0,
    output: tuple[int, int] = (0, 0),
    program: int = 0,
) -> Op:
    return ops.CloseDescriptors(
        preserved=preserved,
        gate=gate,
        report=report,
        out=output[0],
        err=output[1],
        program=program,
        action="close the runtime's descriptors",
    )


def stdio(context: Context, process: Process) -> list[Op]:
    """Give stdio to the program's user, without a terminal.

    The user could not open pipes and files of the caller again by name.
    """
    uid = process.user.uid
    if process.terminal or (uid == 0 and not context.userns):
        return []
    return [ops.OwnStdio(uid=uid, files=1, action=f"give stdin, stdout and stderr to user {uid}")]


def lend_stdio(context: Context, process: Process) -> list[Op]:
    """Give pipes of the caller to the program's user before the user namespace is entered.

    There nobody may: their owner has no id in it. Files stay the caller's.
    """
    if process.terminal or not context.userns or context.host.euid != 0:
        return []
    uid = process.user.uid
    host_id = namespaces.host_id(uid, context.uid_mappings)
    if host_id < 0:
        return []
    action = f"give pipes of stdin, stdout and stderr to user {uid}"
    return [ops.OwnStdio(uid=host_id, files=0, action=action)]


def credentials(
    context: Context, process: Process, sets: Sets, filter: FilterLike | None
) -> list[Op]:
    """In the order of CR-7.

    For a filter without no_new_privs CAP_SYS_ADMIN stays permitted, though not effective, until
    `filter_ops`.
    """
    user, pointer = process.user, process.pointer
    limits = pointer + "/capabilities"
    sequence: list[Op] = []
    kept = 0 if filter is None or process.no_new_privileges else capabilities.SYS_ADMIN
    sequence.append(
        ops.LimitBoundingSet(
            keep=sets.bounding,
            last=context.host.last_cap,
            pointer=limits + "/bounding",
            action="limit the capability bounding set",
        )
    )
    dropped = context.drops_groups or context.may_deny_groups
    if context.setgroups and (user.additional_gids or not dropped):
        gids = b"".join([pack("<I", gid) for gid in user.additional_gids])
        action = f"set the supplementary groups ({', '.join(map(str, user.additional_gids))})"
        sequence.append(
            ops.SetGroups(gids=gids, pointer=user.pointer + "/additionalGids", action=action)
        )
    action = f"become user {user.uid} and group {user.gid}"
    sequence.append(ops.SetIds(uid=user.uid, gid=user.gid, pointer=user.pointer, action=action))
    sequence.append(
        ops.SetCapabilities(
            effective=sets.effective,
            permitted=sets.permitted | kept,
            inheritable=sets.inheritable,
            ambient=sets.ambient,
            pointer=limits,
            action="set the capabilities",
        )
    )
    if process.no_new_privileges:
        action = "set no_new_privs"
        sequence.append(ops.SetNoNewPrivileges(pointer=pointer + "/noNewPrivileges", action=action))
    return sequence


def enter_cwd(process: Process, *, create: bool, retry_later: bool) -> list[Op]:
    """Enter the directory with the rights of the container's root, or else of the user.

    The program's user may enter directories that the container's root may not.
    """
    return [
        ops.ChangeDirectory(
            path=process.cwd,
            create=int(create),
            retry_later=int(retry_later),
            pointer=process.pointer + "/cwd",
            action=f"change to the working directory {process.cwd}",
        )
    ]


def look_up(process: Process, environment: Environment, *, program: int = 0) -> list[Op]:
    """With the final ids: the home directory where HOME is not set, and the program.

    `program` is the slot of one that is held already, or 0.
    """
    sequence: list[Op] = []
    if environment.home != ops.NO_INDEX:
        sequence.append(ops.FindHome(uid=process.user.uid, action="look up the home directory"))
    if program:
        return sequence
    sequence.append(
        ops.FindExecutable(
            name=process.args[0],
            search=environment.path,
            pointer=process.pointer + "/args/0",
            action=f'find the program "{process.args[0]}"',
        )
    )
    return sequence


def hold_program(path: str, slot: int) -> list[Op]:
    """Clone a program of the host as a read-only mount, so that no /proc/self/exe writes to it."""
    action = f"hold the handler's program {path}"
    return [
        ops.CloneTree(
            slot=slot,
            path=path,
            recursive=0,
            nofollow=0,
            type=S_IFREG,
            rdev=0,
            ask=0,
            action=action,
        ),
        ops.SetAttributes(
            slot=slot,
            set=MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
            clear=0,
            recursive=0,
            keep_locked=1,
            explicit=0,
            action=action,
        ),
    ]


def execute(process: Process, environment: Environment, *, preserved: int, program: int = 0) -> Op:
    """Execute the program that was found, or the one that is held in the slot `program`."""
    if program:
        return ops.ExecuteSlot(
            slot=program,
            argv=process.args,
            env=environment.variables,
            home=environment.home,
            listen=environment.listen,
            preserved=preserved,
            pointer=process.pointer + "/args",
            action=f'execute the handler "{process.args[0]}"',
        )
    return ops.Execute(
        argv=process.args,
        env=environment.variables,
        home=environment.home,
        listen=environment.listen,
        preserved=preserved,
        pointer=process.pointer + "/args",
        action=f'execute "{process.args[0]}"',
    )


def ready() -> Op:
    """Let the parent set the resource limits and commit the state."""
    return ops.Await(
        name=ops.RENDEZVOUS_READY, slot=0, count=0, action="wait for the parent to commit"
    )


def console(process: Process, *, bind: bool, take: bool) -> list[Op]:
    """Open a terminal of the container's own devpts; its master goes to the parent.

    `take` it for the session: the task goes on as the program.
    """
    size = process.console_size
    planned: list[Op] = [
        ops.OpenConsole(
            rows=size.height if size else 0,
            columns=size.width if size else 0,
            uid=process.user.uid,
            bind=int(bind),
            pointer=process.pointer + "/terminal",
            action="open a terminal",
        )
    ]
    return [*planned, take_terminal(process)] if take else planned


def take_terminal(process: Process) -> Op:
    pointer = process.pointer + "/terminal"
    return ops.TakeTerminal(pointer=pointer, action="make it the terminal of the session")
