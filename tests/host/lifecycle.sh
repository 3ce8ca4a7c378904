# A tenant's life: made, seen, stopped, started, changed, deleted, with the daemon and without it.
# shellcheck shell=bash disable=SC2016,SC2317 # expanded in the cell; called by "eventually"
# level: tenants
# hosts: nspawn qemu

state() { systemctl is-active "tenant@$1.service" || true; }
answers() { # TENANT: the gateway answers on its address, from the host
    local address
    address=$(tenantctl status "$1" --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["address"])')
    curl -fsS -m 5 "http://$address:18789/healthz"
}
everything_of() { # NAME: whatever on this host carries the name
    getent passwd "t-$1" || true
    getent group "t-$1" || true
    find /etc/userdb /etc/tenantd /etc/systemd/system /etc/systemd/system.control /var/lib/tenants /var/lib/tenantd/compiled \
        /var/lib/tenantd/vault /run/netns /run/tenantd -name "*$1*" 2>/dev/null || true
    ip -o link | grep -w "$1" || true
    systemctl list-units --plain --no-legend "*$1*" || true
    find /sys/fs/cgroup -name "*$1*" 2>/dev/null || true
    nft list ruleset | grep -w "$1" || true
}

test_two_tenants_run_and_answer_on_their_own_addresses() {
    assert_eq "$(state alpha)" active
    assert_eq "$(state beta)" active
    assert_ok answers alpha
    assert_ok answers beta
    assert_eq "$(stat -Lc %i /run/netns/t-alpha)" "$(stat -Lc %i "/proc/$(systemctl show -P MainPID tenant@alpha)/ns/net")"
}

test_a_created_tenant_runs_and_a_deleted_one_leaves_nothing() {
    local before
    before=$(everything_of gamma)
    assert_ok tenantctl create gamma --runtime generic --port 18789 --command '/usr/local/lib/standin/bin/standin-gateway --port 18789'
    assert_eq "$(state gamma)" active
    assert_ok answers gamma
    assert_match "$(everything_of gamma)" t-gamma
    assert_ok tenantctl delete gamma --yes
    gone() { [ "$(everything_of gamma)" = "$before" ]; }
    eventually 10 gone || fail "left behind: $(everything_of gamma)"
}

test_data_that_was_kept_survives_a_creation_that_fails() {
    local file=/var/lib/tenants/gamma/home/kept
    assert_ok tenantctl create gamma --runtime generic --port 18789 --command '/usr/local/lib/standin/bin/standin-gateway --port 18789'
    later tenantctl delete gamma --yes
    assert_ok tenantctl exec gamma -- sh -c 'echo kept >$HOME/kept'
    assert_ok tenantctl delete gamma --yes --keep-data
    assert_eq "$(cat "$file")" kept
    assert_fails tenantctl create gamma --runtime generic --port 18789 --command /usr/bin/false
    assert_eq "$(cat "$file")" kept
    assert_no_match "$(tenantctl list --json)" gamma
    assert_ok tenantctl create gamma --runtime generic --port 18789 --command '/usr/local/lib/standin/bin/standin-gateway --port 18789'
    assert_eq "$(tenantctl exec gamma -- sh -c 'cat $HOME/kept')" kept
}

test_a_tenant_that_never_ran_leaves_no_control_group() {
    assert_ok tenantctl create gamma --no-start --runtime generic --port 18789 --command '/usr/local/lib/standin/bin/standin-gateway --port 18789'
    assert_ok tenantctl set gamma limits.cpu_weight=70
    assert_ok tenantctl delete gamma --yes
    assert_eq "$(find /sys/fs/cgroup -name '*gamma*')" ""
}

test_start_stop_restart_enable_and_disable_work_while_tenantd_is_stopped() {
    assert_ok systemctl stop tenantd
    later systemctl start tenantd
    assert_ok systemctl stop tenant@alpha
    assert_eq "$(state alpha)" inactive
    eventually 60 test ! -e /run/netns/t-alpha
    assert_ok systemctl start tenant@alpha
    assert_eq "$(state alpha)" active
    assert_ok systemctl restart tenant@alpha
    assert_eq "$(state alpha)" active
    assert_ok systemctl disable tenant@alpha
    assert_fails systemctl is-enabled tenant@alpha
    assert_ok systemctl enable tenant@alpha
    assert_ok systemctl is-enabled tenant@alpha
}

test_a_stopped_tenant_has_no_namespace_no_link_and_no_process() {
    local index
    index=$(ip -o link | sed -n 's/^[0-9]*: \(tb[0-9]*\):.*alias alpha$/\1/p;s/^[0-9]*: \(tb[0-9]*\):.*alias alpha .*/\1/p' | head -n 1)
    assert_ok tenantctl stop alpha
    later tenantctl start alpha
    assert_eq "$(state alpha)" inactive
    eventually 60 test ! -e /run/netns/t-alpha
    [ -z "$index" ] || eventually 60 test ! -e "/sys/class/net/$index"
    assert_fails pgrep -u t-alpha
}

test_killing_tenantd_stops_no_tenant() {
    local pid
    pid=$(systemctl show -P MainPID tenant@alpha)
    systemctl kill -s KILL tenantd
    eventually 10 systemctl is-active tenantd
    assert_eq "$(systemctl show -P MainPID tenant@alpha)" "$pid"
    eventually 10 tenantctl status alpha
}

test_a_changed_limit_reaches_the_slice_without_a_restart() {
    local pid
    pid=$(systemctl show -P MainPID tenant@alpha)
    assert_ok tenantctl set alpha limits.cpu_weight=77
    later tenantctl set alpha limits.cpu_weight=
    assert_eq "$(systemctl show -P CPUWeight tenants-alpha.slice)" 77
    assert_eq "$(systemctl show -P MainPID tenant@alpha)" "$pid"
}

test_a_create_whose_gateway_does_not_start_leaves_nothing() {
    local before
    before=$(everything_of delta)
    assert_fails tenantctl create delta --runtime generic --port 18789 --command '/usr/local/lib/standin/bin/standin-gateway --port 18789 --exit 3'
    assert_match "$OUTPUT" journalctl
    nothing() { [ "$(everything_of delta)" = "$before" ]; }
    eventually 10 nothing || fail "left behind: $(everything_of delta)"
}

test_a_change_whose_gateway_does_not_start_leaves_the_tenant_as_it_was_and_running() {
    local before
    before=$(cat /etc/tenantd/tenants.d/alpha.toml)
    sed 's/"18789"\]/"18789", "--exit", "78"]/' /etc/tenantd/tenants.d/alpha.toml >/tmp/alpha.toml
    assert_match "$(cat /tmp/alpha.toml)" '--exit'
    assert_fails tenantctl apply -f /tmp/alpha.toml
    assert_match "$OUTPUT" 'as it was before'
    assert_eq "$(cat /etc/tenantd/tenants.d/alpha.toml)" "$before"
    assert_eq "$(state alpha)" active
    assert_ok answers alpha
    # One that did not run is not started by going back, either.
    assert_ok tenantctl stop alpha
    later tenantctl start alpha
    assert_ok tenantctl apply -f /tmp/alpha.toml
    assert_eq "$(state alpha)" inactive
    printf '%s\n' "$before" >/tmp/alpha.toml
    assert_ok tenantctl apply -f /tmp/alpha.toml
    assert_eq "$(state alpha)" inactive
}

test_repair_brings_back_what_was_taken_away_by_hand() {
    rm /var/lib/tenantd/compiled/alpha/readiness.json
    touch /var/lib/tenantd/compiled/alpha/stranger
    assert_match "$(tenantctl status alpha --json)" 'readiness.json'
    assert_ok tenantctl repair alpha
    assert_ok test -s /var/lib/tenantd/compiled/alpha/readiness.json
    assert_fails test -e /var/lib/tenantd/compiled/alpha/stranger
}

test_deleting_with_keep_data_keeps_the_data_and_its_owner() {
    assert_ok tenantctl create keeper --runtime generic --port 18789 --command '/usr/local/lib/standin/bin/standin-gateway --port 18789'
    assert_ok in_cell keeper sh -c 'echo precious > $HOME/note'
    assert_ok tenantctl delete keeper --keep-data
    assert_eq "$(cat /var/lib/tenants/keeper/home/note)" precious
    assert_fails getent passwd t-keeper
    assert_ok tenantctl create keeper --runtime generic --port 18789 --command '/usr/local/lib/standin/bin/standin-gateway --port 18789'
    later tenantctl delete keeper --yes
    assert_ok in_cell keeper sh -c 'cat $HOME/note'
    assert_eq "$OUTPUT" precious
}

test_status_is_measured_on_the_running_process() {
    local json
    json=$(tenantctl status alpha --json)
    assert_eq "$(python3 -c '
import json,sys
s = json.loads(sys.argv[1]); m = s["measured"]
print(m["no_new_privs"], m["seccomp_mode"], m["in_own_netns"], m["in_own_slice"], m["landlock"]["abi"] >= 2,
      set(m["capabilities"].values()) == {"0000000000000000"}, m["groups"] in ([], [s["uid"]]), s["health"])' "$json")" \
        'True 2 True True True True True ready'
}
