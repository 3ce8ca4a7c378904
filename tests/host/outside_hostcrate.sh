# The crate that changes the host, against a real systemd and kernel: accounts, limits, units, removal, programs in units.
# shellcheck shell=bash
# level: bare
# hosts: nspawn qemu

# booted_tests: the test program, built.
booted_tests() {
    cargo test --quiet --locked --manifest-path "$CHECKOUT/Cargo.toml" -p host --test booted --no-run --message-format=json |
        python3 -c 'import json, sys
for line in sys.stdin:
    target = json.loads(line)
    if target.get("executable") and target["target"]["name"] == "booted":
        print(target["executable"])'
}

# run_booted NAME TEST…: boot a host with nothing of ours and run tests in it one after the other.
run_booted() {
    local name=$1 program
    shift
    program=$(booted_tests) || return
    boot "$name" bare
    host_put "$name" "$program" /opt/booted
    # shellcheck disable=SC2016 # expanded in the host
    host_run "$name" sh -c 'mkdir -p /var/lib/tenants
        ! findmnt -n /srv/quota || mount --bind /srv/quota /var/lib/tenants
        TENANTD_THROWAWAY_HOST=1 TENANTS=40 exec "$@" --ignored --test-threads=1' \
        sh "/opt/booted/${program##*/}" "$@"
}

# Emulated processors are slow, and what a QEMU host adds are controllers and quotas: only those are asked for there.
test_the_host_is_looked_at_and_changed_as_wanted() {
    if [ "$RIG_KIND" = qemu ]; then
        run_booted booted disk:: limits facts
    else
        run_booted booted --skip disk::
    fi
}
