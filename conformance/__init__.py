# SPDX-License-Identifier: Apache-2.0
"""Suites that judge any OCI runtime, ours and others, with real tools and engines."""
