# SPDX-License-Identifier: Apache-2.0
"""How the packages of an engine get onto the machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.runtime import TREE
from tests.vm import images

# Notes whether somebody holds the lock, and whether it would be handed on to what a package starts.
APT_GET = """#!/bin/sh
held=no
[ ! -e "$LOCK" ] || flock -n "$LOCK" true || held=yes
inherited=no
! ls -l /proc/$$/fd | grep -q "$LOCK" || inherited=yes
echo "$1 $2 held=$held inherited=$inherited" >>"$NOTES"
"""


def test_packages_are_installed_under_the_lock_of_the_guests(tmp_path: Path) -> None:
    """dpkg serves one at a time, and refuses the others."""
    programs = {"apt-get": APT_GET, "dpkg-query": "#!/bin/sh\nexit 1\n"}
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    build = tmp_path / "build"
    lock = build / images.HOST_LOCK.relative_to(TREE / "build")
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOCK": str(lock)}
    env["NOTES"] = str(tmp_path / "notes")
    argv = [str(TREE / "conformance/engines/packages"), "podman", str(build)]
    subprocess.run(argv, env=env, check=True, capture_output=True)
    notes = (tmp_path / "notes").read_text().splitlines()
    assert [note.split()[1] for note in notes] == ["update", "install"]
    assert {note.split(maxsplit=2)[2] for note in notes} == {"held=yes inherited=no"}
