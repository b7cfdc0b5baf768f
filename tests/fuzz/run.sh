#!/bin/sh
# Looks for input that breaks a promise: every target under libFuzzer, so many seconds each (the argument; 60). With names
# behind it, those targets alone. Ends at the first finding and says where the input is kept.
# A debug build, with checks of arithmetic: rustc.sh adds to our own crates what libFuzzer needs to see of them.
set -eu
cd "$(dirname "$0")/../.."
targets='sasl delegation checkpassword auth-policy introspection message token trust-space recipient image vectors certificate crl'
seconds=${1:-60}
[ "$#" -eq 0 ] || shift
[ "$#" -eq 0 ] || targets=$*
folder=${CARGO_TARGET_DIR:-target}
RUSTC_WORKSPACE_WRAPPER="$PWD/tests/fuzz/rustc.sh" \
    "${CARGO:-cargo}" build --locked --features octroi-fuzz/libfuzzer --example octroi-fuzz
for target in $targets; do
    corpus=$folder/fuzz/$target
    mkdir -p "$corpus"
    echo "fuzz: $target"
    OCTROI_FUZZ_TARGET=$target OCTROI_FUZZ_CORPUS=$corpus "$folder/debug/examples/octroi-fuzz" \
        -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=512 -print_final_stats=1 \
        -artifact_prefix="$folder/fuzz/$target-" "$corpus" 2>"$folder/fuzz/$target.log" ||
        { tail -n 40 "$folder/fuzz/$target.log" >&2; exit 1; }
    grep -E '^(stat::|Done)' "$folder/fuzz/$target.log"
done
