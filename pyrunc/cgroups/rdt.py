# SPDX-License-Identifier: Apache-2.0
"""Intel RDT: cache and memory bandwidth through the resctrl file system.

A container has a group (its closID, or its own id), and with enableMonitoring a monitoring group in
it. What is removed at delete: the group if it was made for the container and has no closID of its
own, else only the monitoring group.
"""

from __future__ import annotations

import errno
import posix

from pyrunc.cgroups import layout, tree
from pyrunc.cgroups.stats import parse
from pyrunc.errors import Failure, HostError
from pyrunc.host import mountinfo
from pyrunc.spec.constants import RDT_RESERVED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pyrunc.spec.model_linux import IntelRdt

POINTER = "/linux/intelRdt"


def find_mount(*, proc: str = "/proc/self") -> str | None:
    """Return where resctrl is mounted."""
    data = layout.read_whole(f"{proc}/mountinfo")
    return next((mount.point for mount in mountinfo.parse(data, types=("resctrl",))), None)


def check_group(name: str) -> str:
    """Check a closID, a directory's name to be: one component, not a reserved name (IN-6)."""
    if name == "/":
        return name
    bad = not name or len(name) > 255 or "/" in name or name in (".", "..") or name in RDT_RESERVED
    if bad or any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        raise Failure(f"closID {name[:120]!r} is not valid", pointer=f"{POINTER}/closID")
    return name


def schemata(node: IntelRdt) -> str:
    """All schema lines in their order, to be written at once."""
    lines = [node.l3_cache_schema, node.mem_bw_schema, *node.schemata]
    return "\n".join(line for line in lines if line)


class Group:
    """`made`: the directory is ours; the intent says so before it is made."""

    __slots__ = ("explicit", "made", "monitor", "monitored", "mount", "name")

    def __init__(
        self, mount: str, *, name: str, explicit: bool, monitor: str = "", made: bool = False
    ) -> None:
        self.mount = mount
        self.name = check_group(name)
        self.explicit = explicit
        self.monitor = monitor  # the monitoring group's name, or nothing
        self.made = made
        self.monitored = False

    @classmethod
    def resolve(cls, node: IntelRdt, container_id: str, *, mount: str | None = None) -> Group:
        """Return the group that a configuration asks for; changes nothing."""
        where = mount or find_mount()
        if where is None:
            raise HostError(
                "intelRdt is requested, but resctrl is not mounted",
                hint="mount -t resctrl resctrl /sys/fs/resctrl (needs a processor with RDT)",
            )
        group = cls(
            where,
            name=node.clos_id or container_id,
            explicit=bool(node.clos_id),
            monitor=container_id if node.enable_monitoring else "",
        )
        exists = posix.access(group.path, posix.F_OK)
        if not exists and group.explicit and not schemata(node):
            raise Failure(
                f"closID {group.name!r} does not exist and no schema is given to make it",
                pointer=f"{POINTER}/closID",
            )
        group.made = not exists
        return group

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Group:
        group = cls(
            str(record["mount"]),
            name=str(record["name"]),
            explicit=bool(record["explicit"]),
            monitor=str(record["monitor"]),
            made=bool(record["made"]),
        )
        if group.monitor:
            check_group(group.monitor)
        return group

    def record(self) -> dict[str, Any]:
        return {
            "mount": self.mount,
            "name": self.name,
            "explicit": self.explicit,
            "monitor": self.monitor,
            "made": self.made,
        }

    @property
    def path(self) -> str:
        return self.mount if self.name == "/" else f"{self.mount}/{self.name}"

    @property
    def monitor_path(self) -> str:
        return f"{self.path}/mon_groups/{self.monitor}"

    # -- making ------------------------------------------------------------------------------------

    def prepare(self, node: IntelRdt) -> None:
        """Make the group and write its schemata."""
        if self.made:
            self._mkdir(self.path)
        text = schemata(node)
        if text:
            self.write_schemata(text)
        if self.monitor:
            self._mkdir(self.monitor_path)

    def _mkdir(self, path: str) -> None:
        try:
            posix.mkdir(path, 0o755)
        except FileExistsError:
            pass
        except OSError as error:
            hint = "all classes of service of this processor are in use"
            raise HostError(
                f"cannot make the RDT group {path}",
                errno=error.errno or 0,
                hint=hint if error.errno == errno.ENOSPC else self._last_status(),
            ) from error

    def write_schemata(self, text: str) -> None:
        self._write(self.path, "schemata", text + "\n")

    def schemata_diff(self, wanted: Sequence[str]) -> list[str]:
        """Return the lines of `update --dry-run`: the resources that get another value."""
        present = dict(
            line.split(":", 1) for line in _lines(f"{self.path}/schemata") if ":" in line
        )
        lines = []
        for line in "\n".join(wanted).splitlines():
            kind, _, value = line.partition(":")
            before = present.get(kind.strip(), "").strip()
            if value.strip() != before:
                shown = before or "(unset)"
                lines.append(f"{self.path}/schemata: {kind.strip()}:{shown} -> {line.strip()}")
        return lines

    def attach(self, pid: int) -> None:
        """Put a process (and what it will fork) into the group."""
        self._write(self.path, "tasks", str(pid))
        if self.monitor:
            self._write(self.monitor_path, "tasks", str(pid))

    def _write(self, directory: str, name: str, value: str) -> None:
        try:
            fd = posix.open(directory, layout.DIRECTORY)
            try:
                tree.write_at(fd, name, value)
            finally:
                posix.close(fd)
        except OSError as error:
            status = self._last_status()
            shown = value.strip().replace("\n", "; ")
            raise Failure(
                f"cannot write {shown!r} to {directory}/{name}{f' ({status})' if status else ''}",
                pointer=POINTER,
                errno=error.errno or 0,
            ) from error

    def _last_status(self) -> str:
        """Return the kernel's own words about the last refused write."""
        try:
            data = layout.read_whole(f"{self.mount}/info/last_cmd_status")
        except OSError:
            return ""
        return data.decode("utf-8", "replace").strip().removesuffix("ok").strip()

    # -- living ------------------------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """Return the `intel_rdt` part of `events`."""
        data: dict[str, Any] = {}
        for prefix, directory in (("_root", self.mount), ("", self.path)):
            for line in _lines(f"{directory}/schemata"):
                kind = line.split(":")[0]
                if kind.startswith("L3"):
                    data.setdefault(f"l3_cache_schema{prefix}", line)
                elif kind.startswith("MB"):
                    data.setdefault(f"mem_bw_schema{prefix}", line)
        data.update(self._limits())
        monitoring = self.monitor_path if self.monitor else self.path
        data.update(_monitoring(f"{monitoring}/mon_data"))
        return data

    def _limits(self) -> dict[str, Any]:
        limits: dict[str, Any] = {}
        for key, directory, files in (
            ("l3_cache_info", "L3", ("cbm_mask", "min_cbm_bits", "num_closids")),
            (
                "mem_bw_info",
                "MB",
                ("bandwidth_gran", "delay_linear", "min_bandwidth", "num_closids"),
            ),
        ):
            values: dict[str, Any] = {}
            for file in files:
                lines = _lines(f"{self.mount}/info/{directory}/{file}")
                if lines:
                    values[file] = lines[0] if file == "cbm_mask" else parse.number(lines[0])
            if values:
                limits[key] = values
        return limits

    # -- going away --------------------------------------------------------------------------------

    def destroy(self) -> None:
        """Idempotent: what is not there is fine."""
        if self.monitor:
            self._rmdir(self.monitor_path)
        if self.made and not self.explicit and self.name != "/":
            self._rmdir(self.path)

    def _rmdir(self, path: str) -> None:
        try:
            posix.rmdir(path)  # resctrl removes a group with its files; its tasks go to the root
        except FileNotFoundError:
            pass
        except OSError as error:
            raise Failure(f"cannot remove the RDT group {path}", errno=error.errno or 0) from error


def _lines(path: str) -> list[str]:
    try:
        return [line.strip() for line in layout.read_whole(path).decode().splitlines()]
    except OSError:
        return []


def _monitoring(directory: str) -> dict[str, Any]:
    """mon_data/mon_L3_NN: one entry per cache, in the order of their names."""
    try:
        nodes = sorted(name for name in posix.listdir(directory) if name.startswith("mon_L3"))
    except OSError:
        return {}
    bandwidth, occupancy = [], []
    for node in nodes:
        values = {}
        for file in ("mbm_total_bytes", "mbm_local_bytes", "llc_occupancy"):
            lines = _lines(f"{directory}/{node}/{file}")
            if lines and lines[0].isdecimal():
                values[file] = int(lines[0])
        if "llc_occupancy" in values:
            occupancy.append({"llc_occupancy": values.pop("llc_occupancy")})
        if values:
            bandwidth.append(values)
    return {
        key: entries
        for key, entries in (("mbm_stats", bandwidth), ("cmt_stats", occupancy))
        if entries
    }
