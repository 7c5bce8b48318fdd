# SPDX-License-Identifier: Apache-2.0
"""What Podman asks of mounts, ids and descriptors beyond the plain, as root and as a user."""

from __future__ import annotations

import os
from pathlib import Path

from conformance.engines.engine import command, eventually, expect
from conformance.engines.podman_client import Podman


def volume(engine: Podman, name: str) -> Path:
    """Make a directory of the user with a file in it."""
    directory = engine.directory / name
    if not directory.is_dir():
        directory.mkdir()
        (directory / "file").write_text("content")
        owner = engine.directory.stat()
        for path in (directory, directory / "file"):
            os.chown(path, owner.st_uid, owner.st_gid)
    return directory


def test_the_mounts_of_systemd(engine: Podman) -> None:
    """Podman gives a program that is or claims to be systemd its own kind of mounts."""
    text = (
        "echo $container; for d in /run /tmp /run/lock /var/log/journal; do stat -f -c %T $d; done"
    )
    outcome = engine.run("--systemd", "always", "bb:1", "sh", "-c", text).ok()
    words = outcome.output.split()
    expect(words[0] in ("podman", "oci") and words[1:] == ["tmpfs"] * 4, outcome.output)


def test_a_volume_is_given_to_the_user(engine: Podman) -> None:
    source = volume(engine, "given")
    options = ("-v", f"{source}:/v:U", "--user", "1000:1000")
    outcome = engine.run(*options, "bb:1", "sh", "-c", "stat -c %u /v/file; echo more >>/v/file")
    expect(outcome.ok().text == "1000", outcome.output)


def test_a_file_system_over_a_directory_of_the_host(engine: Podman) -> None:
    """What the container writes stays in a layer above the directory."""
    source = volume(engine, "covered")
    options = ("-v", f"{source}:/v:O")
    text = "cat /v/file; echo; echo changed >/v/file; cat /v/file"
    outcome = engine.run(*options, "bb:1", "sh", "-c", text).ok()
    expect(outcome.output == "content\nchanged\n", outcome.output)
    expect((source / "file").read_text() == "content", "the directory of the host changed")


def test_an_id_mapped_volume(engine: Podman) -> None:
    """Files of the host's root are root's inside, too, whatever ids the container has."""
    source = volume(engine, "mapped")
    options = ("--uidmap", "0:100000:5000", "--gidmap", "0:100000:5000")
    outcome = engine.run(
        *options, "-v", f"{source}:/v:idmap", "bb:1", "stat", "-c", "%u", "/v/file"
    )
    expect(outcome.ok().text == "0", outcome.output)


def test_descriptors_are_kept(engine: Podman) -> None:
    """The third and fourth descriptor of whoever starts Podman reach the program."""
    argv = " ".join(engine.argv("run", "--rm", "--network", "none", "--preserve-fds", "2", "bb:1"))
    script = f"exec 3<{volume(engine, 'kept')}/file 4</dev/null; exec {argv} sh -c 'cat <&3'"
    outcome = command("sh", "-c", script, env=engine.environment)
    expect(outcome.ok().text == "content", outcome.output)


def test_a_health_check_that_fails_ends_the_container(engine: Podman) -> None:
    check = ("--health-cmd", "exit 3", "--health-interval", "disable", "--health-retries", "1")
    engine.start("sick", *check, "--health-on-failure", "kill")
    engine.podman("healthcheck", "run", "sick")
    eventually(lambda: engine.status("sick") == "exited", "it goes on")
    engine.remove("sick")
