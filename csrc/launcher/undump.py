# SPDX-License-Identifier: Apache-2.0
"""Makes an executable from a program and the dump that it wrote of itself (undumped.c).

The dumped bytes of the data region replace those in the file; the heap is appended and gets a
PT_LOAD segment. A program header that the kernel does not need (PT_NOTE, PT_GNU_PROPERTY) makes
room for it: headers cannot be added without moving everything.
"""

from __future__ import annotations

import os
import struct
import sys

PAGE = 4096
# The kernel keeps and maps files in pieces of this size and more: where addresses and offsets are
# alike in it, one piece is mapped around a page that is used, and not two.
PIECE = 65536
HEAP_ROOM = 16 << 20  # HEAP_ROOM of region.h: zero pages behind the heap
PT_LOAD, PT_NOTE, PT_GNU_PROPERTY = 1, 4, 0x6474E553
PF_W, PF_R = 2, 4
HEADER = struct.Struct("<8s4Q")
SEGMENT = struct.Struct("<IIQQQQQQ")  # type flags offset vaddr paddr filesz memsz align
ELF_MAGIC = b"\x7fELF\x02\x01"  # 64 bits, little endian


class Segment:
    """A program header and where it stands in the file."""

    __slots__ = ("address", "file_size", "offset", "position", "type")

    def __init__(self, image: bytearray, position: int):
        self.position = position
        fields = SEGMENT.unpack_from(image, position)
        self.type, _, self.offset, self.address, _, self.file_size, _, _ = fields


def segments(image: bytearray) -> list[Segment]:
    (table,) = struct.unpack_from("<Q", image, 32)
    size, count = struct.unpack_from("<HH", image, 54)
    return [Segment(image, table + index * size) for index in range(count)]


def replace_region(image: bytearray, address: int, content: bytes) -> None:
    for segment in segments(image):
        start = address - segment.address
        inside = segment.type == PT_LOAD and start >= 0
        if inside and start + len(content) <= segment.file_size:
            position = segment.offset + start
            image[position : position + len(content)] = content
            return
    raise SystemExit("undump.py: no segment holds the dumped region in the file")


def append_heap(image: bytearray, address: int, content: bytes) -> None:
    spare = [s for s in segments(image) if s.type in (PT_NOTE, PT_GNU_PROPERTY)]
    if not spare:
        raise SystemExit("undump.py: the program has no spare program header")
    if any(s.type == PT_LOAD and s.position > spare[-1].position for s in segments(image)):
        raise SystemExit("undump.py: PT_LOAD headers must be in the order of their addresses")
    image += bytes(-len(image) % PIECE)
    position, size = len(image), len(content)
    header = (PT_LOAD, PF_R | PF_W, position, address, address, size, size + HEAP_ROOM, PAGE)
    SEGMENT.pack_into(image, spare[-1].position, *header)
    image += content


def merge(program: bytes, dump: bytes) -> bytes:
    image = bytearray(program)
    magic, region, region_size, heap, heap_size = HEADER.unpack_from(dump)
    if magic != b"PYRUNCD1" or not image.startswith(ELF_MAGIC):
        raise SystemExit("undump.py: not a dump of this program")
    if len(dump) != HEADER.size + region_size + heap_size:
        raise SystemExit("undump.py: the dump is incomplete")
    content = memoryview(dump)[HEADER.size :]
    replace_region(image, region, bytes(content[:region_size]))
    append_heap(image, heap, bytes(content[region_size:]))
    return bytes(image)


def main() -> None:
    program, dump, target = sys.argv[1:]
    with open(program, "rb") as file:
        image = file.read()
    with open(dump, "rb") as file:
        merged = merge(image, file.read())
    with open(target, "wb") as file:
        file.write(merged)
    os.chmod(target, 0o755)


if __name__ == "__main__":
    main()
