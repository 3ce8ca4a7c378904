# shellcheck shell=bash
# Benchmarks: benches/host/*.sh, each run as root in a fresh nspawn host that also has the peers it is compared with.
# They print their own tables; nothing is asserted.

# benchmarks [FILTER]: run those whose file name matches the regular expression.
benchmarks() {
    local file name ran=no
    for file in "$CHECKOUT"/benches/host/*.sh; do
        name=$(basename "$file" .sh)
        if [ ! -e "$file" ] || [[ ! $name =~ ${1:-.} ]]; then
            continue
        fi
        step "benchmark: $name"
        host_boot "bench-$name" nspawn bookworm tenants bench </dev/null >&2 || die "the benchmark host did not boot"
        host_put "bench-$name" "$CHECKOUT/benches/host" /opt/rig
        host_run "bench-$name" bash "/opt/rig/host/$name.sh" </dev/null
        host_stop "bench-$name"
        ran=yes
    done
    [ "$ran" = yes ] || die "no benchmark in benches/host matches \"${1:-.}\""
}
