# SPDX-License-Identifier: Apache-2.0
"""Fetch a CRIU that knows this kernel: ``python -m tests.vm.criu`` prints its directory.

Debian 12's CRIU is older than the kernels that the tests meet. As for the guest kernels, the
packages of a newer suite are downloaded and unpacked, never installed; their C library comes along,
and the program is changed to use it.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.vm import images

SUITE = "sid"
CACHE = Path(os.environ.get("PYRUNC_CRIU_CACHE", images.TREE / "build/criu"))
# What changes criu, and what criu starts.
HOST_PACKAGES = ("patchelf", "iproute2", "iptables")


def fetch(directory: Path) -> None:
    """Download and unpack criu and the libraries that it needs."""
    images.install_on_host(HOST_PACKAGES)
    env = images.apt_environment(SUITE, directory / "apt")
    images.run("apt-get", "-qq", "update", env=env)
    plan = images.run("apt-get", "-qq", "-s", "install", "--no-install-recommends", "criu", env=env)
    packages = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
    tree = images.unpack(packages, env, directory)
    loader = images.one(tree, "usr/lib/*-linux-gnu/ld-linux-*.so.*")
    images.run(
        # A library finds its own libraries only by DT_RPATH of the program.
        "patchelf", "--force-rpath", "--set-rpath", str(loader.parent),
        "--set-interpreter", str(loader), str(tree / "usr/sbin/criu"),
    )  # fmt: skip


def ready() -> bool:
    """Whether it is in the cache."""
    return images.is_cached(CACHE / SUITE)


def program() -> Path:
    """The program, fetched if it is not in the cache."""
    return images.cached(CACHE.resolve() / SUITE, fetch) / "tree/usr/sbin/criu"


if __name__ == "__main__":
    print(program().parent)
