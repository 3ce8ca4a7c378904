# shellcheck shell=bash
# Benchmarks: benches/host/*.sh, each run as root in a fresh nspawn host. They print their own tables and assert no time; one that
# could not measure what it is for fails. A file may say at its top
#   # level: bare|package|tenants|openclaw   what its host starts with (tenants if not said; see host.sh)
#   # example: CRATE/NAME                     an example of a crate, built for release, that it finds beside itself
#   # variant: plain|bench                   whether the host has the peers it is compared with (bench if not said)

# benchmarks [FILTER [ARGUMENT…]]: run those whose file name matches the regular expression, with these arguments.
benchmarks() {
    local file name failed=() ran=no filter=${1:-.} BENCH_LOAD BENCH_COMMIT
    [ $# -eq 0 ] || shift
    BENCH_LOAD=$(cut -d' ' -f1-3 /proc/loadavg)
    BENCH_COMMIT=$(git -c safe.directory='*' -C "$CHECKOUT" describe --always --dirty 2>/dev/null || echo unknown)
    for file in "$CHECKOUT"/benches/host/*.sh; do
        name=$(basename "$file" .sh)
        if [ ! -e "$file" ] || [[ ! $name =~ $filter ]]; then
            continue
        fi
        ran=yes
        step "benchmark: $name"
        printf '\n## bench %s\n\n' "$name"
        benchmark "$name" "$file" "$@" || failed+=("$name")
    done
    [ "$ran" = yes ] || die "no benchmark in benches/host matches \"$filter\""
    [ ${#failed[@]} -eq 0 ] || die "did not measure what they are for: ${failed[*]}"
}

# benchmark NAME FILE ARGUMENT…: run one in a host of its own.
benchmark() {
    local name=$1 file=$2 host=bench-$1 status=0 example
    shift 2
    host_boot "$host" nspawn "${TENANTD_SUITE:-bookworm}" "$(test_file_says "$file" level tenants)" \
        "$(test_file_says "$file" variant bench)" </dev/null >&2 || die "the benchmark host did not boot"
    host_put "$host" "$CHECKOUT/benches/host" /opt/rig || return
    example=$(test_file_says "$file" example "")
    if [ -n "$example" ]; then
        shown_on_failure "cargo build" cargo build --manifest-path "$CHECKOUT/Cargo.toml" --release --locked -p "${example%/*}" \
            --example "${example#*/}" || return
        host_put "$host" "${CARGO_TARGET_DIR:-$CHECKOUT/target}/release/examples/${example#*/}" /opt/rig/host || return
    fi
    host_run "$host" env BENCH_LOAD="$BENCH_LOAD" BENCH_COMMIT="$BENCH_COMMIT" bash "/opt/rig/host/$name.sh" "$@" </dev/null || status=$?
    host_stop "$host"
    return "$status"
}
