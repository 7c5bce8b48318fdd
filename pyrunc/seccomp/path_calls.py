# SPDX-License-Identifier: Apache-2.0
"""Which system calls name files, in which arguments, and what they want of them. PURE.

An entry is (descriptor of the directory, path, what for); -1 where the call has no such argument. A
descriptor without a path is the file itself. What for: `l` looks at it, `r` reads, `w` changes, `x`
executes, `flags` and the number of the argument that holds the flags of an open, `how` and that of
a `struct open_how`; `socket` is the path in an address. A call may have several entries.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    Entry = tuple[int, int, str]

LOOK, READ, WRITE, EXECUTE, SOCKET = "l", "r", "w", "x", "socket"
O_ACCMODE, O_WRONLY, O_RDWR = 0x3, 0x1, 0x2
O_CREAT, O_TRUNC, O_TMPFILE = 0x40, 0x200, 0x400000  # x86 and arm64


def _each(names: str, *entries: Entry) -> Iterable[tuple[str, tuple[Entry, ...]]]:
    return ((name, entries) for name in names.split())


PATH_CALLS: Final[dict[str, tuple[Entry, ...]]] = dict(
    (
        *_each("open", (-1, 0, "flags1")),
        *_each("openat", (0, 1, "flags2")),
        *_each("openat2", (0, 1, "how2")),
        *_each("execve", (-1, 0, EXECUTE)),
        *_each("execveat", (0, 1, EXECUTE)),
        *_each("stat lstat readlink chdir statfs getxattr lgetxattr listxattr", (-1, 0, LOOK)),
        *_each("llistxattr chroot stat64 lstat64 statfs64", (-1, 0, LOOK)),
        *_each("access uselib", (-1, 0, READ)),
        *_each("newfstatat fstatat64 statx readlinkat name_to_handle_at open_tree", (0, 1, LOOK)),
        *_each("faccessat faccessat2", (0, 1, READ)),
        *_each("inotify_add_watch", (-1, 1, LOOK)),
        *_each("creat mkdir rmdir unlink mknod chmod chown lchown truncate utime", (-1, 0, WRITE)),
        *_each("utimes setxattr lsetxattr removexattr lremovexattr umount2 acct", (-1, 0, WRITE)),
        *_each("swapon swapoff truncate64", (-1, 0, WRITE)),
        *_each("mkdirat mknodat unlinkat fchmodat fchmodat2 fchownat", (0, 1, WRITE)),
        *_each("futimesat utimensat", (0, 1, WRITE)),
        *_each("rename", (-1, 0, WRITE), (-1, 1, WRITE)),
        *_each("renameat renameat2", (0, 1, WRITE), (2, 3, WRITE)),
        *_each("link", (-1, 0, READ), (-1, 1, WRITE)),
        *_each("linkat", (0, 1, READ), (2, 3, WRITE)),
        *_each("symlink", (-1, 1, WRITE)),
        *_each("symlinkat", (1, 2, WRITE)),
        *_each("mount", (-1, 0, READ), (-1, 1, WRITE)),
        *_each("move_mount", (0, 1, READ), (2, 3, WRITE)),
        *_each("pivot_root", (-1, 0, WRITE), (-1, 1, WRITE)),
        *_each("fchmod fchown fsetxattr fremovexattr ftruncate fallocate", (0, -1, WRITE)),
        *_each("bind connect", (-1, 1, SOCKET)),
    )
)


def access_of(flags: int) -> str:
    """Return what an open with these flags wants."""
    mode = flags & O_ACCMODE
    changes = mode in (O_WRONLY, O_RDWR) or flags & (O_CREAT | O_TRUNC | O_TMPFILE)
    return (READ if mode != O_WRONLY else "") + (WRITE if changes else "")
