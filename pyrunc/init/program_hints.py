# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a program that execve refuses, from what the init has read of it. PURE.

The init's report has the program's path and, after a line break, one of `#!INTERPRETER` (a script),
`interpreter PATH` (an ELF file that names a dynamic loader), `machine NUMBER BITS` (an ELF file of
this e_machine) or `data` (a file of neither kind). The file is the image's: nothing of it is
trusted.
"""

from __future__ import annotations

from errno import ELIBBAD, ENOENT, ENOEXEC

from pyrunc.errors import shorten

NEWLINE = "\n"

# e_machine (elf.h) and the bits of a word -> the name that uname and images use
MACHINES = {
    (3, 32): "i386",
    (8, 32): "mips",
    (8, 64): "mips64",
    (20, 32): "ppc",
    (21, 64): "ppc64",
    (22, 64): "s390x",
    (40, 32): "arm",
    (62, 32): "x32",
    (62, 64): "x86_64 (amd64)",
    (183, 64): "aarch64 (arm64)",
    (243, 32): "riscv32",
    (243, 64): "riscv64",
    (258, 64): "loongarch64",
}


def program_hint(errno: int, header: str) -> str:
    """Return what to do about the program; empty when what was found explains nothing."""
    kind, _, rest = header.partition(" ")
    if header.startswith("#!"):
        return _script(header[2:]) if errno in (ENOENT, ELIBBAD) else ""
    if kind == "interpreter" and errno in (ENOENT, ELIBBAD):
        state = "is missing in the image" if errno == ENOENT else "is for another architecture"
        return f"the program's dynamic loader {_quoted(rest)} {state}"
    if kind == "machine" and errno == ENOEXEC:
        return _machine(rest)
    if kind == "data" and errno == ENOEXEC:
        return "the program is neither an ELF file nor a script with a #! line"
    return ""


def _script(interpreter: str) -> str:
    if interpreter.endswith("\r"):
        return "the #! line ends in a carriage return: save the script with line feeds only"
    shown = _quoted(interpreter.split(" ")[0])
    return f"the script's interpreter {shown}, or the dynamic loader of it, is missing in the image"


def _machine(numbers: str) -> str:
    number, _, bits = numbers.partition(" ")
    if not (number.isdecimal() and bits.isdecimal()):
        return ""
    name = MACHINES.get((int(number), int(bits)), f"machine {number} of elf.h, {bits} bits")
    return (
        f"the program is built for {name}, which this host cannot run: use an image of the host's "
        "architecture, or a handler in binfmt_misc"
    )


def _quoted(path: str) -> str:
    return path if path.isprintable() and path else shorten(path)
