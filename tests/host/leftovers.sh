# What a tenant leaves behind is no trap for root, and none of it outlives the tenant.
# level: tenants
# shellcheck shell=bash

# shellcheck source=tests/host/escape.bash
. "$(dirname "${BASH_SOURCE[0]}")/escape.bash"
VICTIM=/var/lib/escape-victim

before_file() { attack_program; }
after_file() { rm -rf "$PLACE"; }

# A tenant whose data is full of links to a folder and a file of the host.
gamma() {
    rm -rf "$VICTIM"
    mkdir -p "$VICTIM/folder"
    echo precious >"$VICTIM/file"
    echo precious >"$VICTIM/folder/inner"
    chmod -R go+rX "$VICTIM"
    later rm -rf "$VICTIM"
    assert_ok tenantctl create gamma --runtime generic --port 18789 --command "$(gateway)"
    later delete_gamma
    for place in workspace state home; do
        in_cell gamma "$PROBE" plant-symlink "$VICTIM/folder" "/var/lib/tenants/gamma/$place/folder"
        in_cell gamma "$PROBE" plant-symlink "$VICTIM/file" "/var/lib/tenants/gamma/$place/file"
        in_cell gamma "$PROBE" plant-symlink / "/var/lib/tenants/gamma/$place/everything"
        in_cell gamma "$PROBE" plant-symlink ../../beta "/var/lib/tenants/gamma/$place/beta"
    done
}
delete_gamma() { tenantctl delete gamma --yes || true; }

untouched() {
    assert_eq "$(cat "$VICTIM/file" "$VICTIM/folder/inner")" $'precious\nprecious'
    assert_eq "$(stat -c %u:%g:%a "$VICTIM/file" "$VICTIM/folder" | sort -u)" $'0:0:644\n0:0:755'
    assert_ok test -d /var/lib/tenants/beta/state
    assert_eq "$(stat -c %U /var/lib/tenants/beta/state)" t-beta
}

test_deleting_a_tenant_follows_no_link_that_it_left() {
    gamma
    assert_ok tenantctl delete gamma --yes
    untouched
    assert_fails test -e /var/lib/tenants/gamma
}

test_repairing_a_tenant_follows_no_link_that_it_left() {
    gamma
    assert_ok tenantctl repair gamma
    untouched
    assert_ok tenantctl restart gamma
    untouched
}

test_a_folder_replaced_by_a_link_does_not_lead_repair_away() {
    gamma
    # The folder above is root's, so only root could do this; whoever did, nothing outside may change hands.
    assert_ok tenantctl stop gamma
    rm -rf /var/lib/tenants/gamma/workspace
    ln -s "$VICTIM/folder" /var/lib/tenants/gamma/workspace
    tenantctl repair gamma || true
    untouched
}

test_a_deleted_tenant_leaves_no_process_and_no_file_of_its_uid() {
    local uid
    gamma
    uid=$(id -u t-gamma)
    in_cell gamma sh -c 'echo x >/tmp/escape-left; echo x >/var/tmp/escape-left; (setsid sleep 300 >/dev/null 2>&1 &)' || true
    assert_ok tenantctl delete gamma --yes
    assert_eq "$(find / -xdev -uid "$uid" -print -quit 2>/dev/null)" "" "a file of uid $uid"
    assert_eq "$(find /tmp /var/tmp /dev/shm /run -uid "$uid" -print -quit 2>/dev/null)" "" "a file of uid $uid"
    assert_eq "$(ps -o pid= -u "$uid" || true)" "" "a process of uid $uid"
    assert_eq "$(ipcs -a 2>/dev/null | awk -v uid="$uid" '$3 == uid' || true)" "" "an IPC object of uid $uid"
    assert_fails test -e "/var/lib/systemd/linger/t-gamma"
}
