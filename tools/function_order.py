# SPDX-License-Identifier: Apache-2.0
"""Finds out which functions of the launcher its commands call, and writes them down for the linker.

``function_order.py TRACER LAUNCHER MAP FUNCTIONS``: runs the life of a container with a breakpoint
at each function of the linker's map (csrc/launcher/trace.c), and writes one line an input section,
in the order of their first use. Needs root, and x86_64.
"""

from __future__ import annotations

import bisect
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench import bundles  # after the path

PLACE = r"0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+(\S.*)"
NAMED = re.compile(rf"^ (\.text\S*)(?:\s+{PLACE})?$")
SYMBOL = re.compile(r"^\s+0x([0-9a-f]+)\s+[A-Za-z_]\S*$")
UNNAMED = re.compile(rf"^\s+{PLACE}$")  # a long name has a line of its own


def pattern(section: str) -> str:
    """Name a section so that it is found in the objects of other compilers and C libraries, too.

    They call a function hot or not, number the copies of one otherwise, and put their own version
    into the name of an archive.
    """
    file, _, name = section.removesuffix(")").partition("(")
    plain = re.sub(r"\.(constprop|isra|part)\.\d+$", "", name.replace(".text.hot.", ".text."))
    names = name if name == plain else f"{name} {plain}"
    return f"{re.sub(r'-[0-9.]+[.]a:', '-*.a:', file)}({names})"


def met(tracer: str, functions: Path, argv: list[str]) -> list[int]:
    """Return the addresses that a command comes to, in the order of its coming."""
    command = [tracer, str(functions), *argv]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [int(line, 16) for line in process.stdout.split()]


def sections(listing: Path) -> tuple[list[tuple[int, int, str]], set[int]]:
    """Read the sections of code from the linker's map.

    Returns the input sections (address, size, name in a linker script), and the addresses that
    have names.
    """
    found, name, symbols = [], None, set()
    for line in listing.read_text().splitlines():
        named = NAMED.match(line)
        place = named.groups()[1:] if named else None
        if named:
            name = named[1]
        elif name and (unnamed := UNNAMED.match(line)):
            place = unnamed.groups()
        elif symbol := SYMBOL.match(line):
            symbols.add(int(symbol[1], 16))
        if place and place[0]:
            member = re.search(r"([^/]+\.a)\((\S+)\)$", place[2])
            file = f"*{member[1]}:{member[2]}" if member else "*" + place[2].rpartition("/")[2]
            found.append((int(place[0], 16), int(place[1], 16), f"{file}({name})"))
        if not named:
            name = None
    known = sorted(section for section in found if section[0] and section[1])
    starts = {address for address, _, _ in known}
    inside = {symbol for symbol in symbols if holder(known, symbol)}
    return known, starts | inside


def holder(known: list[tuple[int, int, str]], address: int) -> tuple[int, int, str] | None:
    """Return the section that an address is in."""
    index = bisect.bisect_right(known, (address, sys.maxsize, "")) - 1
    if index < 0 or address >= known[index][0] + known[index][1]:
        return None
    return known[index]


def used(known: list[tuple[int, int, str]], traces: list[list[int]]) -> dict[str, int]:
    """Return the sections that hold the addresses, with their sizes, by first use."""
    result: dict[str, int] = {}
    for address in (address for trace in traces for address in trace):
        section = holder(known, address)
        if section:
            result.setdefault(section[2], section[1])
    return result


def trace_commands(tracer: str, functions: Path, launcher: str, directory: Path) -> list[list[int]]:
    """Trace the commands; what engines call most often comes first."""
    ready = bundles.make(directory)
    words = [launcher, "--root", str(directory / "state")]
    traces: dict[str, list[int]] = {}

    def trace(*arguments: str) -> None:
        traces.setdefault(arguments[0], []).extend(met(tracer, functions, [*words, *arguments]))

    for number, bundle in enumerate(("sleep", "docker")):
        name = f"order-{os.getpid()}-{number}"
        try:
            trace("create", "--bundle", str(ready[bundle]), name)
            trace("start", name)
            trace("state", name)
            trace("exec", name, "true")
            trace("kill", name, "KILL")
            trace("delete", "--force", name)
        finally:
            os.spawnv(os.P_WAIT, launcher, [*words, "delete", "--force", name])
    trace("run", "--bundle", str(ready["true"]), f"order-{os.getpid()}")
    order = ("state", "kill", "start", "delete", "create", "exec", "run")
    return [traces[command] for command in order]


def main() -> None:
    tracer, launcher, listing, target = map(os.path.abspath, sys.argv[1:])
    known, starts = sections(Path(listing))
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        functions = directory / "functions"
        functions.write_text("".join(f"{address:x}\n" for address in sorted(starts)))
        found = used(known, trace_commands(tracer, functions, launcher, directory))
    text = "".join(f"{pattern(name)}\n" for name in found)
    note = "/* What commands call, in the order of its first use: tools/function_order.py. */\n"
    Path(target).write_text(note + text)
    print(f"{len(found)} sections, {sum(found.values())} bytes")


if __name__ == "__main__":
    main()
