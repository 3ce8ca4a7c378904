# The edge and an OpenID provider, oidc-provider from the npm registry, that runs beside it on the host's loopback.
# shellcheck shell=bash
# hosts: nspawn

HERE=${BASH_SOURCE[0]%/*}/edge/oidc

provider_fetch() {
    command -v npm >/dev/null || need_packages nodejs npm
    cp "$HERE"/* "$1" && (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund >/dev/null)
}

# provider KEYS: started in the host's network
provider() {
    local dir
    dir=$(cached identity-provider "$(cat "$HERE"/* | hash_of)" provider_fetch)
    nsenter -t "$(cat "$RUN/h/leader")" -n setsid node "$dir/provider.mjs" 4000 "$1" >"$RUN/h/provider.log" 2>&1 </dev/null &
    process_line $! >>"$RUN/h/processes"
    await 20 host_run h curl -s -o /dev/null http://127.0.0.1:4000/jwks </dev/null
    printf '%s\n' $!
}

inside() { host_run h bash -euo pipefail /opt/rig/host/edge/oidc.bash "$@" </dev/null; }

test_people_and_programs_of_an_identity_provider_come_in_by_its_rules() {
    local pid old
    boot h
    inside edge_open
    inside issuer
    pid=$(provider "$RUN/h/keys.1")
    inside sign_in_and_out
    inside state_of_another_login
    inside who_has_no_rule
    inside access_tokens
    # Other keys: what is signed by them is taken at once, what the old ones signed no longer once the edge has forgotten them.
    old=$(inside robot)
    kill "$pid"
    provider "$RUN/h/keys.2" >/dev/null
    inside new_keys "$old"
}
