# SPDX-License-Identifier: Apache-2.0
"""Changes of a configuration, for the tables whose cases make one each."""

from __future__ import annotations

from tests.support.bundle import Config
from tests.support.types import Change


def process(**values: object) -> Change:
    return lambda config: config.process.update(values)


def linux(**values: object) -> Change:
    return lambda config: config.linux.update(values)


def mount(destination: str, kind: str, *options: str) -> Change:
    return lambda config: config.mount(destination, kind, kind, *options)


def clock(config: Config) -> None:
    config.namespace("time")
    config.linux["timeOffsets"] = {"boottime": {"secs": 1_000_000}}
