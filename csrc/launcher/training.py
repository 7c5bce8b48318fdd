# SPDX-License-Identifier: Apache-2.0
"""The training pass before the dump: the hot paths, often enough for CPython to adapt their code.

Frozen as ``_pyrunc_training``; never imported by a user's process. It works in a directory of its
own and starts no process. Nothing that it learns of the machine may stay in a module: the dump
would carry it elsewhere. What it leaves in freed memory is wiped (memory.c).
"""

from __future__ import annotations

import os

from pyrunc import cli, creation, flags, initimage, jsontext, syscalls
from pyrunc.blueprint import Blueprint
from pyrunc.spec import defaults
from pyrunc.state import StateDirectory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Command: TypeAlias = Callable[[list[str]], int]

# Code is adapted from the eighth call on, some of it a few calls later.
ROUNDS = 24
NAME = "training"
LIVING = "rehearsal"
# Names for a filter: some system calls, what they are does not matter.
RULES = [
    *("read", "write", "open", "openat", "close", "stat", "fstat", "mmap", "mprotect", "brk"),
    *("ioctl", "access", "pipe", "select", "clone", "execve", "exit", "wait4", "kill", "fcntl"),
    *("fsync", "getdents", "chdir", "rename", "mkdir", "rmdir", "unlink", "clone3", "statx"),
]


def train() -> None:
    """What adapts the code, the same in every build."""
    with _Directory() as directory:
        for _ in range(ROUNDS):
            _commands(directory, cli.main)
            initimage.init_image()


def rehearse(command: Command) -> None:
    """What shows which objects are written to: each command once, as a user's process runs it.

    Root also makes and deletes a real container. It has no cgroup and no network of its own,
    and is never started.
    """
    with _Directory() as directory:
        _commands(directory, command)
        if os.geteuid() == 0:
            _life(directory, command)


class _Directory:
    """A directory with a bundle and a state; its path is as long in every build."""

    def __enter__(self) -> str:
        self.path = f"/tmp/pyrunc-training-{os.getpid():010}"
        os.mkdir(self.path, 0o700)
        _prepare(self.path)
        return self.path

    def __exit__(self, *_: object) -> None:
        _remove(self.path)


def _configuration() -> dict[str, Any]:
    config = defaults.default_config(cgroup_version=1)
    config["process"]["terminal"] = False
    config["linux"]["resources"]["memory"] = {"limit": 1 << 30}
    config["linux"]["resources"]["cpu"] = {"shares": 1024, "quota": 50000, "period": 100000}
    config["linux"]["resources"]["pids"] = {"limit": 100}
    config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [
            {"names": RULES, "action": "SCMP_ACT_ALLOW"},
            {
                "names": ["personality"],
                "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}],
            },
        ],
    }
    return config


def _prepare(directory: str) -> None:
    """A bundle, and a container that has ended."""
    for name in ("bundle", "bundle/rootfs", "state"):
        os.mkdir(f"{directory}/{name}", 0o700)
    with open(f"{directory}/bundle/config.json", "w", encoding="utf-8") as file:
        file.write(jsontext.encode(_configuration(), indent=1))
    words = ["create", NAME, "--bundle", f"{directory}/bundle"]
    args = flags.parse([*_global_flags(directory), *words])
    blueprint = Blueprint(args, container_id=NAME, bundle=args.text("bundle"))
    state = {
        **blueprint.record(),
        "pid": 2,
        "startTime": 1,  # no process started then: the container has ended
        "created": "2020-02-02T02:02:02.020202020Z",
        "owner": 0,
        "rootless": False,
        "sharedPid": False,
        "namespaces": sorted(one.type for one in blueprint.config.linux.namespaces),
        "cgroup": blueprint.cgroup.record(),
        "freezer": None,
        "resources": {},
        "hooks": blueprint.saved_hooks(),
        "late": creation.late_ops(blueprint.plan),
        "made": [],
    }
    container = StateDirectory.claim(f"{directory}/state", NAME)
    container.save(state)
    syscalls.close_range(3, 0xFFFFFFFF)


def _global_flags(directory: str) -> list[str]:
    """No cgroups: what mounts and cgroups the machine has would change the dump."""
    return ["--root", f"{directory}/state", "--cgroup-manager", "disabled"]


def _commands(directory: str, command: Command) -> None:
    """Whole commands: some succeed, some fail on purpose."""
    bundle = f"{directory}/bundle"
    for line in (
        f"explain {bundle}",
        f"state {NAME}",
        f"kill {NAME} KILL",
        f"start {NAME}",
        f"create --bundle {bundle} --pid-file {directory}/pid {NAME}",  # the name is taken
        f"delete absent{NAME}",
        "list",
        f"exec --unknown {NAME} true",
    ):
        command([*_global_flags(directory), *line.split()])
        # A command leaves its descriptors, with their locks, to the end of its process.
        syscalls.close_range(3, 0xFFFFFFFF)


def _life(directory: str, command: Command) -> None:
    config = _configuration()
    config["process"]["args"] = ["/init"]
    config["linux"]["namespaces"] = [{"type": kind} for kind in ("mount", "pid", "ipc", "uts")]
    config["mounts"] = [one for one in config["mounts"] if one["type"] in ("proc", "tmpfs")]
    fd = os.open(f"{directory}/bundle/rootfs/init", os.O_WRONLY | os.O_CREAT, 0o755)
    os.write(fd, initimage.init_image())
    os.close(fd)
    with open(f"{directory}/bundle/config.json", "w", encoding="utf-8") as file:
        file.write(jsontext.encode(config, indent=1))
    for line in (
        f"create --bundle {directory}/bundle {LIVING}",
        f"state {LIVING}",
        f"kill {LIVING} 0",
        f"delete --force {LIVING}",  # no start: how far the program gets would be chance
    ):
        command([*_global_flags(directory), *line.split()])
        syscalls.close_range(3, 0xFFFFFFFF)


def _remove(directory: str) -> None:
    for parent, directories, files in os.walk(directory, topdown=False):
        for name in files:
            os.unlink(f"{parent}/{name}")
        for name in directories:
            os.rmdir(f"{parent}/{name}")
    os.rmdir(directory)
