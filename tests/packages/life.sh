#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# life.sh PYRUNC BUSYBOX: a container's life, as the README tells it, in a root that may hold nothing else.
set -eu
pyrunc=$1 busybox=$2
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
mkdir -p "$box/rootfs/bin"
cp "$busybox" "$box/rootfs/bin/sh"
$pyrunc spec --bundle "$box"
sed -i 's/"terminal": true/"terminal": false/' "$box/config.json"
echo 'echo "process $$ of $(hostname)"' | $pyrunc --root "$box/state" run --bundle "$box" life
sed -i 's/"sh"$/"sh", "-c", "while :; do sleep 1; done"/' "$box/config.json"
$pyrunc --root "$box/state" create --bundle "$box" life </dev/null >/dev/null 2>&1
$pyrunc --root "$box/state" start life
$pyrunc --root "$box/state" exec life sh -c 'echo "joined process $$"'
$pyrunc --root "$box/state" delete --force life
[ -z "$($pyrunc --root "$box/state" list -q)" ]
echo "check:"
$pyrunc check "$box" || true
