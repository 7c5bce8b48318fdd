# SPDX-License-Identifier: Apache-2.0
"""One module a verb; each has `run(args) -> int`, the exit status. The flags are in
pyrunc/cli/flag_table.py.
"""
