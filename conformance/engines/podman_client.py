# SPDX-License-Identifier: Apache-2.0
"""The client of Podman and its monitor, with storage of their own."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Mapping
from pathlib import Path

from conformance.engines import image
from conformance.engines.engine import DRIVER, PARENT, Outcome, command, need, remove_cgroups

# Podman raises limits above what a machine without CAP_SYS_RESOURCE allows. The lists tell which
# runtimes, by name, are given --log-format=json and may run without cgroups. Podman's manual calls
# the second runtime_supports_nocgroups; what Podman reads has no s.
CONFIG = """
[containers]
default_ulimits = ["nofile=1024:4096", "nproc={processes}:{processes}"]
[engine]
cgroup_manager = "{driver}"
events_logger = "file"
lock_type = "file"
runtime_supports_json = ["{name}"]
runtime_supports_nocgroup = {without}
infra_image = "localhost/bb:1"
conmon_path = ["{conmon}"]
helper_binaries_dir = ["{helpers}", "/usr/libexec/podman", "/usr/lib/podman"]
"""


class Podman:
    """The client. `runtime` is the path of the runtime under test."""

    NAME = "podman"
    # Options that put a container or pod below the cgroup of this run.
    groups: tuple[str, ...] = ("--cgroup-parent", PARENT)
    # The command that changes to the user of the client.
    become: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}

    def __init__(self, directory: Path, runtime: str):
        need("podman", "conmon")
        self.directory, self.runtime = directory, runtime
        directory.chmod(0o711)
        name = Path(runtime).name
        without = "[]" if name.startswith("runc") else f'["{name}"]'
        hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        processes = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)
        conmon = shutil.which("conmon") or ""
        config = CONFIG.format(
            name=name,
            without=without,
            driver=DRIVER,
            processes=processes,
            conmon=conmon,
            helpers=Path(conmon).parent,
        )
        (directory / "containers.conf").write_text(config)
        (directory / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        self.environment = {
            **self.environment,
            "CONTAINERS_CONF": str(directory / "containers.conf"),
            "PODMAN_IGNORE_CGROUPSV1_WARNING": "1",
        }
        archive = directory / "root.tar"
        archive.write_bytes(image.root_archive())
        # What a pod of Kubernetes takes from its image: the program that holds the pod, the path.
        program = ("--change", 'CMD ["sleep", "100000"]', "--change", "ENV PATH=/usr/bin:/bin")
        self.podman("import", *program, str(archive), "bb:1").ok()

    def argv(self, *argv: str) -> tuple[str, ...]:
        """Return the command line of a command of Podman."""
        options = (
            *("--root", f"{self.directory}/root", "--runroot", f"{self.directory}/runroot"),
            *("--tmpdir", f"{self.directory}/tmp", "--storage-driver", "vfs"),
            *("--runtime", self.runtime, "--cgroup-manager", DRIVER),
        )
        return (*self.become, "podman", *options, *argv)

    def podman(self, *argv: str, timeout_s: float = 90, stdin: str = "") -> Outcome:
        env = self.environment
        return command(*self.argv(*argv), timeout_s=timeout_s, env=env, stdin=stdin)

    def run(self, *argv: str, network: str = "none") -> Outcome:
        return self.podman("run", "--rm", *self.groups, "--network", network, *argv)

    def start(self, name: str, *options: str, command: tuple[str, ...] = ("sleep", "1000")) -> None:
        flags = ("-d", *self.groups, "--name", name, "--network", "none", *options)
        self.podman("run", *flags, "bb:1", *command).ok()

    def remove(self, name: str) -> None:
        self.podman("rm", "-f", "-t", "0", name).ok()

    def pid(self, name: str) -> int:
        return int(self.podman("inspect", "-f", "{{.State.Pid}}", name).ok().text)

    def status(self, name: str) -> str:
        return self.podman("inspect", "-f", "{{.State.Status}}", name).text

    def reset(self) -> None:
        self.podman("pod", "rm", "-f", "-a", "-t", "0")
        self.podman("rm", "-f", "-a", "-t", "0")

    def stop(self) -> None:
        self.reset()
        self.podman("volume", "rm", "-a", "-f")
        self.podman("rmi", "-a", "-f")
        command("umount", "-R", f"{self.directory}/root")  # fails when nothing is mounted
        remove_cgroups("libpod_parent/conmon", "libpod_parent", "machine.slice")
