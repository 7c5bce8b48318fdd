# SPDX-License-Identifier: Apache-2.0
"""``linux.seccomp`` as values: checks without libseccomp, rules with kernel numbers. PURE.

`spec` has checked the shape already; what is checked here is what the filter's own meaning needs.
"""

from __future__ import annotations

from pyrunc.errors import Failure
from pyrunc.seccomp import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from pyrunc.spec.model_linux import Seccomp, SyscallArg, SyscallRule

MAX_RULES = 100_000  # names in all rules; a profile of the engines has some 400
MAX_ERRNO = 4095  # the kernel cuts larger ones off
ARGUMENTS = 6

# The init tells its parent the number of the listener with write(2), after the filter is loaded:
# nobody could answer yet.
NEEDED_BEFORE_HANDOVER = ("write",)

Condition = tuple[int, int, int, int]  # argument, operator, value, second value


class Rule:
    """One action for some names; `alternatives` are lists of conditions, none if unconditional."""

    __slots__ = ("action", "alternatives", "names", "pointer")

    def __init__(
        self,
        action: int,
        *,
        names: Sequence[str],
        alternatives: Sequence[tuple[Condition, ...]],
        pointer: str,
    ) -> None:
        self.action = action
        self.names = names
        self.alternatives = alternatives
        self.pointer = pointer


class Profile:
    """A profile whose names are known to be good."""

    __slots__ = ("architectures", "default", "flags", "listener", "pointer", "rules")

    def __init__(self, node: Seccomp) -> None:
        self.pointer = node.pointer
        self.default = _action(
            node.default_action,
            node.default_errno_ret,
            node.pointer,
            ("defaultAction", "defaultErrnoRet"),
        )
        self.rules = [_rule(rule) for rule in node.syscalls]
        self.listener = any(rule.action == names.NOTIFY for rule in self.rules)
        self.architectures = [
            _known(names.ARCHITECTURES, name, node.pointer, "architectures", place)
            for place, name in enumerate(node.architectures)
        ]
        self.flags = _flags(node, self.listener)
        _check_listener(node, self)
        if sum(len(rule.names) for rule in self.rules) > MAX_RULES:
            _refuse(f"{node.pointer}/syscalls", f"more than {MAX_RULES} system calls")

    @property
    def stub(self) -> bool:
        """Whether numbers above the newest named one answer ENOSYS.

        Not where the default lets them through, nor where a tracer decides: it must see calls that
        are newer than it.
        """
        return self.default & names.ACTION_MASK not in (names.ALLOW, names.LOG, names.TRACE)


def _refuse(pointer: str, message: str, hint: str = "") -> NoReturn:
    raise Failure(f"{pointer or '/linux/seccomp'}: {message}", pointer=pointer, hint=hint)


def _known(table: Mapping[str, int], name: str, pointer: str, *path: object) -> int:
    """Return a name's value; `path` leads from `pointer` to the name."""
    value = table.get(name)
    if value is None:
        pointer = "/".join([pointer, *map(str, path)])
        _refuse(pointer, f"{name!r} is not one of {', '.join(table)}")
    return value


def _action(
    name: str,
    errno_ret: int | None,
    pointer: str,
    properties: tuple[str, str] = ("action", "errnoRet"),
) -> int:
    """Return the kernel's value of an action.

    Without a number, ERRNO and TRACE carry EPERM.
    """
    action = _known(names.ACTIONS, name, pointer, properties[0])
    if errno_ret is None:
        return action | names.EPERM if name in names.TAKES_ERRNO else action
    where = f"{pointer}/{properties[1]}"
    if name not in names.TAKES_ERRNO:
        _refuse(where, f"{name} takes no error number (got {errno_ret})", "remove it")
    most = MAX_ERRNO if name == "SCMP_ACT_ERRNO" else names.DATA_MASK
    if not 0 <= errno_ret <= most:
        _refuse(where, f"{errno_ret} is not from 0 to {most}")
    return action | errno_ret


def _rule(node: SyscallRule) -> Rule:
    return Rule(
        _action(node.action, node.errno_ret, node.pointer),
        names=node.names,
        alternatives=_alternatives(node.args) if node.args else (),
        pointer=node.pointer,
    )


def _alternatives(args: Sequence[SyscallArg]) -> list[tuple[Condition, ...]]:
    """Return conditions as alternatives if they are on one argument, as in runc and crun.

    Others must all hold.
    """
    conditions = [_condition(argument) for argument in args]
    indices = {condition[0] for condition in conditions}
    if len(indices) < len(conditions):
        return [(condition,) for condition in conditions]
    return [tuple(conditions)]


def _condition(node: SyscallArg) -> Condition:
    if not 0 <= node.index < ARGUMENTS:
        _refuse(f"{node.pointer}/index", f"{node.index} is not from 0 to {ARGUMENTS - 1}")
    operator = _known(names.OPERATORS, node.op, node.pointer, "op")
    return node.index, operator, node.value, node.value_two or 0


def _flags(node: Seccomp, listener: bool) -> int:
    """Return the flags; absent means SPEC_ALLOW, empty means none.

    Without SPEC_ALLOW the kernel slows a filtered program's speculation down.
    """
    if node.flags is None:
        flags = names.SPEC_ALLOW
    else:
        flags = 0
        for place, name in enumerate(node.flags):
            flags |= _known(names.FLAGS, name, node.pointer, "flags", place)
    if flags & names.WAIT_KILLABLE_RECV and not listener:
        _refuse(
            f"{node.pointer}/flags",
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY",
        )
    if flags & names.TSYNC:
        # Else a thread that cannot follow is reported as a positive result, and a listener is
        # refused altogether.
        flags |= names.TSYNC_ESRCH
    return flags | (names.NEW_LISTENER if listener else 0)


def _check_listener(node: Seccomp, profile: Profile) -> None:
    if profile.default == names.NOTIFY:
        _refuse(
            f"{node.pointer}/defaultAction",
            "SCMP_ACT_NOTIFY cannot be the default action: the init's own calls would wait "
            "for an agent that has no descriptor yet",
        )
    if profile.listener and not node.listener_path:
        _refuse(
            f"{node.pointer}/listenerPath", "SCMP_ACT_NOTIFY needs listenerPath, the agent's socket"
        )
    if node.listener_metadata and not node.listener_path:
        _refuse(f"{node.pointer}/listenerMetadata", "listenerMetadata needs listenerPath")
    for rule in profile.rules if profile.listener else ():
        for name in NEEDED_BEFORE_HANDOVER:
            if rule.action == names.NOTIFY and name in rule.names:
                _refuse(
                    f"{rule.pointer}/names",
                    f"SCMP_ACT_NOTIFY cannot be used for {name}: the init needs it to hand the "
                    "listener over",
                )
