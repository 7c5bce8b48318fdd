# SPDX-License-Identifier: Apache-2.0
"""Builds the Debian package from an installed tree.

Called as `deb.py STAGE VERSION ARCHITECTURE TARGET`. STAGE holds usr/ as `tools/install --packaged`
has filled it. What Debian's policy asks for is added: compressed man pages, changelog, copyright,
examples, the reasons for what lintian would complain about, and the control files. Nothing runs at
installation: containers of the version before go on with the init program that they have in memory,
and their state is read by every version.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]
HERE = TREE / "packaging/debian"
MAINTAINER = "The maintainers of pyrunc <pyrunc@example.org>"
CONTROL = """\
Package: pyrunc
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Installed-Size: {size}
Depends: libc6 (>= {glibc})
Recommends: uidmap
Suggests: containerd | docker.io | podman, criu
Section: admin
Priority: optional
Description: OCI container runtime that can stand in for runc
 pyrunc creates and runs containers from OCI bundles. It has the command line
 of runc, so that containerd, Docker, Podman, CRI-O and BuildKit can use it.
 .
 The configuration is checked as a whole and compiled into a plan, which a
 small static program executes in the new namespaces. Every property is in
 force before the program starts, or the container is not made; each refusal
 names the property, its value and what is allowed.
"""
CHANGELOG = """\
pyrunc ({version}) unstable; urgency=medium

  * What changed for operators is in CHANGELOG.md.

 -- {maintainer}  {date}
"""


def compressed(path: Path, text: bytes) -> None:
    """Write a file as gzip does with -9n."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(text)


def add_documents(stage: Path, *, version: str) -> None:
    """Add what belongs below usr/share."""
    manuals = stage / "usr/share/man/man8"
    for page in sorted(manuals.glob("*.8")):
        compressed(manuals / f"{page.name}.gz", page.read_bytes())
        page.unlink()
    documents = stage / "usr/share/doc/pyrunc"
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(epoch()))
    changelog = CHANGELOG.format(version=version, maintainer=MAINTAINER, date=date)
    compressed(documents / "changelog.gz", changelog.encode())
    compressed(documents / "CHANGELOG.md.gz", (TREE / "CHANGELOG.md").read_bytes())
    shutil.copyfile(HERE / "copyright", documents / "copyright")
    shutil.copytree(TREE / "docs/examples", documents / "examples")
    overrides = stage / "usr/share/lintian/overrides"
    overrides.mkdir(parents=True)
    shutil.copyfile(HERE / "overrides", overrides / "pyrunc")


def epoch() -> int:
    return int(os.environ["SOURCE_DATE_EPOCH"])


def add_control(stage: Path, *, version: str, architecture: str) -> None:
    """Add control and md5sums, after everything else."""
    files = sorted(path for path in stage.rglob("*") if path.is_file() and not path.is_symlink())
    control = stage / "DEBIAN"
    control.mkdir()
    sums = [
        f"{hashlib.md5(one.read_bytes()).hexdigest()}  {one.relative_to(stage)}" for one in files
    ]
    (control / "md5sums").write_text("\n".join(sums) + "\n")
    text = CONTROL.format(
        version=version,
        architecture=architecture,
        maintainer=MAINTAINER,
        size=sum(-(-path.stat().st_size // 1024) for path in files),
        glibc=os.confstr("CS_GNU_LIBC_VERSION").split()[1],
    )
    (control / "control").write_text(text)


def main() -> None:
    stage, version, architecture, target = sys.argv[1:]
    root = Path(stage)
    add_documents(root, version=version)
    add_control(root, version=version, architecture=architecture)
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o111 else 0o644)
    for path in (root / "usr/libexec").rglob("*"):
        if ".so" in path.name:
            path.chmod(0o644)
    # dpkg-deb only lowers what is newer: files of a checkout may be older than its last commit.
    for path in (*root.rglob("*"), root):
        os.utime(path, (epoch(), epoch()), follow_symlinks=False)
    command = ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", stage, target]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
