# SPDX-License-Identifier: Apache-2.0

"""What users and engines read when something cannot be done: the cause and the place.

The phrases are those that clients match; the harness checks that nothing is left.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
from pathlib import Path

import pytest

from tests.support.bundle import Config
from tests.support.mistakes import MISTAKES
from tests.support.runtime import Runtime
from tests.support.types import Change, Create, Run


@pytest.mark.parametrize(
    ("change", "phrases", "pointer"),
    [mistake[1:] for mistake in MISTAKES],
    ids=[mistake[0] for mistake in MISTAKES],
)
@pytest.mark.parametrize("verb", ["create", "run"])
def test_a_mistake_is_named(
    pyrunc: Runtime, config: Config, verb: str, change: Change, phrases: list[str], pointer: str
) -> None:
    change(config)
    config.write()
    name = pyrunc.new_id()
    result = pyrunc(verb, "--bundle", config.bundle, name)
    assert result.status == 1
    assert result.stdout == ""
    assert result.error.startswith(f"pyrunc: {verb} {name}: ")
    for phrase in phrases:
        assert phrase.lower() in result.error.lower()
    assert pointer in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr) < 8191
    assert not (pyrunc.root / name).exists()


def test_a_program_of_another_format_is_told_by_start(create: Create, config: Config) -> None:
    """Only execve finds out; runc and crun say it on the container's standard error alone."""
    config.file("/bin/broken", "no program\n", mode=0o755)
    container = create(config, "/bin/broken")
    result = container.command("start")
    assert result.status == 1
    assert "exec /bin/broken: exec format error" in result.error
    container.wait("stopped")


def test_a_missing_interpreter_is_told_by_start(create: Create, config: Config) -> None:
    config.file("/bin/script", "#!/no/interpreter\n", mode=0o755)
    result = create(config, "/bin/script").command("start")
    assert result.status == 1
    assert "exec /bin/script: no such file or directory" in result.error
    assert "interpreter" in result.stderr


def test_run_reports_what_start_reports(run: Run, config: Config) -> None:
    config.file("/bin/broken", "no program\n", mode=0o755)
    result = run(config, "/bin/broken")
    assert result.status == 1
    assert "exec format error" in result.error


def test_a_current_directory_that_was_removed(pyrunc: Runtime, workspace: Path) -> None:
    removing = ("sh", "-c", 'mkdir "$0" && cd "$0" && rmdir "$0" && exec "$@"', workspace / "gone")
    result = pyrunc("create", "c1", prefix=[str(word) for word in removing])
    assert result.status == 1
    assert "cannot find the bundle .: the current directory was removed" in result.stderr
    assert "hint    go to a directory that exists" in result.stderr


def test_a_missing_bundle(pyrunc: Runtime, tmp_path: Path) -> None:
    result = pyrunc("create", "--bundle", tmp_path, pyrunc.new_id())
    assert result.status == 1
    assert "JSON specification file config.json not found" in result.error


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("", "config.json"),
        ("{", "config.json"),
        ("[]", "config.json"),
        ('{"ociVersion": 5}', "/ociVersion"),
        ('{"ociVersion": "1.0.0", "ociVersion": "1.0.1"}', "ociVersion"),
        ('{"ociVersion": "9.0.0"}', "9.0.0"),
        ("\x00", "config.json"),
        ("[" * 100_000, "config.json"),
    ],
    ids=range(8),
)
def test_a_bad_configuration_leaves_nothing(
    pyrunc: Runtime, config: Config, text: str, phrase: str
) -> None:
    (config.bundle / "config.json").write_text(text)
    result = pyrunc("create", "--bundle", config.bundle, pyrunc.new_id())
    assert result.status == 1
    assert phrase in result.stderr
    assert list(pyrunc.root.iterdir()) == []


def test_all_problems_of_a_configuration_are_shown_at_once(pyrunc: Runtime, config: Config) -> None:
    config.process["cwd"] = "relative"
    config.linux["namespaces"].append({"type": "nonsense"})
    config["hostname"] = "x"
    config.write()
    result = pyrunc("create", "--bundle", config.bundle, pyrunc.new_id())
    assert "/process/cwd" in result.stderr
    assert "nonsense" in result.stderr


def test_a_terminal_needs_a_console_socket_when_we_do_not_stay(
    pyrunc: Runtime, config: Config
) -> None:
    config.process["terminal"] = True
    config.write()
    for verb in (["create"], ["run", "--detach"]):
        result = pyrunc(*verb, "--bundle", config.bundle, pyrunc.new_id())
        assert result.status == 1
        assert (
            "cannot allocate tty if pyrunc will detach without setting console socket"
            in result.error
        )


def test_a_console_socket_needs_a_terminal(pyrunc: Runtime, config: Config) -> None:
    config.write()
    argv = ("create", "--bundle", config.bundle, "--console-socket", "/x", pyrunc.new_id())
    result = pyrunc(*argv)
    assert result.status == 1
    assert "cannot use console socket if pyrunc will not detach or allocate tty" in result.error


def test_a_preserved_descriptor_must_be_open(pyrunc: Runtime, config: Config) -> None:
    config.write()
    argv = ("create", "--bundle", config.bundle, "--preserve-fds", "2", pyrunc.new_id())
    result = pyrunc(*argv)
    assert result.status == 1
    assert "unable to stat preserved-fd 3" in result.error


def test_a_used_cgroup_is_refused(create: Create, config: Config, pyrunc: Runtime) -> None:
    path = f"/{pyrunc.new_id()}"
    config.linux["cgroupsPath"] = path
    create(config, "sleep", "600")
    result = pyrunc("create", "--bundle", config.bundle, pyrunc.new_id())
    assert result.status == 1
    assert "container's cgroup is not empty" in result.error
    assert "/linux/cgroupsPath" in result.stderr


def test_a_memory_limit_that_is_too_low_is_said_so(pyrunc: Runtime, config: Config) -> None:
    config.linux["resources"] = {"memory": {"limit": 4096}}
    config.write()
    result = pyrunc("create", "--bundle", config.bundle, pyrunc.new_id())
    if result.status == 0:
        pytest.skip("this kernel starts a process with one page")
    assert result.status == 1
    assert "memory limit" in result.error


def test_a_full_state_directory_is_said_so(pyrunc: Runtime, config: Config, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=3,mode=700", "tmpfs", str(small)]
    subprocess.run(mount, check=True)
    try:
        config.write()
        result = Runtime(pyrunc.program, small)("create", "--bundle", config.bundle, "full")
        assert result.status == 1
        assert "no space left on device" in result.error
        Runtime(pyrunc.program, small)("delete", "--force", "full").ok()
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_state_root_of_others_is_refused(pyrunc: Runtime, config: Config, tmp_path: Path) -> None:
    """ST-3"""
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    config.write()
    result = Runtime(pyrunc.program, open_to_all)("create", "--bundle", config.bundle, "web")
    assert result.status == 1
    assert "writable by nobody else" in result.error


def test_an_error_fits_into_what_conmon_reads(pyrunc: Runtime, config: Config) -> None:
    config["mounts"] += [{"destination": "", "type": "x" * 500}] * 200
    config.write()
    result = pyrunc("create", "--bundle", config.bundle, pyrunc.new_id())
    assert result.status == 1
    assert len(result.stderr.encode()) < 8191


def test_too_few_descriptors_is_an_error_not_a_hang(pyrunc: Runtime, config: Config) -> None:
    config.write()
    argv = pyrunc.argv("create", "--bundle", config.bundle, pyrunc.new_id())

    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (14, 14))

    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, preexec_fn=few, timeout=30, check=False
    )
    assert done.returncode == 1
    assert b"too many open files" in done.stderr.lower()
    assert b"Traceback" not in done.stderr


def test_closed_standard_descriptors_are_no_danger(pyrunc: Runtime, config: Config) -> None:
    """FD-1"""
    config.process["args"] = ["sh", "-c", "ls -l /proc/self/fd > /tmp/fds; exit 3"]
    config.write()
    argv = pyrunc.argv("run", "--bundle", config.bundle, pyrunc.new_id())

    def close() -> None:
        for fd in (0, 1, 2):
            os.close(fd)

    done = subprocess.run(argv, preexec_fn=close, close_fds=True, timeout=30, check=False)
    assert done.returncode == 3
    listing = (config.rootfs / "tmp/fds").read_text()
    assert listing.count("/dev/null") >= 2


def test_json_errors_hold_the_first_line_only(
    pyrunc: Runtime, config: Config, tmp_path: Path
) -> None:
    config.process["args"] = ["/etc"]
    config.write()
    log = tmp_path / "log"
    found = Runtime(pyrunc.program, pyrunc.root, ("--log", str(log), "--log-format=json"))
    result = found("create", "--bundle", config.bundle, found.new_id())
    record = json.loads(log.read_text())
    assert record["msg"] == result.error
    assert "\n" not in record["msg"]
