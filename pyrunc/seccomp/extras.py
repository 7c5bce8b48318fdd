# SPDX-License-Identifier: Apache-2.0
"""The annotations `run.oci.seccomp*` that crun honours, too.

seccomp_bpf_data                  a program in base64 to load instead of the profile's
seccomp_fail_unknown_syscall      a system call that no table knows is an error
seccomp.plugins                   shared objects that answer notifications (pyrunc.plugins)

(`run.oci.seccomp.receiver` is filled in before: lifecycle/caller_defaults.py.)
"""

from __future__ import annotations

from pyrunc.errors import Failure
from pyrunc.seccomp import names
from pyrunc.seccomp.filter import Filter, Report
from pyrunc.seccomp.opcodes import INSTRUCTION_SIZE, MAX_INSTRUCTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from pyrunc.spec.model_linux import Seccomp

PREFIX: Final = "run.oci.seccomp"
DATA: Final = "run.oci.seccomp_bpf_data"
FAIL_UNKNOWN: Final = "run.oci.seccomp_fail_unknown_syscall"


def raw_filter(node: Seccomp, annotations: Mapping[str, str]) -> Filter | None:
    """Return the program that an annotation gives as bytes; None when there is none."""
    text = annotations.get(DATA)
    if text is None:
        return None
    import binascii

    try:
        program = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise _refused(DATA, "the program is no base64") from None
    if not program or len(program) % INSTRUCTION_SIZE:
        raise _refused(DATA, f"{len(program)} bytes are no whole instructions")
    if len(program) // INSTRUCTION_SIZE > MAX_INSTRUCTIONS:
        raise _refused(DATA, f"the program has more than {MAX_INSTRUCTIONS} instructions")
    return Filter(program, flags=_flags(node), listener=False, report=Report())


def _flags(node: Seccomp) -> int:
    if node.flags is None:
        return names.SPEC_ALLOW
    flags = 0
    for name in node.flags:
        flags |= names.FLAGS.get(name, 0)
    return flags | (names.TSYNC_ESRCH if flags & names.TSYNC else 0)


def check_unknown(compiled: Filter, annotations: Mapping[str, str]) -> None:
    """Refuse unknown names where asked: an ignored name leaves a hole, or forbids a call."""
    if annotations.get(FAIL_UNKNOWN, "0") in ("", "0", "false") or not compiled.report.ignored:
        return
    unknown = ", ".join(compiled.report.ignored)
    raise Failure(
        f"unknown system call in the seccomp profile: {unknown}",
        pointer="/linux/seccomp/syscalls",
        hint=f"the annotation {FAIL_UNKNOWN} makes this an error",
    )


def _refused(name: str, message: str) -> Failure:
    return Failure(f"annotation {name}: {message}", pointer=f"/annotations/{name}")
