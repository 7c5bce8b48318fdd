# SPDX-License-Identifier: Apache-2.0
"""The source distribution gives a wheel, and the wheel a working pyrunc in a fresh environment."""

from __future__ import annotations

import json
import subprocess
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.bundle import BUSYBOX

TREE = Path(__file__).resolve().parents[2]
LIFE = TREE / "tests/packages/life.sh"


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program in an environment that has the wheel and what it depends on, pinned."""
    directory = tmp_path_factory.mktemp("environment")
    venv.create(directory, with_pip=True)
    pip = [str(directory / "bin/python"), "-m", "pip", "install", "--quiet", "--no-deps"]
    done = subprocess.run(
        [*pip, "--requirement", TREE / "requirements.txt", wheel], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return directory / "bin/pyrunc"


def test_the_wheel_serves_all_pythons_and_says_which_glibc_it_needs(wheel: Path) -> None:
    _, _, tag = wheel.name.removesuffix(".whl").partition("-cp311-abi3-")
    assert tag.startswith("manylinux_2_")


def test_the_wheel_holds_the_schema_the_types_and_the_init(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
    wanted = ("spec/schema/config.json", "py.typed", "_native.pyi", "init/pyrunc-init")
    assert {f"pyrunc/{name}" for name in wanted} <= names


def test_the_source_distribution_holds_all_that_make_needs(wheel: Path) -> None:
    version = wheel.name.split("-")[1]
    with tarfile.open(wheel.parent / f"pyrunc-{version}.tar.gz") as content:
        names = {name.partition("/")[2] for name in content.getnames()}
        facts = {(one.uid, one.uname, one.mtime) for one in content.getmembers()}
    tracked = subprocess.run(
        ["git", "-c", f"safe.directory={TREE}", "ls-files", "csrc", "tools", "pyrunc", "packaging"],
        cwd=TREE,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(tracked.stdout.split()) | {"Makefile", "REVISION"} <= names
    assert len(facts) == 1, "the archive tells who made it, and when"


def test_the_program_knows_its_revision(installed: Path) -> None:
    said = subprocess.run(
        [installed, "--version", "--json"], capture_output=True, text=True, check=True
    )
    revision = subprocess.run(
        [TREE / "tools/revision"], capture_output=True, text=True, check=True
    ).stdout.split()[0]
    assert json.loads(said.stdout)["commit"] == revision


@pytest.mark.root
def test_a_container_lives_under_the_program_of_the_wheel(installed: Path) -> None:
    """`check` among it: the schema is part of the package."""
    done = subprocess.run(["sh", LIFE, installed, BUSYBOX], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("process 1 of ")
    assert lines[1].startswith("joined process ")
    assert lines[-1] == "0 error(s), 0 warning(s)"


def test_check_consults_the_schema_of_the_package(installed: Path, tmp_path: Path) -> None:
    """What only the schema finds is found."""
    subprocess.run([installed, "spec", "--bundle", tmp_path], check=True)
    config = json.loads((tmp_path / "config.json").read_text())
    config["hostname"] = "x"
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "rootfs").mkdir(exist_ok=True)
    done = subprocess.run([installed, "check", tmp_path], capture_output=True, text=True)
    assert "schema was not consulted" not in done.stdout + done.stderr
