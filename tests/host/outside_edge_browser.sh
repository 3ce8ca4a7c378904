# The edge in a real browser: Chromium of this machine, in the network outside of the host. Pictures are kept in target/hosts/artefacts.
# shellcheck shell=bash
# hosts: nspawn

HERE=${BASH_SOURCE[0]%/*}/edge

in_host() { host_run h bash -euo pipefail -c '. /opt/rig/inhost/assert.sh; . /opt/rig/host/edge/edge.bash; "$@"' in-host "$@" </dev/null; }
link_for() { host_run h tenantctl login "$1" --role "$2" --subject "$2" --json </dev/null | python3 -c 'import json,sys; print(json.load(sys.stdin)["url"])'; }
# shellcheck disable=SC2016 # expanded in the host
trusted() {
    host_run h sh -c 'openssl x509 -in /var/lib/tenantd/edge/tls/cert.pem -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary | base64 -w 0' </dev/null
}
browse() { # PROGRAM WORD…
    local program=$1
    shift
    python3 "$HERE/$program" "/proc/$(cat "$RUN/h/leader")/root/run/netns/outside" 198.51.100.1 "$(trusted)" "$@"
}

test_a_person_signs_in_by_a_link_and_talks_to_an_agent_in_the_control_ui() {
    local pictures=$RIG_CACHE/artefacts
    need_packages chromium
    boot h openclaw
    mkdir -p "$pictures"
    in_host edge_open
    host_run h sh -c 'cat >/srv/acme.toml' <"$HERE/acme.toml"
    host_run h tenantctl create acme --file /srv/acme.toml </dev/null
    host_run h tenantctl exec acme -- python3 -c "$(cat "$HERE/../openclaw/model.py")" 9100 >"$RUN/h/model.log" 2>&1 </dev/null &
    browse control_ui.py "$(link_for acme operator)" "$(link_for acme viewer)" "$pictures/control-ui.png"
    test -s "$pictures/control-ui.png"
}

test_a_hostile_tenants_page_has_nobodys_session() {
    need_packages chromium
    boot h
    in_host edge_open
    browse hostile_page.py "$(link_for alpha owner)" "$(link_for beta owner)"
}
