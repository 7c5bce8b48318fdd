# SPDX-License-Identifier: Apache-2.0
"""Writes a tar archive whose bytes depend on its content only: `archive.py DIRECTORY TARGET`.

Members are in the order of their names, belong to root, and have the time SOURCE_DATE_EPOCH and the
rights 755 or 644. `archive.py --again ARCHIVE` does the same to an archive that another tool wrote.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
import tarfile
import tempfile
from pathlib import Path


def epoch() -> int:
    """Return the time that everything gets, in seconds."""
    return int(os.environ["SOURCE_DATE_EPOCH"])


def member(path: Path, name: str) -> tarfile.TarInfo:
    """Describe a file of any kind without what differs between machines."""
    facts = path.lstat()
    info = tarfile.TarInfo(name)
    info.mtime = epoch()
    info.uname = info.gname = "root"
    if path.is_symlink():
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, os.readlink(path), 0o777
    elif path.is_dir():
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    else:
        info.size, info.mode = facts.st_size, 0o755 if facts.st_mode & 0o111 else 0o644
    return info


def write(directory: Path, target: Path) -> None:
    """Archive a directory under its own name, compressed by gzip."""
    paths = sorted([directory, *directory.rglob("*")], key=lambda path: path.parts)
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in paths:
            info = member(path, str(path.relative_to(directory.parent)))
            if info.isreg():
                with path.open("rb") as file:
                    archive.addfile(info, file)
            else:
                archive.addfile(info)
    fresh = target.with_name(target.name + ".new")
    with fresh.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=epoch()) as packed:
        packed.write(data.getvalue())
    fresh.rename(target)


def again(archive: Path) -> None:
    """Write an archive with one directory at its top anew."""
    with tempfile.TemporaryDirectory() as scratch:
        with tarfile.open(archive) as content:
            content.extractall(scratch)  # we have just written it
        (top,) = Path(scratch).iterdir()
        write(top, archive)


def main() -> None:
    if sys.argv[1] == "--again":
        again(Path(sys.argv[2]))
    else:
        write(Path(sys.argv[1]), Path(sys.argv[2]))


if __name__ == "__main__":
    main()
