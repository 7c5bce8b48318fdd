#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Fetch the OCI runtime-tools from Debian's source archive and build their validation programs into the directory given.
# Debian's binary package is only the library; the programs are in the source package of the suite "sid", whose tarball is all
# that is needed. The one Go package that Debian lacks (a TAP writer) is tap/tap.go beside this file.
set -eu
out=$(mkdir -p "$1" && cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
tree=$out/go/src/github.com/opencontainers/runtime-tools
[ -x "$tree/runtimetest" ] && [ "$out/stamp" -nt "$here/tap/tap.go" ] && exit 0

packages="golang-go golang-github-opencontainers-runtime-tools-dev golang-github-google-uuid-dev"
if ! dpkg-query -W $packages >/dev/null 2>&1; then
    echo "oci: installing the Go tool chain and libraries"
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $packages >/dev/null
fi

if [ ! -d "$tree" ]; then
    echo "oci: fetching the runtime-tools source"
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
    mkdir -p "$out/apt/lists/partial" "$out/apt/cache/archives/partial" "$tree"
    echo "deb-src $mirror sid main" >"$out/apt/sources"
    cat >"$out/apt/conf" <<CONF
Dir::Etc::sourcelist "$out/apt/sources"; Dir::Etc::sourceparts "-"; Dir::State "$out/apt";
Dir::State::status "/dev/null"; Dir::Cache "$out/apt/cache"; APT::Sandbox::User "root";
CONF
    export APT_CONFIG=$out/apt/conf
    (
        cd "$out/apt"
        apt-get -qq update
        # Fails when the archive lacks the .dsc or the packaging; the tarball suffices.
        apt-get -qq source --download-only golang-github-opencontainers-runtime-tools >log 2>&1 || true
    )
    tar -x --strip-components=1 -C "$tree" -f "$out"/apt/golang-github-opencontainers-runtime-tools_*.orig.tar.xz
    unset APT_CONFIG
fi

echo "oci: building the validation programs"
mkdir -p "$out/go/src/github.com/mndrix/tap-go"
cp "$here/tap/tap.go" "$out/go/src/github.com/mndrix/tap-go/"
GOPATH=$out/go:/usr/share/gocode GOCACHE=$out/cache GO111MODULE=off GOFLAGS=-p=2 \
    make -s -j2 -C "$tree" runtimetest validation-executables
touch "$out/stamp"
