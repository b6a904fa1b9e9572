#!/usr/bin/env bash
# Runs fuzz targets, each for some seconds, and fails on the first crash: run.sh [SECONDS [TARGET...]]
#
# What it finds on the way goes to fuzz/found/<target>, which is not committed; what crashes a
# target goes to fuzz/artifacts/<target>.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-10}
shift || true
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
    for file in fuzz/fuzz_targets/*.rs; do
        targets+=("$(basename "$file" .rs)")
    done
fi

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz: installing cargo-fuzz"
    cargo install cargo-fuzz --locked
fi
# The coverage that libFuzzer needs is not a stable feature of the compiler. No sanitizer: the code
# is free of `unsafe`, and what is looked for are panics and broken rules.
export RUSTC_BOOTSTRAP=1
triple=$(rustc -vV | sed -n 's/^host: //p')

cargo fuzz build --fuzz-dir fuzz --sanitizer none --target "$triple"
for target in "${targets[@]}"; do
    echo "fuzz: $target for $seconds s"
    mkdir -p "fuzz/found/$target" "fuzz/corpus/$target" "fuzz/regressions/$target" "fuzz/artifacts/$target"
    log="fuzz/found/$target.log"
    if ! "fuzz/target/$triple/release/$target" \
        -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=8192 \
        -artifact_prefix="fuzz/artifacts/$target/" \
        "fuzz/found/$target" "fuzz/corpus/$target" "fuzz/regressions/$target" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        echo "fuzz: $target FAILED; the input is the newest in fuzz/artifacts/$target" >&2
        echo "fuzz: again with: fuzz/target/$triple/release/$target fuzz/artifacts/$target/INPUT" >&2
        echo "fuzz: once it is mended, keep the input in fuzz/regressions/$target" >&2
        exit 1
    fi
    tail -n 1 "$log"
    rmdir --ignore-fail-on-non-empty "fuzz/regressions/$target" "fuzz/artifacts/$target"
done
echo "fuzz: ${#targets[@]} targets, no crash"
