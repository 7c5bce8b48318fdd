# SPDX-License-Identifier: Apache-2.0
"""Fetches the source distributions of sdists.txt (their hashes are checked) and unpacks them.

``cffi-2.1.1.tar.gz`` becomes the directory ``cffi``. Nothing is fetched again while it is there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from typing import Any

# What is unpacked is known by its hash; a Python that has filters wants one named.
FILTER: Any = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}


def wanted(listing: str) -> dict[str, str]:
    """``name-version`` -> SHA-256, of the lines ``name==version --hash=sha256:...``."""
    result = {}
    with open(listing, encoding="utf-8") as file:
        for line in file:
            requirement, _, digest = line.strip().partition(" --hash=sha256:")
            if digest:
                result[requirement.replace("==", "-")] = digest
    return result


def digest_of(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def download(listing: str, directory: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-binary", ":all:", "--requirement", listing, "--dest", directory]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"fetch_sdists.py: pip cannot download {listing}:\n{result.stderr}")


def main() -> None:
    listing, directory = sys.argv[1:]
    os.makedirs(directory, exist_ok=True)
    archives = {
        name: (os.path.join(directory, f"{name}.tar.gz"), digest)
        for name, digest in wanted(listing).items()
    }
    if not all(os.path.exists(path) for path, _ in archives.values()):
        download(listing, directory)
    for name, (path, digest) in archives.items():
        if digest_of(path) != digest:
            raise SystemExit(f"fetch_sdists.py: {path} is not what {listing} names: remove it")
        target = os.path.join(directory, name.rpartition("-")[0])
        shutil.rmtree(target, ignore_errors=True)
        with tarfile.open(path) as archive:
            archive.extractall(directory, **FILTER)
        os.rename(os.path.join(directory, name), target)


if __name__ == "__main__":
    main()
