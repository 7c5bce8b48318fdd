# SPDX-License-Identifier: Apache-2.0
"""What is around the processes that checkpoint and restore: mounts, cgroups, namespaces, stdio."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import machine
from tests.support.bundle import Config
from tests.support.criu import (
    Saving,
    again,
    again_with_its_numbers,
    counter,
    give_options,
    goes_on,
    inside,
    numbers,
    unified,
)
from tests.support.runtime import Container, Runtime
from tests.support.types import Sockets, Terminals
from tests.support.wait import readable, until

feature = pytest.mark.feature


# -- flags of restore ------------------------------------------------------------------------------


@feature("2.100 restore --bundle --detach --pid-file --console-socket --no-pivot --no-subreaper")
def test_restore_takes_the_flags_of_engines(
    saving: Saving, counting: Container, workspace: Path
) -> None:
    """As containerd's shim gives them: one dash, and a pid file without a newline."""
    saving.save(counting).ok()
    pid_file = workspace / "pid"
    saving.restore(counting, "--pid-file", pid_file, "--no-pivot", "-no-subreaper").ok()
    assert pid_file.read_text() == str(counting.pid)
    goes_on(counting)


@feature("2.100 restore --bundle --detach --pid-file --console-socket --no-pivot --no-subreaper")
def test_restore_in_the_foreground_waits_and_forwards_signals(
    saving: Saving, config: Config
) -> None:
    script = "trap 'exit 7' TERM; while :; do echo $((i=i+1)) >> /tmp/count; sleep 0.02; done"
    container = saving.begin(config, "sh", "-c", script)
    until(lambda: len(numbers(container)) > 3, "it counts")
    saving.save(container).ok()
    flags = ("--image-path", saving.images, "--bundle", config.bundle)
    argv = saving.runtime.argv("restore", *flags, container.id)
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as child:
        until(lambda: container.command("state").status == 0, "it is there")
        goes_on(container)
        child.terminate()
        assert child.wait(20) == 7
    assert "does not exist" in container.command("state").stderr


@feature("2.100 restore --bundle --detach --pid-file --console-socket --no-pivot --no-subreaper")
def test_a_terminal_is_handed_over_again(
    saving: Saving, config: Config, workspace: Path, fd_socket: Sockets
) -> None:
    config.process["terminal"] = True
    config.process["args"] = ["sh", "-c", "echo ready; while read word; do echo got $word; done"]
    config.write()
    container = Container(saving.runtime, saving.runtime.new_id(), config)
    saving.made.append(container)
    first = fd_socket(workspace / "first.sock")
    flags = ("--detach", "--console-socket", first.path, "--bundle", config.bundle)
    saving.runtime("run", *flags, container.id).ok()
    talk(first.wait(), "ready", "one")
    saving.save(container).ok()
    second = fd_socket(workspace / "second.sock")
    saving.restore(container, "--console-socket", second.path).ok()
    talk(second.wait(), "", "two")
    assert inside(container, "sh", "-c", "tty < /dev/console").strip() == "/dev/console"


def talk(master: int, greeting: str, word: str) -> None:
    """Wait for a greeting, say a word, and wait for the answer."""
    seen = b""

    def read(text: str) -> bool:
        nonlocal seen
        if readable(master, 0.1):
            seen += os.read(master, 4096)
        return text.encode() in seen

    until(lambda: read(greeting), greeting)
    os.write(master, f"{word}\n".encode())
    until(lambda: read(f"got {word}"), f"got {word}")


def test_a_terminal_is_relayed_in_the_foreground(
    pyrunc: Runtime, saving: Saving, config: Config, workspace: Path, terminal: Terminals,
    fd_socket: Sockets,
) -> None:  # fmt: skip
    config.process["terminal"] = True
    config.process["args"] = ["sh", "-c", "while read word; do echo got $word; done; exit 4"]
    config.write()
    container = Container(pyrunc, pyrunc.new_id(), config)
    saving.made.append(container)
    console = fd_socket(workspace / "console.sock")
    flags = ("--detach", "--console-socket", console.path, "--bundle", config.bundle)
    pyrunc("run", *flags, container.id).ok()
    console.wait()
    saving.save(container).ok()
    saved = ("--image-path", saving.images, "--bundle", config.bundle)
    mine = terminal(pyrunc.argv("restore", *saved, container.id))
    mine.type("words\n")
    mine.expect("got words")
    mine.type("\x04")
    assert mine.end() == 4


@feature("2.101 restore --lsm-profile TYPE:NAME")
def test_security_labels_are_passed_to_criu(
    pyrunc: Runtime, saving: Saving, counting: Container
) -> None:
    """This kernel has no security module: criu says so, and nothing is left."""
    if Path("/sys/kernel/security/apparmor").exists():
        pytest.skip("needs a kernel without AppArmor")
    saving.save(counting).ok()
    for flags in (("--lsm-profile", "apparmor:web"), ("--lsm-profile", "selinux:a_t")):
        refused = saving.restore(counting, *flags)
        assert refused.status == 1
        assert flags[1].partition(":")[0] in refused.stderr.lower()
    refused = saving.restore(counting, "--lsm-profile", "web")
    assert "it must be TYPE:NAME" in refused.error
    assert not (pyrunc.root / counting.id).exists()
    saving.restore(counting, "--lsm-mount-context", "system_u:object_r:tmp_t:s0").ok()


@pytest.fixture
def delegating(tmp_path: Path) -> Iterator[dict[str, frozenset[str]]]:
    """The host's cgroup2 has options, as systemd gives them."""
    before = unified()
    if not before:
        pytest.skip("this host has no cgroup2")
    (had,) = set(before.values())
    give_options(had | {"nsdelegate", "memory_recursiveprot"}, tmp_path)
    yield unified()
    give_options(had, tmp_path)


def test_the_host_keeps_the_options_of_its_cgroups(
    delegating: dict[str, frozenset[str]], saving: Saving, config: Config
) -> None:
    """CRIU mounts cgroup2 without nsdelegate, and the kernel takes that for the whole host."""
    assert all(options >= {"nsdelegate"} for options in delegating.values())
    container = saving.begin(config, "sleep", "1000")
    saving.save(container).ok()
    assert unified() == delegating
    saving.restore(container).ok()
    assert unified() == delegating


@feature("2.102 org.criu.config annotation", "14.2 org.criu.config")
def test_criu_reads_a_configuration_of_its_own(
    saving: Saving, config: Config, workspace: Path
) -> None:
    settings = workspace / "criu.conf"
    settings.write_text("log-file=other.log\n")
    config["annotations"] = {"org.criu.config": str(settings)}
    container = saving.begin(config, *counter())
    again(saving, container)
    assert (saving.images / "other.log").exists()
    assert not (saving.images / "dump.log").exists()


def test_a_configuration_that_others_can_write_is_refused(
    pyrunc: Runtime, saving: Saving, config: Config, workspace: Path
) -> None:
    """It can name programs, which criu runs as root."""
    settings = workspace / "criu.conf"
    config["annotations"] = {"org.criu.config": str(settings)}
    container = saving.begin(config, *counter())
    assert "no such file" in saving.save(container).error
    settings.write_text("")
    settings.chmod(0o666)
    assert "can be changed by others" in saving.save(container).error
    goes_on(container)


# -- stdio and namespaces --------------------------------------------------------------------------


@feature("2.104 external net/pid namespaces, inherit-fd of pipes")
def test_pipes_are_those_of_the_new_caller(saving: Saving, config: Config) -> None:
    config.process["args"] = ["sh", "-c", "while read word; do echo got $word; done"]
    config.write()
    runtime = saving.runtime
    container = Container(runtime, runtime.new_id(), config)
    saving.made.append(container)
    saved = ("--image-path", saving.images)
    for verb, flags in (("run", ()), ("restore", saved)):
        argv = runtime.argv(verb, "--detach", "--bundle", config.bundle, *flags, container.id)
        words_read, words_write = os.pipe()
        out_read, out_write = os.pipe()
        done = subprocess.run(
            argv, stdin=words_read, stdout=out_write, stderr=out_write, check=False, timeout=60
        )
        os.close(words_read)
        os.close(out_write)
        assert done.returncode == 0, os.read(out_read, 4096)
        os.write(words_write, f"{verb}\n".encode())
        assert os.read(out_read, 100) == f"got {verb}\n".encode()
        if verb == "run":
            saving.save(container).ok()
        os.close(words_write)
        os.close(out_read)


def test_a_file_is_the_one_of_the_new_caller(
    pyrunc: Runtime, saving: Saving, config: Config
) -> None:
    """It is outside of the container, where CRIU could not find it again."""
    script = "i=0; while :; do echo $((i=i+1)); sleep 0.02; done"
    container = saving.begin(config, "sh", "-c", script, output=True)
    until(lambda: container.output.count("\n") > 3, "it writes")
    saving.save(container).ok()
    before = container.output
    saving.restore(container, output=True).ok()
    until(lambda: len(container.output) > len(before) + 8, "it goes on")
    found = container.output.splitlines()[:-1]
    assert found == [str(number) for number in range(1, len(found) + 1)]


@pytest.fixture
def network(workspace: Path) -> Iterator[Path]:
    """The file of a network namespace."""
    path = workspace / "network"
    path.touch()
    subprocess.run(["unshare", f"--net={path}", "true"], check=True)
    yield path
    machine.unmount(path)


@feature("2.104 external net/pid namespaces, inherit-fd of pipes")
def test_a_network_that_was_joined_is_joined_again(
    saving: Saving, config: Config, network: Path
) -> None:
    config.namespace("network", network)
    container = saving.begin(config, *counter())
    again(saving, container)
    found = Path(f"/proc/{container.pid}/ns/net").stat().st_ino
    assert found == network.stat().st_ino


@pytest.fixture
def pid_namespace() -> Iterator[Path]:
    """The file of a pid namespace whose first process collects the dead."""
    argv = ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", "while :; do sleep 0.1; done"]
    with subprocess.Popen(argv) as process:
        found = Path(f"/proc/{process.pid}/ns/pid_for_children")
        until(found.exists, "the namespace is there")
        yield found
        process.kill()


@feature("2.104 external net/pid namespaces, inherit-fd of pipes")
def test_a_pid_namespace_that_was_joined_is_joined_again(
    saving: Saving, config: Config, pid_namespace: Path
) -> None:
    """What is restored has the numbers that it had: they must be free."""
    config.namespace("pid", pid_namespace)
    container = saving.begin(config, *counter())
    again_with_its_numbers(saving, container)
    found = Path(f"/proc/{container.pid}/ns/pid").stat().st_ino
    assert found == pid_namespace.stat().st_ino


@pytest.mark.parametrize("kind", ["ipc", "uts"])
def test_other_namespaces_that_were_joined_are_joined_again(
    saving: Saving, config: Config, holder: Callable[..., int], kind: str
) -> None:
    path = Path(f"/proc/{holder(f'--{kind}')}/ns/{kind}")
    config.namespace(kind, path)
    if kind == "uts":
        del config["hostname"]
    container = saving.begin(config, *counter())
    again(saving, container)
    assert Path(f"/proc/{container.pid}/ns/{kind}").stat().st_ino == path.stat().st_ino


def test_a_user_namespace_is_made_again(saving: Saving, config: Config) -> None:
    config.user_namespace()
    (config.rootfs / "tmp/count").touch()
    os.chown(config.rootfs / "tmp/count", 100000, 100000)
    container = saving.begin(config, *counter())
    again(saving, container)
    assert stat.S_IMODE(saving.images.stat().st_mode) == 0o700
    assert inside(container, "cat", "/proc/1/uid_map").split() == ["0", "100000", "65536"]
    assert Path(f"/proc/{container.pid}").stat().st_uid == 100000
