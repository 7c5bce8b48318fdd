# SPDX-License-Identifier: Apache-2.0
"""The systemd driver against a peer that speaks D-Bus as systemd does, well or badly."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

jeepney = pytest.importorskip("jeepney")

from pyrunc.cgroups.systemd import calls, dbus  # noqa: E402
from pyrunc.cgroups.systemd.dbus import BusError  # noqa: E402
from pyrunc.errors import HostError  # noqa: E402

Reply = tuple[str, tuple[Any, ...]] | str | None
JOB = "/org/freedesktop/systemd1/job/7"
ERROR = "org.freedesktop.systemd1."


class Peer:
    """Answers calls by a table: method -> (signature, body), an error's name, or no answer."""

    def __init__(self, path: str) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(4)
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.answers: dict[str, Callable[[tuple[Any, ...]], Reply]] = {
            "Hello": lambda body: ("s", (":1.1",)),
            "AddMatch": lambda body: ("", ()),
            "StartTransientUnit": lambda body: ("o", (JOB,)),
            "StopUnit": lambda body: ("o", (JOB,)),
            "ResetFailedUnit": lambda body: ("", ()),
            "SetUnitProperties": lambda body: ("", ()),
            "Get": self.get,
        }
        self.values = {
            "Version": "252.22-1~deb12u1",
            "ControlGroup": "/user.slice/user-1.slice/user@1.service",
            "LoadState": "loaded",
            "ActiveState": "activating",
            "SubState": "start-pre",
        }
        self.job_result: str | None = "done"
        self.refuse = False
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def get(self, body: tuple[Any, ...]) -> Reply:
        return "v", (("s", self.values[body[1]]),)

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                try:
                    self.converse(connection)
                except OSError:
                    continue

    def converse(self, connection: socket.socket) -> None:
        """What has been read together with BEGIN is looked at when more arrives, as by systemd."""
        head = b""
        answered = False
        while b"BEGIN\r\n" not in head:
            head += connection.recv(256)
            if b"DATA\r\n" in head and not answered:
                connection.sendall(b"REJECTED EXTERNAL\r\n" if self.refuse else b"DATA\r\nOK 0\r\n")
                if self.refuse:
                    return
                answered = True
                time.sleep(0.02)  # a slow reader gets all that has been sent meanwhile
        parser = jeepney.Parser()
        parser.add_data(head.partition(b"BEGIN\r\n")[2])
        serial = 0
        while data := connection.recv(65536):
            parser.add_data(data)
            while (message := parser.get_next_message()) is not None:
                for reply in self.answer(message):
                    serial += 1
                    connection.sendall(reply.serialise(serial=serial))

    def answer(self, message: Any) -> Iterator[Any]:
        method = message.header.fields[jeepney.HeaderFields.member]
        self.calls.append((method, message.body))
        found = self.answers[method](message.body)
        if isinstance(found, str):
            yield jeepney.new_error(message, found, "s", (f"{found} it is",))
            return
        if found is None:
            return
        signature, body = found
        is_job = found[1] == (JOB,)
        signal = self.removed("/another/job", "failed")
        if is_job:
            yield signal
        yield jeepney.new_method_return(message, signature or None, body)
        if is_job and self.job_result is not None:
            yield self.removed(JOB, self.job_result)

    @staticmethod
    def removed(job: str, result: str) -> Any:
        emitter = jeepney.DBusAddress(
            "/org/freedesktop/systemd1", interface="org.freedesktop.systemd1.Manager"
        )
        return jeepney.new_signal(emitter, "JobRemoved", "uoss", (7, job, "x.scope", result))


@pytest.fixture
def peer() -> Iterator[Peer]:
    with tempfile.TemporaryDirectory(prefix="b") as directory:
        os.mkdir(f"{directory}/run")
        found = Peer(f"{directory}/run/bus")
        found.runtime = f"{directory}/run"  # type: ignore[attr-defined]
        yield found
        found.listener.close()


@pytest.fixture
def manager(peer: Peer) -> Iterator[calls.Manager1]:
    environment = {"XDG_RUNTIME_DIR": peer.runtime}  # type: ignore[attr-defined]
    found = calls.connect(user=True, environment=environment)
    found.job_s = 0.3
    yield found
    found.close()


PROPERTIES: list[Any] = [
    ("Description", ("s", "x")),
    ("PIDs", ("au", [1])),
    ("MemoryMax", ("t", 2**64 - 1)),
    ("AllowedCPUs", ("ay", b"\x03")),
    ("DeviceAllow", ("a(ss)", [("/dev/char/1:3", "rwm")])),
    ("DeviceAllow", ("a(ss)", [])),
    ("Delegate", ("b", True)),
]


def test_a_unit_is_started_with_its_properties_and_its_job_awaited(
    peer: Peer, manager: calls.Manager1
) -> None:
    """CG-6"""
    manager.start("p-x.scope", PROPERTIES)
    method, body = peer.calls[-1]
    assert method == "StartTransientUnit"
    assert body[:2] == ("p-x.scope", "replace")
    sent = [(name, value[1]) for name, value in body[2]]
    assert ("MemoryMax", 2**64 - 1) in sent
    assert ("DeviceAllow", [("/dev/char/1:3", "rwm")]) in sent
    assert [bytes(value) for name, value in sent if name == "AllowedCPUs"] == [b"\x03"]


def test_a_job_that_does_not_end_names_the_unit_and_its_state(
    peer: Peer, manager: calls.Manager1
) -> None:
    peer.job_result = None
    with pytest.raises(HostError) as caught:
        manager.start("p-x.scope", [])
    assert "the systemd unit p-x.scope: not done within 0.3 s" in str(caught.value)
    assert "loaded/activating/start-pre" in str(caught.value)


def test_a_job_that_fails_names_its_result(peer: Peer, manager: calls.Manager1) -> None:
    peer.job_result = "failed"
    with pytest.raises(HostError, match="its job ended with 'failed'") as caught:
        manager.start("p-x.scope", [])
    assert "loaded/activating/start-pre" in str(caught.value)


def test_a_call_without_an_answer_ends_in_time(peer: Peer, manager: calls.Manager1) -> None:
    peer.answers["Get"] = lambda body: None
    with pytest.raises(BusError, match="did not answer in time: ask systemd's version"):
        manager.bus.call(
            calls.MANAGER, "Get", "ss", ("x", "y"), action="ask systemd's version", limit_s=0.1
        )


def test_a_failed_unit_of_that_name_is_reset_and_the_start_tried_again(
    peer: Peer, manager: calls.Manager1
) -> None:
    answers: list[Reply] = [f"{ERROR}UnitExists", ("o", (JOB,))]
    peer.answers["StartTransientUnit"] = lambda body: answers.pop(0)
    manager.start("p-x.scope", [])
    assert [
        name for name, _ in peer.calls if name in ("StartTransientUnit", "ResetFailedUnit")
    ] == [
        "StartTransientUnit",
        "ResetFailedUnit",
        "StartTransientUnit",
    ]


def test_a_unit_that_is_in_use_is_an_error(peer: Peer, manager: calls.Manager1) -> None:
    peer.answers["StartTransientUnit"] = lambda body: f"{ERROR}UnitExists"
    with pytest.raises(BusError, match="cannot start the systemd unit p-x"):
        manager.start("p-x.scope", [])


def test_who_asks_the_wrong_systemd_is_told_about_sessions(
    peer: Peer, manager: calls.Manager1
) -> None:
    """A user without a session ends at the system's systemd, which asks for a password."""
    name = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
    peer.answers["StartTransientUnit"] = lambda body: name
    with pytest.raises(BusError) as caught:
        manager.start("p-x.scope", [])
    assert "enable-linger" in caught.value.hint


def test_stopping_what_is_gone_is_fine(peer: Peer, manager: calls.Manager1) -> None:
    peer.answers["StopUnit"] = lambda body: f"{ERROR}NoSuchUnit"
    peer.answers["ResetFailedUnit"] = lambda body: f"{ERROR}NoSuchUnit"
    manager.stop("p-x.scope")
    assert [name for name, _ in peer.calls[-2:]] == ["StopUnit", "ResetFailedUnit"]


def test_questions_are_answered(peer: Peer, manager: calls.Manager1) -> None:
    assert manager.version == 252
    assert manager.control_group == "/user.slice/user-1.slice/user@1.service"


def test_a_peer_that_refuses_us_is_named(peer: Peer) -> None:
    peer.refuse = True
    with pytest.raises(HostError, match="refuses this user: REJECTED"):
        dbus.connect(user=True, environment={"XDG_RUNTIME_DIR": peer.runtime})  # type: ignore[attr-defined]


def test_no_call_is_sent_before_the_peer_has_read_the_end_of_the_authentication(
    peer: Peer,
) -> None:
    """systemd's private socket, where there is no D-Bus daemon."""
    os.mkdir(f"{peer.runtime}/systemd")  # type: ignore[attr-defined]
    os.rename(f"{peer.runtime}/bus", f"{peer.runtime}/systemd/private")  # type: ignore[attr-defined]
    environment = {"XDG_RUNTIME_DIR": peer.runtime}  # type: ignore[attr-defined]
    for _ in range(5):
        manager = calls.connect(user=True, environment=environment)
        assert manager.bus.private
        assert (
            manager.bus.call(
                calls.MANAGER, "Get", "ss", ("x", "Version"), action="ask", limit_s=0.2
            )[0][1]
            == peer.values["Version"]
        )
        manager.close()


@pytest.mark.parametrize("silent", [True, False])
def test_a_bus_whose_daemon_is_gone_is_passed_over(peer: Peer, silent: bool) -> None:
    """A socket unit listens for a daemon that cannot start, or that closes the connection."""
    runtime: str = peer.runtime  # type: ignore[attr-defined]
    os.mkdir(f"{runtime}/systemd")
    os.rename(f"{runtime}/bus", f"{runtime}/systemd/private")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(f"{runtime}/bus")
        dead.listen(1)
        if not silent:
            threading.Thread(target=lambda: dead.accept()[0].close(), daemon=True).start()
        environment = {"XDG_RUNTIME_DIR": runtime}
        bus = dbus.connect(user=True, environment=environment, limit_s=0.1)
    assert bus.private
    bus.close()


def test_without_systemd_the_error_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(HostError) as caught:
        dbus.connect(user=True, environment={"XDG_RUNTIME_DIR": str(tmp_path)})
    assert f"{tmp_path}/bus: no such file or directory" in str(caught.value)
    assert "--cgroup-manager=cgroupfs" in caught.value.hint


def test_the_addresses_follow_the_environment() -> None:
    found = dbus.addresses(
        user=True,
        environment={
            "DBUS_SESSION_BUS_ADDRESS": "tcp:host=x;unix:abstract=/tmp/a%20b,guid=1",
            "XDG_RUNTIME_DIR": "/r",
        },
        uid=5,
    )
    assert found == [("\0/tmp/a b", False), ("/r/bus", False), ("/r/systemd/private", True)]
    assert dbus.addresses(user=False, environment={}, uid=0)[-1] == ("/run/systemd/private", True)
    assert len(dbus.addresses(user=False, environment={}, uid=7)) == 1
