# SPDX-License-Identifier: Apache-2.0
"""containerd's CRI plugin with the runtime under test, driven as a kubelet does."""

from __future__ import annotations

import os

from conformance.engines import cri_more, cri_pods
from conformance.engines.containerd import cgroup_values
from conformance.engines.cri_client import FIRST_ID, IDS, Cri
from conformance.engines.engine import DEAF, READY, Unavailable, command, eventually, expect

PARTS = (cri_pods, cri_more)


def test_a_pod_runs_a_container(engine: Cri) -> None:
    sandbox, config = engine.sandbox()
    container = engine.container(sandbox, config, "sleep", "1000")
    expect(engine.state(container).state == engine.api.CONTAINER_RUNNING, "not running")
    answer = engine.execute(container, "sh", "-c", "echo out; echo err >&2; exit 3")
    expect(
        (answer.stdout, answer.stderr, answer.exit_code) == (b"out\n", b"err\n", 3), repr(answer)
    )
    engine.reset()


def test_a_container_that_ends_tells_its_status(engine: Cri) -> None:
    sandbox, config = engine.sandbox()
    container = engine.container(sandbox, config, "sh", "-c", "echo line; exit 7")
    eventually(lambda: engine.state(container).exit_code == 7, "no exit code")
    log = (engine.directory / "work.log").read_text()
    expect("stdout F line" in log, log)
    engine.reset()


def test_containers_of_a_pod_share_its_ipc_namespace(engine: Cri) -> None:
    sandbox, config = engine.sandbox()
    container = engine.container(sandbox, config, "sleep", "1000")
    inside = engine.execute(container, "readlink", "/proc/self/ns/ipc").stdout.decode().strip()
    network = engine.execute(container, "readlink", "/proc/self/ns/net").stdout.decode().strip()
    expect(inside != os.readlink("/proc/self/ns/ipc"), inside)
    inode = os.stat(f"/run/netns/{engine.network}").st_ino
    expect(network == f"net:[{inode}]", network)
    engine.reset()


def test_a_pod_has_a_network_of_its_own(engine: Cri) -> None:
    sandbox, config = engine.sandbox(own_network=True)
    request = engine.api.PodSandboxStatusRequest(pod_sandbox_id=sandbox)
    address = engine.service.PodSandboxStatus(request).status.network.ip
    container = engine.container(sandbox, config, "sleep", "1000")
    lines = engine.execute(container, "sh", "-c", "hostname; ip -o addr").stdout.decode()
    expect(lines.startswith("pod\n") and f"inet {address}/" in lines, f"{address}: {lines}")
    enter = ("nsenter", f"--net=/run/netns/{engine.network}")
    command(*enter, "busybox", "ping", "-c", "1", "-W", "5", address).ok()
    engine.reset()


def test_a_pod_has_a_user_namespace_of_its_own(engine: Cri) -> None:
    handlers = engine.service.Status(engine.api.StatusRequest()).runtime_handlers
    if not any(one.name == "sut" and one.features.user_namespaces for one in handlers):
        raise Unavailable("a containerd that knows pods with user namespaces (2.0)")
    sandbox, config = engine.sandbox(own_network=True, own_users=True)
    shared = engine.api.LinuxContainerSecurityContext(
        namespace_options=engine.namespaces(True, True)
    )
    container = engine.container(sandbox, config, "sleep", "1000", security_context=shared)
    text = "id -u; touch /x; stat -c %u /x; cat /proc/self/uid_map"
    words = engine.execute(container, "sh", "-c", text).stdout.decode().split()
    expect(words == ["0", "0", "0", str(FIRST_ID), str(IDS)], repr(words))
    engine.reset()


def test_limits_are_set_and_updated(engine: Cri) -> None:
    api = engine.api
    sandbox, config = engine.sandbox()
    limits = api.LinuxContainerResources(memory_limit_in_bytes=64 << 20, cpu_shares=512)
    container = engine.container(sandbox, config, "sleep", "1000", resources=limits)
    pid = engine.pid(container)
    expect(str(64 << 20) in cgroup_values(pid)["memory"], repr(cgroup_values(pid)))
    more = api.LinuxContainerResources(memory_limit_in_bytes=128 << 20)
    request = api.UpdateContainerResourcesRequest(container_id=container, linux=more)
    engine.service.UpdateContainerResources(request)
    expect(str(128 << 20) in cgroup_values(pid)["memory"], "not updated")
    engine.reset()


def test_a_stop_with_grace_ends_in_a_kill(engine: Cri) -> None:
    sandbox, config = engine.sandbox()
    container = engine.container(sandbox, config, *DEAF)
    engine.execute(container, *READY)
    request = engine.api.StopContainerRequest(container_id=container, timeout=1)
    engine.service.StopContainer(request)
    expect(engine.state(container).exit_code == 137, f"{engine.state(container).exit_code}")
    engine.reset()


def test_security_contexts(engine: Cri) -> None:
    api = engine.api
    sandbox, config = engine.sandbox()
    context = api.LinuxContainerSecurityContext(
        run_as_user=api.Int64Value(value=1000),
        readonly_rootfs=True,
        no_new_privs=True,
        masked_paths=["/proc/kcore"],
        seccomp=api.SecurityProfile(profile_type=api.SecurityProfile.RuntimeDefault),
    )
    container = engine.container(sandbox, config, "sleep", "1000", security_context=context)
    text = "id -u; touch /x 2>/dev/null || echo ro; grep -E 'NoNew|Seccomp:' /proc/self/status"
    lines = engine.execute(container, "sh", "-c", text).stdout.decode().split()
    expect(lines == ["1000", "ro", "NoNewPrivs:", "1", "Seccomp:", "2"], repr(lines))
    engine.reset()


def test_statistics(engine: Cri) -> None:
    sandbox, config = engine.sandbox()
    container = engine.container(sandbox, config, "sleep", "1000")
    request = engine.api.ContainerStatsRequest(container_id=container)
    stats = engine.service.ContainerStats(request).stats
    expect(stats.memory.working_set_bytes.value > 0, str(stats))
    engine.reset()


SMOKE = (test_a_pod_runs_a_container,)
