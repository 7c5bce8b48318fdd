# SPDX-License-Identifier: Apache-2.0
"""The bounds of what is read: sizes, depths, counts (IN-1, IN-7). PURE."""

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 100_000
MAX_DIGITS = 20  # as many as 2**64 - 1 has
MAX_FLOAT = 40  # characters; no property of a Linux container takes a float
WHITESPACE = " \t\n\r"

MAX_MOUNTS = 10_000
MAX_HOOKS = 128
MAX_MAPPINGS = 340  # lines of an id map (kernel: UID_GID_MAP_MAX_EXTENTS)
MAX_STRING = 131_071  # bytes of one argument or variable without NUL (kernel: MAX_ARG_STRLEN)
MAX_STRINGS = 6 * 1024 * 1024  # all of them (kernel: 3/4 of _STK_LIM)
MAX_PATH = 4_095  # bytes without NUL (kernel: PATH_MAX)
MAX_LABEL = 4_095  # security labels; they go through one page
MAX_DATA = 4_095  # bytes of the file system options of a mount; they go through one page
MAX_INTERFACE = 15  # bytes of a network interface name (kernel: IFNAMSIZ - 1)
MAX_HOSTNAME = 64  # bytes (kernel: __NEW_UTS_LEN)
MAX_ID = 2**32 - 2  # 2**32 - 1 means "leave it alone" to the kernel
MAX_TASKS = 4 << 20  # kernel: PID_MAX_LIMIT; pids.max takes no larger number
MAX_CGROUP_DEPTH = 32  # components of cgroupsPath
