# SPDX-License-Identifier: Apache-2.0
"""Filters in containers: the same decisions as runc and crun, the listener's hand-over."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import select
import shutil
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyrunc.seccomp.refusals import NOTIF_RECV, NOTIF_SEND
from tests.seccomp import kernel, support
from tests.seccomp.kernel import calls, comparable
from tests.seccomp.profiles_list import PROFILES
from tests.seccomp.support import I386, X32_BIT, X86_64
from tests.support.bundle import Config
from tests.support.runtime import Container, Result, Runtime

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(kernel.missing()), reason=kernel.missing() or "available"),
]

# What refuses by default refuses the peers' own init too; the engines' profiles are made for it.
EVERYWHERE = [
    name
    for name, profile in PROFILES.items()
    if profile["defaultAction"] in ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG") or name.endswith("-default")
]
NEWER = {support.number_of(X86_64, name) for name in ("cachestat", "fchmodat2", "mseal")}
PEERS = ("runc", "crun")


@pytest.fixture
def probing(config: Config) -> Config:
    """A bundle whose program is the probe, which answers the calls on its standard input."""
    shutil.copy(kernel.probe(), config.rootfs / "probe")
    config.process["args"] = ["/probe", "-", "0"]
    config.process["noNewPrivileges"] = True
    return config


def asked(runtime: Runtime, config: Config, profile: dict[str, Any]) -> list[str]:
    config.linux["seccomp"] = profile
    lines = [
        f"{mode} {number:#x} " + " ".join(hex(arg) for arg in [*args, 0, 0, 0, 0, 0, 0][:6])
        for mode, _, number, args in calls()
    ]
    answers = runtime.run(config, stdin="\n".join(lines) + "\n").ok().lines
    assert len(answers) == len(lines)
    return [comparable(answer) for answer in answers]


def explained(name: str, peer: str, machine: int, number: int) -> str:
    """Why a peer may decide differently; see docs/decisions/010-seccomp-compiler.md."""
    plain = number & ~X32_BIT
    profile = PROFILES[name]
    token = support.X32 if machine == X86_64 and number & X32_BIT else machine
    if plain in NEWER:
        return "libseccomp does not know the call"
    if name == "overlapping":
        return "libseccomp prunes rules with conditions by their shape"
    if plain > support.newest(profile, token) & ~X32_BIT and support.has_stub(profile, token):
        old = token == support.X32 and plain <= 547
        return (
            "crun has no ENOSYS stub, runc's begins above x32's old numbers"
            if (peer == "crun" or old)
            else ""
        )
    if name in ("lt", "le", "ge") and token in (I386, support.X32):
        return "libseccomp cuts values down to 32 bits"
    return ""


@pytest.mark.parametrize("name", EVERYWHERE)
def test_the_decisions_are_those_of_runc_and_crun(
    name: str, runtime: Runtime, probing: Config
) -> None:
    ours = asked(runtime, probing, PROFILES[name])
    unexplained = []
    for peer in PEERS:
        program = shutil.which(peer)
        if program is None:
            pytest.skip(f"{peer} is missing")
        if peer == "runc" and "flags" in PROFILES[name]:
            continue  # runc 1.1 supports none
        other_runtime = Runtime(Path(program), runtime.root.parent / peer)
        theirs = asked(other_runtime, probing, PROFILES[name])
        for (mode, machine, number, args), own, other in zip(calls(), ours, theirs, strict=True):
            if own != other and not explained(name, peer, machine, number):
                unexplained.append((peer, mode, number, args, own, other))
    assert not unexplained


def test_a_filter_is_there_with_and_without_no_new_privileges(
    run: Callable[..., Result], config: Config
) -> None:
    """CR-7"""
    config.linux["seccomp"] = PROFILES["docker-default"]
    for no_new_privileges in (True, False):
        config.process["noNewPrivileges"] = no_new_privileges
        text = run(config, "cat", "/proc/self/status").ok().stdout
        assert "Seccomp:\t2" in text
        assert f"NoNewPrivs:\t{no_new_privileges:d}" in text


# -- the listener ----------------------------------------------------------------------------------


class AgentStandIn:
    """Takes connections; refuses every notified call with EDQUOT. What came is in `states`."""

    def __init__(self, path: Path) -> None:
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listening.bind(str(path))
        self.listening.listen()
        self.states: list[dict[str, Any]] = []
        self.calls: list[int] = []
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:  # closed
                return
            self.threads.append(threading.Thread(target=self.serve, args=[connection], daemon=True))
            self.threads[-1].start()

    def serve(self, connection: socket.socket) -> None:
        text, fds = b"", list[int]()
        with connection:
            while True:
                data, found, _, _ = socket.recv_fds(connection, 65536, 4)
                fds += found
                if not data:
                    break
                text += data
        self.states.append(json.loads(text))
        poll = select.poll()
        poll.register(fds[0], select.POLLIN)
        while poll.poll()[0][1] & select.POLLIN:
            self.refuse(fds[0])
        os.close(fds[0])

    def refuse(self, listener: int) -> None:
        request = bytearray(80)
        try:
            fcntl.ioctl(listener, NOTIF_RECV, request)
            cookie, _, _, number = struct.unpack_from("=QIIi", request)
            self.calls.append(number)
            fcntl.ioctl(listener, NOTIF_SEND, struct.pack("=QqiI", cookie, 0, -errno.EDQUOT, 0))
        except FileNotFoundError:
            return  # the caller has ended meanwhile

    def close(self) -> None:
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        for thread in self.threads:
            thread.join(10)


def notifying(path: Path, **more: Any) -> dict[str, Any]:
    return support.profile(
        "ALLOW", support.rule("mkdir mkdirat", "NOTIFY"), listenerPath=str(path), **more
    )


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_the_agent_gets_the_state_and_answers_the_calls(
    run: Callable[..., Result], config: Config, workspace: Path, no_new_privileges: bool
) -> None:
    """SC-7"""
    agent = AgentStandIn(workspace / "agent")
    config.process["noNewPrivileges"] = no_new_privileges
    config.linux["seccomp"] = notifying(workspace / "agent", listenerMetadata="greetings")
    result = run(config, "mkdir", "/tmp/x")
    agent.close()
    assert "quota" in result.stderr.lower()
    (state,) = agent.states
    assert state["fds"] == ["seccompFd"]
    assert state["metadata"] == "greetings"
    assert state["state"]["status"] == "creating"
    assert state["state"]["bundle"] == str(config.bundle)
    assert state["pid"] == state["state"]["pid"] > 1
    assert agent.calls == [support.number_of(X86_64, "mkdir")]


def test_without_an_agent_nothing_starts(
    run: Callable[..., Result], config: Config, workspace: Path
) -> None:
    """SC-7: not even a hook, which runs before the filter is loaded."""
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"touch {workspace}/hooked"]}
    config["hooks"] = {"createRuntime": [hook], "poststop": [hook]}
    config.linux["seccomp"] = notifying(workspace / "nobody")
    result = run(config, "touch", "/never")
    assert result.status != 0
    assert str(workspace / "nobody") in result.error
    assert not (config.rootfs / "never").exists()
    assert not (workspace / "hooked").exists()


def test_a_profile_that_notifies_of_nothing_needs_no_agent(
    run: Callable[..., Result], config: Config, workspace: Path
) -> None:
    config.linux["seccomp"] = support.profile("ALLOW", listenerPath=str(workspace / "nobody"))
    assert run(config, "echo", "up").ok().stdout == "up\n"


def test_without_an_agent_no_process_is_executed(
    runtime: Runtime, config: Config, workspace: Path
) -> None:
    """SC-7 JN-7"""
    agent = AgentStandIn(workspace / "agent")
    config.linux["seccomp"] = notifying(workspace / "agent")
    container = runtime.create(config, "sleep", "60").start()
    agent.close()
    (workspace / "agent").unlink()
    result = container.command("exec", "--pid-file", workspace / "pid", "true")
    container.delete()
    assert result.status != 0
    assert "cannot connect to the seccomp agent" in result.error
    assert not (workspace / "pid").exists()


def test_an_executed_process_has_a_connection_of_its_own(
    runtime: Runtime, config: Config, workspace: Path
) -> None:
    """SC-7 JN-7"""
    agent = AgentStandIn(workspace / "agent")
    config.linux["seccomp"] = notifying(workspace / "agent")
    container = runtime.create(config, "sleep", "60").start()
    result = container.command("exec", "mkdir", "/tmp/x")
    container.delete()
    agent.close()
    assert "quota" in result.stderr.lower()
    assert [state["state"]["status"] for state in agent.states] == ["creating", "running"]
    assert agent.states[0]["pid"] != agent.states[1]["pid"]
    assert agent.states[1]["state"]["pid"] == agent.states[0]["pid"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS], ids=["EPERM", "ENOSYS"])
def test_under_a_filter_that_refuses_to_fetch_it_the_listener_is_sent(
    runtime: Runtime, config: Config, workspace: Path, probe: Path, number: int
) -> None:
    """SC-7: nested in a container whose profile is older than pidfd_getfd, create and exec."""
    agent = AgentStandIn(workspace / "agent")
    refused = str(support.number_of(X86_64, "pidfd_getfd"))
    prefix = [str(probe), "without", refused, str(number)]
    config.linux["seccomp"] = notifying(workspace / "agent")
    config.process["args"] = ["sleep", "60"]
    config.write()
    container = Container(runtime, runtime.new_id(), config)
    runtime("run", "--detach", "--bundle", config.bundle, container.id, prefix=prefix).ok()
    result = runtime("exec", container.id, "mkdir", "/tmp/x", prefix=prefix)
    container.delete()
    agent.close()
    assert "quota" in result.stderr.lower()
    assert [state["state"]["status"] for state in agent.states] == ["creating", "running"]
    assert agent.calls == [support.number_of(X86_64, "mkdir")]


# -- --explain-seccomp -----------------------------------------------------------------------------

EXPLAIN = ["--explain-seccomp"]


def report(result: Result) -> list[str]:
    return [line for line in result.stderr.splitlines() if line.startswith("seccomp: ")]


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_the_refused_calls_are_told_at_the_end(
    pyrunc: Runtime, config: Config, no_new_privileges: bool
) -> None:
    config.process["noNewPrivileges"] = no_new_privileges
    config.linux["seccomp"] = support.profile(
        "ALLOW", support.rule("mkdir mkdirat", "ERRNO", errnoRet=errno.EDQUOT)
    )
    script = "mkdir /tmp/a; mkdir /tmp/b; echo done; exit 3"
    result = pyrunc.run(config, "sh", "-c", script, flags=EXPLAIN)
    assert (result.status, result.stdout) == (3, "done\n")
    assert result.stderr.lower().count("quota") == 2
    assert report(result) == ["seccomp: mkdir: refused 2 times (EDQUOT)"]


def test_a_default_profile_refuses_an_ordinary_program_nothing(
    pyrunc: Runtime, config: Config
) -> None:
    config.linux["seccomp"] = PROFILES["docker-default"]
    result = pyrunc.run(config, "sh", "-c", "ls /; sleep 0.01 & wait", flags=EXPLAIN).ok()
    assert report(result) == ["seccomp: nothing was refused"]


def test_what_makes_the_start_fail_is_told_too(pyrunc: Runtime, config: Config) -> None:
    config.linux["seccomp"] = support.profile(
        "ALLOW", support.rule("execve execveat", "ERRNO", errnoRet=errno.EDQUOT)
    )
    result = pyrunc.run(config, "true", flags=EXPLAIN)
    assert result.status != 0
    assert any("refused once (EDQUOT)" in line for line in report(result)), result.stderr


def test_explaining_needs_a_filter(pyrunc: Runtime, config: Config) -> None:
    result = pyrunc.run(config, "true", flags=EXPLAIN)
    assert "no system call filter" in result.error
    assert report(result) == []


# -- the log and the check -------------------------------------------------------------------------


def test_ignored_names_are_in_the_debug_log_and_in_the_warnings_of_check(
    pyrunc: Runtime, config: Config
) -> None:
    config.linux["seccomp"] = support.profile("ALLOW", support.rule("mkdirr", "ERRNO"))
    config.write()
    told = Runtime(pyrunc.program, pyrunc.root, ("--debug",))
    expected = "unknown system calls are ignored: mkdirr"
    assert expected in told.run(config, "true").ok().stderr
    assert expected not in pyrunc.run(config, "true").ok().stderr
    assert "mkdirr" in pyrunc("check", config.bundle).stdout


def test_the_debug_log_says_what_the_filter_took_and_where_it_came_from(
    pyrunc: Runtime, config: Config
) -> None:
    config.linux["seccomp"] = support.load("docker-default")
    told = Runtime(pyrunc.program, pyrunc.root, ("--debug",))
    took = r"seccomp: \d+ instructions {} in \d+\.\d\d ms \(\d+\.\d\d ms of processor time\)"
    for source in ("compiled", "from the cache"):
        assert re.search(took.format(source), told.run(config, "true").ok().stderr)
