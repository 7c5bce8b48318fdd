# SPDX-License-Identifier: Apache-2.0
"""A private Docker daemon in a network namespace, with the runtime under test as its default."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from conformance.engines import image
from conformance.engines.engine import (
    DRIVER,
    PARENT,
    Daemon,
    Outcome,
    command,
    docker_client,
    need,
    processes,
    remove_cgroups,
)


class Docker:
    """The daemon and its client. `runtime` is the path of the runtime under test."""

    NAME = "docker"

    def __init__(self, directory: Path, runtime: str):
        need("dockerd", "containerd", "ip")
        self.client = docker_client(directory)
        self.directory, self.runtime = directory, runtime
        directory.chmod(0o711)
        # Some kernels of guests have neither packet filters nor pairs of interfaces.
        self.bridged = command("unshare", "-n", "iptables", "-t", "nat", "-N", "X").status == 0
        self.namespace = f"conformance-{directory.name[-8:]}"
        self.host = f"unix://{directory}/docker.sock"
        command("ip", "netns", "add", self.namespace).ok()
        command("ip", "-n", self.namespace, "link", "set", "lo", "up").ok()
        # BuildKit inside the daemon takes no runtime from its configuration: it starts `runc`.
        (directory / "bin").mkdir()
        runc = directory / "bin/runc"
        runc.write_text(f'#!/bin/sh\nexec {runtime} "$@"\n')
        runc.chmod(0o755)
        self.start_daemon()
        archive = directory / "root.tar"
        archive.write_bytes(image.root_archive())
        self.docker("import", str(archive), "bb:1").ok()

    def start_daemon(self, *options: str) -> None:
        # nsenter, not `ip netns exec`: that mounts a new /sys without the cgroup hierarchies. The
        # daemon's mounts, and the subordinate ids that one test wants, are in a namespace of its
        # own.
        script = (
            'for f in subuid subgid; do [ ! -e "$0/$f" ] || mount --bind "$0/$f" "/etc/$f"; done\n'
            'exec "$@"'
        )
        enter = ("nsenter", f"--net=/run/netns/{self.namespace}", "unshare", "-m", "sh", "-c")
        argv = [
            *(*enter, script, str(self.directory), "dockerd", "-H", self.host),
            *("--data-root", f"{self.directory}/data", "--exec-root", f"{self.directory}/exec"),
            *("--pidfile", f"{self.directory}/docker.pid", "--add-runtime", f"sut={self.runtime}"),
            *("--default-runtime", "sut", "--exec-opt", f"native.cgroupdriver={DRIVER}"),
            *("--cgroup-parent", PARENT, "--storage-driver", "vfs", *options),
            *(() if self.bridged else ("--iptables=false", "--bridge=none")),
        ]
        env = {"PATH": f"{self.directory}/bin:{os.environ['PATH']}"}
        self.daemon = Daemon(argv, log=self.directory / "dockerd.log", env=env)
        self.daemon.wait_until(lambda: self.docker("version").status == 0)

    def kill_daemon(self) -> None:
        """End the daemon and its containerd at once, as a crash or a lack of memory does."""
        for pid, text in processes():
            if f"{self.directory}/" in text and text.startswith(("dockerd ", "containerd ")):
                os.kill(pid, signal.SIGKILL)
        self.daemon.process.wait()

    def docker(self, *argv: str, timeout_s: float = 90, stdin: str = "") -> Outcome:
        return command(*self.client, "-H", self.host, *argv, timeout_s=timeout_s, stdin=stdin)

    def run(self, *argv: str, network: str = "none") -> Outcome:
        return self.docker("run", "--rm", "--network", network, *argv)

    def start(self, name: str, *options: str, command: tuple[str, ...] = ("sleep", "1000")) -> None:
        flags = ("-d", "--name", name, "--network", "none", *options)
        self.docker("run", *flags, "bb:1", *command).ok()

    def remove(self, name: str) -> None:
        self.docker("rm", "-f", "-v", name).ok()

    def inspect(self, name: str, template: str) -> str:
        return self.docker("inspect", "-f", template, name).ok().text

    def reset(self) -> None:
        names = self.docker("ps", "-aq").output.split()
        if names:
            self.docker("rm", "-f", "-v", *names)

    def stop(self) -> None:
        self.reset()
        self.docker("volume", "prune", "-f")
        self.daemon.stop()
        command("ip", "netns", "del", self.namespace).ok()
        for path in (self.directory / "exec", self.directory / "data"):
            subprocess.run(["umount", "-R", str(path)], capture_output=True, check=False)
        remove_cgroups("docker")
