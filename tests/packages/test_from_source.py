# SPDX-License-Identifier: Apache-2.0
"""What users of sources meet: archives without git, masks, staging directories, programs in use."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from tests.support.bundle import BUSYBOX

TREE = Path(__file__).resolve().parents[2]
GIT = ("git", "-c", f"safe.directory={TREE}", "-c", f"safe.directory={TREE}/.git", "-C", str(TREE))
ZIP_BEGINS = 315532800  # 1980-01-01, the first time that a wheel can hold


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """What `make all helpers` leaves, in small files that only their owner can read."""
    checkout = tmp_path / "checkout"
    for name in ("tools", "bin", "build/helpers", "docs/man", "completions", "pyrunc/init"):
        (checkout / name).mkdir(parents=True)
    shutil.copy2(TREE / "tools/install", checkout / "tools")
    (checkout / ".venv").symlink_to(TREE / ".venv")
    (checkout / "requirements.txt").write_text("simplejson==0\n")
    (checkout / "bin/pyrunc").symlink_to("../build/pyrunc")
    for name in ("build/pyrunc", "build/helpers/pyrunc-helpers"):
        shutil.copy(BUSYBOX, checkout / name)
    for name in ("pyrunc.bash", "_pyrunc", "pyrunc.fish"):
        (checkout / "completions" / name).write_text("")
    (checkout / "docs/man/pyrunc.8").write_text("")
    (checkout / "pyrunc/init/__init__.py").write_text("")
    for path in checkout.rglob("*"):
        if not path.is_symlink() and checkout / ".venv" not in path.parents:
            path.chmod(0o700 if path.is_dir() or os.access(path, os.X_OK) else 0o600)
    return checkout


def install(checkout: Path, prefix: Path) -> None:
    subprocess.run([checkout / "tools/install", prefix], check=True, umask=0o077)


def test_an_archive_of_git_names_its_commit(tmp_path: Path) -> None:
    """Forges offer such archives of each tag; they have no .git and no REVISION."""
    packed = subprocess.run([*GIT, "archive", "HEAD", "tools/revision"], capture_output=True)
    if packed.returncode:
        pytest.skip("this tree has no git")
    subprocess.run(["tar", "-x", "-C", tmp_path], input=packed.stdout, check=True)
    said = [subprocess.check_output([root / "tools/revision"]) for root in (tmp_path, TREE)]
    assert said[0] == said[1]


def test_without_any_record_the_time_is_one_that_a_wheel_can_hold(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    shutil.copy2(TREE / "tools/revision", tmp_path / "tools")
    text = subprocess.check_output([tmp_path / "tools/revision"], text=True)
    assert text.split() == ["unknown", str(ZIP_BEGINS)]


def test_everybody_can_use_what_was_installed_under_a_narrow_mask(
    built: Path, tmp_path: Path
) -> None:
    """Copies keep the rights that the mask of the checkout left them."""
    install(built, tmp_path / "prefix")
    installed = [*(tmp_path / "prefix").rglob("*")]
    programs = {"bin/pyrunc", "libexec/pyrunc/helpers/pyrunc-helpers"}
    assert programs <= {str(path.relative_to(tmp_path / "prefix")) for path in installed}
    for path in installed:
        wanted = 0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644
        assert path.stat().st_mode & 0o777 == wanted, path


def test_the_program_is_replaced_in_one_step_while_it_runs(built: Path, tmp_path: Path) -> None:
    """Neither "text file busy" nor a moment without it: engines start it at any time."""
    program = tmp_path / "prefix/bin/pyrunc"
    install(built, tmp_path / "prefix")
    ended = threading.Event()
    incomplete: list[str] = []

    def look() -> None:
        size = program.stat().st_size
        while not ended.is_set():
            try:
                if program.stat().st_size != size:
                    incomplete.append("a part of it")
            except FileNotFoundError:
                incomplete.append("nothing")

    with subprocess.Popen(["cat"], executable=program, stdin=subprocess.PIPE) as running:
        looking = threading.Thread(target=look)
        looking.start()
        try:
            for _ in range(5):
                install(built, tmp_path / "prefix")
        finally:
            ended.set()
            looking.join()
    assert running.returncode == 0
    assert incomplete == []
    assert [path.name for path in program.parent.iterdir()] == ["pyrunc"]


def test_a_staging_directory_stands_before_the_prefix(tmp_path: Path) -> None:
    """Packagers set both."""
    command = ["make", "--dry-run", "install", f"DESTDIR={tmp_path}", "PREFIX=/usr"]
    done = subprocess.run(command, cwd=TREE, capture_output=True, text=True)
    assert f"tools/install {tmp_path}/usr\n" in done.stdout


def test_a_pip_that_installs_for_the_user_installs_into_the_environment(tmp_path: Path) -> None:
    """The setting is common, and pip refuses it in a virtual environment."""
    for name in ("tools", ".venv/bin"):
        (tmp_path / name).mkdir(parents=True)
    shutil.copy2(TREE / "tools/bootstrap", tmp_path / "tools")
    for name in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / name).write_text("")
    python = tmp_path / ".venv/bin/python"
    python.write_text(f"#!/bin/sh\necho $PIP_USER >{tmp_path}/seen\n")
    python.chmod(0o755)
    command = [str(tmp_path / "tools/bootstrap"), "venv"]
    subprocess.run(command, env={**os.environ, "PIP_USER": "1"}, check=True, capture_output=True)
    assert (tmp_path / "seen").read_text() == "0\n"


def test_no_time_of_the_checkout_is_in_the_debian_package(tmp_path: Path) -> None:
    """It may be older than the commit, as where the release was made, or younger, as elsewhere."""
    if not shutil.which("dpkg-deb"):
        pytest.skip("dpkg-deb is missing")
    stage, package = tmp_path / "stage", tmp_path / "pyrunc.deb"
    for name in ("bin", "libexec/pyrunc", "share/man/man8"):
        (stage / "usr" / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, stage / "usr/bin/pyrunc")
    (stage / "usr/share/man/man8/pyrunc.8").write_text("")
    (stage / "usr/libexec/pyrunc/link").symlink_to("absent")
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "4102444800", "TZ": "UTC"}
    words = ["-B", f"{TREE}/packaging/deb.py", str(stage), "0.1.0", "amd64", str(package)]
    subprocess.run(["/usr/bin/python3", *words], env=environment, check=True)
    listing = subprocess.check_output(
        ["dpkg-deb", "--contents", package], env=environment, text=True
    )
    days = {line.split()[3] for line in listing.splitlines()}
    assert days == {"2100-01-01"}, listing


@pytest.mark.root
def test_a_container_lives_without_docstrings_and_with_an_init_that_nobody_may_execute(
    tmp_path: Path,
) -> None:
    """Python may strip the one (-OO), and installers lose the right of the other."""
    site = tmp_path / "site"
    left_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(TREE / "pyrunc", site / "pyrunc", ignore=left_out)
    (site / "pyrunc/init/pyrunc-init").chmod(0o644)
    program = tmp_path / "pyrunc"
    python = f'PYTHONPATH={site} {TREE}/.venv/bin/python -BOOm pyrunc "$@"'
    program.write_text(f"#!/bin/sh\nexec env {python}\n")
    program.chmod(0o755)
    life = ["sh", str(TREE / "tests/packages/life.sh"), str(program), str(BUSYBOX)]
    done = subprocess.run(life, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "joined process" in done.stdout
    assert done.stdout.splitlines()[-1] == "0 error(s), 0 warning(s)"
