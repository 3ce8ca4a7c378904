# A real OpenClaw gateway behind its proxy: it talks to its model by a name of its own, and what its agent reaches for is asked about.
# shellcheck shell=bash disable=SC2016,SC2034,SC2317 # expanded in the cell; used by "world.sh"; called by "eventually"
# level: openclaw
# hosts: nspawn

# shellcheck source=tests/host/egress/world.sh
. "${BASH_SOURCE[0]%/*}/egress/world.sh"
HERE=${BASH_SOURCE[0]%/*}/openclaw

# the_spec: a gateway whose only model is behind the proxy.
the_spec() {
    cat <<TOML
id = "acme"
runtime = "openclaw"
origins = ["https://acme.example.org"]

[settings.models]
mode = "replace"
[settings.models.providers.inside]
baseUrl = "http://inference.internal/v1"
apiKey = "none"
api = "openai-completions"
models = [{ id = "parrot", name = "parrot" }]
[settings.agents.defaults]
model = { primary = "inside/parrot" }
TOML
}
# the_way_out DEFAULT
the_way_out() {
    printf '[egress]\nprofile = "team"\ndefault = "%s"\n' "$1"
    cat <<'TOML'
policy = '''
version: 1
network_policies:
  plain:
    endpoints:
      - { host: allowed.example.com, ports: [80, 443] }
  looked-at:
    endpoints:
      - { host: api.example.com, port: 443, protocol: rest, enforcement: enforce, access: read-only }
      - { host: ws.example.com, port: 443, protocol: websocket, enforcement: enforce,
          rules: [{ allow: { method: GET, path: "/**" } }, { allow: { method: WEBSOCKET_TEXT, path: "/**" } }] }
'''
[[egress.provider]]
name = "first"
api = "openai"
url = "https://openai.example.com"
secret = "first-key"
models = ["parrot"]
TOML
}

before_file() {
    world_open
    the_spec >/srv/acme.toml
    tenantctl create acme --file /srv/acme.toml
    printf %s "$OPENAI_KEY" | tenantctl secret set acme first-key --for proxy
    the_way_out deny | egress_set acme
}
after_file() {
    tenantctl delete acme --destroy --yes
    world_close
}

chat() { python3 "$HERE/chat.py" acme say "$@"; }
field() { tenantctl status acme --json | json "it$1"; }
node() { in_cell acme /run/tenantd/runtime/node/bin/node -e "$@"; }
# about HOST: number of the question about it; the gateway itself raises others
about() { tenantctl approvals list --json | json "next(str(q['number']) + '-' + q['digest'] for q in it if q['tenant'] == 'acme' and q['destination']['host'] == '$1' and q['state'] == 'waiting')"; }

test_the_gateway_talks_to_its_model_with_a_key_that_it_does_not_have() {
    local mark hex
    mark=$(log_mark providers)
    assert_match "$(chat 'say something')" PONG
    assert_match "$(log_since providers "$mark")" '"key": "good", "model": "parrot", "stream": true'
    hex=$(printf %s "$OPENAI_KEY" | od -An -tx1 | tr -d ' \n')
    assert_eq "$(program acme client.py environment "$hex")" nowhere
    # Usage is written within two seconds of a change.
    counted() { tenantctl usage acme --json | grep -q '"parrot"'; }
    eventually 10 counted
}

# What it looks for at its start, of which its settings do not stop all, leaves nothing and holds nothing up.
test_the_gateway_starts_with_its_look_ups_refused() {
    nothing_leaves systemctl restart tenant@acme.service
    assert_eq "$STATUS" 0
    healthy() { [ "$(field '["health"]')" = ready ]; }
    eventually 60 healthy
    assert_match "$(chat 'and after a start')" PONG
}

test_a_tool_that_reaches_for_what_is_not_listed_is_held_until_somebody_answers() {
    local number said="$WORLD/said"
    later eval 'the_way_out deny | egress_set acme'
    the_way_out ask | egress_set acme
    held "$said" chat 'RUNTOOL curl -sS --max-time 60 https://other.example.com/'
    eventually 60 about other.example.com
    number=$(about other.example.com)
    assert_match "$(tenantctl approvals list --json)" '/usr/bin/curl'
    assert_ok tenantctl approvals approve "$number" --because 'a test'
    eventually 90 test -e "$said"
    assert_match "$(cat "$said")" 'tool said <.*hello from other.example.com'
}

test_a_tool_is_told_when_it_is_refused() {
    local mark
    mark=$(log_mark web)
    assert_match "$(chat 'RUNTOOL curl -sS -i http://other.example.com/refused')" 'tool said <.*403'
    assert_eq "$(log_since web "$mark" | grep -c '"host": "other.example.com"' || true)" 0
    assert_match "$(chat 'RUNTOOL curl -sS https://allowed.example.com/')" 'hello from allowed.example.com'
}

test_node_reaches_what_is_allowed_by_fetch_by_its_http_client_and_by_websockets() {
    local fetch='fetch(process.argv[1]).then(r => r.text()).then(t => console.log(t.trim()), e => console.log("failed", e.cause?.code))'
    local get='require("https").get(process.argv[1], r => r.on("data", d => console.log(String(d).trim()))).on("error", e => console.log("failed", e.code))'
    local socket='const w = new WebSocket(process.argv[1]); w.onopen = () => w.send("over node"); w.onmessage = m => { console.log(m.data); w.close() }; w.onerror = () => console.log("failed")'
    assert_eq "$(node "$fetch" https://allowed.example.com/)" "hello from allowed.example.com"
    assert_match "$(node "$fetch" https://api.example.com/x)" '"path": "/x"'
    assert_eq "$(node "$get" https://allowed.example.com/)" "hello from allowed.example.com"
    assert_eq "$(node "$socket" wss://ws.example.com/echo)" "over node"
    assert_eq "$(in_cell acme env -u NODE_USE_ENV_PROXY /run/tenantd/runtime/node/bin/node -e "$fetch" https://allowed.example.com/)" \
        "hello from allowed.example.com"
    assert_match "$(node "$fetch" https://other.example.com/)" 'failed|403|not'
}

# Others' MCP servers lost the variables that name the authority: a child that a client starts by the SDK's rules gets only these variables. It
# believes the tenant's proxy all the same; Node.js, which has a list of its own, refuses and says so (docs/adr/0076).
test_a_child_that_gets_few_variables_believes_the_proxy() {
    local few fetch='fetch(process.argv[1]).then(r => r.text()).then(console.log, e => console.log(e.cause?.code))'
    few='exec env -i HOME="$HOME" PATH="$PATH" LOGNAME=acme SHELL=/bin/sh TERM=dumb USER=acme "$@"'
    assert_match "$(in_cell acme sh -c "$few" - curl -sS https://allowed.example.com/)" 'hello from allowed'
    assert_match "$(in_cell acme sh -c "$few" - curl -sS https://api.example.com/x)" '"path": "/x"'
    assert_match "$(in_cell acme sh -c "$few" - python3 "$PROGRAMS/client.py" urllib https://api.example.com/x)" '"path": "/x"'
    assert_match "$(in_cell acme sh -c "$few" - /run/tenantd/runtime/node/bin/node -e "$fetch" https://api.example.com/x)" 'UNABLE_TO_VERIFY|SELF_SIGNED'
    assert_match "$(in_cell acme /run/tenantd/runtime/node/bin/node -e "$fetch" https://api.example.com/x)" '"path": "/x"'
}

# Others cut WebSockets after two minutes and streams after one. The clock of a quiet connection is what cuts; so these are quiet for longer
# than a minute all at once, in the time that a test has, and a model thinks for as long.
test_a_quiet_websocket_a_slow_stream_and_a_model_that_thinks_are_not_cut() {
    provider_does openai '{"words": 2, "first": 70}'
    later provider_does openai '{}'
    direct acme -N --max-time 110 http://inference.internal/v1/chat/completions -H 'Content-Type: application/json' \
        -d '{"model":"parrot","stream":true,"messages":[{"role":"user","content":"x"}]}' >"$WORLD/thought" 2>&1 &
    program acme client.py count wss://ws.example.com/echo 75 >"$WORLD/quiet" 2>&1 &
    program acme client.py count wss://allowed.example.com/echo 75 >"$WORLD/quiet.plain" 2>&1 &
    direct acme -N --max-time 90 'https://api.example.com/slow?n=2&every=70' >"$WORLD/slow" 2>/dev/null &
    direct acme -N --max-time 90 'https://allowed.example.com/slow?n=2&every=70' >"$WORLD/slow.plain" 2>/dev/null &
    wait
    assert_eq "$(cat "$WORLD/quiet" "$WORLD/quiet.plain")" $'still here\nstill here'
    assert_eq "$(cat "$WORLD/slow" "$WORLD/slow.plain")" $'0\n1\n0\n1'
    assert_match "$(cat "$WORLD/thought")" 'word1.*DONE'
}

test_a_gateway_that_loops_is_held_back_by_its_budget() {
    local number mark
    later eval 'the_way_out deny | egress_set acme'
    { the_way_out deny; printf '[egress.budget]\nrequests_minute = 10\n'; } | egress_set acme
    mark=$(log_mark providers)
    for number in $(seq 30); do
        direct acme -o /dev/null http://inference.internal/v1/chat/completions -H 'Content-Type: application/json' \
            -d '{"model":"parrot","messages":[{"role":"user","content":"again"}]}'
    done
    [ "$(log_since providers "$mark" | wc -l)" -le 20 ] || fail "$(log_since providers "$mark" | wc -l) requests went through"
    assert_eq "$(field '["health"]')" ready
}
