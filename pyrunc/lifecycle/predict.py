# SPDX-License-Identifier: Apache-2.0
"""Predict whether `create` would work here, now: try what leaves no trace, look at the rest."""

from __future__ import annotations

import os
import stat
from errno import EACCES, ENOENT, ENOEXEC

from pyrunc.errors import ConfigErrors, Failure, Problem
from pyrunc.host import facts as host
from pyrunc.host import syscalls
from pyrunc.init import ops
from pyrunc.lifecycle import dry_run, id_maps
from pyrunc.lifecycle.state_root import default_root, state_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyrunc.init.launch import Child
    from pyrunc.lifecycle.prepare import PreparedCreate
    from pyrunc.spec.model import Hook

STATE_NEEDS = 64 * 1024  # bytes of a state directory, generously
INIT_NEEDS = 64 * 1024  # bytes of memory below which no kernel lets an init get ready
# Runtime hooks that `create` runs; those of later commands are checked all the same.
HOOKS = ("prestart", "create_runtime", "poststart", "poststop")
REAL_TIME = ("SCHED_FIFO", "SCHED_RR")
LATE_HOOKS = "/hooks/startContainer/"  # they are looked up in the container
MACHINES = {"x86_64": (62, 3), "aarch64": (183, 40), "riscv64": (243,), "ppc64le": (21,)}
MACHINES |= {"s390x": (22,), "i686": (3,), "armv7l": (40,), "loongarch64": (258,)}
ELF, INTERPRETER = b"\x7fELF", 3  # PT_INTERP
LINE = 256  # bytes of a #! line that the kernel reads


def predict(prepared: PreparedCreate, *, root: str) -> tuple[list[Problem], list[Problem]]:
    """Return the problems that would stop `create`, and warnings about what was not tried."""
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for check in CHECKS:
        try:
            problems.extend(check(prepared))
        except ConfigErrors as errors:
            problems.extend(errors.problems)
        except Failure as failure:
            problems.append(as_problem(failure))
    problems.extend(_state_root(root, prepared.id))
    try:
        _try_plan(prepared)
    except dry_run.NotTried as reason:
        warnings.append(Problem("", f"not everything was tried: {reason}"))
    except Failure as failure:
        problems.append(as_problem(failure))
    except OSError as error:
        problems.append(Problem("", f"cannot set the container up: {error.strerror}"))
    warnings.extend(_doubts(prepared))
    return problems, warnings


def as_problem(failure: Failure) -> Problem:
    """Return a failure as a row of a report."""
    return Problem(failure.pointer, str(failure), hint=failure.hint)


# -- what is looked at -----------------------------------------------------------------------------


def _cgroups(prepared: PreparedCreate) -> Iterator[Problem]:
    """Find missing controllers, keys of the other version, and parents of others."""
    resources = prepared.config.linux.resources
    prepared.cgroup.planned(resources)
    for member in prepared.cgroup.members if prepared.cgroup.driver == "cgroupfs" else ():
        parent = os.path.dirname(member.path)
        while parent != "/" and not os.path.isdir(parent):
            parent = os.path.dirname(parent)
        if not prepared.rootless and not os.access(parent, os.W_OK):
            message = f"cannot make the cgroup {member.path}"
            hint = f"{parent} is read-only or belongs to others: delegate a cgroup to the caller"
            yield Problem("/linux/cgroupsPath", message, hint=hint)
            return
    memory = resources.memory if resources is not None else None
    limit = memory.limit if memory is not None else None
    if limit is not None and 0 <= limit < INIT_NEEDS:
        yield Problem(
            "/linux/resources/memory/limit",
            "container init would be OOM-killed (memory limit too low?)",
            value=str(limit),
            hint="the init needs some MiB before the program has its memory",
        )
    if prepared.cgroup.members:
        yield from _control_files(prepared)


def _control_files(prepared: PreparedCreate) -> Iterator[Problem]:
    """Find what the kernel refuses in control files."""
    from pyrunc.cgroups.trial import Trial

    prepared.cgroup.look()
    trial = Trial(prepared.cgroup, prepared.config.linux.resources)
    trial.run()
    yield from trial.problems


def _try_plan(prepared: PreparedCreate) -> None:
    """Try the plan; an init that asks for a real-time policy is in a cgroup with its budget."""
    scheduler = prepared.config.process.scheduler
    asks = scheduler is not None and scheduler.policy in REAL_TIME

    def ready(child: Child) -> None:
        _look_at_program(prepared, child)

    if not asks or not prepared.cgroup.members:
        dry_run.try_plan(prepared, ready)
        return
    from pyrunc.cgroups.trial import Trial

    trial = Trial(prepared.cgroup, prepared.config.linux.resources)
    trial.with_processors(lambda group: dry_run.try_plan(prepared, ready, group=group))


def _hooks(prepared: PreparedCreate) -> Iterator[Problem]:
    configured = prepared.config.hooks
    if configured is None:
        return
    for kind in HOOKS:
        for hook in getattr(configured, kind):
            yield from _hook(hook)


def _hook(hook: Hook) -> Iterator[Problem]:
    try:
        mode = os.stat(hook.path).st_mode
        if stat.S_ISREG(mode) and os.access(hook.path, os.X_OK):
            return
        number = EACCES
    except OSError as error:
        number = error.errno or 0
    yield Problem(
        hook.pointer,
        f"error running the hook {hook.path}: {os.strerror(number).lower()}",
        hint="it must be a program of the host, which the caller may execute",
    )


def _agent(prepared: PreparedCreate) -> Iterator[Problem]:
    """Look at the socket of the seccomp agent; it is not connected to."""
    node, compiled = prepared.config.linux.seccomp, prepared.filter
    if node is None or compiled is None or not compiled.listener or not node.listener_path:
        return
    from pyrunc.lifecycle.caller_defaults import PLUGINS_SOCKET

    path = node.listener_path
    if path == PLUGINS_SOCKET:
        return
    try:
        bad = "" if stat.S_ISSOCK(os.stat(path).st_mode) else "not a socket"
    except OSError as error:
        bad = os.strerror(error.errno or 0).lower()
    if bad:
        yield Problem(
            "/linux/seccomp/listenerPath",
            f"cannot connect to the seccomp agent {path}: {bad}",
            hint="start the agent first; without it nothing starts",
        )


def _network_devices(prepared: PreparedCreate) -> Iterator[Problem]:
    import socket

    devices = prepared.config.linux.net_devices
    names = {name for _index, name in socket.if_nameindex()} if devices else set()
    for name in devices or ():
        if name not in names:
            yield Problem(
                f"/linux/netDevices/{name}",
                f"cannot move the network device {name}: no such interface",
                hint="`ip link` shows what there is",
            )
    if devices:
        from pyrunc.helpers import run

        run.find("pyroute2", purpose="linux.netDevices")


def _state_root(root: str, container_id: str) -> Iterator[Problem]:
    path = os.path.abspath(root or default_root())
    if os.path.lexists(state_path(root, container_id)):
        yield Problem("", f"container with id {container_id} already exists", hint="delete it")
    while path != "/" and not os.path.isdir(path):
        path = os.path.dirname(path)
    free = os.statvfs(path)
    if not os.access(path, os.W_OK | os.X_OK):
        yield Problem("", f"cannot write to the state root {path}", hint="use --root")
    elif free.f_bavail * free.f_frsize < STATE_NEEDS or (free.f_files and free.f_favail < 8):
        message = f"the file system of the state root {path} is full: no space left on device"
        yield Problem("", message, hint="free space there, or use --root")


CHECKS: tuple[Callable[[PreparedCreate], Iterator[Problem]], ...] = (
    _cgroups,
    _hooks,
    _agent,
    _network_devices,
)


RESTRICTS = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
PROFILE = (
    r"printf 'abi <abi/4.0>,\ninclude <tunables/global>\nprofile pyrunc %s flags=(unconfined)"
    r" {\n  userns,\n}\n' >/etc/apparmor.d/pyrunc && apparmor_parser -r /etc/apparmor.d/pyrunc"
)


def _doubts(prepared: PreparedCreate) -> Iterator[Problem]:
    """Find what starts and then surprises."""
    linux = prepared.config.linux
    maps = linux.uid_mappings
    if "user" in prepared.new_namespaces and sum(one.size for one in maps) == 1:
        installed = all(id_maps.find_program(name) for name in ("newuidmap", "newgidmap"))
        ask = "add lines to /etc/subuid and /etc/subgid, and map their ids"
        yield Problem(
            "/linux/uidMappings",
            "only one id is mapped: chown to others and most package managers fail in it",
            hint=ask if installed else f"install newuidmap and newgidmap; {ask}",
        )
    yield from _restricted_by_apparmor(prepared)


def _restricted_by_apparmor(prepared: PreparedCreate) -> Iterator[Problem]:
    """Find that user namespaces of unprivileged programs have no capabilities (Ubuntu 24.04)."""
    if not prepared.host.euid or "user" not in prepared.new_namespaces:
        return
    confined = host.read("/proc/self/attr/current").strip() not in ("", "unconfined")
    if confined or host.read(RESTRICTS).strip() != "1":
        return
    program = os.readlink("/proc/self/exe")
    yield Problem(
        "/linux/namespaces",
        "AppArmor gives user namespaces of unprivileged programs no capabilities"
        " (kernel.apparmor_restrict_unprivileged_userns)",
        hint=f"as root: {PROFILE % program}",
    )


# -- the program, in the root of an init that is ready ---------------------------------------------


def _look_at_program(prepared: PreparedCreate, child: Child) -> None:
    """Raise the failure of an execve whose interpreter or machine is not there."""
    args = prepared.config.process.args
    if not args:
        return
    env = dict(word.partition("=")[::2] for word in prepared.config.process.env)
    root = os.open(f"/proc/{child.pid}/root", os.O_PATH | os.O_CLOEXEC)
    try:
        _look_at_hooks(prepared, root)
        program = _find(root, args[0], env.get("PATH", ""), prepared.config.process.cwd)
        if program:
            _follow(prepared, root, program, depth=5)
    finally:
        os.close(root)


def _look_at_hooks(prepared: PreparedCreate, root: int) -> None:
    """Raise the failure of a startContainer hook that the container does not have."""
    for index, op in enumerate(prepared.plan.ops):
        if not isinstance(op, ops.RunHook) or not op.pointer.startswith(LATE_HOOKS):
            continue
        if _head(root, op.path) is None:
            raise prepared.plan.failure(index, op.STEPS.index("spawn"), ENOENT)


def _find(root: int, name: str, search: str, cwd: str) -> str:
    if "/" in name:
        return os.path.join(cwd or "/", name)
    for directory in search.split(":"):
        path = f"{directory or cwd}/{name}"
        if _head(root, path) is not None:
            return path
    return ""


def _head(root: int, path: str) -> bytes | None:
    """Return the first page of a file in the container; None where there is none."""
    resolve = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        fd = syscalls.openat2(root, path.lstrip("/") or ".", flags, resolve=resolve)
    except OSError as error:
        return None if error.errno == ENOENT else b""
    try:
        return os.pread(fd, 4096, 0)
    except OSError:  # a directory: the init has said so
        return b""
    finally:
        os.close(fd)


def _follow(prepared: PreparedCreate, root: int, program: str, *, depth: int) -> None:
    head = _head(root, program)
    number = 0
    if not head or depth == 0:
        return
    if head.startswith(b"#!"):
        words = head[2:LINE].split(b"\n")[0].split()
        target = os.fsdecode(words[0]) if words else ""
    elif head.startswith(ELF):
        target = _interpreter(head)
        machine = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
        known = MACHINES.get(os.uname().machine)
        if known and machine not in known and not _handled():
            number = ENOEXEC
    else:
        target = ""
        number = 0 if _handled() else ENOEXEC
    if target and _head(root, target) is None:
        number = ENOENT
    if number:
        plan = prepared.plan
        index = next(i for i, op in enumerate(plan.ops) if isinstance(op, ops.Execute))
        failed = plan.ops[index]
        raise plan.failure(index, failed.STEPS.index("execve"), number, program)
    if target and head.startswith(b"#!"):
        _follow(prepared, root, target, depth=depth - 1)


def _handled() -> bool:
    """Whether binfmt_misc may know what to do with other programs."""
    try:
        return len(os.listdir("/proc/sys/fs/binfmt_misc")) > 2
    except OSError:
        return False


def _interpreter(head: bytes) -> str:
    """Return the dynamic loader that an ELF program names, if its header is in the first page."""
    order = "little" if head[5] == 1 else "big"
    wide = head[4] == 2

    def number(at: int, size: int) -> int:
        return int.from_bytes(head[at : at + size], order)  # type: ignore[arg-type]

    table = number(32, 8) if wide else number(28, 4)
    each, count = (number(54, 2), number(56, 2)) if wide else (number(42, 2), number(44, 2))
    for index in range(count):
        entry = table + index * each
        if number(entry, 4) == INTERPRETER:
            offset = number(entry + 8, 8) if wide else number(entry + 4, 4)
            return os.fsdecode(head[offset : offset + 1024].split(b"\0")[0])
    return ""
