# SPDX-License-Identifier: Apache-2.0
"""A complete state of a container without cgroups, as later commands read it."""

from __future__ import annotations

import os
from typing import Any


def complete(**more: Any) -> dict[str, Any]:
    """Return a state that is whole; `more` replaces properties."""
    return {
        "ociVersion": "1.2.0",
        "id": "web",
        "bundle": "/",
        "rootfs": "/rootfs",
        "annotations": {"a": "b"},
        "created": "2026-01-02T03:04:05.000000006Z",
        "pid": 0,
        "startTime": 0,
        "owner": os.geteuid(),
        "rootless": False,
        "sharedPid": False,
        "namespaces": [],
        "cgroup": {"driver": "disabled", "leaf": "", "rootless": False, "cgroups": []},
        "freezer": None,
        "resources": None,
        "hooks": {"poststart": [], "poststop": []},
        "made": [],
        "late": {"first": 7, "ops": []},
        **more,
    }
