# SPDX-License-Identifier: Apache-2.0
"""Statistics and notifications of cgroups."""
