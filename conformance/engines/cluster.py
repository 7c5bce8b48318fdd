# SPDX-License-Identifier: Apache-2.0
"""A Docker Swarm of three daemons on this machine, each in a network namespace of its own.

The namespaces are joined by a bridge that lies in a fourth one, so no traffic leaves them. The
tests follow the life of one service and run in the order of this text.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections import Counter
from pathlib import Path

from conformance.engines import image
from conformance.engines.engine import (
    GROUP,
    Daemon,
    Outcome,
    command,
    docker_client,
    eventually,
    expect,
    need,
    processes,
    remove_cgroups,
)

NODES = 3
SUBNET = "10.99.0"
SERVICE = "work"


class Node:
    """One daemon: its own host name, data, mounts, network and cgroup parent."""

    def __init__(self, directory: Path, runtime: str, *, number: int, prefix: str):
        self.name, self.number = f"node{number}", number
        self.directory = directory / self.name
        self.directory.mkdir()
        self.client = docker_client(self.directory)
        self.runtime, self.namespace = runtime, f"{prefix}{number}"
        self.address = f"{SUBNET}.{number}"
        self.host = f"unix://{self.directory}/docker.sock"

    def start(self) -> None:
        script = 'hostname "$0"; exec "$@"'
        argv = [
            *("unshare", "-m", "nsenter", f"--net=/run/netns/{self.namespace}", "unshare", "--uts"),
            *("sh", "-c", script, self.name, "dockerd", "-H", self.host),
            *("--data-root", f"{self.directory}/data", "--exec-root", f"{self.directory}/exec"),
            *("--pidfile", f"{self.directory}/docker.pid", "--add-runtime", f"sut={self.runtime}"),
            *("--default-runtime", "sut", "--exec-opt", "native.cgroupdriver=cgroupfs"),
            *("--cgroup-parent", f"/{GROUP}/{self.name}", "--storage-driver", "overlay2"),
        ]
        self.daemon = Daemon(argv, log=self.directory / "dockerd.log")
        self.daemon.wait_until(lambda: self.docker("version").status == 0)

    def docker(self, *argv: str, timeout_s: float = 90) -> Outcome:
        return command(*self.client, "-H", self.host, *argv, timeout_s=timeout_s)

    def containers(self) -> list[str]:
        return self.docker("ps", "-q").output.split()

    def wait_until_empty(self) -> None:
        eventually(lambda: not self.containers(), f"{self.name} keeps tasks", timeout_s=60)

    def kill(self) -> None:
        """End the daemon and its containerd at once; its containers go on."""
        for pid, text in processes():
            if f"{self.directory}/" in text and text.startswith(("dockerd ", "containerd ")):
                os.kill(pid, signal.SIGKILL)
        self.daemon.process.wait()

    def remove_orphans(self) -> None:
        """End the shims and containers that a killed daemon left, by their pids."""
        for pid, text in processes():
            if f"{self.directory}/" in text and "containerd-shim" in text:
                os.kill(pid, signal.SIGTERM)
        for procs in Path("/sys/fs/cgroup").glob(f"*/{GROUP}/{self.name}/*/cgroup.procs"):
            try:
                pids = procs.read_text().split()
            except FileNotFoundError:  # the group went with its last process
                continue
            for line in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(line), signal.SIGKILL)


class Cluster:
    """The bridge, the nodes and the service that the tests follow."""

    NAME = "cluster"

    def __init__(self, directory: Path, runtime: str):
        need("dockerd", "containerd", "ip")
        directory.chmod(0o711)
        self.directory, self.prefix = directory, f"{directory.name[-8:]}-"
        self.hub = f"{self.prefix}hub"
        self.nodes = [
            Node(directory, runtime, number=number, prefix=self.prefix)
            for number in range(1, NODES + 1)
        ]
        self._connect()
        for node in self.nodes:
            node.start()
        archive = directory / "root.tar"
        archive.write_bytes(image.root_archive())
        for node in self.nodes:
            for tag in ("bb:1", "bb:2"):
                node.docker("import", "--change", f"LABEL tag={tag}", str(archive), tag).ok()

    def _connect(self) -> None:
        command("ip", "netns", "add", self.hub).ok()
        command("ip", "-n", self.hub, "link", "add", "br0", "type", "bridge").ok()
        command("ip", "-n", self.hub, "link", "set", "br0", "up").ok()
        for node in self.nodes:
            port = f"p{node.number}"
            command("ip", "netns", "add", node.namespace).ok()
            pair = ("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns")
            command("ip", "-n", self.hub, *pair, node.namespace).ok()
            command("ip", "-n", self.hub, "link", "set", port, "master", "br0", "up").ok()
            for link in ("lo", "eth0"):
                command("ip", "-n", node.namespace, "link", "set", link, "up").ok()
            address = ("addr", "add", f"{node.address}/24", "dev", "eth0")
            command("ip", "-n", node.namespace, *address).ok()

    @property
    def manager(self) -> Node:
        return self.nodes[0]

    def running(self) -> Counter[str]:
        """Return the running tasks of the service by node."""
        form = ("--filter", "desired-state=running", "--format", "{{.Node}} {{.CurrentState}}")
        lines = self.manager.docker("service", "ps", SERVICE, *form).lines()
        return Counter(line.split()[0] for line in lines if line.split()[1] == "Running")

    def expect_running(self, count: int, *, timeout_s: float = 180) -> None:
        eventually(
            lambda: sum(self.running().values()) == count,
            f"not {count} running tasks: {self.running()}",
            timeout_s=timeout_s,
        )

    def reset(self) -> None:
        """Do nothing: the tests follow one service, and undo nothing between them."""

    def stop(self) -> None:
        self.manager.docker("service", "rm", SERVICE)
        alive = [node for node in self.nodes if node.daemon.process.poll() is None]
        for node in alive:
            node.wait_until_empty()
            node.docker("swarm", "leave", "--force")
            node.daemon.stop()
        for node in self.nodes:
            node.remove_orphans()
            for path in ("exec", "data"):
                command("umount", "-R", f"{node.directory}/{path}")
            command("ip", "netns", "del", node.namespace)
        command("ip", "netns", "del", self.hub)
        time.sleep(1)  # the last shims end
        remove_cgroups("docker")


def test_three_nodes_form_a_cluster(cluster: Cluster) -> None:
    manager = cluster.manager
    manager.docker("swarm", "init", "--advertise-addr", manager.address).ok()
    token = manager.docker("swarm", "join-token", "-q", "worker").ok().text
    for node in cluster.nodes[1:]:
        address = ("--advertise-addr", node.address, f"{manager.address}:2377")
        node.docker("swarm", "join", "--token", token, *address).ok()
    form = ("--format", "{{.Hostname}} {{.Status}}")
    eventually(
        lambda: manager.docker("node", "ls", *form).output.count("Ready") == NODES,
        "not all nodes are ready",
    )


def test_replicas_are_spread_over_the_nodes(cluster: Cluster) -> None:
    options = ("--no-resolve-image", "--endpoint-mode", "dnsrr", "--replicas", "12", "--detach")
    policy = ("--stop-grace-period", "1s", "--update-parallelism", "4", "--limit-memory", "16m")
    argv = ("service", "create", "--name", SERVICE, *options, *policy, "bb:1", "sleep", "10000")
    cluster.manager.docker(*argv).ok()
    cluster.expect_running(12)
    expect(set(cluster.running().values()) == {4}, f"not spread evenly: {cluster.running()}")


def test_the_service_grows_and_shrinks(cluster: Cluster) -> None:
    cluster.manager.docker("service", "scale", "--detach", f"{SERVICE}=60").ok()
    cluster.expect_running(60)
    expect(set(cluster.running().values()) == {20}, f"not spread evenly: {cluster.running()}")
    cluster.manager.docker("service", "scale", "--detach", f"{SERVICE}=12").ok()
    cluster.expect_running(12)
    eventually(
        lambda: sum(len(node.containers()) for node in cluster.nodes) == 12,
        "tasks that are gone still have containers",
        timeout_s=90,
    )


def test_a_rolling_update_replaces_every_task(cluster: Cluster) -> None:
    argv = ("service", "update", "--detach", "--no-resolve-image", "--image", "bb:2", SERVICE)
    cluster.manager.docker(*argv).ok()

    def done() -> bool:
        text = cluster.manager.docker("service", "inspect", SERVICE).ok().output
        status = json.loads(text)[0].get("UpdateStatus", {})
        return bool(status.get("State") == "completed")

    eventually(done, "the update does not complete", timeout_s=180)
    form = ("--filter", "desired-state=running", "--format", "{{.Image}}")
    images = cluster.manager.docker("service", "ps", SERVICE, *form).ok().lines()
    expect(images == ["bb:2"] * 12, repr(images))


def test_a_killed_daemon_comes_back(cluster: Cluster) -> None:
    """No task is lost, and none of the containers that the daemon has left stays beside them.

    A node of a cluster has no live-restore: Docker refuses both together.
    """
    killed = cluster.nodes[1]
    killed.kill()
    killed.start()
    form = ("--format", "{{.Hostname}} {{.Status}}")
    eventually(
        lambda: cluster.manager.docker("node", "ls", *form).output.count("Ready") == NODES,
        "the node does not come back",
        timeout_s=90,
    )
    cluster.expect_running(12)
    eventually(
        lambda: sum(len(node.containers()) for node in cluster.nodes) == 12,
        "containers of the daemon before stay",
        timeout_s=90,
    )


def test_the_tasks_of_a_dead_node_start_elsewhere(cluster: Cluster) -> None:
    dead = cluster.nodes[-1]
    dead.kill()
    eventually(
        lambda: dead.name not in cluster.running() and sum(cluster.running().values()) == 12,
        "tasks were lost with their node",
        timeout_s=120,
    )
    alive = sum(len(node.containers()) for node in cluster.nodes[:-1])
    expect(alive == 12, f"{alive} containers for 12 tasks")
