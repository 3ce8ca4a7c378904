# What a host is after it was powered off and on, or lost its power.
# shellcheck shell=bash disable=SC2016,SC2086,SC2317 # expanded in the host; a list; called by "eventually"
# hosts: nspawn qemu

boot_time() { if [ "$RIG_KIND" = qemu ]; then echo 240; else echo 60; fi; }
answers() { # HOST TENANT: whether its gateway answers on its own address, asked from the host
    host_run "$1" sh -c 'test "$(systemctl is-active "tenant@$1")" = active && tenantctl status "$1" --json | grep -q "\"ready\""' \
        sh "$2" </dev/null
}

test_after_a_reboot_the_enabled_tenants_are_back_and_no_other() {
    boot reboot
    host_run reboot tenantctl disable beta </dev/null
    host_run reboot sh -c 'echo kept >/var/lib/tenants/alpha/workspace/note' </dev/null
    host_reboot reboot
    assert_eq "$(host_run reboot journalctl -b -o cat -g 'ordering cycle' </dev/null | grep -c 'ordering cycle')" 0
    eventually "$(boot_time)" answers reboot alpha
    assert_eq "$(host_run reboot systemctl is-active tenant@beta tenantd-fence tenantd-fence-watch </dev/null)" $'inactive\nactive\nactive'
    assert_eq "$(host_run reboot ls /run/netns </dev/null)" t-alpha
    assert_eq "$(host_run reboot cat /var/lib/tenants/alpha/workspace/note </dev/null)" kept
    assert_ok host_run reboot tenantctl enable beta
    assert_ok host_run reboot tenantctl start beta
    eventually "$(boot_time)" answers reboot beta
}

# Wherever the cut falls: what the tool called done is there, what it did not is gone, and everything can be done again.
test_a_power_cut_leaves_each_tenant_whole_or_absent() {
    local name done_ones
    boot cut
    host_run cut sh -c 'nohup sh -c "for n in 1 2 3 4 5 6 7 8 9; do
        tenantctl create cut\$n --runtime generic --port 18789 --no-start \
            --command \"/usr/local/lib/standin/bin/standin-gateway --port 18789\" && echo cut\$n >>/var/lib/created && sync /var/lib/created
    done" >/dev/null 2>&1 &' </dev/null
    eventually 120 host_run cut grep -q cut3 /var/lib/created
    host_cut cut
    host_start cut
    eventually "$(boot_time)" answers cut alpha
    eventually 60 host_run cut sh -c 'test "$(sqlite3 /var/lib/tenantd/state.db "SELECT count(*) FROM operation")" = 0' </dev/null
    done_ones=$(host_run cut cat /var/lib/created </dev/null)
    for name in $done_ones; do
        assert_ok host_run cut tenantctl status "$name"
    done
    assert_ok host_run cut sh -c 'for spec in /etc/tenantd/tenants.d/cut*.toml; do
        name=$(basename "$spec" .toml)
        tenantctl status "$name" --json | python3 -c "import json, sys; s = json.load(sys.stdin); sys.exit(bool(s[\"drift\"]))" || exit
        getent passwd "t-$name" || exit
    done'
    assert_ok host_run cut tenantctl start cut1
    assert_ok host_run cut tenantctl create after --runtime generic --port 18789 \
        --command '/usr/local/lib/standin/bin/standin-gateway --port 18789'
}
