# SPDX-License-Identifier: Apache-2.0
"""Programs beside the runtime, for libraries that no static program can hold, and how they run."""
