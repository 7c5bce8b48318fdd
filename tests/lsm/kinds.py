# SPDX-License-Identifier: Apache-2.0
"""The kinds of processes whose label is looked at."""

from __future__ import annotations

from tests.seccomp.profiles_list import PROFILES
from tests.support.bundle import Config

DENIED = "can't open '{}': Permission denied"


def plain(config: Config) -> None:
    """Nothing else."""


def new_privileges(config: Config) -> None:
    config.process["noNewPrivileges"] = False


def filtered(config: Config) -> None:
    config.linux["seccomp"] = PROFILES["docker-default"]


def in_user_namespace(config: Config) -> None:
    config.user_namespace()


def as_worker(config: Config) -> None:
    config.process["user"] = {"uid": 1000, "gid": 1000}


KINDS = [plain, new_privileges, filtered, in_user_namespace, as_worker]
