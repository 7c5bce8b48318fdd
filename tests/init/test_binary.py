# SPDX-License-Identifier: Apache-2.0
"""The file pyrunc-init: small, static, hardened, free of what must not run in a container."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.init.harness import PROGRAM, TREE

MAX_SIZE = 128 * 1024
MAX_SIZE_ARM64 = 160 * 1024  # its data begin at the next 64 KiB, which is the size of large pages
FORBIDDEN = re.compile(
    r"malloc|calloc|realloc|free|[sf]*n?printf|system|popen|dlopen|dlsym|getpw\w*|getgr\w*|"
    r"getaddrinfo|iconv\w*|setlocale|getenv|setenv|fopen\w*|pthread_create|wordexp|glob"
)


def tool(*argv: str) -> str:
    if shutil.which(argv[0]) is None:
        pytest.skip(f"the program {argv[0]} is missing")
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def unstripped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("musl-gcc") is None:
        pytest.skip("the Debian package musl-tools is missing")
    out = tmp_path_factory.mktemp("init")
    tool("make", "-s", "-C", str(TREE / "csrc/init"), f"OUT={out}", "STRIP=")
    return out / "pyrunc-init"


def test_it_is_small_enough_to_be_copied_for_each_start() -> None:
    """EX-2."""
    limit = MAX_SIZE_ARM64 if "AArch64" in tool("readelf", "-hW", str(PROGRAM)) else MAX_SIZE
    assert PROGRAM.stat().st_size <= limit


def test_it_is_static_and_position_independent() -> None:
    """EX-3."""
    header = tool("readelf", "-hW", str(PROGRAM))
    segments = tool("readelf", "-lW", str(PROGRAM))
    dynamic = tool("readelf", "-dW", str(PROGRAM))
    assert "DYN" in header
    assert "INTERP" not in segments
    assert "NEEDED" not in dynamic
    assert "TEXTREL" not in dynamic


def test_it_is_hardened() -> None:
    """EX-5: no executable stack, no segment both writable and executable, relocations read-only."""
    segments = tool("readelf", "-lW", str(PROGRAM))
    dynamic = tool("readelf", "-dW", str(PROGRAM))
    assert "GNU_RELRO" in segments
    stack = next(line for line in segments.splitlines() if "GNU_STACK" in line)
    assert "RWE" not in stack
    assert not re.search(r"LOAD.* RWE ", segments)
    assert "NOW" in dynamic


def test_it_uses_no_heap_no_name_service_and_no_formatting(unstripped: Path) -> None:
    """EX-3 EX-7."""
    names = {line.split()[-1] for line in tool("nm", str(unstripped)).splitlines()}
    assert "run_attach" in names
    assert sorted(name for name in names if FORBIDDEN.fullmatch(name.strip("_"))) == []


def test_two_builds_are_the_same(unstripped: Path) -> None:
    """EX-5: the digest that is recorded says which source it is."""
    again = unstripped.parent / "again"
    tool("make", "-s", "-C", str(TREE / "csrc/init"), f"OUT={again}", "STRIP=")
    assert (again / "pyrunc-init").read_bytes() == unstripped.read_bytes()


def test_no_module_is_longer_than_400_lines_and_no_handler_than_40() -> None:
    """The budget of the house."""
    for source in sorted((TREE / "csrc/init").glob("*.c")):
        lines = source.read_text().splitlines()
        assert len(lines) <= 400, source.name
        start = 0
        for number, line in enumerate(lines, 1):
            if line == "{":
                start = number
            if line == "}":
                assert number - start - 1 <= 40, f"{source.name}:{start}"


def test_the_generated_files_are_fresh() -> None:
    subprocess.run(["/usr/bin/python3", str(TREE / "csrc/generate.py"), "--check"], check=True)
