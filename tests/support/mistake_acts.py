# SPDX-License-Identifier: Apache-2.0
"""How the mistakes that people make most are made, and what has to be said of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from tests.support import machine
from tests.support.bundle import Config
from tests.support.mistakes import MISTAKES
from tests.support.runtime import Result, Runtime

Act = Callable[[Runtime, Config], Result]


@dataclass(frozen=True)
class Mistake:
    """How it is made, and what the text of pyrunc must hold besides the phrases of clients."""

    name: str
    act: Act
    phrases: tuple[str, ...]  # none: the kernel may let it pass
    place: str = ""  # a pointer, or another word that says where
    step: str = ""  # a word of what to do next


def created(change: Callable[[Config], None], *flags: str) -> Act:
    """`create` with a changed config."""

    def act(runtime: Runtime, config: Config) -> Result:
        change(config)
        config.write()
        name = runtime.new_id()
        result = runtime("create", "--bundle", config.bundle, *flags, name)
        if not result.status:
            result = runtime("start", name)
        runtime("delete", "--force", name)
        return result

    return act


def process(**values: object) -> Act:
    return created(lambda config: config.process.update(values))


def linux(**values: object) -> Act:
    return created(lambda config: config.linux.update(values))


def hook(kind: str, *argv: str, **more: int) -> Act:
    return created(lambda config: config.hook(kind, *argv, **more))


def text(content: str) -> Act:
    """`create` with this text as config.json."""

    def act(runtime: Runtime, config: Config) -> Result:
        (config.bundle / "config.json").write_text(content)
        return runtime("create", "--bundle", config.bundle, runtime.new_id())

    return act


def wrong_format(config: Config) -> None:
    config.file("/bin/broken", "no program\n", mode=0o755)
    config.process["args"] = ["/bin/broken"]


def no_interpreter(config: Config) -> None:
    config.file("/bin/script", "#!/no/interpreter\n", mode=0o755)
    config.process["args"] = ["/bin/script"]


def read_only_parent(config: Config) -> None:
    config.mount("/mnt", "proc", "proc")
    config.bind("/etc", "/mnt/below")
    config["mounts"][-2].update(type="sysfs", source="sysfs", options=["ro"])


def locked(config: Config) -> None:
    target = config.bundle / "locked"
    target.mkdir()
    machine.mount("tmpfs", target, "tmpfs", flags=1 | 2 | 4 | 8)
    config.user_namespace()
    config.bind(target, "/mnt", "bind", "rw", "exec")


def unlocked(config: Config) -> None:
    machine.unmount(config.bundle / "locked")


def overlapping(config: Config) -> None:
    config.user_namespace()
    maps = [
        {"containerID": 0, "hostID": 100000, "size": 10},
        {"containerID": 5, "hostID": 200000, "size": 10},
    ]
    config.linux["uidMappings"] = maps


def no_mappings(config: Config) -> None:
    config.namespace("user")


def misspelt(config: Config) -> None:
    config.process["noNewPrivilege"] = True
    config.process["cwd"] = "tmp"


def misspelt_option(config: Config) -> None:
    config.bind("/etc", "/mnt", "bind", "readonly")


def seccomp_agent(config: Config) -> None:
    config.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": "/no/such/agent.sock",
        "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_NOTIFY"}],
    }


def no_path(runtime: Runtime, config: Config) -> Result:
    return runtime("create", "--bundle", "/no/such/bundle", runtime.new_id())


def used_id(runtime: Runtime, config: Config) -> Result:
    container = runtime.create(config, "true")
    result = runtime("create", "--bundle", config.bundle, container.id)
    container.delete()
    return result


def bad_id(runtime: Runtime, config: Config) -> Result:
    config.write()
    return runtime("create", "--bundle", config.bundle, "a/b")


def full_state(runtime: Runtime, config: Config) -> Result:
    small = runtime.root / "small"
    small.mkdir()
    machine.mount("tmpfs", small, "tmpfs", data="size=4k,nr_inodes=3,mode=700")
    config.write()
    try:
        return Runtime(runtime.program, small)("create", "--bundle", config.bundle, "full")
    finally:
        Runtime(runtime.program, small)("delete", "--force", "full")
        machine.unmount(small)
        small.rmdir()


def with_running(*verb: str) -> Act:
    def act(runtime: Runtime, config: Config) -> Result:
        container = runtime.create(config, "sleep", "600").start()
        result = runtime(verb[0], *(container.id if word == "ID" else word for word in verb[1:]))
        container.delete()
        return result

    return act


def with_stopped(*verb: str) -> Act:
    def act(runtime: Runtime, config: Config) -> Result:
        container = runtime.create(config, "true").start().wait("stopped")
        result = runtime(verb[0], *(container.id if word == "ID" else word for word in verb[1:]))
        container.delete()
        return result

    return act


def locked_flag(runtime: Runtime, config: Config) -> Result:
    locked(config)
    name = runtime.new_id()
    try:
        config.write()
        return runtime("create", "--bundle", config.bundle, name)
    finally:
        runtime("delete", "--force", name)
        unlocked(config)


def without_rights(runtime: Runtime, config: Config) -> Result:
    """The caller is root and has lost CAP_SYS_ADMIN, as in a container without it."""
    config.write()
    name = runtime.new_id()
    prefix = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]
    result = runtime("create", "--bundle", config.bundle, name, prefix=prefix)
    runtime("delete", "--force", name)
    return result


def closed_bundle(runtime: Runtime, config: Config) -> Result:
    """A user is given a bundle that only root may enter."""
    config.write()
    config.bundle.chmod(0o700)
    state = config.bundle.parent / f"state-of-nobody-{runtime.name}"
    state.mkdir(mode=0o700)
    os.chown(state, 65534, 65534)
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    own = Runtime(runtime.program, state)
    return own("create", "--bundle", config.bundle, "closed", prefix=prefix)


def closed_image(config: Config) -> None:
    """The root file system cannot be entered by the ids of the user namespace."""
    config.user_namespace()
    os.chown(config.rootfs, 0, 0)
    config.rootfs.chmod(0o700)


def twice_mounted(runtime: Runtime, config: Config) -> Result:
    container = runtime.create(config, "sleep", "600").start()
    text = '{"mounts": [{"destination": "/proc/sys", "source": "/etc", "options": ["bind"]}]}'
    result = runtime("mounts", "add", container.id, "-", stdin=text)
    container.delete()
    return result


MORE = [
    Mistake("memory limit too low for the init", linux(resources={"memory": {"limit": 4096}}), ()),
    Mistake(
        "missing capability", without_rights, ("operation not permitted",), "", "CAP_SYS_ADMIN"
    ),
    Mistake("bundle closed to the user", closed_bundle, ("permission denied",), "/config.json"),
    Mistake(
        "image closed to the mapped root", created(closed_image), ("permission denied",), "", "a+x"
    ),
    Mistake(
        "process limit of the user",
        process(rlimits=[{"type": "RLIMIT_NPROC", "soft": 2, "hard": 1}]),
        ("soft",),
        "/process/rlimits/0",
        "hard",
    ),
    Mistake(
        "misspelt limit",
        process(rlimits=[{"type": "RLIMIT_NOFILES", "soft": 1, "hard": 1}]),
        ("RLIMIT_NOFILES",),
        "/process/rlimits/0/type",
        "did you mean",
    ),
    Mistake(
        "relative root of a hook",
        hook("createRuntime", "bin/true"),
        ("bin/true",),
        "/hooks/createRuntime/0/path",
    ),
    Mistake(
        "namespace twice",
        created(lambda config: config.linux["namespaces"].append({"type": "pid"})),
        ("duplicate pid namespace",),
        "/linux/namespaces",
    ),
    Mistake(
        "hostname without a namespace",
        created(lambda config: config.without_namespace("uts")),
        ("hostname",),
        "/hostname",
        "uts",
    ),
    Mistake(
        "mount below proc of a running container", twice_mounted, ("inside /proc",), "/mounts/0"
    ),
    Mistake(
        "bundle not found",
        no_path,
        ("/no/such/bundle", "no such file or directory"),
        "config.json",
        "spec",
    ),
    Mistake(
        "no config.json",
        lambda runtime, config: runtime("create", "--bundle", config.rootfs, runtime.new_id()),
        ("JSON specification file config.json not found",),
        "config.json",
    ),
    Mistake("broken JSON", text('{"ociVersion": "1.0.0",}'), ("config.json",), "line 1"),
    Mistake(
        "misspelt and wrong property",
        created(misspelt),
        ("/process/cwd", "tmp"),
        "/process/cwd",
        "use '/tmp'",
    ),
    Mistake(
        "misspelt mount option",
        created(misspelt_option),
        ("readonly",),
        "/mounts/5/options/1",
        "did you mean 'ro'",
    ),
    Mistake("id in use", used_id, ("already exists",), "", "delete"),
    Mistake("invalid id", bad_id, ("invalid container ID format",), "", "1 to"),
    Mistake("full state directory", full_state, ("no space left on device",), "", "state"),
    Mistake(
        "exec format",
        created(wrong_format),
        ("exec /bin/broken: exec format error",),
        "/process/args",
        "neither an ELF file nor a script",
    ),
    Mistake(
        "missing interpreter",
        created(no_interpreter),
        ("exec /bin/script: no such file or directory",),
        "/process/args",
        "interpreter",
    ),
    Mistake(
        "read-only parent of a target", created(read_only_parent), ("/mnt/below",), "/mounts/6"
    ),
    Mistake("locked flag", locked_flag, ("cannot clear locked flags",), "/mounts/5", "lock"),
    Mistake("overlapping mappings", created(overlapping), ("overlap",), "/linux/uidMappings"),
    Mistake(
        "user namespace without mappings",
        created(no_mappings),
        ("needs /linux/uidMappings",),
        "/linux/namespaces",
        "path",
    ),
    Mistake(
        "hook fails",
        hook("createRuntime", "/bin/sh", "-c", "echo reason >&2; exit 3"),
        ("createRuntime hook #0", "exit status 3", "reason"),
        "/hooks/createRuntime/0",
    ),
    Mistake(
        "hook takes too long",
        hook("createRuntime", "/bin/sleep", "30", timeout=1),
        ("hook ran past specified timeout of 1.0s",),
        "/hooks/createRuntime/0/timeout",
    ),
    Mistake(
        "hook does not exist",
        hook("createRuntime", "/no/such/hook"),
        ("/no/such/hook", "no such file or directory"),
        "/hooks/createRuntime/0",
    ),
    Mistake("pid limit too low", linux(resources={"pids": {"limit": 1}}), (), ""),
    Mistake(
        "seccomp agent missing",
        created(seccomp_agent),
        ("/no/such/agent.sock",),
        "/linux/seccomp/listenerPath",
        "agent",
    ),
    Mistake(
        "network device missing",
        linux(netDevices={"pyt-none": {}}),
        ("pyt-none", "no such interface"),
        "/linux/netDevices",
        "ip link",
    ),
    Mistake(
        "no terminal socket",
        process(terminal=True),
        ("cannot allocate tty if",),
        "",
        "--console-socket",
    ),
    Mistake(
        "console socket missing",
        created(
            lambda config: config.process.update(terminal=True), "--console-socket", "/no/such.sock"
        ),
        ("/no/such.sock", "no such file or directory"),
        "",
    ),
    Mistake(
        "kill a stopped container",
        with_stopped("kill", "ID", "TERM"),
        ("container not running",),
        "",
    ),
    Mistake(
        "exec in a stopped container",
        with_stopped("exec", "ID", "true"),
        ("cannot exec in a stopped container",),
        "",
    ),
    Mistake(
        "delete a running container",
        with_running("delete", "ID"),
        ("cannot delete container", "not stopped"),
        "",
        "--force",
    ),
    Mistake(
        "unknown signal", with_running("kill", "ID", "NONSENSE"), ("unknown signal",), "", "TERM"
    ),
    Mistake(
        "container does not exist",
        lambda runtime, config: runtime("state", "absent"),
        ("does not exist",),
        "",
    ),
    Mistake(
        "exec of a missing program",
        with_running("exec", "ID", "absent"),
        ('exec: "absent": executable file not found in $PATH',),
        "/args",
    ),
]


def as_mistakes() -> list[Mistake]:
    """Those of tests/container, where the phrases are held, and more."""
    return [
        Mistake(name, created(change), tuple(phrases), place)
        for name, change, phrases, place in MISTAKES
    ] + MORE
