# SPDX-License-Identifier: Apache-2.0
"""Log records are single, bounded, escaped lines that clients can parse."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from pyrunc.cli import log_sockets, main
from pyrunc.errors import Failure
from pyrunc.log import MAX_FILE, log, printable, quote_json


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


def test_a_json_record_carries_fields_behind_the_three_that_clients_read(tmp_path: Path) -> None:
    """LG-1"""
    common = {"command": "create", "id": "web1"}
    log.configure(path=str(tmp_path / "log"), json=True, level="", debugging=False, common=common)
    log.error("cannot", pointer="/root/path", errno="ENOENT", op="", hint="a\nb" * 1000)
    text = (tmp_path / "log").read_text()
    record = json.loads(text)
    assert text.count("\n") == 1
    assert list(record) == ["level", "msg", "time", "command", "id", "pointer", "errno", "hint"]
    assert record["errno"] == "ENOENT"
    assert len(record["hint"]) <= 1024


def test_a_repeated_message_is_written_once(tmp_path: Path) -> None:
    configure(tmp_path / "log")
    for text in ("again", "again", "other", "again"):
        log.warning(text)
    assert (tmp_path / "log").read_text().count("again") == 2


def test_a_file_that_has_grown_too_much_gets_a_last_record_and_errors_only(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log"
    path.touch()
    os.truncate(path, MAX_FILE - 100)
    for number in range(3):  # commands
        configure(path, json=True)
        log.warning(f"one {number}" + "x" * 200)
        log.warning(f"two {number}")
        log.error(f"it failed {number}")
        os.close(log.fd)
    log.reset()
    records = [json.loads(line) for line in path.read_bytes()[MAX_FILE - 100 :].splitlines()]
    assert [one["level"] for one in records] == ["warning", "error", "error", "error"]
    assert "errors only" in records[0]["msg"]
    os.truncate(path, 2 * MAX_FILE + 1)
    configure(path, json=True)
    log.error("it failed")
    assert path.stat().st_size == 2 * MAX_FILE + 1
    assert "it failed" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("journald", ["MESSAGE=cannot \\x0aFORGED=1", "PRIORITY=3", "PYRUNC_POINTER=/a"]),
        ("syslog", ["<11>web1[", ": cannot \\x0aFORGED=1"]),
    ],
)
def test_records_go_to_the_journal_or_syslog_as_one_datagram(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    kind: str,
    wanted: list[str],
) -> None:
    path = str(tmp_path / "socket")
    monkeypatch.setitem(log_sockets.SOCKETS, kind, path)
    assert log_sockets.split(f"{kind}:web1") == (kind, "web1")
    with pytest.raises(Failure, match=f"cannot log to {kind}"):
        log_sockets.open_sink(kind, "web1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind(path)
        sink = log_sockets.open_sink(kind, "web1")
        log.configure(path="", json=False, level="", debugging=False, sink=sink)
        log.error("cannot \nFORGED=1", pointer="/a")
        text = reader.recv(65536).decode()
    for part in wanted:
        assert part in text
    assert "cannot" in capfd.readouterr().err


def test_other_paths_with_a_colon_are_files() -> None:
    assert log_sockets.split("/var/log/a:b") == ("file", "/var/log/a:b")
    assert log_sockets.split("file:/var/log/x") == ("file", "/var/log/x")


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
    log.write("info", "m")
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


def test_the_wrong_number_of_arguments_names_the_help(capfd: pytest.CaptureFixture[str]) -> None:
    assert main.main(["create"]) == 1
    first, second = capfd.readouterr().err.splitlines()
    assert first == 'pyrunc: "create" requires exactly 1 argument(s)'
    assert second == "  hint    `pyrunc create --help` shows the flags"


# A wrong command line after the options of the log, and what its record says.
WRONG = [
    ("create --nosuch c1", "pyrunc: create: flag provided but not defined: --nosuch"),
    ("create", 'pyrunc: "create" requires exactly 1 argument(s)'),
    ("create a b", 'pyrunc: "create" requires exactly 1 argument(s)'),
    ("create --bundle", "pyrunc: create: flag needs an argument: --bundle"),
    ("create --no-pivot=x c1", 'pyrunc: create: invalid boolean value "x" for --no-pivot'),
    ("create --preserve-fds x c1", 'pyrunc: create: invalid value "x" for --preserve-fds'),
    ("nosuch", 'pyrunc: unknown command "nosuch"'),
    ("help nosuch", 'unknown command "nosuch"'),
    ("--nosuch create c1", "pyrunc: flag provided but not defined: --nosuch"),
    ("--rootless=x create c1", 'pyrunc: invalid value "x" for --rootless'),
    ("exec", 'pyrunc: "exec" requires a minimum of 1 argument(s)'),
    ("mounts turn c1 file", '"mounts" does not know'),
]


@pytest.mark.parametrize(("line", "message"), WRONG, ids=[line for line, _ in WRONG])
@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("where", ["before", "after"])
def test_a_wrong_command_line_is_one_record_of_the_log(
    tmp_path: Path, line: str, message: str, form: str, where: str
) -> None:
    """An engine that finds no record shows the error before, or none."""
    path = tmp_path / "log"
    words = line.split()
    options = ["--log", str(path), f"--log-format={form}"]
    # Global options that come after a wrong one count, too.
    at = 1 if where == "after" and words[0].startswith("--") else 0
    assert main.main([*words[:at], *options, *words[at:]]) != 0
    (record,) = path.read_text().splitlines()
    if form == "json":
        found = json.loads(record)
        assert found["level"] == "error"
        assert message in found["msg"]
    else:
        assert " level=error msg=" in record
        assert message in record.replace('\\"', '"')


def test_a_wrong_command_line_with_a_log_that_cannot_be_opened_tells_both(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["--log", str(tmp_path / "absent" / "log"), "create"]) == 1
    err = capfd.readouterr().err
    assert err.startswith('pyrunc: "create" requires exactly 1 argument(s)\n')
    assert "cannot open the log file" in err


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("exec -it c1 sh", "-t gives a terminal"),
        ("exec -i c1 sh", "standard input is always passed on"),
        ("run --rm c1", "--keep"),
        ("run -it c1", "process.terminal"),
        ("update --cpus 2 c1", "--cpu-quota"),
        ("create --bundel x c1", "did you mean --bundle?"),
        ("restore --lsm-mount-context", "`pyrunc restore --help`"),
        ("--rooot x list", "did you mean --root?"),
        ("--zzz list", "`pyrunc --help` shows the flags"),
        ("creat c1", "did you mean create?"),
    ],
)
def test_a_usage_error_is_two_lines_with_what_to_do(
    capfd: pytest.CaptureFixture[str], line: str, hint: str
) -> None:
    assert main.main(line.split()) == 1
    first, second = capfd.readouterr().err.splitlines()
    assert first.startswith("pyrunc: ")
    assert second.startswith("  hint    ")
    assert hint in second


def test_help_and_version_succeed(capfd: pytest.CaptureFixture[str]) -> None:
    assert main.main(["checkpoint", "--help"]) == 0
    assert main.main(["--version"]) == 0
    assert main.main([]) == 0
    captured = capfd.readouterr()
    assert captured.err == ""
    assert re.search(r"^pyrunc version \S+\ncommit: .*\nspec: 1\.\d\.\d$", captured.out, re.M)
