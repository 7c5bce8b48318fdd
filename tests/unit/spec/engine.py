# SPDX-License-Identifier: Apache-2.0
"""A configuration like those that engines write: nulls, empty strings, wildcards, a profile."""

from __future__ import annotations

import json
from typing import Any

CAPS = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETUID", "CAP_SETGID"]
ALLOWED = ["read", "write", "openat", "close", "mmap", "futex", "clone", "execve", "exit_group"]


def engine_config() -> dict[str, Any]:
    device = {"allow": True, "type": "c", "access": "rwm"}
    return {
        "ociVersion": "1.2.1",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0, "additionalGids": [0, 10]},
            "args": ["sh", "-c", "echo 'a\nb'"],
            "env": ["PATH=/usr/bin:/bin", "HOME=/root", "EMPTY=", "TWO=a\nb"],
            "cwd": "/",
            "capabilities": {"bounding": CAPS, "effective": CAPS, "permitted": CAPS},
            "apparmorProfile": "",
            "oomScoreAdj": 0,
        },
        "root": {"path": "/var/lib/engine/merged"},
        "hostname": "1234567890ab",
        "mounts": [
            {
                "destination": "/proc",
                "type": "proc",
                "source": "proc",
                "options": ["nosuid", "noexec", "nodev"],
            },
            {
                "destination": "/etc/hosts",
                "type": "bind",
                "source": "/var/lib/engine/hosts",
                "options": ["rbind", "rprivate"],
            },
        ],
        "hooks": {"prestart": [{"path": "/proc/1/exe", "args": ["setkey"]}]},
        "annotations": {"org.example/key": "any\nvalue"},
        "linux": {
            "sysctl": {"net.ipv4.ping_group_range": "0 2147483647"},
            "resources": {
                "devices": [
                    {"allow": False, "access": "rwm"},
                    {**device, "major": 1, "minor": 3},
                    {**device, "major": 136, "minor": -1},
                ],
                "memory": {"swappiness": 2**64 - 1},
                "cpu": {"shares": 0, "cpus": "", "mems": ""},
                "pids": {"limit": None},
                "blockIO": {"weight": 0},
            },
            "cgroupsPath": "system.slice:docker:0123",
            "namespaces": [
                {"type": "mount"},
                {"type": "network", "path": ""},
                {"type": "uts"},
                {"type": "pid"},
                {"type": "ipc"},
            ],
            "rootfsPropagation": "rslave",
            "devices": [
                {
                    "type": "c",
                    "path": "/dev/fuse",
                    "major": 10,
                    "minor": 229,
                    "fileMode": 0o20666,
                    "uid": 0,
                    "gid": 0,
                }
            ],
            "seccomp": {
                "defaultAction": "SCMP_ACT_ERRNO",
                "defaultErrnoRet": 1,
                "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
                "syscalls": [
                    {"names": ALLOWED, "action": "SCMP_ACT_ALLOW"},
                    {
                        "names": ["personality"],
                        "action": "SCMP_ACT_ALLOW",
                        "args": [{"index": 0, "value": 2**32 - 1, "op": "SCMP_CMP_EQ"}],
                    },
                    {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
                ],
            },
            "maskedPaths": None,
            "readonlyPaths": None,
        },
    }


def encode(config: object) -> bytes:
    return json.dumps(config).encode()
