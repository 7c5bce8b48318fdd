# SPDX-License-Identifier: Apache-2.0
"""Section 14 of the feature table: annotations of crun, and the output of hooks."""

from __future__ import annotations

import base64
import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.features.conftest import Mode
from tests.support import machine
from tests.support.bundle import Config
from tests.support.runtime import Runtime
from tests.support.types import Create, Run, Sockets

feature = pytest.mark.feature

ALLOW, ERRNO = 0x7FFF0000, 0x00050000
UMASK = {"x86_64": 95, "aarch64": 166}  # its number


def program(refused: int, errno: int) -> str:
    """A filter that refuses one system call, as base64."""
    code = [
        (0x20, 0, 0, 0),  # load the number
        (0x15, 0, 1, refused),  # equal: go on, else skip one
        (0x06, 0, 0, ERRNO | errno),
        (0x06, 0, 0, ALLOW),
    ]
    return base64.b64encode(b"".join(struct.pack("<HBBI", *one) for one in code)).decode()


ALLOW_ALL = {"defaultAction": "SCMP_ACT_ALLOW"}


@feature("10.13 raw BPF", "14.13 run.oci.seccomp.receiver")
def test_a_filter_may_come_as_it_is(run: Run, config: Config) -> None:
    number = UMASK.get(os.uname().machine)
    if number is None:
        pytest.skip("no system call number for this architecture")
    config.linux["seccomp"] = ALLOW_ALL
    config["annotations"] = {"run.oci.seccomp_bpf_data": program(number, 1)}
    script = "grep Seccomp: /proc/self/status; umask 77; umask"
    found = run(config, "sh", "-c", script)
    assert found.lines[0].split() == ["Seccomp:", "2"]
    assert found.lines[-1] != "0077"


@feature("10.13 raw BPF", "14.13 run.oci.seccomp.receiver")
@pytest.mark.parametrize("text", ["", "no base64!", "AAAA", base64.b64encode(bytes(8)).decode()])
def test_a_filter_that_is_none_is_refused(run: Run, config: Config, text: str) -> None:
    config.linux["seccomp"] = ALLOW_ALL
    config["annotations"] = {"run.oci.seccomp_bpf_data": text}
    assert run(config, "true").status == 1


@feature("10.10 unknown syscall name", "14.13 run.oci.seccomp.receiver")
def test_an_unknown_system_call_is_ignored_or_an_error(run: Run, config: Config) -> None:
    rules = [{"names": ["no_such_call"], "action": "SCMP_ACT_ERRNO"}]
    config.linux["seccomp"] = {**ALLOW_ALL, "syscalls": rules}
    run(config, "true").ok()
    config["annotations"] = {"run.oci.seccomp_fail_unknown_syscall": "1"}
    result = run(config, "true")
    assert result.status == 1
    assert "no_such_call" in result.error
    assert "/linux/seccomp/syscalls" in result.stderr


PLUGIN = """
#include <errno.h>
#include <stddef.h>
#include <linux/seccomp.h>
struct conf { const char *root, *name, *bundle, *config; };
static int started;
int run_oci_seccomp_notify_start(void **opaque, struct conf *conf, size_t size)
{
	*opaque = &started;
	started = size == sizeof(*conf) && conf->name[0] == 'p' && conf->bundle[0] == '/';
	return 0;
}
int run_oci_seccomp_notify_handle_request(void *opaque, struct seccomp_notif_sizes *sizes,
	struct seccomp_notif *request, struct seccomp_notif_resp *response, int fd, int *handled)
{
	*handled = HANDLED;
	response->error = -EIO;
	if (opaque == &started && started && sizes->seccomp_notif == sizeof(*request))
		response->error = -ERROR;
	if (HANDLED == 3)
		response->error = 0;
	return 0;
}
int run_oci_seccomp_notify_stop(void *opaque) { return 0; }
int run_oci_seccomp_notify_plugin_version(void) { return VERSION; }
"""


@pytest.fixture
def plugin(workspace: Path) -> Iterator[Callable[..., Path]]:
    """plugin(name, ...): a plugin where root keeps them, seen by this test alone."""
    place = "/usr/local/lib"
    machine.mount("tmpfs", place, "tmpfs", data="mode=755")
    directory = Path(place, "pyrunc/seccomp")
    directory.mkdir(parents=True)

    def make(name: str, *, handled: int = 1, error: str = "ENOSPC", version: int = 1) -> Path:
        source = workspace / "plugin.c"
        source.write_text(PLUGIN)
        defines = [f"-DHANDLED={handled}", f"-DERROR={error}", f"-DVERSION={version}"]
        argv = ["gcc", "-shared", "-fPIC", *defines, "-o", str(directory / name), str(source)]
        subprocess.run(argv, check=True)
        return directory / name

    yield make
    machine.unmount(place)


NOTIFYING: dict[str, Any] = {
    **ALLOW_ALL,
    "syscalls": [{"names": ["chmod", "fchmod", "fchmodat"], "action": "SCMP_ACT_NOTIFY"}],
}


@feature("10.14 notify plugins in process", "14.13 run.oci.seccomp.receiver")
def test_a_plugin_answers_the_calls_of_a_container_and_of_exec(
    create: Create, run: Run, config: Config, plugin: Callable[..., Path]
) -> None:
    """The first that handles a request; one may be given by its name."""
    passes = plugin("passes.so", handled=0)
    full = plugin("full.so")
    config.linux["seccomp"] = NOTIFYING
    config["annotations"] = {"run.oci.seccomp.plugins": f"{passes}:full.so"}
    result = run(config, "sh", "-c", "chmod 700 /tmp; echo $?")
    assert "No space left on device" in result.stderr
    assert result.stdout == "1\n"
    container = create(config, "sleep", "600").start()
    result = container.runtime("exec", container.id, "chmod", "700", "/tmp")
    assert "No space left on device" in result.stderr
    config["annotations"] = {"run.oci.seccomp.plugins": str(plugin("goes-on.so", handled=3))}
    script = "chmod 711 /tmp; stat -c %a /tmp"
    assert run(config, "sh", "-c", script).ok().stdout == "711\n"
    config["annotations"] = {"run.oci.seccomp.plugins": str(passes)}
    assert "not supported" in run(config, "chmod", "700", "/tmp").stderr.lower()
    assert full.exists()


@feature("10.14 notify plugins in process")
def test_only_plugins_of_root_are_loaded(
    run: Run, config: Config, plugin: Callable[..., Path], workspace: Path
) -> None:
    """An annotation may come from a user of an engine: it names what root has put there."""
    config.linux["seccomp"] = NOTIFYING
    good = plugin("good.so")
    elsewhere = workspace / "good.so"
    shutil.copy(good, elsewhere)
    (good.parent / "link.so").symlink_to(elsewhere)
    os.chown(plugin("users.so"), 1000, 1000)
    plugin("open.so").chmod(0o777)
    for name in (
        str(elsewhere), "link.so", "users.so", "open.so", "absent.so", f"{good.parent}/../good.so",
        f"{good.parent}/./good.so",
    ):  # fmt: skip
        config["annotations"] = {"run.oci.seccomp.plugins": name}
        result = run(config, "true")
        assert result.status == 1, name
        assert "root has none of this name in" in result.error
        assert "/annotations/run.oci.seccomp.plugins" in result.stderr
    (good.parent / "text.so").write_text("no program")
    for path in (plugin("new.so", version=2), good.parent / "text.so"):
        config["annotations"] = {"run.oci.seccomp.plugins": str(path)}
        result = run(config, "true")
        assert result.status == 1
        assert "cannot load the plugins" in result.error


@feature("10.12 listenerPath", "14.13 run.oci.seccomp.receiver")
@pytest.mark.parametrize("way", ["annotation", "variable"])
def test_the_listener_goes_to_the_receiver(
    pyrunc: Runtime, config: Config, workspace: Path, fd_socket: Sockets, way: str
) -> None:
    receiver = fd_socket(workspace / "agent.sock")
    rules = [{"names": ["acct"], "action": "SCMP_ACT_NOTIFY"}]
    config.linux["seccomp"] = {**ALLOW_ALL, "syscalls": rules}
    env = dict(os.environ)
    if way == "annotation":
        config["annotations"] = {"run.oci.seccomp.receiver": str(receiver.path)}
    else:
        env["RUN_OCI_SECCOMP_RECEIVER"] = str(receiver.path)
    config.write()
    pyrunc("run", "--bundle", config.bundle, pyrunc.new_id(), env=env).ok()
    assert "seccomp" in os.readlink(f"/proc/self/fd/{receiver.wait()}")


@feature("14.11 run.oci.pidfd_receiver")
def test_the_pidfd_goes_to_the_receiver(
    create: Create, config: Config, workspace: Path, fd_socket: Sockets
) -> None:
    receiver = fd_socket(workspace / "pidfd.sock")
    config["annotations"] = {"run.oci.pidfd_receiver": str(receiver.path)}
    container = create(config, "true")
    lines = Path(f"/proc/self/fdinfo/{receiver.wait()}").read_text().splitlines()
    assert f"Pid:\t{container.pid}" in lines


@feature("14.12 run.oci.hooks.stdout", "5.5 hook output redirect files")
def test_the_output_of_hooks_goes_to_files(run: Run, config: Config, workspace: Path) -> None:
    out, err = workspace / "out", workspace / "err"
    config["annotations"] = {"run.oci.hooks.stdout": str(out), "run.oci.hooks.stderr": str(err)}
    for kind in ("prestart", "createRuntime", "poststart", "poststop"):
        config.hook(kind, "/bin/sh", "-c", "echo $1; echo $1 >&2", "-", kind)
    run(config, "true").ok()
    expected = ["prestart", "createRuntime", "poststart", "poststop"]
    assert out.read_text().split() == expected
    assert err.read_text().split() == expected


@feature("14.12 run.oci.hooks.stdout", "5.5 hook output redirect files")
@pytest.mark.parametrize("value", ["relative", "/no/such/directory/file"])
def test_a_file_that_cannot_be_written_is_an_error(run: Run, config: Config, value: str) -> None:
    config["annotations"] = {"run.oci.hooks.stdout": value}
    config.hook("createRuntime", "/bin/true")
    result = run(config, "true")
    assert result.status == 1
    assert "/annotations/run.oci.hooks.stdout" in result.stderr


@feature("14.12 run.oci.hooks.stdout", "5.5 hook output redirect files")
def test_the_output_of_hooks_in_the_container_goes_to_files(mode: Mode, workspace: Path) -> None:
    """Through the init: the hook has no descriptor of the host's file."""
    places = workspace / "output"
    places.mkdir(mode=0o777)
    places.chmod(0o777)
    config, files = mode.config, [places / "out", places / "err"]
    config["annotations"] = {
        "run.oci.hooks.stdout": str(files[0]),
        "run.oci.hooks.stderr": str(files[1]),
    }
    script = "echo $1; echo $1 >&2; readlink /proc/self/fd/1"
    for kind in ("createContainer", "startContainer"):
        config.hook(kind, "/bin/sh", "-c", script, "-", kind)
    mode.run("true").ok()
    out, err = (file.read_text().splitlines() for file in files)
    assert err == ["createContainer", "startContainer"]
    assert [out[0], out[2]] == err
    assert out[1].startswith("pipe:")
    assert out[3].startswith("pipe:")


@feature("14.12 run.oci.hooks.stdout", "5.4 stdout/stderr of a failing hook")
@pytest.mark.parametrize("kind", ["createContainer", "startContainer"])
def test_an_error_in_the_container_is_told_and_written(
    run: Run, config: Config, workspace: Path, kind: str
) -> None:
    out = workspace / "out"
    config["annotations"] = {"run.oci.hooks.stdout": str(out)}
    config.hook(kind, "/bin/sh", "-c", "echo reason; echo other >&2; exit 3")
    result = run(config, "true")
    assert result.status == 1
    assert "exit status 3, output: " in result.error
    assert "reason" in result.error
    assert "other" in result.error
    assert out.read_text() == "reason\n"


@feature("14.12 run.oci.hooks.stdout")
@pytest.mark.parametrize("kind", ["createContainer", "startContainer"])
def test_output_that_cannot_be_kept_is_an_error(run: Run, config: Config, kind: str) -> None:
    config["annotations"] = {"run.oci.hooks.stderr": "/dev/full"}
    config.hook(kind, "/bin/sh", "-c", "echo lost >&2")
    result = run(config, "true")
    assert result.status == 1
    assert "cannot write its output to the file of run.oci.hooks" in result.error
    assert "no space left on device" in result.error


@feature("14.12 run.oci.hooks.stdout", "5.4 stdout/stderr of a failing hook")
def test_the_error_of_a_hook_is_told_and_written(run: Run, config: Config, workspace: Path) -> None:
    out = workspace / "out"
    config["annotations"] = {"run.oci.hooks.stdout": str(out)}
    config.hook("createRuntime", "/bin/sh", "-c", "echo reason; exit 3")
    result = run(config, "true")
    assert "exit status 3, stdout: reason" in result.error
    assert out.read_text() == "reason\n"


@feature("14.1 org.systemd.property.*")
def test_properties_of_units_change_nothing_without_systemd(run: Run, config: Config) -> None:
    """With the systemd driver they are set: tests/cgroups/test_systemd.py."""
    config["annotations"] = {"org.systemd.property.TimeoutStopUSec": "uint64 5"}
    run(config, "true").ok()
