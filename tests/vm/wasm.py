# SPDX-License-Identifier: Apache-2.0
"""Fetch a WebAssembly runtime: ``python -m tests.vm.wasm`` prints the path of wasmedge.

Debian 12 has none. As for CRIU, the packages of a newer suite are downloaded and unpacked, never
installed; the program is changed to use the loader and the libraries beside it.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.vm import images

SUITE = "sid"
CACHE = Path(os.environ.get("PYRUNC_WASM_CACHE", images.TREE / "build/wasm"))
# Of all that the package depends on, what the loader asks for.
LIBRARIES = ("lib", "zlib1g")
OTHERS = ("modules", "data", "common", "extra")


def fetch(directory: Path) -> None:
    """Download and unpack wasmedge and the libraries that it needs."""
    images.install_on_host(("patchelf",))
    env = images.apt_environment(SUITE, directory / "apt")
    images.run("apt-get", "-qq", "update", env=env)
    wanted = ("-qq", "-s", "install", "--no-install-recommends", "wasmedge")
    plan = images.run("apt-get", *wanted, env=env)
    needed = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
    libraries = [
        name
        for name in needed
        if name.startswith(LIBRARIES) and not any(word in name for word in OTHERS)
    ]
    tree = images.unpack(["wasmedge", *libraries], env, directory)
    loader = images.one(tree, "usr/lib/*-linux-gnu/ld-linux-*.so.*")
    path = ("--force-rpath", "--set-rpath", str(loader.parent))
    program = tree / "usr/bin/wasmedge"
    images.run("patchelf", *path, "--set-interpreter", str(loader), str(program))
    # A library with a DT_RUNPATH of its own does not use the program's DT_RPATH.
    images.run("patchelf", *path, str(images.one(tree, "usr/lib/*-linux-gnu/libLLVM.so.*")))


def ready() -> bool:
    """Whether it is in the cache."""
    return images.is_cached(CACHE / SUITE)


def program() -> Path:
    """The program, fetched if it is not in the cache."""
    return images.cached(CACHE.resolve() / SUITE, fetch) / "tree/usr/bin/wasmedge"


def libraries() -> Path:
    """The directory with the loader and the libraries of the program."""
    return images.one(CACHE.resolve() / SUITE / "tree", "usr/lib/*-linux-gnu")


if __name__ == "__main__":
    print(program())
