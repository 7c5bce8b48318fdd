# SPDX-License-Identifier: Apache-2.0
"""A configuration as an immutable value that is built step by step.

Every method returns a new `Spec`; ``dict(spec)`` and ``spec.json()`` are a config.json of the OCI
runtime specification, and ``Spec.parse`` reads one back.
"""

from __future__ import annotations

import os

from pyrunc import jsontext
from pyrunc.errors import UsageError
from pyrunc.library.arguments import MOST_BYTES, between, bytes_of, quoted, words
from pyrunc.library.documents import child, members, parts_of, replace, rows
from pyrunc.library.parameters import checked
from pyrunc.spec import defaults
from pyrunc.spec.limits import MAX_TASKS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from os import PathLike
    from typing import Any, Final, NoReturn

# The root file system is an overlay whose upper layer goes away with the container.
EPHEMERAL: Final = "org.pyrunc.ephemeral"
UNBOUNDED: Final = "true"  # its value for one below the state root; else the size of a tmpfs
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
LEAST_QUOTA_US: Final = 1000  # kernel: min_cfs_quota_period
LEAST_CPUS: Final = LEAST_QUOTA_US / CPU_PERIOD_US
MOST_CPUS: Final = 1 << 20  # more than Linux knows; a quota is a number of 64 bits


class Spec:
    """A configuration. Two are equal when their JSON values are; `print` shows the config.json."""

    __slots__ = ("_value",)
    _value: dict[str, Any]

    @checked
    def __init__(self, value: Mapping[str, Any] | Spec) -> None:
        """`value` is copied; it is checked when a container is made of it, or by `check`.

        UsageError for what JSON has no word for.
        """
        try:
            copy = jsontext.decode(jsontext.encode({key: value[key] for key in value.keys()}))  # noqa: SIM118
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"a configuration is made of JSON values: {error}") from None
        object.__setattr__(self, "_value", copy)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Spec is immutable: its methods return changed copies")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Spec is immutable: its methods return changed copies")

    def __reduce__(self) -> tuple[type[Spec], tuple[dict[str, Any]]]:
        return Spec, (self._value,)

    @classmethod
    @checked
    def load(cls, path: str | PathLike[str]) -> Spec:
        """From a file such as config.json, or from the one in the directory of a bundle.

        Relative paths of the configuration (the root file system, sources of binds) are relative to
        the file's directory, as in a bundle. Failure when it cannot be read, or is no JSON object.
        """
        from pyrunc.library.spec_files import load

        return load(path)

    @classmethod
    @checked
    def parse(cls, text: str | bytes) -> Spec:
        """From the text of a config.json."""
        from pyrunc.spec import strict

        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)
        value = strict.decode(data, source="config.json")
        if not isinstance(value, dict):
            raise UsageError("a configuration is a JSON object", value=quoted(value))
        return cls(value)

    @classmethod
    @checked
    def default(
        cls,
        args: Sequence[str],
        *,
        rootfs: str | PathLike[str],
        euid: int | None = None,
        egid: int | None = None,
    ) -> Spec:
        """Return a program in a root file system, with safe defaults.

        Read-only root, no network, a user namespace, no privileges that the program can gain, the
        default filter.

        `rootfs` is relative to the current directory; `euid` and `egid` are the caller's ids unless
        they are given.
        """
        if euid is None or egid is None:
            from pyrunc.host import facts

            host = facts.probe()
            euid, egid = host.euid, host.egid
        value = defaults.default_config()
        value["process"].update(terminal=False, args=words(args))
        value["process"]["capabilities"] = {
            kind: list(CAPABILITIES) for kind in ("bounding", "effective", "permitted")
        }
        value["root"]["path"] = _path(rootfs)
        spec = cls(value).seccomp(DEFAULT_FILTER)
        return spec.user_namespace() if euid == 0 else spec.rootless(uid=euid, gid=egid)

    # -- as a value --------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return a copy of the JSON value, to be changed at will."""
        copy: dict[str, Any] = jsontext.decode(jsontext.encode(self._value))
        return copy

    @checked
    def json(self, *, indent: int = 0) -> str:
        """Return the text of the config.json."""
        return jsontext.encode(self._value, indent=indent)

    def keys(self) -> Iterator[str]:
        """Return the names of the top level; ``dict(spec)`` works."""
        return iter(self._value)

    def __getitem__(self, name: str) -> Any:
        return self.to_dict()[name]

    @checked
    def get(self, pointer: str, default: Any = None) -> Any:
        """Return the value at a JSON pointer, such as /linux/resources/pids/limit."""
        value: Any = self._value
        for part in parts_of(pointer):
            inner = child(value, part)
            if inner is None:
                return default
            (value,) = inner
        return jsontext.decode(jsontext.encode(value))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and self._value == other._value

    def __hash__(self) -> int:
        return hash(jsontext.encode(self._value))

    def __repr__(self) -> str:
        return f"Spec(args={self.get('/process/args')!r}, rootfs={self.get('/root/path')!r})"

    def __str__(self) -> str:
        return self.json(indent=2)

    # -- steps -------------------------------------------------------------------------------------

    @checked
    def set(self, pointer: str, value: Any) -> Spec:
        """Replace the value at a JSON pointer; objects on the way are made.

        The number after the last one of an array, or ``-``, adds an element. UsageError where there
        can be no such place, such as below a text.
        """
        changed = self.to_dict()
        if not pointer:
            return Spec(value)
        replace(changed, pointer, value)
        return Spec(changed)

    @checked
    def args(self, *args: str) -> Spec:
        """Another program with its arguments."""
        return self.set("/process/args", list(args))

    @checked
    def cwd(self, path: str) -> Spec:
        """Another working directory, an absolute path inside the container."""
        return self.set("/process/cwd", path)

    @checked
    def env(self, variables: Mapping[str, str] | None = None, /, **more: str) -> Spec:
        """More variables; one that is there already gets the new value.

        They are given by name, or in a mapping: ``env(LANG="C")``, ``env({"LANG": "C"})``.
        """
        new = {**(variables or {}), **more}
        changed = self.to_dict()
        lines = rows(changed, "process", "env", kind=str)
        kept = [line for line in lines if line.partition("=")[0] not in new]
        lines[:] = [*kept, *(f"{name}={value}" for name, value in new.items())]
        return Spec(changed)

    @checked
    def terminal(self, *, rows: int = 24, columns: int = 80) -> Spec:
        """Give the program a new terminal; `Container.terminal` is its other side."""
        size = {"height": rows, "width": columns}
        return self.set("/process/terminal", True).set("/process/consoleSize", size)

    @checked
    def user(self, uid: int, gid: int | None = None, *, groups: Sequence[int] = ()) -> Spec:
        """Ids of the process inside the container; `gid` is the same number unless it is given."""
        value = {"uid": uid, "gid": uid if gid is None else gid}
        more = {"additionalGids": list(groups)} if groups else {}
        return self.set("/process/user", {**value, **more})

    @checked
    def hostname(self, name: str) -> Spec:
        """Give the container a host name of its own."""
        return self.set("/hostname", name)

    @checked
    def annotation(self, name: str, value: str) -> Spec:
        """Set an annotation; docs/annotations.md has those that change something."""
        changed = self.to_dict()
        members(changed, "annotations")[name] = value
        return Spec(changed)

    @checked
    def limit(
        self,
        *,
        memory: int | str | None = None,
        cpus: float | None = None,
        pids: int | None = None,
    ) -> Spec:
        """Limit what the cgroup may use.

        Memory (and memory plus swap) in bytes or such as "64m", processors, tasks. UsageError for
        what is no limit, such as 0, or more than the kernel can count.
        """
        changed = self.to_dict()
        resources = members(changed, "linux", "resources")
        if memory is not None:
            size = between("memory", bytes_of(memory), 1, MOST_BYTES)
            members(resources, "memory").update(limit=size, swap=size)
        if cpus is not None:
            time_us = int(between("cpus", cpus, LEAST_CPUS, MOST_CPUS) * CPU_PERIOD_US)
            members(resources, "cpu").update(quota=time_us, period=CPU_PERIOD_US)
        if pids is not None:
            resources["pids"] = {"limit": between("pids", pids, 1, MAX_TASKS)}
        return Spec(changed)

    @checked
    def mount(
        self, destination: str, *, type: str, source: str = "", options: Sequence[str] = ()
    ) -> Spec:
        """One more mount, after those that are there."""
        row = {"destination": destination, "type": type, "source": source or type}
        return self._add_mount({**row, "options": list(options)})

    @checked
    def bind(
        self,
        source: str | PathLike[str],
        destination: str,
        *,
        readonly: bool = True,
        recursive: bool = True,
        idmap: bool = False,
    ) -> Spec:
        """Bind a file or directory of the host, read-only unless it is asked for otherwise.

        `source` is relative to the current directory. In a user namespace the files belong to
        nobody that the container knows; with `idmap` they keep their ids, and what its root writes
        is root's on the host, too.
        """
        options = ["rbind" if recursive else "bind", "nosuid", "nodev"]
        options += ["rro" if recursive else "ro"] if readonly else []
        options += ["idmap"] if idmap else []
        return self._add_mount(
            {
                "destination": destination,
                "type": "bind",
                "source": _path(source),
                "options": options,
            }
        )

    def _add_mount(self, row: dict[str, Any]) -> Spec:
        changed = self.to_dict()
        rows(changed, "mounts", kind=dict).append(row)
        return Spec(changed)

    @checked
    def network(self, kind: str) -> Spec:
        """``none``: a new namespace with nothing but lo; ``host``; or the path of a namespace."""
        entry = {"type": "network", **({"path": kind} if kind.startswith("/") else {})}
        return self._namespaces("network", [] if kind == "host" else [entry])

    def _namespaces(self, kind: str, entries: list[dict[str, Any]]) -> Spec:
        changed = self.to_dict()
        listed = rows(changed, "linux", "namespaces", kind=dict)
        listed[:] = [*(row for row in listed if row.get("type") != kind), *entries]
        return Spec(changed)

    @checked
    def seccomp(self, profile: str | PathLike[str] | Mapping[str, Any] | None) -> Spec:
        """Choose the system call filter.

        ``default``; the path of a profile in the OCI format, or the profile as a mapping; None for
        no filter. UsageError for a name that is neither, Failure for a file that cannot be read.
        """
        changed = self.to_dict()
        linux = members(changed, "linux")
        linux.pop("seccomp", None)
        if profile == DEFAULT_FILTER:
            from pyrunc.library import filter

            linux["seccomp"] = filter.default_profile()
        elif profile is not None:
            from pyrunc.library.spec_files import profile_of

            linux["seccomp"] = profile_of(profile)
        return Spec(changed)

    @checked
    def readonly(self, readonly: bool = True) -> Spec:
        """Whether the root file system can be written to."""
        return self.set("/root/readonly", readonly)

    @checked
    def ephemeral(self, *, size: int | str | None = "1g") -> Spec:
        """Make the root writable; changes go away with the container, not to the image.

        They take up to `size` bytes of memory, which counts for the limit of memory, too. With None
        they lie below the state root, and nothing bounds them but its file system.
        """
        room = UNBOUNDED if size is None else str(bytes_of(size))
        return self.readonly(False).annotation(EPHEMERAL, room)

    @checked
    def capabilities(self, *names: str) -> Spec:
        """Set the capabilities of the program; none at all without an argument.

        They go into the sets that a program without file capabilities needs.
        """
        kinds = ("bounding", "effective", "permitted")
        return self.set("/process/capabilities", {kind: list(names) for kind in kinds})

    @checked
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

    @checked
    def rootless(self, *, uid: int | None = None, gid: int | None = None) -> Spec:
        """For a caller without privileges, who is root inside; `uid` and `gid` are the caller's."""
        if uid is None or gid is None:
            from pyrunc.host import facts

            host = facts.probe()
            uid, gid = host.euid if uid is None else uid, host.egid if gid is None else gid
        value = self.to_dict()
        before = members(value, "linux", "resources")
        limits = {name: limit for name, limit in before.items() if name != "devices"}
        listed = rows(value, "linux", "namespaces", kind=dict)
        networks = [row for row in listed if row.get("type") == "network"]
        for row in rows(value, "mounts", kind=dict):
            if row.get("options") is not None:
                rows(row, "options", kind=str)
        made = Spec(defaults.rootless_config(value, euid=uid, egid=gid))
        if limits:
            made = made.set("/linux/resources", limits)
        return made._namespaces("network", networks)


def _path(path: str | PathLike[str]) -> str:
    text = path if isinstance(path, str) else path.__fspath__()
    return text if text.startswith("/") or not text else f"{os.getcwd()}/{text}"
