# SPDX-License-Identifier: Apache-2.0
"""S6: each system call of the command and of its init fails once with each errno that it may give.

Either the command says so clearly and nothing is left, or the program runs with the whole posture.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.security.programme import posture
from tests.security.programme.place import (
    FOUND,
    REFUSED,
    SURVIVED,
    Place,
    Verdict,
    injector,
    unclear,
)
from tests.support.bundle import Config
from tests.support.runtime import Failed, Result

HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
VERBS = ("run", "create", "start", "exec", "kill", "delete")
# Calls that cannot fail, or whose failure no program can see.
NEVER = re.compile(
    r"exit|exit_group|rt_sig\w+|sigaltstack|get\w*id|getrandom|gettid|set_tid_address|umask|sched_yield"
    r"|brk|arch_prctl|rseq|set_robust_list|futex|restart_syscall|clock_gettime|uname|getcpu|vfork"
)
USUAL = ("ENOMEM", "EPERM")
# By a pattern of names: what the kernel may answer whatever the arguments are.
LEGAL = (
    (r"open|openat|openat2|memfd_create|socket\w*|pipe2?|fsopen|open_tree|fsmount|epoll_create1",
     ("EMFILE", "ENOMEM", "EACCES", "EINTR")),
    (r"dup\w*|fcntl|pidfd_open|inotify_init1", ("EMFILE", "EINVAL")),
    (r"p?read(v|64)?|recvmsg|recvfrom", ("EIO", "EINTR", "ENOMEM")),
    (r"p?write(v|64)?|sendmsg|sendto|ftruncate|sendfile|copy_file_range",
     ("EIO", "EINTR", "ENOSPC", "EPIPE")),
    (r"close|close_range", ("EIO",)),
    (r"mkdir\w*|mknod\w*|symlink\w*|link\w*|rename\w*", ("ENOSPC", "EIO", "EACCES")),
    (r"unlink\w*|rmdir", ("EIO", "EBUSY")),
    (r"clone3?|fork|unshare", ("EAGAIN", "ENOMEM", "ENOSPC")),
    (r"\w*mount\w*|setns|pivot_root|chroot|fsconfig", ("EPERM", "ENOMEM", "EINVAL")),
    (r"wait4|waitid|p?poll\w*|select|epoll_p?wait", ("EINTR", "ENOMEM")),
    (r"\w*stat\w*|readlink\w*|access|faccessat2?|getdents64", ("ENOMEM", "EACCES")),
    (r"execve|execveat", ("ENOMEM", "ENOENT", "E2BIG")),
    (r"capset|capget|prctl|set\w+id|setgroups|seccomp", ("EPERM", "ENOMEM", "EINVAL", "EAGAIN")),
    (r"mmap|mprotect|mremap|munmap|madvise", ("ENOMEM",)),
    (r"flock", ("EINTR", "ENOLCK", "EWOULDBLOCK")),
)  # fmt: skip


@cache
def call_names() -> dict[int, str]:
    """Names of the system calls by their numbers on x86_64."""
    pairs = re.findall(r"#define __NR_(\w+) (\d+)", HEADER.read_text())
    return {int(number): name for name, number in pairs}


def errnos(name: str) -> tuple[str, ...]:
    """What a call may fail with."""
    if NEVER.fullmatch(name):
        return ()
    return next((words for pattern, words in LEGAL if re.fullmatch(pattern, name)), USUAL)


class Faults:
    """The cases `verb role index errno name` of one subject."""

    name = "S6"
    title = "system calls that fail"

    def __init__(self, place: Place) -> None:
        self.place = place
        self.inject = injector(place.workspace)
        self.log = place.workspace / "calls"
        self.own = tuple(
            os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")
        )
        self.config = self._config()
        self.usual = {verb: self._usual(verb) for verb in ("run", "exec")}

    def _usual(self, verb: str) -> dict[str, list[str]]:
        """The posture where nothing fails."""
        result, name = self.attempt(verb, "none", "0", "0")
        self.place.left(name)
        return posture.essence(result.ok().stdout)

    def _config(self) -> Config:
        config = self.place.config()
        config.linux["maskedPaths"] = ["/proc/kcore", "/sys/firmware", "/proc/timer_list"]
        config.linux["readonlyPaths"] = ["/proc/sys"]
        config.linux["resources"] = {"pids": {"limit": 100}}
        config.linux["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["ptrace"], "action": "SCMP_ACT_ERRNO"}],
        }
        config.process["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [5]}
        config.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 100}]
        config.process["oomScoreAdj"] = 100
        return config

    def attempt(self, verb: str, role: str, index: str, number: str) -> tuple[Result, str]:
        """The command with its fault, and the id; what must go before is done without."""
        bundle = ("--bundle", self.config.bundle)
        name = self._before(verb)
        words: dict[str, tuple[str | Path, ...]] = {
            "run": ("run", *bundle, name),
            "create": ("create", *bundle, name),
            "start": ("start", name),
            "exec": ("exec", name, "sh", "-c", posture.SCRIPT),
            "kill": ("kill", name, "KILL"),
            "delete": ("delete", "--force", name),
        }
        prefix = [str(self.inject), str(self.log), role, index, number]
        return self.place.call(*words[verb], prefix=prefix), name

    def _before(self, verb: str) -> str:
        """Bring a container to where the verb can begin; its id."""
        program = ["sh", "-c", posture.SCRIPT] if verb == "run" else ["sleep", "600"]
        self.config.process["args"] = program
        self.config.write()
        if verb in ("run", "create"):
            return self.place.runtime.new_id()
        container = self.place.runtime.create(self.config)
        if verb in ("exec", "kill"):
            container.start()
        return container.id

    def cases(self) -> Iterator[str]:
        """Every call of every verb with each errno, from a run in which nothing fails."""
        names = call_names()
        for verb in VERBS:
            _result, name = self.attempt(verb, "none", "0", "0")
            self.place.left(name)
            for line in self.log.read_text().splitlines():
                role, index, number, _value = line.split()
                called = names.get(int(number), number)
                if (role, index) == ("parent", "1"):
                    continue  # the execve of the command itself, which we would do
                for word in errnos(called):
                    yield f"{verb} {role} {index} {word} {called}"

    def judge(self, case: str) -> Verdict:
        verb, role, index, word, _called = case.split()
        self.log.write_text("")
        try:
            result, name = self.attempt(verb, role, index, str(getattr(errno, word)))
        except Failed as hung:
            self.place.tidy()
            return Verdict(FOUND, f"hangs: {str(hung)[-60:]}")
        verdict = self._said(verb, name, result)
        return self.place.left(name, result.error) or verdict

    def _said(self, verb: str, name: str, result: Result) -> Verdict:
        if result.status:
            why = unclear(result)
            return Verdict(FOUND, why) if why else Verdict(REFUSED, result.error)
        if verb in self.usual:
            found = posture.differences(self.usual[verb], posture.essence(result.stdout), *self.own)
            # HOME is / where /etc/passwd cannot be read, whatever the reason.
            if found and not all(
                line.startswith("environment: ") and "HOME=" in line for line in found
            ):
                return Verdict(FOUND, "another posture: " + "; ".join(found)[:300])
        elif verb != "delete" and '"status"' not in self.place.call("state", name).stdout:
            return Verdict(FOUND, "success, and no such container")
        return Verdict(SURVIVED)
