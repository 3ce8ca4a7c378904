# The units as shipped: what they let through, how a start fails, how a stop ends, and that all of it works without the daemon.
# level: tenants
# shellcheck shell=bash
# shellcheck disable=SC2317 # some functions are called by name

exposure() { systemd-analyze security --no-pager "$1" | sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\).*/\1/p'; }
at_most() { # UNIT LIMIT
    local score
    score=$(exposure "$1")
    awk -v score="$score" -v limit="$2" 'BEGIN { exit !(score != "" && score <= limit) }' ||
        fail "$1 has an exposure of $score, more than $2"
}
# instead TENANT LINE…: other lines in the tenant's [Service], for this test.
instead() {
    local dir=/run/systemd/system/tenant@$1.service.d
    shift
    mkdir -p "$dir"
    printf '%s\n' '[Service]' "$@" >"$dir/test.conf"
    later systemctl daemon-reload
    later rm -rf "$dir"
    systemctl daemon-reload
}
restored() { # TENANT: put it back as it was when the test ends
    later systemctl start "tenant@$1"
    later systemctl reset-failed "tenant@$1"
    later systemctl stop "tenant@$1"
}

test_systemd_finds_nothing_wrong_with_the_units() {
    local units=(tenant@alpha.service tenant-net@alpha.service tenants.slice tenants.target tenantd.service tenantd-fence.service
        tenantd-fence-watch.service tenantd-cut.service tenantd-sweep.service tenantd-sweep.path tenantd-selftest.service tenantd-selftest.timer
        tenantd-credentials.socket tenantd-credentials.service tenantd-backup.service tenantd-backup.timer tenantd-notify.service)
    assert_ok systemd-analyze verify --man=no "${units[@]}"
    assert_eq "$OUTPUT" ""
}

test_no_unit_is_more_exposed_than_promised() {
    at_most tenant@alpha.service 1.5
    systemd-run --quiet --unit=tenant-exec-99-alpha.service --property=Type=exec /usr/bin/sleep 60
    later systemctl stop tenant-exec-99-alpha.service
    at_most tenant-exec-99-alpha.service 1.5
    at_most tenant-health@alpha.service 1.6
    at_most tenantd.service 2.5
    at_most tenantd-fence.service 1.6
    at_most tenantd-fence-watch.service 1.5
    at_most tenantd-sweep.service 1.5
    at_most tenantd-cut.service 1.6
    at_most tenantd-credentials.service 1.6
    at_most tenantd-proof.service 1.6
    at_most tenantd-identify.service 1.4
    # These speak to anybody.
    at_most tenantd-edge.service 1.3
    at_most tenant-egress@alpha.service 1.3
    at_most tenantd-notify.service 1.6
    # Has root's capabilities and network: an operator's own program, and any directory, may be where backups go.
    at_most tenantd-backup.service 6.0
    # CAP_SYS_ADMIN, for setns(2).
    at_most tenantd-selftest.service 2.5
    # Above 2.5: a mount namespace would cost each start more than it buys (docs/adr/0009-a-process-holds-the-namespace.md).
    at_most tenant-net@alpha.service 3.7
}

test_a_command_in_the_cell_has_the_gateways_sandbox_line_by_line() {
    local gateway command
    gateway=$(sed -n '/^# --- cell/,/^# --- end of cell/{/^[A-Z]/p}' /usr/lib/systemd/system/tenant@.service)
    command=$(sed -n '/^\[Service\]/,${/^[A-Z]/p}' /usr/lib/systemd/system/tenant-exec-.service.d/10-cell.conf | grep -v ^LogRate)
    assert_eq "${command//%j/%i}" "$gateway"
    assert_match "$gateway" RootDirectory=
}

test_a_cell_holds_nothing_of_the_host_but_what_is_named() {
    local pid root
    pid=$(systemctl show -P MainPID tenant@alpha)
    root=/proc/$pid/root
    assert_eq "$(ls "$root")" "$(printf '%s\n' bin dev etc lib lib64 proc root run sbin sys tmp usr var)"
    # systemd 257 puts the journal's sockets into every root, and /run/host/os-release, which is /usr/lib/os-release.
    assert_eq "$(find "$root/run" -mindepth 1 -maxdepth 1 -printf '%f\n' | grep -v '^host$' | sort)" "$(printf '%s\n' credentials systemd tenantd)"
    # PID 1 puts a unit's own there, and shows it no other's.
    assert_eq "$(ls "$root/run/credentials")" tenant@alpha.service
    assert_eq "$(find "$root/run/systemd" -type s; find "$root/run/host" -mindepth 1 ! -name '*os-release*' 2>/dev/null)" ""
    assert_eq "$(ls "$root/var/lib/tenants")" alpha
    assert_eq "$(find "$root/sys" "$root/root" "$root/dev/shm" -mindepth 1)" ""
    # Positive control: the same places on the host are full.
    assert_match "$(ls /run /sys)" "dbus.*class"
}

test_a_gateway_that_dies_at_once_fails_the_start_at_once() {
    restored alpha
    instead alpha ExecStart= 'ExecStart=/usr/bin/false' Restart=no
    assert_ok systemctl stop tenant@alpha
    local begun=$SECONDS
    assert_fails systemctl start tenant@alpha
    [ $((SECONDS - begun)) -lt 20 ] || fail "it took $((SECONDS - begun)) s"
    assert_match "$(journalctl -u tenant@alpha -n 20 -o cat)" "tenant alpha: the gateway ended before it was ready"
}

test_a_gateway_that_keeps_failing_ends_failed() {
    restored alpha
    instead alpha ExecStart= 'ExecStart=/usr/bin/false' RestartSec=100ms
    systemctl stop tenant@alpha
    systemctl start tenant@alpha || true
    given_up() { [ "$(systemctl show -P ActiveState tenant@alpha)" = failed ] && [ "$(systemctl show -P NRestarts tenant@alpha)" -ge $(($(systemctl show -P StartLimitBurst tenant@alpha) - 1)) ]; }
    eventually 500 given_up
    assert_eq "$(systemctl show -P Result tenant@alpha)" exit-code
    eventually 60 test ! -e /run/netns/t-alpha
}

test_a_gateway_that_says_78_is_not_restarted() {
    restored alpha
    instead alpha ExecStart= "ExecStart=/usr/bin/sh -c 'exit 78'" RestartSec=100ms
    systemctl stop tenant@alpha
    assert_fails systemctl start tenant@alpha
    assert_eq "$(systemctl show -P NRestarts tenant@alpha) $(systemctl show -P ActiveState tenant@alpha)" "0 failed"
}

test_a_killed_gateway_comes_back() {
    local pid
    pid=$(systemctl show -P MainPID tenant@alpha)
    kill -KILL "$pid"
    back() { [ "$(systemctl is-active tenant@alpha)" = active ] && [ "$(systemctl show -P MainPID tenant@alpha)" != "$pid" ]; }
    eventually 60 back
}

test_stopping_the_target_stops_every_tenant() {
    later systemctl start tenants.target tenant@alpha tenant@beta
    assert_ok systemctl stop tenants.target
    eventually 60 test ! -e /run/netns/t-alpha
    assert_eq "$(systemctl is-active tenant@alpha tenant@beta || true)" $'inactive\ninactive'
}

test_a_tenant_that_never_existed_does_not_start() {
    assert_fails systemctl start tenant@nosuch
    assert_match "$(journalctl -u tenant-net@nosuch -o cat)" "tenant nosuch: .*there is no such tenant"
}

test_a_fence_that_cannot_be_put_back_cuts_tenants_off_and_stops_them() {
    mv /usr/share/tenantd/fence.nft /usr/share/tenantd/fence.nft.away
    later systemctl start tenant@alpha tenant@beta
    later systemctl start tenantd-fence-watch
    later systemctl reset-failed tenantd-fence-watch
    later systemctl reload tenantd-fence
    later mv /usr/share/tenantd/fence.nft.away /usr/share/tenantd/fence.nft
    nft flush ruleset
    no_links() { ! ip -o link | grep -qE ' t[bv][0-9]+'; }
    eventually 60 no_links
    stopped() { [ "$(systemctl is-active tenant@alpha tenant@beta)" = $'inactive\ninactive' ]; }
    eventually 60 stopped
}
