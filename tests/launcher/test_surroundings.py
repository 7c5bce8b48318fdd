# SPDX-License-Identifier: Apache-2.0
"""Whatever the caller's environment, descriptors, limits and arguments are, the program starts."""

from __future__ import annotations

import os
import pwd
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.runtime import Result

NOBODY = "nobody"
MEGABYTE = 1 << 20
Start = Callable[..., Result]


def test_the_version_names_the_front_end_and_what_is_inside(
    start: Start, request: pytest.FixtureRequest
) -> None:
    front = request.config.getoption("--front")
    kind = {"launcher": "undumped", "boot": "boot", "stock": "interpreter"}[front]
    lines = start("--version").ok().lines
    assert f"launcher: {kind}" in lines
    assert any(line.startswith("python: 3.") for line in lines)
    assert any(line.startswith("libseccomp: ") for line in lines)


def test_an_environment_of_python_variables_changes_nothing(start: Start, tmp_path: Path) -> None:
    """PY-2: PYTHON* is ignored."""
    trap = tmp_path / "trap"
    trap.mkdir()
    for name in ("posix", "os", "json", "errno", "stat", "time", "struct", "sitecustomize"):
        (trap / f"{name}.py").write_text("raise SystemExit('trapped')")
    env = {
        "PYTHONPATH": str(trap),
        "PYTHONHOME": "/no/such/home",
        "PYTHONSTARTUP": str(trap / "os.py"),
        "PYTHONHASHSEED": "no number",
        "PYTHONUTF8": "0",
        "PYTHONMALLOC": "debug",
        "PYTHONINSPECT": "1",
        "PYTHONPROFILEIMPORTTIME": "1",
        "PYTHONDONTWRITEBYTECODE": "",
        "LD_PRELOAD": "",
        "PATH": "/no/such",
    }
    plain = start("--version").ok()
    other = start("--version", env=env).ok()
    assert (other.stdout, other.stderr) == (plain.stdout, "")


@pytest.mark.parametrize("name", ["C", "POSIX", "tr_TR.ISO-8859-9", "ja_JP.SJIS", "nonsense"])
def test_the_locale_does_not_matter(start: Start, name: str) -> None:
    env = {"LC_ALL": name, "LANG": name, "LANGUAGE": name, "LC_CTYPE": name}
    result = start("state", "näme", env=env)
    assert "näme" in result.error
    assert result.error == start("state", "näme").error


def test_the_environment_is_that_of_this_start_and_not_of_the_build(
    start: Start, program: Path, tmp_path: Path
) -> None:
    """The state directory comes from XDG_RUNTIME_DIR; a dumped environment would hide it."""
    nobody = pwd.getpwnam(NOBODY)
    if os.geteuid() != 0:
        pytest.skip("needs root (to become an unprivileged user)")
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o711)
    tmp_path.chmod(0o700)
    os.chown(tmp_path, nobody.pw_uid, nobody.pw_gid)
    done = subprocess.run(
        [program, "list", "--quiet"],
        check=False,
        env={"XDG_RUNTIME_DIR": str(tmp_path)},
        cwd="/",
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=(),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "closed", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)], ids=lambda fds: "".join(map(str, fds))
)
def test_closed_standard_descriptors_are_not_taken_by_other_files(
    program: Path, tmp_path: Path, closed: tuple[int, ...]
) -> None:
    """FD-1: with 1 or 2 closed, output of the program must not land in a file that it opened."""
    log = tmp_path / "log"
    argv = [str(program), "--root", str(tmp_path / "state"), "--log", str(log), "state", "absent"]
    pid = os.fork()
    if pid == 0:
        try:
            for fd in closed:
                os.close(fd)
            os.execve(program, argv, {})
        finally:
            os._exit(99)  # the child must never go on with the tests
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    lines = log.read_text().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("time=")


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        (resource.RLIMIT_STACK, resource.RLIM_INFINITY),
        (resource.RLIMIT_STACK, MEGABYTE),
        (resource.RLIMIT_AS, 128 * MEGABYTE),
        (resource.RLIMIT_DATA, 64 * MEGABYTE),
        (resource.RLIMIT_NOFILE, 16),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_CPU, 2),
    ],
)
def test_limits_of_the_caller_do_not_stop_it(start: Start, limit: int, value: int) -> None:
    hard = resource.RLIM_INFINITY if value == resource.RLIM_INFINITY else value

    def lower() -> None:
        resource.setrlimit(limit, (value, hard))

    result = start("state", "absent", preexec_fn=lower)
    assert "container does not exist" in result.error
    assert result.status == 1


def test_no_memory_is_an_error_and_not_a_crash(start: Start, tmp_path: Path) -> None:
    """The address space ends while a large configuration is read."""
    (tmp_path / "config.json").write_text('{"a": [' + ",".join(["1000000"] * 500_000) + "]}")

    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (48 * MEGABYTE, 48 * MEGABYTE))

    result = start("check", str(tmp_path), preexec_fn=lower)
    assert result.status > 0
    assert "Traceback" not in result.stderr


def test_a_configuration_of_16_megabytes_is_refused_in_one_line(
    start: Start, tmp_path: Path
) -> None:
    """IN-1: the size is bounded before anything is read into memory."""
    (tmp_path / "config.json").write_bytes(b'{"ociVersion": "1.0.2", "x": "' + b"x" * (16 << 20))
    result = start("create", "--bundle", str(tmp_path), "large")
    assert result.status == 1
    assert len(result.stderr.splitlines()) <= 3
    assert "config.json" in result.error
    assert "Traceback" not in result.stderr


def test_a_heap_that_outgrows_the_program_goes_on_elsewhere(start: Start, tmp_path: Path) -> None:
    """7 MB of text make more objects than the 16 MB behind the dumped heap hold."""
    entries = ",".join(f'"name{i}": "value{i}"' for i in range(60_000))
    config = f'{{"ociVersion": "1.0.2", "root": {{"path": "x"}}, "annotations": {{{entries}}}}}'
    (tmp_path / "config.json").write_text(config)
    result = start("check", str(tmp_path))
    assert "Traceback" not in result.stderr
    assert result.status in (0, 1)


def test_thousands_of_arguments_and_long_ones_are_no_problem(start: Start) -> None:
    result = start("state", *["x" * 100] * 10_000)
    assert result.status == 1
    assert "Traceback" not in result.stderr
    result = start("state", "x" * 120_000)
    assert result.status == 1
    assert len(result.error) < 10_000


def test_arguments_that_are_no_text_are_passed_through(start: Start) -> None:
    result = start("state", b"\xff\xfe\xc3")
    assert result.status == 1
    assert "Traceback" not in result.stderr


def test_a_reader_that_has_gone_is_no_signal_and_no_traceback(program: Path) -> None:
    """Python ignores SIGPIPE; a dumped interpreter has to do so again at every start."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [program, "--help"], check=False, env={}, stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_no_traceback(program: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [program, "--help"], check=False, env={}, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert "no space left" in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_an_unprivileged_user_without_a_writable_directory_is_served(program: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root (to become an unprivileged user)")
    nobody = pwd.getpwnam(NOBODY)
    done = subprocess.run(
        [program, "--version"],
        check=False,
        env={},
        cwd="/",
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.root
def test_a_machine_without_any_writable_directory_is_served(program: Path) -> None:
    """Every mount read-only: nothing is unpacked, cached or locked."""
    script = (
        "mount --make-rprivate / && "
        "for target in $(awk '{print $2}' /proc/self/mounts); do "
        'mount -o remount,bind,ro "$target" 2>/dev/null; done; '
        '! touch /tmp/probe 2>/dev/null || exit 99; exec "$@"'
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", program, "state", "absent"],
        check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "container does not exist" in done.stderr
