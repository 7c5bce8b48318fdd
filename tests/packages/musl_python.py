# SPDX-License-Identifier: Apache-2.0
"""An interpreter for musl, linked as that of Alpine is: `musl_python OUT` leaves OUT/bin/python3.

Debian has none. So the one of the launcher is built with musl-gcc, with the extension modules that
need no other library. It loads extension modules that were linked against musl, and no others.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

TREE = Path(__file__).resolve().parents[2]
ADDED = ("_contextvars", "_json", "_queue", "mmap", "resource", "termios")
LEFT_OUT = ("_elementtree", "pyexpat", "zlib")
OPTIONS = ("-q", "--disable-shared", "--disable-test-modules", "--without-ensurepip")


def script(name: str) -> ModuleType:
    """Load a script of the build, which is in no package."""
    spec = importlib.util.spec_from_file_location(Path(name).stem, TREE / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def interpreter(out: Path) -> None:
    """Build the interpreter, and put it beside its library."""
    musl = script("packaging/musl.py")
    build = musl.build
    tree = build.unpack(build.fetch(out), out)
    compiler = str(musl.compiler(out))
    build.run("./configure", *OPTIONS, f"CC={compiler}", "CFLAGS=-O1 -g0 -w", cwd=tree)
    listing = (tree / "Modules/Setup.stdlib").read_text()
    more = [line for line in listing.splitlines() if line.split(" ")[0] in ADDED]
    lines = [*build.linked_in(listing).splitlines(), *more]
    kept = [line for line in lines if line.split(" ")[0] not in LEFT_OUT]
    (tree / "Modules/Setup.local").write_text("\n".join(kept) + "\n")
    build.run("make", "-s", "Makefile", cwd=tree)
    makefile = tree / "Makefile"  # one module takes a function of zlib where configure has seen one
    text = re.sub(r"(?m)^(MODULE_BINASCII_(C|LD)FLAGS)=.*", r"\1=", makefile.read_text())
    makefile.write_text(text)
    build.run("make", "-s", "-o", "Makefile", f"-j{os.cpu_count()}", "python", cwd=tree)
    (out / "bin").mkdir()
    shutil.move(tree / "python", out / "bin/python3")
    library = out / "lib" / build.NAME
    shutil.copytree(tree / "Lib", library, ignore=shutil.ignore_patterns("test", "__pycache__"))
    (library / "lib-dynload").mkdir()
    shutil.rmtree(tree)


def main() -> None:
    out = Path(sys.argv[1]).resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    interpreter(out)
    print(subprocess.check_output([out / "bin/python3", "-VV"], text=True), end="")


if __name__ == "__main__":
    main()
