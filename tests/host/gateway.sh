# The gateway's own secret: made with the tenant, in its configuration while it runs, and nowhere else.
# shellcheck shell=bash
# level: tenants
# hosts: nspawn qemu

VAULT=/var/lib/tenantd/vault
COMPILED=/var/lib/tenantd/compiled/gamma/config/gateway.json
SEALED=/run/tenantd/secrets/.config/gateway.json
policies=/usr/share/tenantd/policies/runtimes/marked

# A runtime whose configuration has the header; Python stands in for a gateway, and serves that configuration.
before_file() {
    mkdir -p "$policies"
    cat >"$policies/runtime.toml" <<'TOML'
format = 1
name = "marked"
summary = "a stand-in with a secret of its own"
port = 18789
seccomp = "generic"
landlock = "generic"
command = ["/usr/bin/python3", "-m", "http.server", "{port}", "--directory", "{config}"]
startup = { path = "/", timeout_sec = 60, why = "w" }
health = { path = "/", why = "w" }
stop = { timeout_sec = 20, why = "w" }
edge = { identity_header = "x-user", roles = [], why = "w" }
config = { template = "config.toml", target = "gateway.json" }
limits = { memory_max = "256M" }
TOML
    printf 'header = "{proof_header}"\nport = "{port}"\n' >"$policies/config.toml"
    tenantctl create gamma --runtime marked
}
after_file() {
    tenantctl delete gamma --yes
    rm -rf "$policies"
}

main_pid() { systemctl show -P MainPID tenant@gamma; }
sealed() { cat "/proc/$(main_pid)/root$SEALED"; } # what the running gateway reads
own() { sealed | sed -n 's/.*"x-tenantd-\([0-9a-f]\{32\}\)".*/\1/p'; }
as_gateway() { # COMMAND…: as the tenant in the mount namespace of its gateway, without Landlock
    nsenter -t "$(main_pid)" -m -- setpriv --reuid t-gamma --regid t-gamma --clear-groups "$@"
}
version() { # NAME: of a secret of gamma
    tenantctl secret list gamma --json | python3 -c 'import json,sys; print(*[s["version"] for s in json.load(sys.stdin) if s["name"] == sys.argv[1]])' "$1"
}

test_its_secret_is_in_the_running_cell_and_in_no_other_file() {
    local place
    assert_match "$(own)" '^[0-9a-f]{32}$'
    assert_match "$(tenantctl secret list gamma)" 'gateway +gateway +[0-9]+'
    assert_eq "$(python3 -c "import json; print(json.load(open('$COMPILED'))['header'])")" 'x-tenantd-@gateway@'
    # The gateway reads it there, and says so.
    assert_match "$(in_cell gamma curl -sS http://127.0.0.1:18789/gateway.json)" "x-tenantd-$(own)"
    # In a file, because an argument of grep's would be found as well.
    own >/dev/shm/pattern
    later rm /dev/shm/pattern
    found() { grep -rlsFf /dev/shm/pattern --devices=skip "$1" || true; }
    # What PID 1 loaded for the unit is found, which is the positive control: root's and the gateway's own.
    assert_eq "$(found /run)" /run/credentials/tenant@gamma.service/secrets
    assert_fails runuser -u nobody -- cat /run/credentials/tenant@gamma.service/secrets
    assert_fails runuser -u t-alpha -- cat /run/credentials/tenant@gamma.service/secrets
    assert_eq "$(found "/proc/$(main_pid)/root/run/tenantd")" "/proc/$(main_pid)/root$SEALED"
    for place in /var/lib/tenantd /var/lib/tenants /etc /tmp /var/log; do
        assert_eq "$(found "$place")" ""
    done
    seen() { grep -acFf /dev/shm/pattern || true; }
    assert_eq "$(sealed | seen)" 1
    assert_eq "$(cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | seen)" 0
    assert_eq "$(journalctl --no-pager -o export | seen)" 0
}

test_nobody_sets_rotates_or_removes_it() {
    local before verb
    before="$(version gateway) $(own)"
    for verb in 'set gamma gateway' 'set gamma gateway --for file' 'rotate gamma gateway'; do
        # shellcheck disable=SC2086 # words
        assert_status 77 tenantctl secret $verb </etc/hostname
        assert_match "$OUTPUT" "secret gateway of tenant gamma is tenantd's own"
    done
    assert_status 77 tenantctl secret remove gamma gateway
    assert_match "$OUTPUT" "secret gateway of tenant gamma is tenantd's own"
    assert_eq "$(version gateway) $(own)" "$before"
}

test_a_gateway_reads_its_configuration_and_cannot_change_it() {
    local config=${SEALED%/*} file=$SEALED
    assert_eq "$(stat -c '%a %U' "/proc/$(main_pid)/root$config" "/proc/$(main_pid)/root$file")" $'500 t-gamma\n400 t-gamma'
    # Under the gateway's own Landlock rules; the modes are its to change.
    assert_ok in_cell gamma sh -c "cat $file && chmod 0700 $config && chmod 0600 $file"
    assert_fails in_cell gamma sh -c "chmod 0700 $config; chmod 0600 $file; echo x >$file"
    assert_fails in_cell gamma sh -c "chmod 0700 $config; echo x >$config/new"
    assert_fails in_cell gamma sh -c "chmod 0700 $config; rm -f $file; test ! -e $file"
    assert_fails in_cell gamma sh -c "chmod 0700 $config; mv $config /run/tenantd/secrets/away"
    assert_fails in_cell gamma sh -c "echo x >/run/tenantd/secrets/new"
    if [ "$(journalctl -u tenant@gamma -o cat | sed -n 's/.*landlock ABI \([0-9]*\).*/\1/p' | tail -n 1)" -ge 3 ]; then
        assert_fails in_cell gamma python3 -c "import os; os.chmod('$file', 0o600); os.truncate('$file', 0)"
    fi
    # Positive control: it is Landlock that refuses; without it the owner may.
    assert_ok as_gateway sh -c "chmod 0700 $config && echo x >$config/new && rm $config/new && chmod 0500 $config"
}

test_a_command_finds_the_configuration_without_the_secret() {
    assert_match "$(in_cell gamma cat "$SEALED")" '"x-tenantd-@gateway@"'
    assert_fails in_cell gamma cat /run/tenantd/cell/config/gateway.json
}

test_without_its_secret_a_gateway_that_needs_it_does_not_start() {
    local before
    before=$(own)
    later tenantctl start gamma
    later tenantctl repair gamma
    later systemctl reset-failed tenant@gamma
    systemctl stop tenant@gamma
    find "$VAULT/gamma" -name 'secret.gateway.*' -delete
    assert_match "$(tenantctl secret list gamma --json)" 'its file was taken away: run .*tenantctl repair gamma'
    assert_fails systemctl start tenant@gamma
    assert_match "$(journalctl -u tenant@gamma -n 20 -o cat)" "the gateway's own is missing, and .*gateway.json needs it: run \"tenantctl repair\""
    assert_eq "$(systemctl show -P NRestarts tenant@gamma)" 0
    # A gateway that does not need it runs without.
    find "$VAULT/alpha" -name 'secret.gateway.*' -delete
    later tenantctl repair alpha
    assert_ok systemctl restart tenant@alpha
    systemctl reset-failed tenant@gamma
    assert_ok tenantctl repair gamma
    assert_ok systemctl start tenant@gamma
    assert_match "$(own)" '^[0-9a-f]{32}$'
    [ "$(own)" != "$before" ] || fail "the secret is the same as before"
}

test_a_tenant_of_an_older_tenantd_gets_one_by_a_repair_or_a_change() {
    local verb
    for verb in 'repair gamma' 'set gamma limits.cpu_weight=77'; do
        rm -r "$VAULT/gamma"
        sqlite3 /var/lib/tenantd/state.db "DELETE FROM secret WHERE tenant = 'gamma'"
        # shellcheck disable=SC2086 # words
        assert_ok tenantctl $verb
        assert_eq "$(find "$VAULT/gamma" -name 'secret.*' -printf '%f %m %U\n')" 'secret.gateway.1 600 0'
    done
    assert_ok systemctl restart tenant@gamma
    assert_match "$(own)" '^[0-9a-f]{32}$'
}

test_a_new_one_is_made_over_kept_data_and_the_other_secrets_stay() {
    local before first
    echo value | tenantctl secret set gamma token
    first=$(own) before=$(version gateway)
    assert_ok tenantctl delete gamma --yes --keep-data
    # A creation that fails leaves what was kept.
    assert_fails tenantctl create gamma --runtime generic --port 18789 --command /usr/bin/false
    assert_eq "$(find "$VAULT/gamma" -name 'secret.token.*' | wc -l)" 1
    assert_ok tenantctl create gamma --runtime marked
    assert_eq "$(version token)" 1
    [ "$(version gateway)" -gt "$before" ] || fail "it has version $(version gateway), as before"
    [ "$(own)" != "$first" ] || fail "the secret is the same as before"
    # Its value opens: what did not could not be sealed anew.
    assert_ok tenantctl vault rotate-dek gamma
    assert_ok tenantctl secret remove gamma token
}

test_a_creation_that_fails_leaves_no_vault() {
    assert_fails tenantctl create delta --runtime generic --port 18789 --command /usr/bin/false
    test ! -e "$VAULT/delta"
    assert_eq "$(sqlite3 /var/lib/tenantd/state.db "SELECT count(*) FROM secret WHERE tenant = 'delta'")" 0
    # And the name is free.
    assert_ok tenantctl create delta --no-start --runtime generic --port 18789 --command /usr/bin/true
    assert_ok test -e "$VAULT/delta/secret.gateway.1"
    assert_ok tenantctl delete delta --yes
    test ! -e "$VAULT/delta"
}
