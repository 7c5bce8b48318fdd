# SPDX-License-Identifier: Apache-2.0
"""The command line: flags, help, output, the one place that prints an error."""
