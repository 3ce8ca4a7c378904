# Models: a tenant talks to them by a name of its own, with keys that it never has, within what may be spent.
# shellcheck shell=bash disable=SC2016,SC2034,SC2317 # expanded in the cell; used by "world.sh"; called by "eventually"
# level: tenants
# hosts: nspawn

# shellcheck source=tests/host/egress/world.sh
. "${BASH_SOURCE[0]%/*}/egress/world.sh"
INSIDE=http://inference.internal

# models [LINE…]: two providers of one kind and one of another; lines of the budget.
models() {
    cat <<'TOML'
[egress]
profile = "team"
default = "deny"

[egress.aliases]
best = "parrot"

[[egress.provider]]
name = "first"
api = "openai"
url = "https://openai.example.com"
secret = "first-key"
models = ["parrot", "parrot-*"]
prices = [{ model = "*", input = "3", output = "15" }]

[[egress.provider]]
name = "second"
api = "openai"
url = "https://backup.example.com"
secret = "second-key"
models = ["parrot"]
prices = [{ model = "*", input = "3", output = "15" }]

[[egress.provider]]
name = "claude"
api = "anthropic"
url = "https://anthropic.example.com"
secret = "claude-key"
models = ["claude-*"]
prices = [{ model = "*", input = "3", output = "15" }]
TOML
    [ $# -eq 0 ] || printf '[egress.budget]\n'
    [ $# -eq 0 ] || printf '%s\n' "$@"
}

before_file() {
    world_open
    printf %s "$OPENAI_KEY" | tenantctl secret set alpha first-key --for proxy
    printf %s "$BACKUP_KEY" | tenantctl secret set alpha second-key --for proxy
    printf %s "$ANTHROPIC_KEY" | tenantctl secret set alpha claude-key --for proxy
    models | egress_set alpha
    as_usual
}
after_file() {
    egress_reset alpha
    world_close
}

as_usual() {
    local name
    for name in openai backup anthropic; do provider_does "$name" '{}'; done
}
# fresh [LINE…]: nothing was spent yet, with this budget.
fresh() {
    systemctl stop tenant-egress@alpha.service
    rm -f /var/lib/private/tenant-egress/alpha/usage.json
    models "$@" | egress_set alpha
}
body() { # MODEL STREAM
    printf '{"model":"%s","stream":%s,"max_tokens":50,"messages":[{"role":"user","content":"word-of-the-prompt"}]}' "$1" "$2"
}
post() { # PATH BODY [OPTION…]
    direct alpha -N "$INSIDE$1" -H 'Content-Type: application/json' -H 'Authorization: Bearer nothing' -d "$2" "${@:3}"
}
chat() { post /v1/chat/completions "$(body "${1:-parrot}" "${2:-false}")" "${@:3}"; }
chat_code() { chat "${1:-parrot}" "${2:-false}" "${@:3}" -o /dev/null -w '%{http_code}' 2>/dev/null || true; }
message() { post /v1/messages "$(body "${1:-claude-small}" "${2:-false}")" "${@:3}"; }
used() { # FIELD: of all days and models of alpha
    tenantctl usage alpha --json | json "sum(u['$1'] for t in it for day in t['usage']['days'].values() for models in day.values() for u in models.values())"
}
asked_of() { log_since providers "$2" | grep -c "\"name\": \"$1.example.com\"" || true; } # NAME MARK

test_a_chat_is_answered_by_the_provider_with_a_key_that_the_tenant_never_sent() {
    local mark
    mark=$(log_mark providers)
    assert_match "$(chat)" '"content": *"PONG'
    assert_match "$(log_since providers "$mark")" '"name": "openai.example.com", "path": "/v1/chat/completions", "key": "good", "model": "parrot"'
    assert_match "$(by_proxy alpha "$INSIDE/v1/chat/completions" -H 'Content-Type: application/json' -d "$(body parrot false)")" PONG
    assert_match "$(message)" '"text": *"PONG'
    assert_match "$(log_since providers "$mark")" '"name": "anthropic.example.com", "path": "/v1/messages", "key": "good"'
    assert_eq "$(code direct alpha https://openai.example.com/v1/models)" 000 # only by this way
}

test_an_answer_streams_word_by_word() {
    local said
    provider_does openai '{"words": 12, "pause": 0.3}'
    later as_usual
    # The first words are there long before the last.
    said=$(in_cell alpha sh -c 'curl -sSN --noproxy "*" -H "Content-Type: application/json" -d "$1" "$0" | { head -n 3; date +%s%3N >&2; cat >/dev/null; date +%s%3N >&2; }' \
        "$INSIDE/v1/chat/completions" "$(body parrot true)" 2>&1 >/dev/null | paste -sd' ')
    [ $((${said#* } - ${said% *})) -gt 1500 ] || fail "it came at once: $said"
    assert_match "$(chat parrot true)" 'word11.*data: \[DONE\]'
    assert_match "$(message claude-small true)" 'event: message_start.*event: message_stop'
}

test_the_keys_are_nowhere_in_the_cell() {
    local key hex
    chat >/dev/null
    for key in "$OPENAI_KEY" "$BACKUP_KEY" "$ANTHROPIC_KEY"; do
        hex=$(printf %s "$key" | od -An -tx1 | tr -d ' \n')
        assert_eq "$(program alpha client.py environment "$hex")" nowhere
        assert_eq "$(journalctl -b -q -o cat | grep -c "$key" || true)" 0
        assert_fails grep -raqs "$key" /var/lib/tenantd /var/lib/private /run/tenantd /etc/tenantd
    done
}

test_prompts_and_answers_are_written_nowhere() {
    chat >/dev/null
    message claude-small true >/dev/null
    assert_eq "$(journalctl -b -q -o cat | grep -c word-of-the-prompt || true)" 0
    assert_fails grep -raqs word-of-the-prompt /var/lib/tenantd /var/lib/private /run/tenantd
    assert_ok grep -q word-of-the-prompt "$WORLD/web.log" # the positive control: it was sent
}

test_a_model_that_is_not_listed_is_refused_and_an_alias_stands_for_one_that_is() {
    local mark
    mark=$(log_mark providers)
    assert_match "$(chat_code gpt-expensive)" '^40[034]$'
    assert_match "$(chat gpt-expensive)" 'gpt-expensive'
    assert_eq "$(log_since providers "$mark")" ""
    assert_match "$(chat best)" PONG
    assert_match "$(log_since providers "$mark")" '"model": "parrot"'
}

test_no_other_path_and_no_other_host_is_a_way_to_a_provider() {
    local mark path
    mark=$(log_mark providers)
    for path in /v1/files /v1/fine_tuning/jobs /v1/organization/usage / /v2/chat/completions /v1/../admin '/v1/chat/completions/../../files' /v1/%63hat/files \
        //v1/files '/v1/models/parrot/../../files'; do
        assert_match "$(code direct alpha --path-as-is "$INSIDE$path")" '^4'
    done
    assert_match "$(code direct alpha -X DELETE "$INSIDE/v1/models/parrot")" '^4'
    assert_match "$(direct alpha -i -H 'Host: other.example.com' "$INSIDE/v1/models" || true)" '40[0-9]|42[0-9]|^$'
    assert_eq "$(log_since providers "$mark" | grep -vc '"path": "/v1/models"' || true)" 0
    assert_match "$(direct alpha "$INSIDE/v1/models")" parrot
}

test_a_tenant_without_providers_has_no_such_route() {
    printf '[egress]\nprofile = "team"\ndefault = "deny"\n' | egress_set beta
    later egress_reset beta
    nothing_leaves direct beta -f "$INSIDE/v1/models"
    [ "$STATUS" -ne 0 ] || fail "it was answered"
}

test_the_next_provider_is_asked_when_the_first_fails() {
    local mode mark
    later as_usual
    for mode in 503 500 429; do
        provider_does openai "{\"mode\": \"$mode\"}"
        mark=$(log_mark providers)
        assert_match "$(chat)" PONG "$mode"
        assert_eq "$(asked_of backup "$mark")" 1 "$mode"
        assert_match "$(chat parrot true)" 'PONG' "$mode, streamed"
    done
    provider_does backup '{"mode": "503"}'
    assert_match "$(chat_code)" '^(502|503|429)$'
    # Of what a client did wrong there is no second opinion.
    provider_does openai '{"mode": "400"}'
    mark=$(log_mark providers)
    assert_eq "$(chat_code)" 400
    assert_eq "$(asked_of backup "$mark")" 0
}

test_a_provider_that_cannot_be_reached_is_passed_over() {
    local mark
    later eval 'models | egress_set alpha'
    models | sed 's/openai\.example\.com/untrusted.example.com/' | egress_set alpha
    mark=$(log_mark providers)
    assert_match "$(chat)" PONG
    assert_eq "$(asked_of backup "$mark")" 1
    # To one that cannot prove its name the key was not sent.
    assert_fails grep -q '"host": "untrusted.example.com"' "$WORLD/web.log"
}

test_a_provider_that_breaks_off_is_not_taken_for_one_that_ended() {
    later as_usual
    provider_does openai '{"mode": "cut"}'
    # Whichever comes first: one that failed a moment ago is tried last.
    provider_does backup '{"mode": "cut"}'
    assert_fails chat parrot true -f
    assert_eq "$(chat parrot true 2>/dev/null | grep -c 'DONE' || true)" 0
    as_usual
    assert_match "$(chat)" PONG
}

test_what_was_used_is_counted_streamed_or_not_and_shown() {
    fresh
    provider_does openai '{"prompt": 100, "completion": 20}'
    provider_does anthropic '{"prompt": 1000, "completion": 200}'
    later as_usual
    chat >/dev/null
    chat parrot true >/dev/null
    message >/dev/null
    message claude-small true >/dev/null
    counted() { [ "$(used requests) $(used input) $(used output)" = "4 2200 440" ]; }
    eventually 15 counted
    # 2200 × 3 + 440 × 15 millionths of a dollar
    assert_eq "$(used money)" 13200
    assert_match "$(tenantctl usage alpha)" alpha
}

test_what_was_used_survives_the_proxy() {
    fresh
    chat >/dev/null
    counted() { [ "$(used requests)" = 1 ]; }
    eventually 15 counted
    systemctl kill -s KILL tenant-egress@alpha.service
    chat >/dev/null
    counted() { [ "$(used requests)" = 2 ]; }
    eventually 15 counted
}

test_a_budget_that_is_used_up_refuses_the_next_request() {
    local mark
    later as_usual
    later fresh
    fresh 'tokens_day = 250'
    provider_does openai '{"prompt": 100, "completion": 20}'
    assert_eq "$(chat_code)" 200
    assert_eq "$(chat_code)" 200
    chat_code >/dev/null # may cross it
    mark=$(log_mark providers)
    assert_eq "$(chat_code)" 429
    assert_match "$(chat)" 'budget|tokens'
    assert_eq "$(chat_code parrot true)" 429
    assert_eq "$(log_since providers "$mark")" ""
    # It does not forget by dying, what it has written down: within two seconds.
    written() { [ "$(used input)" -ge 200 ]; }
    eventually 10 written
    systemctl kill -s KILL tenant-egress@alpha.service
    assert_eq "$(chat_code)" 429
    # More may be spent as soon as the operator says so.
    models 'tokens_day = 100000' | egress_set alpha
    assert_eq "$(chat_code)" 200
}

test_a_budget_that_is_used_up_ends_a_stream() {
    later as_usual
    later fresh
    fresh 'tokens_day = 60'
    provider_does openai '{"prompt": 5, "completion": 2000, "words": 2000, "pause": 0.005}'
    assert_no_match "$(chat parrot true 2>/dev/null || true)" 'word1999'
    assert_eq "$(chat_code)" 429
}

test_a_budget_of_money_counts_what_models_cost() {
    later as_usual
    later fresh
    fresh 'money_day = "0.001usd"'
    provider_does openai '{"prompt": 100, "completion": 50}' # 0.00105 dollars
    assert_eq "$(chat_code)" 200
    spent() { [ "$(chat_code)" = 429 ]; }
    eventually 5 spent
}

test_a_budget_that_only_alerts_goes_on() {
    later as_usual
    later fresh
    fresh 'tokens_day = 10' 'when_spent = "alert"'
    assert_eq "$(chat_code)" 200
    assert_eq "$(chat_code)" 200
    alerted() { journalctl -b -q -u tenant-egress@alpha.service -o cat | grep -i budget >/dev/null; }
    eventually 10 alerted
}

test_requests_of_a_minute_are_bounded() {
    local number codes=
    later fresh
    fresh 'requests_minute = 5'
    for number in 1 2 3 4 5 6 7 8 9 10; do codes+=" $(chat_code)"; done
    assert_match "$codes" '200.*429'
    [ "$(grep -o 200 <<<"$codes" | wc -l)" -le 6 ] || fail "$codes"
    assert_match "$(chat parrot false -i)" '[Rr]etry-[Aa]fter: [0-9]+'
}

test_a_request_that_is_none_is_refused_here() {
    local mark text
    mark=$(log_mark providers)
    for text in '' '{' '[]' '"x"' '{"model": 5}' '{"messages": []}' '{"model": "parrot", "model": "gpt-expensive", "messages": []}' \
        "$(printf '{"model": "parrot", "x": %s1%s}' "$(printf '[%.0s' $(seq 5000))" "$(printf ']%.0s' $(seq 5000))")"; do
        assert_match "$(post /v1/chat/completions "$text" -o /dev/null -w '%{http_code}')" '^4'
    done
    assert_eq "$(log_since providers "$mark" | grep -c expensive || true)" 0
    assert_match "$(in_cell alpha sh -c 'head -c 200000000 /dev/zero | curl -sS --noproxy "*" -o /dev/null -w "%{http_code}" --max-time 60 -T - -X POST "$0" 2>/dev/null' "$INSIDE/v1/chat/completions" || true)" '^(4|000)'
    assert_match "$(chat)" PONG
}
