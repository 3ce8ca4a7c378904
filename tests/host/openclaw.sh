# A real OpenClaw gateway in a cell, and the traps that others fell into.
# shellcheck shell=bash disable=SC2016,SC2317 # expanded in the cell; called by "eventually"
# level: openclaw
# hosts: nspawn

before_file() { tenantctl create acme --runtime openclaw; }
after_file() { tenantctl delete acme --yes; }

field() { tenantctl status acme --json | python3 -c "import json,sys; print(json.load(sys.stdin)$1)"; }
address() { field '["address"]'; }
main_pid() { systemctl show -P MainPID tenant@acme; }
sealed() { echo "/proc/$(main_pid)/root/run/tenantd/secrets/.config/openclaw.json"; } # what the running gateway reads
proof() { # the header that the gateway demands of its proxy
    python3 - <<PY
import json
config = json.load(open('$(sealed)'))
print(next(h for h in config['gateway']['auth']['trustedProxy']['requiredHeaders'] if h.startswith('x-tenantd-')))
PY
}

test_the_real_gateway_is_ready_as_its_own_start_up_path_says() {
    assert_eq "$(systemctl is-active tenant@acme)" active
    assert_eq "$(field '["health"]')" ready
    assert_match "$(in_cell acme curl -sS http://127.0.0.1:18789/startupz)" '"ok":true'
}

test_it_runs_without_any_capability_under_its_own_uid() {
    assert_eq "$(stat -c %U "/proc/$(main_pid)")" t-acme
    assert_eq "$(awk '/^Cap/ {print $2}' "/proc/$(main_pid)/status" | sort -u)" 0000000000000000
    assert_eq "$(awk '/^Seccomp:/ {print $2}' "/proc/$(main_pid)/status")" 2
}

test_its_secret_is_in_no_argument_list_no_environment_and_no_world_readable_file() {
    local secret pid
    secret=$(proof)
    for pid in $(pgrep -u t-acme); do
        assert_fails grep -aq "$secret" "/proc/$pid/cmdline"
        assert_fails grep -aq "$secret" "/proc/$pid/environ"
    done
    assert_fails grep -raqs "$secret" /etc/tenantd /run/tenantd /var/lib/tenantd/compiled /var/lib/tenantd/vault
    assert_fails grep -aqs "${secret#x-tenantd-}" /var/lib/tenantd/state.db /var/lib/tenantd/state.db-wal
    assert_eq "$(journalctl -o cat | grep -c "$secret" || true)" 0
    assert_eq "$(stat -c '%U %a' /var/lib/tenantd/compiled/acme/config/openclaw.json)" 'root 640'
    assert_eq "$(stat -c '%U %a' "$(sealed)")" 't-acme 400'
    assert_ok grep -q "$secret" "$(sealed)" # the positive control
}

test_a_process_inside_that_forges_the_proxys_headers_is_refused() {
    local where
    for where in 127.0.0.1 "$(address)"; do
        assert_eq "$(in_cell acme curl -s -o /dev/null -w '%{http_code}' "http://$where:18789/readyz" \
            -H 'X-Forwarded-For: 203.0.113.9' -H 'X-Forwarded-User: admin' -H 'X-Forwarded-Proto: https' \
            -H 'X-Forwarded-Host: acme.example.org' -H "$(proof): 1")" 403
    done
}

test_the_gateway_cannot_change_its_configuration() {
    local before
    before=$(cat /var/lib/tenantd/compiled/acme/config/openclaw.json "$(sealed)" | sha256sum)
    assert_fails in_cell acme sh -c 'echo {} > /run/tenantd/cell/config/openclaw.json'
    assert_fails in_cell acme sh -c 'mv /run/tenantd/cell/config /run/tenantd/cell/away'
    # The owner of its copy, and held by Landlock all the same.
    assert_ok in_cell acme sh -c 'cd /run/tenantd/secrets/.config && chmod 0700 . && chmod 0600 openclaw.json && cat openclaw.json'
    assert_fails in_cell acme sh -c 'cd /run/tenantd/secrets/.config; chmod 0600 openclaw.json; echo {} >openclaw.json'
    assert_fails in_cell acme sh -c 'cd /run/tenantd/secrets/.config; chmod 0700 .; mv openclaw.json away'
    assert_eq "$(cat /var/lib/tenantd/compiled/acme/config/openclaw.json "$(sealed)" | sha256sum)" "$before"
    assert_eq "$(systemctl is-active tenant@acme)" active
}

test_a_second_gateway_beside_it_on_the_same_state_does_not_get_the_state() {
    assert_fails in_cell acme sh -c 'exec /run/tenantd/runtime/node/bin/node /run/tenantd/runtime/app/node_modules/openclaw/openclaw.mjs gateway run --port 18790'
    assert_eq "$(systemctl is-active tenant@acme)" active
}

test_kill_9_of_the_gateway_is_followed_by_a_healthy_one() {
    local pid
    pid=$(main_pid)
    kill -KILL "$pid"
    back() { [ "$(main_pid)" != "$pid" ] && [ "$(systemctl is-active tenant@acme)" = active ]; }
    eventually 90 back
    assert_eq "$(field '["health"]')" ready
}

test_it_stops_in_time_and_comes_back_with_its_state() {
    in_cell acme sh -c 'echo kept > $HOME/../workspace/note'
    assert_ok systemctl stop tenant@acme
    assert_eq "$(systemctl show -P Result tenant@acme)" success
    assert_ok systemctl start tenant@acme
    assert_eq "$(cat /var/lib/tenants/acme/workspace/note)" kept
}

test_env_files_in_reach_of_the_agent_do_not_change_the_gateway() {
    later rm -f /var/lib/tenants/acme/state/.env
    in_cell acme sh -c 'printf "OPENCLAW_CONFIG_PATH=/tmp/evil.json\nNODE_OPTIONS=--require=/tmp/evil.js\n" > ../acme/state/.env'
    assert_ok systemctl restart tenant@acme
    assert_eq "$(field '["health"]')" ready
    assert_fails in_cell acme sh -c 'echo x > /var/lib/tenants/acme/.env'
}

test_a_config_that_the_gateway_refuses_ends_in_failed_and_not_in_a_loop() {
    local file=/var/lib/tenantd/compiled/acme/config/openclaw.json
    systemctl stop tenant@acme
    later tenantctl start acme
    later tenantctl repair acme
    echo '{"gateway": 1}' >"$file"
    assert_fails systemctl start tenant@acme
    assert_eq "$(systemctl is-active tenant@acme || true)" failed
    assert_eq "$(systemctl show -P NRestarts tenant@acme)" 0
}

test_the_installed_runtime_verifies_and_a_changed_byte_is_found() {
    local version file
    version=$(tenantctl runtime list --json | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["version"])')
    assert_ok tenantctl runtime verify openclaw "$version"
    file=/var/lib/tenantd/runtimes/openclaw/$version/app/package.json
    cp -p "$file" /tmp/package.json
    later sh -c "cp -p /tmp/package.json $file; chmod 0444 $file"
    echo ' ' >>"$file"
    assert_status 65 tenantctl runtime verify openclaw "$version"
    assert_match "$OUTPUT" 'app/package.json'
}

test_a_runtime_in_use_is_not_removed() {
    local version
    version=$(tenantctl runtime list --json | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["version"])')
    assert_status 75 tenantctl runtime remove openclaw "$version"
    assert_match "$OUTPUT" acme
}

# It keeps the setting: taking it out would be another start.
test_settings_of_the_spec_reach_the_gateway() {
    local config=/var/lib/tenantd/compiled/acme/config/openclaw.json
    assert_ok tenantctl set acme settings.models.mode=merge
    assert_eq "$(field '["health"]')" ready
    assert_eq "$(python3 -c "import json; print(json.load(open('$config'))['models']['mode'])")" merge
    assert_status 65 tenantctl set acme settings.gateway.auth.mode=none
    assert_match "$OUTPUT" 'settings.gateway.auth.mode is sealed'
}

test_settings_that_the_gateway_refuses_leave_it_running_as_before() {
    local config=/var/lib/tenantd/compiled/acme/config/openclaw.json before
    before=$(sha256sum <"$config")
    # A key that it does not know ends its start with 78.
    assert_fails tenantctl set acme settings.nosuchkey=1
    assert_match "$OUTPUT" 'as it was before'
    assert_eq "$(sha256sum <"$config")" "$before"
    assert_eq "$(field '["health"]')" ready
}
