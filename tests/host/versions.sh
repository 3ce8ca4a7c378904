# A runtime that has versions and a config file, made here: what a spec keeps, and a tenant's own settings.
# shellcheck shell=bash
# level: tenants
# hosts: nspawn

policies=/usr/share/tenantd/policies/runtimes/versioned

before_file() {
    local version integrity
    integrity="sha512-$(printf 'A%.0s' {1..86})=="
    mkdir -p "$policies"
    # Python stands in for Node.js: a program that answers "--version" and serves a directory.
    cat >"$policies/runtime.toml" <<TOML
format = 1
name = "versioned"
summary = "a stand-in with versions"
port = 18789
seccomp = "generic"
landlock = "node"
command = ["{runtime}/node/bin/node", "-m", "http.server", "{port}", "--directory", "{config}"]
startup = { path = "/", timeout_sec = 60, why = "w" }
health = { path = "/", why = "w" }
stop = { timeout_sec = 20, why = "w" }
edge = { identity_header = "x-user", roles = [], why = "w" }
config = { template = "config.toml", target = "gateway.json" }
limits = { memory_max = "256M" }

[install]
kind = "npm"
package = "versioned"
node_package = "node-bin"
npm = { version = "1.0.0", integrity = "$integrity" }
tested = []
TOML
    printf '[gateway]\nport = "{port}"\nmode = "local"\n' >"$policies/config.toml"
    for version in 1.0.0 2.0.0 3.0.0; do
        local tree=/root/versioned-$version
        mkdir -p "$tree/node/bin" "$tree/app/node_modules/versioned"
        cp -L /usr/bin/python3 "$tree/node/bin/node"
        printf '{\n  "version": "%s"\n}\n' "$version" >"$tree/app/node_modules/versioned/package.json"
        chmod -R a+rX /root "$tree"
        tenantctl runtime install versioned --from "$tree" --untested
    done
}
after_file() {
    local version
    tenantctl delete gamma --yes
    for version in 1.0.0 2.0.0 3.0.0; do tenantctl runtime remove versioned "$version"; done
    rm -rf "$policies" /root/versioned-*
    chmod 700 /root
}

setting() { # PATH: a value in the gateway's config file
    python3 - "$1" <<'PY'
import json, sys
value = json.load(open('/var/lib/tenantd/compiled/gamma/config/gateway.json'))
for name in sys.argv[1].split('.'):
    value = value[name]
print(json.dumps(value, sort_keys=True))
PY
}
main_pid() { systemctl show -P MainPID tenant@gamma; }
runs() { readlink /var/lib/tenantd/compiled/gamma/runtime; }

test_a_spec_without_a_version_keeps_the_one_the_tenant_runs() {
    printf 'id = "gamma"\nruntime = "versioned"\n' >/tmp/gamma.toml
    assert_ok tenantctl create gamma --runtime versioned --version 1.0.0
    assert_match "$(runs)" '/1.0.0$'
    assert_match "$(tenantctl plan /tmp/gamma.toml)" 'compiled/gamma/runtime .*/1.0.0'
    assert_ok tenantctl apply -f /tmp/gamma.toml
    assert_match "$(runs)" '/1.0.0$'
    tenantctl runtime pin versioned 2.0.0
    assert_ok tenantctl apply -f /tmp/gamma.toml
    assert_match "$OUTPUT" 'nothing was done'
    assert_ok tenantctl set gamma version= description=same
    assert_match "$(runs)" '/1.0.0$'
    # The positive control: a version that is named is taken.
    assert_ok tenantctl set gamma version=2.0.0
    assert_match "$(runs)" '/2.0.0$'
}

test_a_tenants_own_settings_reach_its_gateway_by_a_restart() {
    local pid
    pid=$(main_pid)
    assert_ok tenantctl set gamma settings.models.mode=merge settings.models.limit=5
    assert_match "$OUTPUT" 'restarted'
    assert_eq "$(setting models)" '{"limit": 5, "mode": "merge"}'
    assert_eq "$(setting gateway.mode)" '"local"'
    assert_fails test "$(main_pid)" = "$pid"
    # What the gateway itself reads, asked through the gateway.
    assert_match "$(in_cell gamma curl -sS http://127.0.0.1:18789/gateway.json)" '"merge"'
    pid=$(main_pid)
    assert_ok tenantctl set gamma settings.models.mode=merge
    assert_eq "$(main_pid)" "$pid"
    assert_ok tenantctl set gamma settings.models.mode= settings.models.limit=
    assert_fails setting models
}

test_what_the_runtime_seals_is_refused_and_the_tenant_is_as_it_was() {
    local pid before
    pid=$(main_pid)
    before=$(sha256sum /etc/tenantd/tenants.d/gamma.toml /var/lib/tenantd/compiled/gamma/config/gateway.json)
    assert_status 65 tenantctl set gamma settings.gateway.port=1
    assert_match "$OUTPUT" "settings.gateway.port is sealed by the runtime, in $policies/config.toml: take it out"
    { cat /etc/tenantd/tenants.d/gamma.toml; printf '\n[settings]\ngateway = 1\n'; } >/tmp/gamma.toml
    assert_status 65 tenantctl check /tmp/gamma.toml
    assert_match "$OUTPUT" 'settings.gateway is sealed'
    assert_status 65 tenantctl plan /tmp/gamma.toml
    assert_status 65 tenantctl apply -f /tmp/gamma.toml
    assert_status 65 tenantctl set alpha settings.a=1
    assert_match "$OUTPUT" 'runtime generic has no config file'
    assert_eq "$(sha256sum /etc/tenantd/tenants.d/gamma.toml /var/lib/tenantd/compiled/gamma/config/gateway.json)" "$before"
    assert_eq "$(main_pid)" "$pid"
}
