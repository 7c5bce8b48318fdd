# SPDX-License-Identifier: Apache-2.0
"""The document of `features`: what works with this program on any kernel, not what this host has.

Engines decide by it what they ask for, so nothing is in here that does not work yet.
"""

from __future__ import annotations

from pyrunc import __version__, buildinfo
from pyrunc.checkpoint import program
from pyrunc.cli import version
from pyrunc.cli.flag_table import VERBS
from pyrunc.lifecycle import handlers
from pyrunc.spec import constants, options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

SYSTEMD: Final = True
IDMAP: Final = True
NET_DEVICES: Final = True
INTEL_RDT: Final = True

# What the command line has beyond that of runc, for engines that want to use it.
EXTENSIONS: Final = (
    "check",
    "cgroup-manager",
    "completion",
    "config",
    "delete-regex",
    "devices",
    "doctor",
    "explain",
    "explain-seccomp",
    "info",
    "kill-regex",
    "learn",
    "log-level",
    "mounts",
    "spec-file",
    "subid-mappings",
    "update-dry-run",
)


def document() -> dict[str, Any]:
    """Return the features structure of runtime-spec 1.3."""
    return {
        "ociVersionMin": version.SPEC_MIN,
        "ociVersionMax": version.SPEC_MAX,
        "hooks": list(constants.HOOK_KINDS),
        "mountOptions": options.names(),
        "linux": _linux(),
        "annotations": _annotations(),
        "potentiallyUnsafeConfigAnnotations": sorted(constants.UNSAFE_ANNOTATIONS),
    }


def _linux() -> dict[str, Any]:
    return {
        "namespaces": sorted(constants.NAMESPACES),
        "capabilities": list(constants.CAP_NAMES),
        "cgroup": {
            "v1": True,
            "v2": True,
            "systemd": SYSTEMD,
            "systemdUser": SYSTEMD,
            "rdma": True,
        },
        "seccomp": {
            "enabled": True,
            "actions": sorted(constants.SECCOMP_ACTIONS),
            "operators": sorted(constants.SECCOMP_OPERATORS),
            "archs": sorted(constants.SECCOMP_ARCHITECTURES),
            "knownFlags": sorted(constants.SECCOMP_FLAGS),
            "supportedFlags": sorted(constants.SECCOMP_FLAGS),
        },
        "apparmor": {"enabled": True},
        "selinux": {"enabled": True},
        "intelRdt": {"enabled": INTEL_RDT, "schemata": INTEL_RDT, "monitoring": INTEL_RDT},
        "memoryPolicy": {
            "modes": sorted(constants.MEMORY_POLICIES),
            "flags": sorted(constants.MEMORY_POLICY_FLAGS),
        },
        "mountExtensions": {"idmap": {"enabled": IDMAP}},
        "netDevices": {"enabled": NET_DEVICES},
    }


def _annotations() -> dict[str, str]:
    checkpoint = "true" if program.available() else "false"
    annotations = {
        "org.pyrunc.version": __version__,
        "org.pyrunc.commit": version.commit(),
        "org.pyrunc.checkpoint.enabled": checkpoint,
        "org.opencontainers.runc.checkpoint.enabled": checkpoint,  # the name that engines know
        "org.pyrunc.commands": " ".join(sorted(VERBS)),
        "org.pyrunc.annotations": " ".join(constants.ANNOTATIONS),
        "org.pyrunc.extensions": " ".join(sorted(EXTENSIONS)),
    }
    described = handlers.known()
    if described:
        annotations["org.pyrunc.handlers"] = " ".join(described)
        annotations["run.oci.crun.wasm"] = "true" if "wasm" in described else "false"
    for name, value in buildinfo.describe().items():
        annotations[f"org.pyrunc.{name}"] = value
    return annotations
