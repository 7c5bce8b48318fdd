# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501  (a table reads best with one row a line)
"""Configurations with one mistake each, and the phrases that tell of it."""

from __future__ import annotations

from pathlib import Path

from tests.support.bundle import Config
from tests.support.types import Change


def args(*argv: str) -> Change:
    def change(config: Config) -> None:
        config.process["args"] = list(argv)

    return change


def not_executable(config: Config) -> None:
    config.file("/bin/plain", "x", mode=0o644)
    config.process["args"] = ["/bin/plain"]


def on_a_noexec_mount(config: Config) -> None:
    source = config.bundle / "tools"
    source.mkdir()
    (source / "tool").write_text("#!/bin/sh\n")
    (source / "tool").chmod(0o755)
    config.bind(source, "/mnt", "bind", "noexec")
    config.process["args"] = ["/mnt/tool"]


def in_a_closed_directory(config: Config) -> None:
    config.file("/closed/tool", "#!/bin/sh\n", mode=0o755)
    (config.rootfs / "closed").chmod(0o700)
    config.process["user"] = {"uid": 1000, "gid": 1000}
    config.process["args"] = ["/closed/tool"]


def missing_source(config: Config) -> None:
    config.bind("/no/such/source", "/mnt")


def file_over_directory(config: Config) -> None:
    config.bind(config.file("/etc/some"), "/mnt")


def directory_over_file(config: Config) -> None:
    config.file("/etc/some")
    config.bind(config.bundle, "/etc/some")


def unknown_type(config: Config) -> None:
    config.mount("/mnt", "nosuchfs")


def bad_tmpfs_option(config: Config) -> None:
    config.mount("/mnt", "tmpfs", "tmpfs", "nonsense=1")


def no_rootfs(config: Config) -> None:
    config["root"]["path"] = "absent"


def rootfs_is_a_file(config: Config) -> None:
    (config.bundle / "plain").write_text("")
    config["root"]["path"] = "plain"


def cwd_is_a_file(config: Config) -> None:
    config.process["cwd"] = "/etc/passwd"


def unmapped_user(config: Config) -> None:
    config.user_namespace(size=1000)
    config.process["user"] = {"uid": 5000, "gid": 0}


def bad_sysctl(config: Config) -> None:
    config.linux["sysctl"] = {"kernel.msgmax": "nonsense"}


def host_sysctl(config: Config) -> None:
    config.linux["sysctl"] = {"vm.swappiness": "1"}


def no_apparmor(config: Config) -> None:
    config.process["apparmorProfile"] = "some-profile"


def high_rlimit(config: Config) -> None:
    config.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 2**40, "hard": 2**40}]


def missing_namespace(config: Config) -> None:
    config.namespace("network", "/run/netns/absent")


def wrong_namespace(config: Config) -> None:
    config.namespace("network", "/proc/self/ns/mnt")


def no_namespace_file(config: Config) -> None:
    config.namespace("network", "/etc/passwd")


def unknown_controller(config: Config) -> None:
    config.linux["resources"] = {"unified": {"memory.high": "1"}}


# name, change, phrases of the first line, JSON pointer ("" when there is none)
MISTAKES = [
    ("not in PATH", args("absent"), ['exec: "absent": executable file not found in $PATH'], "/process/args"),
    ("missing program", args("/absent"), ['exec: "/absent": stat /absent: no such file or directory'], "/process/args"),
    ("a directory", args("/etc"), ['exec: "/etc": is a directory'], "/process/args"),
    ("not executable", not_executable, ['exec: "/bin/plain": permission denied'], "/process/args"),
    ("noexec mount", on_a_noexec_mount, ['exec: "/mnt/tool": permission denied'], "/process/args"),
    ("closed directory", in_a_closed_directory, ["/closed/tool", "permission denied"], "/process/args"),
    ("missing mount source", missing_source, ["/no/such/source", "no such file or directory"], "/mounts/5"),
    ("file over directory", file_over_directory, ["/mnt", "not a directory"], "/mounts/5"),
    ("directory over file", directory_over_file, ["/etc/some", "not a directory"], "/mounts/5"),
    ("unknown file system", unknown_type, ["nosuchfs", "no such device"], "/mounts/5"),
    ("bad mount option", bad_tmpfs_option, ["/mnt", "nonsense"], "/mounts/5"),
    ("no root file system", no_rootfs, ["/absent", "no such file or directory"], "/root/path"),
    ("a file as root", rootfs_is_a_file, ["/plain", "not a directory"], "/root/path"),
    ("a file as cwd", cwd_is_a_file, ["/etc/passwd", "not a directory"], "/process/cwd"),
    ("unmapped user", unmapped_user, ["5000", "not mapped"], "/process/user/uid"),
    ("bad sysctl value", bad_sysctl, ["kernel", "msgmax", "invalid argument"], "/linux/sysctl"),
    ("sysctl of the host", host_sysctl, ["vm.swappiness"], "/linux/sysctl"),
    ("no AppArmor", no_apparmor, ["apparmor"], "/process/apparmorProfile"),
    ("rlimit too high", high_rlimit, ["operation not permitted"], "/process/rlimits"),
    ("missing namespace", missing_namespace, ["/run/netns/absent", "no such file or directory"], "/linux/namespaces"),
    ("wrong namespace", wrong_namespace, ["/proc/self/ns/mnt"], "/linux/namespaces"),
    ("no namespace file", no_namespace_file, ["/etc/passwd"], "/linux/namespaces"),
    ("v2 resource on v1", unknown_controller, ["memory.high"], "/linux/resources/unified"),
]  # fmt: skip
if not Path("/sys/fs/cgroup/unified").exists():  # not both versions beside each other
    MISTAKES = [mistake for mistake in MISTAKES if mistake[0] != "v2 resource on v1"]
