# SPDX-License-Identifier: Apache-2.0
"""The annotation com.example.gpu: "0" gives a container /dev/nvidia0, and no other one."""

MAJOR = 195


def policy(spec, host):
    number = spec.get("/annotations", {}).get("com.example.gpu")
    if number is None:
        return spec
    if not number.isdigit() or int(number) > 15:
        return Refusal(f"{number!r} is no GPU", pointer="/annotations/com.example.gpu")
    minor = int(number)
    device = {"path": f"/dev/nvidia{minor}", "type": "c", "major": MAJOR, "minor": minor}
    rule = {"allow": True, "type": "c", "major": MAJOR, "minor": minor, "access": "rw"}
    devices = spec.get("/linux/devices", [])
    rules = spec.get("/linux/resources/devices", [])
    return spec.set("/linux/devices", [*devices, {**device, "fileMode": 0o666}]).set(
        "/linux/resources/devices", [*rules, rule]
    )
