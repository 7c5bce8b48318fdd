# SPDX-License-Identifier: Apache-2.0
"""Builds the static library of CPython that the launcher links, from Debian's source package.

``build.py OUT`` leaves ``libpython3.X.a``, its ``include`` and ``python``, an interpreter of the
same version, in the directory OUT. Which version that is stands in tools/packages.txt: the same on
every host, whatever Python the host has. It is changed in one thing (immortal.patch): using what
lies below an address does not write to its page. Objects of the dump have no reference counts, and
its code is neither adapted nor counted in.
Each function has a section of its own, which lets the linker put those side by side that commands
call (functions.ld).

Where the source cannot be had or built, and the host's Python is of that version, the library of
the package libpython3.X-dev takes its place, with a warning: the launcher works as well with it,
and is slower.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PINS = HERE.parents[2] / "tools/packages.txt"


def pinned() -> dict[str, str]:
    """Read the version of the interpreter and the release of Debian that has its source."""
    for line in PINS.read_text().splitlines():
        if line.startswith("@interpreter "):
            return dict(word.split("=") for word in line.split()[1:])
    raise SystemExit(f"build.py: {PINS} has no line @interpreter")


VERSION, RELEASE = pinned()["python"], pinned()["release"]
NAME = f"python{VERSION}"
LIBRARY = f"lib{NAME}.a"
HOST = ".".join(map(str, sys.version_info[:2]))
# The extension modules that are linked in: those of Debian's interpreter that have no shared file.
BUILT_IN = (
    *("_bisect", "_blake2", "_csv", "_datetime", "_elementtree", "_heapq", "_md5", "_opcode"),
    *("_pickle", "_posixsubprocess", "_random", "_sha1", "_sha256", "_sha3", "_sha512"),
    *("_socket", "_statistics", "_struct", "array", "binascii", "cmath", "fcntl", "grp", "math"),
    *("pyexpat", "select", "spwd", "syslog", "unicodedata", "zlib"),
)
OPTIONS = (
    *("-q", "--disable-shared", "--disable-test-modules", "--without-ensurepip"),
    *("--without-doc-strings", "--with-system-expat", "LDFLAGS=-no-pie"),
)
FLAGS = (
    *("-O2", "-g0", "-fno-pie", "-ffunction-sections", "-fstack-protector-strong"),
    *("-D_FORTIFY_SOURCE=2", "-w"),
    *(("-fcf-protection",) if platform.machine() == "x86_64" else ()),
)
# What is unpacked is known by its hash; a Python that has filters wants one named.
FILTER: Any = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# The interpreter has the time of its build inside (__DATE__).
SAME_BYTES = {"SOURCE_DATE_EPOCH": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
SETTINGS = (
    *('Dir::Etc::sourcelist "{0}/sources"', 'Dir::Etc::sourceparts "-"', 'Dir::State "{0}/state"'),
    *('Dir::State::status "/dev/null"', 'Dir::Cache "{0}/cache"', 'APT::Sandbox::User "root"'),
)


class BuildError(Exception):
    pass


def run(*command: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a command that must succeed; returns what it prints."""
    try:
        result = subprocess.run(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    except OSError as error:
        raise BuildError(f"{command[0]}: {error}") from error
    if result.returncode:
        lines = (result.stderr + result.stdout).strip().splitlines()[-8:]
        raise BuildError(
            f"{shlex.join(command[:3])}: exit {result.returncode}: {' / '.join(lines)}"
        )
    return result.stdout


def source_lines(suites: str, *, release: str) -> str:
    """Write lines of sources.list for our release, from `URI SUITE` lines of the host's release.

    `SUITE-security` and the like are on the same mirrors under the same names.
    """
    signed = f"[signed-by={KEYRING}] " if os.path.exists(KEYRING) else ""
    found = set()
    for line in suites.splitlines():
        mirror, suite = line.split()
        head, dash, tail = suite.partition("-")
        if head == release or not dash:
            found.add(f"deb-src {signed}{mirror} {RELEASE}{dash}{tail} main\n")
    return "".join(sorted(found))


def apt_environment(directory: Path) -> dict[str, str]:
    """Make an environment for an apt that knows our release's sources on the host's mirrors."""
    for part in ("state/lists/partial", "cache/archives/partial"):
        (directory / part).mkdir(parents=True, exist_ok=True)
    form = "$(REPO_URI) $(RELEASE)"
    query = ("apt-get", "indextargets", "--format", form, "Created-By: Packages", "Origin: Debian")
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    (directory / "sources").write_text(source_lines(run(*query, cwd=directory), release=release))
    lines = [line.format(directory) + ";\n" for line in SETTINGS]
    (directory / "conf").write_text("".join(lines))
    env = {**os.environ, "APT_CONFIG": str(directory / "conf")}
    run("apt-get", "-qq", "update", cwd=directory, env=env)
    return env


def fetch(directory: Path) -> list[Path]:
    """Fetch the newest source: upstream's archive, and Debian's changes where the mirror has them.

    apt checks both by the signed index.
    """
    env = apt_environment(directory)
    wanted = ("apt-get", "-qq", "source", "--download-only")
    try:
        run(*wanted, NAME, cwd=directory, env=env)
    except BuildError:  # some mirrors give only the archives of upstream
        run(*wanted, "--tar-only", NAME, cwd=directory, env=env)
    return [one(directory, f"{NAME}_*.orig.tar.*[!c]"), *directory.glob(f"{NAME}_*.debian.tar.*")]


def one(directory: Path, pattern: str) -> Path:
    found = sorted(directory.glob(pattern))
    if len(found) != 1:
        raise BuildError(f"{directory}: {len(found)} files match {pattern}, not one")
    return found[0]


def unpack(archives: list[Path], directory: Path) -> Path:
    """Unpack the source tree and apply Debian's patches and our own."""
    for archive in archives:
        with tarfile.open(archive) as content:
            content.extractall(directory, **FILTER)
    tree = one(directory, "Python-*")
    series = directory / "debian/patches/series"
    names = series.read_text().split("\n") if series.exists() else []
    patches = [series.parent / name.split()[0] for name in names if name and name[0] != "#"]
    for patch in (*patches, HERE / "immortal.patch"):
        run("patch", "--silent", "--strip=1", "--fuzz=0", f"--input={patch}", cwd=tree)
    return tree


def linked_in(listing: str) -> str:
    """Modules/Setup.local: the extension modules that Debian's interpreter has built in."""
    lines = [line for line in listing.splitlines() if line.split(" ")[0] in BUILT_IN]
    return "*static*\n" + "\n".join(lines) + "\n"


def compile_library(tree: Path, out: Path) -> None:
    env = {**os.environ, **SAME_BYTES}
    flags = f"CFLAGS={' '.join(FLAGS)} -ffile-prefix-map={tree}=."
    run("./configure", *OPTIONS, flags, cwd=tree, env=env)
    modules = tree / "Modules"
    (modules / "Setup.local").write_text(linked_in((modules / "Setup.stdlib").read_text()))
    run("make", "-s", f"-j{os.cpu_count()}", LIBRARY, "python", cwd=tree, env=env)
    shutil.copytree(tree / "Include", out / "include")
    shutil.copy(tree / "pyconfig.h", out / "include")
    shutil.move(tree / LIBRARY, out)


def keep_interpreter(tree: Path, out: Path) -> None:
    """Keep an interpreter for freezing where the host has none of the version: bytecode differs.

    Its library modules are frozen too; the host's, where they fit, have Debian's latest changes.
    """
    if HOST == VERSION:
        (out / "python").symlink_to(sys.executable)
        return
    (out / "bin").mkdir()
    shutil.move(tree / "python", out / "bin" / NAME)
    modules = out / "lib" / NAME
    shutil.copytree(tree / "Lib", modules, ignore=shutil.ignore_patterns("test", "__pycache__"))
    (modules / "lib-dynload").mkdir()
    (out / "python").symlink_to(f"bin/{NAME}")


def use_package(out: Path) -> None:
    """Link what libpython3.X-dev has."""
    if HOST != VERSION:
        raise SystemExit(
            f"build.py: the launcher needs Python {VERSION}, from Debian's source: this host has"
            f" {HOST}. `make LAUNCHER=` builds pyrunc for the host's Python instead."
        )
    shutil.rmtree(out / "include", ignore_errors=True)
    library = Path(sysconfig.get_config_var("LIBPL")) / LIBRARY
    (out / LIBRARY).symlink_to(library)
    (out / "include").symlink_to(sysconfig.get_path("include"))
    (out / "python").unlink(missing_ok=True)
    (out / "python").symlink_to(sys.executable)


def key() -> str:
    """Return what tells one build from another: what is built, how, and for which host's Python."""
    parts = (VERSION, RELEASE, HOST, OPTIONS, FLAGS, sorted(SAME_BYTES.items()), sorted(BUILT_IN))
    text = repr(parts) + (HERE / "immortal.patch").read_text()
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> None:
    out = Path(sys.argv[1]).resolve()
    done = out / ".key"  # written at the end of a build from source
    if done.exists() and done.read_text() == key():
        return
    shutil.rmtree(out, ignore_errors=True)
    work = out / "work"
    work.mkdir(parents=True)
    print("building CPython's library, which takes some minutes", flush=True)
    try:
        tree = unpack(fetch(work), work)
        compile_library(tree, out)
        keep_interpreter(tree, out)
        done.write_text(key())
    except (BuildError, OSError, tarfile.TarError) as error:
        print(
            f"warning: Debian's {LIBRARY} is linked, the launcher will be slower: {error}",
            file=sys.stderr,
        )
        use_package(out)
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
