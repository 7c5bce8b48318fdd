# SPDX-License-Identifier: Apache-2.0
"""The validation programs of the OCI runtime-tools, built and run against any runtime."""
