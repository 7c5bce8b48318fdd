# SPDX-License-Identifier: Apache-2.0
"""The configurations in docs/engines.md, given to the engines."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.conformance.support import check, fetches
from tests.support.runtime import TREE

MANUAL = (TREE / "docs/engines.md").read_text()
pytestmark = pytest.mark.root


def snippet(section: str, language: str, program: Path) -> str:
    """The first block of a section in a language, with the path of the program under test."""
    text = MANUAL.partition(f"\n## {section}")[2].partition("\n## ")[0]
    block = re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert block, f"no {language} in the section {section}"
    return block[1].replace("/usr/bin/pyrunc", str(program))


def output(*argv: str, **environment: str) -> str:
    done = subprocess.run(
        argv, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@fetches
def test_containerd_takes_the_configuration(program: Path, tmp_path: Path) -> None:
    check("conformance/engines/packages", "containerd")
    file = tmp_path / "config.toml"
    file.write_text(snippet("containerd", "toml", program))
    lines = {
        line.strip()
        for line in output("containerd", "-c", str(file), "config", "dump").splitlines()
    }
    assert 'default_runtime_name = "pyrunc"' in lines
    assert f'BinaryName = "{program}"' in lines


@fetches
def test_podman_takes_the_configuration(program: Path, tmp_path: Path) -> None:
    check("conformance/engines/packages", "podman")
    file = tmp_path / "containers.conf"
    # Podman's locks would stay in /dev/shm.
    text = snippet("Podman", "toml", program).replace("[engine]", '[engine]\nlock_type = "file"')
    file.write_text(text)
    # Podman wants a short path here.
    with TemporaryDirectory() as directory:
        places = ("--root", f"{tmp_path}/root", "--runroot", directory, "--tmpdir", directory)
        options = (*places, "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs")
        argv = ("podman", *options, "info", "--format", "json")
        info = json.loads(output(*argv, CONTAINERS_CONF=str(file)))
    assert info["host"]["ociRuntime"]["name"] == "pyrunc"
    assert info["host"]["ociRuntime"]["path"] == str(program)
    assert "spec:" in info["host"]["ociRuntime"]["version"]


def test_docker_takes_the_configuration(program: Path) -> None:
    settings = json.loads(snippet("Docker", "json", program))
    assert settings["runtimes"][settings["default-runtime"]]["path"] == str(program)
