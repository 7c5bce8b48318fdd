# SPDX-License-Identifier: Apache-2.0
"""Where Kubernetes looks beyond a container's life: volumes, ids, resizes, probes, restarts."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from conformance.engines import image
from conformance.engines.containerd import cgroup_values
from conformance.engines.cri_client import FIRST_ID, V2, Cri
from conformance.engines.engine import (
    GREEDY,
    READY,
    TRAP,
    Unavailable,
    command,
    eventually,
    expect,
    need_criu,
)

MIB = 1 << 20
PROBES, WORKERS = 200, 8
MANY = 20


def features(engine: Cri) -> Any:
    """Return what containerd learned from the runtime."""
    handlers = engine.service.Status(engine.api.StatusRequest()).runtime_handlers
    for handler in handlers:
        if handler.name == "sut":
            return handler.features
    raise Unavailable("a containerd that asks runtimes for their features (2.0)")


def output(engine: Cri, container: str, text: str) -> str:
    """Return what a script prints in a container."""
    answer = engine.execute(container, "sh", "-c", text)
    return str((answer.stdout + answer.stderr).decode())


def test_a_user_namespace_with_the_network_of_the_host(engine: Cri) -> None:
    """KEP-5607: a pod of the host's network may have ids of its own."""
    if not features(engine).user_namespaces:
        raise Unavailable("a runtime that offers user namespaces")
    try:
        sandbox, config = engine.sandbox(own_users=True)
    except engine.Error as error:
        # containerd 2.1 looks for the network namespace that it did not make.
        if "failed to pin user namespace" in error.details():
            engine.reset()
            raise Unavailable("a containerd that allows it") from error
        raise
    shared = engine.api.LinuxContainerSecurityContext(
        namespace_options=engine.namespaces(False, True)
    )
    container = engine.container(sandbox, config, "sleep", "1000", security_context=shared)
    words = output(engine, container, "id -u; cat /proc/self/uid_map; ls /sys").split()
    expect(words[:3] == ["0", "0", str(FIRST_ID)], repr(words))
    network = output(engine, container, "readlink /proc/self/ns/net").strip()
    inode = os.stat(f"/run/netns/{engine.network}").st_ino
    expect(network == f"net:[{inode}]", network)
    engine.reset()


def test_recursive_read_only_mounts(engine: Cri) -> None:
    if not features(engine).recursive_read_only_mounts:
        raise Unavailable("a runtime that offers recursive read-only mounts")
    source = engine.directory / "outer"
    (source / "inner").mkdir(parents=True)
    command("mount", "-t", "tmpfs", "inner", str(source / "inner")).ok()
    try:
        mounts = [
            engine.api.Mount(
                container_path=f"/{name}",
                host_path=str(source),
                readonly=True,
                recursive_read_only=name == "whole",
            )
            for name in ("whole", "top")
        ]
        sandbox, config = engine.sandbox()
        container = engine.container(sandbox, config, "sleep", "1000", beside={"mounts": mounts})
        text = (
            "for d in whole top whole/inner top/inner; do touch /$d/x 2>/dev/null && echo $d; done"
        )
        expect(output(engine, container, text).split() == ["top/inner"], "not read-only")
        engine.reset()
    finally:
        command("umount", str(source / "inner")).ok()


def test_an_image_as_a_volume(engine: Cri) -> None:
    """KEP-4639."""
    spec = engine.api.ImageSpec(image=image.NAME)
    mount = engine.api.Mount(container_path="/volume", image=spec, readonly=True)
    sandbox, config = engine.sandbox()
    try:
        container = engine.container(sandbox, config, "sleep", "1000", beside={"mounts": [mount]})
    except engine.Error as error:
        engine.reset()
        raise Unavailable(f"a containerd with image volumes: {error.details()}") from error
    text = "cat /volume/etc/hosts; touch /volume/x 2>/dev/null || echo ro"
    lines = output(engine, container, text).splitlines()
    expect(lines[-1] == "ro" and "localhost" in lines[0], repr(lines))
    engine.reset()


def test_supplemental_groups_by_policy(engine: Cri) -> None:
    """KEP-3619: Strict leaves the groups of the image's /etc/group out."""
    api = engine.api
    features(engine)  # an older containerd does not know it
    seen = {}
    for policy in (api.Merge, api.Strict):
        context = api.LinuxContainerSecurityContext(
            run_as_user=api.Int64Value(value=1000),
            supplemental_groups=[3000],
            supplemental_groups_policy=policy,
        )
        sandbox, config = engine.sandbox()
        container = engine.container(sandbox, config, "sleep", "1000", security_context=context)
        seen[policy] = set(output(engine, container, "id -G").split())
        engine.reset()
    expect(seen[api.Merge] == {"1000", "2000", "3000"}, repr(seen))
    expect(seen[api.Strict] == {"1000", "3000"}, repr(seen))


def test_resizes_up_and_down_under_load(engine: Cri) -> None:
    """KEP-1287."""
    api = engine.api
    sandbox, config = engine.sandbox()
    limits = api.LinuxContainerResources(
        memory_limit_in_bytes=64 * MIB, cpu_period=100000, cpu_quota=50000
    )
    load = ("sh", "-c", "while :; do head -c 8m /dev/zero | tail -c 1; done")
    container = engine.container(sandbox, config, *load, resources=limits)
    pid = engine.pid(container)
    for memory, quota in ((256, 150000), (128, 20000), (512, 200000), (64, 50000)):
        more = api.LinuxContainerResources(
            memory_limit_in_bytes=memory * MIB, cpu_period=100000, cpu_quota=quota
        )
        request = api.UpdateContainerResourcesRequest(container_id=container, linux=more)
        engine.service.UpdateContainerResources(request)
        values = cgroup_values(pid)
        expect(str(memory * MIB) in values["memory"], repr(values))
        expect(str(quota) in values["cpu"], repr(values))
    expect(engine.state(container).state == api.CONTAINER_RUNNING, "the resize ended it")
    engine.reset()


def test_a_probe_that_takes_too_long_is_ended(engine: Cri) -> None:
    sandbox, config = engine.sandbox()
    container = engine.container(sandbox, config, "sleep", "1000")
    try:
        engine.execute(container, "sleep", "777", timeout_s=1)
    except engine.Error as error:
        expect("DEADLINE_EXCEEDED" in str(error.code()), str(error))
    else:
        expect(False, "no error")
    eventually(lambda: "777" not in output(engine, container, "ps"), "the probe goes on")
    engine.reset()


def test_many_probes_at_once(engine: Cri) -> None:
    """None of them fails, and the container has none of their processes afterwards."""
    sandbox, config = engine.sandbox()
    container = engine.container(sandbox, config, "sleep", "1000")

    def probe(number: int) -> int:
        return int(engine.execute(container, "sh", "-c", f"exit {number % 7}").exit_code)

    def programs() -> list[str]:
        return sorted(engine.execute(container, "ps", "-o", "comm").stdout.decode().split())

    before = programs()
    with ThreadPoolExecutor(WORKERS) as pool:
        codes = list(pool.map(probe, range(PROBES)))
    expect(codes == [number % 7 for number in range(PROBES)], repr(codes))

    eventually(lambda: programs() == before, "processes of probes stay")
    engine.reset()


def test_a_lack_of_memory_is_told(engine: Cri) -> None:
    api = engine.api
    sandbox, config = engine.sandbox()
    limits = api.LinuxContainerResources(
        memory_limit_in_bytes=16 * MIB, memory_swap_limit_in_bytes=16 * MIB
    )
    container = engine.container(sandbox, config, *GREEDY, resources=limits)
    eventually(lambda: engine.state(container).state == api.CONTAINER_EXITED, "it goes on")
    eventually(lambda: engine.state(container).reason == "OOMKilled", "nobody noticed")
    engine.reset()


def test_containers_outlive_a_killed_daemon(engine: Cri) -> None:
    """The next one finds pod and containers running, and their ends when they end."""
    sandbox, config = engine.sandbox()
    container = engine.container(sandbox, config, *TRAP)
    engine.execute(container, *READY)
    pid = engine.pid(container)
    engine.restart_daemon()
    expect(engine.state(container).state == engine.api.CONTAINER_RUNNING, "not running")
    expect(engine.pid(container) == pid, "another process")
    expect(output(engine, container, "echo back").strip() == "back", "exec does not work")
    engine.service.StopContainer(
        engine.api.StopContainerRequest(container_id=container, timeout=20)
    )
    expect(engine.state(container).exit_code == 3, f"{engine.state(container).exit_code}")
    engine.reset()


def test_a_pod_with_many_containers(engine: Cri) -> None:
    api = engine.api
    sandbox, config = engine.sandbox()
    metadata = [api.ContainerMetadata(name=f"c{number}", attempt=0) for number in range(MANY)]
    started = [
        engine.container(sandbox, config, "sleep", "1000", beside={"metadata": one, "log_path": ""})
        for one in metadata
    ]
    running = [engine.state(container).state == api.CONTAINER_RUNNING for container in started]
    expect(all(running), repr(running))
    engine.service.StopPodSandbox(api.StopPodSandboxRequest(pod_sandbox_id=sandbox))
    ended = {engine.state(container).state for container in started}
    expect(ended == {api.CONTAINER_EXITED}, repr(ended))
    engine.reset()


def test_the_processes_of_another_container_are_seen(engine: Cri) -> None:
    """An ephemeral container for debugging joins the pid namespace of its target."""
    api = engine.api
    sandbox, config = engine.sandbox()
    target = engine.container(sandbox, config, "sleep", "4242")
    options = api.NamespaceOption(network=api.NODE, pid=api.TARGET, target_id=target)
    context = api.LinuxContainerSecurityContext(namespace_options=options)
    beside = {"metadata": api.ContainerMetadata(name="debug", attempt=0)}
    container = engine.container(
        sandbox, config, "sleep", "1000", beside=beside, security_context=context
    )
    expect("4242" in output(engine, container, "ps"), "the target is not seen")
    request = api.StopContainerRequest(container_id=container, timeout=0)
    engine.service.StopContainer(request)
    expect(engine.state(target).state == api.CONTAINER_RUNNING, "the target went with it")
    engine.reset()


def test_a_privileged_pod(engine: Cri) -> None:
    api = engine.api
    if not may_everything():
        raise Unavailable("all capabilities, which a privileged container gets")
    options = engine.namespaces(False, False)
    sandbox, config = engine.sandbox()
    config.linux.security_context.privileged = True
    context = api.LinuxContainerSecurityContext(privileged=True, namespace_options=options)
    request = api.RunPodSandboxRequest(config=config, runtime_handler="sut")
    engine.reset()
    sandbox = engine.service.RunPodSandbox(request).pod_sandbox_id
    container = engine.container(sandbox, config, "sleep", "1000", security_context=context)
    text = "mount -t tmpfs x /mnt && echo mounted; grep CapEff /proc/self/status"
    words = output(engine, container, text).split()
    expect(words[0] == "mounted" and words[2] != "0" * 16, repr(words))
    engine.reset()


def may_everything() -> bool:
    """Whether this process has every capability that the kernel knows."""
    with open("/proc/self/status") as status, open("/proc/sys/kernel/cap_last_cap") as last:
        fields = dict(line.split(":\t") for line in status)
        return int(fields["CapEff"], 16) == (1 << int(last.read()) + 1) - 1


def test_writable_cgroups_without_privileges(engine: Cri) -> None:
    """KEP-5474; containerd's option is cgroup_writable."""
    if not V2:
        raise Unavailable("cgroup v2")
    sandbox, config = engine.sandbox(handler="writable")
    container = engine.container(sandbox, config, "sleep", "1000")
    text = "cd /sys/fs/cgroup && mkdir own && echo 0 >own/cgroup.procs && cat /proc/self/cgroup"
    expect("/own" in output(engine, container, text), output(engine, container, text))
    engine.reset()


def test_a_checkpoint_of_a_container(engine: Cri) -> None:
    """KEP-2008."""
    need_criu()
    features(engine)  # an older containerd does not know it
    sandbox, config = engine.sandbox()
    container = engine.container(sandbox, config, "sleep", "1000")
    archive = engine.directory / "checkpoint.tar"
    request = engine.api.CheckpointContainerRequest(
        container_id=container, location=str(archive), timeout=30
    )
    engine.service.CheckpointContainer(request)
    expect(archive.stat().st_size > 0, "an empty archive")
    expect(engine.state(container).state == engine.api.CONTAINER_RUNNING, "not running")
    names = command("tar", "-tf", str(archive)).ok().output
    expect("pages-" in names and "spec.dump" in names, names)
    engine.reset()


def test_pressure_and_statistics_of_a_pod(engine: Cri) -> None:
    """What `kubectl top` and the metrics of a node are made of."""
    sandbox, config = engine.sandbox()
    container = engine.container(sandbox, config, "sh", "-c", "while :; do :; done")
    request = engine.api.ContainerStatsRequest(container_id=container)

    def used() -> int:
        return int(engine.service.ContainerStats(request).stats.cpu.usage_core_nano_seconds.value)

    before = used()
    time.sleep(0.2)
    expect(used() > before, "no time of the processor is counted")
    engine.reset()
