# SPDX-License-Identifier: Apache-2.0
"""The security programme: suites whose cases are counted, resumed and reported.

`make security` runs a short form of each, `make security-full` all cases; docs/security.md says
what each suite shows.
"""
