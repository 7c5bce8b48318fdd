# SPDX-License-Identifier: Apache-2.0
"""What `check` says of a bundle is what `create` and `start` do with it, and it leaves no trace."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.invalid import corpus
from tests.support.bundle import Config
from tests.support.mistake_acts import Mistake, as_mistakes
from tests.support.runtime import Result, Runtime

# They are found only by doing it: a hook's own ending, how long it takes, and options of the
# command line that `check` does not have.
NOT_FORESEEN = (
    "hook fails",
    "hook takes too long",
    "no terminal socket",
    "console socket missing",
)


@dataclass
class Asked(Runtime):
    """Asks `check` before each `create`."""

    answers: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, *args: str | Path, **more: Any) -> Result:
        if args[0] == "create":
            flags = ["--no-schema", "--format", "json", "--id", str(args[-1])]
            bundle = args[args.index("--bundle") + 1]
            prefix = more.get("prefix", ())
            result = super().__call__("check", *flags, bundle, prefix=prefix)
            self.answers.append({"status": result.status, **json.loads(result.stdout)})
        return super().__call__(*args, **more)


def tree(root: Path) -> list[tuple[str, int]]:
    return [(str(path), path.lstat().st_mode) for path in sorted(root.rglob("*"))]


VOLUME = {"destination": "/mnt", "source": "VOLUME", "options": ["bind", "rw"]}
BELOW = {"destination": "/mnt/below", "type": "tmpfs", "source": "tmpfs"}


@pytest.mark.parametrize("user_namespace", [False, True])
def test_check_makes_nothing(pyrunc: Runtime, config: Config, user_namespace: bool) -> None:
    """Neither in the image nor in a volume, where mount points and devices are missing."""
    volume = config.bundle / "volume"
    volume.mkdir()
    config["mounts"] += [{**VOLUME, "source": str(volume)}, BELOW]
    config.bind(volume, "/absent/in/the/image")
    config.linux["devices"] = [{"path": "/etc/null", "type": "c", "major": 1, "minor": 3}]
    config.hook("createRuntime", "/bin/touch", config.bundle / "touched")
    config.hook("createContainer", "/bin/touch", "/touched")
    if user_namespace:
        config.user_namespace()
    config.write()
    before = tree(config.bundle)
    answer = check(pyrunc, config)
    after = tree(config.bundle)
    assert before == after
    assert not [one for one in pyrunc.root.iterdir() if not one.name.startswith(".")]
    assert bool(answer["errors"]) == user_namespace  # its root may not write into root's image


def test_a_loader_that_is_missing_is_found(pyrunc: Runtime, config: Config) -> None:
    head = bytearray(120)
    head[:6] = b"\x7fELF\x02\x01"
    head[18:20] = {"x86_64": 62, "aarch64": 183}[os.uname().machine].to_bytes(2, "little")
    head[32:40], head[54:56], head[56:58] = (64).to_bytes(8, "little"), b"\x38\0", b"\1\0"
    head[64:68], head[72:80] = b"\3\0\0\0", (120).to_bytes(8, "little")
    program = config.file("/bin/dynamic", mode=0o755)
    program.write_bytes(bytes(head) + b"/lib/no-loader.so\0")
    config.process["args"] = ["dynamic"]
    (error,) = check(pyrunc, config)["errors"]
    assert error["pointer"] == "/process/args"
    assert "exec /bin/dynamic: no such file or directory" in error["reason"]
    assert "loader" in error["hint"]
    assert not check(pyrunc, config, "--offline")["errors"]


def test_a_hook_that_the_container_does_not_have_is_found(pyrunc: Runtime, config: Config) -> None:
    config.hook("startContainer", "/bin/true")
    assert not check(pyrunc, config)["errors"]
    config.hook("startContainer", "/no/such/hook")
    (error,) = check(pyrunc, config)["errors"]
    assert error["pointer"] == "/hooks/startContainer/1"
    assert "fork/exec /no/such/hook: no such file or directory" in error["reason"]


def test_one_mapped_id_is_a_warning(pyrunc: Runtime, config: Config) -> None:
    config.user_namespace(size=1)
    config.process["user"] = {"uid": 0, "gid": 0}
    pointers = [one["pointer"] for one in check(pyrunc, config)["warnings"]]
    assert "/linux/uidMappings" in pointers


def test_without_privileges_the_image_is_tried_as_well(
    pyrunc: Runtime, config: Config, workspace: Path
) -> None:
    config.user_namespace(host_id=65534, size=1)
    config.linux["cgroupsPath"] = ""
    config["mounts"] = [one for one in config["mounts"] if one["type"] in ("proc", "tmpfs")]
    config.process["args"] = ["no-such-program"]
    config.write()
    for path in (workspace, *workspace.parents):
        if path.is_relative_to("/tmp") and path != Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o055)
    root = workspace / "nobody"
    root.mkdir()
    os.chown(root, 65534, 65534)
    before = tree(config.bundle)
    asked = pyrunc(
        "--root", root, "check", "--no-schema", "--format", "json", config.bundle,
        prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
    )  # fmt: skip
    answer = json.loads(asked.stdout)
    assert [one["pointer"] for one in answer["errors"]] == ["/process/args/0"], answer
    assert not [one for one in answer["warnings"] if "not everything" in one["reason"]]
    assert tree(config.bundle) == before


def check(runtime: Runtime, config: Config, *flags: str) -> dict[str, Any]:
    config.write()
    result = runtime("check", "--no-schema", "--format", "json", *flags, config.bundle)
    return {"status": result.status, **json.loads(result.stdout)}


MADE = [one for one in as_mistakes() if one.name not in NOT_FORESEEN]


@pytest.mark.parametrize("mistake", MADE, ids=lambda mistake: mistake.name)
def test_check_says_what_create_does(
    pyrunc: Runtime, make_config: Callable[[], Config], mistake: Mistake
) -> None:
    asked = Asked(pyrunc.program, pyrunc.root)
    result = mistake.act(asked, make_config())
    if asked.answers:  # else the mistake is another command's
        agree(asked.answers[-1], result, mistake)


def agree(answer: dict[str, Any], result: Result, mistake: Mistake) -> None:
    assert bool(answer["errors"]) == bool(result.status), (answer, result.stderr)
    if mistake.place.startswith("/") and result.status:
        assert any(one["pointer"].startswith(mistake.place) for one in answer["errors"]), answer


@pytest.mark.parametrize("name", corpus.cases())
def test_check_refuses_what_create_refuses(pyrunc: Runtime, config: Config, name: str) -> None:
    (config.bundle / "config.json").write_bytes(corpus.build(corpus.case(name)))
    result = pyrunc("check", "--no-schema", "--format", "json", config.bundle)
    assert result.status == 1
    pointers = [one["pointer"] for one in json.loads(result.stdout)["errors"]]
    assert pointers == [corpus.case(name)["pointer"]]
    assert pyrunc("create", "--bundle", config.bundle, pyrunc.new_id()).status == 1


def test_a_terminal_is_tried_without_a_reader(pyrunc: Runtime, config: Config) -> None:
    config.process["terminal"] = True
    config.write()
    assert "0 error(s)" in pyrunc("check", config.bundle).ok().lines[-1]
