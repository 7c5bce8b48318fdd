# SPDX-License-Identifier: Apache-2.0
"""The device program of a cgroup2: load, attach, replace atomically."""

from __future__ import annotations

import errno
import posix
import struct

from pyrunc.cgroups.devices import program
from pyrunc.cgroups.devices.rules import Access
from pyrunc.errors import Failure

# Commands and constants of bpf(2).
PROG_LOAD, PROG_ATTACH, PROG_DETACH, GET_FD_BY_ID, PROG_QUERY = 5, 8, 9, 13, 16
PROG_TYPE_CGROUP_DEVICE = 15
ATTACH_CGROUP_DEVICE = 6
F_ALLOW_MULTI = 2
F_REPLACE = 4
LICENSE = b"Apache\0"
LOG_SIZE = 64 * 1024
QUERY_MAX = 64
RLIMIT_MEMLOCK = 8
ATTR_SIZE = 128


def _attr(layout: str, *values: int) -> bytearray:
    data = struct.pack(layout, *values)
    return bytearray(data.ljust(ATTR_SIZE, b"\0"))


def load(code: bytes) -> int:
    """Load a device program; return its descriptor."""
    try:
        return _load(code, log=None)
    except OSError as error:
        if error.errno == errno.EPERM:
            # Before Linux 5.11 programs count against RLIMIT_MEMLOCK.
            _raise_memlock()
            return _load(code, log=None)
        if error.errno in (errno.EINVAL, errno.EACCES, errno.E2BIG):
            # Once more with the verifier's own words.
            log = bytearray(LOG_SIZE)
            try:
                return _load(code, log=log)
            except OSError:  # ENOSPC is about the log: the first error says why
                text = bytes(log).rstrip(b"\0").decode("utf-8", "replace")
                error.strerror = f"{error.strerror}; the verifier says: {text[-400:].strip()}"
                raise error from None
        raise


def _load(code: bytes, *, log: bytearray | None) -> int:
    from pyrunc.host import syscalls

    instructions, license_text = bytearray(code), bytearray(LICENSE)
    # prog_type, insn_cnt, insns, license, log_level, log_size, log_buf
    attr = _attr(
        "<IIQQIIQ",
        PROG_TYPE_CGROUP_DEVICE,
        len(code) // 8,
        syscalls.address(instructions),
        syscalls.address(license_text),
        1 if log is not None else 0,
        len(log) if log is not None else 0,
        syscalls.address(log) if log is not None else 0,
    )
    return syscalls.bpf(PROG_LOAD, attr)


def _raise_memlock() -> None:
    from pyrunc.host import syscalls

    try:
        syscalls.prlimit(0, RLIMIT_MEMLOCK, 2**64 - 1, 2**64 - 1)
    except OSError:
        return  # not allowed here: the second attempt gives the error


def attached(cgroup_fd: int) -> list[int]:
    """Return the ids of the device programs attached to this cgroup itself."""
    from pyrunc.host import syscalls

    ids = bytearray(4 * QUERY_MAX)
    # target_fd, attach_type, query_flags, attach_flags, prog_ids, prog_cnt
    attr = _attr("<IIIIQI", cgroup_fd, ATTACH_CGROUP_DEVICE, 0, 0, syscalls.address(ids), QUERY_MAX)
    syscalls.bpf(PROG_QUERY, attr)
    count = struct.unpack_from("<I", attr, 24)[0]
    return list(struct.unpack_from(f"<{count}I", ids))


def _attach(cgroup_fd: int, program_fd: int, *, replace_fd: int = -1) -> None:
    from pyrunc.host import syscalls

    flags = F_ALLOW_MULTI if replace_fd < 0 else F_ALLOW_MULTI | F_REPLACE
    # target_fd, attach_bpf_fd, attach_type, attach_flags, replace_bpf_fd
    attr = _attr("<IIIII", cgroup_fd, program_fd, ATTACH_CGROUP_DEVICE, flags, max(replace_fd, 0))
    syscalls.bpf(PROG_ATTACH, attr)


def _detach(cgroup_fd: int, program_fd: int) -> None:
    from pyrunc.host import syscalls

    syscalls.bpf(PROG_DETACH, _attr("<III", cgroup_fd, program_fd, ATTACH_CGROUP_DEVICE))


def _open_id(number: int) -> int:
    from pyrunc.host import syscalls

    return syscalls.bpf(GET_FD_BY_ID, _attr("<III", number, 0, 0))


def replace(cgroup_fd: int, code: bytes, *, old: list[int]) -> None:
    """Attach a program in place of `old` (ids): in one step when there is one, else add and detach.

    At no moment is less refused than both sets refuse together: every attached program must allow.
    """
    fd = load(code)
    old_fds: list[int] = []
    try:
        old_fds.extend(_open_id(number) for number in old)
        if len(old_fds) == 1:
            _attach(cgroup_fd, fd, replace_fd=old_fds[0])
            return
        _attach(cgroup_fd, fd)
        for old_fd in old_fds:
            _detach(cgroup_fd, old_fd)
    finally:
        for each in (fd, *old_fds):
            posix.close(each)


def apply(cgroup_fd: int, access: Access, *, new: bool = True, lenient: bool = False) -> None:
    """Make the device rules of a cgroup2 effective.

    `lenient`: in a user namespace the kernel refuses every program (EPERM), and devices there are
    guarded by the file permissions of a host that the container's root does not own.
    """
    try:
        old = [] if new else attached(cgroup_fd)
        if access.allow and not access.exceptions and not old:
            return  # everything is allowed and nothing stands in the way
        replace(cgroup_fd, program.program(access), old=old)
    except OSError as error:
        if lenient and error.errno in (errno.EPERM, errno.EACCES):
            return
        raise Failure(
            f"cannot apply the device rules: bpf: {error.strerror}",
            pointer="/linux/resources/devices",
            errno=error.errno or 0,
            hint=HINTS.get(error.errno or 0, ""),
        ) from error


HINTS = {
    errno.EPERM: "loading a device program needs CAP_BPF or CAP_SYS_ADMIN in the initial namespace",
    errno.EINVAL: "the kernel may lack CONFIG_CGROUP_BPF",
    errno.ENOSYS: "the kernel has no bpf(2); CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF are needed",
}
