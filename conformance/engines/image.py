# SPDX-License-Identifier: Apache-2.0
"""A busybox image without a registry: as a root file system archive and as an OCI image layout."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
NAME = "docker.io/library/bb:1"
DIRECTORIES = ("dev", "proc", "sys", "etc", "root", "run", "home/user", "var/tmp", "mnt")
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n",
    "etc/group": "root:x:0:\nuser:x:1000:\nextra:x:2000:user\n",
    "etc/hosts": "127.0.0.1 localhost\n",
}


def root_archive() -> bytes:
    """Return the root file system as a tar archive, the same bytes at each call."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for directory in ("bin", "tmp", *DIRECTORIES):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if directory == "tmp" else 0o755
            archive.addfile(entry)
        _add(archive, "bin/busybox", BUSYBOX.read_bytes(), mode=0o755)
        applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True)
        for applet in applets.stdout.split():
            if applet != "busybox":
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname, link.mode = tarfile.LNKTYPE, "bin/busybox", 0o755
                archive.addfile(link)
        for name, text in FILES.items():
            _add(archive, name, text.encode(), mode=0o644)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, data: bytes, *, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    archive.addfile(entry, io.BytesIO(data))


def oci_archive(
    name: str = NAME, *, program: Sequence[str] = ("sh",), stop_signal: str = ""
) -> bytes:
    """Return the image as a tar archive of an OCI image layout, which containerd imports."""
    layer = root_archive()
    compressed = gzip.compress(layer, mtime=0)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Env": ["PATH=/usr/bin:/bin"],
            "Cmd": [*program],
            "WorkingDir": "/",
            **({"StopSignal": stop_signal} if stop_signal else {}),
        },
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        "history": [{"created_by": "busybox"}],
    }
    blobs = {_digest(compressed): compressed}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _blob(blobs, config, "application/vnd.oci.image.config.v1+json"),
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": _digest(compressed),
                "size": len(compressed),
            }
        ],
    }
    entry = _blob(blobs, manifest, "application/vnd.oci.image.manifest.v1+json")
    entry["annotations"] = {
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": "1",
    }
    index = {"schemaVersion": 2, "manifests": [entry]}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}', mode=0o644)
        _add(archive, "index.json", json.dumps(index).encode(), mode=0o644)
        for digest, data in blobs.items():
            _add(archive, "blobs/" + digest.replace(":", "/"), data, mode=0o644)
    return buffer.getvalue()


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _blob(blobs: dict[str, bytes], document: object, media_type: str) -> dict[str, object]:
    data = json.dumps(document).encode()
    blobs[_digest(data)] = data
    return {"mediaType": media_type, "digest": _digest(data), "size": len(data)}
