# SPDX-License-Identifier: Apache-2.0
"""From the JSON of a bundle to typed, checked nodes. Pure, but for `load`.

    load.py        reads the file
    strict.py      bytes -> JSON values, bounded and strict (`locate.py` finds where it is wrong)
    readers.py     JSON values -> slotted nodes, by the tables of `model*.py`
    check*.py      rules across properties; `check_host.py` takes facts about the host
    options.py     the mount options      defaults.py  what the command `spec` writes
    constants.py   names and numbers      schema/      the JSON schema behind `check`

What `parse_config` returns has been validated completely; nothing later refuses a value because of
its form. `load` is at hand here, the rest is imported when first asked for.
"""

from __future__ import annotations

from pyrunc.spec.load import load, read_bounded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.spec.config import parse_config, parse_process, parse_resources
    from pyrunc.spec.model import Config, Process
    from pyrunc.spec.model_resources import Resources

__all__ = [
    "Config",
    "Process",
    "Resources",
    "load",
    "parse_config",
    "parse_process",
    "parse_resources",
    "read_bounded",
]

_HOMES = {
    "Config": "model",
    "Process": "model",
    "Resources": "model_resources",
    "parse_config": "config",
    "parse_process": "config",
    "parse_resources": "config",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = __import__(f"{__name__}.{home}", None, None, (name,))
    value: object = getattr(module, name)
    globals()[name] = value
    return value
