# SPDX-License-Identifier: Apache-2.0
"""How a plan enters the container's cgroups, and what a mount of type cgroup shows. PURE."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Protocol

    class HierarchyLike(Protocol):
        @property
        def name(self) -> str: ...
        @property
        def controllers(self) -> tuple[str, ...]: ...
        @property
        def mount(self) -> str: ...
        @property
        def version(self) -> int: ...

    class ViewLike(Protocol):
        @property
        def version(self) -> int: ...
        @property
        def hierarchies(self) -> Sequence[tuple[HierarchyLike, str]]: ...


class CgroupDirectory:
    """The container's cgroup in one hierarchy.

    `path` is the host's path of the cgroup, `mount` the host's mount point.
    """

    __slots__ = ("controllers", "mount", "name", "path", "version")

    def __init__(
        self,
        name: str,
        *,
        mount: str,
        path: str,
        version: int = 1,
        controllers: Sequence[str] = (),
    ) -> None:
        self.name = name  # "" for cgroup2, else the controllers ("cpu,cpuacct") or "name=x"
        self.mount = mount
        self.path = path
        self.version = version
        self.controllers = tuple(controllers)


class CgroupView:
    """`version` is 1 where controllers are on v1 hierarchies (also beside a cgroup2), else 2.

    At the rendezvous `namespaces` the parent hands over, in this order: with `into` a directory of
    cgroup2, then `tasks` files to write 0 to, then with `leaf` the cgroup.procs of a leaf.
    `attached`: instead the parent moves the process that asks into them. `forced` is the
    destination that shows the v1 hierarchy name=systemd whatever else there is. `in_force` are the
    mount options that the host's hierarchies of each version have.
    """

    __slots__ = (
        "attached",
        "directories",
        "forced",
        "in_force",
        "into",
        "leaf",
        "tasks",
        "version",
    )

    def __init__(
        self,
        version: int = 2,
        directories: Sequence[CgroupDirectory] = (),
        *,
        into: bool = False,
        tasks: int = 0,
        leaf: bool = False,
        forced: str = "",
        in_force: Mapping[int, frozenset[str]] | None = None,
        attached: bool = False,
    ) -> None:
        self.version = version
        self.directories = tuple(directories)
        self.into = into
        self.tasks = tasks
        self.leaf = leaf
        self.forced = forced
        self.in_force = in_force or {}
        self.attached = attached

    @classmethod
    def of(
        cls,
        view: ViewLike,
        *,
        enters: bool = True,
        clone: bool = True,
        leaf: bool = False,
        forced: str = "",
        in_force: Mapping[int, frozenset[str]] | None = None,
    ) -> CgroupView:
        """From the facts of a cgroup manager; `enters` when the init enters by itself.

        Without `clone` it enters a cgroup2 by writing, too.
        """
        entries = [
            CgroupDirectory(
                hierarchy.name,
                mount=hierarchy.mount,
                path=hierarchy.mount.rstrip("/") + path if path != "/" else hierarchy.mount,
                version=hierarchy.version,
                controllers=hierarchy.controllers,
            )
            for hierarchy, path in view.hierarchies
        ]
        cloned = enters and clone and any(entry.version == 2 for entry in entries)
        return cls(
            view.version,
            entries,
            into=cloned,
            tasks=len(entries) - cloned if enters else 0,
            leaf=leaf,
            forced=forced,
            in_force=in_force,
            attached=not enters,
        )
