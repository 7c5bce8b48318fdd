# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: SIM905 - long lists of words
"""The allow-list of sysctls."""

from __future__ import annotations

import pytest

from pyrunc.spec.check_sysctl import sysctl_path, sysctl_problem

EVERY_KIND = ("mount", "cgroup", "uts", "ipc", "user", "pid", "network", "time")

# What each kind of namespace owns: allowed with it, refused without it.
OWNED = {
    "ipc": """kernel.msgmax kernel.msgmnb kernel.msgmni kernel.sem kernel.shmall kernel.shmmax
        kernel.shmmni kernel.shm_rmid_forced fs.mqueue.queues_max fs.mqueue.msg_max
        fs/mqueue/msgsize_max kernel/shmmax fs.mqueue.msg_default""".split(),
    "network": """net.core.somaxconn net.ipv4.ip_forward net.ipv4.ping_group_range
        net/ipv4/conf/eth0.1/forwarding net.ipv4.conf.eth0/1.forwarding net.unix.max_dgram_qlen
        net.ipv6.conf.all.disable_ipv6""".split(),
    "uts": ["kernel.domainname", "kernel/domainname"],
    "user": "user.max_user_namespaces user.max_net_namespaces user/max_inotify_watches".split(),
}
NEVER = [
    *"""kernel.hostname kernel/hostname vm.swappiness vm.overcommit_memory kernel.panic kernel
        kernel.core_pattern kernel.modprobe kernel.randomize_va_space kernel.pid_max kernel.msg
        kernel.shmmaxx kernel.shmma kernel.sem.x kernel.domainname.x fs fs.file-max fs.mqueue
        fs.suid_dumpable fs.mqueuex.a fs.binfmt_misc.register net nett.core.x network.x netx user
        userx.a users.max dev.cdrom.info debug.exception-trace abi.vsyscall32 sunrpc.x crypto.x
        net..core net. .net.core net.core. net/../kernel/panic net/./core net/.. ../net/core
        /net/core net/core/ net//core KERNEL.SHMMAX Net.core.somaxconn""".split(),
    *("net.core\nx", "net.core.somaxconn\0", "net.core.a\x1bb", "", ".", "/", "net." + "a" * 300),
]


@pytest.mark.parametrize("kind", OWNED)
def test_an_owned_sysctl_needs_its_own_namespace(kind: str) -> None:
    """PS-6: with every other namespace it is the host's."""
    for key in OWNED[kind]:
        assert sysctl_problem(key, "1", own={kind}) == ""
        others = set(EVERY_KIND) - {kind}
        assert sysctl_problem(key, "1", own=others) == (
            f'sysctl "{key}" is not allowed in the hosts {kind} namespace'
        )


@pytest.mark.parametrize("key", NEVER)
def test_no_namespace_makes_another_sysctl_allowed(key: str) -> None:
    """PS-6, IN-9: whole names, whole components."""
    assert sysctl_problem(key, "1", own=set(EVERY_KIND)).startswith('sysctl "')


def test_the_two_phrases_that_clients_know() -> None:
    assert sysctl_problem("net.a", "1", own=()) == (
        'sysctl "net.a" is not allowed in the hosts network namespace'
    )
    assert (
        sysctl_problem("vm.a", "1", own=()) == 'sysctl "vm.a" is not in a separate kernel namespace'
    )


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/conf/eth0.1/x", "net/ipv4/conf/eth0.1/x"),
        ("net.ipv4.conf.eth0/1.x", "net/ipv4/conf/eth0.1/x"),
        ("kernel", "kernel"),
        ("a/b.c/d", "a/b.c/d"),
    ],
)
def test_the_first_separator_decides_what_dots_and_slashes_mean(key: str, path: str) -> None:
    assert sysctl_path(key) == path


@pytest.mark.parametrize("value", ["1\n2", "\n", "1\0", "x" * 4097, "é" * 2049])
def test_a_value_is_one_bounded_line(value: str) -> None:
    """PS-6"""
    assert sysctl_problem("net.a", value, own={"network"}).startswith('the value of sysctl "net.a"')


def test_a_name_is_bounded() -> None:
    assert sysctl_problem("net." + "a" * 251, "1", own={"network"}) == ""
    assert "not a valid name" in sysctl_problem("net." + "a" * 252, "1", own={"network"})


def test_a_value_may_hold_white_space_and_be_empty() -> None:
    for value in ("0 2147483647", "1\t2\t3", "", "x" * 4096):
        assert sysctl_problem("net.a", value, own={"network"}) == ""


def test_messages_are_printable_and_bounded() -> None:
    message = sysctl_problem("net." + "\x1b\n" * 5000, "1", own={"network"})
    assert message.isprintable()
    assert len(message) < 200
