# SPDX-License-Identifier: Apache-2.0
"""Lists what is linked into the launcher, with versions: ``parts.py CPYTHON SDISTS REQUIREMENTS``.

Prints a JSON object of names and versions. ``pyrunc --version --json`` shows it, and the bill of
materials (packaging/sbom.py) is made of it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

# Libraries of the distribution that are linked statically, by the package that has them.
PACKAGES = {
    "glibc": "libc6-dev",
    "libexpat": "libexpat1-dev",
    "libffi": "libffi-dev",
    "libseccomp": "libseccomp-dev",
    "musl": "musl-dev",
    "zlib": "zlib1g-dev",
}
FROZEN = ("jeepney",)  # pure Python, frozen into the launcher


def of_distribution(package: str) -> str:
    """Return the version of an installed Debian package, or unknown."""
    query = ["dpkg-query", "-W", "-f=${Version}", package]
    try:
        return subprocess.run(query, capture_output=True, text=True).stdout or "unknown"
    except OSError:  # no Debian
        return "unknown"


def of_cpython(directory: Path) -> str:
    """Read the version of the interpreter from its headers."""
    text = (directory / "include/patchlevel.h").read_text()
    found = re.search(r'#define PY_VERSION\s+"([^"]+)"', text)
    return found[1] if found else "unknown"


def pinned(listing: str) -> dict[str, str]:
    """Read the lines NAME==VERSION of a file of requirements."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", Path(listing).read_text(), re.MULTILINE))


def main() -> None:
    cpython, sdists, requirements = sys.argv[1:]
    frozen = {name: pinned(requirements)[name] for name in FROZEN}
    parts = {"cpython": of_cpython(Path(cpython)), **pinned(sdists), **frozen}
    parts |= {name: of_distribution(package) for name, package in PACKAGES.items()}
    print(json.dumps(dict(sorted(parts.items())), indent=1))


if __name__ == "__main__":
    main()
