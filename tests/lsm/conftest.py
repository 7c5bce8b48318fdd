# SPDX-License-Identifier: Apache-2.0
"""Labels with effect. These tests change the policy of the kernel, so they run in guests only:
`tests/vm/test_lsm_guests.py` boots them with the module that each file names.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support import machine
from tests.support.bundle import Config

HERE = Path(__file__).parent
LSMS = Path("/sys/kernel/security/lsm")
SELINUX = Path("/sys/fs/selinux")
POLICY_VERSION = "33"

collect_ignore_glob = [] if "IN_GUEST" in os.environ else ["test_*.py"]


def need_guest(module: str) -> None:
    """Skip unless this is a guest with the security module."""
    active = LSMS.read_text().split(",") if LSMS.exists() else []
    if "IN_GUEST" not in os.environ or module not in active:
        pytest.skip(f"needs a guest booted with security={module} (tests/vm/test_lsm_guests.py)")


@pytest.fixture(scope="session")
def apparmor() -> None:
    """The kernel has the profiles of `profiles.apparmor`."""
    need_guest("apparmor")
    parser = ["apparmor_parser", "--replace", "--skip-cache", str(HERE / "profiles.apparmor")]
    subprocess.run(parser, check=True)


@pytest.fixture(scope="session")
def selinux(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The kernel enforces `policy.cil`."""
    need_guest("selinux")
    binary = tmp_path_factory.mktemp("selinux") / "policy"
    compiler = ["secilc", "-c", POLICY_VERSION, "-f", "/dev/null", "-o", str(binary)]
    subprocess.run([*compiler, str(HERE / "policy.cil")], check=True)
    if not (SELINUX / "load").exists():
        machine.mount("selinuxfs", SELINUX, "selinuxfs")
    for name, data in (("load", binary.read_bytes()), ("enforce", b"1")):
        with (SELINUX / name).open("wb", buffering=0) as file:  # one write is one policy
            file.write(data)


@pytest.fixture
def secret(config: Config) -> Config:
    """A bundle with two files, /secret and /open, which anybody may read as far as modes go."""
    config.file("/secret", "hidden\n")
    config.file("/open", "shown\n")
    return config
