# SPDX-License-Identifier: Apache-2.0
"""The artefacts of a release in roots that hold little: busybox alone, and bare Debian releases."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.packages import roots
from tests.support.bundle import BUSYBOX

TREE = Path(__file__).resolve().parents[2]
RELEASES = ("bookworm", "trixie", "sid")
pytestmark = [pytest.mark.root, pytest.mark.heavy]


@pytest.fixture(scope="module")
def hand_over(artefacts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the roots see as /tree: the artefacts, a busybox, the life of a container."""
    directory = tmp_path_factory.mktemp("tree")
    scripts = [TREE / f"tests/packages/{name}.sh" for name in ("life", "devices")]
    others = (*scripts, TREE / "requirements.txt", Path(BUSYBOX))
    for path in (*artefacts.glob("pyrunc[-_]*"), *others):
        shutil.copy(path, directory / path.name)
    return directory


@pytest.fixture(scope="module")
def busybox_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with one static program: no C library, no Python."""
    root = tmp_path_factory.mktemp("busybox") / "root"
    for name in ("bin", "proc", "sys", "dev", "tmp", "run", "usr/local", "root"):
        (root / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    for name in ("sh", "tar", "gzip", "mktemp", "rm", "mkdir", "cp", "sed", "hostname", "ls"):
        (root / "bin" / name).symlink_to("busybox")
    return root


def output(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout
    return done.stdout


INSTALL = "apt-get -qq update && apt-get -qq install -y --no-install-recommends"
DEVICES = "unshare --net sh /tree/devices.sh"
UNPACK = "tar -xzf /tree/pyrunc-*-linux-*.tar.gz -C /usr/local --strip-components=1 && "
LIFE = "sh /tree/life.sh pyrunc /tree/busybox"


def lived(text: str) -> None:
    """Expect the lines of life.sh."""
    assert re.search(r"^process 1 of ", text, re.MULTILINE), text
    assert re.search(r"^joined process \d+", text, re.MULTILINE), text


def test_in_a_root_without_glibc_and_python_everything_works_that_can(
    busybox_root: Path, hand_over: Path
) -> None:
    """What cannot is said, with each thing that is missing."""
    text = output(roots.run(busybox_root, UNPACK + LIFE, tree=hand_over))
    lived(text)
    said = text.partition("check:")[2]
    assert "the published JSON schema was not consulted" in said
    assert "pyrunc-helpers needs glibc's /lib" in said
    assert "/usr/bin/python3 is missing" in said
    assert "0 error(s)" in said


@pytest.mark.parametrize("release", RELEASES)
def test_the_tarball_needs_no_python(release: str, hand_over: Path) -> None:
    """The helpers bring the schema their own interpreter."""
    without = "rm -f /usr/bin/python3* && "
    text = output(roots.run(roots.base(release), UNPACK + without + LIFE, tree=hand_over))
    lived(text)
    assert text.rstrip().endswith("0 error(s), 0 warning(s)")


@pytest.mark.parametrize("release", RELEASES)
def test_the_debian_package_installs_upgrades_and_purges(release: str, hand_over: Path) -> None:
    """A container that runs meanwhile is listed and deleted by what comes after."""
    make = """pyrunc spec && sed -i -e 's/"terminal": true/"terminal": false/'"""
    loop = """-e 's/"sh"$/"sh", "-c", "while :; do sleep 1; done"/' config.json"""
    steps = (
        "dpkg -i /tree/pyrunc_*.deb",
        LIFE,
        "mkdir -p /tmp/box/rootfs/bin && cp /tree/busybox /tmp/box/rootfs/bin/sh && cd /tmp/box",
        f"{make} {loop}",
        "pyrunc run --detach kept </dev/null >/dev/null 2>&1",
        "dpkg -i /tree/pyrunc_*.deb",
        "pyrunc exec kept sh -c 'echo still here'",
        "cp /usr/bin/pyrunc /tmp/saved && dpkg --purge pyrunc",
        "[ ! -e /usr/bin/pyrunc ] && [ ! -e /usr/libexec/pyrunc ]",
        "/tmp/saved list -q && /tmp/saved delete --force kept",
    )
    text = output(roots.run(roots.base(release), " && ".join(steps), tree=hand_over))
    lived(text)
    assert "still here" in text
    assert "kept" in text.splitlines()


def test_helpers_need_neither_python_nor_a_directory_for_temporary_programs(
    hand_over: Path,
) -> None:
    """What is one file is unpacked there first, and hardened hosts run nothing from there."""
    steps = (
        f"{INSTALL} iproute2 >/dev/null 2>&1",
        "dpkg -i /tree/pyrunc_*.deb >/dev/null && rm -f /usr/bin/python3*",
        f"{DEVICES} pyrunc /tree/busybox",
        "mkdir -p /root/box/rootfs/bin && cp /tree/busybox /root/box/rootfs/bin/sh",
        "pyrunc spec --bundle /root/box && mount -o remount,noexec /tmp",
        "pyrunc check /root/box",
    )
    text = output(roots.run(roots.base("trixie"), " && ".join(steps), tree=hand_over))
    assert "taken0" in text.splitlines()
    assert text.rstrip().endswith("0 error(s), 0 warning(s)")


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_the_wheel_serves_the_python_of_a_release(release: str, hand_over: Path) -> None:
    """A life, `check` with the schema of the package, and a network device: 3.11 and 3.13."""
    pip = "/opt/pyrunc/bin/pip install --quiet --no-deps -r /tree/requirements.txt"
    steps = (
        f"{INSTALL} python3-venv iproute2 >/dev/null 2>&1",
        f"python3 -m venv /opt/pyrunc && {pip} /tree/pyrunc-*-manylinux*.whl",
        LIFE.replace("pyrunc /", "/opt/pyrunc/bin/pyrunc /"),
        f"{DEVICES} /opt/pyrunc/bin/pyrunc /tree/busybox",
    )
    text = output(roots.run(roots.base(release), " && ".join(steps), tree=hand_over))
    lived(text)
    assert "0 error(s), 0 warning(s)" in text.splitlines()
    assert text.splitlines()[-1] == "taken0"


def test_lintian_has_no_complaints(artefacts: Path) -> None:
    if not shutil.which("lintian"):
        pytest.skip("lintian is missing (apt-get install lintian)")
    (package,) = artefacts.glob("*.deb")
    done = subprocess.run(
        ["lintian", "--fail-on", "error,warning", package], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_sums_and_the_bill_of_materials_belong_to_the_artefacts(artefacts: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=artefacts, check=True)
    (path,) = artefacts.glob("*.cdx.json")
    bill = json.loads(path.read_text())
    names = {one["name"]: one["version"] for one in bill["components"]}
    assert {"cpython", "libffi", "libseccomp", "musl", "glibc", "rpds-py"} <= names.keys()
    assert "unknown" not in names.values()


def test_uninstall_removes_all_that_install_has_put_there(tmp_path: Path) -> None:
    for target in ("install", "uninstall"):
        subprocess.run(["make", target, f"PREFIX={tmp_path}"], cwd=TREE, check=True)
        left = [path for path in tmp_path.rglob("*") if not path.is_dir()]
        assert bool(left) == (target == "install")


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_the_commands_of_the_readme_work_on_a_bare_release(release: str, tmp_path: Path) -> None:
    """`make demo` installs what is missing, builds all and takes a container through its life."""
    clone = tmp_path / "clone"
    safe = ["-c", f"safe.directory={TREE}", "-c", f"safe.directory={TREE}/.git"]
    subprocess.run(["git", *safe, "clone", "-q", TREE, clone], check=True)
    text = output(roots.run(roots.base(release), "make demo", tree=clone, timeout_s=3600))
    assert "== run: the same in one step" in text
    assert "warning:" not in text
