# SPDX-License-Identifier: Apache-2.0
"""In a container whose filter refuses newer system calls, as older engines' profiles do.

Where an older call gives the same guarantee the life of a container goes on under the filter; where
none does, the error names the call and who refuses it, and nothing is left.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyrunc.seccomp import library
from tests.support.bundle import Config
from tests.support.runtime import Container, Result, Runtime

# Of these an older call does the same; pidfd_getfd is used for notifications only.
REPLACED = ("clone3", "faccessat2", "execveat", "close_range", "pidfd_getfd")
MOUNTS = ("fsopen", "fsconfig", "fsmount", "open_tree", "move_mount", "statx")
NEEDED = (
    "openat2", "mount_setattr", "pidfd_open", "pidfd_send_signal", "memfd_create", *MOUNTS,
)  # fmt: skip
TREE = Path(__file__).resolve().parents[2]
ERRNOS = [errno.EPERM, errno.ENOSYS]


class Nested:
    """Commands in a container that refuses one system call."""

    def __init__(self, runtime: Runtime, probe: Path, name: str, number: int) -> None:
        call = library.resolve(library.NATIVE, [name])[0]
        self.prefix = [str(probe), "without", str(call), str(number)]
        self.runtime = runtime

    def __call__(self, *args: str | Path) -> Result:
        return self.runtime(*args, prefix=self.prefix)


def life(config: Config, nested: Nested, name: str) -> list[Result]:
    """Create, start, exec, kill and delete, up to the first that fails."""
    config.user_namespace()
    config.linux["readonlyPaths"] = ["/proc/sys"]
    config.process["args"] = ["sleep", "600"]
    config.process["user"] = {"uid": 1000, "gid": 1000}
    config.bind(config.rootfs, "/mnt", "bind", "ro")
    config.write()
    steps: list[tuple[str | Path, ...]] = [
        ("create", "--bundle", config.bundle, name),
        ("start", name),
        ("exec", name, "true"),
        ("kill", name, "KILL"),
        ("delete", "--force", name),
    ]
    done = []
    for step in steps:
        done.append(nested(*step))
        if done[-1].status:
            break
    return done


@pytest.mark.parametrize("number", ERRNOS, ids=["EPERM", "ENOSYS"])
@pytest.mark.parametrize("name", REPLACED)
def test_an_older_call_does_the_same(
    pyrunc: Runtime, config: Config, probe: Path, name: str, number: int
) -> None:
    results = life(config, Nested(pyrunc, probe, name, number), pyrunc.new_id())
    assert [result.stderr for result in results] == [""] * 5
    assert [result.status for result in results] == [0] * 5


@pytest.mark.parametrize("number", ERRNOS, ids=["EPERM", "ENOSYS"])
@pytest.mark.parametrize("name", NEEDED)
def test_a_call_without_an_older_one_is_named(
    pyrunc: Runtime, config: Config, probe: Path, name: str, number: int
) -> None:
    container = Container(pyrunc, pyrunc.new_id(), config)
    results = life(config, Nested(pyrunc, probe, name, number), container.id)
    assert results[-1].status
    assert (
        f"the system call {name} is refused here, probably by a filter of an outer container"
        in results[-1].error
    )
    assert "hint    allow it in the profile" in results[-1].stderr
    for wrong in ("locked flags", "inside /proc", "internal error", "bug"):
        assert wrong not in results[-1].stderr
    if len(results) == 1:  # create
        assert not (pyrunc.root / container.id).exists()
    else:
        container.delete().ok()


@pytest.mark.parametrize("number", ERRNOS, ids=["EPERM", "ENOSYS"])
@pytest.mark.parametrize("name", ["openat2", "mount_setattr", "pidfd_open", "memfd_create"])
def test_exec_into_a_container_names_the_call(
    pyrunc: Runtime, config: Config, probe: Path, name: str, number: int
) -> None:
    container = pyrunc.create(config, "sleep", "600").start()
    nested = Nested(pyrunc, probe, name, number)
    for args in (("exec", container.id, "true"), ("kill", container.id, "TERM")):
        result = nested(*args)
        if result.status:
            assert f"the system call {name} is refused here" in result.error
    container.delete().ok()


def test_an_error_of_another_reason_blames_no_filter(pyrunc: Runtime, config: Config) -> None:
    config.file("/bin/odd", "", mode=0o644)
    assert "refused here" not in pyrunc.run(config, "/bin/odd").stderr


def test_without_close_range_no_descriptor_of_the_caller_comes_in(
    pyrunc: Runtime, config: Config, probe: Path
) -> None:
    """Not even one far above all others."""
    config.process["args"] = ["ls", "-l", "/proc/self/fd"]
    config.write()
    file = config.bundle / "config.json"
    script = (
        f"import fcntl, os, sys; fd = os.open({str(file)!r}, os.O_RDONLY); "
        "fcntl.fcntl(fd, fcntl.F_DUPFD, 900); os.execv(sys.argv[1], sys.argv[1:])"
    )
    nested = Nested(pyrunc, probe, "close_range", errno.EPERM)
    nested.prefix = [sys.executable, "-c", script, *nested.prefix]
    shown = [nested("run", "--bundle", config.bundle, pyrunc.new_id()).ok().stdout]
    container = pyrunc.create(config, "sleep", "600").start()
    shown.append(nested("exec", container.id, "ls", "-l", "/proc/self/fd").ok().stdout)
    for text in shown:
        assert "0 -> " in text
        assert file.name not in text
    container.delete().ok()


@pytest.mark.root
@pytest.mark.parametrize("number", ERRNOS, ids=["EPERM", "ENOSYS"])
@pytest.mark.parametrize("name", ["", *NEEDED])
def test_a_caller_without_rights_is_refused_by_the_filter_alone(
    probe: Path, name: str, number: int
) -> None:
    """The kernel looks at the rights of some calls first: EPERM for them is no filter's."""
    script = (
        "import os; from pyrunc.host import refusals\n"
        f"os.setgid(1000); os.setuid(1000); print(*refusals.refused_calls({number}))"
    )
    call = library.resolve(library.NATIVE, [name])[0] if name else 0
    prefix = [str(probe), "without", str(call), str(number)] if name else []
    done = subprocess.run(
        [*prefix, sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(TREE)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ([name] if name else [])


def test_all_calls_that_have_an_older_one_may_be_refused_at_once(
    pyrunc: Runtime, config: Config, probe: Path
) -> None:
    nested = Nested(pyrunc, probe, REPLACED[0], errno.EPERM)
    for name in REPLACED[1:]:
        nested.prefix += Nested(pyrunc, probe, name, errno.ENOSYS).prefix
    results = life(config, nested, pyrunc.new_id())
    assert [result.stderr for result in results] == [""] * 5


@pytest.mark.parametrize("number", ERRNOS, ids=["EPERM", "ENOSYS"])
def test_under_an_old_profile_all_are_named_and_nothing_is_left(
    pyrunc: Runtime, config: Config, probe: Path, number: int
) -> None:
    """One that is older than a call is older than those that came later, too."""
    nested = Nested(pyrunc, probe, "pidfd_send_signal", number)
    for name in ("openat2", "mount_setattr", *MOUNTS[:-1], *REPLACED[1:]):
        nested.prefix += Nested(pyrunc, probe, name, number).prefix
    container = Container(pyrunc, pyrunc.new_id(), config)
    (result,) = life(config, nested, container.id)
    assert "openat2, mount_setattr" in result.error
    assert "are refused here" in result.error
    assert not (pyrunc.root / container.id).exists()


SILENT = (
    "setsid", "keyctl", "capset", "setresuid", "setresgid", "pivot_root", "unshare",
    "mount_setattr", "move_mount", "fchdir", "chroot", "sethostname", "prctl",
)  # fmt: skip


@pytest.mark.parametrize("name", SILENT)
def test_a_call_that_only_says_that_it_was_done_is_an_error(
    pyrunc: Runtime, config: Config, probe: Path, name: str
) -> None:
    """AR-7: what carries a property is looked at after it was set."""
    container = Container(pyrunc, pyrunc.new_id(), config)
    results = life(config, Nested(pyrunc, probe, name, 0), container.id)
    assert results[0].status, results[0].stderr
    container.delete()
