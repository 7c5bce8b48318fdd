# SPDX-License-Identifier: Apache-2.0
"""Which of the init's last calls a container's filter refuses.

Between the filter and the program the init calls capset (without no_new_privs), write and execve. A
rule may judge their arguments: addresses, and a descriptor whose number nobody knows beforehand.
"""

from __future__ import annotations

from errno import ENOSYS

from pyrunc.errors import Failure, InitError
from pyrunc.host import refusals as outer
from pyrunc.lifecycle.state import CONFIG
from pyrunc.spec import check_seccomp
from pyrunc.spec.config import parse_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from pyrunc.errors import Problem
    from pyrunc.lifecycle.state import StateDirectory
    from pyrunc.seccomp.filter import Filter
    from pyrunc.spec.model import Config
    from pyrunc.spec.model_linux import Seccomp

# Where programs and the stack lie, with and without randomised addresses.
ADDRESSES: Final = (0x400000, 0x555555555000, 0x7F841BCD3000)
POINTERS: Final = tuple((one, one + 0x100, one + 0x200) for one in ADDRESSES)
# The init reports to one of them, and never to what the program has as its standard streams.
MESSAGES: Final = tuple((fd, ADDRESSES[-1], 256) for fd in range(3, 64))
ARGUMENTS: Final = {
    "capset": POINTERS,
    "write": MESSAGES,
    "execve": POINTERS,
    "execveat": tuple((fd, *ADDRESSES, 0x1000) for fd in range(3, 64)),  # AT_EMPTY_PATH
    "exit_group": ((0,), (1,)),
}
STEPS: Final = {"capset": "capset", "execve": "execve"}  # of the init: the call that failed


def answers(compiled: Filter, name: str) -> set[int]:
    """Return what a filter returns for a call, whatever its arguments are here."""
    from pyrunc.seccomp import bpf, library, refusals

    (number,) = library.resolve(library.NATIVE, [name])
    instructions = bpf.decode(compiled.program)
    return {
        refusals.answer(instructions, library.NATIVE, number, arguments)
        for arguments in ARGUMENTS[name]
    }


def problem(compiled: Filter, node: Seccomp, needed: Iterable[str]) -> Problem | None:
    """Return what is wrong with a filter that never lets a call of the start pass, or None."""
    from pyrunc.seccomp import names

    for name in needed:
        told = answers(compiled, name)
        if not any(one & names.ACTION_MASK in names.PASSING for one in told):
            return check_seccomp.unstartable(node.pointer, sentence(min(told), name), name)
    return None


def sentence(action: int, name: str) -> str:
    """Return what a filter does with a call."""
    from pyrunc.seccomp import names

    kind = action & names.ACTION_MASK
    if kind == names.TRACE:
        return f"the filter refuses {name} (SCMP_ACT_TRACE, and no tracer is there)"
    doing = {names.ERRNO: "refuses", names.TRAP: "sends SIGSYS to whoever calls"}
    return f"the filter {doing.get(kind, 'kills with SIGSYS whoever calls')} {name}"


def blame_saved(failure: Failure, directory: StateDirectory) -> None:
    """Blame the filter of a container that was created, if that may be the reason.

    A saved configuration that cannot be read must not hide the failure.
    """
    try:
        data = (directory.read(CONFIG) or "").encode("utf-8", "surrogateescape")
        config = parse_config(data, source=CONFIG)
    except (Failure, OSError):
        return
    blame(failure, config)


def blame(failure: Failure, config: Config) -> None:
    """Name the call that the container's filter refuses to the init, if that may be the reason."""
    node = config.linux.seccomp
    if node is None or not isinstance(failure, InitError) or failure.hint == outer.ADVICE:
        return
    from pyrunc import seccomp

    compiled = seccomp.compile(
        node, raw=config.raw["linux"]["seccomp"], annotations=config.annotations
    )
    for name in _suspects(failure):
        told = answers(compiled, name) if compiled is not None else ()
        for action in sorted(told):
            if _explains(action, failure.errno):
                failure.message = f"{failure}: {sentence(action, name)}"
                failure.pointer = node.pointer
                failure.hint = f"add {name} to the names of a rule with SCMP_ACT_ALLOW"
                return


def _suspects(failure: Failure) -> Iterable[str]:
    """Return the calls one of which may have failed."""
    if failure.op == "execute_slot":
        return ("execveat",)
    if failure.op:
        step = STEPS.get(failure.step)
        return (step,) if step else ()
    return ("capset", "write", "execve", "execveat")


def _explains(action: int, errno: int) -> bool:
    """Whether a filter's answer leads to this errno, 0: to an end without a word."""
    from pyrunc.seccomp import names

    kind = action & names.ACTION_MASK
    if kind == names.TRACE:
        return errno in (0, ENOSYS)
    if kind in names.PASSING:
        return False
    return not errno or (kind == names.ERRNO and action & names.DATA_MASK == errno)
