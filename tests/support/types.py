# SPDX-License-Identifier: Apache-2.0
"""The types of the fixtures that are functions."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.support.bundle import Config
from tests.support.runtime import Container, Result
from tests.support.terminal import FdSocket, Terminal

Change = Callable[[Config], None]
Create = Callable[..., Container]
Hold = Callable[..., int]
Run = Callable[..., Result]
Serve = Callable[..., "subprocess.Popen[bytes]"]
Shell = Callable[..., str]
Sockets = Callable[[Path], FdSocket]
Terminals = Callable[..., Terminal]
