# SPDX-License-Identifier: Apache-2.0
"""From what a program has used to the least configuration that it needs.

Nothing is ever added: a call that the filter refused stays refused, a capability or a device that
the configuration does not give is not given. PURE.
"""

from __future__ import annotations

from pyrunc.cgroups.devices import rules
from pyrunc.spec.constants import CAP_NAMES, CAPABILITY_SETS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any, Final

    Json = dict[str, Any]

ALLOWS: Final = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG")
EPERM: Final = 1
# Whether a program makes these depends on the moment: on signals, on other tasks, and on how much
# memory there is. A wait that is refused makes a program turn in a circle. `write` is never seen,
# the init needs it.
ALWAYS: Final = (
    "brk",
    "clock_gettime",
    "clock_nanosleep",
    "epoll_pwait",
    "epoll_wait",
    "exit",
    "exit_group",
    "futex",
    "getpid",
    "gettid",
    "gettimeofday",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "nanosleep",
    "pause",
    "poll",
    "ppoll",
    "pselect6",
    "restart_syscall",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "sched_yield",
    "select",
    "tgkill",
    "wait4",
    "waitid",
    "write",
)
MAKE_NODES: Final = ("mknod", "mknodat")


class Learned:
    """The fragment of a configuration, and what of the old one it leaves out."""

    __slots__ = ("config", "dropped", "fragment", "kept")

    def __init__(self, raw: Json) -> None:
        self.fragment: Json = {}
        self.config = raw  # the whole configuration with the fragment in place
        self.dropped: list[str] = []  # sentences: what the old configuration had
        self.kept: list[str] = []  # sentences: what could not be learned


def learn(
    raw: Json,
    *,
    calls: Mapping[str, Collection[str]],
    known: Collection[str],
    capabilities: Collection[int] | None,
    unknown: str,
    files: Mapping[str, Json],
) -> Learned:
    """Return the least configuration.

    `calls`: names that passed by architecture, the native one first. `known`: all names that the
    old filter lets pass on the native one. `capabilities` is None where the kernel does not tell,
    for the reason in `unknown`.
    """
    learned = Learned(raw)
    native = next(iter(calls))
    if not _at(raw, "process", "noNewPrivileges"):
        # The init gives CAP_SYS_ADMIN up under the filter, which needed it to be loaded.
        calls = {**calls, native: [*calls[native], "capset"]}
    names = {name for used in calls.values() for name in used} | {*ALWAYS}
    _set(learned, ("linux", "seccomp"), profile(_at(raw, "linux", "seccomp"), calls, known))
    gone = sorted({*known} - names)
    learned.dropped.append(f"{len(gone)} system calls of {native}: {', '.join(gone)}")
    _capabilities(learned, capabilities, unknown)
    _devices(learned, files, made=not names.isdisjoint(MAKE_NODES))
    _root(learned, files)
    return learned


def profile(old: Json | None, calls: Mapping[str, Collection[str]], known: Collection[str]) -> Json:
    """Return a profile that lets what was used pass, as far as the old one does."""
    names = sorted({name for used in calls.values() for name in used} | {*ALWAYS})
    if old is not None and old.get("defaultAction") not in ALLOWS:
        return {**old, "syscalls": [*filter(None, (_less(r, names) for r in old["syscalls"]))]}
    if old is not None and old.get("syscalls"):
        # A list of what is refused, perhaps by argument: refuse the rest, too.
        rest = {"names": sorted({*known} - {*names}), "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM}
        return {**old, "syscalls": [*old["syscalls"], rest]}
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": EPERM,
        "architectures": [*calls],
        "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}],
    }


def _less(rule: Json, names: Collection[str]) -> Json | None:
    """Return a rule with those of its names that were used; what refuses stays whole."""
    if rule.get("action") not in ALLOWS:
        return rule
    left = [name for name in rule["names"] if name in names]
    return {**rule, "names": left} if left else None


def _capabilities(learned: Learned, numbers: Collection[int] | None, unknown: str) -> None:
    sets = _at(learned.config, "process", "capabilities")
    if not sets:
        return
    if numbers is None:
        learned.kept.append(f"the capabilities: {unknown}")
        return
    used = {CAP_NAMES[number] for number in numbers if number < len(CAP_NAMES)}
    less = {
        kind: [name for name in sets.get(kind) or () if name in used]
        for kind in CAPABILITY_SETS
        if kind in sets
    }
    _set(learned, ("process", "capabilities"), less)
    gone = {name for listed in sets.values() for name in listed or ()} - used
    learned.dropped.append(f"{len(gone)} capabilities: {', '.join(sorted(gone))}")


def _devices(learned: Learned, files: Mapping[str, Json], *, made: bool) -> None:
    raw = learned.config
    used = {
        (file["kind"], *file["device"]): file["access"]
        for file in files.values()
        if file["kind"] in ("b", "c")
    }
    nodes = _at(raw, "linux", "devices") or []
    less = [node for node in nodes if (node["type"], node.get("major"), node.get("minor")) in used]
    if nodes:
        _set(learned, ("linux", "devices"), less)
        gone = [node["path"] for node in nodes if node not in less]
        learned.dropped.append(f"{len(gone)} device nodes: {', '.join(gone)}")
    old = _at(raw, "linux", "resources", "devices")
    if not old:
        return
    if made:
        learned.kept.append("the device rules: the program makes nodes (mknod)")
        return
    _set(learned, ("linux", "resources", "devices"), device_rules(old, used))


def device_rules(old: list[Json], used: Mapping[Any, str]) -> list[Json]:
    """Return rules for the devices that were used and that the old rules allow."""
    access = rules.evaluate((*map(_rule, old), *rules.DEFAULTS))
    always = rules.evaluate(rules.DEFAULTS)
    narrower: list[Json] = [{"allow": False, "access": "rwm"}]
    for key, wanted in sorted(used.items()):
        bits = rules.access_bits(wanted)
        bits = sum(
            bit
            for _letter, bit in rules.LETTERS
            if bits & bit and access.permits(key, bit) and not always.permits(key, bit)
        )
        if bits:
            kind, major, minor = key
            text = rules.access_text(bits)
            narrower.append(
                {"allow": True, "type": kind, "major": major, "minor": minor, "access": text}
            )
    return narrower


def _rule(raw: Json) -> rules.Rule:
    kind = raw.get("type") or "a"
    major, minor = raw.get("major", rules.ANY), raw.get("minor", rules.ANY)
    bits = rules.access_bits(raw.get("access") or "rwm")
    return rules.Rule(kind, major, minor, bits, allow=bool(raw["allow"]))


def _root(learned: Learned, files: Mapping[str, Json]) -> None:
    """Make the root file system read-only where nothing of it was changed."""
    root = _at(learned.config, "root")
    if not root or root.get("readonly"):
        return
    written = sorted(path for path, file in files.items() if file["root"] and "w" in file["access"])
    if written:
        shown = ", ".join(written[:5]) + (", …" if len(written) > 5 else "")
        learned.kept.append(f"the root file system writable: {shown}")
        return
    _set(learned, ("root", "readonly"), True)
    learned.dropped.append("writing to the root file system")


def _at(raw: Json, *keys: str) -> Any:
    value: Any = raw
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _set(learned: Learned, keys: tuple[str, ...], value: object) -> None:
    learned.fragment = _with(learned.fragment, keys, value)
    learned.config = _with(learned.config, keys, value)


def _with(raw: Json, keys: tuple[str, ...], value: object) -> Json:
    first, *rest = keys
    if not rest:
        return {**raw, first: value}
    return {**raw, first: _with(raw.get(first) or {}, tuple(rest), value)}
