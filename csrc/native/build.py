# SPDX-License-Identifier: Apache-2.0
"""Builds ``pyrunc._native``: the system calls that Python lacks, and libseccomp, bound with cffi.

Three users: ``python csrc/native/build.py`` builds the extension in place, beside the package;
``setup.py`` names ``make_ffibuilder`` to setuptools; ``csrc/launcher`` takes the C text
(``--emit-c FILE``) and links everything statically.

A *fragment* is one part of the module: declarations that cffi reads (the C files include the same
text, so that the compiler checks them), C files, and what to link. To add a part, add a line to
FRAGMENTS.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import subprocess
import sysconfig
import tempfile

import cffi

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MODULE = "pyrunc._native"
WARNINGS = (
    "-std=gnu11",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wswitch-enum",
    "-Wshadow",
    "-Wconversion",
    "-Wmissing-prototypes",
)
FLAGS = ("-O2", "-fPIC", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2")


class Fragment:
    """One part of the module; paths are relative to this directory."""

    __slots__ = ("archives", "cdef", "header", "sources")

    def __init__(
        self,
        cdef: str,
        *,
        header: str,
        sources: tuple[str, ...] = (),
        archives: tuple[str, ...] = (),
    ):
        self.cdef = cdef
        self.header = header
        self.sources = sources
        self.archives = archives


FRAGMENTS = (
    Fragment(
        "native.cdef.h",
        header="native.h",
        sources=(
            "process.c",
            "watching.c",
            "descriptors.c",
            "sockets.c",
            "mounts.c",
            "terminal.c",
            "bpf.c",
            "clone.c",
            "limits.c",
        ),
    ),
    # Linked statically: its release decides which system call names are known, not the host's.
    Fragment("seccomp.cdef.h", header="seccomp_native.h", archives=("libseccomp.a",)),
)


def present() -> list[Fragment]:
    """Return the fragments whose declarations are in the tree."""
    return [fragment for fragment in FRAGMENTS if os.path.exists(os.path.join(HERE, fragment.cdef))]


def find_archive(name: str) -> str:
    """Absolute path of a static library, as the C compiler finds it."""
    found = subprocess.run(
        [compiler(), f"-print-file-name={name}"], check=True, capture_output=True, text=True
    ).stdout.strip()
    if not os.path.isabs(found):
        package = name.removesuffix(".a") + "-dev"
        raise SystemExit(f"build.py: {name} not found: install the package {package}")
    return found


def compiler() -> str:
    return os.environ.get("CC", "cc")


def archives() -> list[str]:
    return [find_archive(name) for fragment in present() for name in fragment.archives]


def sources() -> list[str]:
    return [os.path.join(HERE, name) for fragment in present() for name in fragment.sources]


def make_ffibuilder() -> cffi.FFI:
    builder = cffi.FFI()
    includes = []
    for fragment in present():
        with open(os.path.join(HERE, fragment.cdef), encoding="utf-8") as file:
            builder.cdef(file.read())
        includes.append(f'#include "{fragment.header}"')
    builder.set_source(
        MODULE,
        "\n".join(includes),
        sources=[os.path.relpath(path, ROOT) for path in sources()],
        include_dirs=[os.path.relpath(HERE, ROOT)],
        extra_objects=archives(),
    )
    return builder


def emit(path: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()):  # it says where it writes, at length
        make_ffibuilder().emit_c_code(path)


def run(*command: str) -> None:
    result = subprocess.run(command, check=False)
    if result.returncode:
        raise SystemExit(f"build.py: failed: {' '.join(command)}")


def build_in_place() -> str:
    """Our files are compiled under all warnings; the text that cffi generates under its own."""
    target = os.path.join(ROOT, "pyrunc", "_native" + sysconfig.get_config_var("EXT_SUFFIX"))
    include = sysconfig.get_path("include")
    with tempfile.TemporaryDirectory() as scratch:
        # The headers of CPython and ours use __FILE__ in messages.
        plain = (f"-ffile-prefix-map={scratch}=.", f"-ffile-prefix-map={ROOT}=.")
        objects = []
        for source in sources():
            objects.append(os.path.join(scratch, os.path.basename(source) + ".o"))
            run(compiler(), *FLAGS, *plain, *WARNINGS, "-c", source, "-o", objects[-1])
        generated = os.path.join(scratch, "_native.c")
        emit(generated)
        objects.append(generated + ".o")
        included = (f"-I{include}", f"-I{HERE}")
        run(compiler(), *FLAGS, *plain, *included, "-c", generated, "-o", objects[-1])
        built = os.path.join(scratch, "_native.so")
        run(
            compiler(),
            "-shared",
            "-s",  # and no number of the linker's choice: the same bytes in every directory
            "-Wl,-z,relro,-z,now,--exclude-libs,ALL,--build-id=none",
            *objects,
            *archives(),
            "-o",
            built,
        )
        # A rename, so that a running program never maps a half-written file.
        run("install", "-m", "755", built, target + ".new")
        os.replace(target + ".new", target)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description="build pyrunc._native")
    parser.add_argument("--emit-c", metavar="FILE", help="write the generated C text only")
    parser.add_argument("--list-sources", action="store_true", help="print the C files, one a line")
    parser.add_argument(
        "--list-archives", action="store_true", help="print the static libraries, one a line"
    )
    arguments = parser.parse_args()
    if arguments.emit_c:
        emit(arguments.emit_c)
    elif arguments.list_sources:
        print("\n".join(sources()))
    elif arguments.list_archives:
        print("\n".join(archives()))
    else:
        build_in_place()


if __name__ == "__main__":
    main()
