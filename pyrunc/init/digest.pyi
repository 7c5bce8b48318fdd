# SPDX-License-Identifier: Apache-2.0
"""Written by the build (csrc/launcher/launcher.mk) beside the init program."""

SHA256: str
