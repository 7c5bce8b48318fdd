# SPDX-License-Identifier: Apache-2.0
"""Freezes Python modules: their compiled code becomes data of the launcher.

Frozen is all of pyrunc with what it imports, wherever in a function that is; of the library modules
what they import at their top level. Modules that cannot be linked into a static program are left
out (OUTSIDE): the paths that need them run in the stock interpreter.

The result is frozen.c (the table), frozen.S (the blobs) and one file per module; nothing in them
names a path of this machine.
"""

from __future__ import annotations

import argparse
import ast
import json
import marshal
import os
import sys

# Names (with all below them) that the launcher never imports.
OUTSIDE = (
    "attr",
    "ctypes",
    "jsonschema",
    "jsonschema_specifications",
    "pycparser",
    "pyroute2",
    "referencing",
    "rpds",
    "ssl",
    "typing_extensions",
    # The standard library's own code for tests, other systems and interactive use.
    "_pydecimal",
    "asyncio",
    "doctest",
    "nt",
    "ntpath",
    "pdb",
    "pydoc",
    "test",
    "tkinter",
    "unittest",
    "winreg",
)

# Imported by C code or through names made at run time; no import statement tells.
HIDDEN = (
    "encodings",
    "encodings.aliases",
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "encodings.utf_8",
    "simplejson.errors",
    "simplejson.raw_json",
    "stringprep",
    "traceback",
)

# The import system itself, by the names under which the interpreter starts it (interpreter.c).
BOOTSTRAP = {
    "_frozen_importlib": "importlib._bootstrap",
    "_frozen_importlib_external": "importlib._bootstrap_external",
    "zipimport": "zipimport",
}

# Packages whose own text is left empty. Only the C scanner of simplejson is used; the package would
# import decimal (whose C part cannot be linked in) for its encoder.
EMPTY = ("simplejson",)

# Library modules that pyrunc imports inside functions, for the sake of the stock interpreter. In
# the launcher they are part of the dump.
PRELOAD = ("jeepney", "struct", "traceback")
LINKED = ("simplejson._speedups",)  # modules.c; pyrunc._native comes with pyrunc.syscalls


class Module:
    __slots__ = ("is_package", "name", "path")

    def __init__(self, name: str, path: str, *, is_package: bool):
        self.name = name
        self.path = path
        self.is_package = is_package


class Finder:
    """Finds the sources of modules, and collects what they import."""

    def __init__(self, roots: list[str]):
        self.roots = roots
        self.found: dict[str, Module] = {}

    def locate(self, name: str) -> Module | None:
        for root in self.roots:
            base = os.path.join(root, *name.split("."))
            package = os.path.join(base, "__init__.py")
            if os.path.isfile(package):
                return Module(name, package, is_package=True)
            if os.path.isfile(base + ".py"):
                return Module(name, base + ".py", is_package=False)
        return None

    def add(self, name: str) -> None:
        """Freeze a module, its parents and what they import."""
        waiting = [name]
        while waiting:
            name = waiting.pop()
            if name in self.found or not wanted(name):
                continue
            module = self.locate(name)
            if module is None:
                continue
            self.found[name] = module
            if "." in name:
                waiting.append(name.rpartition(".")[0])
            tree = ast.parse(read(module))
            for statement in imports(tree, everywhere=is_ours(name)):
                waiting += targets(statement, module)


def read(module: Module) -> bytes:
    if module.name in EMPTY:
        return b""
    with open(module.path, "rb") as file:
        return file.read()


def is_ours(name: str) -> bool:
    return name.partition(".")[0] == "pyrunc"


def wanted(name: str) -> bool:
    if any(name == outside or name.startswith(outside + ".") for outside in OUTSIDE):
        return False
    return name not in sys.builtin_module_names


def imports(tree: ast.AST, *, everywhere: bool) -> list[ast.Import | ast.ImportFrom]:
    """Return the import statements, without those for type checkers.

    Those in functions are included only if `everywhere`.
    """
    found: list[ast.Import | ast.ImportFrom] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found.append(node)
        elif (
            isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not everywhere
        ):
            continue
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for statement in node.orelse:
                found += imports(ast.Module([statement], []), everywhere=everywhere)
        else:
            found += imports(node, everywhere=everywhere)
    return found


def targets(statement: ast.Import | ast.ImportFrom, module: Module) -> list[str]:
    """Return what a statement may import; where a name is no module, none will be found."""
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    base = statement.module or ""
    if statement.level:
        parts = module.name.split(".")
        kept = len(parts) - statement.level + module.is_package
        base = ".".join([*parts[:kept], *([base] if base else [])])
    return [base, *(f"{base}.{alias.name}" for alias in statement.names)]


def compile_module(name: str, source: bytes) -> bytes:
    code = compile(source, f"<frozen {name}>", "exec", optimize=2, dont_inherit=True)
    return marshal.dumps(code)


def all_of_pyrunc(root: str) -> list[str]:
    names = []
    for directory, _, files in os.walk(os.path.join(root, "pyrunc")):
        package = os.path.relpath(directory, root).replace(os.sep, ".")
        for file in files:
            if file == "__init__.py":
                names.append(package)
            elif file.endswith(".py"):
                names.append(f"{package}.{file.removesuffix('.py')}")
    return sorted(names)


# Parts of the library that use what the launcher cannot hold; a program in Python imports them.
LIBRARY = (
    "bundle",
    "container",
    "creation",
    "figures",
    "forks",
    "joining",
    "orphans",
    "processes",
    "records",
    "results",
    "runtime",
    "sandbox",
    "streams",
)

AIO = ("container", "pipes", "processes", "runtime", "sandbox", "work")  # those of pyrunc.aio

# The program never imports these: the generator's input, and what stands beside the package only
# for the stock interpreter.
NOT_FROZEN = (
    "pyrunc.init.optable",
    "pyrunc.init.digest",
    "pyrunc.helpers.check_schema",
    "pyrunc.helpers.move_devices",
    "pyrunc.helpers.seccomp_plugins",
    "pyrunc.__main__",
    "pyrunc.aio",
    *(f"pyrunc.aio.{name}" for name in AIO),
    *(f"pyrunc.library.{name}" for name in LIBRARY),
)


def buildinfo_text(source: str, *, init: str, commit: str, parts: str) -> str:
    """pyrunc/buildinfo.py with the init program inside."""
    with open(init, "rb") as file:
        image = file.read()
    marker = "INIT_IMAGE: bytes | None = None\n"
    if source.count(marker) != 1:
        raise SystemExit(f"freeze.py: pyrunc/buildinfo.py must have one line {marker!r}")
    source = source.replace(marker, f"INIT_IMAGE: bytes | None = {image!r}\n")
    with open(parts, encoding="utf-8") as file:
        linked = json.load(file)
    return source + f"\nCOMMIT = {commit!r}\nPARTS = {linked!r}\n"


def collect(arguments: argparse.Namespace) -> dict[str, tuple[bytes, bool]]:
    """name -> (source, is a package) of everything that is frozen, in a fixed order."""
    finder = Finder([arguments.root, arguments.site, os.path.dirname(os.__file__)])
    ours = [name for name in all_of_pyrunc(arguments.root) if name not in NOT_FROZEN]
    for name in (*ours, *HIDDEN, *BOOTSTRAP.values()):
        finder.add(name)
    for name in NOT_FROZEN:
        finder.found.pop(name, None)
    for name, module_name in BOOTSTRAP.items():
        finder.found[name] = finder.found.pop(module_name)
    sources: dict[str, tuple[bytes, bool]] = {}
    for name, module in sorted(finder.found.items()):
        sources[name] = (read(module), module.is_package)
    here = os.path.dirname(os.path.abspath(__file__))
    for name, file_name in (("_pyrunc_entry", "entry.py"), ("_pyrunc_training", "training.py")):
        with open(os.path.join(here, file_name), "rb") as file:
            sources[name] = (file.read(), False)
    preloaded = [*ours, *(n for n in PRELOAD if n in sources), *LINKED]
    sources["_pyrunc_modules"] = (f"PRELOADED = {tuple(preloaded)!r}\n".encode(), False)
    buildinfo = buildinfo_text(
        sources["pyrunc.buildinfo"][0].decode(),
        init=arguments.init,
        commit=arguments.commit,
        parts=arguments.parts,
    )
    sources["pyrunc.buildinfo"] = (buildinfo.encode(), False)
    return sources


def write_tables(sources: dict[str, tuple[bytes, bool]], directory: str) -> None:
    rows, declarations, blobs = [], [], []
    for index, (name, (source, is_package)) in enumerate(sources.items()):
        code = compile_module(BOOTSTRAP.get(name, name), source)
        with open(os.path.join(directory, f"frozen{index}.bin"), "wb") as file:
            file.write(code)
        declarations.append(f"extern const unsigned char frozen_code{index}[];")
        rows.append(
            f'\t{{ "{name}", frozen_code{index}, {len(code)}, {str(is_package).lower()}, 0 }},'
        )
        blobs.append(
            f'\t.globl frozen_code{index}\nfrozen_code{index}:\n\t.incbin "frozen{index}.bin"'
        )
    with open(os.path.join(directory, "frozen.c"), "w", encoding="utf-8") as file:
        file.write("#include <Python.h>\n#include <stdbool.h>\n\n" + "\n".join(declarations))
        file.write("\n\nextern const struct _frozen pyrunc_frozen[];\n")
        file.write("const struct _frozen pyrunc_frozen[] = {\n" + "\n".join(rows))
        file.write("\n\t{ 0, 0, 0, false, 0 },\n};\n")
    with open(os.path.join(directory, "frozen.S"), "w", encoding="utf-8") as file:
        # A section of its own, at the end: what is preloaded is never read again.
        file.write('\t.section .pyrunc_frozen,"a",@progbits\n' + "\n".join(blobs))
        file.write('\n\t.section .note.GNU-stack,"",@progbits\n')


def main() -> None:
    parser = argparse.ArgumentParser(description="freeze pyrunc and what it imports")
    parser.add_argument("--root", required=True, help="directory that holds the package pyrunc")
    parser.add_argument("--site", required=True, help="directory of the installed libraries")
    parser.add_argument("--init", required=True, help="the built init program")
    parser.add_argument("--commit", required=True, help="the revision that --version names")
    parser.add_argument("--parts", required=True, help="what is linked in (parts.py)")
    parser.add_argument("directory", help="where to write")
    arguments = parser.parse_args()
    os.makedirs(arguments.directory, exist_ok=True)
    write_tables(collect(arguments), arguments.directory)


if __name__ == "__main__":
    main()
