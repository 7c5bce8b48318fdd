# SPDX-License-Identifier: Apache-2.0
"""Rows of the feature table that belong nowhere else: flags of filters, internal names, the package
as a library.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support import strace
from tests.support.bundle import Config
from tests.support.programs import static_program
from tests.support.runtime import TREE, Runtime
from tests.support.types import Create, Run

feature = pytest.mark.feature

# flag of the profile -> what strace calls it
FILTER_FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": "SECCOMP_FILTER_FLAG_TSYNC|SECCOMP_FILTER_FLAG_TSYNC_ESRCH",
    "SECCOMP_FILTER_FLAG_LOG": "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
}


def loaded(pyrunc: Runtime, config: Config, workspace: Path) -> str:
    """The arguments of the call that loads the filter."""
    config.process["args"] = ["true"]
    config.write()
    output = workspace / "trace"
    prefix = strace.prefix(output, "seccomp")
    pyrunc("run", "--bundle", config.bundle, pyrunc.new_id(), prefix=prefix).ok()
    calls = [call for call in strace.named(strace.parse(output), "seccomp") if not call.failed]
    return next(call.args for call in calls if "SECCOMP_SET_MODE_FILTER" in call.args)


@feature("10.7 flags TSYNC LOG SPEC_ALLOW")
@pytest.mark.parametrize("flag", FILTER_FLAGS)
def test_a_flag_of_a_filter_reaches_the_kernel(
    pyrunc: Runtime, config: Config, workspace: Path, flag: str
) -> None:
    rules = [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}]
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "flags": [flag], "syscalls": rules}
    config.linux["seccomp"] = profile
    assert loaded(pyrunc, config, workspace).split(", ")[1] == FILTER_FLAGS[flag]


@feature("10.8 default flag when flags absent")
def test_without_flags_the_filter_costs_no_speculation(
    pyrunc: Runtime, config: Config, workspace: Path
) -> None:
    rules = [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}]
    config.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}
    assert "SECCOMP_FILTER_FLAG_SPEC_ALLOW" in loaded(pyrunc, config, workspace)
    config.linux["seccomp"]["flags"] = []
    assert loaded(pyrunc, config, workspace).split(", ")[1] == "0"


@feature("10.11 ENOSYS stub for syscalls newer than the profile")
def test_a_call_newer_than_the_profile_does_not_exist(run: Run, config: Config) -> None:
    """A program that knows the new one and falls back sees ENOSYS and not EPERM: here the busybox
    of the image asks for statx only, and a number that no kernel has stands for the new call.
    """
    names = [
        *("read", "write", "open", "openat", "close", "fstat", "mmap", "mprotect", "brk", "execve"),
        *("exit", "exit_group", "arch_prctl", "access", "getuid", "geteuid", "getgid", "getegid"),
        *("rt_sigaction", "rt_sigprocmask", "ioctl", "set_tid_address", "set_robust_list", "rseq"),
        *("prlimit64", "getrandom", "readlink", "newfstatat", "uname", "prctl", "fcntl", "capset"),
        *("chdir", "fchdir", "getpid", "getppid", "stat", "lstat", "dup2", "wait4", "clone"),
    ]
    config.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}],
    }
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers of the calls are those of x86_64")
    program = config.file("/bin/new-call", "", mode=0o755)
    source = program.parent / "new.c"
    source.write_text(
        "#define _GNU_SOURCE\n#include <errno.h>\n#include <unistd.h>\n#include <sys/syscall.h>\n"
        "int main(void) { syscall(460); int new = errno; syscall(SYS_mkdir, 0, 0);"
        " return new == ENOSYS && errno == EPERM ? 0 : 9; }\n"
    )
    static_program(source, program)
    assert run(config, "/bin/new-call").status == 0


@feature("10.15 NOTIFY on write, or as default action")
@pytest.mark.parametrize(
    ("profile", "place"),
    [
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "defaultAction"),
        (
            {
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["acct", "write"], "action": "SCMP_ACT_NOTIFY"}],
            },
            "write",
        ),
    ],
)
def test_a_notification_that_would_stop_the_runtime_is_refused(
    run: Run, config: Config, profile: dict[str, object], place: str
) -> None:
    config.linux["seccomp"] = {**profile, "listenerPath": "/run/agent.sock"}
    result = run(config, "true")
    assert result.status == 1
    assert place in result.stderr
    assert "/linux/seccomp" in result.stderr


@feature("14.3 bundle (internal label)")
def test_an_annotation_called_bundle_changes_no_bundle(create: Create, config: Config) -> None:
    config["annotations"] = {"bundle": "/somewhere/else"}
    state = create(config, "true").state()
    assert state["bundle"] == str(config.bundle)
    assert state["annotations"] == {"bundle": "/somewhere/else"}


LIBRARY = """
import json, sys
sys.path[:0] = {paths!r}
from pyrunc.cli import main
from pyrunc.host import facts
from pyrunc.init.compile_create import compile_create
from pyrunc.spec.load import load
config = load(sys.argv[1])
plan = compile_create(config, facts.probe(), rootfs=sys.argv[1] + "/rootfs")
print(json.dumps({{"args": config.process.args, "ops": len(plan.ops)}}), flush=True)
status = main.main(["--root", sys.argv[2], "run", "--bundle", sys.argv[1], sys.argv[3]])
print(json.dumps({{"status": status}}))
"""


@feature("2.108 library use")
def test_the_package_is_a_library(pyrunc: Runtime, config: Config) -> None:
    """Read a configuration, compile its plan, run it: without a process of the command line."""
    config.process["args"] = ["sh", "-c", "echo inside; exit 6"]
    config.write()
    site = next((TREE / ".venv/lib").glob("python3*/site-packages"))
    script = LIBRARY.format(paths=[str(TREE), str(site)])
    words = ["-IBc", script, str(config.bundle), str(pyrunc.root), pyrunc.new_id()]
    argv = ["/usr/bin/python3", *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    first, inside, last = done.stdout.splitlines()
    assert json.loads(first)["args"][0] == "sh"
    assert json.loads(first)["ops"] > 20
    assert inside == "inside"
    assert json.loads(last) == {"status": 6}
