# SPDX-License-Identifier: Apache-2.0
"""CRIU's requests and answers: the fields of images/rpc.proto that are used here. PURE."""

from __future__ import annotations

from pyrunc.checkpoint.wire import BOOL, INT, TEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

# criu_req_type
DUMP: Final = 1
RESTORE: Final = 2
PRE_DUMP: Final = 4
NOTIFY: Final = 6
FEATURE_CHECK: Final = 9
VERSION: Final = 10

# criu_cg_mode by the values of --manage-cgroups-mode
CGROUP_MODES: Final = {"ignore": 0, "soft": 3, "full": 4, "strict": 5}
# criu_network_lock_method by the values of --network-lock
NETWORK_LOCKS: Final = {"iptables": 1, "nftables": 2, "skip": 3}

CLONE_NEWNET: Final = 0x40000000

PAGE_SERVER: Final[dict[str, Any]] = {"address": (1, TEXT), "port": (2, INT)}
INHERITED: Final[dict[str, Any]] = {"key": (1, TEXT), "fd": (2, INT)}
CGROUP_ROOT: Final[dict[str, Any]] = {"ctrl": (1, TEXT), "path": (2, TEXT)}
JOINED: Final[dict[str, Any]] = {"ns": (1, TEXT), "ns_file": (2, TEXT)}

OPTIONS: Final[dict[str, Any]] = {
    "images_dir_fd": (1, INT),
    "pid": (2, INT),
    "leave_running": (3, BOOL),
    "ext_unix_sk": (4, BOOL),
    "tcp_established": (5, BOOL),
    "evasive_devices": (6, BOOL),
    "shell_job": (7, BOOL),
    "file_locks": (8, BOOL),
    "log_level": (9, INT),
    "log_file": (10, TEXT),
    "ps": (11, PAGE_SERVER),
    "notify_scripts": (12, BOOL),
    "root": (13, TEXT),
    "parent_img": (14, TEXT),
    "track_mem": (15, BOOL),
    "auto_dedup": (16, BOOL),
    "work_dir_fd": (17, INT),
    "link_remap": (18, BOOL),
    "cg_root": (25, CGROUP_ROOT),
    "rst_sibling": (26, BOOL),
    "inherit_fd": (27, INHERITED),
    "manage_cgroups_mode": (34, INT),
    "external": (37, TEXT),
    "empty_ns": (38, INT),
    "join_ns": (39, JOINED),
    "freeze_cgroup": (44, TEXT),
    "timeout": (45, INT),
    "tcp_skip_in_flight": (46, BOOL),
    "lazy_pages": (48, BOOL),
    "orphan_pts_master": (50, BOOL),
    "config_file": (51, TEXT),
    "tcp_close": (52, BOOL),
    "lsm_profile": (53, TEXT),
    "lsm_mount_context": (63, TEXT),
    "network_lock": (64, INT),
}
FEATURES: Final[dict[str, Any]] = {"mem_track": (1, BOOL), "lazy_pages": (2, BOOL)}
REQUEST: Final[dict[str, Any]] = {
    "type": (1, INT),
    "opts": (2, OPTIONS),
    "notify_success": (3, BOOL),
    "keep_open": (4, BOOL),
    "features": (5, FEATURES),
}
NOTIFICATION: Final[dict[str, Any]] = {"script": (1, TEXT), "pid": (2, INT)}
ANSWER: Final[dict[str, Any]] = {
    "type": (1, INT),
    "success": (2, BOOL),
    "restore": (4, {"pid": (1, INT)}),
    "notify": (5, NOTIFICATION),
    "cr_errno": (7, INT),
    "features": (8, FEATURES),
    "cr_errmsg": (9, TEXT),
    "version": (10, {"major": (1, INT), "minor": (2, INT), "sublevel": (4, INT)}),
}
