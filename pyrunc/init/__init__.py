# SPDX-License-Identifier: Apache-2.0
"""The init's plans: compiled here without touching the system, executed by `pyrunc-init`."""
