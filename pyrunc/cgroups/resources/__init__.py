# SPDX-License-Identifier: Apache-2.0
"""linux.resources to the writes of each version. PURE."""
