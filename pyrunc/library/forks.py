# SPDX-License-Identifier: Apache-2.0
"""Keeps forks of the program away from a moment that they must not copy.

While an init is being started, this process holds the init's start gate. A copy of it would make
the container look created for as long as the copy lives.
"""

from __future__ import annotations

import os
import threading
from types import TracebackType


class Gate:
    """Many threads may be inside at once; a fork waits until no other thread is.

    Who comes while a fork waits is let in after it, so that it does not wait for ever.
    """

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._inside: dict[int, int] = {}  # thread -> how often
        self._forks = 0  # that wait or are under way

    def __enter__(self) -> None:
        me = threading.get_ident()
        with self._change:
            while self._forks and me not in self._inside:
                self._change.wait()
            self._inside[me] = self._inside.get(me, 0) + 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        me = threading.get_ident()
        with self._change:
            self._inside[me] -= 1
            if not self._inside[me]:
                del self._inside[me]
            self._change.notify_all()

    def before_fork(self) -> None:
        """Wait until no other thread is inside, and keep it so."""
        me = threading.get_ident()
        self._change.acquire()
        self._forks += 1
        while any(thread != me for thread in self._inside):
            self._change.wait()

    def after_in_parent(self) -> None:
        self._forks -= 1
        self._change.notify_all()
        self._change.release()

    def after_in_child(self) -> None:
        """Begin anew: of the threads only this one is left."""
        self._change = threading.Condition()
        self._forks = 0


starting = Gate()
os.register_at_fork(
    before=starting.before_fork,
    after_in_parent=starting.after_in_parent,
    after_in_child=starting.after_in_child,
)
