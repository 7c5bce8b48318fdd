# SPDX-License-Identifier: Apache-2.0
"""Every rule across properties that needs no host, in the order of the file."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.spec.model import Config, Process
    from pyrunc.spec.model_resources import Resources
    from pyrunc.spec.problems import Problems


def check_config(config: Config, problems: Problems) -> None:
    pass


def check_process(process: Process, problems: Problems) -> None:
    pass


def check_resources(resources: Resources, problems: Problems, *, partial: bool = False) -> None:
    pass
