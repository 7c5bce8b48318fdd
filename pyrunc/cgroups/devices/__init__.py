# SPDX-License-Identifier: Apache-2.0
"""Device rules: their meaning, and both ways to put them in force."""
