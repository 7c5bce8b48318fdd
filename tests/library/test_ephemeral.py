# SPDX-License-Identifier: Apache-2.0
"""Roots that can be written to while the image stays: how much, where, and what of it is seen."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from errno import EOPNOTSUPP
from pathlib import Path

import pytest

import pyrunc

pytestmark = pytest.mark.root
Script = Callable[[str], pyrunc.Spec]
FILL = "dd if=/dev/zero of=/big bs=64k count=64 2>&1 | tail -1; stat -c %s /big"
AGAIN = "rm -r /home && mkdir /home && echo x >/home/file && cat /home/file"


def ways(spec: pyrunc.Spec) -> list[pyrunc.Spec]:
    return [spec, spec.without_user_namespace()]


def test_what_is_written_is_bounded_by_its_size(library: pyrunc.Runtime, script: Script) -> None:
    for spec in ways(script(FILL)):
        assert library.check(spec.ephemeral(size="1m")).ok
        done = library.run(spec.ephemeral(size="1m"))
        assert int(done.stdout.split()[-1]) <= 1 << 20
        assert library.run(spec.ephemeral()).stdout.split()[-1] == b"4194304"


def test_so_is_the_number_of_files(library: pyrunc.Runtime, script: Script) -> None:
    done = library.run(script("touch $(seq 3000); ls / | wc -l").ephemeral(size="1m"))
    assert 0 < int(done.text) < 1100  # with those of the image
    assert b"No space left" in done.stderr


def test_nothing_of_it_reaches_the_state_root_or_the_image(
    library: pyrunc.Runtime, script: Script, base: Path
) -> None:
    before = sorted(os.listdir(base))
    with library.create(script("echo x >/new; sleep 600").ephemeral()) as container:
        container.start()
        assert container.exec(["cat", "/new"]).text in ("", "x\n")
        layers = Path(library.bundle_path(container.id)) / "upper"
        assert os.listdir(layers) == []
        assert not os.path.ismount(layers)
    assert sorted(os.listdir(base)) == before


def has_user_attributes(directory: Path) -> bool:
    """Whether the file system has user.* attributes: a tmpfs does since Linux 6.6."""
    with tempfile.TemporaryFile(dir=directory) as file:
        try:
            os.setxattr(file.fileno(), "user.pyrunc", b"x")
        except OSError as error:
            if error.errno != EOPNOTSUPP:
                raise
            return False
    return True


@pytest.mark.parametrize("user_namespace", [True, False])
@pytest.mark.parametrize("size", ["8m", None])
def test_a_directory_of_the_image_can_be_replaced(
    library: pyrunc.Runtime, script: Script, root: Path, size: str | None, user_namespace: bool
) -> None:
    """In a user namespace overlayfs keeps such a thing in an attribute of its own kind, or EIO."""
    if user_namespace and not has_user_attributes(Path("/dev/shm") if size else root):
        pytest.skip("the file system has no user.* attributes (tmpfs: since Linux 6.6)")
    spec = script(AGAIN) if user_namespace else script(AGAIN).without_user_namespace()
    assert library.run(spec.ephemeral(size=size)).text == "x\n"


def test_without_a_size_it_lies_below_the_state_root(
    library: pyrunc.Runtime, script: Script
) -> None:
    spec = script("echo data >/new; echo done; sleep 600").ephemeral(size=None)
    with library.create(spec, stdout=pyrunc.PIPE) as container:
        container.start()
        assert container.stdout.readline() == b"done\n"
        place = Path(library.bundle_path(container.id))
        assert (place / "upper/new").read_text() == "data\n"
        assert container.spec == spec


def test_a_place_of_the_configuration_is_that_of_the_caller(
    library: pyrunc.Runtime, script: Script
) -> None:
    """The overlay is a mount in front of the caller's."""
    spec = script("true").ephemeral().bind("/no-such-source", "/mnt")
    last = f"/mounts/{len(spec['mounts']) - 1}"
    with pytest.raises(pyrunc.Failure, match="no-such-source") as error:
        library.run(spec)
    assert error.value.pointer.startswith(last)
    assert "no-such-source" in error.value.value
    (problem,) = library.check(spec).errors
    assert problem.pointer.startswith(last)
    fine = library.explain(script("true").ephemeral())
    assert {op.pointer for op in fine.operations if "overlay" in op.text} == {"/root/path"}


@pytest.mark.parametrize("path", [5, None, "", [], "a\0b"])
def test_it_needs_an_image(library: pyrunc.Runtime, script: Script, path: object) -> None:
    with pytest.raises(pyrunc.Failure) as error:
        library.create(script("true").ephemeral().set("/root/path", path))
    assert error.value.pointer == "/root/path"
