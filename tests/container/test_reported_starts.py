# SPDX-License-Identifier: Apache-2.0
"""What users have reported of starts: filters, descriptors, directories that are closed to some."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Runtime
from tests.support.types import Create, Shell


def refusing(*names: str, action: str = "SCMP_ACT_ERRNO") -> dict[str, Any]:
    rule = {"names": list(names), "action": action}
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}


# What setting a container up takes, and a program that prints does not.
SETUP = (
    "capget", "chdir", "fchown", "fchdir", "getdents64", "getppid", "setgroups", "setresuid",
    "setresgid", "mount", "umount2", "pivot_root", "unshare", "setns", "close_range", "dup3",
    "sethostname", "mkdirat", "symlinkat", "openat2", "socketpair", "sendmsg", "recvmsg", "statfs",
)  # fmt: skip


@pytest.mark.root
@pytest.mark.parametrize("free", [False, True], ids=["nnp", "no-nnp"])
def test_a_filter_needs_nothing_of_what_sets_a_container_up(
    pyrunc: Runtime, config: Config, free: bool
) -> None:
    """moby#22252, moby#43730, crun#563: fifteen calls had to be in every profile."""
    config.linux["seccomp"] = refusing(*SETUP)
    config.process["noNewPrivileges"] = not free
    assert pyrunc.run(config, "echo", "hello").ok().stdout == "hello\n"
    container = pyrunc.create(config, "sleep", "600").start()
    assert container.command("exec", "echo", "hello").ok().stdout == "hello\n"
    container.delete().ok()


@pytest.mark.root
@pytest.mark.parametrize("action", ["SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS"])
def test_a_profile_without_execve_neither_hangs_nor_stays(
    pyrunc: Runtime, config: Config, action: str
) -> None:
    """moby#36830: the daemon never returned, and the container could not be removed."""
    config.linux["seccomp"] = refusing("execve", action=action)
    result = pyrunc.run(config, "true", timeout_s=20)
    assert result.status == 1
    assert "execve" in result.error
    assert pyrunc("list", "--quiet").ok().stdout == ""


@pytest.mark.root
def test_a_program_that_may_not_end_is_removed(create: Create, config: Config) -> None:
    """moby#40205, kubernetes#85191: it turns in a loop, and nothing but a signal ends it."""
    config.linux["seccomp"] = refusing("exit", "exit_group")
    container = create(config, "true").start()
    container.delete().ok()


@pytest.mark.root
def test_a_filter_that_kills_the_process_kills_all_of_it(shell: Shell, config: Config) -> None:
    """crun#367: the action was taken for that which ends a thread."""
    config.linux["seccomp"] = refusing("mkdir", "mkdirat", action="SCMP_ACT_KILL_PROCESS")
    assert shell(config, "(mkdir /tmp/x) || echo $?").split()[-1] == "159"


@pytest.mark.root
def test_ten_descriptors_are_enough_for_a_program_with_a_terminal(
    pyrunc: Runtime, config: Config
) -> None:
    """runc#1538: of the runtime's own descriptors none is left to the program."""
    config.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "hard": 10, "soft": 10}]
    config.process["terminal"] = True
    config.process["args"] = ["sh", "-c", "exec 9</etc/passwd && echo opened"]
    result = pyrunc.run(config, *config.process["args"], timeout_s=20).ok()
    assert "opened" in result.stdout


@pytest.mark.root
def test_exec_with_a_descriptor_more_ends(create: Create, config: Config) -> None:
    """podman#5666: exec --preserve-fds 1 hung."""
    container = create(config, "sleep", "600").start()
    script = 'exec 3</dev/null; exec "$@"'
    result = container.runtime(
        "exec", "--preserve-fds", "1", container.id, "sh", "-c", "test -e /proc/self/fd/3",
        prefix=["sh", "-c", script, "sh"],
    )  # fmt: skip
    assert result.ok().stderr == ""


@pytest.mark.root
def test_exec_leaves_the_input_that_its_program_does_not_read(
    create: Create, config: Config, workspace: Path
) -> None:
    """podman#24370: the next command of a script found its input gone."""
    container = create(config, "sleep", "600").start()
    file = workspace / "input"
    file.write_text("one\ntwo\n")
    script = f'exec <{file}; "$@" && read word && echo "$word"'
    result = container.runtime("exec", container.id, "true", prefix=["sh", "-c", script, "sh"])
    assert result.ok().stdout == "one\n"


@pytest.mark.root
@pytest.mark.parametrize("umask", [0o077, 0o777])
def test_what_is_copied_into_a_tmpfs_has_its_modes_under_any_umask(
    pyrunc: Runtime, config: Config, umask: int
) -> None:
    """runc#3991: directories of /run were closed to the server's user."""
    for path, mode in (("data", 0o1777), ("data/open", 0o755), ("data/group", 0o2775)):
        (config.rootfs / path).mkdir()
        (config.rootfs / path).chmod(mode)
    config.mount("/data", "tmpfs", "tmpfs", "tmpcopyup")
    config.process["args"] = ["stat", "-c", "%a", "/data", "/data/open", "/data/group"]
    config.write()
    script = f'umask {umask:o}; exec "$@"'
    result = pyrunc(
        "run", "--bundle", config.bundle, pyrunc.new_id(), prefix=["sh", "-c", script, "sh"]
    )
    assert result.ok().stdout.split() == ["1777", "755", "2775"]


@pytest.mark.root
@pytest.mark.parametrize("mode", [0o750, 0o700, 0o111])
def test_a_source_below_a_closed_directory_in_a_user_namespace(
    pyrunc: Runtime, config: Config, workspace: Path, mode: int
) -> None:
    """runc#2484: root as the caller may go where the container's root may not."""
    closed = workspace / "closed"
    (closed / "data").mkdir(parents=True)
    (closed / "data/file").write_text("inside")
    os.chown(closed, 4321, 4321)
    closed.chmod(mode)
    config.bind(closed / "data", "/mnt", "rbind", "ro")
    config.user_namespace()
    assert pyrunc.run(config, "cat", "/mnt/file").ok().stdout == "inside"
