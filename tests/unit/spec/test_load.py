# SPDX-License-Identifier: Apache-2.0
"""Reading the file of a bundle."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from pyrunc import spec
from pyrunc.errors import ConfigErrors, Failure
from pyrunc.spec.limits import MAX_BYTES
from tests.unit.spec.engine import encode, engine_config


def failure_of(bundle: Path) -> str:
    with pytest.raises(Failure) as caught:
        spec.load(str(bundle))
    return str(caught.value)


def test_a_bundle_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(encode(engine_config()))
    assert spec.load(str(tmp_path)).hostname == "1234567890ab"


def test_another_name_is_read_and_named_in_errors(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_bytes(b"{")
    with pytest.raises(ConfigErrors, match=r"^other\.json: /: line 1, column 2"):
        spec.load(str(tmp_path), "other.json")


def test_a_missing_file_is_reported_with_the_phrase_that_clients_know(tmp_path: Path) -> None:
    assert failure_of(tmp_path) == "JSON specification file config.json not found"


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(encode(engine_config()))
    (tmp_path / "config.json").symlink_to("real")
    assert spec.load(str(tmp_path)).hostname == "1234567890ab"


def test_a_link_to_itself_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").symlink_to("config.json")
    assert "config.json: too many levels of symbolic links" in failure_of(tmp_path)


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    text = encode(engine_config())

    def write() -> None:
        with open(tmp_path / "config.json", "wb") as file:
            file.write(text[:100])
            file.flush()
            time.sleep(0.05)
            file.write(text[100:])

    writer = threading.Thread(target=write)
    writer.start()
    assert spec.load(str(tmp_path)).hostname == "1234567890ab"
    writer.join()


@pytest.mark.parametrize("opened", [False, True])
def test_a_pipe_without_an_end_is_waited_for_in_bounds(tmp_path: Path, opened: bool) -> None:
    """RS-1"""
    path = tmp_path / "config.json"
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR) if opened else -1
    try:
        if opened:
            os.write(writer, b"{")
        with pytest.raises(Failure, match="is a pipe that nobody has written to its end"):
            spec.read_bounded(str(path), patience_s=0.05)
    finally:
        if opened:
            os.close(writer)


def test_an_endless_pipe_is_not_read_to_its_end() -> None:
    assert len(spec.read_bounded("/dev/zero", limit=100)) == 101


def test_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    assert "is not a regular file" in failure_of(tmp_path)


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    """IN-1"""
    with open(tmp_path / "config.json", "wb") as file:
        file.truncate(1 << 40)
    data = spec.read_bounded(str(tmp_path / "config.json"))
    assert len(data) == MAX_BYTES + 1
    assert "bytes are too many" in failure_of(tmp_path)


def test_a_file_whose_size_is_reported_as_zero_is_read() -> None:
    assert b"Linux" in spec.read_bounded("/proc/version")
