# SPDX-License-Identifier: Apache-2.0
"""What CRIU is asked, decided from the command line, the configuration and facts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyrunc.checkpoint import excerpt, mounts, options, plan, protocol
from pyrunc.cli import flags
from pyrunc.commands.checkpoint import criu_options
from pyrunc.errors import Failure, UsageError
from pyrunc.host import mountinfo
from pyrunc.spec.config import parse_config
from pyrunc.spec.model import Config

FILES = plan.Files(images_fd=7, work_fd=-1, config="")
ROOT = "30 1 254:0 /b/rootfs / rw - ext4 /dev/vda rw"


def config(**changes: Any) -> Config:
    values: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "process": {"args": ["true"], "cwd": "/"},
        "linux": {"namespaces": [{"type": "mount"}]},
        **changes,
    }
    return parse_config(json.dumps(values).encode(), source="config.json")


def bind(source: str, destination: str, *more: str) -> dict[str, Any]:
    return {"source": source, "destination": destination, "options": ["bind", *more]}


def asked(line: str) -> options.CriuOptions:
    criu = criu_options(flags.parse([*line.split(), "web"]))
    if line.startswith("checkpoint"):
        criu.check_lazy_dump()
    return criu


def dump(line: str = "checkpoint", **facts: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "pid": 42,
        "rootfs": "/b/rootfs",
        "empty_network": False,
        "external": [],
        "namespaces": {},
        "freezer": "",
        **facts,
    }
    return plan.dump(asked(line), FILES, **given)


def restore(line: str = "restore", **facts: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "root": "/s/web/criu-root",
        "empty_network": False,
        "external": [],
        "stdio": [],
        "reads_file": False,
        "handed": [],
        "joined": {},
        "cgroups": {},
        **facts,
    }
    return plan.restore(asked(line), FILES, **given)


# -- the requests ----------------------------------------------------------------------------------


def test_a_plain_checkpoint() -> None:
    assert dump() == {
        "images_dir_fd": 7,
        "log_level": 4,
        "notify_scripts": True,
        "manage_cgroups_mode": 3,
        "orphan_pts_master": True,
        "log_file": "dump.log",
        "timeout": 60,
        "pid": 42,
        "root": "/b/rootfs",
        "external": [],
    }


@pytest.mark.parametrize(
    ("flag", "field", "value"),
    [
        ("--leave-running", "leave_running", True),
        ("--tcp-established", "tcp_established", True),
        ("--tcp-close", "tcp_close", True),
        ("--tcp-skip-in-flight", "tcp_skip_in_flight", True),
        ("--link-remap", "link_remap", True),
        ("--ext-unix-sk", "ext_unix_sk", True),
        ("--shell-job", "shell_job", True),
        ("--file-locks", "file_locks", True),
        ("--auto-dedup", "auto_dedup", True),
        ("--pre-dump", "track_mem", True),
        ("--parent-path ../a", "parent_img", "../a"),
        ("--parent-path ../a", "track_mem", True),
        ("--manage-cgroups-mode ignore", "manage_cgroups_mode", 0),
        ("--manage-cgroups-mode full", "manage_cgroups_mode", 4),
        ("--manage-cgroups-mode strict", "manage_cgroups_mode", 5),
        ("--network-lock nftables", "network_lock", 2),
        ("--page-server 10.0.0.1:80", "ps", {"address": "10.0.0.1", "port": 80}),
        ("--page-server [::1]:80", "ps", {"address": "::1", "port": 80}),
    ],
)
def test_flags_of_a_checkpoint_become_fields(flag: str, field: str, value: object) -> None:
    assert field not in dump() or dump()[field] != value
    assert dump(f"checkpoint {flag}")[field] == value


def test_every_field_is_one_of_criu() -> None:
    assert set(dump("checkpoint --pre-dump --parent-path a")) <= set(protocol.OPTIONS)
    assert set(restore("restore --lazy-pages")) <= set(protocol.OPTIONS)


def test_a_shell_job_keeps_its_terminal() -> None:
    """CRIU would hand over the master of a new one."""
    assert dump("checkpoint --shell-job")["orphan_pts_master"] is False
    assert restore("restore --shell-job")["orphan_pts_master"] is False


def test_namespaces_that_were_joined_are_left_alone() -> None:
    found = dump(namespaces={"network": 4026, "pid": 4027}, external=["mnt[/a]:/a"])
    assert found["external"] == ["net[4026]:extRootNetNS", "pid[4027]:extRootPidNS", "mnt[/a]:/a"]


def test_a_restore_gets_what_the_images_only_name() -> None:
    found = restore(
        stdio=["pipe:[5]", "pipe:[6]", "pipe:[6]"],
        handed=["network"],
        joined={"ipc": "/proc/9/ns/ipc"},
        cgroups={"pids": "/web", "": "/web"},
        empty_network=True,
    )
    assert found["inherit_fd"] == [
        {"key": "pipe:[5]", "fd": 0},
        {"key": "pipe:[6]", "fd": 1},
        {"key": "extRootNetNS", "fd": 4},
    ]
    assert found["join_ns"] == [{"ns": "ipc", "ns_file": "/proc/9/ns/ipc"}]
    assert found["cg_root"] == [{"ctrl": "pids", "path": "/web"}, {"ctrl": "", "path": "/web"}]
    assert found["empty_ns"] == protocol.CLONE_NEWNET
    assert found["rst_sibling"] is True
    assert found["root"] == "/s/web/criu-root"


def test_only_what_leads_out_is_inherited() -> None:
    found = plan.inherited(["/dev/null", "file[1b:2c]", ""], reads_file=False)
    assert found == [{"key": "ile[1b:2c]", "fd": 1}]


def test_a_file_that_is_read_goes_on_where_it_was() -> None:
    """CRIU opens an external file again and seeks; what is written to is handed over as it is."""
    names = ["file[1:2]", "file[1:3]", "file[1:3]"]
    keys = [entry["key"] for entry in plan.inherited(names, reads_file=True)]
    assert keys == ["file[1:2]", "ile[1:3]"]
    both = plan.inherited(["file[1:2]", "file[1:2]", "pipe:[5]"], reads_file=True)
    assert both == [{"key": "ile[1:2]", "fd": 0}, {"key": "pipe:[5]", "fd": 2}]


def test_the_paths_of_every_controller_are_found() -> None:
    data = b"4:cpu,cpuacct:/a\n3:name=systemd:/b:c\n0::/d\n"
    assert plan.parse_cgroups(data) == {
        "cpu": "/a",
        "cpuacct": "/a",
        "name=systemd": "/b:c",
        "": "/d",
    }


def test_a_cgroup_namespace_cannot_be_joined_again() -> None:
    linux = {"namespaces": [{"type": "cgroup", "path": "/proc/1/ns/cgroup"}]}
    with pytest.raises(Failure, match="existing cgroup namespace"):
        plan.joined_namespaces(config(linux=linux))


@pytest.mark.parametrize("path", [None, "/run/netns/a"])
def test_hooks_may_build_the_network_that_is_new(path: str | None) -> None:
    namespace = {"type": "network", **({"path": path} if path else {})}
    found = config(
        linux={"namespaces": [{"type": "mount"}, namespace]},
        hooks={"createRuntime": [{"path": "/bin/true"}]},
    )
    assert plan.builds_network(found) == (path is None)


@pytest.mark.parametrize(
    "line",
    [
        "checkpoint --page-server host",
        "checkpoint --page-server :80",
        "checkpoint --page-server host:0",
        "checkpoint --page-server host:65536",
        "checkpoint --empty-ns pid",
        "checkpoint --lazy-pages",
        "restore --status-fd 3",
    ],
)
def test_what_cannot_be_meant_is_refused(line: str) -> None:
    with pytest.raises(UsageError):
        asked(line)


@pytest.mark.parametrize("text", ["web", "smack:web", "selinux:", ":web"])
def test_a_security_profile_names_its_module(text: str) -> None:
    with pytest.raises(UsageError, match="TYPE:NAME"):
        asked(f"restore --lsm-profile {text}")


def test_security_labels_become_fields() -> None:
    fields = asked("restore --lsm-profile selinux:a:b --lsm-mount-context c").fields
    assert fields["lsm_profile"] == "selinux:a:b"
    assert fields["lsm_mount_context"] == "c"


# -- mounts ----------------------------------------------------------------------------------------


def saved(text: str, *, masks: dict[str, int] | None = None, **changes: Any) -> list[str]:
    entries = list(mountinfo.parse(f"{ROOT}\n{text}".encode()))
    wanted = config(**changes)
    points = [mount.destination for mount in wanted.mounts]
    on = {entry.point: entry.id for entry in entries if entry.point in points}
    return mounts.saved(wanted, entries, on=on, masks=masks or {})


def test_binds_are_external_and_file_systems_of_the_container_are_not() -> None:
    text = "31 30 0:5 / /proc rw - proc proc rw\n32 30 254:0 /srv/a /mnt rw - ext4 /dev/vda rw"
    found = saved(text, mounts=[bind("/srv/a", "/mnt")])
    assert found == ["mnt[/mnt]:/mnt"]


def test_a_bind_of_a_whole_file_system_is_external_with_what_lies_below() -> None:
    """Else CRIU would save the host's files."""
    text = "32 30 0:40 / /mnt rw - tmpfs tmpfs rw\n33 32 0:41 / /mnt/sub rw - tmpfs tmpfs rw"
    found = saved(text, mounts=[bind("/run/a", "/mnt", "rbind")])
    assert found == ["mnt[/mnt]:/mnt", "mnt[/mnt/sub]:/mnt/sub"]


def test_a_tmpfs_of_the_container_below_a_bind_is_its_own() -> None:
    text = "32 30 254:0 /a /mnt rw - ext4 x rw\n33 32 0:41 / /mnt/sub rw - tmpfs tmpfs rw"
    own = {"type": "tmpfs", "source": "tmpfs", "destination": "/mnt/sub"}
    assert saved(text, mounts=[bind("/a", "/mnt"), own]) == ["mnt[/mnt]:/mnt"]


def test_masks_have_the_name_of_what_covers_them() -> None:
    text = (
        "31 30 0:5 / /proc rw - proc proc rw\n"
        "32 31 0:6 /null /proc/kcore rw - devtmpfs devtmpfs rw\n"
        "33 31 0:5 /sys /proc/sys ro - proc proc rw"
    )
    assert saved(text, masks={"/proc/kcore": 32}) == ["mnt[/proc/kcore]:/dev/null"]


@pytest.mark.parametrize("own", [True, False])
def test_cgroups_are_external_without_a_namespace(own: bool) -> None:
    text = "32 30 0:29 /web /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids"
    kinds = [{"type": "mount"}, *([{"type": "cgroup"}] if own else [])]
    found = saved(text, linux={"namespaces": kinds})
    assert found == ([] if own else ["mnt[/sys/fs/cgroup/pids]:/sys/fs/cgroup/pids"])


def test_a_restore_takes_paths_of_the_host_from_the_configuration_alone() -> None:
    found = mounts.restored(
        config(
            mounts=[
                bind("/srv/a", "/mnt", "rbind"),
                bind("/b/data", "/data"),
                {"type": "cgroup", "source": "cgroup", "destination": "/sys/fs/cgroup"},
            ],
            linux={"namespaces": [{"type": "mount"}], "maskedPaths": ["/proc/kcore"]},
        ),
        rootfs="/b/rootfs",
        points={"/mnt": ["/mnt", "/real"], "/data": ["/data"]},
        below={"/srv/a": ["/sub"], "/b/rootfs": ["/vol"]},
        cgroups={"pids": "/sys/fs/cgroup/pids/web"},
        notify="/s/web/notify",
        devices=["/dev/null"],
    )
    assert found == [
        "mnt[/vol]:/b/rootfs/vol",
        "mnt[/mnt]:/srv/a",
        "mnt[/mnt/sub]:/srv/a/sub",
        "mnt[/real]:/srv/a",
        "mnt[/real/sub]:/srv/a/sub",
        "mnt[/data]:/b/data",
        "mnt[/sys/fs/cgroup/pids]:/sys/fs/cgroup/pids/web",
        "mnt[/dev/null]:/dev/null",
        "mnt[/run/notify]:/s/web/notify",
    ]


def test_a_name_that_criu_would_misread_is_refused() -> None:
    with pytest.raises(Failure, match="contains"):
        mounts.external("/mnt]:/etc", "/x")


# -- the log ---------------------------------------------------------------------------------------

LOG = """\
(00.01) one
(00.02) Error (criu/util.c:1534): rlimit: Can't setup RLIMIT_NOFILE for self: EPERM
(00.03) two
(00.04) three
(00.05) four
(00.06) five
(00.07)      1: Error (criu/sk-inet.c:191): inet: Connected TCP socket, consider using --tcp-established option.
(00.08) six
(00.09) seven
(00.10) eight
(00.11) nine
(00.12) ten
(00.13) eleven
(00.14) Error (criu/cr-dump.c:1975): Dumping FAILED.
"""  # noqa: E501  # lines of a log


def test_the_first_error_that_matters_is_shown_with_what_went_before() -> None:
    found = excerpt.Summary(LOG)
    assert found.first.startswith("inet: Connected TCP socket")
    assert found.lines[0].startswith("3: (00.03) two")
    assert "..." in found.lines
    assert found.lines[-1].endswith("Dumping FAILED.")
    assert "--tcp-established" in found.hint


def test_a_log_without_errors_says_nothing() -> None:
    found = excerpt.Summary("(00.01) one\n")
    assert (found.first, found.lines, found.hint) == ("", [], "")


def test_a_container_with_a_landlock_domain_is_not_saved() -> None:
    """CRIU restores processes without their domain."""
    plan.refuse_landlock(config())
    text = '{"handledAccessFS": "all"}'
    with pytest.raises(Failure, match="cannot restore a Landlock domain"):
        plan.refuse_landlock(config(annotations={"org.pyrunc.landlock": text}))
