# SPDX-License-Identifier: Apache-2.0
"""The words for what the init reports as {op, step, errno}: a sentence, and maybe a hint. PURE.

Engines match parts of the sentences (`executable file not found in $PATH`, `not a directory`, ...),
so these stay.
"""

from __future__ import annotations

from errno import EACCES, ELOOP, ENOENT, EPERM, ESTALE

from pyrunc.init.hints import HINTS
from pyrunc.init.program_hints import NEWLINE, program_hint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    # What could not be done, and the errno whose text still belongs to it (0: none).
    Sentence = tuple[str, int]

SIGSYS = 31
MAX_OUTPUT = 400  # characters of a hook's output in an error line


def hint(op: str, step: str, errno: int, detail: str = "") -> str:
    """Return what a user can do about a failure, or nothing."""
    if (op, step) == ("execute", "execve"):
        advice = program_hint(errno, detail.partition(NEWLINE)[2])
        if advice:
            return advice
    return HINTS.get((op, step, errno)) or HINTS.get((op, step, 0), "")


def sentence(
    op: Any, step: str, errno: int, detail: str, refused: str = ""
) -> tuple[str, int, str]:
    """Return what could not be done, the errno whose text is to be added, and further detail.

    The detail is empty when the sentence contains it already. `refused` says that a filter around
    us refuses calls: no other reason is looked for.
    """
    if refused:
        return f"cannot {op.action or op.NAME.replace('_', ' ')}: {refused}", errno, detail
    words = SENTENCES.get((op.NAME, step)) or SENTENCES.get((op.NAME, ""))
    if words is not None:
        return (*words(op, errno, detail), "")
    message = f"cannot {op.action or op.NAME.replace('_', ' ')}"
    return (f"{message} ({detail})" if detail else message), errno, ""


def _not_in_path(op: Any, errno: int, detail: str) -> Sentence:
    if errno == ENOENT:
        return f'exec: "{op.name}": executable file not found in $PATH', 0
    return f'exec: "{detail or op.name}"', errno


def _stat(op: Any, errno: int, detail: str) -> Sentence:
    return f'exec: "{op.name}": stat {detail or op.name}', errno


def _is_directory(op: Any, errno: int, detail: str) -> Sentence:
    # execve of a directory is EACCES, and engines before the phrase look for that text.
    return f'exec: "{detail or op.name}": is a directory', EACCES


def _permission(op: Any, errno: int, detail: str) -> Sentence:
    return f'exec: "{detail or op.name}"', errno


def _execve(op: Any, errno: int, detail: str) -> Sentence:
    return f"exec {detail.partition(NEWLINE)[0] or op.argv[0]}", errno


def _hook_exit(op: Any, errno: int, detail: str) -> Sentence:
    signal = errno & 0x7F  # a wait status travels in the place of the errno
    if signal == SIGSYS:
        return f"error running {op.action}: signal {signal}: the seccomp filter has killed it", 0
    ending = f"signal {signal}" if signal else f"exit status {errno >> 8 & 0xFF}"
    return f"error running {op.action}: {ending}{_output(detail)}", 0


def _hook_timeout(op: Any, errno: int, detail: str) -> Sentence:
    seconds = op.timeout_ms / 1000
    text = f"error running {op.action}: hook ran past specified timeout of {seconds:.1f}s"
    return f"{text}{_output(detail)}", 0


def _hook_spawn(op: Any, errno: int, detail: str) -> Sentence:
    return f"error running {op.action}: fork/exec {op.path}", errno


def _hook_filter(op: Any, errno: int, detail: str) -> Sentence:
    return f"error running {op.action}: cannot load the seccomp filter for {op.path}", errno


def _hook_output(op: Any, errno: int, detail: str) -> Sentence:
    return f"error running {op.action}: cannot write its output to the file of run.oci.hooks", errno


def _output(detail: str) -> str:
    text = " ".join(detail.split())
    if len(text) > MAX_OUTPUT:
        text = "…" + text[-MAX_OUTPUT:]
    return f", output: {text}" if text else ""


def _not_ours(op: Any, errno: int, detail: str) -> Sentence:
    if errno == ESTALE:
        return f"cannot {op.action}: something else is mounted over it", 0
    return f"cannot {op.action}", errno


def _outside(op: Any, errno: int, detail: str) -> Sentence:
    return (
        "current working directory is outside of container mount namespace root "
        "-- possible container breakout detected",
        0,
    )


def _chdir(op: Any, errno: int, detail: str) -> Sentence:
    # The process of an exec comes from --cwd or a file of its own.
    where = " set in config.json" if op.pointer.startswith("/process/") else ""
    return f'chdir to cwd ("{op.path}"){where} failed', errno


def _locked(op: Any, errno: int, detail: str) -> Sentence:
    return f"cannot {op.action}: cannot clear locked flags", errno


def _attach(op: Any, errno: int, detail: str) -> Sentence:
    if errno == EPERM:
        why = f'"{op.path}" cannot be mounted because it is inside /proc'
        return f"cannot {op.action}: {why}", errno
    if errno == ELOOP:
        return f'cannot {op.action}: "{op.path}" is no ordinary directory', errno
    return (f"cannot {op.action} ({detail})" if detail else f"cannot {op.action}"), errno


def _not_proc(op: Any, errno: int, detail: str) -> Sentence:
    if op.magic == 0x9FA0:  # PROC_SUPER_MAGIC
        return f'"{op.path}" cannot be mounted because it is not of type proc', 0
    return f"cannot {op.action}", errno


def _option(op: Any, errno: int, detail: str) -> Sentence:
    return (f"cannot {op.action}: option {detail}" if detail else f"cannot {op.action}"), errno


SENTENCES: dict[tuple[str, str], Callable[[Any, int, str], Sentence]] = {
    ("find_executable", "path"): _not_in_path,
    ("find_executable", "stat"): _stat,
    ("find_executable", "directory"): _is_directory,
    ("find_executable", "permission"): _permission,
    ("execute", "execve"): _execve,
    ("run_hook", "exit"): _hook_exit,
    ("run_hook", "filter"): _hook_filter,
    ("run_hook", "timeout"): _hook_timeout,
    ("run_hook", "spawn"): _hook_spawn,
    ("run_hook", "output"): _hook_output,
    ("detach_mount", "verify"): _not_ours,
    ("change_directory", "verify"): _outside,
    ("change_directory", ""): _chdir,
    ("set_attributes", "locked"): _locked,
    ("attach", "verify"): _attach,
    ("attach", "create"): _attach,
    ("attach", "resolve"): _attach,
    ("verify_mount", "magic"): _not_proc,
    ("new_mount", "option"): _option,
}
