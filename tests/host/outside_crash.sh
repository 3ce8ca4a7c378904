# tenantd killed before every step of create, set, delete, backup and restore: what was being made is gone or finished, and nobody else notices.
# shellcheck shell=bash
# level: tenants
# hosts: nspawn

# A daemon that dies before the step named by TENANTD_DIE_AT; no package has it.
mortal_daemon() {
    cargo build --quiet --locked --manifest-path "$CHECKOUT/Cargo.toml" -p tenantd --features fault-injection >&2
    printf '%s\n' "${CARGO_TARGET_DIR:-$CHECKOUT/target}/debug/tenantd"
}

# kill_at_every_step NAME VERB: the loop runs inside the host, one boot for all steps.
kill_at_every_step() {
    local name=$1 verb=$2
    boot "$name" tenants
    host_put "$name" "$(mortal_daemon)" /opt/mortal
    host_run "$name" bash /opt/rig/host/crash/every_step.sh "$verb"
}

test_a_create_killed_at_any_step_is_rolled_back() {
    kill_at_every_step crash-create create
}

test_a_change_killed_at_any_step_is_finished() {
    kill_at_every_step crash-change change
}

test_a_delete_killed_at_any_step_is_finished() {
    kill_at_every_step crash-delete delete
}

test_a_backup_killed_at_any_step_leaves_the_tenant_running() {
    kill_at_every_step crash-backup backup
}

test_a_restore_killed_at_any_step_leaves_the_old_data_or_the_restored() {
    kill_at_every_step crash-restore restore
}

test_a_tenant_made_from_a_backup_is_whole_or_not_there() {
    kill_at_every_step crash-clone clone
}
