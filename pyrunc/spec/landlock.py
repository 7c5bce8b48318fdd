# SPDX-License-Identifier: Apache-2.0
"""The annotation `org.pyrunc.landlock`: what a Landlock domain handles, and what its rules allow.

A JSON object, read strictly:

    handledAccessFS, handledAccessNet, scoped   rights that are denied but for the rules
    rules    objects with `path` (absolute, in the container) or `port`, and `access`
    log      true: denials after execve are logged, too (ABI 7)

Rights are an array of names, a number (the bits of linux/landlock.h, also those that have no name
here), or "all": everything that the running kernel knows, of a rule everything that is handled.

PURE.
"""

from __future__ import annotations

from pyrunc.errors import ConfigErrors
from pyrunc.spec import strict
from pyrunc.spec.problems import join, listing, show, suggestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Report(Protocol):
        """How a problem is noted."""

        def __call__(
            self, pointer: str, message: str, *, value: str = "", allowed: str = "", hint: str = ""
        ) -> None: ...


ANNOTATION = "org.pyrunc.landlock"
POINTER = f"/annotations/{ANNOTATION}"
ALL = "all"
U64 = 2**64
PORTS = 65536
LOG_ABI = 7
MAX_RULES = 1024

# kind -> names of its rights in the order of their bits, and the ABI that brought each.
RIGHTS: dict[str, tuple[tuple[str, int], ...]] = {
    "handledAccessFS": (
        ("execute", 1),
        ("write_file", 1),
        ("read_file", 1),
        ("read_dir", 1),
        ("remove_dir", 1),
        ("remove_file", 1),
        ("make_char", 1),
        ("make_dir", 1),
        ("make_reg", 1),
        ("make_sock", 1),
        ("make_fifo", 1),
        ("make_block", 1),
        ("make_sym", 1),
        ("refer", 2),
        ("truncate", 3),
        ("ioctl_dev", 5),
    ),
    "handledAccessNet": (("bind_tcp", 4), ("connect_tcp", 4)),
    "scoped": (("abstract_unix_socket", 6), ("signal", 6)),
}
FS, NET, SCOPED = RIGHTS
PROPERTIES = (*RIGHTS, "rules", "log")


class Rule:
    """What is allowed below a path, or for a TCP port."""

    __slots__ = ("access", "path", "pointer", "port")

    def __init__(self, *, access: int, pointer: str, path: str = "", port: int = -1) -> None:
        self.access = access
        self.pointer = pointer
        self.path = path  # empty: the rule is about the port
        self.port = port


class Domain:
    """One Landlock domain: bits of linux/landlock.h."""

    __slots__ = ("handled", "log", "rules")

    def __init__(self, handled: dict[str, int], rules: list[Rule], *, log: bool) -> None:
        self.handled = handled
        self.rules = rules
        self.log = log


def names(kind: str, bits: int) -> str:
    """Return the names of rights; a number for those without one."""
    found = [name for bit, (name, _) in enumerate(RIGHTS[kind]) if bits >> bit & 1]
    rest = bits >> len(RIGHTS[kind]) << len(RIGHTS[kind])
    return ", ".join([*found, hex(rest)] if rest else found)


def known(kind: str, abi: int) -> int:
    """Return the bits of all rights of a kind that an ABI has."""
    return sum(1 << bit for bit, (_, since) in enumerate(RIGHTS[kind]) if since <= abi)


def parse(text: str, *, abi: int, report: Report) -> Domain | None:
    """Read the annotation for a kernel with this ABI; None when something is wrong, which is noted.

    `abi` is 0 where the kernel has no Landlock.
    """
    try:
        value = strict.decode(text.encode("utf-8", "surrogateescape"), source=ANNOTATION)
    except ConfigErrors as errors:
        for problem in errors.problems:
            report(POINTER, f"not valid: {problem.message}", value=problem.value)
        return None
    return _Reader(abi, report).domain(value)


class _Reader:
    """One reading; `fine` is False as soon as something is wrong."""

    def __init__(self, abi: int, report: Report) -> None:
        self.abi = abi
        self.fine = True
        self._report = report

    def wrong(
        self, pointer: str, message: str, *, allowed: str = "", hint: str = "", **more: Any
    ) -> None:
        self.fine = False
        value = show(more["value"]) if "value" in more else ""
        self._report(pointer, message, value=value, allowed=allowed, hint=hint)

    def domain(self, value: Any) -> Domain | None:
        if not self._object(value, POINTER, PROPERTIES):
            return None
        if self.abi == 0:
            hint = "it needs CONFIG_SECURITY_LANDLOCK, and landlock in lsm= of the command line"
            self.wrong(POINTER, "this kernel has no Landlock", hint=hint)
            return None
        handled = {
            kind: self._rights(kind, value[kind], join(POINTER, kind), every=known(kind, self.abi))
            if kind in value
            else 0
            for kind in RIGHTS
        }
        if self.fine and not any(handled.values()):
            self.wrong(
                POINTER, "nothing is handled, so nothing would be denied", allowed=listing(RIGHTS)
            )
        log = value.get("log", False)
        if not isinstance(log, bool):
            self.wrong(join(POINTER, "log"), "must be true or false", value=log)
        elif log and self.abi < LOG_ABI:
            self._too_old(join(POINTER, "log"), "log", LOG_ABI)
        rules = self._rules(value.get("rules", []), handled)
        return Domain(handled, rules, log=bool(log)) if self.fine else None

    def _object(self, value: Any, pointer: str, allowed: tuple[str, ...]) -> bool:
        if not isinstance(value, dict):
            self.wrong(pointer, "must be an object", value=value)
            return False
        for name in value:
            if name not in allowed:
                self.wrong(
                    join(pointer, name),
                    "is not known",
                    allowed=listing(allowed),
                    hint=suggestion(name, allowed),
                )
        return self.fine

    def _rights(self, kind: str, value: Any, pointer: str, *, every: int) -> int:
        if value == ALL:
            if not every:
                self._too_old(pointer, f'"all" of {kind}', min(since for _, since in RIGHTS[kind]))
            return every
        if type(value) is int and 0 < value < U64:
            self._check_abi(kind, value, pointer)
            return value
        if not isinstance(value, list) or not value:
            allowed = f'an array of {listing(name for name, _ in RIGHTS[kind])}; a number; or "all"'
            self.wrong(pointer, "is not a set of rights", value=value, allowed=allowed)
            return 0
        bits = 0
        table = {name: 1 << bit for bit, (name, _) in enumerate(RIGHTS[kind])}
        for index, name in enumerate(value):
            if not isinstance(name, str) or name not in table:
                hint = suggestion(name, table) if isinstance(name, str) else ""
                where = f"{pointer}/{index}"
                self.wrong(where, "is no right", value=name, allowed=listing(table), hint=hint)
                continue
            bits |= table[name]
        self._check_abi(kind, bits, pointer)
        return bits

    def _check_abi(self, kind: str, bits: int, pointer: str) -> None:
        for bit, (name, since) in enumerate(RIGHTS[kind]):
            if bits >> bit & 1 and since > self.abi:
                self._too_old(pointer, name, since)

    def _too_old(self, pointer: str, noun: str, since: int) -> None:
        self.wrong(
            pointer,
            f"{noun} needs Landlock ABI {since}, and this kernel has ABI {self.abi}",
            hint='a newer kernel, or "all", which is what this kernel knows',
        )

    def _rules(self, value: Any, handled: dict[str, int]) -> list[Rule]:
        pointer = join(POINTER, "rules")
        if not isinstance(value, list) or len(value) > MAX_RULES:
            self.wrong(pointer, f"must be an array of at most {MAX_RULES} rules", value=value)
            return []
        rules = [self._rule(rule, f"{pointer}/{at}", handled) for at, rule in enumerate(value)]
        return [rule for rule in rules if rule is not None]

    def _rule(self, value: Any, pointer: str, handled: dict[str, int]) -> Rule | None:
        if not self._object(value, pointer, ("path", "port", "access")):
            return None
        if ("path" in value) == ("port" in value) or "access" not in value:
            self.wrong(pointer, "must have `access` and either `path` or `port`")
            return None
        kind = FS if "path" in value else NET
        access = self._rights(kind, value["access"], join(pointer, "access"), every=handled[kind])
        beyond = access & ~handled[kind]
        if beyond and self.fine:
            self.wrong(
                join(pointer, "access"),
                f"allows what {kind} does not deny: {names(kind, beyond)}",
                hint=f"add it to {kind}, or leave it out here",
            )
        if kind == FS:
            path = value["path"]
            if not isinstance(path, str) or not path.startswith("/") or "\0" in path:
                self.wrong(join(pointer, "path"), "must be an absolute path", value=path)
                return None
            return Rule(access=access, pointer=pointer, path=path)
        port = value["port"]
        if type(port) is not int or not 0 <= port < PORTS:
            self.wrong(join(pointer, "port"), "must be a port from 0 to 65535", value=port)
            return None
        return Rule(access=access, pointer=pointer, port=port)
