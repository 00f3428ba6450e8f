#!/bin/sh
# Runs every fuzz target for a while: fuzz/run.sh [seconds per target, 5 without]
#
# Needs cargo-fuzz (installed when missing). With a nightly toolchain the address sanitizer is on; without one the
# stable toolchain builds the same targets with RUSTC_BOOTSTRAP=1 and no sanitizer, which panics and failed
# assertions do not need. Findings are left in fuzz/artifacts, and the exit code is then not 0.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-5}

command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz

toolchain=
sanitizer=none
if rustup toolchain list 2>/dev/null | grep -q '^nightly'; then
    toolchain=+nightly
    sanitizer=address
else
    export RUSTC_BOOTSTRAP=1
fi

# shellcheck disable=SC2086 # no word at all where there is no toolchain to name
fuzz() { cargo $toolchain fuzz "$@"; }

fuzz build --sanitizer "$sanitizer"
for target in $(fuzz list); do
    # What a run finds interesting goes to the first folder, which is not committed; the seeds stay as they are.
    found="fuzz/target/corpus/$target"
    mkdir -p "$found"
    echo "fuzz: $target for $seconds s"
    log="fuzz/target/$target.log"
    if ! fuzz run --sanitizer "$sanitizer" "$target" "$found" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 >"$log" 2>&1; then
        cat "$log" >&2
        echo "fuzz: $target found something" >&2
        exit 1
    fi
    grep -E '^stat::(number_of_executed|average)' "$log"
done
echo "fuzz: nothing found"
