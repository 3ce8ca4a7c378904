# A tenant that fills its disk or uses up its inodes meets its own quota, and its neighbour still writes.
# level: tenants
# hosts: qemu
# host: own
# shellcheck shell=bash

# shellcheck source=tests/host/escape.bash
. "$(dirname "${BASH_SOURCE[0]}")/escape.bash"
WORKSPACE=/var/lib/tenants/alpha/workspace

# The tenants' data moves to the disk that has project quotas.
before_file() {
    attack_program
    findmnt -n /srv/quota >/dev/null || return 0
    tenantctl stop alpha
    tenantctl stop beta
    cp -a /var/lib/tenants/. /srv/quota/
    mount --bind /srv/quota /var/lib/tenants
    tenantctl set alpha limits.disk_max=64M
    tenantctl start alpha
    tenantctl start beta
}

# shellcheck disable=SC2016 # HOME is the cell's
beta_writes() { in_cell beta sh -c 'head -c 1048576 /dev/zero >$HOME/escape-own && rm $HOME/escape-own'; }

# needs: quota
test_filling_the_disk_ends_at_the_tenants_own_quota() {
    assert_status 10 in_cell alpha "$PROBE" load-disk "$WORKSPACE" 128
    assert_match "$OUTPUT" '"errno":"(EDQUOT|ENOSPC)"'
    assert_ok beta_writes
    mkdir -p /srv/quota/escape-control
    later rm -rf /srv/quota/escape-control
    assert_ok "$PROBE" load-disk /srv/quota/escape-control 128
}

# needs: quota
test_using_up_inodes_ends_at_the_tenants_own_quota() {
    mkdir -p /srv/quota/escape-control
    later rm -rf /srv/quota/escape-control
    assert_ok "$PROBE" load-inodes /srv/quota/escape-control 20000
    assert_status 10 in_cell alpha "$PROBE" load-inodes "$WORKSPACE" 20000
    assert_match "$OUTPUT" '"errno":"(EDQUOT|ENOSPC)"'
    assert_ok beta_writes
}
