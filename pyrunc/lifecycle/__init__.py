# SPDX-License-Identifier: Apache-2.0
"""A container from its configuration to its deletion: what verbs call, without a command line."""
