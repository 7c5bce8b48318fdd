# SPDX-License-Identifier: Apache-2.0
"""The calls to org.freedesktop.systemd1.Manager, each bounded and named in its error."""

from __future__ import annotations

import time

from jeepney import DBusAddress  # type: ignore[import-untyped]

from pyrunc.cgroups.systemd import dbus, unit_names
from pyrunc.cgroups.systemd.dbus import BusError
from pyrunc.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyrunc.cgroups.systemd.unit_properties import Property

JOB_S = 30.0
PREFIX = "org.freedesktop.systemd1."
MANAGER = DBusAddress(
    "/org/freedesktop/systemd1", bus_name=dbus.SERVICE, interface=f"{PREFIX}Manager"
)
MATCH = f"type='signal',sender='{dbus.SERVICE}',interface='{PREFIX}Manager',member='JobRemoved'"
PROPERTIES = "org.freedesktop.DBus.Properties"


class Manager1:
    def __init__(self, connection: dbus.Bus, *, job_s: float = JOB_S) -> None:
        self.bus = connection
        self.job_s = job_s
        self._version = -1

    def close(self) -> None:
        self.bus.close()

    # -- questions ---------------------------------------------------------------------------------

    def _get(self, target: DBusAddress, interface: str, name: str, *, action: str) -> Any:
        reply = self.bus.call(
            target.with_interface(PROPERTIES),
            "Get",
            "ss",
            (f"{PREFIX}{interface}", name),
            action=action,
        )
        return reply[0][1]

    @property
    def version(self) -> int:
        """252 of "252.22-1~deb12u1" or "v252"."""
        if self._version < 0:
            text = str(self._get(MANAGER, "Manager", "Version", action="ask systemd's version"))
            digits = text.removeprefix("v").partition(".")[0].partition("~")[0].partition("-")[0]
            self._version = int(digits) if digits.isdecimal() else 0
        return self._version

    @property
    def control_group(self) -> str:
        return str(self._get(MANAGER, "Manager", "ControlGroup", action="ask systemd's cgroup"))

    def state(self, unit: str) -> str:
        """Return what systemd says about a unit, for messages."""
        target = DBusAddress(unit_names.object_path(unit), bus_name=dbus.SERVICE)
        try:
            return "/".join(
                str(self._get(target, "Unit", name, action=f"ask the state of {unit}"))
                for name in ("LoadState", "ActiveState", "SubState")
            )
        except BusError:
            return "unknown"

    # -- orders ------------------------------------------------------------------------------------

    def _run_job(
        self, method: str, signature: str, body: tuple[Any, ...], *, unit: str, verb: str
    ) -> None:
        """Give an order and wait until systemd has done it."""
        action = f"{verb} the systemd unit {unit}"
        deadline = time.monotonic() + self.job_s
        if not self.bus.private:
            self.bus.call(dbus.BUS, "AddMatch", "s", (MATCH,), action=action)
        (job,) = self.bus.call(MANAGER, method, signature, body, action=action, limit_s=self.job_s)
        try:
            _, _, _, result = self.bus.wait_signal(
                "JobRemoved", lambda args: args[1] == job, deadline=deadline, action=action
            )
        except BusError as error:
            if error.name != "timeout":
                raise
            raise HostError(
                f"cannot {action}: not done within {self.job_s:g} s"
                f" (state of the unit: {self.state(unit)})",
                hint="see `systemctl list-jobs` and the journal of the unit",
            ) from error
        if result != "done":
            raise HostError(
                f"cannot {action}: its job ended with {result!r}"
                f" (state of the unit: {self.state(unit)})",
                hint=f"see `journalctl -u {unit}`",
            )

    def start(self, unit: str, properties: list[Property], *, slice_unit: bool = False) -> None:
        """StartTransientUnit. A failed unit of that name is forgotten; an active one stays."""
        body: tuple[Any, ...] = (unit, "replace", properties, [])
        try:
            self._run_job("StartTransientUnit", "ssa(sv)a(sa(sv))", body, unit=unit, verb="start")
        except BusError as error:
            if error.name != f"{PREFIX}UnitExists":
                raise
            if slice_unit:
                return  # a slice may have been made by somebody, and be shared
            self.reset(unit)
            self._run_job("StartTransientUnit", "ssa(sv)a(sa(sv))", body, unit=unit, verb="start")

    def stop(self, unit: str) -> None:
        """StopUnit; a unit that is not there is stopped."""
        try:
            self._run_job("StopUnit", "ss", (unit, "replace"), unit=unit, verb="stop")
        except BusError as error:
            if error.name != f"{PREFIX}NoSuchUnit":
                raise
        self.reset(unit)

    def reset(self, unit: str) -> None:
        """Reset a failed unit, which stays loaded otherwise."""
        try:
            self.bus.call(
                MANAGER, "ResetFailedUnit", "s", (unit,), action=f"reset the systemd unit {unit}"
            )
        except BusError as error:
            if error.name != f"{PREFIX}NoSuchUnit":
                raise

    def set_properties(self, unit: str, properties: list[Property]) -> None:
        """Change the unit until the next boot, as its transient file does."""
        self.bus.call(
            MANAGER,
            "SetUnitProperties",
            "sba(sv)",
            (unit, True, properties),
            action=f"change the systemd unit {unit}",
        )

    def attach(self, unit: str, pid: int, *, below: str = "") -> None:
        """Move a process into a unit; for a caller who may not write to the cgroup above both."""
        self.bus.call(
            MANAGER,
            "AttachProcessesToUnit",
            "ssau",
            (unit, f"/{below}" if below else "", [pid]),
            action=f"move process {pid} into the systemd unit {unit}",
        )

    def list_units(self, patterns: list[str]) -> list[str]:
        """Return the names of the loaded units that match."""
        (found,) = self.bus.call(
            MANAGER, "ListUnitsByPatterns", "asas", ([], patterns), action="list systemd units"
        )
        return [row[0] for row in found]


def connect(*, user: bool, environment: Mapping[str, str] | None = None) -> Manager1:
    return Manager1(dbus.connect(user=user, environment=environment))
