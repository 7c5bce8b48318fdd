# SPDX-License-Identifier: Apache-2.0
"""Looking at what may never answer, with an end."""

from __future__ import annotations

from pyrunc.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Answer = TypeVar("Answer")


def in_time(look: Callable[[], Answer], *, patience_s: float) -> Answer:
    """Look from a thread of its own, and give it up after a time.

    A look-up on a file system of the container, FUSE for one, may take for ever, and no signal but
    the end of this program ends it.
    """
    from threading import Thread

    answers: list[Answer] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(look())
        except BaseException as error:  # the caller's
            errors.append(error)

    thread = Thread(target=run, name="pyrunc-verify", daemon=True)
    thread.start()
    thread.join(patience_s)
    if errors:
        raise errors[0]
    if not answers:
        raise Failure(
            "the files of the container do not answer",
            hint="a file system in it hangs, perhaps one of FUSE or of the network",
        )
    return answers[0]
