# SPDX-License-Identifier: Apache-2.0
"""What the hot commands load, asked from the interpreter that runs them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
STOCK = TREE / "build/pyrunc-stock"
HEAVY = {
    "argparse", "asyncio", "collections.abc", "contextlib", "ctypes", "dataclasses", "enum",
    "hashlib", "inspect", "json", "jsonschema", "logging", "pathlib", "pyroute2", "re", "shutil",
    "socket", "subprocess", "tempfile", "threading", "traceback", "typing",
}  # fmt: skip
COMMANDS = {
    "state": ["state", "absent"],
    "start": ["start", "absent"],
    "kill": ["kill", "absent", "TERM"],
    "delete": ["delete", "--force", "absent"],
    "create": ["create", "--bundle", "/absent", "absent"],
}
# collections.abc is loaded by `os` through _collections_abc; only the package itself is heavy.
HEAVY -= {"collections.abc"}


@pytest.mark.parametrize("verb", sorted(COMMANDS))
def test_a_hot_command_loads_nothing_heavy(verb: str, tmp_path: Path) -> None:
    if not STOCK.exists():
        pytest.skip("build/pyrunc-stock is missing: run `make`")
    paths = STOCK.read_text().partition("from pyrunc")[0]
    argv = ["--root", str(tmp_path / "state"), *COMMANDS[verb]]
    program = (
        f"{paths}\nfrom pyrunc.cli import main\nmain.main({argv!r})\n"
        "print(*sorted(sys.modules), file=sys.__stdout__)"
    )
    done = subprocess.run(
        ["/usr/bin/python3", "-ISBXutf8", "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "pyrunc.cli.main" in loaded
    assert not loaded & HEAVY
