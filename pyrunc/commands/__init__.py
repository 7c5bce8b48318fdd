# SPDX-License-Identifier: Apache-2.0
"""The verbs, one module each with `run(args) -> int`, the exit status.

Their flags are in pyrunc/cli/flag_table.py. Verbs make plain options of `args`: nothing below this
room sees the command line.
"""
