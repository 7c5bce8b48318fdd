# SPDX-License-Identifier: Apache-2.0
"""The cffi module built from csrc/native; only pyrunc.syscalls and pyrunc.seccomp use it."""

from typing import Any

ffi: Any
lib: Any
