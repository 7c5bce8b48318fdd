# SPDX-License-Identifier: Apache-2.0
"""The listener's way to the agent, with the example agent of the documentation at the other end."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from pyrunc.errors import Failure
from pyrunc.seccomp import notify
from tests.seccomp import kernel, support
from tests.seccomp.support import profile, rule

EXAMPLE = pathlib.Path(__file__).parents[2] / "docs/examples/seccomp-agent.py"
BUSYBOX = "/bin/busybox"
STATE = '{"ociVersion":"1.3.0","id":"web1","status":"creating","pid":7,"bundle":"/b"}'

needs_probe = pytest.mark.skipif(
    bool(kernel.missing()) or not os.path.exists(BUSYBOX),
    reason=kernel.missing() or "busybox-static is missing",
)


def message(metadata: str | None = None, state: str = STATE) -> bytes:
    return notify.container_process_state(
        oci_version="1.3.0", pid=4242, metadata=metadata, state=state
    )


def test_the_message_is_the_container_process_state_of_the_specification() -> None:
    """SC-7"""
    assert json.loads(message('a "b" \\ ὁδός\n')) == {
        "ociVersion": "1.3.0",
        "fds": ["seccompFd"],
        "pid": 4242,
        "metadata": 'a "b" \\ ὁδός\n',
        "state": json.loads(STATE),
    }


@pytest.mark.parametrize("metadata", [None, ""])
def test_no_metadata_is_no_member(metadata: str | None) -> None:
    assert "metadata" not in json.loads(message(metadata))


@pytest.fixture
def agent_socket(tmp_path: pathlib.Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(tmp_path / "agent"))
        listening.listen()
        yield listening


def received(connection: socket.socket) -> tuple[bytes, list[int], int]:
    """Everything until the end: the bytes, the descriptors, and how many messages brought
    descriptors.
    """
    text, descriptors, carriers = b"", list[int](), 0
    while True:
        data, found, _, _ = socket.recv_fds(connection, 4096, 8)
        descriptors += found
        carriers += bool(found)
        if not data:
            return text, descriptors, carriers
        text += data


def test_one_connection_carries_one_message_and_one_descriptor_and_is_closed(
    agent_socket: socket.socket,
) -> None:
    """SC-7"""
    agent = notify.Agent(agent_socket.getsockname())
    connection, _ = agent_socket.accept()
    read_end, write_end = os.pipe()
    os.write(write_end, b"x")
    agent.send(read_end, message())
    text, descriptors, carriers = received(connection)
    assert (text, len(descriptors), carriers) == (message(), 1, 1)
    assert os.read(descriptors[0], 9) == b"x"
    for fd in (read_end, write_end, *descriptors):
        os.close(fd)
    connection.close()
    agent.close()  # again: nothing happens


def test_a_message_larger_than_the_socket_arrives_whole(agent_socket: socket.socket) -> None:
    agent = notify.Agent(agent_socket.getsockname())
    connection, _ = agent_socket.accept()
    large = message("m" * 3_000_000)
    results: list[tuple[bytes, list[int], int]] = []
    thread = threading.Thread(target=lambda: results.append(received(connection)))
    thread.start()
    agent.send(0, large)
    thread.join()
    text, descriptors, carriers = results[0]
    assert text == large
    assert (len(descriptors), carriers) == (1, 1)
    os.close(descriptors[0])
    connection.close()


def test_an_absent_agent_is_an_error_that_names_the_socket(tmp_path: pathlib.Path) -> None:
    """SC-7"""
    with pytest.raises(Failure, match="no such file or directory") as caught:
        notify.Agent(str(tmp_path / "nobody"))
    assert str(tmp_path / "nobody") in str(caught.value)
    assert caught.value.pointer == "/linux/seccomp/listenerPath"


def test_an_agent_that_has_died_is_an_error(agent_socket: socket.socket) -> None:
    """SC-7"""
    agent = notify.Agent(agent_socket.getsockname())
    connection, _ = agent_socket.accept()
    connection.close()
    with pytest.raises(Failure, match="cannot hand the seccomp listener"):
        agent.send(0, message("m" * 3_000_000))


def test_an_agent_that_does_not_read_is_given_up(
    agent_socket: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "TIMEOUT_MS", 50)
    agent = notify.Agent(agent_socket.getsockname())
    connection, _ = agent_socket.accept()
    with connection, pytest.raises(Failure, match="timed out"):
        agent.send(0, message("m" * 3_000_000))


# -- the example -----------------------------------------------------------------------------------


@contextlib.contextmanager
def example(path: str, *argv: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, EXAMPLE, path, "--connections", "1", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"listening on {path}\n"
        yield process
    finally:
        process.kill()
        process.communicate()


PROFILE = profile("ALLOW", rule("mkdir mkdirat", "NOTIFY"), listenerPath="/named/elsewhere")


@needs_probe
@pytest.mark.parametrize(("argv", "made"), [([], True), (["--errno", "122"], False)])
def test_the_example_agent_answers_the_calls_of_a_program(
    tmp_path: pathlib.Path, argv: list[str], made: bool
) -> None:
    path, target = str(tmp_path / "agent"), tmp_path / "made"
    with example(path, *argv) as agent:
        link = notify.Agent(path)
        script = f"busybox mkdir {target}; echo $?"
        with kernel.with_listener(support.compiled(PROFILE), BUSYBOX, "sh", "-c", script) as (
            process,
            listener,
        ):
            link.send(listener, message("greetings"))
            os.close(listener)
            kernel.go_on(process)
            output, errors = process.communicate(timeout=60)
        told, _ = agent.communicate(timeout=60)
    assert output.strip() == (b"0" if made else b"1"), errors
    assert target.exists() is made
    if not made:
        assert b"quota" in errors.lower()
    number = support.number_of(support.X86_64, "mkdir")
    assert "web1: creating: pid 4242: metadata 'greetings'" in told
    assert f": call {number} (" in told
    assert told.endswith("no process is left\n")
    assert not os.path.exists(path)
