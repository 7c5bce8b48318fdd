# SPDX-License-Identifier: Apache-2.0
"""The systemd driver: units over D-Bus."""
