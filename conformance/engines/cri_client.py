# SPDX-License-Identifier: Apache-2.0
"""containerd with its CRI plugin, and a client of that.

Needs the PyPI package container-runtime-interface-api. The daemon lives in a network namespace,
which is the host's network of its pods; a pod with its own network is connected to it by a plugin.
"""

from __future__ import annotations

import contextlib
import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conformance.engines import image
from conformance.engines.engine import (
    CGROUP,
    PARENT,
    SYSTEMD,
    Daemon,
    Unavailable,
    command,
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
[plugins."io.containerd.nri.v1.nri"]
  disable = false
  socket_path = "{directory}/nri.sock"
  plugin_path = "{directory}/nri"
  plugin_config_path = "{directory}/nri.d"
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
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.writable]
    runtime_type = "io.containerd.runc.v2"
    cgroup_writable = {writable}
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.writable.options]
    BinaryName = "{runtime}"
    SystemdCgroup = {systemd}
"""
NETWORK = """
{{"cniVersion": "0.4.0", "name": "pods", "plugins": [{{"type": "ptp", "ipam":
{{"type": "host-local", "subnet": "10.88.0.0/24", "dataDir": "{directory}/ipam"}}}}]}}
"""
# The ids of a pod with a user namespace of its own.
V2 = (CGROUP / "cgroup.controllers").exists()
FIRST_ID, IDS = 500000, 65536
Fields = Mapping[str, Any]
NOTHING: Fields = {}


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
                directory=directory,
                pause=PAUSE,
                runtime=runtime,
                systemd=str(SYSTEMD).lower(),
                writable=str(V2).lower(),
            )
        )
        self.directory = directory
        self.Error: Any = grpc.RpcError
        self.socket = directory / "containerd.sock"
        self.network = f"conformance-{directory.name[-8:]}"
        command("ip", "netns", "add", self.network).ok()
        # CRIU looks at what the kernel can do with connections of the loopback device.
        command("ip", "-n", self.network, "link", "set", "lo", "up").ok()
        self.start_daemon()
        self._import(image.NAME, ("sleep", "1000"))
        self._import(PAUSE, ("sleep", "100000"))
        channel = grpc.insecure_channel(f"unix://{self.socket}")
        self.service: Any = stubs.RuntimeServiceStub(channel)
        self.images: Any = stubs.ImageServiceStub(channel)
        self.daemon.wait_until(self.ready)

    def start_daemon(self) -> None:
        enter = ("nsenter", f"--net=/run/netns/{self.network}")
        self.daemon = Daemon(
            [*enter, "containerd", "--config", str(self.directory / "config.toml")],
            log=self.directory / "containerd.log",
        )
        self.daemon.wait_until(lambda: command(*self._ctr(), "version").status == 0)

    def restart_daemon(self) -> None:
        """Kill the daemon as a lack of memory does, and start the next."""
        self.daemon.process.kill()
        self.daemon.process.wait()
        self.start_daemon()
        self.daemon.wait_until(self.ready)

    def _ctr(self) -> tuple[str, ...]:
        return ("ctr", "-a", str(self.socket), "-n", "k8s.io")

    def _import(self, name: str, program: tuple[str, ...]) -> None:
        self.bring(name, image.oci_archive(name, program=program))

    def bring(self, name: str, content: bytes) -> None:
        """Import an image, and wait until the CRI plugin knows it."""
        archive = self.directory / "image.tar"
        archive.write_bytes(content)
        command(*self._ctr(), "image", "import", str(archive)).ok()

    def ready(self) -> bool:
        try:
            conditions = self.service.Status(self.api.StatusRequest()).status.conditions
        except self.Error:  # a connection to the daemon before this one
            return False
        return any(one.type == "RuntimeReady" and one.status for one in conditions)

    def sandbox(
        self, *, own_network: bool = False, own_users: bool = False, handler: str = "sut"
    ) -> tuple[str, Any]:
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
        request = api.RunPodSandboxRequest(config=config, runtime_handler=handler)
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

    def container(
        self, sandbox: str, config: Any, *argv: str, beside: Fields = NOTHING, **more: Any
    ) -> str:
        """Create and start a container in a sandbox.

        `beside` are fields of its configuration, `more` those of its part for Linux.
        """
        api = self.api
        fields: dict[str, Any] = {
            "metadata": api.ContainerMetadata(name="work", attempt=0),
            "image": api.ImageSpec(image=image.NAME),
            "command": list(argv),
            "log_path": "work.log",
            "linux": api.LinuxContainerConfig(**more),
        }
        wanted = api.ContainerConfig(**{**fields, **beside})
        request = api.CreateContainerRequest(
            pod_sandbox_id=sandbox, config=wanted, sandbox_config=config
        )
        found: str = self.service.CreateContainer(request).container_id
        self.service.StartContainer(api.StartContainerRequest(container_id=found))
        return found

    def execute(self, container: str, *argv: str, timeout_s: int = 20) -> Any:
        fields = {"container_id": container, "cmd": list(argv), "timeout": timeout_s}
        request = self.api.ExecSyncRequest(**fields)
        return self.service.ExecSync(request)

    def state(self, container: str) -> Any:
        request = self.api.ContainerStatusRequest(container_id=container)
        return self.service.ContainerStatus(request).status

    def pid(self, container: str) -> int:
        """Return the process of a container as the host numbers it."""
        return int(json.loads(self.verbose(container)["info"])["pid"])

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
