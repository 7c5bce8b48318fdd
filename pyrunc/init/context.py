# SPDX-License-Identifier: Apache-2.0
"""What the parts of one compilation share: host facts, slots in use, ids, and problems. PURE."""

from __future__ import annotations

from pyrunc.errors import ConfigErrors, Problem
from pyrunc.init.ops import SLOT_LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.host.facts import Host
    from pyrunc.spec.model_linux import IdMapping


class Context:
    """The state of one compilation."""

    __slots__ = (
        "_next",
        "forks_late",
        "gid_mappings",
        "host",
        "joined",
        "keep_groups",
        "new",
        "problems",
        "root_gid",
        "root_uid",
        "setgroups",
        "source",
        "uid_mappings",
        "warnings",
    )

    def __init__(self, host: Host, *, source: str = "config.json", objects: int = 0) -> None:
        self.host = host
        self.source = source
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.new: frozenset[str] = frozenset()  # kinds of namespaces that are made
        self.joined: frozenset[str] = frozenset()  # kinds that are entered
        self.uid_mappings: Sequence[IdMapping] = ()
        self.gid_mappings: Sequence[IdMapping] = ()
        self.root_uid = 0  # the id that prepares the container and owns what is made in it
        self.root_gid = 0
        self.setgroups = True  # setgroups is allowed
        self.keep_groups = False  # the caller's groups are wanted
        self.forks_late = False  # into the pid namespace, as the last thing that takes a right
        self._next = objects + 1

    @property
    def userns(self) -> bool:
        """The container has a user namespace of its own."""
        return "user" in self.new or "user" in self.joined

    @property
    def drops_groups(self) -> bool:
        """Return whether supplementary groups are dropped before a user namespace is joined.

        Inside, setgroups may be denied for good.
        """
        return "user" in self.joined and self.setgroups and self.host.euid == 0

    @property
    def may_deny_groups(self) -> bool:
        """Tell whether a joined user namespace may deny setgroups to a caller without CAP_SETGID.

        Such a caller has its groups in there as in a namespace that it makes.
        """
        return "user" in self.joined and self.host.euid != 0

    @property
    def confined(self) -> bool:
        """Mounts of the host come with locked flags, and device nodes cannot be made."""
        return self.userns or self.host.in_userns

    def has(self, kind: str) -> bool:
        return kind in self.new or kind in self.joined

    def owns(self, kind: str) -> bool:
        """Return whether the user namespace of the container's root owns the namespace of a kind.

        A namespace belongs to the user namespace in which it was made. Of joined ones, the
        joined user namespace is assumed to own the others.
        """
        if kind in self.new:
            return True
        if "user" in self.new:
            return False
        if kind in self.joined:
            return True
        return not self.confined

    def borrows(self, kind: str) -> bool:
        """Tell whether a namespace is joined that a new user namespace does not own.

        What shows such a namespace is made before the user namespace is entered.
        """
        return "user" in self.new and kind in self.joined

    def slot(self, count: int = 1) -> int:
        """Return the first of `count` slots that nothing else uses."""
        first = self._next
        self._next += count
        if self._next > SLOT_LIMIT:
            raise ConfigErrors(
                [Problem("/mounts", f"more than {SLOT_LIMIT} mounts and devices")],
                source=self.source,
            )
        return first

    def problem(
        self, pointer: str, message: str, *, value: str = "", allowed: str = "", hint: str = ""
    ) -> None:
        """Something that was asked for and cannot be done."""
        self.problems.append(Problem(pointer, message, value=value, allowed=allowed, hint=hint))

    def warn(self, pointer: str, message: str, *, value: str = "", hint: str = "") -> None:
        self.warnings.append(Problem(pointer, message, value=value, hint=hint))

    def finish(self) -> None:
        """Raise what is wrong, all at once."""
        if self.problems:
            raise ConfigErrors(self.problems, source=self.source)
