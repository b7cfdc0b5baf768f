#!/bin/sh
# Installs what the demo, the tests and the benchmarks need beside rustup, gcc and apt. Says so first. The packages are
# tools: no service comes with them. The mail servers themselves live in roots of their own below target/.
set -eu
cd "$(dirname "$0")/.."

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

missing=
for package in debootstrap curl python3-minimal ca-certificates; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
    echo "Octroi's demo and tests install these Debian packages:$missing"
    as_root apt-get -q update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install $missing
fi
rustup target list --installed | grep -q '^wasm32-unknown-unknown$' || rustup target add wasm32-unknown-unknown
