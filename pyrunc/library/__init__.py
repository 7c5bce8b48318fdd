# SPDX-License-Identifier: Apache-2.0
"""Containers from Python: the objects behind ``import pyrunc``.

    spec policies          configurations as values, and functions from one to the next
    filter                 the default system call filter
    streams processes      standard descriptors; a process, its output and its end
    bundle runtime         where a configuration lies, and the operations on a state root
    container results      one container, and what is said of it, as typed values
    sandbox                run untrusted programs, one container each

Containers are made in the calling process, without a daemon and without the command line. Nothing
here installs a signal handler, changes the working directory or ends the process. Only `spec` and
`policies` are part of the launcher; the rest may import what the launcher cannot hold.
"""
