# SPDX-License-Identifier: Apache-2.0
"""The artefacts of a release, made once, and how much is tried with them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
DIST = TREE / "dist"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what builds and installs releases, unless `make test-packages` asks for it."""
    if config.getoption("--packages") == "all":
        return
    skip = pytest.mark.skip(reason="heavy: `make test-packages`")
    for item in items:
        if item.get_closest_marker("heavy"):
            item.add_marker(skip)


def make(*targets: str) -> None:
    done = subprocess.run(["make", *targets], cwd=TREE, capture_output=True, text=True)
    assert done.returncode == 0, f"make {' '.join(targets)}: {done.stdout[-3000:]}{done.stderr}"


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """The directory with everything that a release consists of."""
    make("artefacts")
    return DIST


@pytest.fixture(scope="session")
def wheel() -> Path:
    """The wheel, made from the source distribution."""
    make("wheel")
    (path,) = DIST.glob("pyrunc-*-manylinux*.whl")
    return path


@pytest.fixture(scope="session")
def musl_wheel() -> Path:
    """The wheel for distributions with musl."""
    make("musl-wheel")
    (path,) = DIST.glob("pyrunc-*-musllinux*.whl")
    return path
