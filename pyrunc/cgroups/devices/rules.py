# SPDX-License-Identifier: Apache-2.0
"""PURE: the ordered device rules of a configuration -> what a cgroup allows, in the end.

The end is a base (allow or deny all) and exceptions to it, as the v1 kernel keeps them; the same
form is what the v2 program is generated from, so both kinds of host decide alike. Later rules
override earlier ones. A rule that takes a part out of a wider exception cannot be expressed in that
form and is refused.
"""

from __future__ import annotations

from pyrunc.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyrunc.spec.model_resources import DeviceRule

    Key = tuple[str, int, int]  # "b" or "c", major, minor

ANY = -1
READ, WRITE, MKNOD = 1, 2, 4
LETTERS = (("r", READ), ("w", WRITE), ("m", MKNOD))
EVERYTHING = READ | WRITE | MKNOD


class Rule:
    """One rule as the configuration gives it. Type "a" stands for everything."""

    __slots__ = ("access", "allow", "major", "minor", "pointer", "type")

    def __init__(
        self,
        type: str,
        major: int = ANY,
        minor: int = ANY,
        access: int = EVERYTHING,
        *,
        allow: bool = True,
        pointer: str = "",
    ) -> None:
        self.type = type
        self.major = major
        self.minor = minor
        self.access = access
        self.allow = allow
        self.pointer = pointer

    def text(self) -> str:
        """As the kernel writes it in devices.list."""
        return rule_text((self.type, self.major, self.minor), self.access)


# What every container has (DV-1): any node may be made, these may be used.
DEFAULTS = (
    Rule("c", access=MKNOD),
    Rule("b", access=MKNOD),
    Rule("c", 1, 3),  # null
    Rule("c", 1, 5),  # zero
    Rule("c", 1, 7),  # full
    Rule("c", 1, 8),  # random
    Rule("c", 1, 9),  # urandom
    Rule("c", 5, 0),  # tty
    Rule("c", 5, 2),  # ptmx
    Rule("c", 136),  # pts, the container's console among them
    Rule("c", 10, 200),  # tun
)


def access_bits(text: str) -> int:
    return sum(bit for letter, bit in LETTERS if letter in text)


def access_text(bits: int) -> str:
    return "".join(letter for letter, bit in LETTERS if bits & bit)


def rule_text(key: Key, access: int) -> str:
    kind, major, minor = key
    first = "*" if major == ANY else str(major)
    second = "*" if minor == ANY else str(minor)
    return f"{kind} {first}:{second} {access_text(access)}"


def from_config(nodes: Iterable[DeviceRule]) -> list[Rule]:
    """resources.devices -> rules; an absent major or minor is any, an absent type everything."""
    rules = []
    for node in nodes:
        kind = node.type or "a"
        major, minor = _number(node.major), _number(node.minor)
        access = access_bits(node.access or "rwm")
        for each in ("b", "c") if kind == "a" and (major, minor) != (ANY, ANY) else (kind,):
            rules.append(
                Rule(each, major, minor, access, allow=bool(node.allow), pointer=node.pointer)
            )
    return rules


def _number(value: int | None) -> int:
    return ANY if value is None or value < 0 else value


def covers(wide: Key, narrow: Key) -> bool:
    return wide[0] == narrow[0] and wide[1] in (ANY, narrow[1]) and wide[2] in (ANY, narrow[2])


class Access:
    """What is allowed: the base and the exceptions to it."""

    __slots__ = ("allow", "exceptions")

    def __init__(self, allow: bool = False, exceptions: dict[Key, int] | None = None) -> None:
        self.allow = allow
        self.exceptions = exceptions if exceptions is not None else {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Access) and (self.allow, self.exceptions) == (
            other.allow,
            other.exceptions,
        )

    __hash__ = None  # type: ignore[assignment]  # mutable

    def apply(self, rule: Rule) -> None:
        if rule.type == "a":
            # As the kernel has it: "a" sets the base, whatever access letters stand behind it.
            self.allow = rule.allow
            self.exceptions.clear()
            return
        key = (rule.type, rule.major, rule.minor)
        if rule.allow == self.allow:
            self._take_back(key, rule)
        else:
            self.exceptions[key] = self.exceptions.get(key, 0) | rule.access

    def _take_back(self, key: Key, rule: Rule) -> None:
        for other, access in list(self.exceptions.items()):
            if covers(key, other):
                left = access & ~rule.access
                if left:
                    self.exceptions[other] = left
                else:
                    del self.exceptions[other]
            elif access & rule.access and _overlap(key, other):
                verb = "allow" if rule.allow else "deny"
                raise Failure(
                    f"device rule '{verb} {rule.text()}' cannot be applied:"
                    f" cannot punch hole in existing rule '{rule_text(other, access)}'",
                    pointer=rule.pointer,
                    hint="put the narrower devices into rules of their own instead of the wide one",
                )

    def permits(self, key: Key, access: int) -> bool:
        """Return the kernel's decision about one request."""
        for other, bits in self.exceptions.items():
            if covers(other, key):
                hit = access & ~bits == 0 if not self.allow else access & bits != 0
                if hit:
                    return not self.allow
        return self.allow


def _overlap(one: Key, other: Key) -> bool:
    return one[0] == other[0] and all(
        left == right or ANY in (left, right)
        for left, right in ((one[1], other[1]), (one[2], other[2]))
    )


def evaluate(rules: Iterable[Rule]) -> Access:
    """Apply the rules in order to a container that starts with no access (DV-1)."""
    access = Access()
    for rule in rules:
        access.apply(rule)
    return access


def target(nodes: Iterable[DeviceRule]) -> Access:
    """Apply the configuration's rules, then the default ones."""
    return evaluate((*from_config(nodes), *DEFAULTS))


def describe(access: Access) -> str:
    """One line for `explain`."""
    base, other = ("allow", "deny") if access.allow else ("deny", "allow")
    listed = ", ".join(rule_text(key, bits) for key, bits in access.exceptions.items())
    return f"{base} all; {other} {listed}" if listed else f"{base} all"


# -- v1 --------------------------------------------------------------------------------------------


def parse_list(text: str) -> Access:
    """devices.list. With the base "allow" the kernel shows no exceptions, only `a *:* rwm`."""
    access = Access()
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "a":
            return Access(True)
        node, _, letters = rest.partition(" ")
        major, _, minor = node.partition(":")
        access.exceptions[
            kind, ANY if major == "*" else int(major), ANY if minor == "*" else int(minor)
        ] = access_bits(letters)
    return access


def transition(current: Access, target: Access) -> list[tuple[str, str]]:
    """Return the fewest writes (file, line) from one state to the other.

    Additions come first, so that no device in use is lost for a moment.

    `current` must have all exceptions: devices.list shows only `a *:* rwm` while everything is
    allowed.
    """
    grant, withdraw = (
        ("devices.deny", "devices.allow") if target.allow else ("devices.allow", "devices.deny")
    )
    steps = []
    have = current.exceptions
    if current.allow != target.allow:
        steps.append(("devices.allow" if target.allow else "devices.deny", "a"))
        have = {}
    add = []
    remove = []
    for key, access in target.exceptions.items():
        missing = access & ~have.get(key, 0)
        if missing:
            add.append((grant, rule_text(key, missing)))
    for key, access in have.items():
        extra = access & ~target.exceptions.get(key, 0)
        if extra:
            remove.append((withdraw, rule_text(key, extra)))
    return steps + add + remove
