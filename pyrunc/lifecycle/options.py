# SPDX-License-Identifier: Apache-2.0
"""Options of the lifecycle's operations, as plain values; the verbs make them from a command line.

A Python program makes them itself: `create`, `run`, `exec`, `checkpoint` and `restore` need nothing
else of the command line.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class CreateOptions:
    """What `create`, `run`, `restore` and `explain` are asked, beside the configuration.

    root            state root; empty for the default one
    config          name of the configuration in the bundle, or an absolute path
    cgroup_driver   cgroupfs, systemd or disabled
    rootless        tolerate cgroups that cannot be written; None: when the caller is not root
    preserve_fds    how many descriptors from 3 on the program inherits
    explain_seccomp load a filter that counts what would be refused
    stdio           the program's standard descriptors; -1: the caller's
    service_manager use LISTEN_FDS and NOTIFY_SOCKET of the caller's environment
    transform       changes the configuration before it is read, or raises; None: as it is
    pid_file, console_socket, pidfd_socket   paths; empty for none
    """

    __slots__ = (
        "bundle",
        "cgroup_driver",
        "config",
        "console_socket",
        "explain_seccomp",
        "id",
        "no_new_keyring",
        "no_pivot",
        "pid_file",
        "pidfd_socket",
        "preserve_fds",
        "root",
        "rootless",
        "service_manager",
        "stdio",
        "transform",
    )

    def __init__(
        self,
        container_id: str,
        *,
        bundle: str = "",
        root: str = "",
        config: str = "config.json",
        cgroup_driver: str = "cgroupfs",
        rootless: bool | None = None,
        preserve_fds: int = 0,
        no_pivot: bool = False,
        no_new_keyring: bool = False,
        explain_seccomp: bool = False,
        pid_file: str = "",
        console_socket: str = "",
        pidfd_socket: str = "",
        stdio: Sequence[int] = (-1, -1, -1),
        service_manager: bool = True,
        transform: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self.id = container_id
        self.bundle = bundle
        self.root = root
        self.config = config
        self.cgroup_driver = cgroup_driver
        self.rootless = rootless
        self.preserve_fds = preserve_fds
        self.no_pivot = no_pivot
        self.no_new_keyring = no_new_keyring
        self.explain_seccomp = explain_seccomp
        self.pid_file = pid_file
        self.console_socket = console_socket
        self.pidfd_socket = pidfd_socket
        self.stdio = stdio
        self.service_manager = service_manager
        self.transform = transform


class ExecOptions:
    """What `exec` is asked, beside the process.

    cgroup_paths    sub-cgroups of the container's, as PATH or CONTROLLER[,CONTROLLER]:PATH
    preserve_fds    how many descriptors from 3 on the program inherits; LISTEN_FDS come on top
    explain_seccomp load a filter that counts what would be refused
    watch           called with the process before it executes its program
    stdio           the program's standard descriptors; -1: the caller's
    service_manager use LISTEN_FDS of the caller's environment
    """

    __slots__ = (
        "cgroup_paths",
        "console_socket",
        "detached",
        "explain_seccomp",
        "ignore_paused",
        "no_new_keyring",
        "pidfd_socket",
        "preserve_fds",
        "root",
        "service_manager",
        "stdio",
        "watch",
    )

    def __init__(
        self,
        *,
        root: str = "",
        cgroup_paths: Sequence[str] = (),
        preserve_fds: int = 0,
        detached: bool = False,
        explain_seccomp: bool = False,
        ignore_paused: bool = False,
        no_new_keyring: bool = False,
        console_socket: str = "",
        pidfd_socket: str = "",
        stdio: Sequence[int] = (-1, -1, -1),
        service_manager: bool = True,
        watch: Callable[[int], None] | None = None,
    ) -> None:
        self.root = root
        self.cgroup_paths = cgroup_paths
        self.preserve_fds = preserve_fds
        self.detached = detached
        self.explain_seccomp = explain_seccomp
        self.watch = watch
        self.ignore_paused = ignore_paused
        self.no_new_keyring = no_new_keyring
        self.console_socket = console_socket
        self.pidfd_socket = pidfd_socket
        self.stdio = stdio
        self.service_manager = service_manager
