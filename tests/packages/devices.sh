#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# devices.sh PYRUNC BUSYBOX: a network device goes into a container under another name. To be run in a network namespace of its own.
set -eu
pyrunc=$1 busybox=$2
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
mkdir -p "$box/rootfs/bin"
cp "$busybox" "$box/rootfs/bin/sh"
$pyrunc spec --bundle "$box"
sed -i -e 's/"terminal": true/"terminal": false/' -e 's/"linux": {/&"netDevices": {"given0": {"name": "taken0"}},/' "$box/config.json"
ip link add given0 type veth peer name other0
echo 'ls /sys/class/net' | $pyrunc --root "$box/state" run --bundle "$box" devices
