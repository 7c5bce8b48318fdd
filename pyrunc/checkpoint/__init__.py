# SPDX-License-Identifier: Apache-2.0
"""Save a running container and bring it back: pyrunc decides, CRIU does it.

    wire protocol options mounts plan excerpt     PURE: what CRIU is asked, what its log says
    program images stdio rootfs worker            the host's side: files, mounts, the conversation
    dump restore                                  the paths of the two commands

CRIU is a program of its own (4.2.1 is tested), which is asked over a socket (``criu swrk``): only
that way it tells at which moment what is there, and hands over the master of a terminal.
"""
