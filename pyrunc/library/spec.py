# SPDX-License-Identifier: Apache-2.0
"""A configuration as an immutable value that is built step by step.

Every method returns a new `Spec`; ``dict(spec)`` and ``spec.json()`` are a config.json of the OCI
runtime specification, and ``Spec.parse`` reads one back.
"""

from __future__ import annotations

from pyrunc import jsontext
from pyrunc.errors import UsageError
from pyrunc.spec import defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, Final

# The root file system is an overlay whose upper layer goes away with the container.
EPHEMERAL: Final = "org.pyrunc.ephemeral"
# linux.seccomp is to be the library's default profile, which depends on the machine.
DEFAULT_FILTER: Final = "default"

# Capabilities of containers as the engines start them; a program that drops root needs them.
CAPABILITIES: Final = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
)  # fmt: skip
# Host ids of a user namespace that root makes: above those of /etc/subuid and of systemd-nspawn.
FIRST_HOST_ID: Final = 0x70000000
IDS: Final = 65536
CPU_PERIOD_US: Final = 100_000
UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class Spec:
    """A configuration. Two are equal when their JSON values are."""

    __slots__ = ("_value",)

    def __init__(self, value: Mapping[str, Any]) -> None:
        """`value` is copied; it is checked when a container is made of it, or by `check`."""
        self._value: dict[str, Any] = jsontext.decode(jsontext.encode(dict(value)))

    @classmethod
    def parse(cls, text: str | bytes) -> Spec:
        """From the text of a config.json."""
        from pyrunc.spec import strict

        data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        value = strict.decode(data, source="config.json")
        if not isinstance(value, dict):
            raise UsageError("a configuration is a JSON object")
        return cls(value)

    @classmethod
    def default(
        cls,
        args: Sequence[str],
        *,
        rootfs: str,
        euid: int | None = None,
        egid: int | None = None,
    ) -> Spec:
        """Return a program in a root file system, with safe defaults.

        Read-only root, no network, a user namespace, no privileges that the program can gain, the
        default filter.

        `euid` and `egid` are the caller's ids unless they are given.
        """
        if euid is None or egid is None:
            from pyrunc.host import facts

            host = facts.probe()
            euid, egid = host.euid, host.egid
        value = defaults.default_config()
        value["process"].update(terminal=False, args=list(args))
        value["process"]["capabilities"] = {
            kind: list(CAPABILITIES) for kind in ("bounding", "effective", "permitted")
        }
        value["root"]["path"] = rootfs
        spec = cls(value).seccomp(DEFAULT_FILTER)
        return spec.user_namespace() if euid == 0 else spec.rootless(uid=euid, gid=egid)

    # -- as a value --------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return a copy of the JSON value, to be changed at will."""
        copy: dict[str, Any] = jsontext.decode(jsontext.encode(self._value))
        return copy

    def json(self, *, indent: int = 0) -> str:
        """Return the text of the config.json."""
        return jsontext.encode(self._value, indent=indent)

    def keys(self) -> Iterator[str]:
        return iter(self._value)

    def __getitem__(self, name: str) -> Any:
        return self.to_dict()[name]

    def get(self, pointer: str, default: Any = None) -> Any:
        """Return the value at a JSON pointer, such as /linux/resources/pids/limit."""
        value: Any = self._value
        for part in pointer.split("/")[1:]:
            part = part.replace("~1", "/").replace("~0", "~")
            if isinstance(value, list) and part.isdigit() and int(part) < len(value):
                value = value[int(part)]
            elif isinstance(value, dict) and part in value:
                value = value[part]
            else:
                return default
        return jsontext.decode(jsontext.encode(value))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and self._value == other._value

    def __hash__(self) -> int:
        return hash(jsontext.encode(self._value))

    def __repr__(self) -> str:
        process = self._value.get("process") or {}
        return f"Spec(args={process.get('args')!r}, rootfs={self.get('/root/path')!r})"

    # -- steps -------------------------------------------------------------------------------------

    def set(self, pointer: str, value: Any) -> Spec:
        """Replace the value at a JSON pointer; objects on the way are made."""
        changed = self.to_dict()
        *parents, last = [
            part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]
        ]
        place: Any = changed
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        if isinstance(place, list):
            place[int(last)] = value
        else:
            place[last] = value
        return Spec(changed)

    def args(self, *args: str) -> Spec:
        """Another program with its arguments."""
        return self.set("/process/args", list(args))

    def cwd(self, path: str) -> Spec:
        return self.set("/process/cwd", path)

    def env(self, **variables: str) -> Spec:
        """More variables; one that is there already gets the new value."""
        kept = [
            line for line in self.get("/process/env", []) if line.partition("=")[0] not in variables
        ]
        return self.set("/process/env", [*kept, *(f"{k}={v}" for k, v in variables.items())])

    def user(self, uid: int, gid: int | None = None, *, groups: Sequence[int] = ()) -> Spec:
        """Ids of the process inside the container; `gid` is the same number unless it is given."""
        value = {"uid": uid, "gid": uid if gid is None else gid}
        more = {"additionalGids": list(groups)} if groups else {}
        return self.set("/process/user", {**value, **more})

    def hostname(self, name: str) -> Spec:
        return self.set("/hostname", name)

    def annotation(self, name: str, value: str) -> Spec:
        changed = self.to_dict()
        changed.setdefault("annotations", {})[name] = value
        return Spec(changed)

    def limit(
        self,
        *,
        memory: int | str | None = None,
        cpus: float | None = None,
        pids: int | None = None,
    ) -> Spec:
        """Limit what the cgroup may use.

        Memory (and memory plus swap) in bytes or such as "64m", processors, tasks.
        """
        changed = self.to_dict()
        resources = changed.setdefault("linux", {}).setdefault("resources", {})
        if memory is not None:
            size = bytes_of(memory)
            resources["memory"] = {**(resources.get("memory") or {}), "limit": size, "swap": size}
        if cpus is not None:
            quota = {"quota": int(cpus * CPU_PERIOD_US), "period": CPU_PERIOD_US}
            resources["cpu"] = {**(resources.get("cpu") or {}), **quota}
        if pids is not None:
            resources["pids"] = {"limit": pids}
        return Spec(changed)

    def mount(
        self, destination: str, *, type: str, source: str = "", options: Sequence[str] = ()
    ) -> Spec:
        """One more mount, after those that are there."""
        row = {"destination": destination, "type": type, "source": source or type}
        return self._add_mount({**row, "options": list(options)})

    def bind(
        self, source: str, destination: str, *, readonly: bool = True, recursive: bool = True
    ) -> Spec:
        """Bind a file or directory of the host, read-only unless it is asked for otherwise."""
        options = ["rbind" if recursive else "bind", "nosuid", "nodev"]
        options += ["rro" if recursive else "ro"] if readonly else []
        return self._add_mount(
            {"destination": destination, "type": "bind", "source": source, "options": options}
        )

    def _add_mount(self, row: dict[str, Any]) -> Spec:
        changed = self.to_dict()
        changed.setdefault("mounts", []).append(row)
        return Spec(changed)

    def network(self, kind: str) -> Spec:
        """``none``: a new namespace with nothing but lo; ``host``; or the path of a namespace."""
        entry = {"type": "network", **({"path": kind} if kind.startswith("/") else {})}
        if kind not in ("none", "host") and not kind.startswith("/"):
            raise UsageError(f"network {kind!r}: it is none, host or an absolute path")
        return self._namespaces("network", [] if kind == "host" else [entry])

    def _namespaces(self, kind: str, entries: list[dict[str, Any]]) -> Spec:
        kept = [one for one in self.get("/linux/namespaces", []) if one.get("type") != kind]
        return self.set("/linux/namespaces", [*kept, *entries])

    def seccomp(self, profile: str | Mapping[str, Any] | None) -> Spec:
        """``default``, a profile of the OCI format as a mapping, or None for no filter."""
        changed = self.to_dict()
        linux = changed.setdefault("linux", {})
        linux.pop("seccomp", None)
        if profile == DEFAULT_FILTER:
            from pyrunc.library import filter

            linux["seccomp"] = filter.default_profile()
        elif isinstance(profile, str):
            raise UsageError(f"seccomp {profile!r}: it is default, a profile, or None")
        elif profile is not None:
            linux["seccomp"] = dict(profile)
        return Spec(changed)

    def readonly(self, readonly: bool = True) -> Spec:
        """Whether the root file system can be written to."""
        return self.set("/root/readonly", readonly)

    def ephemeral(self) -> Spec:
        """Make the root writable; changes go away with the container, not to the image."""
        return self.readonly(False).annotation(EPHEMERAL, "true")

    def capabilities(self, *names: str) -> Spec:
        """Set the capabilities of the program; none at all without an argument.

        They go into the sets that a program without file capabilities needs.
        """
        kinds = ("bounding", "effective", "permitted")
        return self.set("/process/capabilities", {kind: list(names) for kind in kinds})

    def user_namespace(self, *, first_host_id: int = FIRST_HOST_ID, ids: int = IDS) -> Spec:
        """Add a user namespace that root makes.

        `ids` ids from 0 on are those of the host from `first_host_id` on.
        """
        maps = [{"containerID": 0, "hostID": first_host_id, "size": ids}]
        spec = self._namespaces("user", [{"type": "user"}])
        return spec.set("/linux/uidMappings", maps).set("/linux/gidMappings", maps)

    def without_user_namespace(self) -> Spec:
        """Leave the ids of the container as they are on the host."""
        changed = self._namespaces("user", []).to_dict()
        for name in ("uidMappings", "gidMappings"):
            changed["linux"].pop(name, None)
        return Spec(changed)

    def rootless(self, *, uid: int, gid: int) -> Spec:
        """For a caller without privileges, whose ids are given: it is root inside."""
        return Spec(defaults.rootless_config(self.to_dict(), euid=uid, egid=gid)).network("none")


def bytes_of(size: int | str) -> int:
    """Return a number of bytes, or a text such as 64m, 1.5g, 100kb, 1GiB."""
    if isinstance(size, int):
        return size
    text = size.strip().lower().removesuffix("b").removesuffix("i")
    unit = text[-1:] if text[-1:].isalpha() else ""
    digits = text.removesuffix(unit) if unit else text
    if unit not in UNITS or not digits.replace(".", "", 1).isdigit():
        raise UsageError(f"{size!r} is no size: use a number of bytes, or a text such as 64m")
    return int(float(digits) * UNITS[unit])
