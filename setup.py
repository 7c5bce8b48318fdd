# SPDX-License-Identifier: Apache-2.0
"""What pyproject.toml cannot say: the cffi module, and the init program inside the package.

The launcher is not built here: ``make`` does that. ``pip install .`` gives the same program on the
stock interpreter.
"""

from __future__ import annotations

import os
import subprocess
import sys

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = os.path.dirname(os.path.abspath(__file__))
INIT = os.path.join("build", "pyrunc-init")


class BuildPackage(build_py):
    """Builds the init program and puts it, with its digest, into the package first."""

    def run(self) -> None:
        command = ["make", "-C", "csrc/init", f"OUT={os.path.join(HERE, 'build')}"]
        os.makedirs(os.path.join(HERE, "build"), exist_ok=True)
        subprocess.run(command, check=True, cwd=HERE)
        stage = os.path.join("csrc", "native", "stage_init.py")
        subprocess.run([sys.executable, stage, INIT], check=True, cwd=HERE)
        # The digest has just become a module of the package.
        self.finalize_options()
        super().run()


setup(
    cffi_modules=["csrc/native/build.py:make_ffibuilder"],
    cmdclass={"build_py": BuildPackage},
    package_data={"pyrunc": ["*.pyi"], "pyrunc.init": ["pyrunc-init"]},
)
