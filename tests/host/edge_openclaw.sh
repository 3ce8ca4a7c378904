# A real OpenClaw gateway behind the edge, and its own command line before it.
# shellcheck shell=bash disable=SC2119,SC2317 # nothing to pass on; called by "eventually"
# level: openclaw
# hosts: nspawn

# shellcheck source=tests/host/edge/edge.bash
. "${BASH_SOURCE[0]%/*}/edge/edge.bash"
HOME_OF_CLIENT=/srv/client

before_file() {
    edge_open
    tenantctl create acme --file "$EDGE/acme.toml"
    echo "$INSIDE acme.$DOMAIN" >>/etc/hosts
}
after_file() {
    tenantctl delete acme --destroy --yes
    edge_close
}

# openclaw ROLE WORD…: its command line outside, with a token of that role in a header, as its documentation says of proxies like this one
openclaw() {
    local role=$1 version
    shift
    version=$(tenantctl runtime list --json | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["version"])')
    mkdir -p "$HOME_OF_CLIENT"
    cat >"$HOME_OF_CLIENT/openclaw.json" <<JSON
{"gateway": {"mode": "remote", "auth": {"mode": "none"}, "remote": {"url": "wss://acme.$DOMAIN",
 "edgeAuth": {"Authorization": {"source": "env", "provider": "default", "id": "ACME"}}}}}
JSON
    outside env -i PATH=/usr/bin:/bin HOME="$HOME_OF_CLIENT" OPENCLAW_STATE_DIR="$HOME_OF_CLIENT" OPENCLAW_CONFIG_PATH="$HOME_OF_CLIENT/openclaw.json" \
        NODE_EXTRA_CA_CERTS="$CERTIFICATE" ACME="Bearer $(token acme "$role")" \
        "/var/lib/tenantd/runtimes/openclaw/$version/node/bin/node" "/var/lib/tenantd/runtimes/openclaw/$version/app/node_modules/openclaw/openclaw.mjs" "$@"
}

test_its_command_line_reaches_it_with_the_scopes_of_the_role() {
    assert_match "$(openclaw viewer gateway call health --json)" '"ok": true'
    assert_fails openclaw viewer gateway call chat.send --json --params '{"sessionKey":"main","message":"x","idempotencyKey":"1"}'
    assert_match "$OUTPUT" 'missing scope: operator.write'
    assert_ok openclaw operator gateway call chat.send --json --params '{"sessionKey":"main","message":"x","idempotencyKey":"2"}'
    assert_ok openclaw owner gateway call device.pair.list --json
}

test_http_interfaces_give_a_role_its_own_scopes_and_no_more() {
    local who
    for who in viewer operator owner; do
        assert_match "$(at acme / -H "$(bearer "$(token acme "$who")")")" '<title>'
    done
    # Without the header that carries the scopes, everybody would be an administrator there.
    assert_eq "$(status acme /tools/invoke -H "$(bearer "$(token acme viewer)")" -H 'Content-Type: application/json' -d '{"tool":"sessions_list"}')" 403
    assert_no_match "$(at acme /tools/invoke -H "$(bearer "$(token acme operator)")" -H 'X-OpenClaw-Scopes: operator.admin' -H 'Content-Type: application/json' -d '{"tool":"gateway","args":{"action":"restart"}}')" '"ok": *true'
}

test_a_socket_of_the_gateway_ends_with_its_token() {
    local issued
    issued=$(tenantctl token issue acme --role viewer --subject ann --json)
    client hold acme "$(member token <<<"$issued")" /run/held &
    later rm -f /run/held /run/held.go
    eventually 20 test -s /run/held
    tenantctl token revoke --jti "$(member jti <<<"$issued")"
    touch /run/held.go
    eventually 5 grep -q ended /run/held
}

test_frames_good_and_bad_are_answered_as_without_the_edge() {
    assert_ok python3 "$EDGE/wire.py" acme "$(token acme operator)"
    assert_match "$OUTPUT" ' cases: [1-9][0-9]* go on, [1-9][0-9]* end, 0 differ$'
    # The positive control: a case that differs is told.
    assert_fails env ALTERED="2 ping of 125 bytes" python3 "$EDGE/wire.py" acme "$(token acme operator)"
    assert_match "$OUTPUT" ', 1 differ$'
}
