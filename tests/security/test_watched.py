# SPDX-License-Identifier: Apache-2.0
"""What the system calls of a container's life show: who does what, and what nobody does."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import strace
from tests.support.bundle import Config
from tests.support.runtime import Runtime
from tests.support.strace import Call

JOINS = ("setns", "chroot", "pivot_root", "unshare")
FORKS = ("clone", "clone3", "fork", "vfork")
EXECS = ("execve", "execveat")
PATHS = (
    "open", "openat", "openat2", "stat", "lstat", "newfstatat", "statx", "readlink", "readlinkat",
    "access", "faccessat", "faccessat2", "mkdir", "mkdirat", "mknod", "mknodat", "unlink",
    "unlinkat", "chmod", "fchmodat", "chown", "lchown", "fchownat", "rename", "renameat2", "chdir",
    "symlinkat",
)  # fmt: skip
LABELS = ("setxattr", "lsetxattr", "fsetxattr")

Watch = Callable[..., list[Call]]


@pytest.fixture
def watch(runtime: Runtime, workspace: Path) -> Watch:
    """watch(verb, *args): run a command; the calls of all its processes."""

    def watch(*args: str | Path) -> list[Call]:
        output = workspace / f"{args[0]}.strace"
        result = runtime(*args, prefix=strace.prefix(output), timeout_s=120)
        assert result.status == 0, result.stderr
        return strace.parse(output)

    return watch


@pytest.fixture
def life(watch: Watch, runtime: Runtime, config: Config) -> list[Call]:
    """The calls of `run`, from the first to the last."""
    config.linux["maskedPaths"] = ["/proc/kcore", "/sys/firmware"]
    config.linux["readonlyPaths"] = ["/proc/sys"]
    config.process["cwd"] = "/made"
    config.process["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [5]}
    config.process["args"] = ["true"]
    config["annotations"] = {"org.systemd.property.Exec": "/bin/evil", "module.wasm.image": "evil"}
    config.write()
    return watch("run", "--bundle", config.bundle, runtime.new_id())


def outside(calls: list[Call]) -> list[Call]:
    """The calls of pyrunc itself: of the processes that have not become the init."""
    inits = strace.init_processes(calls)
    return [call for call in calls if call.pid not in inits]


def test_python_never_enters_anything(life: list[Call]) -> None:
    """AR-3, PY-1: joins, roots and namespaces are the init's business alone."""
    assert strace.named(life, *JOINS), "the init was not seen"
    assert not strace.named(outside(life), *JOINS)


def test_python_is_never_forked(life: list[Call]) -> None:
    """AR-3: a child of Python shares its memory and does nothing but execute another program."""
    forks = [call for call in strace.named(outside(life), *FORKS) if not call.failed]
    assert forks
    for call in forks:
        assert call.name == "vfork" or "CLONE_VFORK" in call.args, call
        child = [each for each in life if each.pid == int(call.result)]
        assert any(each.name in EXECS and not each.failed for each in child), call


def test_only_the_init_and_the_program_are_executed(life: list[Call]) -> None:
    """R076, R066, IN-8: no annotation and nothing in the image starts a program."""
    executed = [call for call in strace.named(life, *EXECS) if not call.failed]
    names = [re.search(r'"([^"]*)"', call.args) for call in executed]
    others = [match.group(1) for match in names if match and match.group(1)]
    assert others[0].endswith(("pyrunc", "pyrunc-boot", "pyrunc-stock"))
    others = [name for name in others[1:] if not name.endswith(("/python3", "/env"))]
    assert len(others) <= 1
    assert "execveat" in {call.name for call in executed}


def test_the_init_is_executed_from_a_sealed_memory_file(life: list[Call]) -> None:
    """EX-1, R008, R101."""
    execs = [call for call in strace.named(life, "execveat") if not call.failed]
    assert any("memfd:pyrunc-init" in call.args for call in execs)
    seals = [call for call in life if call.name.startswith("fcntl") and "F_ADD_SEALS" in call.args]
    for flag in ("F_SEAL_SEAL", "F_SEAL_SHRINK", "F_SEAL_GROW", "F_SEAL_WRITE"):
        assert any(flag in call.args for call in seals)


def test_python_looks_at_nothing_below_the_root(life: list[Call], config: Config) -> None:
    """PY-1, R070, R071, R084: the image's links are resolved by nobody on the host side."""
    below = f"{config.rootfs}/"
    touched = [call for call in strace.named(outside(life), *PATHS) if below in call.args]
    assert not touched


def test_nobody_reads_the_groups_file(life: list[Call]) -> None:
    """CR-3, R060."""
    assert not [call for call in strace.named(life, *PATHS) if "etc/group" in call.args]


def test_nobody_relabels(life: list[Call]) -> None:
    """MT-12, R074."""
    assert not [call for call in strace.named(life, *LABELS) if '"security.' in call.args]


def test_no_descriptor_is_closed_twice(life: list[Call]) -> None:
    """FD-8, R035."""
    assert not [call for call in strace.named(life, "close") if "EBADF" in call.note]


def test_every_descriptor_is_born_close_on_exec(life: list[Call]) -> None:
    """FD-2, R090."""
    first = next(i for i, call in enumerate(life) if call.name == "memfd_create")
    opened = strace.named(life[first:], "open", "openat", "socket", "socketpair", "memfd_create")
    program = max(i for i, call in enumerate(life) if call.name in EXECS and not call.failed)
    done_by_us = [call for call in opened if life.index(call) < program and not call.failed]
    assert done_by_us
    assert not [call for call in done_by_us if "CLOEXEC" not in call.args]
    received = [call for call in strace.named(life, "recvmsg") if "SCM_RIGHTS" in call.args]
    assert not [call for call in received if "MSG_CMSG_CLOEXEC" not in call.args]


def test_nothing_is_written_to_shared_directories(
    life: list[Call], runtime: Runtime, config: Config
) -> None:
    """ST-3, R048: whatever is made outside the root lies in the state directory or a cgroup."""
    allowed = (str(runtime.root), "/sys/fs/cgroup", str(config.bundle))
    made = [
        call
        for call in strace.named(
            outside(life), "mkdir", "mkdirat", "mknodat", "openat", "symlinkat"
        )
        if not call.failed and (call.name != "openat" or "O_CREAT" in call.args)
    ]
    assert made
    assert not [call for call in made if not any(path in call.args for path in allowed)]


def test_cgroup_files_are_never_created(life: list[Call]) -> None:
    """CG-1, R098: on something that only looks like a hierarchy the write fails."""
    opens = strace.named(life, "open", "openat", "openat2")
    found = [call for call in opens if "</sys/fs/cgroup" in call.note + call.args]
    assert found
    assert not [call for call in found if "O_CREAT" in call.args]


def test_capabilities_are_dropped_before_the_program(life: list[Call]) -> None:
    """CR-7, R082: bounding set, groups, ids, sets, then execve; nothing privileged in between."""
    inits = strace.init_processes(life)
    calls = [call for call in life if call.pid in inits]
    last = max(i for i, call in enumerate(calls) if call.name == "execve" and not call.failed)
    order = {}
    for i, call in enumerate(calls[:last]):
        if call.name == "prctl" and "PR_CAPBSET_DROP" in call.args:
            order["bounding"] = i
        elif call.name in ("setgroups", "setresgid", "setresuid", "capset"):
            order[call.name] = i
    steps = ("bounding", "setgroups", "setresgid", "setresuid", "capset")
    assert [order[step] for step in steps] == sorted(order[step] for step in steps)


def test_signals_are_sent_through_pidfds_only(
    watch: Watch, runtime: Runtime, config: Config
) -> None:
    """PD-1, R095."""
    container = runtime.create(config, "sleep", "100")
    container.start()
    calls = watch("kill", container.id, "KILL")
    assert strace.named(calls, "pidfd_send_signal")
    assert not strace.named(calls, "kill", "tkill", "tgkill")
    container.wait()
    calls = watch("delete", container.id)
    assert not strace.named(calls, "kill", "tkill", "tgkill")


def test_no_content_is_written_into_the_image(life: list[Call], config: Config) -> None:
    """PR-7, R024: files are made as empty mount points only."""
    inits = strace.init_processes(life)
    written = [call for call in life if call.pid in inits and call.name in ("write", "pwrite64")]
    for call in written:
        assert str(config.rootfs) not in call.args, call
