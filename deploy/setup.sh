#!/usr/bin/env bash
# Installs what the build needs and the machine lacks. Sourced by run.sh and test.sh; does nothing when all is there.
set -euo pipefail

# RocksDB is C++ and finds its headers with libclang; the test clients need OpenSSL and zlib. The script that sources
# this one may have begun the list with what it needs besides.
packages+=(build-essential pkg-config libclang1-14 libclang-common-14-dev zlib1g-dev libssl-dev)

install_packages() {
    local missing=()
    for package in "${packages[@]}"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    echo "Installing: ${missing[*]}"
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    # A Debian that has moved on from version 14 has the same under the names without a version.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" ||
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
            "${missing[@]/#libclang*/libclang-dev}"
}

check_rust() {
    command -v cargo >/dev/null && return
    echo "Rust is missing. Install it as https://rustup.rs says, then run this again." >&2
    exit 1
}

say_how_long_it_takes() {
    local target=${CARGO_TARGET_DIR:-target}
    [ -d "$target/debug" ] && return
    echo "First build: about 20 minutes on two cores, most of it RocksDB (C++), built once for running and testing."
}

if command -v dpkg-query >/dev/null; then
    install_packages
else
    echo "Not a Debian: please see to a C++ compiler, libclang, OpenSSL and zlib yourself (${packages[*]})." >&2
fi
check_rust
say_how_long_it_takes
