# SPDX-License-Identifier: Apache-2.0
"""What `check` warns about: settings that hand the host away, and rules that do not do what they
seem to.
"""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

import pytest

from pyrunc.commands import security_warnings
from pyrunc.seccomp import lint
from pyrunc.spec.config import parse_config
from pyrunc.spec.constants import CAP_NAMES
from tests.seccomp import support
from tests.seccomp.profiles_list import PROFILES
from tests.seccomp.support import profile, rule

TREE = pathlib.Path(__file__).parents[3]


def config(**changes: Any) -> dict[str, Any]:
    """A configuration without a warning, with sections replaced: `linux`, `process` and `root` by
    member.
    """
    kinds = ("pid", "network", "ipc", "uts", "mount", "cgroup")
    base: dict[str, Any] = {
        "ociVersion": "1.3.0",
        "process": {"cwd": "/", "args": ["true"], "user": {"uid": 0, "gid": 0}},
        "root": {"path": "rootfs"},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {
            "namespaces": [{"type": kind} for kind in kinds],
            "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger"],
            "seccomp": support.load("docker-default"),
        },
    }
    for section, members in changes.items():
        if section == "mounts":
            base["mounts"] += members
        else:
            base[section].update(members)
    return base


def warned(made: dict[str, Any]) -> list[tuple[str, str]]:
    """(name, pointer) of each warning."""
    problems = security_warnings.security_warnings(parse_config(json.dumps(made).encode()))
    found = []
    for problem in problems:
        match = re.search(r"\[([a-z-]+)\]$", problem.message)
        assert match, problem.message
        found.append((match[1], problem.pointer))
    return found


def without(kind: str, path: str = "") -> list[dict[str, str]]:
    kept = [one for one in config()["linux"]["namespaces"] if one["type"] != kind]
    return [*kept, {"type": kind, "path": path}] if path else kept


def capabilities(*names: str) -> dict[str, Any]:
    sets = ("bounding", "permitted", "effective")
    return {"capabilities": {each: list(names) for each in sets}}


def bind(source: str, *options: str) -> list[dict[str, Any]]:
    return [{"destination": "/x", "type": "bind", "source": source, "options": ["rbind", *options]}]


USER = {
    "namespaces": [*config()["linux"]["namespaces"], {"type": "user"}],
    "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
    "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
}


@pytest.mark.parametrize(
    "made",
    [
        config(),
        config(mounts=bind("/etc", "ro")),
        config(mounts=bind("/etc", "rw", "rro")),
        config(mounts=bind("/srv/data")),
        config(mounts=bind("/etc/ssl")),
        config(process=capabilities("CAP_NET_ADMIN", "CAP_SYS_PTRACE")),
        config(process=capabilities(*CAP_NAMES), linux={**USER, "seccomp": profile("ALLOW")}),
        config(linux={"devices": [{"path": "/dev/null", "type": "c", "major": 1, "minor": 3}]}),
        config(linux={"resources": {"devices": [{"allow": False, "access": "rwm"}]}}),
        config(linux={"resources": {"devices": [{"allow": True, "type": "c", "access": "m"}]}}),
    ],
)
def test_an_ordinary_configuration_has_no_warning(made: dict[str, Any]) -> None:
    assert warned(made) == []


CAPABILITIES = "/process/capabilities"


@pytest.mark.parametrize(
    ("made", "name", "pointer"),
    [
        (
            config(process=capabilities("CAP_SYS_PTRACE"), linux={"namespaces": without("pid")}),
            "host-ptrace",
            CAPABILITIES,
        ),
        (
            config(process=capabilities(*CAP_NAMES), linux={"seccomp": None}),
            "unfiltered",
            "/linux/seccomp",
        ),
        (
            config(process=capabilities(*CAP_NAMES), linux={"seccomp": profile("ALLOW")}),
            "unfiltered",
            "/linux/seccomp",
        ),
        *[
            (config(process=capabilities(name)), "strong-capability", CAPABILITIES)
            for name in security_warnings.STRONG_CAPABILITIES
        ],
        (config(mounts=bind("/")), "host-path", "/mounts/1/options"),
        (config(mounts=bind("/etc/../usr//", "ro", "rw")), "host-path", "/mounts/1/options"),
        (config(mounts=bind("/run/docker.sock", "ro")), "host-path", "/mounts/1/source"),
        (
            config(linux={"namespaces": without("mount"), "readonlyPaths": []}),
            "host-root",
            "/linux/namespaces",
        ),
        (config(root={"path": "//"}), "host-root", "/root/path"),
        (
            config(linux={"resources": {"devices": [{"allow": True, "access": "rwm"}]}}),
            "host-devices",
            "/linux/resources/devices/0",
        ),
        (
            config(linux={"devices": [{"path": "/dev/sda", "type": "b", "major": 8, "minor": 0}]}),
            "host-devices",
            "/linux/devices/0",
        ),
        (
            config(linux={"devices": [{"path": "/dev/m", "type": "c", "major": 1, "minor": 1}]}),
            "host-devices",
            "/linux/devices/0",
        ),
        (
            config(process=capabilities("CAP_NET_ADMIN"), linux={"namespaces": without("network")}),
            "host-network",
            CAPABILITIES,
        ),
        (
            config(
                process=capabilities("CAP_NET_ADMIN"),
                linux={"namespaces": without("network", "/proc/1/ns/net")},
            ),
            "host-network",
            CAPABILITIES,
        ),
        (config(linux={"readonlyPaths": []}), "writable-proc-sys", "/mounts/0"),
        (
            config(
                mounts=[{"destination": "/cg", "type": "cgroup", "source": "cgroup"}],
                linux={"namespaces": without("cgroup")},
            ),
            "writable-cgroup",
            "/mounts/1",
        ),
        (
            config(linux={**USER, "uidMappings": [{"containerID": 0, "hostID": 0, "size": 1}]}),
            "mapped-root",
            "/linux/uidMappings/0",
        ),
        (
            config(linux={"rootfsPropagation": "shared"}),
            "shared-mounts",
            "/linux/rootfsPropagation",
        ),
        (config(mounts=bind("/srv", "rshared")), "shared-mounts", "/mounts/1/options"),
    ],
)
def test_a_setting_that_hands_the_host_away_is_named(
    made: dict[str, Any], name: str, pointer: str
) -> None:
    assert (name, pointer) in warned(made)


def names_of(made: dict[str, Any], *ignored: str) -> list[tuple[str, str]]:
    found = lint.warnings(support.node(made), ignored=ignored)
    return [(problem.message.rsplit("[", 1)[-1].rstrip("]"), problem.pointer) for problem in found]


RULE = "/linux/seccomp/syscalls/0"
ARG = f"{RULE}/args/0"


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (
            profile("ALLOW", rule("ioctl", "ERRNO", (1, "EQ", 0x5412))),
            [("evadable-comparison", ARG)],
        ),
        (
            profile("ALLOW", rule("clone", "ERRNO", (0, "LE", 5)), rule("clone3", "ERRNO")),
            [("evadable-comparison", ARG)],
        ),
        (
            profile("ALLOW", rule("personality", "KILL", (0, "LT", 9))),
            [("evadable-comparison", ARG)],
        ),
        (profile("ERRNO", rule("socket", "ALLOW", (0, "NE", 40))), [("evadable-comparison", ARG)]),
        (profile("ERRNO", rule("socket", "ALLOW", (0, "GT", 40))), [("evadable-comparison", ARG)]),
        (
            profile("ALLOW", rule("ioctl", "ERRNO", (1, "MASKED_EQ", 2**64 - 1, 0x5412))),
            [("evadable-comparison", ARG)],
        ),
        (profile("ALLOW", rule("ioctl", "ERRNO", (1, "MASKED_EQ", 2**32 - 1, 0x5412))), []),
        (profile("ALLOW", rule("ioctl", "ERRNO", (1, "NE", 0x5412))), []),
        (profile("ALLOW", rule("ioctl", "ERRNO", (2, "EQ", 0x5412))), []),
        (profile("ALLOW", rule("lseek", "ERRNO", (1, "EQ", 0x5412))), []),
        (profile("ERRNO", rule("personality", "ALLOW", (0, "EQ", 0))), []),
        (profile("ERRNO", rule("socket", "ALLOW", (0, "LT", 12))), []),
        (
            profile("ALLOW", rule("lseek", "ERRNO", (1, "MASKED_EQ", 0xF0, 0x13F))),
            [("stray-mask-bits", ARG + "/valueTwo")],
        ),
        (
            profile("ERRNO", rule("lseek", "LOG", (1, "EQ", 1)), rule("lseek", "ALLOW")),
            [("shadowed-rule", RULE)],
        ),
        (
            profile("ALLOW", rule("read", "LOG"), rule("read", "KILL")),
            [("shadowed-rule", "/linux/seccomp/syscalls/1")],
        ),
        (profile("ERRNO", rule("read", "ALLOW"), rule("read write", "ALLOW")), []),
        (
            profile(
                "ERRNO",
                rule("clone", "ALLOW", (0, "MASKED_EQ", 0x7E020000, 0)),
                rule("clone3", "ALLOW"),
            ),
            [("successor-passes", RULE)],
        ),
        (profile("ALLOW", rule("openat", "ERRNO")), [("successor-passes", RULE)]),
        (profile("ALLOW", rule("openat openat2", "ERRNO")), []),
        (profile("ERRNO", rule("clone clone3", "ALLOW")), []),
    ],
)
def test_a_rule_that_does_not_do_what_it_seems_to_is_named(
    made: dict[str, Any], wanted: list[tuple[str, str]]
) -> None:
    """SC-5"""
    assert names_of(made) == wanted


def test_the_advice_names_the_mask_and_the_value() -> None:
    """SC-5"""
    made = profile("ALLOW", rule("ioctl", "ERRNO", (1, "EQ", 0x5412)))
    (problem,) = lint.warnings(support.node(made))
    assert '"value": 4294967295, "valueTwo": 21522' in problem.line()


def test_names_that_the_compiler_did_not_know_are_named() -> None:
    made = profile("ALLOW", rule("read opnat", "ERRNO"))
    assert names_of(made, "opnat") == [("unknown-syscall", RULE + "/names")]


@pytest.mark.parametrize("name", ["docker-default", "containerd-default"])
def test_the_default_profiles_of_the_engines_have_no_warning(name: str) -> None:
    assert names_of(PROFILES[name]) == []


def test_no_profile_has_no_warning() -> None:
    assert lint.warnings(None) == []


def test_every_warning_is_explained_in_the_documentation() -> None:
    text = (TREE / "docs/security-warnings.md").read_text()
    documented = set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE))
    source = pathlib.Path(lint.__file__).read_text()
    in_lint = set(re.findall(r"\[([a-z]+-[a-z-]+)\]", source))
    assert documented == set(security_warnings.RULES) | in_lint
