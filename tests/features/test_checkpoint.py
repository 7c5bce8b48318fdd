# SPDX-License-Identifier: Apache-2.0
"""Section 2 of the feature table: checkpoint and restore, one row after the other.

CRIU is that of tests/support/criu.py. `--runtime runc` shows that the tests are about containers
and not about pyrunc.
"""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bundle import Config
from tests.support.criu import Saving, goes_on, keep, need_feature, numbers, said, says_again
from tests.support.runtime import Container, Runtime
from tests.support.types import Serve, Terminals
from tests.support.wait import readable, until

feature = pytest.mark.feature


# -- the two commands ------------------------------------------------------------------------------


@feature("2.80 checkpoint", "2.81 restore", "2.82 --image-path")
def test_a_container_goes_on_where_it_was(saving: Saving, counting: Container) -> None:
    first = counting.pid
    saving.save(counting).ok()
    assert "does not exist" in counting.command("state").stderr
    before = len(numbers(counting))
    saving.restore(counting).ok()
    goes_on(counting)
    assert len(numbers(counting)) > before
    state = counting.state()
    assert state["status"] == "running"
    assert Path(f"/proc/{state['pid']}").exists()
    assert state["pid"] != first
    assert counting.command("exec", "cat", "/proc/1/cmdline").ok().stdout.startswith("sh\0-c\0")
    counting.command("kill", "KILL").ok()
    counting.wait()
    counting.delete(force=False).ok()


@feature("2.82 --image-path (default ./checkpoint)")
def test_images_go_to_a_directory_that_is_the_owners_alone(
    saving: Saving, counting: Container, workspace: Path
) -> None:
    counting.runtime("checkpoint", counting.id, cwd=workspace).ok()
    images = workspace / "checkpoint"
    assert (images / "inventory.img").exists()
    assert stat.S_IMODE(images.stat().st_mode) & 0o077 == 0
    saving.images = images
    saving.restore(counting).ok()
    goes_on(counting)


@feature("2.83 --work-path")
def test_logs_go_to_the_work_path(saving: Saving, counting: Container, workspace: Path) -> None:
    work = workspace / "work"
    saving.save(counting, "--work-path", work).ok()
    assert "Dumping finished successfully" in (work / "dump.log").read_text()
    assert not (saving.images / "dump.log").exists()
    saving.restore(counting, "--work-path", work).ok()
    assert "Restore finished successfully" in (work / "restore.log").read_text()


@feature("2.84 --parent-path", "2.95 --pre-dump")
def test_memory_is_saved_in_advance(
    saving: Saving, counting: Container, criu: Path, workspace: Path
) -> None:
    need_feature(criu, "mem_dirty_track", "CONFIG_MEM_SOFT_DIRTY")
    first = workspace / "first"
    counting.runtime("checkpoint", "--pre-dump", "--image-path", first, counting.id).ok()
    assert counting.state()["status"] == "running"
    goes_on(counting)
    saving.save(counting, "--parent-path", "../first").ok()
    assert os.readlink(saving.images / "parent") == "../first"
    saving.restore(counting).ok()
    goes_on(counting)


@feature("2.85 --leave-running")
def test_a_container_may_stay(saving: Saving, counting: Container) -> None:
    first = counting.pid
    saving.save(counting, "--leave-running").ok()
    assert counting.pid == first
    assert counting.state()["status"] == "running"
    goes_on(counting)
    counting.delete().ok()
    (counting.config.rootfs / "tmp/count").unlink()
    saving.restore(counting).ok()
    until(lambda: len(numbers(counting)) > 3, "it counts")
    assert numbers(counting)[0] > 3


# -- what a container may hold ---------------------------------------------------------------------


@feature("2.86 --tcp-established")
def test_a_connection_is_kept(saving: Saving, config: Config, keeper: Path) -> None:
    container = keep(saving, config, keeper, "connection", "accept")
    assert saving.save(container).status != 0
    saving.save(container, "--tcp-established").ok()
    saving.restore(container, "--tcp-established").ok()
    says_again(container, "connected")


@feature("2.87 --tcp-close")
def test_a_connection_is_closed_when_asked(
    pyrunc: Runtime, saving: Saving, config: Config, keeper: Path
) -> None:
    container = keep(saving, config, keeper, "connection", "accept")
    saving.save(container, "--tcp-established").ok()
    saving.restore(container, "--tcp-close").ok()
    until(lambda: "closed" in said(container), "the program sees it")


@feature("2.88 --tcp-skip-in-flight")
def test_a_connection_that_nobody_has_accepted_is_skipped(
    pyrunc: Runtime, saving: Saving, config: Config, keeper: Path
) -> None:
    container = keep(saving, config, keeper, "connection", "wait")
    refused = saving.save(container, "--tcp-established")
    assert refused.status != 0
    assert "n-flight" in refused.stderr
    saving.save(container, "--tcp-established", "--tcp-skip-in-flight").ok()


@feature("2.89 --link-remap")
def test_a_file_that_has_lost_its_name_is_kept(
    pyrunc: Runtime, saving: Saving, config: Config, keeper: Path
) -> None:
    container = keep(saving, config, keeper, "unlinked", "/tmp/first", "/tmp/second")
    refused = saving.save(container)
    assert refused.status != 0
    assert "--link-remap" in refused.stderr
    saving.save(container, "--link-remap").ok()
    saving.restore(container).ok()
    says_again(container, "kept")


@feature("2.90 --ext-unix-sk")
def test_a_socket_of_the_host_is_connected_again(
    saving: Saving, config: Config, keeper: Path, workspace: Path
) -> None:
    shared = workspace / "shared"
    shared.mkdir()
    config.without_namespace("network")  # CRIU sees the sockets of one network
    config.bind(shared, str(shared))  # CRIU connects to the name that the host has given it
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as host:
        host.bind(str(shared / "host.sock"))
        host.settimeout(20)
        container = keep(saving, config, keeper, "datagrams", str(shared / "host.sock"))
        assert host.recv(100) == b"alive"
        assert saving.save(container).status != 0
        saving.save(container, "--ext-unix-sk").ok()
        while readable(host.fileno(), 0):
            host.recv(100)
        saving.restore(container, "--ext-unix-sk").ok()
        host.settimeout(20)
        assert host.recv(100) == b"alive"


@feature("2.91 --shell-job")
def test_a_terminal_of_the_caller_is_used_again(
    saving: Saving, config: Config, terminal: Terminals
) -> None:
    config.process["args"] = ["sh", "-c", "echo ready; while read word; do echo got $word; done"]
    config.write()
    runtime = saving.runtime
    container = Container(runtime, runtime.new_id(), config)
    saving.made.append(container)
    first = terminal(runtime.argv("run", "--bundle", config.bundle, container.id))
    first.expect("ready")
    if runtime.name == "pyrunc":  # old versions of runc lose the terminal without a word
        assert saving.save(container).status != 0
    saving.save(container, "--shell-job").ok()
    first.end()
    flags = ("--shell-job", "--image-path", saving.images, "--bundle", config.bundle)
    second = terminal(runtime.argv("restore", *flags, container.id))
    second.type("words\n")
    second.expect("got words")


@feature("2.94 --file-locks")
def test_a_lock_is_kept(saving: Saving, config: Config, keeper: Path) -> None:
    container = keep(saving, config, keeper, "lock", "/tmp/lock")
    refused = saving.save(container)
    assert refused.status != 0
    saving.save(container, "--file-locks").ok()
    saving.restore(container, "--file-locks").ok()
    says_again(container, "locked")


# -- memory over the network -----------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def serve(criu: Path, workspace: Path) -> Iterator[Serve]:
    """serve(verb, images, port): criu as a server on the loopback interface."""
    started: list[subprocess.Popen[bytes]] = []

    def start(verb: str, images: Path, port: int, *flags: str) -> subprocess.Popen[bytes]:
        read, write = os.pipe()
        started.append(
            subprocess.Popen(
                [criu, verb, *flags, "-D", images, "--address", "127.0.0.1", "--port", str(port),
                 "--status-fd", str(write), "-o", f"{verb}.log"],
                pass_fds=[write],
            )
        )  # fmt: skip
        os.close(write)
        os.read(read, 1)  # it serves now
        os.close(read)
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@feature("2.93 --page-server ADDR:PORT")
def test_memory_is_sent_to_a_page_server(
    saving: Saving,
    counting: Container,
    workspace: Path,
    serve: Serve,
) -> None:
    received = workspace / "received"
    received.mkdir(mode=0o700)
    port = free_port()
    server = serve("page-server", received, port)
    saving.save(counting, "--page-server", f"127.0.0.1:{port}").ok()
    server.wait(20)
    assert not list(saving.images.glob("pages-*.img"))
    for image in received.glob("page*.img"):
        image.rename(saving.images / image.name)
    saving.restore(counting).ok()
    goes_on(counting)


@pytest.fixture
def large_pipes() -> Iterator[None]:
    """Criu serves memory through pipes of 4 MiB, for which root of some machines has no right."""
    sysctl = Path("/proc/sys/fs/pipe-max-size")
    before = sysctl.read_text()
    if int(before) < 4 << 20:
        sysctl.write_text(str(4 << 20))
    yield
    sysctl.write_text(before)


@feature("2.92 --lazy-pages + --status-fd")
@pytest.mark.usefixtures("large_pipes")
def test_memory_follows_when_it_is_needed(
    saving: Saving, counting: Container, criu: Path, serve: Serve
) -> None:
    need_feature(criu, "uffd-noncoop", "CONFIG_USERFAULTFD")
    port = free_port()
    checkpoint = lazy_checkpoint(saving, counting, port)
    try:
        serve("lazy-pages", saving.images, port, "--page-server")
        # The first one waits, stopped, until all of its memory has gone.
        moved = Container(saving.runtime, saving.runtime.new_id(), counting.config)
        saving.made.append(moved)
        saving.restore(moved, "--lazy-pages", "--work-path", saving.images).ok()
        goes_on(moved)
        assert checkpoint.wait(30) == 0
    finally:
        checkpoint.kill()
        checkpoint.wait()
    assert "does not exist" in counting.command("state").stderr


def lazy_checkpoint(saving: Saving, container: Container, port: int) -> subprocess.Popen[bytes]:
    """A checkpoint that has said that it is ready to serve memory."""
    read, write = os.pipe()
    flags = ("--lazy-pages", "--page-server", f"127.0.0.1:{port}", "--status-fd", str(write))
    argv = saving.runtime.argv("checkpoint", "--image-path", saving.images, *flags, container.id)
    checkpoint = subprocess.Popen(argv, pass_fds=[write])
    os.close(write)
    said = os.read(read, 1)
    os.close(read)
    if said != b"\0":
        checkpoint.wait()
        pytest.fail("the checkpoint has not become ready")
    return checkpoint


def test_a_container_that_serves_its_memory_can_be_deleted(
    pyrunc: Runtime, saving: Saving, counting: Container, criu: Path
) -> None:
    """Criu holds its processes, and they cannot end before it lets go."""
    need_feature(criu, "uffd-noncoop", "CONFIG_USERFAULTFD")
    checkpoint = lazy_checkpoint(saving, counting, free_port())
    checkpoint.kill()
    checkpoint.wait()
    counting.delete().ok()


@feature("2.98 --auto-dedup")
def test_images_are_emptied_while_they_are_restored(saving: Saving, counting: Container) -> None:
    saving.save(counting).ok()
    used = sum(path.stat().st_blocks for path in saving.images.glob("pages-*.img"))
    saving.restore(counting, "--auto-dedup").ok()
    goes_on(counting)
    assert sum(path.stat().st_blocks for path in saving.images.glob("pages-*.img")) < used


# -- the rest of the flags -------------------------------------------------------------------------


@feature("2.97 --empty-ns network")
def test_a_network_is_left_empty_when_asked(
    pyrunc: Runtime, saving: Saving, counting: Container
) -> None:
    address = ("exec", "ip", "-4", "addr", "show", "lo")
    assert "127.0.0.1" in counting.command(*address).ok().stdout
    saving.save(counting, "--leave-running").ok()
    counting.delete().ok()
    saving.restore(counting).ok()
    assert "127.0.0.1" in counting.command(*address).ok().stdout
    saving.save(counting, "--empty-ns", "network").ok()
    saving.restore(counting, "--empty-ns", "network").ok()
    assert "127.0.0.1" not in counting.command(*address).ok().stdout
    refused = saving.save(counting, "--empty-ns", "pid")
    assert 'namespace "pid" is not supported' in refused.error


@feature("2.99 --network-lock iptables|nftables|skip")
@pytest.mark.parametrize("how", ["iptables", "nftables", "skip"])
def test_the_network_is_locked_as_asked(
    pyrunc: Runtime, saving: Saving, config: Config, keeper: Path, how: str
) -> None:
    container = keep(saving, config, keeper, "connection", "accept")
    saving.save(container, "--tcp-established", "--network-lock", how).ok()
    saving.restore(container, "--tcp-established", "--network-lock", how).ok()
    says_again(container, "connected")


@feature("2.103 excerpt of the CRIU log in the error")
def test_an_error_shows_what_criu_says(
    pyrunc: Runtime, saving: Saving, config: Config, keeper: Path
) -> None:
    container = keep(saving, config, keeper, "lock", "/tmp/lock")
    result = saving.save(container)
    assert result.error.startswith(f"pyrunc: checkpoint {container.id}: criu cannot save")
    assert "lock" in result.error
    assert f"{saving.images}/dump.log" in result.stderr
    assert "Error (criu/" in result.stderr
    assert "--file-locks" in result.stderr
    says_again(container, "locked")
