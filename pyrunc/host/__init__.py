# SPDX-License-Identifier: Apache-2.0
"""The kernel's side: system calls that Python lacks, processes, mounts, facts probed once."""
