# SPDX-License-Identifier: Apache-2.0
"""Writes the bill of materials in the format of CycloneDX: `sbom.py PYRUNC HELPERS TARGET`.

The program itself says what is linked into it (`--version --json`); the Python packages of the
helpers are those of requirements.txt. The same program gives the same bytes: the serial number is
made of the contents, and the time is SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

TREE = Path(__file__).resolve().parents[1]
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://pyrunc.invalid/sbom")
# What the licences of the parts are, in the terms of SPDX.
LICENSES = {
    "attrs": "MIT",
    "cffi": "MIT",
    "cpython": "PSF-2.0",
    "glibc": "LGPL-2.1-or-later",
    "jeepney": "MIT",
    "jsonschema": "MIT",
    "jsonschema-specifications": "MIT",
    "libexpat": "MIT",
    "libffi": "MIT",
    "libseccomp": "LGPL-2.1-only",
    "musl": "MIT",
    "pycparser": "BSD-3-Clause",
    "pyroute2": "GPL-2.0-or-later OR Apache-2.0",
    "referencing": "MIT",
    "rpds-py": "MIT",
    "simplejson": "MIT OR AFL-2.1",
    "typing-extensions": "PSF-2.0",
    "zlib": "Zlib",
}
# Libraries of Debian, by their source packages; the rest comes from PyPI.
DEBIAN = {"cpython": "python3.11", "libexpat": "expat"}
DEBIAN |= {name: name for name in ("glibc", "libffi", "libseccomp", "musl", "zlib")}


def sha256(path: Path) -> HashType:
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    return HashType(alg=HashAlgorithm.SHA_256, content=content)


def part(name: str, version: str) -> Component:
    """Describe a library that is linked in or carried along."""
    if name in DEBIAN:
        address = PackageURL("deb", "debian", DEBIAN[name], version)
    else:
        address = PackageURL("pypi", None, name, version)
    licence = LicenseFactory().make_from_string(LICENSES[name])
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        purl=address,
        licenses=[licence],
        bom_ref=address.to_string(),
    )


def carried() -> dict[str, str]:
    """Return the Python packages of the helpers."""
    text = (TREE / "requirements.txt").read_text()
    found = re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)
    return {name.replace("_", "-").lower(): version for name, version in found}


def program(name: str, version: str, path: Path) -> Component:
    kind = ComponentType.APPLICATION
    return Component(name=name, version=version, type=kind, hashes=[sha256(path)], bom_ref=name)


def bill(pyrunc: Path, helpers: Path) -> Bom:
    """Make the bill: the program needs its parts and the helpers, which need theirs."""
    said = subprocess.run([pyrunc, "--version", "--json"], check=True, capture_output=True)
    facts = json.loads(said.stdout)
    bom = Bom()
    main = program("pyrunc", facts["version"], pyrunc)
    main.licenses = [LicenseFactory().make_from_string("Apache-2.0")]
    second = program("pyrunc-helpers", facts["version"], helpers)
    linked = [part(*one) for one in facts["parts"].items()]
    known = {one.name: one for one in linked}
    brought = [known.get(name) or part(name, version) for name, version in carried().items()]
    bom.metadata.component = main
    bom.metadata.tools.components.clear()
    seconds = int(os.environ["SOURCE_DATE_EPOCH"])
    bom.metadata.timestamp = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    bom.components.update({second, *linked, *brought})
    bom.register_dependency(main, [second, *linked])
    bom.register_dependency(second, brought)
    contents = sorted(str(one.bom_ref) for one in bom.components)
    contents += [str(main.hashes), str(second.hashes)]
    bom.serial_number = uuid.uuid5(NAMESPACE, "\n".join(contents))
    return bom


def main() -> None:
    pyrunc, helpers, target = map(Path, sys.argv[1:])
    bom = bill(pyrunc, helpers)
    output = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6)
    target.write_text(output.output_as_string(indent=1) + "\n")


if __name__ == "__main__":
    main()
