# SPDX-License-Identifier: Apache-2.0
"""A program against the public names passes mypy --strict and pyright, outside of this tree."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.runtime import TREE

CALLER = TREE / "tests/library/caller_program.py"
REQUIREMENTS = TREE / "requirements-pyright.txt"
CACHE = TREE / "build/pyright"
WRONG = {
    'spec.limit(memory="64m", cpus=1.5, pids=50)': 'spec.limit(memory="64m", cpus=1.5, pids="x")',
    "assert_type(stats.memory.peak, int)": "assert_type(stats.memory.peak, str)",
    "assert_type(await container.start(), aio.Container)": "container.begin()",
    'assert_type(await container.exec(["id"], timeout=1), pyrunc.Completed)': (
        'await container.exec(["id"], time_out=1)'
    ),
    "runtime.run(spec, timeout=1))": 'runtime.run(spec, timeout="1"))',
    'result = box.run(["sh"], files={"a": b"b"}': 'result = box.run(["sh"], files={"a": "b"}',
    'aio.Sandbox("/image", memory="64m")': 'aio.Sandbox("/image", memmory="64m")',
    'container.exec(["id"], user=(1, 2), cwd="/", env={"A": "b"})': (
        'container.exec(["id"], user="root", cwd="/", env={"A": "b"})'
    ),
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory of a caller's, with nothing of ours but the program."""
    shutil.copy(CALLER, tmp_path / "caller.py")
    return tmp_path


@pytest.fixture(scope="session")
def pyright() -> list[str]:
    """The pinned pyright (basedpyright brings its node); skips where it cannot be fetched."""
    stamp = CACHE / hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if not stamp.exists():
        if os.environ.get("IN_GUEST"):
            pytest.skip("guests have no network to fetch pyright")
        shutil.rmtree(CACHE, ignore_errors=True)
        argv = [sys.executable, "-m", "pip", "install", "-q", "--target", str(CACHE)]
        argv += ["-r", str(REQUIREMENTS)]
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"pyright cannot be fetched: {done.stderr.strip()[-200:]}")
        stamp.touch()
    return [sys.executable, "-m", "basedpyright"]


def mypy(place: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "caller.py"]
    env = {**os.environ, "MYPYPATH": str(TREE), "MYPY_CACHE_DIR": str(place / "cache")}
    return subprocess.run(argv, cwd=place, env=env, capture_output=True, text=True)


def run_pyright(pyright: list[str], place: Path) -> subprocess.CompletedProcess[str]:
    settings = {"typeCheckingMode": "strict", "include": ["caller.py"], "extraPaths": [str(TREE)]}
    (place / "pyrightconfig.json").write_text(json.dumps(settings))
    env = {**os.environ, "PYTHONPATH": str(CACHE)}
    return subprocess.run(pyright, cwd=place, env=env, capture_output=True, text=True)


def spoil(place: Path) -> None:
    text = (place / "caller.py").read_text()
    for right, wrong in WRONG.items():
        assert text.count(right) == 1
        text = text.replace(right, wrong)
    (place / "caller.py").write_text(text)


def test_a_caller_is_clean_under_mypy_strict(place: Path) -> None:
    done = mypy(place)
    assert done.returncode == 0, done.stdout
    spoil(place)
    done = mypy(place)
    assert f"Found {len(WRONG)} errors" in done.stdout, done.stdout


def test_a_caller_is_clean_under_pyright_strict(place: Path, pyright: list[str]) -> None:
    done = run_pyright(pyright, place)
    assert "0 errors, 0 warnings" in done.stdout, done.stdout
    spoil(place)
    done = run_pyright(pyright, place)
    assert done.stdout.count(" - error: ") >= len(WRONG), done.stdout


def test_the_caller_uses_every_public_name() -> None:
    import pyrunc

    text = CALLER.read_text()
    rarely = {"Cpu", "Explained", "Memory", "MountEntry", "Operation", "Pids", "ProcessEntry",
              "Report", "Entry", "Problem", "Stop"}  # fmt: skip
    absent = {name for name in pyrunc.__all__ if name not in text} - rarely
    assert not absent
