# SPDX-License-Identifier: Apache-2.0
"""Fetch guest kernels from Debian packages into a cache directory.

``python -m tests.vm.images --cache build/vm uml`` (or ``uml-v1``, ``qemu``). Packages are
downloaded and unpacked, never installed: a suite newer than the host's brings a C library of its
own, with which its User-Mode Linux program is started.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
# Whoever fetches asks the one package database of the host, whatever cache it fetches into.
HOST_LOCK = TREE / "build/host-packages.lock"


@dataclass(frozen=True)
class Image:
    """A kernel: the suite that it comes from, its packages, and what it is for."""

    suite: str
    packages: tuple[str, ...]
    purpose: str


IMAGES = {
    "uml": Image("sid", ("user-mode-linux", "libc6"), "version 2, with and without systemd"),
    "uml-v1": Image("bookworm", ("user-mode-linux",), "version 1 with the memory controller"),
    "qemu": Image("bookworm", ("linux-image-cloud-amd64",), "a stock Debian kernel, emulated"),
}
# On the host: to unpack modules, to start a newer User-Mode Linux, to emulate a processor.
HOST_PACKAGES = {
    "uml": ("kmod", "patchelf", "systemd", "dbus", "libpam-systemd", "iproute2"),
    "uml-v1": ("kmod", "iproute2"),
    "qemu": (
        "kmod",
        "apparmor",
        "qemu-system-x86",
        "busybox-static",
        "cpio",
        "xz-utils",
        "iproute2",
    ),
}
# Modules of the stock kernel that must be there before its root, which is a directory of the host.
VIRTIO = ("virtio", "virtio_ring", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci")


@dataclass(frozen=True)
class Kernel:
    """What a guest needs of an unpacked image. `initrd` is empty for User-Mode Linux."""

    program: Path
    modules: Path
    initrd: Path | None = None


def run(*argv: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command that must succeed and return what it prints."""
    process = subprocess.run(argv, cwd=cwd, env=env, text=True, capture_output=True, check=False)
    if process.returncode:
        raise SystemExit(f"images: {' '.join(argv)} failed:\n{process.stderr}{process.stdout}")
    return process.stdout


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Wait until nobody else holds the lock of a file, and hold it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def cached(directory: Path, fetch: Callable[[Path], None]) -> Path:
    """Fetch into a directory of the cache unless that was done, one process at a time."""
    with locked(directory.parent / "lock"):
        if not is_cached(directory):
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            fetch(directory)
            (directory / "ready").touch()
    return directory


def is_cached(directory: Path) -> bool:
    """Whether a fetch into this directory came to its end."""
    return (directory / "ready").exists()


def install_on_host(packages: tuple[str, ...]) -> None:
    """Install what is missing; dpkg serves one at a time, and refuses the others."""
    with locked(HOST_LOCK):
        install_missing(packages)


def install_missing(packages: tuple[str, ...]) -> None:
    query = ["dpkg-query", "-W", "-f", "${db:Status-Status}"]
    missing = [
        name
        for name in packages
        if subprocess.run([*query, name], capture_output=True, text=True).stdout != "installed"
    ]
    if missing:
        print("images: installing", *missing)
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", "-qq", "update", env=env)
        run("apt-get", "-qq", "install", "--no-install-recommends", *missing, env=env)


def mirror() -> str:
    """The archive that this machine's apt already uses."""
    targets = run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages")
    return targets.split("\n", 1)[0]


def apt_environment(suite: str, state: Path) -> dict[str, str]:
    """An apt that knows only one suite and nothing of what the host has installed."""
    for directory in ("lists/partial", "cache/archives/partial"):
        (state / directory).mkdir(parents=True, exist_ok=True)
    (state / "sources").write_text(f"deb {mirror()} {suite} main\n")
    (state / "conf").write_text(
        f'Dir::Etc::sourcelist "{state}/sources"; Dir::Etc::sourceparts "-";\n'
        f'Dir::State "{state}"; Dir::State::status "/dev/null"; Dir::Cache "{state}/cache";\n'
        'APT::Sandbox::User "root";\n'
    )
    return {**os.environ, "APT_CONFIG": str(state / "conf")}


def fetch(image: Image, directory: Path) -> Path:
    """Download and unpack the packages of an image; returns the unpacked tree."""
    env = apt_environment(image.suite, directory / "apt")
    run("apt-get", "-qq", "update", env=env)
    return unpack([concrete(name, env) for name in image.packages], env, directory)


def unpack(packages: list[str], env: dict[str, str], directory: Path) -> Path:
    """Download packages and unpack them into one tree, which is returned."""
    tree, partial = directory / "tree", directory / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    run("apt-get", "-qq", "download", *packages, cwd=partial, env=env)
    for package in sorted(partial.glob("*.deb")):
        run("dpkg-deb", "-x", str(package), str(tree))
    shutil.rmtree(partial)
    return tree


def concrete(name: str, env: dict[str, str]) -> str:
    """The kernel package that a meta package stands for; other names are returned as they are."""
    if not name.startswith("linux-image-"):
        return name
    for line in run("apt-cache", "depends", name, env=env).splitlines():
        kind, _, target = line.strip().partition(": ")
        if kind == "Depends" and target.startswith("linux-image-"):
            return target
    return name


def make(name: str, directory: Path) -> None:
    """Fetch an image into its directory, with what the host needs to start it."""
    install_on_host(HOST_PACKAGES[name])
    print(f"images: fetching {name}: {IMAGES[name].purpose}", flush=True)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    prepare(name, fetch(IMAGES[name], directory))
    (directory / "ready").touch()


def kernel(name: str, cache: Path) -> Kernel:
    """The kernel of an image, fetched if it is not in the cache."""
    directory = cache / f"{name}-{IMAGES[name].suite}"
    with locked(cache / "lock"):  # guests start at once, and the first one fetches for all
        if not (directory / "ready").exists():
            make(name, directory)
    tree = directory / "tree"
    if name == "qemu":
        return Kernel(one(tree, "boot/vmlinuz-*"), one(tree, "lib/modules/*"), tree / "initrd")
    return Kernel(tree / "usr/bin/linux.uml", one(tree, "usr/lib/uml/modules/*"))


def one(tree: Path, pattern: str) -> Path:
    found = sorted(tree.glob(pattern))
    if not found:
        raise SystemExit(f"images: {tree} has no {pattern}: remove it and try again")
    return found[0]


def prepare(name: str, tree: Path) -> None:
    if name == "qemu":
        modules = one(tree, "lib/modules/*")
        run("depmod", "-b", str(tree), modules.name)
        make_initrd(modules, tree / "initrd")
        return
    modules = one(tree, "usr/lib/uml/modules/*")
    base = tree / "depmod"
    (base / "lib/modules").mkdir(parents=True)
    (base / "lib/modules" / modules.name).symlink_to(modules)
    run("depmod", "-b", str(base), modules.name)
    loader = tree / "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    if loader.exists():
        library = str(loader.parent)
        program = str(tree / "usr/bin/linux.uml")
        run("patchelf", "--set-interpreter", str(loader), "--set-rpath", library, program)


def make_initrd(modules: Path, initrd: Path) -> None:
    """An initial ram disk that mounts the host's tree by virtiofs and goes on with the program that
    `guest` names.
    """
    stage = initrd.with_suffix(".d")
    (stage / "bin").mkdir(parents=True)
    (stage / "root").mkdir()
    shutil.copy("/bin/busybox", stage / "bin/busybox")
    names = []
    wanted = [f"kernel/drivers/virtio/{module}.ko" for module in VIRTIO]
    for module in [*wanted, "kernel/fs/fuse/fuse.ko", "kernel/fs/fuse/virtiofs.ko"]:
        if (modules / module).exists():
            shutil.copy(modules / module, stage)
            names.append(Path(module).name)
    script = stage / "init"
    script.write_text(
        f"#!/bin/busybox sh\nfor m in {' '.join(names)}; do /bin/busybox insmod /$m; done\n"
        "/bin/busybox mount -t virtiofs -o ro hostroot /root\n"
        'exec /bin/busybox switch_root /root "$guest_init"\n'
    )
    script.chmod(0o755)
    archive = subprocess.run(
        ["cpio", "-o", "-H", "newc", "--quiet"],
        input="\n".join(str(path.relative_to(stage)) for path in sorted(stage.rglob("*"))).encode(),
        cwd=stage,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    initrd.write_bytes(archive)
    shutil.rmtree(stage)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--cache", type=Path, default=Path("build/vm"))
    parser.add_argument("images", nargs="+", choices=sorted(IMAGES))
    arguments = parser.parse_args()
    for name in arguments.images:
        print(kernel(name, arguments.cache.resolve()).program)
    return 0


if __name__ == "__main__":
    sys.exit(main())
