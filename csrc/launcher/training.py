# SPDX-License-Identifier: Apache-2.0
"""The training pass before the dump: the hot paths, often enough for CPython to adapt their code.

Frozen as ``_pyrunc_training``; never imported by a user's process. It works in a directory of its
own and starts no process. Nothing that it learns of the machine may stay in a module: the dump
would carry it elsewhere. What it leaves in freed memory is wiped (memory.c).
"""

from __future__ import annotations

import _signal
import os

from pyrunc import cgroups, jsontext
from pyrunc.cli import flags, main
from pyrunc.commands import common
from pyrunc.commands import exec as exec_command
from pyrunc.host import facts, syscalls
from pyrunc.init import image
from pyrunc.init.compile_exec import compile_exec
from pyrunc.lifecycle import exec, foreground, late
from pyrunc.lifecycle import filter as filters
from pyrunc.lifecycle.container import Container
from pyrunc.lifecycle.prepare import PreparedCreate
from pyrunc.lifecycle.state import CONFIG, StateDirectory
from pyrunc.seccomp import library, names, newer, tables
from pyrunc.spec import defaults
from pyrunc.spec.config import parse_resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeAlias

    Command: TypeAlias = Callable[[list[str]], int]

# Code is adapted from the eighth call on, some of it a few calls later.
ROUNDS = 24
NAME = "training"
OFTEN = frozenset(("state", "kill", "start", "delete"))
# Names that not every architecture has, and one that is newer than libseccomp.
SOME_LACK = (
    *("chown32", "fcntl64", "fstat64", "getegid32", "mmap2", "recv", "send", "socketcall", "ipc"),
    *("clock_gettime64", "futex_time64", "semtimedop_time64", "statx", "openat2", "cachestat"),
)
ARCHITECTURES = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
NUMBERS = 600  # more than any of them has system calls
CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids")
RESOURCES = b"""{
  "devices": [{"allow": false, "access": "rwm"},
              {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}],
  "memory": {"limit": 1073741824},
  "cpu": {"shares": 1024, "quota": 50000, "period": 100000},
  "pids": {"limit": 100}
}"""


def train() -> None:
    """Run what adapts the code, the same in every build."""
    tables.learn(_all_names())
    with _Directory() as directory:
        for _ in range(ROUNDS):
            _commands(directory, main.main)
            _exec_plan(directory)
            _cgroup_plan()
            _filter_cache(directory)
            image.init_image()
        # The cache of attributes has one place for many names: those of the small commands stay.
        _commands(directory, main.main, only=OFTEN)


def rehearse(command: Command) -> None:
    """Run each command once, as a user's process does, to show which objects are written to.

    Root also makes, starts and deletes real containers, without a network of their own, and without
    cgroups where the machine has none to give.
    """
    # The others are what profile.c works with.
    foreground.KEPT = _signal.valid_signals() - {_signal.SIGTERM, _signal.SIGCHLD}
    with _Directory() as directory:
        _commands(directory, command, only=OFTEN | {"explain", "list"})
        if os.geteuid() == 0 and not _life(directory, command, "cgroupfs"):
            _life(directory, command, "disabled")


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
    config["linux"]["seccomp"] = _profile()
    return config


def _all_names() -> Iterator[str]:
    """All that libseccomp has, those of this architecture first, and what is newer.

    One by one: a list of all of them would leave a hole in the heap, and so in the dump.
    """
    tokens = [library.NATIVE, *filter(library.knows_architecture, names.ARCHITECTURES.values())]
    ranges = [(token, newer.BASES.get(token, 0)) for token in tokens]
    ranges += [(token, low) for token, (low, _) in tables.PRIVATE_RANGES.items()]
    for token, start in ranges:
        for number in range(start, start + NUMBERS):
            if name := library.name_of(token, number):
                yield name
    yield from sorted(newer.NAMES)


def _profile() -> dict[str, Any]:
    """Return a profile as large as those of the engines, with all that they use.

    It has three architectures, calls that some of these lack, and conditions.
    """
    native = library.NATIVE
    known = [name for number in range(335) if (name := library.name_of(native, number))]

    def rule(name: str, *args: tuple[str, int, int], action: str = "ALLOW") -> dict[str, Any]:
        conditions = [
            {"index": 0, "op": f"SCMP_CMP_{op}", "value": value, "valueTwo": two}
            for op, value, two in args
        ]
        return {"names": [name], "action": f"SCMP_ACT_{action}", "args": conditions}

    special = ("personality", "clone", "socket", "ptrace", "mount", "reboot", "swapon", "bpf")
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": ARCHITECTURES,
        "syscalls": [
            {
                "names": [*(name for name in known if name not in special), *SOME_LACK],
                "action": "SCMP_ACT_ALLOW",
            },
            *(rule("personality", ("EQ", value, 0)) for value in (0, 8, 0x20000, 0xFFFFFFFF)),
            rule("clone", ("MASKED_EQ", 0x7E020000, 0)),
            rule("socket", ("NE", 40, 0)),
            {**rule("clone3", action="ERRNO"), "errnoRet": 38},
        ],
    }


def _prepare(directory: str) -> None:
    """Make a bundle, and a container that has ended."""
    for name in ("bundle", "bundle/rootfs", "state"):
        os.mkdir(f"{directory}/{name}", 0o700)
    with open(f"{directory}/bundle/config.json", "w", encoding="utf-8") as file:
        file.write(jsontext.encode(_configuration(), indent=1))
    words = ["create", NAME, "--bundle", f"{directory}/bundle"]
    args = flags.parse([*_global_flags(directory), *words])
    options = common.create_options(args, container_id=NAME, bundle=args.text("bundle"))
    prepared = PreparedCreate(options)
    state = {
        **prepared.record(),
        "pid": 2,
        "startTime": 1,  # no process started then: the container has ended
        "created": "2020-02-02T02:02:02.020202020Z",
        "owner": 0,
        "rootless": False,
        "sharedPid": False,
        "namespaces": sorted(one.type for one in prepared.config.linux.namespaces),
        "cgroup": prepared.cgroup.record(),
        "freezer": None,
        "resources": {},
        "hooks": prepared.saved_hooks(),
        "late": late.to_record(prepared.plan),
        "made": [],
    }
    container = StateDirectory.claim(f"{directory}/state", NAME)
    container.write(CONFIG, prepared.data)
    container.save(state)
    syscalls.close_range(3, 0xFFFFFFFF)


def _global_flags(directory: str) -> list[str]:
    """No cgroups: what mounts and cgroups the machine has would change the dump."""
    return ["--root", f"{directory}/state", "--cgroup-manager", "disabled"]


def _commands(directory: str, command: Command, *, only: frozenset[str] = frozenset()) -> None:
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
        if only and line.split()[0] not in only:
            continue
        command([*_global_flags(directory), *line.split()])
        # A command leaves its descriptors, with their locks, to the end of its process.
        syscalls.close_range(3, 0xFFFFFFFF)


def _exec_plan(directory: str) -> None:
    """Do what `exec` does before it starts a process."""
    args = flags.parse([*_global_flags(directory), "exec", "--env", "A=b", NAME, "true"])
    container = Container.load(args.text("root"), NAME)
    config = exec.saved_config(container)
    wanted = exec_command.wanted_process(args, config)
    compile_exec(
        wanted,
        facts.probe(),
        joined=[one.type for one in config.linux.namespaces],
        linux=config.linux,
        annotations=config.annotations,
        tasks=len(CONTROLLERS),
        seccomp=filters.compile_filter(config, cache=None),
    ).encode()
    syscalls.close_range(3, 0xFFFFFFFF)


def _filter_cache(directory: str) -> None:
    """Store a filter in the cache the first time, and load it the second time."""
    config = exec.saved_config(Container.load(f"{directory}/state", NAME))
    path = filters.filter_cache(f"{directory}/state")
    for _ in range(2):
        filters.compile_filter(config, cache=path)
    _remove(path)
    syscalls.close_range(3, 0xFFFFFFFF)


def _cgroup_plan() -> None:
    """Make records and limits as texts; no cgroup is looked at."""
    record = {
        "driver": "cgroupfs",
        "rootless": False,
        "leaf": False,
        "cgroups": [
            {
                "name": name,
                "controllers": [name],
                "version": 1,
                "mount": f"/sys/fs/cgroup/{name}",
                "device": 40,
                "path": NAME,
                "kept": 0,
                "claimed": False,
            }
            for name in CONTROLLERS
        ],
    }
    manager = cgroups.from_record(record)
    manager.planned(parse_resources(RESOURCES))
    jsontext.decode(jsontext.encode({"cgroup": manager.record()}))


def _life(directory: str, command: Command, manager: str) -> bool:
    """Take a container from its create to its end; return whether it could be made."""
    name = f"pyrunc-rehearsal-{os.getpid():010}"  # builds beside each other: it names cgroups too
    config = _configuration()
    config["process"]["args"] = ["/init"]
    config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]
    config["linux"]["namespaces"] = [{"type": kind} for kind in ("mount", "pid", "ipc", "uts")]
    if manager == "disabled":  # then perhaps the machine refuses file systems, too
        config["mounts"] = [one for one in config["mounts"] if one["type"] in ("proc", "tmpfs")]
    # The init as the container's program: whatever it says of its arguments, it ends at once.
    fd = os.open(f"{directory}/bundle/rootfs/init", os.O_WRONLY | os.O_CREAT, 0o755)
    os.write(fd, image.init_image())
    os.close(fd)
    with open(f"{directory}/bundle/config.json", "w", encoding="utf-8") as file:
        file.write(jsontext.encode(config, indent=1))
    with open(f"{directory}/process.json", "w", encoding="utf-8") as file:
        file.write(jsontext.encode(config["process"]))
    for line in (
        f"create --bundle {directory}/bundle --pid-file {directory}/pid {name}",
        f"state {name}",
        f"exec {name} /init",
        f"exec --detach --process {directory}/process.json --pid-file {directory}/pid {name}",
        f"kill {name} 0",
        f"start {name}",
        f"kill {name} KILL",  # it has ended by itself, or ends now
        f"delete --force {name}",
        f"create --bundle {directory}/bundle {name}",
        f"kill {name} KILL",  # one that waits
        f"delete --force {name}",
        f"run --bundle {directory}/bundle {name}",
    ):
        flags = ("--root", f"{directory}/state", "--cgroup-manager", manager)
        status = command([*flags, *line.split()])
        syscalls.close_range(3, 0xFFFFFFFF)
        _reap()
        if status and line.startswith("create"):
            return False
    return True


def _reap() -> None:
    """Nobody else does: the commands end, but this process does not."""
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _remove(directory: str) -> None:
    for parent, directories, files in os.walk(directory, topdown=False):
        for name in files:
            os.unlink(f"{parent}/{name}")
        for name in directories:
            os.rmdir(f"{parent}/{name}")
    os.rmdir(directory)
