# SPDX-License-Identifier: Apache-2.0
"""What pyproject.toml cannot say: the cffi module, and the init program inside the package.

The launcher is not built here: ``make`` does that. ``pip install .`` gives the same program on the
stock interpreter.
"""

from __future__ import annotations

import os
import subprocess
import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = os.path.dirname(os.path.abspath(__file__))
INIT = os.path.join("build", "pyrunc-init")
# No path of this machine, no time and no number of the linker's choice: the same bytes every time.
SAME_BYTES = ("-g0", f"-ffile-prefix-map={HERE}=.")
ABI = "cp311"  # the oldest Python whose stable interface is used


def revision() -> str:
    """Return the commit and its time (tools/revision)."""
    script = os.path.join(HERE, "tools", "revision")
    return subprocess.run([script], check=True, capture_output=True, text=True).stdout


class BuildNative(build_ext):
    """Compiles pyrunc._native without a trace of the machine that did it."""

    def build_extension(self, ext: Extension) -> None:
        ext.extra_compile_args += SAME_BYTES
        ext.extra_link_args += ["-s", "-Wl,--build-id=none"]
        super().build_extension(ext)


class SourceArchive(sdist):
    """Writes down the revision, which an archive cannot ask git for."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        with open(os.path.join(base_dir, "REVISION"), "w", encoding="ascii") as file:
            file.write(revision())


class BuildPackage(build_py):
    """Builds the init program and puts it, with its digest, into the package first."""

    def run(self) -> None:
        command = ["make", "-s", "-C", "csrc/init", f"OUT={os.path.join(HERE, 'build')}"]
        os.makedirs(os.path.join(HERE, "build"), exist_ok=True)
        subprocess.run(command, check=True, cwd=HERE)
        stage = os.path.join("csrc", "native", "stage_init.py")
        subprocess.run([sys.executable, stage, INIT], check=True, cwd=HERE)
        # The digest has just become a module of the package.
        self.finalize_options()
        super().run()
        self.name_revision()

    def name_revision(self) -> None:
        """Record in the built package which commit it is, for --version."""
        built = os.path.join(self.build_lib, "pyrunc", "buildinfo.py")
        if os.path.exists(built):  # not when it is only staged for an editable installation
            with open(built, "a", encoding="utf-8") as file:
                file.write(f"\nCOMMIT = {revision().split()[0]!r}\n")


setup(
    cffi_modules=["csrc/native/build.py:make_ffibuilder"],
    cmdclass={"build_ext": BuildNative, "build_py": BuildPackage, "sdist": SourceArchive},
    package_data={
        "pyrunc": ["*.pyi", "py.typed"],
        "pyrunc.init": ["pyrunc-init"],
        "pyrunc.spec.schema": ["*.json"],
    },
    options={"bdist_wheel": {"py_limited_api": ABI}},
)
