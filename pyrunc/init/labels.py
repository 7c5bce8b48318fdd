# SPDX-License-Identifier: Apache-2.0
"""Security labels: AppArmor and SELinux for the program, its keyring and its mounts.

Asked for and not there is an error.

PURE.
"""

from __future__ import annotations

from pyrunc.init import ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.init.context import Context
    from pyrunc.init.ops import Op
    from pyrunc.spec.model import Process

NO_SELINUX = "selinux label is specified in config, but selinux is disabled or not supported"
NO_APPARMOR = "apparmor profile is specified in config, but apparmor is disabled or not supported"
CONTEXT_TYPE = "run.oci.mount_context_type"
CONTEXT_TYPES = ("context", "fscontext", "defcontext", "rootcontext")


def apparmor_profile(process: Process) -> str:
    """Return the profile to change to; `unconfined` is no change."""
    profile = process.apparmor_profile or ""
    return "" if profile == "unconfined" else profile


def wanted(process: Process) -> bool:
    return bool(process.selinux_label or apparmor_profile(process))


def check(context: Context, process: Process) -> None:
    host = context.host
    if process.selinux_label and not host.selinux:
        context.problem(process.pointer + "/selinuxLabel", NO_SELINUX, value=process.selinux_label)
    profile = apparmor_profile(process)
    if profile and not host.apparmor:
        context.problem(process.pointer + "/apparmorProfile", NO_APPARMOR, value=profile)


def open_proc(context: Context, process: Process) -> tuple[list[Op], int]:
    """Open a procfs for the label files, while the host's can still be reached.

    In a user namespace the kernel gives a new one only where nothing of the visible one is masked.
    """
    if not wanted(process):
        return [], 0
    slot = context.slot()
    kind = ops.PROC_HOST if context.confined else ops.PROC_PIDS
    return [ops.OpenProc(slot=slot, kind=kind, action="open /proc for security labels")], slot


def keyring(process: Process, *, proc: int, begin: bool) -> list[Op]:
    """Label the keys that are made between the two calls; a newline takes the label away again."""
    if not process.selinux_label:
        return []
    path = "thread-self/attr/keycreate"
    value = process.selinux_label if begin else "\n"
    return [
        ops.WriteProc(
            proc=proc,
            path=path,
            value=value,
            readback=value if begin else "",
            tolerate=0,
            pointer=process.pointer + "/selinuxLabel",
            action=f'label the session keyring "{process.selinux_label}": write to `/proc/{path}`',
        )
    ]


def program(context: Context, process: Process, *, proc: int) -> list[Op]:
    """Plan the label of the program, and read it back: a label that did not take is no label."""
    planned: list[Op] = []
    profile = apparmor_profile(process)
    if profile:
        path = f"thread-self/{context.host.apparmor_attr}"
        planned.append(
            ops.WriteProc(
                proc=proc,
                path=path,
                value=f"exec {profile}",
                readback=profile,
                tolerate=0,
                pointer=process.pointer + "/apparmorProfile",
                action=f'apply apparmor profile "{profile}": write to `/proc/{path}`',
            )
        )
    if process.selinux_label:
        path = "thread-self/attr/exec"
        planned.append(
            ops.WriteProc(
                proc=proc,
                path=path,
                value=process.selinux_label,
                readback=process.selinux_label,
                tolerate=0,
                pointer=process.pointer + "/selinuxLabel",
                action=f'apply selinux label "{process.selinux_label}": write to `/proc/{path}`',
            )
        )
    if proc:
        planned.append(ops.CloseSlot(slot=proc))
    return planned


def mount_option(context: Context, label: str | None, annotations: dict[str, str]) -> str:
    """Return the option that labels every file of a new file system; empty without a label."""
    if not label:
        return ""
    if not context.host.selinux:
        context.problem("/linux/mountLabel", NO_SELINUX, value=label)
    kind = annotations.get(CONTEXT_TYPE, "context")
    if kind not in CONTEXT_TYPES:
        context.problem(
            f"/annotations/{CONTEXT_TYPE}",
            "unknown type of mount label",
            value=kind,
            allowed=", ".join(CONTEXT_TYPES),
        )
    return f"{kind}={label}"
