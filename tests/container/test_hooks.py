# SPDX-License-Identifier: Apache-2.0
"""The six kinds of hooks: when they run, where, with what, and what their failure does."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Runtime
from tests.support.types import Create, Run
from tests.support.wait import until

OUTSIDE = ("prestart", "createRuntime", "poststart", "poststop")
INSIDE = ("createContainer", "startContainer")
CREATING = ("prestart", "createRuntime", "createContainer")
SHELL = "/bin/sh"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A directory of the host that hooks write to."""
    directory = tmp_path / "notes"
    directory.mkdir()
    directory.chmod(0o777)
    return directory


def script(config: Config, kind: str, text: str, **more: Any) -> None:
    """A hook that is a shell script, found in the container too."""
    config.hook(kind, SHELL, "-c", text, **more)


def state_file(config: Config, kind: str, notes: Path) -> str:
    """Where a hook of this kind can write its state, as it sees the path."""
    if kind != "startContainer":
        return str(notes / kind)
    return f"/tmp/{kind}"


def read_state(config: Config, kind: str, notes: Path) -> dict[str, Any]:
    path = config.rootfs / "tmp" / kind if kind == "startContainer" else notes / kind
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_hooks_run_in_the_order_of_their_kinds(create: Create, config: Config, notes: Path) -> None:
    order = notes / "order"
    config.bind(notes, "/notes")
    for kind in ("prestart", "createRuntime", "createContainer", "poststart", "poststop"):
        for number in (1, 2):
            script(config, kind, f"echo {kind}{number} >> {order}")
    script(config, "startContainer", "echo startContainer >> /notes/order")
    container = create(config, "sh", "-c", "echo program >> /notes/order; sleep 600")
    created = ["prestart1", "prestart2", "createRuntime1", "createRuntime2"]
    created += ["createContainer1", "createContainer2"]
    assert order.read_text().split() == created
    container.start()
    until(lambda: "program" in order.read_text(), "the program runs")
    until(lambda: "poststart2" in order.read_text(), "the hooks have run")
    words = order.read_text().split()
    assert words[:7] == [*created, "startContainer"]
    assert sorted(words[7:]) == ["poststart1", "poststart2", "program"]
    assert words.index("poststart1") < words.index("poststart2")
    container.delete().ok()
    assert order.read_text().split()[10:] == ["poststop1", "poststop2"]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("prestart", "created"),
        ("createRuntime", "creating"),
        ("createContainer", "creating"),
        ("startContainer", "created"),
        ("poststart", "running"),
        ("poststop", "stopped"),
    ],
)
def test_a_hook_reads_the_state(
    create: Create, config: Config, notes: Path, kind: str, status: str
) -> None:
    config["annotations"] = {"key": 'a "value"\n'}
    script(config, kind, f"cat > {state_file(config, kind, notes)}")
    container = create(config, "sleep", "600")
    pid = container.pid
    container.start()
    container.delete().ok()
    state = read_state(config, kind, notes)
    assert state["id"] == container.id
    assert state["status"] == status
    assert state["ociVersion"] == "1.0.2"
    assert state["bundle"] == str(config.bundle)
    assert state["annotations"] == {"key": 'a "value"\n'}
    expected = {"poststop": 0, "createContainer": 1, "startContainer": 1}.get(kind, pid)
    assert state.get("pid", 0) == expected


@pytest.mark.parametrize("kind", [*OUTSIDE, *INSIDE])
def test_the_environment_of_a_hook_is_what_it_names(
    create: Create, config: Config, notes: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HK-1"""
    monkeypatch.setenv("OF_THE_CALLER", "x")
    config.process["env"].append("OF_THE_PROGRAM=y")
    target = state_file(config, kind, notes)
    env = {"path": "/usr/bin/env", "args": ["env", "sh", "-c", f"env > {target}"]}
    if kind == "startContainer":
        env = {"path": "/bin/env", "args": ["env", "sh", "-c", f"env > {target}"]}
    env_path = "PATH=/usr/bin:/bin"
    config.setdefault("hooks", {})[kind] = [{**env, "env": ["A=1", "B=two words", env_path]}]
    container = create(config, "sleep", "600").start()
    container.delete().ok()
    path = config.rootfs / "tmp" / kind if kind == "startContainer" else notes / kind
    lines = set(path.read_text().splitlines())
    assert {"A=1", "B=two words", env_path} <= lines
    assert not any(line.startswith(("OF_THE", "HOME=", "XDG", "LISTEN")) for line in lines)


@pytest.mark.parametrize("kind", OUTSIDE)
def test_a_hook_of_the_runtime_runs_in_its_namespaces_and_the_bundle(
    create: Create, config: Config, notes: Path, kind: str
) -> None:
    names = ("mnt", "pid", "net", "uts", "ipc")
    links = "; ".join(f"readlink /proc/self/ns/{name} >> {notes}/{kind}" for name in names)
    script(config, kind, f"pwd > {notes}/{kind}; {links}")
    create(config, "sleep", "600").start().delete().ok()
    where, *found = (notes / kind).read_text().splitlines()
    assert where == str(config.bundle)
    assert found == [os.readlink(f"/proc/self/ns/{name}") for name in names]


def test_a_create_container_hook_runs_in_the_containers_namespaces_before_the_pivot(
    create: Create, config: Config, notes: Path
) -> None:
    """Its program and its files are those of the host, its mounts and names are the container's."""
    config.mount("/mnt", "tmpfs", "tmpfs")
    script(
        config,
        "createContainer",
        f"hostname > {notes}/name; pwd > {notes}/cwd; readlink /proc/self/ns/net > {notes}/net;"
        "touch mnt/seen",
    )
    container = create(config, "sh", "-c", "ls /mnt; sleep 600")
    net = os.readlink(f"/proc/{container.pid}/ns/net")
    container.start()
    until(lambda: container.output, "the program runs")
    assert container.output == "seen\n"
    assert (notes / "cwd").read_text() == f"{config.rootfs}\n"
    assert (notes / "net").read_text() == f"{net}\n"


def test_a_start_container_hook_runs_inside(create: Create, config: Config) -> None:
    config.file(
        "/hook", "#!/bin/sh\nid -u > /tmp/id; pwd >> /tmp/id; hostname >> /tmp/id\n", mode=0o755
    )
    config.hook("startContainer", "/hook")
    container = create(config, "sleep", "600")
    assert not (config.rootfs / "tmp/id").exists()
    container.start()
    assert (config.rootfs / "tmp/id").read_text().split()[0] == "0"
    assert (config.rootfs / "tmp/id").read_text().split()[-1] == "box"


@pytest.mark.parametrize("kind", OUTSIDE)
def test_a_hook_holds_none_of_our_descriptors(
    create: Create, config: Config, notes: Path, kind: str
) -> None:
    """HK-4"""
    script(config, kind, f"ls /proc/$$/fd > {notes}/{kind}; true")
    create(config, "sleep", "600").start().delete().ok()
    numbers = {int(word) for word in (notes / kind).read_text().split()}
    assert numbers <= {0, 1, 2, 10, 255}


@pytest.mark.parametrize("kind", INSIDE)
def test_a_hook_in_the_container_holds_none_of_our_descriptors(
    create: Create, config: Config, notes: Path, kind: str
) -> None:
    """HK-4"""
    script(config, kind, f"ls /proc/$$/fd > {state_file(config, kind, notes)}; true")
    create(config, "sleep", "600").start().delete().ok()
    path = config.rootfs / "tmp" / kind if kind == "startContainer" else notes / kind
    assert {int(word) for word in path.read_text().split()} <= {0, 1, 2, 10, 255}


@pytest.mark.parametrize("kind", CREATING)
def test_a_failing_hook_undoes_the_create(
    pyrunc: Runtime, config: Config, notes: Path, kind: str
) -> None:
    script(config, kind, "echo some output; echo the cause >&2; exit 3")
    script(config, kind, f"echo > {notes}/second")
    script(config, "poststop", f"cat > {notes}/stopped")
    config.write()
    name = pyrunc.new_id()
    result = pyrunc("create", "--bundle", config.bundle, name)
    assert result.status == 1
    assert f"error running {kind} hook #0: exit status 3" in result.error
    assert "the cause" in result.error
    assert f"/hooks/{kind}/0" in result.stderr
    assert not (notes / "second").exists()
    assert json.loads((notes / "stopped").read_text())["status"] == "stopped"
    assert not (pyrunc.root / name).exists()


@pytest.mark.parametrize("kind", ["startContainer", "poststart"])
@pytest.mark.parametrize("pid", ["own", "shared"])
def test_a_failing_hook_of_start_destroys_the_container(
    pyrunc: Runtime, config: Config, notes: Path, kind: str, pid: str
) -> None:
    """Lifecycle, steps 7 and 9: stopped, destroyed, and the poststop hooks run."""
    if pid == "shared":
        config.without_namespace("pid")
    script(config, kind, "echo the cause >&2; exit 4")
    script(config, kind, f"echo > {notes}/second")
    script(config, "poststop", f"cat > {notes}/stopped")
    container = pyrunc.create(config, "sleep", "600")
    end = container.pid
    result = container.command("start")
    assert result.status == 1
    assert f"error running {kind} hook #0: exit status 4" in result.error
    assert "the cause" in result.error
    assert not Path(f"/proc/{end}/root/bin").exists()
    assert not (notes / "second").exists()
    assert json.loads((notes / "stopped").read_text())["status"] == "stopped"
    assert not (pyrunc.root / container.id).exists()
    assert "does not exist" in container.command("delete").error


def test_a_failing_poststart_hook_ends_run_once(
    pyrunc: Runtime, run: Run, config: Config, notes: Path
) -> None:
    script(config, "poststart", "exit 5")
    script(config, "poststop", f"echo stopped >> {notes}/order")
    result = run(config, "sleep", "600")
    assert result.status == 1
    assert "error running poststart hook #0: exit status 5" in result.error
    assert (notes / "order").read_text() == "stopped\n"
    assert list(pyrunc.root.iterdir()) == []


def test_a_failing_poststop_hook_is_a_warning(create: Create, config: Config, notes: Path) -> None:
    script(config, "poststop", "exit 6")
    script(config, "poststop", f"echo > {notes}/second")
    container = create(config, "true")
    result = container.delete().ok()
    assert "error running poststop hook #0: exit status 6" in result.stderr
    assert (notes / "second").exists()


@pytest.mark.parametrize("kind", CREATING)
def test_a_hook_that_takes_too_long_is_ended(
    pyrunc: Runtime, config: Config, notes: Path, kind: str
) -> None:
    """HK-3"""
    script(config, kind, f"echo $$ > {notes}/pid; echo begun; sleep 600", timeout=1)
    config.write()
    result = pyrunc("create", "--bundle", config.bundle, pyrunc.new_id())
    assert result.status == 1
    assert f"error running {kind} hook #0: hook ran past specified timeout of 1.0s" in result.error
    assert "begun" in result.error


@pytest.mark.parametrize("kind", CREATING)
def test_a_hook_that_does_not_exist_is_named(pyrunc: Runtime, config: Config, kind: str) -> None:
    config.hook(kind, "/no/such/hook")
    config.write()
    result = pyrunc("create", "--bundle", config.bundle, pyrunc.new_id())
    assert result.status == 1
    assert f"{kind} hook #0" in result.error
    assert "/no/such/hook" in result.error
    assert "no such file or directory" in result.error


def test_run_runs_all_hooks(run: Run, config: Config, notes: Path) -> None:
    config.bind(notes, "/notes")
    for kind in OUTSIDE:
        script(config, kind, f"echo {kind} >> {notes}/order")
    run(config, "sh", "-c", "echo program >> /notes/order").ok()
    words = (notes / "order").read_text().split()
    assert sorted(words) == sorted([*OUTSIDE, "program"])
    assert words[:2] == ["prestart", "createRuntime"]
    assert words[-1] == "poststop"


def test_a_runtime_hook_can_use_the_network_namespace_of_the_pid(
    create: Create, config: Config, notes: Path
) -> None:
    """What CNI does: the pid in the state leads to the container's namespaces."""
    script(
        config,
        "createRuntime",
        "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); "
        f"readlink /proc/$pid/ns/net > {notes}/net; ls /proc/$pid/root > {notes}/root",
        env=["PATH=/usr/bin:/bin"],
    )
    container = create(config, "sleep", "600")
    assert (notes / "net").read_text().strip() == os.readlink(f"/proc/{container.pid}/ns/net")


PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Prints the environment as it was at its execve; a shell adds to its own.
ENVIRON = "tr '\\0' '\\n' < /proc/self/environ"


@pytest.mark.parametrize("kind", [*OUTSIDE, "createContainer"])
def test_a_hook_without_an_environment_has_a_bare_path(
    create: Create, config: Config, notes: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Peers hand on what they were called with, which is a thing of the engine."""
    monkeypatch.setenv("OF_THE_CALLER", "x")
    script(config, kind, f"env > {notes}/{kind}")
    create(config, "sleep", "600").start().delete().ok()
    lines = (notes / kind).read_text().splitlines()
    assert PATH in lines
    assert {line.partition("=")[0] for line in lines} <= {"PATH", "PWD", "SHLVL", "_", "OLDPWD"}


def test_an_empty_environment_of_a_hook_is_empty(
    create: Create, config: Config, notes: Path
) -> None:
    config.hook("createRuntime", "/usr/bin/env", env=[])
    config["annotations"] = {"run.oci.hooks.stdout": str(notes / "out")}
    create(config, "sleep", "600")
    assert (notes / "out").read_text() == ""


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer", "startContainer", "poststop"])
def test_of_a_variable_that_a_hook_has_twice_the_last_counts(
    create: Create, config: Config, notes: Path, kind: str
) -> None:
    """nerdctl adds a PATH to the whole environment of its caller."""
    path = "/bin/env" if kind == "startContainer" else "/usr/bin/env"
    config.hook(kind, path, env=["PATH=/first", "A=1", "PATH=/last", "A="])
    config["annotations"] = {"run.oci.hooks.stdout": str(notes / "out")}
    create(config, "sleep", "600").start().delete().ok()
    assert sorted((notes / "out").read_text().split()) == ["A=", "PATH=/last"]


@pytest.mark.parametrize("uid", [0, 1000])
def test_a_start_container_hook_has_the_programs_environment(
    create: Create, config: Config, notes: Path, uid: int
) -> None:
    config.process["env"] += ["A=1"]
    config.process["user"] = {"uid": uid, "gid": uid}
    config.hook("startContainer", "/bin/env")
    config["annotations"] = {"run.oci.hooks.stdout": str(notes / "out")}
    create(config, "sleep", "600").start()
    home = "/root" if uid == 0 else "/home/worker"
    assert sorted((notes / "out").read_text().split()) == ["A=1", f"HOME={home}", PATH]


def filtered(*names: str, action: str = "SCMP_ACT_ERRNO", **more: Any) -> dict[str, Any]:
    """A filter that refuses these calls."""
    rule = {"names": list(names), "action": action, **more}
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}


@pytest.mark.parametrize("nnp", [True, False])
@pytest.mark.parametrize("uid", [0, 1000])
@pytest.mark.parametrize("userns", [True, False])
def test_a_start_container_hook_runs_under_the_containers_filter(
    create: Create, config: Config, nnp: bool, uid: int, userns: bool
) -> None:
    """It is a program of the image. It gets no capability from the loading of the filter."""
    if userns:
        config.user_namespace()
    config.linux["seccomp"] = filtered("mkdir", "mkdirat", errnoRet=95)
    config.process.update(noNewPrivileges=nnp, user={"uid": uid, "gid": uid})
    config.capabilities("CAP_KILL")
    text = "(grep -E 'Seccomp:|Cap' /proc/self/status; mkdir /tmp/made 2>&1) > /tmp/seen; true"
    script(config, "startContainer", text)
    script(config, "startContainer", "echo again >> /tmp/seen")
    create(config, "sleep", "600").start()
    seen = (config.rootfs / "tmp/seen").read_text()
    assert "Seccomp:\t2" in seen
    assert "Operation not supported" in seen
    assert not (config.rootfs / "tmp/made").exists()
    kill = f"{1 << 5 if uid == 0 else 0:016x}"
    assert f"CapPrm:\t{kill}\nCapEff:\t{kill}\n" in seen
    assert "CapAmb:\t0000000000000000" in seen
    assert seen.endswith("again\n")


def test_the_init_itself_runs_start_container_hooks_unfiltered(
    create: Create, config: Config
) -> None:
    """What the init needs to watch a hook is no business of the program's filter."""
    calls = ("clone3", "pipe2", "poll", "ppoll", "wait4", "waitid", "dup3", "close_range", "setsid")
    config.linux["seccomp"] = filtered(*calls, errnoRet=38)
    config.hook("startContainer", "/bin/true")
    container = create(config, "sleep", "600").start()
    assert container.state()["status"] == "running"


@pytest.mark.parametrize(
    ("action", "phrase"),
    [("SCMP_ACT_ERRNO", "refuses execve"), ("SCMP_ACT_KILL_PROCESS", "SIGSYS")],
)
def test_a_filter_that_refuses_execve_to_hook_and_program_is_named(
    pyrunc: Runtime, config: Config, action: str, phrase: str
) -> None:
    config.linux["seccomp"] = filtered("execve", action=action)
    config.hook("startContainer", "/bin/true")
    config.process["args"] = ["true"]
    config.write()
    result = pyrunc("create", "--bundle", config.bundle, pyrunc.new_id())
    assert result.status == 1
    assert "/linux/seccomp" in result.error
    assert phrase in result.error


@pytest.mark.parametrize("kind", [*OUTSIDE, *INSIDE])
def test_the_time_in_the_state_of_a_hook_is_one_or_absent(
    create: Create, config: Config, notes: Path, kind: str
) -> None:
    """An empty text is refused by strict decoders of times."""
    script(config, kind, f"cat > {state_file(config, kind, notes)}")
    create(config, "sleep", "600").start().delete().ok()
    state = read_state(config, kind, notes)
    if kind in ("poststart", "poststop"):
        assert datetime.fromisoformat(state["created"][:26]).year > 2000
    else:
        assert "created" not in state
