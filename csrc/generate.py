# SPDX-License-Identifier: Apache-2.0
"""Write both sides of the op table.

These are ``pyrunc/init/ops.py`` and ``messages.py``, and ``csrc/init/plan_ops.h``.

``python3 csrc/generate.py`` rewrites the files, ``--check`` only tells whether they are stale.
They are committed, so that building the C program needs no Python.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "pyrunc" / "init" / "optable.py"
PYTHON = ROOT / "pyrunc" / "init" / "ops.py"
MESSAGES = ROOT / "pyrunc" / "init" / "messages.py"
HEADER = ROOT / "csrc" / "init" / "plan_ops.h"

# The first sentence of an op's text, and the rest.
SUMMARY = re.compile(r"(.*?\.)(?:\s+(.*))?$")

SCALARS = {"U32": "I", "SLOT": "I", "I32": "i", "U64": "Q"}
ANNOTATIONS = {
    "U32": "int",
    "SLOT": "int",
    "I32": "int",
    "U64": "int",
    "STR": "str",
    "BYTES": "bytes",
    "STRS": "Sequence[str]",
}
WRITERS = {"STR": "_str", "BYTES": "_bytes", "STRS": "_strs"}
C_TYPES = {
    "U32": "uint32_t ",
    "SLOT": "uint32_t ",
    "I32": "int32_t ",
    "U64": "uint64_t ",
    "STR": "const char *",
    "BYTES": "struct bytes ",
    "STRS": "struct strings ",
}


class Spec(NamedTuple):
    """One op of the table."""

    code: int
    name: str
    doc: str
    fields: dict[str, str]
    steps: tuple[str, ...]

    @property
    def class_name(self) -> str:
        return "".join(part.capitalize() for part in self.name.split("_"))


class Table(NamedTuple):
    """The whole table with its digest."""

    ops: list[Spec]
    rendezvous: tuple[str, ...]
    constants: dict[str, int]
    message: dict[str, str]
    detail_size: int
    messages: dict[str, str]
    digest: int


def load() -> Table:
    """Read the table; the digest covers all that both sides must agree on, not the prose."""
    spec = importlib.util.spec_from_file_location("optable", TABLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    ops = [Spec(code, name, *row) for code, (name, row) in enumerate(module.OPS.items(), start=1)]
    canonical = json.dumps(
        [
            [[op.name, list(op.fields.items()), op.steps] for op in ops],
            module.RENDEZVOUS,
            list(module.CONSTANTS.items()),
            [list(module.MESSAGE.items()), module.DETAIL_SIZE, list(module.MESSAGES)],
        ],
        separators=(",", ":"),
    )
    digest = int.from_bytes(hashlib.sha256(canonical.encode()).digest()[:8], "little")
    return Table(
        ops,
        module.RENDEZVOUS,
        module.CONSTANTS,
        module.MESSAGE,
        module.DETAIL_SIZE,
        module.MESSAGES,
        digest,
    )


PYTHON_HEAD = '''\
# SPDX-License-Identifier: Apache-2.0
"""The ops of a plan. Generated from optable.py by csrc/generate.py: do not edit. PURE."""

from __future__ import annotations

from struct import pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

'''

PYTHON_SUPPORT = '''

def _str(value: str) -> bytes:
    data = value.encode("utf-8", "surrogateescape")
    if b"\\0" in data:
        raise ValueError("a string of a plan holds a NUL")
    return pack("<I", len(data)) + data + b"\\0"


def _bytes(value: bytes, before: int) -> bytes:
    return pack("<I", len(value)) + bytes(-(before + 4) % 8) + value + bytes(-len(value) % 8)


def _strs(values: Sequence[str], before: int) -> bytes:
    if not values:
        data = b""
    else:
        data = "\\0".join(values).encode("utf-8", "surrogateescape") + b"\\0"
        if data.count(b"\\0") != len(values):
            raise ValueError("a string of a plan holds a NUL")
    head = pack("<II", len(values), len(data))
    return head + bytes(-(before + 8) % 8 + 8 * (len(values) + 1)) + data


def _op(code: int, body: bytes) -> bytes:
    padding = -len(body) % 8
    return pack("<II", code, 8 + len(body) + padding) + body + bytes(padding)


class Op:
    """One operation. `pointer` and `action` serve messages and are not encoded."""

    __slots__ = ("action", "pointer")
    NAME = ""
    CODE = 0
    FIELDS: tuple[str, ...] = ()
    STEPS: tuple[str, ...] = ()
    pointer: str
    action: str

    def encode(self) -> bytes:
        """Encode the op as the init reads it: code, size, fields, padding to 8 bytes."""
        raise NotImplementedError
'''


def encode_lines(op: Spec) -> list[str]:
    """Return the body of `encode`: runs of scalars in one pack call, the rest field by field."""
    if not op.fields:
        return [f'return _op({op.code}, b"")']
    groups: list[list[str]] = []
    for name, kind in op.fields.items():
        if kind in SCALARS and groups and op.fields[groups[-1][-1]] in SCALARS:
            groups[-1].append(name)
        else:
            groups.append([name])
    lines: list[str] = []
    for index, group in enumerate(groups):
        kind = op.fields[group[0]]
        if kind in SCALARS:
            formats = "".join(SCALARS[op.fields[name]] for name in group)
            value = f'pack("<{formats}", ' + ", ".join(f"self.{name}" for name in group) + ")"
        elif kind == "STR":
            value = f"_str(self.{group[0]})"
        else:
            before = "len(body)" if index else "0"
            value = f"{WRITERS[kind]}(self.{group[0]}, {before})"
        lines.append(("body += " if index else "body = ") + value)
    if len(lines) == 1:
        return [f"return _op({op.code}, {lines[0].removeprefix('body = ')})"]
    return [*lines, f"return _op({op.code}, body)"]


def names_tuple(names: list[str] | tuple[str, ...]) -> list[str]:
    """Write a tuple of strings as the formatter would after ten columns of `NAME = `."""
    inner = ", ".join(f'"{name}"' for name in names)
    text = f"({inner},)" if len(names) == 1 else f"({inner})"
    if len(text) <= 84:
        return [text]
    return ["(", *(f'    "{name}",' for name in names), ")"]


def python_class(op: Spec) -> str:
    """Return the class of one op."""
    lines = ["", "", f"class {op.class_name}(Op):"]
    summary, more = SUMMARY.match(op.doc).groups()  # type: ignore[union-attr]  # any text matches
    closing = '"""'
    if more:
        body = (f"    {line}" for line in textwrap.wrap(more, 90))
        lines += [f'    """{summary}', "", *body, f"    {closing}"]
    else:
        lines.append(f'    """{summary}{closing}')
    lines.append("")
    for key, value in (
        ("__slots__", names_tuple(sorted(op.fields))),
        ("NAME", [f'"{op.name}"']),
        ("CODE", [str(op.code)]),
        ("FIELDS", names_tuple(list(op.fields))),
        ("STEPS", names_tuple(op.steps)),
    ):
        lines.append(f"    {key} = {value[0]}")
        lines += [f"    {line}" for line in value[1:]]
    lines += ["", "    def __init__(", "        self,", "        *,"]
    lines += [f"        {name}: {ANNOTATIONS[kind]}," for name, kind in op.fields.items()]
    lines += ['        pointer: str = "",', '        action: str = "",', "    ) -> None:"]
    lines += [f"        self.{name} = {name}" for name in op.fields]
    lines += ["        self.pointer = pointer", "        self.action = action", ""]
    lines.append("    def encode(self) -> bytes:")
    lines += [f"        {line}" for line in encode_lines(op)]
    return "\n".join(lines)


def python_text(table: Table) -> str:
    """Return the whole of ops.py."""
    parts = [PYTHON_HEAD, f"DIGEST = 0x{table.digest:016X}\n\n"]
    for number, name in enumerate(table.rendezvous, start=1):
        parts.append(f"RENDEZVOUS_{name.upper()} = {number}\n")
    parts.append("RENDEZVOUS = " + "\n".join(names_tuple(table.rendezvous)) + "\n\n")
    parts += [f"{name} = {value}\n" for name, value in table.constants.items()]
    parts.append(PYTHON_SUPPORT)
    parts += [python_class(op) + "\n" for op in table.ops]
    parts.append("\n\nOPS: tuple[type[Op], ...] = (\n")
    parts += [f"    {op.class_name},\n" for op in table.ops]
    parts.append(")\n")
    return "".join(parts)


MESSAGES_HEAD = '''\
# SPDX-License-Identifier: Apache-2.0
"""The messages between the init and its parent. Generated from optable.py: do not edit. PURE."""

from __future__ import annotations

from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

'''


def messages_text(table: Table) -> str:
    """Return the whole of messages.py."""
    lines = []
    for number, (name, text) in enumerate(table.messages.items(), start=1):
        lines.append(f"{name.upper()}: Final = {number}  # {text}")
    form = "<" + "".join(SCALARS[kind] for kind in table.message.values())
    fields = ", ".join((*table.message, "detail"))
    lines += ["", f"# {fields}", f'MESSAGE: Final = Struct("{form}{table.detail_size}s")']
    return MESSAGES_HEAD + "\n".join(lines) + "\n"


def c_messages(table: Table) -> list[str]:
    """Return the types and the structure of messages."""
    lines = ["", "enum message_type {"]
    for number, (name, text) in enumerate(table.messages.items(), start=1):
        lines.append(f"\tMESSAGE_{name.upper()} = {number}, /* {text} */")
    lines += ["};", "", f"#define DETAIL_SIZE {table.detail_size}", "struct message {"]
    lines += [f"\t{C_TYPES[kind]}{name};" for name, kind in table.message.items()]
    return [*lines, "\tchar detail[DETAIL_SIZE];", "};"]


HEADER_HEAD = """\
/* SPDX-License-Identifier: Apache-2.0 */
/* Generated from pyrunc/init/optable.py by csrc/generate.py: do not edit. */
/* clang-format off */
#ifndef PLAN_OPS_H
#define PLAN_OPS_H

#include "plan.h"

"""


def c_struct(op: Spec) -> list[str]:
    """Return the steps, the structure and the prototype of the handler."""
    steps = ", ".join(f"STEP_{op.name}_{step}".upper() for step in op.steps)
    lines = ["", *(f"/* {line} */" for line in textwrap.wrap(op.doc, 94))]
    lines += [f"enum step_{op.name} {{ {steps} }};", f"struct op_{op.name} {{"]
    lines += [f"\t{C_TYPES[kind]}{name};" for name, kind in op.fields.items()]
    if not op.fields:
        lines.append("\tchar nothing;")
    return [*lines, "};", f"int run_{op.name}(const struct op_{op.name} *op, uint32_t *step);"]


def c_decoder(op: Spec) -> list[str]:
    """Write the function that reads the fields in their order and demands that nothing is left."""
    lines = [
        "",
        f"static bool decode_{op.name}(struct reader *reader, struct op_{op.name} *op)",
        "{",
    ]
    if not op.fields:
        lines.append("\top->nothing = 0;")
    for name, kind in op.fields.items():
        lines += [f"\tif (!read_{kind.lower()}(reader, &op->{name}))", "\t\treturn false;"]
    return [*lines, "\treturn read_end(reader);", "}"]


def c_dispatch(table: Table) -> list[str]:
    """`check_op` decodes only; `run_op` decodes again and calls the handler."""
    lines = ["", "static bool check_op(uint32_t code, struct reader *reader)", "{"]
    lines += ["\tswitch ((enum op_code)code) {"]
    for op in table.ops:
        lines += [f"\tcase OP_{op.name.upper()}: {{", f"\t\tstruct op_{op.name} op;", ""]
        lines += [f"\t\treturn decode_{op.name}(reader, &op);", "\t}"]
    lines += ["\tdefault:", "\t\treturn false;", "\t}", "}"]
    lines += ["", "static int run_op(uint32_t code, struct reader *reader, uint32_t *step)", "{"]
    lines += ["\tswitch ((enum op_code)code) {"]
    for op in table.ops:
        lines += [f"\tcase OP_{op.name.upper()}: {{", f"\t\tstruct op_{op.name} op;", ""]
        lines += [f"\t\tif (!decode_{op.name}(reader, &op))", "\t\t\treturn -EPROTO;"]
        lines += [f"\t\treturn run_{op.name}(&op, step);", "\t}"]
    return [*lines, "\tdefault:", "\t\treturn -EPROTO;", "\t}", "}"]


def header_text(table: Table) -> str:
    """Return the whole of plan_ops.h."""
    lines = [f"#define PLAN_DIGEST 0x{table.digest:016x}ULL", "", "enum rendezvous {"]
    for number, name in enumerate(table.rendezvous, start=1):
        lines.append(f"\tRENDEZVOUS_{name.upper()} = {number},")
    lines += ["};", ""]
    lines += [f"#define {name} {value}U" for name, value in table.constants.items()]
    lines += c_messages(table)
    lines += ["", "enum op_code {"]
    lines += [f"\tOP_{op.name.upper()} = {op.code}," for op in table.ops]
    lines += [
        "};",
        "",
        "#define FOR_EACH_OP(X)" + "".join(f" \\\n\tX({op.name})" for op in table.ops),
    ]
    for op in table.ops:
        lines += c_struct(op)
    lines += ["", "#ifdef PLAN_OPS_DECODER", "#include <errno.h>"]
    for op in table.ops:
        lines += c_decoder(op)
    lines += [*c_dispatch(table), "#endif", "#endif"]
    return HEADER_HEAD + "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write the files, or with --check tell which of them are stale."""
    table = load()
    stale = []
    texts = {
        PYTHON: python_text(table),
        MESSAGES: messages_text(table),
        HEADER: header_text(table),
    }
    for path, text in texts.items():
        if path.exists() and path.read_text() == text:
            continue
        stale.append(str(path.relative_to(ROOT)))
        if "--check" not in arguments:
            path.write_text(text)
    if stale and "--check" in arguments:
        print(f"stale: {', '.join(stale)}: run python3 csrc/generate.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
