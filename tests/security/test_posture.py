# SPDX-License-Identifier: Apache-2.0
"""S7: all that a program finds around it, compared with what the config says. Anything else fails.

Known-bad tests find what somebody thought of; this finds what nobody did.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import mountinfo
from tests.support.bundle import CAPABILITY_SETS, PATH, Config
from tests.support.runtime import Runtime

FIELDS = {
    "bounding": "CapBnd",
    "effective": "CapEff",
    "inheritable": "CapInh",
    "permitted": "CapPrm",
    "ambient": "CapAmb",
}
BITS = {"CAP_KILL": 5, "CAP_NET_BIND_SERVICE": 10, "CAP_AUDIT_WRITE": 29, "CAP_CHOWN": 0}
SCRIPT = """
for part in status limits uid_map gid_map setgroups oom_score_adj cgroup mountinfo timens_offsets
do echo "== $part"; cat /proc/self/$part; done
echo "== namespaces"
for each in /proc/self/ns/*; do echo "$(basename $each) $(readlink $each)"; done
echo "== environment"; env
echo "== umask"; umask
echo "== directory"; pwd
echo "== root"; ls -A /
echo "== dev"; cd /dev; find . -type c -o -type l -o -type b -o -type s | sort
echo "== attributes"; probe attributes
echo "== descriptors"; exec probe fds
"""
DEVICES = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "fd"}
DEVICES |= {"stdin", "stdout", "stderr"}
KINDS = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts", "mount": "mnt"}
KINDS |= {"cgroup": "cgroup", "user": "user", "time": "time"}


def _plain(config: Config) -> None:
    """The usual config."""


def _user(config: Config) -> None:
    config.process["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [5, 7], "umask": 0o27}


def _mapped(config: Config) -> None:
    config.user_namespace()


def _mapped_user(config: Config) -> None:
    config.user_namespace()
    _user(config)


def _shared(config: Config) -> None:
    config.without_namespace("pid", "network", "ipc", "cgroup")


def _bare(config: Config) -> None:
    del config.process["capabilities"]
    config.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 100}]
    config.process["oomScoreAdj"] = 200
    config["root"]["readonly"] = True


def _privileged(config: Config) -> None:
    config.process["noNewPrivileges"] = False
    config.capabilities("CAP_CHOWN", "CAP_KILL")


def _timed(config: Config) -> None:
    config.namespace("time")
    config.linux["timeOffsets"] = {"monotonic": {"secs": 7}}


def _hidden(config: Config) -> None:
    config.linux["maskedPaths"] = ["/etc/passwd", "/etc/hidden", "/proc/kcore"]
    config.linux["readonlyPaths"] = ["/etc", "/proc/sys"]
    config.file("etc/hidden/x")


CONFIGS: dict[str, Callable[[Config], None]] = {
    "plain": _plain,
    "user": _user,
    "mapped": _mapped,
    "mapped-user": _mapped_user,
    "shared": _shared,
    "bare": _bare,
    "privileged": _privileged,
    "timed": _timed,
    "hidden": _hidden,
}


def sections(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("== "):
            found[line[3:]] = []
        else:
            found[next(reversed(found))].append(line)
    return found


def expected_mounts(config: Config) -> dict[str, set[str]]:
    """The target of every mount with the flags that it must have."""
    names = {"ro", "nosuid", "nodev", "noexec"}
    found = {"/": {"ro"} if config["root"].get("readonly") else set()}
    for entry in config["mounts"]:
        found[entry["destination"]] = names & set(entry.get("options", ()))
    for path in config.linux.get("readonlyPaths", ()):
        found[path] = found.get(path, set()) | {"ro"}
    for path in config.linux.get("maskedPaths", ()):
        if (config.rootfs / path.lstrip("/")).exists():
            found[path] = {"ro"} if (config.rootfs / path.lstrip("/")).is_dir() else set()
    return found


def check_status(lines: list[str], config: Config) -> None:
    status = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
    user = config.process["user"]
    assert status["Uid"] == [str(user["uid"])] * 4
    assert status["Gid"] == [str(user["gid"])] * 4
    assert status["Groups"] == [str(gid) for gid in user.get("additionalGids", [])]
    assert status["NoNewPrivs"] == ["1" if config.process["noNewPrivileges"] else "0"]
    assert status["Seccomp"] == ["0"]
    assert status["Threads"] == ["1"]
    assert status["SigIgn"] == status["SigBlk"] == ["0" * 16]
    wanted = {kind: config.process.get("capabilities", {}).get(kind, []) for kind in FIELDS}
    masks = {kind: sum(1 << BITS[name] for name in wanted[kind]) for kind in wanted}
    if user["uid"] != 0:
        masks["permitted"] = masks["effective"] = masks["ambient"]
    found = {kind: int(status[FIELDS[kind]][0], 16) for kind in CAPABILITY_SETS}
    assert found == masks


def check_namespaces(lines: list[str], config: Config) -> None:
    found = dict(line.split() for line in lines)
    new = {KINDS[entry["type"]] for entry in config.linux["namespaces"]}
    for name in KINDS.values():
        own = os.readlink(f"/proc/self/ns/{name}")
        assert (found[name] != own) == (name in new), name


def check_mounts(lines: list[str], config: Config) -> None:
    table = mountinfo.parse("\n".join(lines))
    wanted = expected_mounts(config)
    extra = set(table) - set(wanted)
    if "/proc/kcore" in config.linux.get("maskedPaths", ()):
        extra -= {"/proc/kcore"}
    if any(entry["type"] == "user" for entry in config.linux["namespaces"]):
        extra -= {f"/dev/{name}" for name in DEVICES}  # nodes of the host are bound there
    assert not extra
    for target, flags in wanted.items():
        assert flags <= table[target].options, target
        assert "shared" not in table[target].propagation, target


def check_rest(found: dict[str, list[str]], config: Config) -> None:
    user = config.process["user"]
    maps = config.linux.get("uidMappings")
    numbers = [entry[key] for entry in maps or [] for key in ("containerID", "hostID", "size")]
    assert found["uid_map"][0].split() == list(map(str, numbers or [0, 0, 2**32 - 1]))
    score = config.process.get("oomScoreAdj", Path("/proc/self/oom_score_adj").read_text().strip())
    assert found["oom_score_adj"] == [str(score)]
    home = {0: "/root", 1000: "/home/worker"}[user["uid"]]
    home = "/" if "/etc/passwd" in config.linux.get("maskedPaths", ()) else home
    environment = [line for line in found["environment"] if not line.startswith(("SHLVL=", "PWD="))]
    assert sorted(environment) == sorted([PATH, f"HOME={home}"])
    assert found["umask"] == [f"{user.get('umask', 0o22):04o}"]
    assert found["directory"] == ["/"]
    assert set(found["root"]) == set(os.listdir(config.rootfs))
    names = {line.removeprefix("./") for line in found["dev"]} - {"core"}
    assert names - {"pts/ptmx"} == DEVICES
    assert [line.split()[0] for line in found["descriptors"]] == ["0", "1", "2"]
    limits = {entry["type"]: entry for entry in config.process.get("rlimits", [])}
    nofile = next(line.split()[3:5] for line in found["limits"] if line.startswith("Max open"))
    if "RLIMIT_NOFILE" in limits:
        assert nofile == ["99", "100"]
    if any(entry["type"] == "cgroup" for entry in config.linux["namespaces"]):
        assert {line.split(":", 2)[2] for line in found["cgroup"]} == {"/"}


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_the_posture_is_exactly_what_the_config_says(
    runtime: Runtime, config: Config, probe: Path, name: str
) -> None:
    """AR-6, AR-7, R033."""
    config.bind(probe, "/bin/probe", "bind", "ro", "nosuid", "nodev")
    CONFIGS[name](config)
    text = runtime.run(config, "sh", "-c", SCRIPT).ok().stdout
    found = sections(text)
    check_status(found["status"], config)
    check_namespaces(found["namespaces"], config)
    check_mounts(found["mountinfo"], config)
    check_rest(found, config)
    attributes = dict(line.split() for line in found["attributes"])
    assert attributes["dumpable"] == "1"
    assert attributes["keepcaps"] == attributes["securebits"] == attributes["pdeathsig"] == "0"
    assert attributes["personality"] == "0"


def test_a_flag_that_is_missing_would_be_seen(config: Config) -> None:
    """The oracle itself: a writable root where a read-only one was asked for fails."""
    config["root"]["readonly"] = True
    lines = ["1 1 0:1 / / rw,relatime - tmpfs tmpfs rw"]
    config["mounts"] = []
    with pytest.raises(AssertionError):
        check_mounts(lines, config)
