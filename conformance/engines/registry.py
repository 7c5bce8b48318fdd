# SPDX-License-Identifier: Apache-2.0
"""A registry with one image: ``python -m conformance.engines.registry ARCHIVE``.

It listens at HOST in the network namespace where it is started, and answers what a pull asks for.
"""

from __future__ import annotations

import json
import sys
import tarfile
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

ADDRESS = ("127.0.0.1", 5000)
HOST = f"{ADDRESS[0]}:{ADDRESS[1]}"
NAME = f"{HOST}/bb:1"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def contents(path: Path) -> tuple[str, Mapping[str, bytes]]:
    """Return the digest of the manifest in an image layout, and its blobs by digest."""
    with tarfile.open(path) as archive:
        members = {one.name: one for one in archive.getmembers()}

        def read(name: str) -> bytes:
            stream = archive.extractfile(members[name])
            return stream.read() if stream else b""

        (manifest,) = json.loads(read("index.json"))["manifests"]
        blobs = {
            name.removeprefix("blobs/").replace("/", ":"): read(name)
            for name in members
            if name.startswith("blobs/")
        }
    return manifest["digest"], blobs


def serve(path: Path) -> None:
    manifest, blobs = contents(path)

    class Handler(BaseHTTPRequestHandler):
        # Whoever tries TLS first is to see that this is HTTP.
        default_request_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.wfile.write(self.answer())

        def answer(self) -> bytes:
            """Send the head of an answer and return what follows it."""
            digest = self.path.rpartition("/")[2]
            digest = digest if ":" in digest else manifest
            data = blobs.get(digest, b"")
            self.send_response(200 if data else 404)
            kind = MANIFEST if digest == manifest else "application/octet-stream"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Docker-Content-Digest", digest)
            self.end_headers()
            return data

        def log_message(self, format: str, *words: object) -> None:
            """Be silent."""

    HTTPServer(ADDRESS, Handler).serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
