# SPDX-License-Identifier: Apache-2.0
"""Builds the static library of CPython that the launcher links, from Debian's source package.

``build.py OUT`` leaves ``libpython3.X.a`` and its ``include`` in the directory OUT. The source is
that of the interpreter that runs this file, since bytecode differs between versions. It is changed
in one thing (immortal.patch): objects below an address have no reference counts, so that using an
object of the dump does not write to its page. Each function has a section of its own, which lets
the linker put those side by side that commands call (functions.ld).

Where the source cannot be had or built, the library of the package libpython3.X-dev takes its
place, with a warning: the launcher works as well with it, and is slower.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAME = f"python{sys.version_info[0]}.{sys.version_info[1]}"
LIBRARY = f"lib{NAME}.a"
OPTIONS = (
    *("-q", "--disable-shared", "--disable-test-modules", "--without-ensurepip"),
    *("--without-doc-strings", "--with-system-expat", "LDFLAGS=-no-pie"),
)
FLAGS = (
    *("-O2", "-g0", "-fno-pie", "-ffunction-sections", "-fstack-protector-strong"),
    *("-D_FORTIFY_SOURCE=2", "-fcf-protection", "-w"),
)
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


def apt_environment(directory: Path) -> dict[str, str]:
    """Make an environment for an apt with the sources of the Debian suites of the host's apt."""
    for part in ("state/lists/partial", "cache/archives/partial"):
        (directory / part).mkdir(parents=True, exist_ok=True)
    form = "deb-src $(REPO_URI) $(RELEASE) main"
    query = ("apt-get", "indextargets", "--format", form, "Created-By: Packages", "Origin: Debian")
    (directory / "sources").write_text(
        "".join(sorted(set(run(*query, cwd=directory).splitlines(True))))
    )
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
            content.extractall(directory)  # known by its hash; Debian 12's tarfile has no filters
    tree = one(directory, "Python-*")
    series = directory / "debian/patches/series"
    names = series.read_text().split("\n") if series.exists() else []
    patches = [series.parent / name.split()[0] for name in names if name and name[0] != "#"]
    for patch in (*patches, HERE / "immortal.patch"):
        run("patch", "--silent", "--strip=1", "--fuzz=0", f"--input={patch}", cwd=tree)
    return tree


def linked_in(listing: str) -> str:
    """Modules/Setup.local: the extension modules that Debian's interpreter has built in."""
    lines = [
        line for line in listing.splitlines() if line.split(" ")[0] in sys.builtin_module_names
    ]
    return "*static*\n" + "\n".join(lines) + "\n"


def compile_library(tree: Path, out: Path) -> None:
    run("./configure", *OPTIONS, f"CFLAGS={' '.join(FLAGS)} -ffile-prefix-map={tree}=.", cwd=tree)
    modules = tree / "Modules"
    (modules / "Setup.local").write_text(linked_in((modules / "Setup.stdlib").read_text()))
    run("make", "-s", f"-j{os.cpu_count()}", LIBRARY, cwd=tree)
    shutil.copytree(tree / "Include", out / "include")
    shutil.copy(tree / "pyconfig.h", out / "include")
    shutil.move(tree / LIBRARY, out)


def use_package(out: Path) -> None:
    """Link what libpython3.X-dev has."""
    shutil.rmtree(out / "include", ignore_errors=True)
    library = Path(sysconfig.get_config_var("LIBPL")) / LIBRARY
    (out / LIBRARY).symlink_to(library)
    (out / "include").symlink_to(sysconfig.get_path("include"))


def main() -> None:
    out = Path(sys.argv[1]).resolve()
    shutil.rmtree(out, ignore_errors=True)
    work = out / "work"
    work.mkdir(parents=True)
    print("building CPython's library, which takes some minutes", flush=True)
    try:
        compile_library(unpack(fetch(work), work), out)
    except (BuildError, OSError, tarfile.TarError) as error:
        print(
            f"warning: Debian's {LIBRARY} is linked, the launcher will be slower: {error}",
            file=sys.stderr,
        )
        use_package(out)
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
