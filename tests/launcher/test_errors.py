# SPDX-License-Identifier: Apache-2.0
"""Whatever goes wrong in a command, the user sees a message and not Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pyrunc.cli.flag_table import VERBS
from tests.support.runtime import Result

# Words after the verb that get past the parser.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "exec": ("absent", "true"),
    "kill": ("absent",),
    "list": (),
    "features": (),
    "spec": ("--bundle", "/dev/null/x"),
    "explain": ("/dev/null/x",),
    "check": ("/dev/null/x",),
    "doctor": (),
    "info": (),
    "completion": ("zsh",),
    "mounts": ("add", "absent", "/dev/null/x"),
}


@pytest.mark.parametrize("verb", sorted(VERBS))
@pytest.mark.parametrize("root", ["/dev/null/below", "/proc/self/status", "/proc/self/ns"])
def test_a_state_directory_that_cannot_be_one_is_no_traceback(
    program: Path, start: Callable[..., Result], verb: str, root: str, tmp_path: Path
) -> None:
    result = start("--root", root, verb, *ARGUMENTS.get(verb, ("absent",)), cwd=tmp_path)
    assert "Traceback" not in result.stderr
    assert "internal error" not in result.stderr
    if result.status and verb != "check":  # check tells about the bundle on its standard output
        assert result.error.startswith("pyrunc: ")


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_a_container_whose_state_is_garbage_is_no_traceback(
    start: Callable[..., Result], verb: str, tmp_path: Path
) -> None:
    """ST-5: state.json is parsed as untrusted."""
    container = tmp_path / "state" / "absent"
    container.mkdir(parents=True)
    container.parent.chmod(0o700)
    (container / "state.json").write_bytes(b'{"id": [[[\xff\x00')
    result = start(verb, *ARGUMENTS.get(verb, ("absent",)), cwd=tmp_path)
    assert "Traceback" not in result.stderr
    assert "internal error" not in result.stderr
