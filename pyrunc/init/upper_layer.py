# SPDX-License-Identifier: Apache-2.0
"""A tmpfs of bounded size for the layers of an overlay that are written to (decision 071). PURE.

It lies on the directory of `upperdir` and `workdir`, in the container's mount namespace while that
still shows the host: nobody else sees it, and it ends with the overlay, which is all that holds it.
"""

from __future__ import annotations

from pyrunc.init import ops
from pyrunc.init.mount_parts import describe
from pyrunc.spec.check_mounts import upper_bytes, upper_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.init.mount_parts import Mounts
    from pyrunc.init.ops import Op
    from pyrunc.spec.model import Mount
    from pyrunc.spec.options import MountOptions

BYTES_PER_FILE = 4096  # the kernel bounds the files by the machine's memory, not by the size
LEAST_FILES = 1024
LAYERS = ("upperdir", "workdir")


def plan(mounts: Mounts, mount: Mount, options: MountOptions) -> list[Op]:
    """Plan the tmpfs and the directories of both layers, before the overlay is made."""
    slot, size = mounts.context.slot(), upper_bytes(options.upper_size)
    files = max(LEAST_FILES, size // BYTES_PER_FILE)
    data = ["mode=755", f"size={size}", f"nr_inodes={files}"]
    place, action = upper_directory(options), describe(mount, options)
    layers = dict(option.partition("=")[::2] for option in options.data)
    planned: list[Op] = [
        ops.NewMount(
            slot=slot,
            fstype="tmpfs",
            source="tmpfs",
            options=[*data, *([mounts.label] if mounts.label else [])],
            attributes=0,
            pointer=mount.pointer,
            action=f"{action} (the tmpfs of its upper layer)",
        ),
        ops.Attach(slot=slot, path=place, flags=0, pointer=mount.pointer, action=action),
    ]
    for layer in LAYERS:
        planned.append(
            ops.MakeDirectory(
                path=layers[layer],
                mode=0o755,
                uid=0,
                gid=0,
                pointer=mount.pointer,
                action=f"{action} (its {layer})",
            )
        )
    return planned
