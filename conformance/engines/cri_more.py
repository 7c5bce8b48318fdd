# SPDX-License-Identifier: Apache-2.0
"""What a kubelet asks of running containers: signals, terminals, plugins, checkpoints."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from conformance.engines import image, nri, registry
from conformance.engines.containerd import cgroup_values
from conformance.engines.cri_client import Cri
from conformance.engines.cri_pods import MIB, features, output
from conformance.engines.engine import (
    COUNT,
    COUNTED,
    READY,
    Daemon,
    Unavailable,
    command,
    eventually,
    expect,
    need_criu,
)
from conformance.engines.streams import STATUS, STDIN, STDOUT, Stream

ASK = ("sh", "-c", "tty; stty size; read word; echo got $word; exit 4")
ASK_REGISTRY = ("busybox", "wget", "-qO", "/dev/null", f"http://{registry.HOST}/v2/")
ON_USR1 = ("sh", "-c", "trap 'exit 5' USR1; touch /tmp/ready; while :; do sleep 0.1; done")
# The last of these goes first: each notes its end in a file that all see.
ORDERED = (
    *("sh", "-c"),
    "trap 'echo $0 >>/shared/ends; exit 0' TERM; touch /tmp/ready; while :; do sleep 0.1; done",
)


def stop(engine: Cri, container: str, grace_s: int = 30) -> Any:
    """Stop a container and return its status."""
    request = engine.api.StopContainerRequest(container_id=container, timeout=grace_s)
    engine.service.StopContainer(request)
    return engine.state(container)


def test_the_stop_signal_of_the_image(engine: Cri) -> None:
    name = "docker.io/library/stops:1"
    engine.bring(name, image.oci_archive(name, stop_signal="SIGUSR1"))
    sandbox, config = engine.sandbox()
    beside = {"image": engine.api.ImageSpec(image=name)}
    container = engine.container(sandbox, config, *ON_USR1, beside=beside)
    engine.execute(container, *READY)
    expect(stop(engine, container).exit_code == 5, f"{engine.state(container).exit_code}")
    engine.reset()


def test_the_stop_signal_of_the_pod(engine: Cri) -> None:
    """KEP-4960."""
    api = engine.api
    sandbox, config = engine.sandbox()
    container = engine.container(
        sandbox, config, *ON_USR1, beside={"stop_signal": api.Signal.Value("SIGUSR1")}
    )
    engine.execute(container, *READY)
    if engine.state(container).stop_signal != api.Signal.Value("SIGUSR1"):
        engine.reset()
        raise Unavailable("a containerd that knows stop signals of pods")
    expect(stop(engine, container).exit_code == 5, f"{engine.state(container).exit_code}")
    engine.reset()


def test_containers_end_in_the_order_of_the_kubelet(engine: Cri) -> None:
    """Sidecars go last: each is stopped when the one after it has ended (KEP-753)."""
    shared = engine.directory / "shared"
    shared.mkdir(exist_ok=True)
    (shared / "ends").unlink(missing_ok=True)
    mounts = [engine.api.Mount(container_path="/shared", host_path=str(shared))]
    sandbox, config = engine.sandbox()
    names = ["sidecar", "second", "main"]
    started = []
    for name in names:
        metadata = engine.api.ContainerMetadata(name=name, attempt=0)
        beside = {"metadata": metadata, "mounts": mounts, "log_path": ""}
        started.append(engine.container(sandbox, config, *ORDERED, name, beside=beside))
        engine.execute(started[-1], *READY)
    statuses = [stop(engine, container).exit_code for container in reversed(started)]
    expect(statuses == [0, 0, 0], repr(statuses))
    ends = (shared / "ends").read_text().split()
    expect(ends == names[::-1], repr(ends))
    engine.reset()


def test_a_container_with_a_terminal(engine: Cri) -> None:
    sandbox, config = engine.sandbox()
    beside = {"tty": True, "log_path": "terminal.log"}
    container = engine.container(sandbox, config, "sh", "-c", "tty; exit 6", beside=beside)
    eventually(lambda: engine.state(container).exit_code == 6, "no exit code")
    log = (engine.directory / "terminal.log").read_text()
    expect("/dev/pts/0" in log or "/dev/console" in log, log)
    engine.reset()


def test_exec_with_a_terminal(engine: Cri) -> None:
    """`kubectl exec -it`: a stream through containerd's server."""
    sandbox, config = engine.sandbox()
    container = engine.container(sandbox, config, "sleep", "1000")
    fields = {"container_id": container, "cmd": list(ASK), "tty": True}
    request = engine.api.ExecRequest(**fields, stdin=True, stdout=True)
    with Stream(engine.network, engine.service.Exec(request).url) as stream:
        stream.send(STDIN, b"hello\n")
        seen, status = b"", {}
        for channel, data in stream.messages():
            seen += data if channel == STDOUT else b""
            if channel == STATUS and data:
                status = json.loads(data)
                break
    expect(b"/dev/pts/" in seen and b"got hello" in seen, repr(seen))
    causes = [one["message"] for one in status.get("details", {}).get("causes", [])]
    expect(causes == ["4"], repr(status))
    engine.reset()


def test_adjustments_of_a_plugin(engine: Cri) -> None:
    """NRI: what a plugin changes is in the configuration that the runtime gets."""
    source = engine.directory / "injected"
    source.mkdir(exist_ok=True)
    (source / "file").write_text("content")
    options = ["rbind", "ro", "rprivate"]
    mount = {"destination": "/injected", "type": "bind", "source": str(source), "options": options}
    resources = {"memory": {"limit": {"value": 64 * MIB}}}
    adjustment = {
        "env": [{"key": "INJECTED", "value": "yes"}],
        "mounts": [mount],
        "linux": {"resources": resources, "oom_score_adj": {"value": 321}},
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 2048, "soft": 1024}],
    }
    path = engine.directory / "nri.sock"
    if not path.exists():
        raise Unavailable("a containerd with NRI")
    plugin = nri.Plugin(path, adjustment)
    try:
        eventually(lambda: "Synchronize" in plugin.asked, "the plugin is not registered")
        sandbox, config = engine.sandbox()
        container = engine.container(sandbox, config, "sleep", "1000")
    finally:
        plugin.close()
    text = "echo $INJECTED; cat /injected/file; echo; ulimit -n"
    words = output(engine, container, text).split()
    expect(words == ["yes", "content", "1024"], repr(words))
    pid = engine.pid(container)
    score = Path(f"/proc/{pid}/oom_score_adj").read_text().strip()
    expect(score == "321", score)
    expect(str(64 * MIB) in cgroup_values(pid)["memory"], "no limit")
    engine.reset()


def test_a_container_is_restored_from_a_checkpoint(engine: Cri) -> None:
    """KEP-2008: the archive of a checkpoint is the image of the container that goes on.

    containerd 2.1 pulls the image below it again, so there is a registry that has it.
    """
    need_criu()
    features(engine)  # an older containerd does not know it
    archive = engine.directory / "registry.tar"
    archive.write_bytes(image.oci_archive())
    enter = ("nsenter", f"--net=/run/netns/{engine.network}")
    argv = [*enter, sys.executable, "-m", "conformance.engines.registry", str(archive)]
    server = Daemon(argv, log=engine.directory / "registry.log")
    try:
        pull = engine.api.PullImageRequest(image=engine.api.ImageSpec(image=registry.NAME))
        server.wait_until(lambda: command(*enter, *ASK_REGISTRY).status == 0)
        engine.images.PullImage(pull)
        save_and_restore(engine)
    finally:
        server.stop()


def save_and_restore(engine: Cri) -> None:
    api = engine.api
    context = api.LinuxContainerSecurityContext(namespace_options=engine.namespaces(False, False))
    spec = api.ImageSpec(image=registry.NAME, user_specified_image=registry.NAME)
    sandbox, config = engine.sandbox()
    container = engine.container(
        sandbox, config, *COUNT, beside={"image": spec}, security_context=context
    )

    def counted(name: str) -> int:
        return int(engine.execute(name, *COUNTED).stdout.decode().strip() or 0)

    eventually(lambda: counted(container) > 5, "it does not count")
    archive = engine.directory / "saved.tar"
    request = api.CheckpointContainerRequest(
        container_id=container, location=str(archive), timeout=60
    )
    engine.service.CheckpointContainer(request)
    stop(engine, container, 0)
    engine.reset()
    sandbox, config = engine.sandbox()
    beside = {"image": api.ImageSpec(image=str(archive))}
    restored = engine.container(sandbox, config, *COUNT, beside=beside, security_context=context)
    first = counted(restored)
    expect(first > 5, f"it counts from {first}")
    eventually(lambda: counted(restored) > first, "it does not count on")
    engine.reset()
