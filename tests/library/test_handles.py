# SPDX-License-Identifier: Apache-2.0
"""Lists, handles of existing containers, bundles of the caller, containers that stay, terminals."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import pyrunc
from tests.support import machine
from tests.support.bundle import Config
from tests.support.runtime import TREE
from tests.support.wait import until

pytestmark = pytest.mark.root
Script = Callable[[str], pyrunc.Spec]
Namer = Callable[[], str]


def test_the_list_has_what_the_command_prints(
    library: pyrunc.Runtime, script: Script, root: Path
) -> None:
    assert library.list() == []
    with library.create(script("sleep 60").annotation("a", "b")) as one:
        with library.create(script("sleep 60")) as two:
            one.start()
            entries = library.list()
            argv: list[str | Path] = [TREE / "bin/pyrunc", "--root", root, "list", "-f", "json"]
            printed = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
        for entry, row in zip(entries, printed, strict=True):
            found = (entry.id, entry.pid, entry.status, entry.bundle, entry.created)
            assert found == tuple(row[k] for k in ("id", "pid", "status", "bundle", "created"))
        assert {entry.id: entry.status for entry in entries} == {
            one.id: "running",
            two.id: "created",
        }
        assert {entry.annotations.get("a") for entry in entries} == {"b", None}
        assert {entry.owner for entry in entries} == {os.geteuid()}
        (entry,) = library.list()
        with library.get(entry.id) as handle:
            assert handle.pid == entry.pid


def test_a_container_that_was_detached_stays_until_somebody_deletes_it(
    library: pyrunc.Runtime, script: Script, root: Path
) -> None:
    with library.create(script("sleep 60"), detach=True) as container:
        container.start()
    assert pyrunc.Runtime(root).doctor() == []
    with library.get(container.id) as again:
        assert again.status == "running"
        assert os.path.isdir(library.bundle_path(container.id))
        again.delete(force=True)
    assert library.ids() == []
    assert not os.path.exists(library.bundle_path(container.id))


def test_the_bundle_of_a_container_that_a_command_deleted_goes_with_its_program(
    library: pyrunc.Runtime, script: Script, root: Path
) -> None:
    container = library.create(script("sleep 60"), detach=True)
    subprocess.run([TREE / "bin/pyrunc", "--root", root, "delete", "-f", container.id], check=True)
    container.close()
    bundle = Path(library.bundle_path(container.id))
    assert library.doctor() == []  # the program that made it lives
    (bundle / "owner").write_text(f"{os.getpid()}:1")
    assert library.doctor() == [container.id]
    assert not bundle.exists()


def test_a_bundle_of_the_caller_is_used_where_it_is(
    library: pyrunc.Runtime, config: Config, name: Namer
) -> None:
    config.process["args"] = ["sh", "-c", "echo here"]
    config.write()
    before = sorted(os.listdir(config.bundle)), (config.bundle / "config.json").read_bytes()
    assert library.check(config.bundle).ok
    assert library.explain(str(config.bundle)).operations
    assert library.run(config.bundle).text == "here\n"
    with library.create(config.bundle, id=name()) as container:
        assert container.state["bundle"] == str(config.bundle)
        assert container.spec.get("/root/path") == str(config.rootfs)
        assert container.spec.get("/annotations/org.pyrunc.owner") is None
    assert before == (
        sorted(os.listdir(config.bundle)),
        (config.bundle / "config.json").read_bytes(),
    )
    with pytest.raises(pyrunc.UsageError, match="is no directory"):
        library.create(config.bundle / "config.json")


def test_policies_rule_over_bundles_of_the_caller(root: Path, config: Config) -> None:
    config.process["args"] = ["sh", "-c", "echo $A"]
    config.write()
    library = pyrunc.Runtime(root, policies=[lambda spec, host: spec.env(A="policy")])
    assert library.run(config.bundle).text == "policy\n"
    (line,) = library.explain(config.bundle).policies
    assert "/process/env" in line


KILLED = """
import sys
sys.path[:0] = {paths!r}
import pyrunc
container = pyrunc.Runtime({root!r}).create({bundle!r}, id={name!r})
container.start()
print("ready", flush=True)
sys.stdin.read()
"""


def test_what_a_killed_program_made_of_a_bundle_is_removed_too(
    library: pyrunc.Runtime, config: Config, root: Path, name: Namer
) -> None:
    import sys

    config.process["args"] = ["sleep", "60"]
    config.write()
    taken = name()
    site = next((TREE / ".venv/lib").glob("python3*/site-packages"))
    text = KILLED.format(
        paths=[str(TREE), str(site)], root=str(root), bundle=str(config.bundle), name=taken
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", text], **pipes) as program:  # type: ignore[call-overload]
        assert program.stdout.readline() == b"ready\n"
        program.kill()
    assert library.doctor() == [taken]
    assert config.bundle.exists()


def test_the_configuration_of_a_container_makes_another_one(
    library: pyrunc.Runtime, script: Script
) -> None:
    spec = script("cat /bin/x 2>/dev/null; echo $A").env(A="1").without_user_namespace()
    for kind in (spec, spec.ephemeral()):
        with library.create(kind) as container:
            assert container.spec == kind
            assert library.run(container.spec).text == "1\n"


def test_what_a_terminal_shows_is_the_output(library: pyrunc.Runtime, script: Script) -> None:
    spec = script("stty size; read a; echo got $a; exit 3").terminal(rows=7, columns=9)
    done = library.run(spec, input=b"typed\n", timeout=20)
    assert done.returncode == 3
    assert done.stdout.replace(b"typed\r\n", b"", 1) == b"7 9\r\ngot typed\r\n"
    with library.create(script("sleep 60")) as container:
        container.start()
        done = container.exec(["sh", "-c", "tty; cat"], terminal=True, input=b"a\n\x04", timeout=20)
        assert done.returncode == 0
        assert sorted(done.stdout.split()) == [b"/dev/pts/0", b"a", b"a"]  # one is the echo
        endless = container.exec(["sh", "-c", "yes"], terminal=True, timeout=0.3)
        assert endless.timed_out


def test_a_signal_has_a_name_or_a_number(library: pyrunc.Runtime, script: Script) -> None:
    for signal, code in (("TERM", 143), ("SIGUSR1", 138), (9, 137)):
        with library.create(script("while :; do sleep 1; done")) as container:
            container.start()
            with container.spawn(["sleep", "60"]) as process:
                assert process.kill(signal)
                assert process.wait(10) == code
    container = library.create(script("true"))
    with container, pytest.raises(pyrunc.Failure, match="NOSUCH"):
        container.kill("NOSUCH")


def test_limits_are_changed_by_the_words_of_a_spec(library: pyrunc.Runtime, script: Script) -> None:
    with library.create(script("sleep 60").limit(pids=20, memory="64m")) as container:
        container.start()
        container.update(pids=30, memory="32m")
        assert container.stats().pids.limit == 30
        assert container.stats().memory.limit == 32 << 20
        with pytest.raises(pyrunc.UsageError, match="nothing to update"):
            container.update()


def test_a_program_is_a_list_of_words(library: pyrunc.Runtime, script: Script) -> None:
    with library.create(script("sleep 60")) as container:
        container.start()
        wrong: Sequence[str]
        user: Any
        for wrong in ("ls -l", [], ()):
            with pytest.raises(pyrunc.UsageError, match="a program and its arguments"):
                container.exec(wrong)
        assert container.exec(["id", "-u"], user=7).text == "7\n"
        for user in ("root", (1, 2, 3), ("1", "2")):
            with pytest.raises(pyrunc.UsageError, match="names are not looked up"):
                container.exec(["id"], user=user)


def test_a_checkpoint_and_back_with_new_streams(
    library: pyrunc.Runtime, script: Script, workspace: Path, criu: Path
) -> None:
    """The program counts on where it was, into the pipe of the new handle."""
    text = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done"
    spec = script(text).without_user_namespace()
    container = library.create(spec, stdout=pyrunc.PIPE)
    with container:
        container.start()
        first = b""
        while first.count(b"\n") < 5:
            first += container.stdout.read(4096)
        container.checkpoint(workspace / "images")
        while part := container.stdout.read(4096):
            first += part
        assert library.ids() == []
        with container.restore(workspace / "images", stdout=pyrunc.PIPE) as again:
            assert again.id == container.id
            assert again.status == "running"
            assert again.spec == spec
            second = b""
            while second.count(b"\n") < 5:
                second += again.stdout.read(4096)
            assert again.exec(["sh", "-c", "exit 4"]).returncode == 4
            again.kill()
            assert again.wait(10) == 137  # it is our child
    numbers = [int(word) for word in (first + second).split(b"\n")[:-1]]
    assert numbers[0] == 1
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_container_that_shall_stay_and_another_one_from_its_images(
    library: pyrunc.Runtime, script: Script, workspace: Path, criu: Path
) -> None:
    spec = script("while :; do sleep 0.1; done").without_user_namespace()
    with library.create(spec) as container:
        container.start()
        container.checkpoint(workspace / "images", leave_running=True)
        assert container.status == "running"
        with library.restore(workspace / "images", spec) as twin:
            assert {twin.status, container.status} == {"running"}
            until(lambda: len(twin.processes()) > 0, "it runs")
    with library.create(spec.ephemeral()) as container:
        container.start()
        with pytest.raises(pyrunc.Failure, match="ephemeral root cannot be saved"):
            container.checkpoint(workspace / "others")
    with pytest.raises(pyrunc.Failure, match="others"):
        library.restore(workspace / "others", spec)


def test_pipes_are_files_and_what_they_leave_is_for_communicate(
    library: pyrunc.Runtime, script: Script
) -> None:
    pipes = {"stdin": pyrunc.PIPE, "stdout": pyrunc.PIPE}
    with library.create(script("while read a; do echo got $a; done; echo end"), **pipes) as one:  # type: ignore[arg-type]
        one.start()
        for word in (b"1", b"2"):
            one.stdin.write(word + b"\n")
            assert one.stdout.readline() == b"got " + word + b"\n"
        assert one.communicate(b"3\n", timeout=20).stdout == b"got 3\nend\n"
    with library.create(script("cat; echo end"), **pipes) as one:  # type: ignore[arg-type]
        one.start()
        one.stdin.write(b"x")
        one.stdin.close()
        assert one.stdout.readall() == b"xend\n"
        assert one.wait(10) == 0
        with pytest.raises(pyrunc.StateError, match="stderr is no open pipe"):
            one.stderr  # noqa: B018


def test_a_bind_with_its_ids_can_be_written_to(
    library: pyrunc.Runtime, script: Script, workspace: Path
) -> None:
    """Without, the directory of the host's root is nobody's in the user namespace."""
    made = workspace / "made"
    made.mkdir()
    writes = script("echo x >/mnt/file")
    assert library.run(writes.bind(made, "/mnt", readonly=False)).returncode == 1
    assert library.run(writes.bind(made, "/mnt", readonly=False, idmap=True)).returncode == 0
    assert (made / "file").stat().st_uid == 0


def test_a_handle_that_nobody_closes_is_closed_with_a_warning(
    library: pyrunc.Runtime, script: Script
) -> None:
    handles = [library.create(script("sleep 60"), stdout=pyrunc.PIPE)]
    name, fd = handles[0].id, handles[0].pidfd
    with pytest.warns(ResourceWarning, match=name):
        handles.clear()  # without cycles: nothing waits for the collector
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    library.delete(name, force=True)
    machine.reap()


def test_a_container_that_exists_is_not_restored_and_a_failed_restore_can_be_repeated(
    library: pyrunc.Runtime, script: Script, workspace: Path, criu: Path
) -> None:
    images = workspace / "images"
    spec = script("while :; do sleep 0.1; done").without_user_namespace()
    with library.create(spec, files={"kept": b"data"}) as container:
        container.start()
        with pytest.raises(pyrunc.StateError, match="exists"):
            container.restore(images)
        assert container.status == "running"
        container.checkpoint(images)
        with pytest.raises(pyrunc.Failure, match="nowhere"):
            container.restore(workspace / "nowhere")
        again = container.restore(images)
        assert Path(library.bundle_path(again.id), "kept").read_bytes() == b"data"
    assert again.status == "running"  # the block of the old handle has left it alone
    again.delete(force=True)
