#!/usr/bin/env bash
# Runs the fuzz targets: `fuzz/run.sh [SECONDS] [TARGET...]`, each for 180 seconds unless said otherwise, two at a time.
#
# It needs cargo-fuzz (`cargo install --locked cargo-fuzz`) and the one stable toolchain, which RUSTC_BOOTSTRAP lets use
# the sanitizers. Building takes about five minutes on two cores, which is why the gate (.ci/run) does not: there
# tests/it/fuzz.rs holds the same properties over the seeds. What is found here is fixed, and its input becomes a seed.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
seconds=${1:-180}
shift || true
targets=("$@")
if ((${#targets[@]} == 0)); then
    mapfile -t targets < <(sed -n 's/^name = "\([a-z_]*\)"$/\1/p' Cargo.toml)
fi

RUSTC_BOOTSTRAP=1 cargo fuzz build --fuzz-dir .
binaries=$(realpath "${CARGO_TARGET_DIR:-target}/$(rustc -vV | sed -n 's/^host: //p')/release")

one() {
    local target=$1 longest=1024 log=corpus/$1.log
    case $target in
        head) longest=2048 ;;
        policy | redaction) longest=4096 ;;
        chunked) longest=6000 ;;
        message) longest=12000 ;;
    esac
    local seeds=("seeds/$target")
    if [[ $target == message ]]; then seeds+=(../tests/mail); fi
    mkdir -p "corpus/$target" artifacts
    # SQLite is linked into the library and the target; one of the two is the other's.
    if ASAN_OPTIONS=detect_odr_violation=0 "$binaries/$target" "corpus/$target" "${seeds[@]}" \
        -max_total_time="$seconds" -max_len="$longest" -timeout=30 -rss_limit_mb=1500 -malloc_limit_mb=256 \
        -print_final_stats=1 -artifact_prefix="artifacts/$target-" >"$log" 2>&1; then
        printf '%-24s %s executions\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
    else
        printf '%-24s failed: see fuzz/%s\n' "$target" "$log"
        return 1
    fi
}
export -f one
export seconds binaries
printf '%s\n' "${targets[@]}" | xargs -P 2 -I{} bash -c 'one {}'
