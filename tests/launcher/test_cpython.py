# SPDX-License-Identifier: Apache-2.0
"""The build of the interpreter (csrc/launcher/cpython/build.py): patches, modules."""

from __future__ import annotations

import importlib.util
import io
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "csrc/launcher/cpython/build.py"
CHANGE = "--- a/file\n+++ b/file\n@@ -1 +1 @@\n-{}\n+{}\n"


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, whose own patch changes "debian" to "ours"."""
    spec = importlib.util.spec_from_file_location("cpython_build", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    here = tmp_path / "here"
    here.mkdir()
    (here / "immortal.patch").write_text(CHANGE.format("debian", "ours"))
    monkeypatch.setattr(module, "HERE", here)
    return module


def archive(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w") as content:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            content.addfile(member, io.BytesIO(text.encode()))
    return path


def package(directory: Path, series: str) -> list[Path]:
    patches = {"debian/patches/a.diff": CHANGE.format("upstream", "debian")}
    return [
        archive(directory / "orig.tar", {"Python-3/file": "upstream\n"}),
        archive(directory / "debian.tar", {"debian/patches/series": series, **patches}),
    ]


def test_the_patches_of_the_package_come_before_ours(build: ModuleType, tmp_path: Path) -> None:
    tree = build.unpack(package(tmp_path, "# a comment\na.diff -p1\n"), tmp_path)
    assert (tree / "file").read_text() == "ours\n"


def test_a_patch_that_does_not_fit_is_an_error(build: ModuleType, tmp_path: Path) -> None:
    """The library of the package is linked then, rather than one with half of the changes."""
    with pytest.raises(build.BuildError, match="patch"):
        build.unpack(package(tmp_path, ""), tmp_path)


def test_modules_are_those_of_the_interpreter(build: ModuleType) -> None:
    listing = "*shared*\nabsent absentmodule.c\nzlib zlibmodule.c\n"
    assert build.linked_in(listing) == "*static*\nzlib zlibmodule.c\n"


def test_the_source_is_that_of_the_pinned_release_on_the_mirrors_of_the_host(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "KEYRING", "/no/keyring")
    suites = (
        "http://a/debian/ trixie\nhttp://a/debian/ trixie-updates\nhttp://b/s/ trixie-security\n"
    )
    assert build.source_lines(suites, release="trixie").splitlines() == [
        "deb-src http://a/debian/ bookworm main",
        "deb-src http://a/debian/ bookworm-updates main",
        "deb-src http://b/s/ bookworm-security main",
    ]


def test_a_rolling_release_lends_its_mirror(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "KEYRING", "/no/keyring")
    lines = build.source_lines("http://a/debian/ sid\n", release="forky")
    assert lines == "deb-src http://a/debian/ bookworm main\n"


def test_without_source_a_host_of_another_python_is_told_what_it_can_do(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "HOST", "3.13")
    with pytest.raises(SystemExit, match="make LAUNCHER="):
        build.use_package(tmp_path)
