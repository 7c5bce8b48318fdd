# SPDX-License-Identifier: Apache-2.0
"""Paths of the configuration, compared by components and never by prefixes (PR-8). PURE."""

from __future__ import annotations

# Files of procfs that virtualising file systems (lxcfs, criu) may cover.
PROC_FILES = frozenset(
    tuple(path.split("/"))
    for path in (
        "proc/cpuinfo", "proc/diskstats", "proc/meminfo", "proc/stat", "proc/swaps", "proc/uptime",
        "proc/loadavg", "proc/slabinfo", "proc/sys/kernel/ns_last_pid",
        "proc/sys/crypto/fips_enabled",
    )
)  # fmt: skip


def components(path: str) -> tuple[str, ...]:
    """Without empty and `.` components; `..` takes the one before away, as far as text can tell."""
    if "//" not in path and "/." not in path and path[:1] != ".":
        plain = path.strip("/")
        return tuple(plain.split("/")) if plain else ()
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part and part != ".":
            parts.append(part)
    return tuple(parts)


def absolute(path: str) -> str:
    """Destinations may be relative to the root of the container."""
    return path if path.startswith("/") else "/" + path


def inside(path: str, directory: str) -> str:
    """Return a path as it is seen with a directory as the root; "" when it is not below it."""
    above, parts = components(directory), components(path)
    return "/" + "/".join(parts[len(above) :]) if parts[: len(above)] == above else ""


def is_root(path: str) -> bool:
    return components(path) == ()


def is_dev(path: str) -> bool:
    return components(path) == ("dev",)


def is_proc(path: str) -> bool:
    return components(path) == ("proc",)
