# SPDX-License-Identifier: Apache-2.0
"""Measures OCI runtimes beside each other: ``python3 -m bench --help``.

Any runtime with runc's command line can take part. All of them work on the same bundles, in turn,
so that what else the machine does falls on each alike. Needs root, a C compiler and busybox.
"""
