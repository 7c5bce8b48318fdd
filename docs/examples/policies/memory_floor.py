# SPDX-License-Identifier: Apache-2.0
"""Memory limits below 6 MiB are raised to it: with less the program dies before it begins."""

FLOOR = 6 << 20


def policy(spec, host):
    limit = spec.get("/linux/resources/memory/limit")
    if limit is None or limit < 0 or limit >= FLOOR:
        return spec
    swap = spec.get("/linux/resources/memory/swap", -1)
    raised = spec.set("/linux/resources/memory/limit", FLOOR)
    return raised if swap < 0 else raised.set("/linux/resources/memory/swap", max(swap, FLOOR))
