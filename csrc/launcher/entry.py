# SPDX-License-Identifier: Apache-2.0
"""The launcher's first Python code: frozen as ``_pyrunc_entry``, called by interpreter.c.

``main`` gives the process to the application; ``train`` runs before the dump, never in a user's
process. What the interpreter learnt of the build machine while it started is replaced here.
"""

from __future__ import annotations

import os
import sys
from _frozen_importlib import BuiltinImporter, ModuleSpec

from _pyrunc_modules import PRELOADED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Modules whose import fixes what must differ between processes: the state of the random generator,
# the identity of the main thread. They are frozen too, and imported by the process that needs them.
NEVER_PRELOADED = ("random", "threading", "tempfile", "uuid", "asyncio")


class LinkedImporter:
    """Finds the linked-in modules of packages; CPython looks for those only outside packages."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if "." in name and name in sys.builtin_module_names:
            return ModuleSpec(name, BuiltinImporter, origin="built-in")
        return None


sys.meta_path.insert(0, LinkedImporter)
for name in PRELOADED:
    __import__(name)

from pyrunc import buildinfo  # noqa: E402  # the finder comes first
from pyrunc.cli import main as cli  # noqa: E402


def main(argv: list[str], environment: dict[bytes, bytes], front_end: str) -> int:
    """Run one command line; returns the exit status."""
    _adopt(environment)
    buildinfo.FRONT_END = front_end
    sys.argv = ["pyrunc", *argv]
    try:
        status = cli.main(argv)
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # the reader of our output has gone
            status = status or 1
    return status


def _adopt(environment: dict[bytes, bytes]) -> None:
    """os.environ is filled when os is imported, here by the build; this process has its own."""
    known: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined]  # the only way in without putenv
    known.clear()
    known.update(environment)


def rehearse(next_command: Callable[[bool], None]) -> None:
    """Run the hot commands once, as a user's process would.

    `next_command` is called before each, and told whether engines call it often.
    """
    import _pyrunc_training

    def command(argv: list[str]) -> int:
        next_command(not _pyrunc_training.OFTEN.isdisjoint(argv))
        return main(argv, {}, "undumped")

    _pyrunc_training.rehearse(command)


def train() -> None:
    """Run the hot paths, then check that nothing of this process is left for the next ones."""
    _adopt({})
    preloaded = [name for name in NEVER_PRELOADED if name in sys.modules]
    if preloaded:
        raise RuntimeError(f"these modules must not be imported before the dump: {preloaded}")
    import _pyrunc_training

    _pyrunc_training.train()
    del sys.modules["_pyrunc_training"]
    _adopt({})
