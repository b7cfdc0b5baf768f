#!/bin/sh
# Builds, packs and tests the policy. What is to be staged is then in release/.
set -eu
cd "$(dirname "$0")"
target=wasm32-unknown-unknown

# The component tells nothing of the machine that built it, and is the same on each.
home="${CARGO_HOME:-$HOME/.cargo}"
"${CARGO:-cargo}" build --target "$target" --release \
    --config "target.$target.rustflags = ['--remap-path-prefix=$home=cargo', '--remap-path-prefix=$PWD=policy']"
# It carries all vectors*.json.
set --
for file in vectors*.json; do
    set -- "$@" --vectors "$file"
done
mkdir -p release
"${OCTROI:-octroi}" policy pack "${CARGO_TARGET_DIR:-target}/$target/release/octroi_policy.wasm" \
    -o release/policy.wasm "$@"
"${OCTROI:-octroi}" policy test release
