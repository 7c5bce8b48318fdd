# SPDX-License-Identifier: Apache-2.0
"""Plans of other hosts: a case is a change of a small configuration, and what the host is like.

`NAME.json` holds `about` (a sentence), `config` (a JSON merge patch, RFC 7386, on `base.json`),
`host` (facts that differ), `options` (arguments of the compiler), `cgroup` (a name of CGROUPS), for
`exec` a `process`, for `mounts add` the namespaces to join as `add`, for `mounts remove` the
`remove` targets. `NAME.txt` is the plan, or what is wrong with the configuration.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from pyrunc.errors import ConfigErrors
from pyrunc.host.facts import Host
from pyrunc.init.cgroup_view import CgroupDirectory, CgroupView
from pyrunc.init.compile_create import compile_create
from pyrunc.init.compile_exec import compile_exec
from pyrunc.init.compile_mounts import compile_add, compile_remove
from pyrunc.init.plan import Plan
from pyrunc.spec.config import parse_config, parse_process
from pyrunc.spec.model import Config

HERE = Path(__file__).parent
FACTS = {
    "euid": 0,
    "egid": 0,
    "in_userns": False,
    "setgroups_denied": False,
    "permitted": (1 << 41) - 1,
    "last_cap": 40,
    "kernel": (6, 1),
    "apparmor": False,
    "selinux": False,
    "apparmor_attr": "attr/apparmor/exec",
    "kcore": True,
    "landlock": 7,
}
V1 = ("cpu,cpuacct", "memory", "pids", "name=systemd")


def _v1(name: str) -> CgroupDirectory:
    mount = "/sys/fs/cgroup/" + name.removeprefix("name=")
    controllers = () if name.startswith("name=") else tuple(name.split(","))
    return CgroupDirectory(name, mount=mount, path=f"{mount}/box", controllers=controllers)


def _v2(mount: str) -> CgroupDirectory:
    return CgroupDirectory("", mount=mount, path=f"{mount}/box", version=2)


CGROUPS = {
    "none": CgroupView(2),
    "v2": CgroupView(2, [_v2("/sys/fs/cgroup")], into=True),
    "v2-options": CgroupView(
        2,
        [_v2("/sys/fs/cgroup")],
        into=True,
        in_force={2: frozenset(("rw", "nsdelegate", "memory_recursiveprot"))},
    ),
    "leaf": CgroupView(2, [_v2("/sys/fs/cgroup")], into=True, leaf=True),
    "forced": CgroupView(
        2,
        [_v1("name=systemd"), _v2("/sys/fs/cgroup")],
        into=True,
        tasks=1,
        forced="/sys/fs/cgroup",
    ),
    "forced-without": CgroupView(2, [_v2("/sys/fs/cgroup")], into=True, forced="/sys/fs/cgroup"),
    "forced-elsewhere": CgroupView(2, [_v2("/sys/fs/cgroup")], into=True, forced="/elsewhere"),
    "v1": CgroupView(1, [_v1(name) for name in V1], tasks=len(V1)),
    "hybrid": CgroupView(
        1,
        [*(_v1(name) for name in V1), _v2("/sys/fs/cgroup/unified")],
        into=True,
        tasks=len(V1),
    ),
}


class Filter:
    """A compiled filter of nothing; `lets_fork`: it allows what the init does after its fork."""

    program = bytes(8)
    flags = 0

    def __init__(self, *, listener: bool, lets_fork: bool) -> None:
        self.listener = int(listener)
        self.lets_fork = lets_fork


def names() -> list[str]:
    return sorted(path.stem for path in HERE.glob("*.json") if path.stem != "base")


@functools.cache
def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text())
    return found


def merge(base: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def config_of(patch: dict[str, Any]) -> Config:
    base = json.loads((HERE / "base.json").read_text())
    return parse_config(json.dumps(merge(base, patch)).encode())


def host_of(facts: dict[str, Any]) -> Host:
    return Host(**{**FACTS, **facts})


def state_json(status: str) -> tuple[str, str]:
    return f'{{"id":"box","status":"{status}","pid":', "}"


def plan_of(case: dict[str, Any]) -> Plan:
    config = config_of(case.get("config", {}))
    host = host_of(case.get("host", {}))
    options = dict(case.get("options", {}))
    listener = options.pop("listener", False)
    given = Filter(listener=listener, lets_fork=options.pop("lets_fork", True))
    filter = given if options.pop("seccomp", False) or listener else None
    if "process" in case:
        process = parse_process(json.dumps(case["process"]).encode())
        return compile_exec(process, host, linux=config.linux, seccomp=filter, **options)
    cgroup = CGROUPS[case.get("cgroup", "none")]
    if "add" in case:
        return compile_add(config, host, joined=case["add"], cgroup=cgroup, source="mounts.json")
    if "remove" in case:
        targets = [tuple(one) for one in case["remove"]]
        return compile_remove(config, host, joined=["user", "mount"], targets=targets)
    return compile_create(
        config,
        host,
        rootfs="/bundle/rootfs",
        cgroup=cgroup,
        seccomp=filter,
        state_json=state_json,
        **options,
    )


@functools.cache
def plan(name: str) -> Plan | ConfigErrors:
    """The plan of a case, or what is wrong with it: compiled once for all tests."""
    try:
        return plan_of(load(name))
    except ConfigErrors as error:
        return error


def text(name: str) -> str:
    """What a case's .txt file holds."""
    case, found = load(name), plan(name)
    if isinstance(found, Plan):
        body = found.explain()
    else:
        body = "".join(f"problem: {problem.line()}\n" for problem in found.problems)
    return f"# {case['about']}\n{body}"
