# SPDX-License-Identifier: Apache-2.0
"""The fs drivers load nothing of systemd's, nor of what only people ask for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).parents[3]
SCRIPT = """
import sys
sys.path.insert(0, {tree!r})
from pyrunc import cgroups
manager = cgroups.resolve("disabled", None, "x")
manager.prepare(); manager.apply(None); manager.entry()
cgroups.from_record(manager.record()).destroy()
print(" ".join(sorted(name for name in sys.modules)))
"""


def test_the_fs_drivers_load_neither_jeepney_nor_sockets() -> None:
    argv = [sys.executable, "-I", "-S", "-c", SCRIPT.format(tree=str(TREE))]
    loaded = set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split())
    unwanted = {"jeepney", "socket", "json", "re", "enum", "select", "typing", "dataclasses"}
    assert loaded & unwanted == set()
    ours = {name for name in loaded if name.startswith("pyrunc.cgroups.")}
    late = ("systemd", "bus", "manager1", "stats", "update", "doctor", "rdt", "bpf", "oom")
    assert ours.isdisjoint({f"pyrunc.cgroups.{name}" for name in late})
