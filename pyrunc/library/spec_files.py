# SPDX-License-Identifier: Apache-2.0
"""Configurations and filter profiles from files."""

from __future__ import annotations

import os

from pyrunc.errors import Failure, UsageError
from pyrunc.library.spec import Spec
from pyrunc.spec import strict
from pyrunc.spec.load import CONFIG, read_bounded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def load(path: str | os.PathLike[str]) -> Spec:
    """Read a configuration; its relative paths become absolute, by the directory of the file."""
    place = os.path.abspath(os.fspath(path))
    if os.path.isdir(place):
        place = f"{place}/{CONFIG}"
    return resolved(Spec.parse(_read(place)), os.path.dirname(place))


def resolved(spec: Spec, bundle: str) -> Spec:
    """Return the configuration with the paths absolute that are relative to its bundle."""
    root = spec.get("/root/path")
    if isinstance(root, str):
        spec = spec.set("/root/path", os.path.join(bundle, root))
    for at, mount in enumerate(spec.get("/mounts") or []):
        source = mount.get("source") if isinstance(mount, dict) else None
        if isinstance(source, str) and source and _is_bind(mount):
            spec = spec.set(f"/mounts/{at}/source", os.path.join(bundle, source))
    return spec


def _is_bind(mount: dict[str, Any]) -> bool:
    options = mount.get("options") or []
    return mount.get("type") == "bind" or "bind" in options or "rbind" in options


def profile_of(profile: str | os.PathLike[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Return a filter profile in the format of linux.seccomp, given as it is or by its path."""
    if not isinstance(profile, str | os.PathLike):
        return dict(profile)
    place = os.path.abspath(os.fspath(profile))
    try:
        data = _read(place)
    except Failure as failure:
        failure.hint = "seccomp is default, the path of a profile, a profile, or None"
        raise
    value = strict.decode(data, source=place)
    if not isinstance(value, dict):
        raise UsageError(f"seccomp {place}: a profile is a JSON object")
    return value


def _read(path: str) -> bytes:
    return read_bounded(path, name=path)
