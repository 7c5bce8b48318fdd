# SPDX-License-Identifier: Apache-2.0
"""Compiled filters in the state root, found by what they were made of.

An entry is trusted like the state files beside it: the directory and the file must belong to us and
be writable by nobody else. Whatever is wrong with an entry means "not there"; whatever goes wrong
when writing means "not kept".
"""

from __future__ import annotations

import os
import stat
import struct
import time
from _blake2 import blake2b  # hashlib would load OpenSSL
from marshal import dumps

from pyrunc.seccomp.filter import Filter, Report
from pyrunc.seccomp.opcodes import INSTRUCTION_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

GENERATION = b"4"  # to be changed with every change of the compiler's output
KEPT = 64  # entries; the least recently used go first
FRESH_S = 3600  # a use is only noted when the last one was longer ago
MAX_SIZE = 256 * 1024

# A format of marshal in which equal values have equal texts: later ones tell objects that are met
# again, and interned strings, from others.
WITHOUT_REFERENCES = 2

MAGIC = b"PYRUNCSF"
HEADER = "=8s32s32sIIIIII"  # magic, key, digest of the rest, flags, listener, four sizes
HEADER_SIZE = struct.calcsize(HEADER)

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OPEN_ENTRY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def key(raw: dict[str, Any], library_version: str, native: int) -> bytes:
    """Return a digest of everything that the compiler reads: the profile as in the JSON text.

    `marshal` writes each value with its type and length, so no two profiles have one text. It takes
    five times as long for names as joining them, which nearly all of a profile is; no name holds a
    NUL (the reader of JSON refuses it), and how many each rule has is in the other text, as is the
    length of this one.
    """
    names: list[str] = []
    syscalls = []
    for rule in raw.get("syscalls") or ():
        names += rule["names"]
        others = (rule["action"], rule.get("errnoRet"), rule.get("args"))
        syscalls.append((len(rule["names"]), others))
    joined = "\0".join(names).encode("utf-8", "surrogatepass")
    digest = blake2b(joined, digest_size=32)
    # Whether they are there is all that counts, and every container may have its own.
    listener = [bool(raw.get(name)) for name in ("listenerPath", "listenerMetadata")]
    rest = {**raw, "syscalls": syscalls, "listenerPath": None, "listenerMetadata": None}
    text = (len(joined), GENERATION, library_version, native, listener, rest)
    digest.update(dumps(text, WITHOUT_REFERENCES))
    return digest.digest()


def _private(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _open_directory(path: str) -> int:
    """Return the cache's descriptor, or -1 if it is absent or not ours alone."""
    try:
        fd = os.open(path, OPEN_DIRECTORY)
    except OSError:
        return -1
    if _private(os.fstat(fd)):
        return fd
    os.close(fd)
    return -1


def load(path: str, entry_key: bytes) -> Filter | None:
    """Return the filter that was stored under this key, or None."""
    directory = _open_directory(path)
    if directory < 0:
        return None
    try:
        data = _read(directory, entry_key.hex())
    finally:
        os.close(directory)
    return _decode(data, entry_key) if data else None


def _read(directory: int, name: str) -> bytes:
    try:
        fd = os.open(name, OPEN_ENTRY, dir_fd=directory)
    except OSError:
        return b""
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or not _private(status) or status.st_size > MAX_SIZE:
            return b""
        data = os.read(fd, status.st_size + 1)
        if len(data) != status.st_size:
            return b""
        if time.time() - status.st_mtime > FRESH_S:
            os.utime(fd)  # recently used
        return data
    except OSError:
        return b""
    finally:
        os.close(fd)


def _digest(body: bytes | memoryview) -> bytes:
    return blake2b(body, digest_size=32).digest()


def _texts(items: tuple[str, ...]) -> bytes:
    return b"\0".join(item.encode("utf-8", "surrogatepass") for item in items)


def _encode(compiled: Filter, entry_key: bytes) -> bytes:
    report = compiled.report
    parts = (
        compiled.program,
        _texts(report.ignored),
        _texts(report.skipped_architectures),
        b"".join(struct.pack("=II", *pair) for pair in report.stub),
    )
    sizes = [len(part) for part in parts]
    facts = struct.pack("=IIIIII", compiled.flags, compiled.listener, *sizes)
    body = facts + b"".join(parts)
    return MAGIC + entry_key + _digest(body) + body


def _decode(data: bytes, entry_key: bytes) -> Filter | None:
    if len(data) < HEADER_SIZE:
        return None
    magic, found_key, digest, flags, listener, *sizes = struct.unpack_from(HEADER, data)
    if magic != MAGIC or found_key != entry_key or digest != _digest(memoryview(data)[72:]):
        return None
    if HEADER_SIZE + sum(sizes) != len(data) or sizes[0] % INSTRUCTION_SIZE or sizes[3] % 8:
        return None
    parts, start = [], HEADER_SIZE
    for size in sizes:
        parts.append(data[start : start + size])
        start += size
    program, ignored, skipped, stub = parts
    report = Report(
        ignored=_split(ignored),
        skipped_architectures=_split(skipped),
        stub=list(struct.iter_unpack("=II", stub)),
    )
    return Filter(program, flags=flags, listener=bool(listener), report=report, cached=True)


def _split(data: bytes) -> list[str]:
    return data.decode("utf-8", "surrogatepass").split("\0") if data else []


def _make_directory(path: str) -> None:
    try:
        os.mkdir(path, 0o700)
    except OSError:
        return  # it exists, or opening it fails too


def store(path: str, entry_key: bytes, compiled: Filter) -> None:
    """Keep a filter: written aside and renamed, so that nobody sees half of it."""
    data = _encode(compiled, entry_key)
    if len(data) > MAX_SIZE:
        return
    _make_directory(path)
    directory = _open_directory(path)
    if directory < 0:
        return
    name = entry_key.hex()
    aside = f"{name}.{os.getpid()}"
    try:
        _write(directory, aside, data)
        os.rename(aside, name, src_dir_fd=directory, dst_dir_fd=directory)
        _evict(directory)
    except OSError:
        _remove(directory, aside)
    finally:
        os.close(directory)


def _write(directory: int, name: str, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, 0o600, dir_fd=directory)
    try:
        while data:
            data = data[os.write(fd, data) :]
    finally:
        os.close(fd)


def _remove(directory: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except OSError:
        return  # another process was faster, or it was never made


def _evict(directory: int) -> None:
    """Remove the least recently used entries beyond KEPT, also left-overs of killed writers."""
    names = os.listdir(directory)
    if len(names) <= KEPT:
        return
    entries = []
    for name in names:
        try:
            entries.append(
                (os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime_ns, name)
            )
        except FileNotFoundError:
            continue  # another process was faster
    for _, name in sorted(entries)[:-KEPT]:
        _remove(directory, name)
