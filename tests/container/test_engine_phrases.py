# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501  (a table reads best with one row a line)
"""What engines make of our errors: text in, class and exit status out.

An engine looks for phrases in an order of its own; the first that it finds decides, whatever else the
text says. A second class in a path, a detail or a hint would change the exit status that users see.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import mistakes
from tests.support.bundle import Config
from tests.support.runtime import Result, Runtime
from tests.support.types import Create

Outcome = tuple[str, int]

MOUNT_ADVICE = "with the advice about files and directories"


# -- engines, as their sources decide ----------------------------------------------------------------


def dockerd_29(text: str) -> Outcome:
    """Docker 28 and 29: the first of these, in the whole error in lower case."""
    text = text.lower()
    if "permission denied" in text or "is a directory" in text:
        return "InvalidParameter", 126
    if "not a directory" in text:
        return f"InvalidParameter {MOUNT_ADVICE}", 127
    if any(phrase in text for phrase in ("executable file not found", "no such file or directory")):
        return "InvalidParameter", 127
    return "Unknown", 128


def dockerd_20(text: str) -> Outcome:
    """Docker 20.10: each of these may change what the ones before have said."""
    text = text.lower()
    found = ("Unknown", 128)
    if any(phrase in text for phrase in ("executable file not found", "no such file or directory")):
        found = ("InvalidParameter", 127)
    if "permission denied" in text:
        found = ("InvalidParameter", 126)
    if "not a directory" in text:
        found = (f"InvalidParameter {MOUNT_ADVICE}", 127)
    return found


def docker_run_29(text: str) -> Outcome:
    """`docker run` of Docker 28 and 29: the daemon's text, with the case as it is."""
    if "executable file not found" in text or "no such file or directory" in text:
        return "not found", 127
    if "permission denied" in text or "is a directory" in text:
        return "not executable", 126
    return "failed", 125


def docker_run_20(text: str) -> Outcome:
    if "executable file not found" in text or "no such file or directory" in text:
        return "not found", 127
    return ("not executable", 126) if "permission denied" in text else ("failed", 125)


PODMAN = (
    ("PermissionDenied", r"(?i)permission denied|operation not permitted"),
    ("NotFound", r"(?i)executable file not found in|no such file or directory|open executable"),
    ("SecurityAttribute", r"`/proc/[a-z0-9-].+/attr.*`"),
)
PODMAN_SUFFIX = {
    "PermissionDenied": "OCI permission denied",
    "NotFound": "OCI runtime attempted to invoke a command that was not found",
}


def podman_class(text: str) -> str:
    return next((name for name, phrase in PODMAN if re.search(phrase, text)), "OCIRuntime")


def podman_run(text: str) -> Outcome:
    """Podman 4 and 5: `run` and `start` look at the final text in lower case once more."""
    name = podman_class(text)
    final = f"{text}: {PODMAN_SUFFIX.get(name, 'OCI runtime error')}".lower()
    words = ("not found", "executable path is empty", "no such file")
    return name, 127 if any(word in final for word in words) else 126


def podman_exec(text: str) -> Outcome:
    name = podman_class(text)
    return name, {"PermissionDenied": 126, "NotFound": 127}.get(name, 125)


CREATING = {
    "dockerd 28, 29": dockerd_29,
    "dockerd 20.10": dockerd_20,
    "docker run 28, 29": docker_run_29,
    "docker run 20.10": docker_run_20,
    "podman run": podman_run,
}

# What every engine has to make of a mistake of a kind.
ABSENT = {
    "dockerd 28, 29": ("InvalidParameter", 127),
    "dockerd 20.10": ("InvalidParameter", 127),
    "docker run 28, 29": ("not found", 127),
    "docker run 20.10": ("not found", 127),
    "podman run": ("NotFound", 127),
}
REFUSED = {
    "dockerd 28, 29": ("InvalidParameter", 126),
    "dockerd 20.10": ("InvalidParameter", 126),
    "docker run 28, 29": ("not executable", 126),
    "docker run 20.10": ("not executable", 126),
    "podman run": ("PermissionDenied", 126),
}
WRONG_TYPE = {
    "dockerd 28, 29": (f"InvalidParameter {MOUNT_ADVICE}", 127),
    "dockerd 20.10": (f"InvalidParameter {MOUNT_ADVICE}", 127),
    "docker run 28, 29": ("failed", 125),
    "docker run 20.10": ("failed", 125),
    "podman run": ("OCIRuntime", 126),
}
FAILED = {
    "dockerd 28, 29": ("Unknown", 128),
    "dockerd 20.10": ("Unknown", 128),
    "docker run 28, 29": ("failed", 125),
    "docker run 20.10": ("failed", 125),
    "podman run": ("OCIRuntime", 126),
}
# EPERM is a class for Podman alone.
NOT_PERMITTED = {**FAILED, "podman run": ("PermissionDenied", 126)}


def file_over_directory_readonly(config: Config) -> None:
    config.bind(config.file("/etc/some"), "/mnt", "bind", "ro")


def device_over_directory(config: Config) -> None:
    config.bind("/dev/null", "/mnt")


def directory_over_device(config: Config) -> None:
    config.bind(config.bundle, "/dev/null")


def tmpfs_over_file(config: Config) -> None:
    config.mount("/etc/passwd", "tmpfs", "tmpfs")


def bind_below_file(config: Config) -> None:
    config.bind(config.bundle, "/etc/passwd/below")


def source_below_file(config: Config) -> None:
    (config.bundle / "plain").write_text("")
    config.bind(config.bundle / "plain" / "below", "/mnt")


def absent_sysctl(config: Config) -> None:
    config.linux["sysctl"] = {"net.ipv4.nosuch": "1"}


def absent_cwd_on_readonly(config: Config) -> None:
    config["root"]["readonly"] = True
    config.process["cwd"] = "/sys/nosuch"


CASES = [
    ("not in PATH", mistakes.args("absent"), ABSENT),
    ("missing program", mistakes.args("/absent"), ABSENT),
    ("missing program in a missing directory", mistakes.args("/no/such/thing"), ABSENT),
    ("a directory", mistakes.args("/etc"), REFUSED),
    ("not executable", mistakes.not_executable, REFUSED),
    ("noexec mount", mistakes.on_a_noexec_mount, REFUSED),
    ("closed directory", mistakes.in_a_closed_directory, REFUSED),
    ("missing mount source", mistakes.missing_source, ABSENT),
    ("no root file system", mistakes.no_rootfs, ABSENT),
    ("missing namespace", mistakes.missing_namespace, ABSENT),
    ("file over directory", mistakes.file_over_directory, WRONG_TYPE),
    ("read-only file over directory", file_over_directory_readonly, WRONG_TYPE),
    ("device over directory", device_over_directory, WRONG_TYPE),
    ("directory over file", mistakes.directory_over_file, WRONG_TYPE),
    ("directory over device", directory_over_device, FAILED),
    ("tmpfs over file", tmpfs_over_file, WRONG_TYPE),
    ("mount below a file", bind_below_file, WRONG_TYPE),
    ("source below a file", source_below_file, WRONG_TYPE),
    ("program below a file", mistakes.args("/etc/passwd/below"), WRONG_TYPE),
    ("a file as root", mistakes.rootfs_is_a_file, WRONG_TYPE),
    ("a file as cwd", mistakes.cwd_is_a_file, WRONG_TYPE),
    ("unknown file system", mistakes.unknown_type, FAILED),
    ("bad mount option", mistakes.bad_tmpfs_option, FAILED),
    ("unmapped user", mistakes.unmapped_user, FAILED),
    ("bad sysctl value", mistakes.bad_sysctl, FAILED),
    ("sysctl of the host", mistakes.host_sysctl, FAILED),
    ("absent sysctl", absent_sysctl, ABSENT),
    ("wrong namespace", mistakes.wrong_namespace, FAILED),
    ("no namespace file", mistakes.no_namespace_file, FAILED),
    ("rlimit too high", mistakes.high_rlimit, NOT_PERMITTED),
]  # fmt: skip


def failing(runtime: Runtime, config: Config) -> tuple[str, str]:
    """The message of the JSON log and the whole standard error of a create that fails."""
    config.write()
    log = config.bundle / "log.json"
    options = ("--log", log, "--log-format", "json")
    result = runtime(*options, "create", "--bundle", config.bundle, runtime.new_id())
    assert result.status == 1
    (line,) = log.read_text().splitlines()
    record = json.loads(line)
    assert record["level"] == "error"
    return record["msg"], result.stderr


@pytest.mark.parametrize(
    ("change", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_every_engine_makes_the_same_of_a_mistake(
    runtime: Runtime, config: Config, change: Callable[[Config], None], expected: dict[str, Outcome]
) -> None:
    change(config)
    message, stderr = failing(runtime, config)
    assert {name: engine(message) for name, engine in CREATING.items()} == expected
    # Podman without the JSON log, and CRI-O, get the whole of the standard error.
    assert podman_run(stderr) == expected["podman run"]


EXEC_CASES = [
    ("absent", ["absent"], ("NotFound", 127)),
    ("missing", ["/absent"], ("NotFound", 127)),
    ("a directory", ["/etc"], ("PermissionDenied", 126)),
    ("not executable", ["/etc/passwd"], ("PermissionDenied", 126)),
]


@pytest.mark.parametrize(
    ("argv", "expected"), [case[1:] for case in EXEC_CASES], ids=[case[0] for case in EXEC_CASES]
)
def test_engines_tell_why_an_exec_failed(
    create: Create, config: Config, argv: list[str], expected: Outcome
) -> None:
    container = create(config, "sleep", "600").start()
    result: Result = container.command("exec", *argv)
    assert result.status == 255
    assert podman_exec(result.stderr) == expected
    assert dockerd_29(result.error)[1] == expected[1]


def test_the_end_of_a_container_is_recognised(create: Create, config: Config) -> None:
    """containerd's shim looks into the output of kill and delete, CRI-O into that of kill."""
    container = create(config, "true").start()
    container.wait("stopped")
    dead = container.command("kill").stderr.lower()
    assert "container not running" in dead
    container.delete().ok()
    gone = container.command("kill").stderr.lower()
    assert "does not exist" in gone
    assert not any(phrase in gone for phrase in ("no such process", "container not running"))
    assert "does not exist" in container.command("delete").stderr
    assert container.command("delete", "--force").status == 0


def test_restore_tells_that_it_wants_the_value_of_a_flag(pyrunc: Runtime) -> None:
    """Podman and CRI-O ask so whether pods can be restored."""
    result = pyrunc("restore", "--lsm-mount-context")
    assert "flag needs an argument" in result.stdout + result.stderr
    assert pyrunc("checkpoint", "--help").status == 0


def test_the_version_has_one_line_of_the_word(pyrunc: Runtime, tmp_path: Path) -> None:
    """dockerd takes the version from every line that has the word in it."""
    lines = pyrunc("--version").ok().lines
    assert [line for line in lines if "version" in line] == [lines[0]]
    assert any(line.startswith("commit:") for line in lines)
