# SPDX-License-Identifier: Apache-2.0
"""Log records are single, bounded, escaped lines that clients can parse."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from pyrunc.cli import main
from pyrunc.errors import Failure
from pyrunc.log import log, printable, quote_json


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    log.reset()
    yield
    if log.fd >= 0:
        os.close(log.fd)
    log.reset()


def configure(
    path: Path | str, *, json: bool = False, level: str = "", debug: bool = False
) -> None:
    log.configure(path=str(path), json=json, level=level, debugging=debug)


def test_a_json_record_has_exactly_level_msg_and_time(tmp_path: Path) -> None:
    """LG-1"""
    configure(tmp_path / "log", json=True)
    log.error('cannot "do" it\n\x1b[31m')
    record = json.loads((tmp_path / "log").read_text())
    assert list(record) == ["level", "msg", "time"]
    assert record["level"] == "error"
    assert record["msg"] == 'cannot "do" it\n\x1b[31m'
    datetime.fromisoformat(record["time"])


def test_a_text_record_is_one_line_whatever_is_in_it(tmp_path: Path) -> None:
    """LG-1"""
    configure(tmp_path / "log")
    log.warning('a "b"\nlevel=error \x1b[2J\u202e\x9b')
    text = (tmp_path / "log").read_text()
    assert text.count("\n") == 1
    assert re.fullmatch(r'time="[^"]+" level=warning msg="a \\"b\\"[^\n]*"\n', text)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\x9b" not in text


def test_an_error_goes_to_the_file_and_once_to_standard_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    configure(tmp_path / "log", json=True)
    log.error("first line", more="  hint    do that\n")
    assert capfd.readouterr().err == "first line\n  hint    do that\n"
    assert json.loads((tmp_path / "log").read_text())["msg"] == "first line"


def test_an_error_is_not_doubled_when_the_log_is_standard_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    configure("/proc/self/fd/2")
    log.error("only once")
    assert capfd.readouterr().err.count("only once") == 1


def test_json_without_a_file_goes_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    configure("", json=True)
    log.error("it failed")
    assert json.loads(capfd.readouterr().err)["msg"] == "it failed"


def test_records_are_appended_and_each_is_one_write(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("old\n")
    configure(path)
    log.warning("new")
    assert path.read_text().startswith("old\ntime=")
    assert os.get_inheritable(log.fd) is False


def test_a_message_is_cut_with_a_mark(tmp_path: Path) -> None:
    """LG-1"""
    configure(tmp_path / "log", json=True)
    log.error("x" * 100_000)
    message = json.loads((tmp_path / "log").read_text())["msg"]
    assert len(message) <= 4096
    assert message.endswith(" [cut]")


def test_standard_error_gets_less_than_conmon_reads(capfd: pytest.CaptureFixture[str]) -> None:
    log.error("é" * 3000, more="y" * 20_000 + "\n")
    assert len(capfd.readouterr().err.encode()) < 8191


@pytest.mark.parametrize("path", ["/dev/full"])
def test_a_full_disk_changes_nothing(path: str, capfd: pytest.CaptureFixture[str]) -> None:
    """LG-2"""
    configure(path)
    log.error("it failed")
    assert "it failed" in capfd.readouterr().err


def test_a_pipe_nobody_reads_is_refused_at_once(tmp_path: Path) -> None:
    """LG-2"""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Failure, match="cannot open the log file"):
        configure(tmp_path / "pipe")


def test_a_missing_directory_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"cannot open the log file .*/no/log: no such file"):
        configure(tmp_path / "no" / "log")


@pytest.mark.parametrize(
    ("level", "debug", "seen"),
    [
        ("", False, ["info", "warning"]),
        ("", True, ["debug", "info", "warning"]),
        ("error", False, []),
        ("warning", True, ["warning"]),
    ],
)
def test_levels(tmp_path: Path, level: str, debug: bool, seen: list[str]) -> None:
    configure(tmp_path / "log", level=level, debug=debug)
    log.debug("m")
    log.info("m")
    log.warning("m")
    assert re.findall(r"level=(\w+)", (tmp_path / "log").read_text()) == seen


@pytest.mark.parametrize("text", ["", "plain", 'q"\\', "\x00\x1f\x7f", "é😀\u2028", "\ud800"])
def test_json_strings_can_be_read_back(text: str) -> None:
    assert json.loads(quote_json(text)) == text


def test_printable_keeps_what_people_write() -> None:
    assert printable("grüße 世界 — ok") == "grüße 世界 — ok"


def test_an_unforeseen_exception_is_one_line_without_traceback(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyrunc.commands.list.run", lambda args: 1 // 0)
    argv = ["--log", str(tmp_path / "log"), "--log-format", "json", "list"]
    assert main.main(argv) == 1
    err = capfd.readouterr().err
    assert err.startswith("pyrunc: list: internal error: ZeroDivisionError")
    assert "Traceback" not in err
    assert json.loads((tmp_path / "log").read_text())["level"] == "error"


def test_debug_shows_the_traceback(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyrunc.commands.list.run", lambda args: 1 // 0)
    assert main.main(["--debug", "list"]) == 1
    assert "Traceback" in capfd.readouterr().err


def test_errors_say_whose_they_are(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir(mode=0o700)
    assert main.main(["--root", str(root), "state", "web"]) == 1
    captured = capfd.readouterr()
    assert captured.err.startswith("pyrunc: state web: container does not exist")
    assert captured.out == ""


def test_an_exec_that_cannot_be_done_exits_255(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir(mode=0o700)
    assert main.main(["--root", str(root), "exec", "web", "true"]) == 255


def test_the_wrong_number_of_arguments_shows_the_usage(capfd: pytest.CaptureFixture[str]) -> None:
    assert main.main(["create"]) == 1
    err = capfd.readouterr().err
    assert err.startswith("Incorrect Usage.\n")
    assert err.rstrip().endswith('pyrunc: "create" requires exactly 1 argument(s)')


def test_help_and_version_succeed(capfd: pytest.CaptureFixture[str]) -> None:
    assert main.main(["checkpoint", "--help"]) == 0
    assert main.main(["--version"]) == 0
    assert main.main([]) == 0
    captured = capfd.readouterr()
    assert captured.err == ""
    assert re.search(r"^pyrunc version \S+\ncommit: .*\nspec: 1\.\d\.\d$", captured.out, re.M)
