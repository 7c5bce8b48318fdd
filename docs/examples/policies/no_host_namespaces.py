# SPDX-License-Identifier: Apache-2.0
"""No container shares the host's pid, ipc or network namespace."""

KINDS = ("pid", "ipc", "network")


def policy(spec, host):
    present = {one["type"] for one in spec.get("/linux/namespaces", [])}
    missing = [kind for kind in KINDS if kind not in present]
    if missing:
        return Refusal(
            f"it would share the host's {', '.join(missing)} namespace",
            pointer="/linux/namespaces",
            hint="give the container namespaces of its own",
        )
    return spec
