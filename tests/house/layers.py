# SPDX-License-Identifier: Apache-2.0
"""The rooms of the program, in layers."""

# From the top down. A module imports from its own room and from lower lines. SEPARATE rooms share a
# line and never import each other; on other lines neighbours may.
LAYERS = (
    ("__main__",),
    ("commands", "library", "aio"),
    ("checkpoint",),
    ("lifecycle",),
    ("init", "cgroups", "seccomp"),
    ("helpers",),
    ("spec",),
    ("cli",),
    ("host",),
    ("jsontext",),
    ("buildinfo",),
    ("errors", "log", "_native"),
)
