# SPDX-License-Identifier: Apache-2.0
"""Throw-away guests: other kernels and other cgroup layouts than this machine's, with this
machine's tree as their root.
"""
