# tenantd killed before, within and after each change of a file of the vault, at every rotation: no value is lost, every key is where it
# belongs, and what was begun ends when it is asked for again.
# shellcheck shell=bash
# level: tenants
# hosts: nspawn

# A daemon that dies at the point named by TENANTD_DIE_AT_VAULT; no package has it.
mortal_daemon() {
    cargo build --quiet --locked --manifest-path "$CHECKOUT/Cargo.toml" -p tenantd --features fault-injection >&2
    printf '%s\n' "${CARGO_TARGET_DIR:-$CHECKOUT/target}/debug/tenantd"
}

# One boot for all verbs, each with the least number of deaths that it must come to.
test_secrets_survive_a_daemon_that_dies_anywhere_in_a_rotation() {
    boot crash-secrets tenants
    host_put crash-secrets "$(mortal_daemon)" /opt/mortal
    host_run crash-secrets bash /opt/rig/host/crash/every_point_of_the_vault.sh \
        set 7 remove 7 rotate-dek 13 rotate-kek 11 import 3 import-lost 5
}
