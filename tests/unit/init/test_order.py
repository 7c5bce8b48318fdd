# SPDX-License-Identifier: Apache-2.0
"""What holds for the plan of every configuration: the order of ops and the use of slots."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyrunc.errors import ConfigErrors
from pyrunc.init import ops
from pyrunc.init.plan import Plan
from pyrunc.spec.constants import CAP_NAMES
from tests.plans import cases

pytestmark = pytest.mark.generated

KINDS = ("pid", "network", "ipc", "uts", "mount", "cgroup", "time")
MAPPINGS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
BIND_OPTIONS = ("ro", "rw", "nosuid", "noexec", "noatime", "rro", "rslave", "shared", "idmap")
MOUNTS: tuple[dict[str, Any], ...] = (
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts"},
    {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue"},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
    {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
    {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]},
)
HOOK = [{"path": "/hook", "timeout": 1}]

# Ops whose path is resolved below the container's root, and those that need the host's.
IN_ROOT = frozenset(
    ("attach", "mount_classic", "inherit_mode", "copy_up", "make_directory", "make_symlink",
     "make_device", "mask", "make_readonly", "verify_mount", "open_console", "reopen_null",
     "change_directory", "find_home", "find_executable")
)  # fmt: skip
ON_HOST = frozenset(("clone_tree", "new_mount", "attach_root", "open_namespace", "open_proc"))
FILLS = {"open_proc": "slot", "open_namespace": "slot", "clone_tree": "slot", "new_mount": "slot",
         "new_joined_proc": "slot", "attach_root": "slot", "enter_root": "host"}  # fmt: skip
READS = {
    "write_proc": ("proc",), "close_slot": ("slot",), "join_namespace": ("slot",),
    "join_process": ("slot",), "set_attributes": ("slot",), "set_propagation": ("slot",),
    "enter_root": ("root",), "leave_root": ("host",), "attach": ("slot",),
    "inherit_mode": ("slot",), "copy_up": ("slot",), "mask": ("null", "directory"),
    "pivot": ("slot",), "move_root": ("slot",),
    "wait_at_gate": ("gate", "report"),
}  # fmt: skip
CREDENTIALS = (
    "limit_bounding_set", "set_groups", "set_ids", "set_capabilities", "set_no_new_privileges",
    "find_executable", "execute",
)  # fmt: skip


@st.composite
def mounts(draw: st.DrawFn) -> list[dict[str, Any]]:
    found = draw(st.lists(st.sampled_from(MOUNTS), unique_by=lambda one: one["destination"]))
    for number in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(("bind", "rbind")))
        chosen = draw(st.lists(st.sampled_from(BIND_OPTIONS), max_size=3))
        bind: dict[str, Any] = {"destination": f"/b{number}", "type": "bind", "source": "/srv"}
        bind["options"] = [kind, *chosen]
        if "idmap" in chosen:
            bind |= {"uidMappings": MAPPINGS, "gidMappings": MAPPINGS}
        found.append(bind)
    return draw(st.permutations(found))


@st.composite
def cases_of_create(draw: st.DrawFn) -> dict[str, Any]:
    kinds = draw(st.lists(st.sampled_from(KINDS), unique=True))
    namespaces: list[dict[str, str]] = [
        {"type": kind, "path": f"/ns/{kind}"} if draw(st.booleans()) else {"type": kind}
        for kind in kinds
    ]
    linux: dict[str, Any] = {"namespaces": namespaces}
    user = draw(st.sampled_from(("none", "new", "joined")))
    if user == "new":
        namespaces.append({"type": "user"})
        linux |= {"uidMappings": MAPPINGS, "gidMappings": MAPPINGS}
    elif user == "joined":
        namespaces.append({"type": "user", "path": "/ns/user"})
    process: dict[str, Any] = {
        "noNewPrivileges": draw(st.booleans()),
        "user": {"uid": draw(st.integers(0, 3)), "gid": 0, "additionalGids": [5]},
        "terminal": draw(st.booleans()),
    }
    if draw(st.booleans()):
        process["oomScoreAdj"] = 5
        names = draw(st.lists(st.sampled_from(CAP_NAMES), unique=True))
        process["capabilities"] = {kind: names for kind in ("bounding", "effective", "permitted")}
    if "mount" in kinds and draw(st.booleans()):
        linux |= {"maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"]}
        linux["rootfsPropagation"] = draw(st.sampled_from(("shared", "private", "unbindable")))
    hooks = {
        kind: HOOK
        for kind in ("createRuntime", "createContainer", "startContainer")
        if draw(st.booleans())
    }
    return {
        "config": {
            "process": process,
            "linux": linux,
            "hooks": hooks,
            "mounts": draw(mounts()),
            "root": {"readonly": "mount" in kinds and draw(st.booleans())},
        },
        "cgroup": draw(st.sampled_from(sorted(cases.CGROUPS))),
        "host": {"in_userns": draw(st.booleans())},
        "options": {
            "seccomp": draw(st.booleans()),
            "listener": draw(st.booleans()),
            "no_pivot": draw(st.booleans()),
            "no_new_keyring": draw(st.booleans()),
        },
    }


def compiled(case: dict[str, Any]) -> Plan | None:
    """The plan, or None where the configuration asks for what cannot be."""
    try:
        return cases.plan_of(case)
    except ConfigErrors:
        return None


def names_of(plan: Plan) -> list[str]:
    return [op.NAME for op in plan.ops]


def position(plan: Plan, name: str) -> int:
    """Of the first op with a name; behind the last op when there is none."""
    names = names_of(plan)
    return names.index(name) if name in names else len(names)


every_plan = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)


@every_plan
@given(cases_of_create())
def test_every_slot_is_filled_before_it_is_read_and_only_once(case: dict[str, Any]) -> None:
    plan = compiled(case)
    if plan is None:
        return
    used = set(range(1, plan.objects + 1))
    for op in plan.ops:
        for field in READS.get(op.NAME, ()):
            assert getattr(op, field) in used, (op.NAME, field)
        if op.NAME == "await":
            slots = range(op.slot, op.slot + op.count)  # type: ignore[attr-defined]
            assert not used & set(slots)
            used |= set(slots)
        elif op.NAME in FILLS:
            slot = getattr(op, FILLS[op.NAME])
            assert slot not in used, op.NAME
            used.add(slot)
        elif op.NAME in ("close_slot", "pivot", "move_root") or (
            isinstance(op, ops.Attach) and not op.flags & ops.ATTACH_KEEP
        ):
            used.remove(op.slot)  # type: ignore[attr-defined]
        elif op.NAME == "leave_root":
            used.remove(op.host)  # type: ignore[attr-defined]
        elif op.NAME == "join_cgroup":
            used -= set(range(op.slot, op.slot + op.count))  # type: ignore[attr-defined]
        elif op.NAME == "fork":
            used.discard(op.cgroup)  # type: ignore[attr-defined]
        elif op.NAME == "wait_at_gate":
            used -= {op.gate, op.report}  # type: ignore[attr-defined]
    assert not used, "these stay open"


@every_plan
@given(cases_of_create())
def test_no_path_of_the_container_is_named_while_the_root_is_the_hosts(
    case: dict[str, Any],
) -> None:
    """AR-1: root first, then act; and no host path is named from inside."""
    plan = compiled(case)
    if plan is None:
        return
    inside = False
    for op in plan.ops:
        if op.NAME in ("enter_root", "pivot", "move_root", "change_root"):
            inside = True
        elif op.NAME == "leave_root":
            inside = False
        assert inside or op.NAME not in IN_ROOT, op.NAME
        assert not inside or op.NAME not in ON_HOST, op.NAME


@every_plan
@given(cases_of_create())
def test_clones_of_the_host_are_made_in_the_containers_namespaces(case: dict[str, Any]) -> None:
    """UN-10: a clone made outside carries no locks."""
    plan = compiled(case)
    if plan is None or "clone_tree" not in names_of(plan):
        return
    first = position(plan, "clone_tree")
    namespaces = case["config"]["linux"]["namespaces"]
    if any(not one.get("path") for one in namespaces if one["type"] in ("mount", "user")):
        assert position(plan, "unshare") < first
    last_join = max(
        (at for at, name in enumerate(names_of(plan)) if name == "join_namespace"), default=-1
    )
    assert last_join < first


@every_plan
@given(cases_of_create())
def test_credentials_change_in_one_order(case: dict[str, Any]) -> None:
    """CR-7."""
    plan = compiled(case)
    if plan is None:
        return
    every = names_of(plan)
    names = [name for name in every[every.index("become") :] if name in CREDENTIALS]
    # Before a user namespace is joined all groups are given up; then there may be none to set.
    given_up = "set_groups" in every[: every.index("become")]
    process = case["config"]["process"]
    absent = set() if process["noNewPrivileges"] else {"set_no_new_privileges"}
    absent |= {"set_groups"} if given_up and not process["user"].get("additionalGids") else set()
    wanted = [name for name in CREDENTIALS if name not in absent]
    assert names == wanted
    assert names_of(plan)[-1] == "execute"


@every_plan
@given(cases_of_create())
def test_nothing_is_mounted_or_made_after_the_root_is_read_only(case: dict[str, Any]) -> None:
    plan = compiled(case)
    if plan is None:
        return
    made = ("attach", "make_directory", "make_device", "make_symlink", "copy_up", "mount_classic")
    end = position(plan, "set_root_attributes")
    assert not [name for name in names_of(plan)[end:] if name in made]


@every_plan
@given(cases_of_create())
def test_a_container_is_hidden_before_it_joins_and_waits_once(case: dict[str, Any]) -> None:
    """JN-1; the parent's `ready` comes right before the gate."""
    plan = compiled(case)
    if plan is None:
        return
    assert position(plan, "set_dumpable") < position(plan, "join_namespace")
    names = names_of(plan)
    assert names[position(plan, "wait_at_gate") - 1] == "await"
    assert names.count("wait_at_gate") == names.count("execute") == 1


@every_plan
@given(cases_of_create())
def test_a_plan_can_be_encoded(case: dict[str, Any]) -> None:
    plan = compiled(case)
    if plan is None:
        return
    data = plan.encode()
    assert int.from_bytes(data[16:20], "little") == len(data)
    assert int.from_bytes(data[20:24], "little") == len(plan.ops)
    assert len(data) % 8 == 0
