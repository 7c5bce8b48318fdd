# SPDX-License-Identifier: Apache-2.0
"""The tests of security labels, in guests whose kernel has AppArmor or SELinux."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.vm import images
from tests.vm.guest import CACHE, LSM_MODULES, TREE, Guest, Result

# On the host, whose tree the guests use: to load profiles, and to compile a policy.
PACKAGES = ("apparmor", "secilc")

pytestmark = [pytest.mark.root, pytest.mark.slow]


def start(module: str, front: str) -> Result:
    python, tests = TREE / ".venv/bin/python", f"tests/lsm/test_{module}.py"
    words = [python, "-m", "pytest", "-p", "no:cacheprovider", "--front", front, tests]
    command = f"cd {shlex.quote(str(TREE))} && PYTHONDONTWRITEBYTECODE=1 " + shlex.join(
        str(word) for word in words
    )
    return Guest(parameters=LSM_MODULES[module]).run(command, timeout_s=240)


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Result]]]:
    """Both guests at once."""
    try:
        images.install_on_host(PACKAGES)
        images.kernel(Guest.kernel, CACHE)
    except SystemExit as error:  # nothing could be fetched
        pytest.fail(str(error), pytrace=False)
    front = request.config.getoption("--front")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {module: pool.submit(start, module, front) for module in LSM_MODULES}


@pytest.mark.parametrize("module", LSM_MODULES)
def test_labels_have_effect(results: dict[str, Future[Result]], module: str) -> None:
    result = results[module].result()
    failed = result.status != 0 or "skipped" in result.output or "passed" not in result.output
    if failed:
        text = result.output or result.console
        pytest.fail(f"{module}: status {result.status}\n{text[-30000:]}", pytrace=False)
