# SPDX-License-Identifier: Apache-2.0
"""containerd's CRI plugin with the runtime under test, driven as a kubelet does.

Needs the PyPI package container-runtime-interface-api. The daemon lives in a network namespace,
which is the host's network of its pods; a pod with its own network is connected to it by a plugin.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from pathlib import Path
from typing import Any

from conformance.engines import image
from conformance.engines.containerd import cgroup_values
from conformance.engines.engine import (
    DEAF,
    PARENT,
    READY,
    SYSTEMD,
    Daemon,
    Unavailable,
    command,
    eventually,
    expect,
    need,
    remove_cgroups,
)

CNI = Path("/var/lib/cni")
PAUSE = "docker.io/library/pause:1"
CONFIG = """
version = 2
root = "{directory}/root"
state = "{directory}/state"
oom_score = 0
[grpc]
  address = "{directory}/containerd.sock"
[ttrpc]
  address = "{directory}/containerd.sock.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{directory}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "sut"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.sut]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.sut.options]
    BinaryName = "{runtime}"
    SystemdCgroup = {systemd}
"""
NETWORK = """
{{"cniVersion": "0.4.0", "name": "pods", "plugins": [{{"type": "ptp", "ipam":
{{"type": "host-local", "subnet": "10.88.0.0/24", "dataDir": "{directory}/ipam"}}}}]}}
"""
# The ids of a pod with a user namespace of its own.
FIRST_ID, IDS = 500000, 65536


class Cri:
    """The daemon and a client of its CRI service."""

    NAME = "cri"

    def __init__(self, directory: Path, runtime: str):
        need("containerd", "ctr", "ip")
        try:
            grpc: Any = importlib.import_module("grpc")
            self.api: Any = importlib.import_module("cri_api.v1.api_pb2")
            stubs: Any = importlib.import_module("cri_api.v1.api_pb2_grpc")
        except ImportError as error:
            raise Unavailable(f"not installed: {error.name}") from error
        directory.chmod(0o711)
        (directory / "cni").mkdir()
        (directory / "cni/10-pods.conflist").write_text(NETWORK.format(directory=directory))
        (directory / "config.toml").write_text(
            CONFIG.format(
                directory=directory, pause=PAUSE, runtime=runtime, systemd=str(SYSTEMD).lower()
            )
        )
        self.directory = directory
        self.socket = directory / "containerd.sock"
        self.network = f"conformance-{directory.name[-8:]}"
        command("ip", "netns", "add", self.network).ok()
        enter = ("nsenter", f"--net=/run/netns/{self.network}")
        self.daemon = Daemon(
            [*enter, "containerd", "--config", str(directory / "config.toml")],
            log=directory / "containerd.log",
        )
        self.daemon.wait_until(lambda: command(*self._ctr(), "version").status == 0)
        self._import(image.NAME, ("sleep", "1000"))
        self._import(PAUSE, ("sleep", "100000"))
        channel = grpc.insecure_channel(f"unix://{self.socket}")
        self.service: Any = stubs.RuntimeServiceStub(channel)
        self.daemon.wait_until(self._ready)

    def _ctr(self) -> tuple[str, ...]:
        return ("ctr", "-a", str(self.socket), "-n", "k8s.io")

    def _import(self, name: str, program: tuple[str, ...]) -> None:
        archive = self.directory / "image.tar"
        archive.write_bytes(image.oci_archive(name, program=program))
        command(*self._ctr(), "image", "import", str(archive)).ok()

    def _ready(self) -> bool:
        conditions = self.service.Status(self.api.StatusRequest()).status.conditions
        return any(one.type == "RuntimeReady" and one.status for one in conditions)

    def sandbox(self, *, own_network: bool = False, own_users: bool = False) -> tuple[str, Any]:
        """Run a pod sandbox; returns its id and its configuration."""
        api = self.api
        config = api.PodSandboxConfig(
            metadata=api.PodSandboxMetadata(name="pod", uid="pod", namespace="default", attempt=0),
            hostname="pod" if own_network else "",
            log_directory=str(self.directory),
            linux=api.LinuxPodSandboxConfig(
                cgroup_parent=PARENT,
                security_context=api.LinuxSandboxSecurityContext(
                    namespace_options=self.namespaces(own_network, own_users)
                ),
            ),
        )
        request = api.RunPodSandboxRequest(config=config, runtime_handler="sut")
        return self.service.RunPodSandbox(request).pod_sandbox_id, config

    def namespaces(self, own_network: bool, own_users: bool) -> Any:
        """Return what a pod and its containers share."""
        api = self.api
        found = api.NamespaceOption(network=api.POD if own_network else api.NODE, pid=api.CONTAINER)
        if own_users:
            ids = [api.IDMapping(host_id=FIRST_ID, container_id=0, length=IDS)]
            users = api.UserNamespace(mode=api.POD, uids=ids, gids=ids)
            found.userns_options.CopyFrom(users)
        return found

    def container(self, sandbox: str, config: Any, *argv: str, **more: Any) -> str:
        """Create and start a container in a sandbox."""
        api = self.api
        wanted = api.ContainerConfig(
            metadata=api.ContainerMetadata(name="work", attempt=0),
            image=api.ImageSpec(image=image.NAME),
            command=list(argv),
            log_path="work.log",
            linux=api.LinuxContainerConfig(**more),
        )
        request = api.CreateContainerRequest(
            pod_sandbox_id=sandbox, config=wanted, sandbox_config=config
        )
        found: str = self.service.CreateContainer(request).container_id
        self.service.StartContainer(api.StartContainerRequest(container_id=found))
        return found

    def execute(self, container: str, *argv: str) -> Any:
        request = self.api.ExecSyncRequest(container_id=container, cmd=list(argv), timeout=20)
        return self.service.ExecSync(request)

    def state(self, container: str) -> Any:
        request = self.api.ContainerStatusRequest(container_id=container)
        return self.service.ContainerStatus(request).status

    def verbose(self, container: str) -> Any:
        """Return what containerd tells beyond the status, as JSON by name."""
        request = self.api.ContainerStatusRequest(container_id=container, verbose=True)
        return self.service.ContainerStatus(request).info

    def reset(self) -> None:
        api = self.api
        for one in self.service.ListPodSandbox(api.ListPodSandboxRequest()).items:
            self.service.StopPodSandbox(api.StopPodSandboxRequest(pod_sandbox_id=one.id))
            self.service.RemovePodSandbox(api.RemovePodSandboxRequest(pod_sandbox_id=one.id))

    def stop(self) -> None:
        self.reset()
        self.daemon.stop()
        command("ip", "netns", "del", self.network).ok()
        for path in (CNI / "results", CNI):  # where the plugins keep what they answered
            with contextlib.suppress(OSError):
                path.rmdir()
        remove_cgroups("k8s.io")


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
    pid = json.loads(engine.verbose(container)["info"])["pid"]
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
