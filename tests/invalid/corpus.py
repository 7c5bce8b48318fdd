# SPDX-License-Identifier: Apache-2.0
"""The corpus of invalid configurations: one file each in `configs`, with what must be said of it.

A file is a JSON object:

    rule      the requirement of the security rules that it belongs to, if any
    set       {pointer: value} to put into the default configuration, in this order
    remove    pointers to take out of it
    text      the whole text instead of `set` and `remove`
    pointer   of the first and only problem
    message, allowed, hint   its texts
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pyrunc.spec.defaults import default_config

CONFIGS = Path(__file__).with_name("configs")


def cases() -> list[str]:
    return sorted(path.stem for path in CONFIGS.glob("*.json"))


def case(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CONFIGS / f"{name}.json").read_bytes())
    return found


def build(entry: dict[str, Any]) -> bytes:
    """The config.json that a case describes."""
    if "text" in entry:
        text: str = entry["text"]
        return text.encode()
    config = default_config()
    for pointer in entry.get("remove", ()):
        parent, name = _parent(config, pointer)
        del parent[name]
    for pointer, value in entry.get("set", {}).items():
        parent, name = _parent(config, pointer)
        parent[name] = value
    return json.dumps(config).encode()


def _parent(config: dict[str, Any], pointer: str) -> tuple[dict[str, Any], str]:
    *path, name = pointer.split("/")[1:]
    parent: dict[str, Any] = config
    for part in path:
        parent = parent[part]
    return parent, name
