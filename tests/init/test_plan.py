# SPDX-License-Identifier: Apache-2.0
"""The init refuses every plan that is not exactly right, before its first op has run."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrunc.host import syscalls
from pyrunc.init import ops
from tests.init.harness import ERROR, HEADER, MAGIC, Init, encode, program

pytestmark = pytest.mark.root

REFUSED = 0xFFFFFFFF  # the op number of a report about the plan itself


def sample(mark: Path) -> list[ops.Op]:
    """Every field type; the first op leaves a trace."""
    return [
        ops.MakeDirectory(path=str(mark), mode=0o755, uid=0, gid=0),
        ops.NewMount(slot=3, fstype="tmpfs", source="", options=["size=1m", "ro"], attributes=1),
        ops.SetScheduler(policy=0, flags=0, nice=-1, priority=0, runtime=0, deadline=0, period=0),
        ops.SetGroups(gids=b"\1\0\0\0\2\0\0\0\3\0\0\0"),
        ops.Execute(argv=["a"], env=[], home=ops.NO_INDEX, listen=ops.NO_INDEX, preserved=0),
    ]


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "mark"


@pytest.fixture
def whole(mark: Path) -> bytes:
    return encode(sample(mark))


def refused(data: bytes, mark: Path) -> bool:
    """Whether the plan was refused, with a report or (below 64 bytes) without, and nothing ran."""
    with Init([], data=data) as init:
        message = init.receive()
        status = init.wait()
    if message is not None:
        assert (message.type, message.op) == (ERROR, REFUSED)
    return status == 255 and not mark.exists()


def test_the_whole_plan_runs(whole: bytes, mark: Path) -> None:
    with Init([], data=whole) as init:
        message = init.receive()
    assert message is not None
    assert message.op == 4  # execute: nothing was looked up
    assert mark.is_dir()


def test_every_prefix_is_refused_before_the_first_op(whole: bytes, mark: Path) -> None:
    """PL-1 PL-2 AR-4: with the length in the header as it was, and made to fit."""
    for end in range(len(whole)):
        part = whole[:end]
        assert refused(part, mark), f"the first {end} bytes"
        if end >= HEADER.size:
            fitted = part[:16] + struct.pack("<I", end) + part[20:]
            assert refused(fitted, mark), f"the first {end} bytes with a fitting header"


def test_every_prefix_of_the_ops_is_refused_with_their_number_unchanged(
    mark: Path,
) -> None:
    """A plan that ends after a complete op still misses some."""
    plan = sample(mark)
    for count in range(len(plan)):
        body = b"".join(op.encode() for op in plan[:count])
        head = HEADER.pack(MAGIC, ops.DIGEST, HEADER.size + len(body), len(plan), 0, 0)
        assert refused(head + body, mark), f"{count} ops"


def with_header(whole: bytes, **change: int | bytes) -> bytes:
    names = ("magic", "digest", "length", "count", "objects", "reserved")
    values = dict(zip(names, HEADER.unpack_from(whole), strict=True)) | change
    return HEADER.pack(*values.values()) + whole[HEADER.size :]


@pytest.mark.parametrize(
    "change",
    [
        {"magic": b"PYRUNC\0\2"},
        {"digest": ops.DIGEST ^ 1},
        {"digest": 0},
        {"length": 0},
        {"length": 0xFFFFFFFF},
        {"count": 0},
        {"count": 6},
        {"count": 0xFFFFFFFF},
        {"objects": ops.SLOT_LIMIT},
        {"reserved": 1},
    ],
    ids=str,
)
def test_a_header_that_is_not_right_is_refused(
    change: dict[str, int | bytes], whole: bytes, mark: Path
) -> None:
    assert refused(with_header(whole, **change), mark)


def test_bytes_after_the_last_op_are_refused(whole: bytes, mark: Path) -> None:
    for extra in (1, 8, 4096):
        longer = whole + bytes(extra)
        assert refused(longer, mark)
        assert refused(with_header(longer, length=len(longer)), mark)


def raw_op(code: int, body: bytes, size: int | None = None) -> bytes:
    padded = body + bytes(-len(body) % 8)
    return struct.pack("<II", code, 8 + len(padded) if size is None else size) + padded


def with_op(mark: Path, op: bytes) -> bytes:
    """The op that leaves a trace, the given one, and enough to be no plan of less than 64 bytes."""
    body = sample(mark)[0].encode() + op
    return HEADER.pack(MAGIC, ops.DIGEST, HEADER.size + len(body), 2, 0, 0) + body


NEW_MOUNT, SET_UMASK = ops.NewMount.CODE, ops.SetUmask.CODE
SET_GROUPS, SET_HOSTNAME = ops.SetGroups.CODE, ops.SetHostname.CODE
U32 = struct.Struct("<I").pack


@pytest.mark.parametrize(
    "op",
    [
        pytest.param(raw_op(0, b""), id="op 0"),
        pytest.param(raw_op(len(ops.OPS) + 1, b""), id="an op after the last"),
        pytest.param(raw_op(0xFFFFFFFF, b""), id="op 2^32-1"),
        pytest.param(raw_op(SET_UMASK, U32(0), size=0), id="size 0"),
        pytest.param(raw_op(SET_UMASK, U32(0), size=4), id="size below the head"),
        pytest.param(raw_op(SET_UMASK, U32(0), size=12), id="size not a multiple of 8"),
        pytest.param(raw_op(SET_UMASK, U32(0), size=24), id="size beyond the end"),
        pytest.param(raw_op(SET_UMASK, U32(0), size=0xFFFFFFF8), id="size 2^32-8"),
        pytest.param(raw_op(SET_UMASK, U32(0) + b"\0\0\0\1"), id="padding that is not zero"),
        pytest.param(raw_op(SET_UMASK, bytes(16)), id="more than the fields"),
        pytest.param(raw_op(SET_UMASK, b""), id="less than the fields"),
        pytest.param(raw_op(ops.CloseSlot.CODE, U32(ops.SLOT_LIMIT)), id="a slot out of range"),
        pytest.param(raw_op(SET_HOSTNAME, U32(3) + b"abcd"), id="a string without its NUL"),
        pytest.param(raw_op(SET_HOSTNAME, U32(3) + b"a\0c\0"), id="a string with a NUL inside"),
        pytest.param(raw_op(SET_HOSTNAME, U32(0xFFFFFFFF) + b"abc\0"), id="a string of 4 GiB"),
        pytest.param(raw_op(SET_GROUPS, U32(9) + bytes(4) + bytes(8)), id="bytes beyond the end"),
        pytest.param(raw_op(SET_GROUPS, U32(4) + U32(1) + bytes(8)), id="padding before bytes"),
        pytest.param(raw_op(SET_GROUPS, U32(0xFFFFFFFF) + bytes(12)), id="bytes of 4 GiB"),
    ],
)
def test_an_op_that_is_not_right_is_refused(op: bytes, mark: Path) -> None:
    assert refused(with_op(mark, op), mark)


def strings(count: int, size: int, pointers: bytes, data: bytes) -> bytes:
    """A new_mount with these raw options; its strings before end at a multiple of 8."""
    head = U32(1) + U32(3) + b"abc\0" + U32(3) + b"abc\0"
    return raw_op(NEW_MOUNT, head + struct.pack("<II", count, size) + bytes(4) + pointers + data)


@pytest.mark.parametrize(
    "op",
    [
        pytest.param(strings(0xFFFFFFFF, 0, bytes(8), bytes(8)), id="2^32-1 strings"),
        pytest.param(strings(2, 4, bytes(24), b"ab\0c" + bytes(8)), id="the last without NUL"),
        pytest.param(strings(1, 4, bytes(16), b"a\0b\0" + bytes(8)), id="more strings than said"),
        pytest.param(strings(3, 4, bytes(32), b"a\0b\0" + bytes(8)), id="fewer strings than said"),
        pytest.param(strings(1, 2, b"\1" * 16, b"a\0" + bytes(8)), id="pointers already set"),
        pytest.param(strings(1, 0xFFFFFFFF, bytes(16), b"a\0" + bytes(8)), id="4 GiB of strings"),
        pytest.param(strings(0, 4, bytes(8), b"a\0b\0" + bytes(8)), id="bytes without strings"),
    ],
)
def test_a_list_of_strings_that_is_not_right_is_refused(op: bytes, mark: Path) -> None:
    """PL-3."""
    assert refused(with_op(mark, op), mark)


def seals(fd: int) -> int:
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_GET_SEALS)


def started(**more: object) -> tuple[bool, str]:
    """Whether the init got as far as a report, and what it says on its standard error."""
    with Init([], **more) as init:  # type: ignore[arg-type]
        message = init.receive()
        init.wait()
        return message is not None, init.text()


def unsealed(data: bytes) -> int:
    fd = os.memfd_create("plan", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    return fd


def partly_sealed(data: bytes) -> int:
    import fcntl

    fd = unsealed(data)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    return fd


def on_disk(data: bytes) -> int:
    fd = os.open("/tmp", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC)
    os.write(fd, data)
    return fd


@pytest.mark.parametrize("make", [unsealed, partly_sealed, on_disk])
def test_a_plan_that_somebody_could_still_change_is_refused(
    make: Callable[[bytes], int], whole: bytes, mark: Path
) -> None:
    """PL-1."""
    assert started(plan_fd=make(whole)) == (
        False,
        "pyrunc-init: started by pyrunc only: the plan is not sealed\n",
    )
    assert not mark.exists()


def test_a_plan_too_small_or_too_large_is_refused() -> None:
    for size in (0, 63, (16 << 20) + 1):
        reported, text = started(data=bytes(size))
        assert not reported
        assert "the size of the plan" in text


@pytest.mark.parametrize(
    "name",
    [
        b"pyrunc-init",
        b"pyrunc-init:",
        b"pyrunc-init:2",
        b"pyrunc-init:3x",
        b"pyrunc-init:+3",
        b"pyrunc-init:65537",
        b"pyrunc-init:99999999999999999999",
        b"",
    ],
)
def test_another_name_is_refused(name: bytes, whole: bytes, mark: Path) -> None:
    """EX-4."""
    reported, text = started(data=whole, argv0=name)
    assert not reported
    assert text.startswith("pyrunc-init: started by pyrunc only: ")
    assert not mark.exists()


def run_by_hand(argv: list[bytes], env: list[bytes], path: str) -> tuple[int, str]:
    read, write = os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    pid, pidfd = syscalls.run_program(
        os.fsencode(path), argv, env, stdin_fd=null, stdout_fd=write, stderr_fd=write
    )
    os.close(write)
    os.close(null)
    os.close(pidfd)
    with os.fdopen(read) as file:
        text = file.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text


@pytest.mark.parametrize(
    ("argv", "env", "why"),
    [
        ([b"pyrunc-init:3"], [], "its program is not sealed"),
        ([b"pyrunc-init:3", b"x"], [], "arguments or environment"),
        ([b"pyrunc-init:3"], [b"A=b"], "arguments or environment"),
        ([b"pyrunc-init"], [], "its name"),
    ],
)
def test_it_does_nothing_when_started_by_hand(
    argv: list[bytes], env: list[bytes], why: str
) -> None:
    """EX-4."""
    from tests.init.harness import PROGRAM

    status, text = run_by_hand(argv, env, str(PROGRAM))
    assert (status, text) == (255, f"pyrunc-init: started by pyrunc only: {why}\n")


def test_its_own_program_is_a_sealed_copy() -> None:
    """EX-1: what the harness starts is what pyrunc starts."""
    fd = program()
    assert seals(fd) & 0xF == 0xF
    os.close(fd)


def test_what_is_not_in_the_plan_is_closed(tmp_path: Path) -> None:
    """FD-3: socket, standard descriptors and objects; neither the plan nor the program."""
    from tests.init.harness import stop

    first, second = os.open("/", os.O_PATH), os.open("/", os.O_PATH)
    with Init([stop(), stop()], objects=[first, second]) as init:
        init.pause()
        assert sorted(map(int, os.listdir(f"/proc/{init.pid}/fd"))) == [0, 1, 2, 3, 6, 7]
    os.close(first)
    os.close(second)


def test_it_ends_without_a_word_when_its_parent_is_gone() -> None:
    """AR-5 PL-4."""
    from tests.init.harness import stop

    with Init([stop(), stop()]) as init:
        init.pause()
        other = os.dup(init.sync)
        os.close(init.sync)
        init.sync = os.open("/dev/null", os.O_RDONLY)
        os.close(other)
        assert init.wait() == 255
        assert init.text() == ""


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        bytes(255),
        bytes(256),
        struct.pack("<I", 1) + bytes(252),
        struct.pack("<I", 4) + bytes(253),
    ],
)
def test_an_answer_that_is_not_go_is_an_error(answer: bytes) -> None:
    """PL-4: one expected type in each state."""
    from tests.init.harness import stop

    with Init([stop(), stop()]) as init:
        init.pause()
        syscalls.send_message(init.sync, answer)
        message = init.receive()
        assert message is None or (message.type, message.step) == (ERROR, 1)
        assert init.wait() == 255
