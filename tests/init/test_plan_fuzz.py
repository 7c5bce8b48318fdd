# SPDX-License-Identifier: Apache-2.0
"""A short run of the fuzzers; `make fuzz` runs them for longer."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pyrunc.init import ops
from tests.init.harness import TREE, encode

SEEDS: list[list[ops.Op]] = [
    [ops.NewMount(slot=1, fstype="tmpfs", source="x", options=["a=b", "c"], attributes=1)],
    [ops.SetGroups(gids=bytes(12)), ops.SetUmask(mask=0o22)],
    [ops.Execute(argv=["sh"], env=["A=b", "C="], home=0, listen=1, preserved=2)],
    [
        ops.RunHook(
            path="/h",
            argv=["h"],
            env=["A=b"],
            home=0,
            timeout_ms=9,
            head="{",
            tail="}",
            directory=0,
            cwd="",
            out=3,
            err=0,
            filter_flags=0,
            filter=bytes(8),
        )
    ],
    [ops.SendMount(slot=3), ops.DetachMount(path="/mnt", id=7), ops.CoverRoot(slot=3, root=4)],
]


@pytest.fixture(scope="module")
def fuzzers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("clang") is None:
        pytest.skip("the Debian package clang is missing")
    out = tmp_path_factory.mktemp("fuzz")
    make = ["make", "-s", "-C", str(TREE / "csrc/init"), "fuzzers", f"OUT={out}"]
    subprocess.run(make, check=True, capture_output=True)
    return out


def run(program: Path, corpus: Path, runs: int) -> None:
    argv = [str(program), f"-runs={runs}", "-seed=1", "-max_len=8192", str(corpus)]
    result = subprocess.run(argv, cwd=corpus, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-4000:]


def test_no_plan_makes_the_decoder_read_or_write_out_of_bounds(
    fuzzers: Path, tmp_path: Path
) -> None:
    """PL-2."""
    for number, plan in enumerate(SEEDS):
        (tmp_path / f"seed{number}").write_bytes(encode(plan))
    run(fuzzers / "fuzz_plan", tmp_path, 200_000)


def test_no_passwd_makes_the_parser_read_or_write_out_of_bounds(
    fuzzers: Path, tmp_path: Path
) -> None:
    """CR-3 RS-1."""
    (tmp_path / "seed").write_bytes(b"\3root:x:0:0:r:/root:/bin/sh\nu:x:1:1::/home/u:/bin/sh\n")
    (tmp_path / "long").write_bytes(b"\xff" + b"x" * 5000 + b"\nu:x:1:1::/u:")
    run(fuzzers / "fuzz_passwd", tmp_path, 20_000)
