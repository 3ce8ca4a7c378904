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
command = ["{runtime}/node/bin/node", "-m", "http.server", "{port}", "--directory", "{cell}/config"]
startup = { path = "/", timeout_sec = 60, why = "w" }
health = { path = "/", why = "w" }
stop = { timeout_sec = 20, why = "w" }
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
