# SPDX-License-Identifier: Apache-2.0
"""Real engines, each with its own private daemon, with any OCI runtime below them."""
