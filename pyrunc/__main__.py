# SPDX-License-Identifier: Apache-2.0
"""``python3 -m pyrunc``: the same program as the launcher's, through the stock interpreter."""

from __future__ import annotations

import os
import signal
import sys

from pyrunc.cli import main as cli


def _open_closed_stdio() -> None:
    """Open /dev/null for each standard descriptor that the caller has closed (FD-1).

    Else a descriptor of the runtime would get its number.
    """
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    while True:
        fd = os.open("/dev/null", os.O_RDWR)
        if fd > 2:
            os.close(fd)
            return
        os.set_inheritable(fd, True)


def main() -> None:
    """Run the command line of this process and leave."""
    _open_closed_stdio()
    # An inherited "ignore" makes the kernel throw exit statuses away.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os._exit(
        cli.main([os.fsencode(word).decode("utf-8", "surrogateescape") for word in sys.argv[1:]])
    )


if __name__ == "__main__":
    main()
