# SPDX-License-Identifier: Apache-2.0
"""How the packages of an engine get onto the machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.runtime import TREE
from tests.vm import images

PACKAGES = (str(TREE / "conformance/engines/packages"),)
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
    subprocess.run([*PACKAGES, "podman", str(build)], env=env, check=True, capture_output=True)
    notes = (tmp_path / "notes").read_text().splitlines()
    assert [note.split()[1] for note in notes] == ["update", "install"]
    assert {note.split(maxsplit=2)[2] for note in notes} == {"held=yes inherited=no"}


def test_newest_engines_are_not_installed_on_the_machine(tmp_path: Path) -> None:
    """They are unpacked beside it; what they want of it is installed."""
    notes = tmp_path / "notes"
    (tmp_path / "apt-get").write_text(f'#!/bin/sh\necho "$@" >>{notes}\n')
    (tmp_path / "dpkg-query").write_text("#!/bin/sh\nexit 1\n")
    for name in ("apt-get", "dpkg-query"):
        (tmp_path / name).chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    for choice in ((), ("newest",)):
        argv = [*PACKAGES, "docker", str(tmp_path / "build"), *choice]
        subprocess.run(argv, env=env, check=True, capture_output=True)
    old, new = [line.split() for line in notes.read_text().splitlines() if " install " in line]
    assert {"docker.io", "iptables"} <= set(old)
    assert "iptables" in new
    assert not {"docker.io", "containerd"} & set(new)
