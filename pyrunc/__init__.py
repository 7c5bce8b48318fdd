# SPDX-License-Identifier: Apache-2.0
"""pyrunc: an OCI runtime in which Python plans and C executes."""

__version__ = "0.1.0"
