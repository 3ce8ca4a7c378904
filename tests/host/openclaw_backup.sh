# A conversation with a real OpenClaw gateway survives backup and restore, as the gateway itself says; a model that knows what it was told
# answers inside the cell.
# shellcheck shell=bash
# level: openclaw
# hosts: nspawn

HERE=${BASH_SOURCE[0]%/*}/openclaw
BACKUPS=/srv/backups

before_file() {
    mkdir -m 0700 "$BACKUPS"
    cat >/srv/acme.toml <<'TOML'
id = "acme"
runtime = "openclaw"
origins = ["https://acme.example.org"]

[settings.models]
mode = "replace"
[settings.models.providers.inside]
baseUrl = "http://127.0.0.1:9100/v1"
apiKey = "none"
api = "openai-completions"
models = [{ id = "parrot", name = "parrot" }]
[settings.agents.defaults]
model = { primary = "inside/parrot" }
TOML
    tenantctl create acme --file /srv/acme.toml
}
after_file() { tenantctl delete acme --destroy --yes; }

chat() { python3 "$HERE/chat.py" "$@"; }
field() { # TENANT EXPRESSION
    tenantctl status "$1" --json | python3 -c "import json,sys; d=json.load(sys.stdin); print($2)"
}
# The model ends with the cell's processes, so each start of a cell needs it anew.
model() {
    in_cell "$1" python3 -c "$(cat "$HERE/model.py")" 9100 >/dev/null 2>&1 </dev/null &
    eventually 30 in_cell "$1" sh -c 'curl -s -o /dev/null http://127.0.0.1:9100/'
}
backed_up() { # frozen|stopped [OPTION]
    local made
    made=$(tenantctl backup acme --to "$BACKUPS" --json "${@:2}")
    python3 -c 'import json,sys; [d]=json.load(sys.stdin); assert d["quiesced"] == sys.argv[1] and d["verified"], d; print(d["file"])' "$1" <<<"$made"
}
whole() { # DIRECTORY: every database below it
    local found
    found=$(python3 "$HERE/databases.py" "$1")
    assert_match "$found" 'openclaw-agent.sqlite: ok'
    assert_match "$found" 'openclaw.sqlite: ok'
    assert_eq "$(grep -v ': ok$' <<<"$found" || true)" ""
    # The positive control: half a database.
    mkdir /srv/torn
    sqlite3 /srv/torn/torn.sqlite 'CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(100000))'
    truncate -s 50000 /srv/torn/torn.sqlite
    assert_match "$(python3 "$HERE/databases.py" /srv/torn)" 'torn.sqlite: database disk image is malformed'
    rm -r /srv/torn
}

test_a_conversation_survives_a_backup_the_tenants_destruction_and_a_restore() {
    local file before
    model acme
    assert_eq "$(chat acme say 'Keep word-heron in mind.')" 'I know word-heron.'
    before=$(chat acme history)
    file=$(backed_up frozen)
    # It was frozen and goes on; what is said now is in no backup.
    assert_eq "$(chat acme say 'And word-otter.')" 'I know word-heron word-otter.'
    assert_ok tenantctl delete acme --destroy --yes
    test ! -e /var/lib/tenants/acme
    assert_ok tenantctl restore "$file" --no-start
    # As they were frozen, before a gateway mends anything.
    whole /var/lib/tenants/acme/state
    assert_ok tenantctl start acme
    assert_eq "$(field acme '(d["health"], d["drift"])')" "('ready', [])"
    assert_eq "$(chat acme sessions)" agent:main:main
    assert_eq "$(chat acme history)" "$before"
    # The gateway gives its model the whole of it.
    model acme
    assert_eq "$(chat acme say 'And word-raven.')" 'I know word-heron word-raven.'
}

test_a_conversation_comes_back_over_the_one_of_today() {
    local file before
    model acme
    chat acme say 'Keep word-stork in mind.'
    before=$(chat acme history)
    file=$(backed_up frozen)
    assert_match "$(chat acme say 'And word-beaver.')" 'word-beaver'
    assert_ok tenantctl restore "$file" --yes
    assert_eq "$(field acme '(d["health"], d["drift"])')" "('ready', [])"
    assert_eq "$(chat acme history)" "$before"
}

test_a_conversation_becomes_another_tenants_while_the_first_goes_on() {
    local file before
    model acme
    chat acme say 'Keep word-crane in mind.'
    before=$(chat acme history)
    # Stopped: the state of a frozen gateway says that it is in use, and the copy believes it as long as the first one runs.
    file=$(backed_up stopped --stop)
    assert_ok tenantctl restore "$file" --as acme2 --no-start
    later tenantctl delete acme2 --destroy --yes
    whole /var/lib/tenants/acme2/state
    assert_ok tenantctl start acme2
    assert_eq "$(field acme2 '(d["health"], d["drift"])')" "('ready', [])"
    assert_eq "$(chat acme2 history)" "$before"
    model acme2
    assert_match "$(chat acme2 say 'And word-viper.')" 'word-crane word-viper'
    assert_eq "$(chat acme history)" "$before"
    whole /var/lib/tenants/acme2/state
}
