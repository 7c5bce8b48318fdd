# SPDX-License-Identifier: Apache-2.0
"""The sentences that users see when the init reports {op, step, errno}."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from pyrunc.init import failures, hints, ops
from pyrunc.init.plan import Plan
from tests.plans import cases

STEPS = {op.NAME: op.STEPS for op in ops.OPS}


def plan_of(**config: Any) -> Plan:
    return cases.plan_of({"config": config})


def failure(plan: Plan, name: str, step: str, number: int, detail: str = "") -> Any:
    index = next(at for at, op in enumerate(plan.ops) if name == op.NAME)
    return plan.failure(index, plan.ops[index].STEPS.index(step), number, detail)


def test_every_hint_is_for_an_op_and_a_step_that_exist() -> None:
    for name, step, _number in hints.HINTS:
        assert step in STEPS[name], (name, step)


def test_every_sentence_is_for_an_op_and_a_step_that_exist() -> None:
    for name, step in failures.SENTENCES:
        assert step in ("", *STEPS[name]), (name, step)


@pytest.mark.parametrize(
    ("args", "step", "number", "detail", "text"),
    [
        (["foo"], "path", errno.ENOENT, "", 'exec: "foo": executable file not found in $PATH'),
        (["/x"], "stat", errno.ENOENT, "", 'exec: "/x": stat /x: no such file or directory'),
        (
            ["/dir"],
            "directory",
            errno.EISDIR,
            "",
            'exec: "/dir": is a directory: permission denied',
        ),
        (["/f"], "permission", errno.EACCES, "", 'exec: "/f": permission denied'),
        (["/a/b"], "stat", errno.EACCES, "/a", 'exec: "/a/b": stat /a: permission denied'),
    ],
)
def test_a_program_that_cannot_run_is_told_in_the_words_that_engines_match(
    args: list[str], step: str, number: int, detail: str, text: str
) -> None:
    plan = plan_of(process={"args": args})
    found = failure(plan, "find_executable", step, number, detail)
    assert str(found) == text
    assert found.pointer == "/process/args/0"
    assert found.hint


def test_an_execve_that_fails_names_the_program() -> None:
    found = failure(plan_of(), "execute", "execve", errno.ENOEXEC)
    assert str(found) == "exec sh: exec format error"
    assert "architecture" in found.hint


def test_a_missing_bind_source_names_both_paths() -> None:
    mount = {"destination": "/data", "type": "bind", "source": "/absent", "options": ["bind"]}
    found = failure(plan_of(mounts=[mount]), "clone_tree", "open", errno.ENOENT)
    assert str(found) == "cannot bind /absent on /data: no such file or directory"
    assert found.pointer == "/mounts/0/source"


def test_a_file_over_a_directory_says_not_a_directory() -> None:
    mount = {"destination": "/etc", "type": "bind", "source": "/f", "options": ["bind"]}
    found = failure(plan_of(mounts=[mount]), "attach", "verify", errno.ENOTDIR, "it is a directory")
    assert str(found) == "cannot bind /f on /etc (it is a directory): not a directory"


def test_locked_flags_are_named() -> None:
    mount = {"destination": "/data", "type": "bind", "source": "/s", "options": ["bind", "suid"]}
    found = failure(plan_of(mounts=[mount]), "set_attributes", "locked", errno.EPERM)
    assert str(found) == (
        "cannot bind /s on /data: cannot clear locked flags: operation not permitted"
    )
    assert found.hint


def test_a_refused_option_is_named() -> None:
    mount = {"destination": "/t", "type": "tmpfs", "source": "t", "options": ["sized=1"]}
    plan = plan_of(mounts=[mount])
    found = failure(plan, "new_mount", "option", errno.EINVAL, "sized=1")
    assert str(found) == "cannot mount tmpfs on /t: option sized=1: invalid argument"


def test_a_mount_on_procfs_is_named_by_its_path() -> None:
    mount = {"destination": "/link", "type": "bind", "source": "/s", "options": ["bind"]}
    found = failure(plan_of(mounts=[mount]), "attach", "verify", errno.EPERM)
    assert '"/link" cannot be mounted because it is inside /proc' in str(found)


def test_a_proc_on_something_special_is_told_apart() -> None:
    found = failure(plan_of(), "attach", "create", errno.ELOOP)
    assert 'cannot mount proc on /proc: "/proc" is no ordinary directory' in str(found)


def test_a_bind_on_proc_that_is_no_procfs_is_told() -> None:
    mount = {"destination": "/proc", "type": "bind", "source": "/s", "options": ["bind"]}
    found = failure(plan_of(mounts=[mount]), "verify_mount", "magic", errno.EMEDIUMTYPE)
    assert str(found) == '"/proc" cannot be mounted because it is not of type proc'


def test_a_working_directory_outside_is_a_breakout() -> None:
    found = failure(plan_of(), "change_directory", "verify", errno.EXDEV)
    assert str(found) == (
        "current working directory is outside of container mount namespace root "
        "-- possible container breakout detected"
    )


def test_a_working_directory_that_cannot_be_entered_is_named() -> None:
    found = failure(plan_of(process={"cwd": "/w"}), "change_directory", "open", errno.EACCES)
    assert str(found) == 'chdir to cwd ("/w") set in config.json failed: permission denied'


@pytest.mark.parametrize(
    ("step", "number", "text"),
    [
        ("exit", 3 << 8, "error running createContainer hook #1: exit status 3, output: oh no"),
        ("exit", 9, "error running createContainer hook #1: signal 9, output: oh no"),
        (
            "timeout",
            0,
            "error running createContainer hook #1: hook ran past specified timeout of 2.0s, "
            "output: oh no",
        ),
        (
            "spawn",
            errno.ENOENT,
            "error running createContainer hook #1: fork/exec /b: no such file or directory",
        ),
    ],
)
def test_a_failing_hook_is_told_with_its_output(step: str, number: int, text: str) -> None:
    hooks = {"createContainer": [{"path": "/a"}, {"path": "/b", "timeout": 2}]}
    plan = plan_of(hooks=hooks)
    index = [at for at, op in enumerate(plan.ops) if op.NAME == "run_hook"][1]
    found = plan.failure(index, ops.RunHook.STEPS.index(step), number, "oh\nno")
    assert str(found) == text
    assert found.pointer == "/hooks/createContainer/1"


def test_a_label_that_fails_names_the_file_in_backquotes() -> None:
    """Podman matches the path."""
    plan = cases.plan_of(
        {"config": {"process": {"apparmorProfile": "p"}}, "host": {"apparmor": True}}
    )
    found = failure(plan, "write_proc", "write", errno.ENOENT)
    assert "write to `/proc/thread-self/attr/apparmor/exec`: no such file" in str(found)


def test_other_failures_say_what_could_not_be_done_and_where() -> None:
    found = failure(plan_of(), "new_mount", "create", errno.EPERM)
    assert str(found) == "cannot mount proc on /proc: operation not permitted"
    assert found.place() == "/mounts/0".join(("config  ", '     new_mount step "create"     EPERM'))
    assert found.hint


def test_a_report_of_an_unknown_op_is_a_sentence_too() -> None:
    assert str(plan_of().failure(9999, 0, errno.EPROTO)) == "cannot start the init: protocol error"


def test_every_op_of_every_case_has_words_for_every_step() -> None:
    for name in cases.names():
        plan = cases.plan(name)
        if not isinstance(plan, Plan):  # it tests what is refused
            continue
        for index, op in enumerate(plan.ops):
            for step in range(len(op.STEPS)):
                text = str(plan.failure(index, step, errno.EPERM, "detail"))
                assert "\n" not in text
                assert op.NAME not in ("run_hook",) or "hook #" in text
