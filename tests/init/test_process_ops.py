# SPDX-License-Identifier: Apache-2.0
"""Credentials, filters and other attributes that the program starts with."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest

from pyrunc.host import syscalls
from pyrunc.init import ops
from tests.init.harness import (
    AWAIT,
    CLONE_NEWUTS,
    Init,
    enter,
    execute,
    failure,
    output,
    shell,
    stop,
)

pytestmark = pytest.mark.root

CHOWN, KILL, SETUID, BIND, NET_RAW, ADMIN = 0, 5, 7, 10, 13, 21
LAST = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
ALL = (1 << LAST + 1) - 1


def bits(*capabilities: int) -> int:
    return sum(1 << capability for capability in capabilities)


def gids(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def status(init: Init) -> dict[str, str]:
    text = Path(f"/proc/{init.pid}/status").read_text()
    return {key: value.strip() for key, value in (line.split(":", 1) for line in text.splitlines())}


def capabilities(
    effective: int = 0, permitted: int = 0, inheritable: int = 0, ambient: int = 0
) -> ops.Op:
    return ops.SetCapabilities(
        effective=effective, permitted=permitted, inheritable=inheritable, ambient=ambient
    )


def test_the_program_has_exactly_the_sets_and_ids_of_the_plan() -> None:
    """CR-4 CR-5 CR-6 CR-7."""
    plan = [
        ops.LimitBoundingSet(keep=bits(KILL, BIND, CHOWN), last=40),
        ops.SetGroups(gids=gids(300, 5, 70000, 5)),
        ops.SetIds(uid=1000, gid=1001),
        capabilities(bits(KILL), bits(KILL, BIND), bits(BIND), bits(BIND)),
        stop(),
    ]
    with Init(plan) as init:
        init.pause()
        found = status(init)
        assert found["Uid"].split() == ["1000"] * 4
        assert found["Gid"].split() == ["1001"] * 4
        assert found["Groups"].split() == ["5", "5", "300", "70000"]
        assert {name: int(found[name], 16) for name in found if name.startswith("Cap")} == {
            "CapInh": bits(BIND),
            "CapPrm": bits(KILL, BIND),
            "CapEff": bits(KILL),
            "CapBnd": bits(KILL, BIND, CHOWN),
            "CapAmb": bits(BIND),
        }


def test_no_groups_means_none() -> None:
    """CR-5: not those of the caller."""
    with Init([ops.SetGroups(gids=gids(1, 2)), ops.SetGroups(gids=b""), stop()]) as init:
        init.pause()
        assert status(init)["Groups"] == ""


def test_many_groups() -> None:
    values = list(range(100_000, 100_000 + 3000))
    with Init([ops.SetGroups(gids=gids(*reversed(values))), stop()]) as init:
        init.pause()
        assert [int(gid) for gid in status(init)["Groups"].split()] == values


@pytest.mark.parametrize("data", [b"\0" * 3, bytes(4 * 65537)])
def test_groups_that_are_none(data: bytes) -> None:
    found = failure([ops.SetGroups(gids=data), stop()])
    assert found.short == ("set_groups", "setgroups", "EINVAL")


def test_an_ambient_capability_needs_the_other_two() -> None:
    own = int(
        next(
            line for line in Path("/proc/self/status").read_text().splitlines() if "CapPrm" in line
        ).split()[1],
        16,
    )
    found = failure([capabilities(own, own, 0, bits(NET_RAW)), stop()])
    assert found.short == ("set_capabilities", "ambient", "EPERM")
    assert found.detail == str(NET_RAW)


def test_an_effective_capability_must_be_permitted() -> None:
    found = failure([capabilities(bits(KILL), 0), stop()])
    assert found.short == ("set_capabilities", "capset", "EPERM")


def test_capabilities_are_adjusted_within_what_is_permitted() -> None:
    plan = [
        capabilities(bits(KILL), bits(KILL, BIND), 0),
        ops.AdjustCapabilities(effective=bits(BIND), permitted=bits(BIND), inheritable=0),
        stop(),
        ops.AdjustCapabilities(effective=bits(KILL), permitted=bits(KILL), inheritable=0),
        stop(),
    ]
    with Init(plan) as init:
        init.pause()
        found = status(init)
        assert (int(found["CapEff"], 16), int(found["CapPrm"], 16)) == (bits(BIND), bits(BIND))
        init.go()
        assert init.fail().short == ("adjust_capabilities", "capset", "EPERM")


def test_a_capability_that_the_kernel_does_not_know_is_an_error() -> None:
    """AR-6: it would silently be absent."""
    found = failure([capabilities(ALL | bits(63), ALL | bits(63)), stop()])
    assert (found.op, found.errno) == ("set_capabilities", "EPERM")


def test_ids_without_the_right_to_take_them() -> None:
    plan = [capabilities(), ops.SetIds(uid=1000, gid=1000), stop()]
    assert failure(plan).short == ("set_ids", "setgid", "EPERM")
    plan = [capabilities(), ops.SetGroups(gids=gids(1)), stop()]
    assert failure(plan).short == ("set_groups", "setgroups", "EPERM")
    plan = [capabilities(), ops.LimitBoundingSet(keep=0, last=40), stop()]
    assert failure(plan).short == ("limit_bounding_set", "drop", "EPERM")


def test_no_new_privileges() -> None:
    with Init([ops.SetNoNewPrivileges(), stop()]) as init:
        init.pause()
        assert status(init)["NoNewPrivs"] == "1"


LOAD, JEQ, RET = 0x20, 0x15, 0x06
ALLOW, ERRNO_EPERM, NOTIFY = 0x7FFF0000, 0x00050001, 0x7FC00000
NR_MKDIR = {"x86_64": 83, "aarch64": 34}.get(os.uname().machine, 34)
NEW_LISTENER = 1 << 3


def filter_for(number: int, action: int) -> bytes:
    """One syscall gets the action, all others are allowed (the architecture is the native one)."""
    program = [(LOAD, 0, 0, 0), (JEQ, 0, 1, number), (RET, 0, 0, action), (RET, 0, 0, ALLOW)]
    return b"".join(struct.pack("<HBBI", *step) for step in program)


def load(action: int, listener: int = 0, flags: int = 0) -> ops.Op:
    return ops.LoadSeccomp(flags=flags, filter=filter_for(NR_MKDIR, action), listener=listener)


def test_a_filter_is_in_force_for_the_program(rootfs: Path) -> None:
    (rootfs / "bin/mkdir").symlink_to("busybox")
    find, end = execute("mkdir", "/tmp/new")
    plan = [*enter(rootfs), ops.SetNoNewPrivileges(), find]
    with Init([*plan, load(ERRNO_EPERM), end]) as init:
        assert init.succeed() == 1
        assert "Operation not permitted" in init.text()
    with Init([*plan, end]) as init:
        assert init.succeed() == 0


def test_after_the_filter_only_a_few_system_calls_are_used(rootfs: Path) -> None:
    """SC-6: everything else kills the process."""
    allowed = {"x86_64": [0, 1, 3, 436, 59, 231, 60], "aarch64": [63, 64, 57, 436, 221, 94, 93]}
    numbers = allowed.get(os.uname().machine)
    if numbers is None:
        pytest.skip(f"no syscall numbers for {os.uname().machine}")
    program = [(LOAD, 0, 0, 0)]
    for index, number in enumerate(numbers):
        program.append((JEQ, len(numbers) - index, 0, number))
    program += [(RET, 0, 0, 0x80000000), (RET, 0, 0, ALLOW)]
    code = b"".join(struct.pack("<HBBI", *step) for step in program)
    gate, report = os.pipe(), os.pipe()
    plan = [
        *enter(rootfs),
        ops.SetNoNewPrivileges(),
        ops.FindExecutable(name="/bin/true", search=""),
        ops.Await(name=ops.RENDEZVOUS_READY, slot=0, count=0),
        ops.LoadSeccomp(flags=0, filter=code, listener=0),
        ops.Await(name=ops.RENDEZVOUS_HOOKS, slot=0, count=0),
        ops.WaitAtGate(gate=1, report=2),
        execute("/bin/true")[1],
    ]
    with Init(plan, objects=[gate[0], report[1]]) as init:
        for _ in range(2):
            init.pause()
            init.go()
        os.close(report[1])
        os.write(gate[1], b"0")
        message = os.read(report[0], 256)
        assert struct.unpack_from("<I", message) == (5,)  # EXEC
        assert os.read(report[0], 256) == b""
        assert init.wait() < 0  # the program itself uses more, and is killed
    for fd in (*gate, report[0]):
        os.close(fd)


def test_the_parent_fetches_the_listener_before_it_is_closed() -> None:
    """SC-7."""
    plan = [ops.SetNoNewPrivileges(), load(NOTIFY, listener=1), stop()]
    with Init(plan) as init:
        message = init.receive()
        assert message is not None
        assert (message.type, message.value) == (AWAIT, ops.RENDEZVOUS_SECCOMP)
        listener = syscalls.pidfd_getfd(init.pidfd, message.step)
        assert os.readlink(f"/proc/self/fd/{listener}") == "anon_inode:seccomp notify"
        os.close(listener)
        init.go()
        init.pause()
        assert str(message.step) not in os.listdir(f"/proc/{init.pid}/fd")


@pytest.mark.parametrize(
    ("data", "flags"), [(b"", 0), (bytes(7), 0), (bytes(8), 0), (filter_for(1, ALLOW), 1 << 30)]
)
def test_a_filter_that_the_kernel_refuses_is_an_error(data: bytes, flags: int) -> None:
    plan = [
        ops.SetNoNewPrivileges(),
        ops.LoadSeccomp(flags=flags, filter=data, listener=0),
        stop(),
    ]
    assert failure(plan).short == ("load_seccomp", "load", "EINVAL")


def test_a_filter_without_the_right_to_load_it() -> None:
    plan = [capabilities(), load(ERRNO_EPERM), stop()]
    assert failure(plan).short == ("load_seccomp", "load", "EACCES")


def test_names_of_a_uts_namespace(rootfs: Path) -> None:
    plan = [
        ops.Unshare(flags=CLONE_NEWUTS),
        ops.SetHostname(name="box"),
        ops.SetDomainname(name="example.org"),
        stop(),
        *enter(rootfs),
        *shell("hostname"),
    ]
    (rootfs / "bin/hostname").symlink_to("busybox")
    assert output(plan) == "box\n"
    assert os.uname().nodename != "box"
    found = failure([ops.Unshare(flags=CLONE_NEWUTS), ops.SetHostname(name="n" * 65), stop()])
    assert found.short == ("set_hostname", "sethostname", "EINVAL")
    found = failure([ops.Unshare(flags=CLONE_NEWUTS), ops.SetDomainname(name="n" * 65), stop()])
    assert found.short == ("set_domainname", "setdomainname", "EINVAL")


def test_the_session_keyring_is_new_and_anonymous(rootfs: Path) -> None:
    """JN-8."""
    plan = [
        *enter(rootfs)[:2],
        ops.NewMount(slot=50, fstype="proc", source="proc", options=[], attributes=0),
        *enter(rootfs)[2:],
        ops.Attach(slot=50, path="/proc", flags=0),
    ]
    owner = 54321  # whose keys are seen apart from those of everybody else on the machine
    keyring = ops.NewKeyring(permissions=0x80000, tolerate=0)
    plan += [ops.SetIds(uid=owner, gid=owner), keyring, *shell("cat /proc/keys")]
    own = [line.split() for line in output(plan).splitlines() if f" {owner} " in line]
    sessions = [fields for fields in own if "_ses" in fields[8]]
    assert [(fields[8], int(fields[4], 16) & 0x80000) for fields in sessions] == [
        ("_ses:", 0x80000)
    ]


def test_umask_affinity_priorities_and_personality(rootfs: Path) -> None:
    processor = min(os.sched_getaffinity(0))
    mask = struct.pack("<Q", 1 << processor)
    plan = [
        ops.SetUmask(mask=0o27),
        ops.SetAffinity(mask=mask),
        ops.SetScheduler(
            policy=3, flags=1, nice=5, priority=0, runtime=0, deadline=0, period=0
        ),  # BATCH, RESET_ON_FORK
        ops.SetIoPriority(value=2 << 13 | 6),
        ops.SetPersonality(persona=8),
        stop(),
    ]
    with Init(plan) as init:
        init.pause()
        found = status(init)
        assert found["Umask"] == "0027"
        assert os.sched_getaffinity(init.pid) == {processor}
        assert os.sched_getscheduler(init.pid) & ~0x40000000 == os.SCHED_BATCH
        assert os.getpriority(os.PRIO_PROCESS, init.pid) == 5
        assert Path(f"/proc/{init.pid}/personality").read_text() == "00000008\n"


def test_no_mask_means_every_processor() -> None:
    processor = min(os.sched_getaffinity(0))
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    try:
        with Init([ops.SetAffinity(mask=b""), stop()]) as init:
            init.pause()
            assert os.sched_getaffinity(init.pid) == before
    finally:
        os.sched_setaffinity(0, before)


def scheduler(policy: int, priority: int = 0) -> ops.Op:
    return ops.SetScheduler(
        policy=policy, flags=0, nice=0, priority=priority, runtime=0, deadline=0, period=0
    )


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (scheduler(1, priority=100), ("set_scheduler", "setattr", "EINVAL")),
        (scheduler(99), ("set_scheduler", "setattr", "EINVAL")),
        (ops.SetIoPriority(value=7 << 13), ("set_io_priority", "ioprio", "EINVAL")),
        (ops.SetAffinity(mask=bytes(8)), ("set_affinity", "affinity", "EINVAL")),
        (ops.SetMemoryPolicy(mode=999, nodes=b""), ("set_memory_policy", "mempolicy", "EINVAL")),
        (
            ops.SetMemoryPolicy(mode=2, nodes=b"\1\0\0"),
            ("set_memory_policy", "mempolicy", "EINVAL"),
        ),
    ],
    ids=lambda value: str(getattr(value, "NAME", value)),
)
def test_values_that_the_kernel_refuses(op: ops.Op, expected: tuple[str, str, str]) -> None:
    assert failure([op, stop()]).short == expected


def test_memory_policy() -> None:
    with Init([ops.SetMemoryPolicy(mode=2, nodes=bytes([1]) + bytes(7)), stop()]) as init:
        message = init.receive()
        assert message is not None
        if message.type != AWAIT and message.value == errno.ENOSYS:
            pytest.skip("the kernel has no memory policies")
        assert message.type == AWAIT
        path = Path(f"/proc/{init.pid}/numa_maps")
        if path.exists():
            assert "bind:0" in path.read_text()


def test_the_init_waits_in_little_memory() -> None:
    """RS-2: what a created container costs."""
    plan = [
        ops.SetGroups(gids=gids(1, 2, 3)),
        ops.LimitBoundingSet(keep=0, last=40),
        ops.SetIds(uid=1, gid=1),
        capabilities(),
        stop(),
    ]
    with Init(plan) as init:
        init.pause()
        assert status(init)["Threads"] == "1"
        rollup = Path(f"/proc/{init.pid}/smaps_rollup").read_text()
        rss = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Rss"))
        assert rss <= 300


def test_no_system_call_returns_a_descriptor_that_an_exec_would_keep(rootfs: Path) -> None:
    """FD-2 FD-5: the program sees the three standard descriptors and nothing else."""
    plan = [
        *enter(rootfs)[:2],
        ops.NewMount(slot=50, fstype="proc", source="proc", options=[], attributes=0),
        *enter(rootfs)[2:],
        ops.Attach(slot=50, path="/proc", flags=0),
        *shell("echo /proc/self/fd/*"),
    ]
    assert output(plan).split() == [
        f"/proc/self/fd/{n}" for n in (0, 1, 2, 3)
    ]  # 3: the glob itself


def test_a_limit_is_set_or_refused() -> None:
    nofile = 7
    plan = [
        ops.SetLimit(resource=nofile, soft=64, hard=128),
        stop(),
        ops.SetLimit(resource=nofile, soft=129, hard=128),
        stop(),
    ]
    with Init(plan) as init:
        init.pause()
        limits = Path(f"/proc/{init.pid}/limits").read_text()
        line = next(line for line in limits.splitlines() if line.startswith("Max open files"))
        assert line.split()[3:5] == ["64", "128"]
        init.go()
        assert init.fail().short == ("set_limit", "setrlimit", "EINVAL")
