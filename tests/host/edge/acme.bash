# shellcheck shell=bash disable=SC2119 # nothing to pass on
# Certificates by ACME, from inside the host on which the edge and the authority run (see outside_edge_acme.sh).

# shellcheck source=tests/support/rig/inhost/assert.sh
. /opt/rig/inhost/assert.sh
# shellcheck source=tests/host/edge/edge.bash
. /opt/rig/host/edge/edge.bash

DIRECTORY=https://acme.test:14000/dir
# The authority behind its own address, and the one that signs certificates, which is another one after each start.
CA=/run/pebble/ca.pem
ROOT=/run/pebble/root.pem

# pebble_start: the authority, which looks at port 80 of names as /etc/hosts has them. It refuses a nonce now and then, as any may; three in
# a row would fail an order.
pebble_start() {
    systemd-run -q --unit=pebble --setenv=PEBBLE_VA_NOSLEEP=1 --setenv=PEBBLE_WFE_NONCEREJECT=5 \
        /usr/local/bin/pebble -config /run/pebble/config.json
    eventually 20 curl -sf --cacert "$CA" -o "$ROOT" https://acme.test:15000/roots/0
}

# pebble_says: everything that it did since it was started
pebble_says() { journalctl -u pebble -o cat --no-pager; }

# looked_at NAME: how often the authority looked at this name
looked_at() { pebble_says | grep -c "Attempting to validate w/ HTTP: http://$1[:/]" || true; }

# trusted NAME: whether its certificate is the authority's, seen by a client that trusts nothing else
trusted() { [ "$(outside curl -s --max-time 10 --cacert "${2:-$ROOT}" --resolve "*:443:$INSIDE" -o /dev/null -w '%{http_code}' "https://$1/.tenantd/whoami")" != 000 ]; }

# asks NAME: a request that looks at no certificate; prints the status
asks() { outside curl -sk --max-time 10 --resolve "*:443:$INSIDE" -o /dev/null -w '%{http_code}' "https://$1/.tenantd/whoami"; }

# plain NAME PATH [OPTION…]: a request at port 80
plain() {
    local name=$1 path=$2
    shift 2
    outside curl -sS --max-time 10 --path-as-is --resolve "*:80:$INSIDE" -w '%{http_code}' -o /dev/null "$@" "http://$name$path"
}

# number NAME: of the metrics
number() { curl -sS --unix-socket /run/tenantd-edge/metrics.sock http://edge/metrics | awk -v name="tenantd_edge_$1" '$1 == name {print $2}'; }

# served OPTION…: the certificate that openssl is shown
served() { openssl s_client -connect "$INSIDE:443" "$@" </dev/null 2>/dev/null; }

edge_journal() { journalctl -u tenantd-edge -o cat --no-pager; }

tenant() {
    tenantctl create "$1" --runtime generic --port 18789 --command '/usr/local/lib/standin/bin/standin-gateway --port 18789' >/dev/null
}

open() {
    local name
    for name in acme.test "$DOMAIN" alpha.$DOMAIN beta.$DOMAIN gamma.$DOMAIN delta.$DOMAIN nosuch.$DOMAIN; do
        # beta leads nowhere: to the authority it is a name that is not here.
        [ "$name" = "beta.$DOMAIN" ] || printf '127.0.0.1 %s\n' "$name"
    done >>/etc/hosts
    mkdir -p /run/pebble
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /run/pebble/ca.key -out "$CA" -days 2 -subj '/CN=test' 2>/dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /run/pebble/key.pem -out /run/pebble/request.pem -subj '/CN=acme.test' 2>/dev/null
    openssl x509 -req -in /run/pebble/request.pem -CA "$CA" -CAkey /run/pebble/ca.key -CAcreateserial -days 1 -out /run/pebble/cert.pem \
        -extfile <(echo 'subjectAltName=DNS:acme.test') 2>/dev/null
    cat >/run/pebble/config.json <<'JSON'
{"pebble": {"listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000", "certificate": "/run/pebble/cert.pem",
"privateKey": "/run/pebble/key.pem", "httpPort": 80, "tlsPort": 443, "ocspResponderURL": "", "externalAccountBindingRequired": false}}
JSON
    pebble_start
    edge_open
    # Terms are agreed to or nothing is ordered, and what is wrong is shown with its place.
    assert_status 64 tenantctl edge enable --acme-contact admin@agents.test --acme-directory "$DIRECTORY"
    printf 'domain = "agents.test"\n[acme]\ncontact = "admin@agents.test"\nterms_agreed = false\n' >/run/wrong.toml
    assert_status 78 tenantctl edge check /run/wrong.toml
    assert_match "$OUTPUT" 'wrong.toml:4:16: .*terms_agreed = true'
    assert_ok tenantctl edge enable --acme-contact admin@agents.test --acme-terms-agreed --acme-directory "$DIRECTORY"
    assert_match "$(cat /etc/tenantd/edge.toml)" 'terms_agreed = true'
    # The system does not know this authority.
    sed -i "/^\[acme\]/a ca_file = \"$CA\"" /etc/tenantd/edge.toml
    assert_ok tenantctl edge check
    assert_ok tenantctl edge reload
    assert_match "$OUTPUT" "ordered by ACME from $DIRECTORY"
    sleep 0.6 # the edge looks at its files four times a second
}

ordered_when_asked_for() {
    assert_fails trusted "alpha.$DOMAIN"
    eventually 30 trusted "alpha.$DOMAIN"
    # The domain itself, over http:// first.
    assert_eq "$(plain "$DOMAIN" /)" 308
    eventually 30 trusted "$DOMAIN"
    assert_match "$(edge_journal)" "alpha.$DOMAIN has a certificate of $DIRECTORY"
    assert_eq "$(number acme_certificates)" 2
    [ "$(number acme_first_expiry_seconds)" -gt "$(date +%s)" ] || fail "the metrics do not say when it expires"
    # Nobody else reads the keys, and the edge is as confined as before.
    assert_eq "$(find /var/lib/tenantd-edge/acme -type f ! -perm 0600 | wc -l)" 0
    assert_eq "$(find /var/lib/tenantd-edge/acme -type f -name '*.pem' | wc -l)" 2
    assert_eq "$(find /var/lib/tenantd-edge/acme ! -user tenantd-edge | wc -l)" 0
    assert_eq "$(awk '/^Seccomp:/ {print $2}' "/proc/$(edge_pid)/status")" 2
    assert_eq "$(served -servername "alpha.$DOMAIN" | openssl x509 -noout -ext subjectAltName | tail -n 1 | tr -d ' ')" "DNS:alpha.$DOMAIN"
    # A client that sends no name gets the one that was given.
    assert_match "$(served -noservername | openssl x509 -noout -subject)" 'tenantd edge'
}

strangers_open_no_order() {
    local before failed number
    before=$(number acme_orders_total) failed=$(number acme_failures_total)
    for number in 1 2 3 4 5; do
        asks "nosuch.$DOMAIN" >/dev/null
        asks "nosuch$number.$DOMAIN" >/dev/null
        asks "a.alpha.$DOMAIN" >/dev/null
        asks "elsewhere.example" >/dev/null
        plain "nosuch.$DOMAIN" / >/dev/null
    done
    sleep 2
    assert_eq "$(number acme_orders_total)" "$before"
    assert_eq "$(number acme_failures_total)" "$failed"
    assert_match "$(pebble_says)" "alpha.$DOMAIN" # the positive control
    assert_no_match "$(pebble_says)" 'nosuch|elsewhere|a\.alpha'
}

forged_challenges() {
    local at=/.well-known/acme-challenge path
    for path in $at/x $at/ $at/../../../../etc/passwd $at/%2e%2e%2fetc%2fpasswd $at/x/y "$at/*"; do
        assert_eq "$(plain "alpha.$DOMAIN" "$path")" 404 "$path"
    done
    assert_eq "$(plain "alpha.$DOMAIN" "$at/x" -X POST)" 404
    assert_eq "$(plain nosuch.example "$at/x")" 421
    # What is no challenge is led to https:// as ever.
    for path in / $at /.well-known/security.txt /.well-known/acme-challenges/x; do
        assert_eq "$(plain "alpha.$DOMAIN" "$path")" 308 "$path"
    done
    # Over https:// the path is a tenant's own.
    assert_eq "$(status alpha "$at/x" -k)" 401
    # One that was ordered is answered no more.
    path=$(pebble_says | grep -o "http://alpha.$DOMAIN:80$at/[A-Za-z0-9_-]*" | head -n 1)
    [ -n "$path" ] || fail "the authority did not look"
    assert_eq "$(plain "alpha.$DOMAIN" "${path#*:80}")" 404
}

a_tenant_made_later() {
    tenant gamma
    assert_match "$(asks "gamma.$DOMAIN")" '401'
    eventually 30 trusted "gamma.$DOMAIN"
    assert_ok trusted "alpha.$DOMAIN"
}

a_name_that_is_refused() {
    local before failed number
    before=$(number acme_orders_total) failed=$(number acme_failures_total)
    # The first to ask waits for nothing.
    assert_eq "$(asks "beta.$DOMAIN")" 401
    eventually 60 sh -c "journalctl -u tenantd-edge -o cat | grep -q 'gives no certificate to beta.$DOMAIN'"
    for number in 1 2 3 4 5; do assert_eq "$(asks "beta.$DOMAIN")" 401; done
    sleep 2
    assert_eq "$(number acme_orders_total)" $((before + 1))
    assert_eq "$(number acme_failures_total)" $((failed + 1))
    assert_eq "$(edge_journal | grep -c "gives no certificate to beta.$DOMAIN")" 1
    assert_match "$(edge_journal)" "beta.$DOMAIN: .*asked for again in 3600 s .does http://beta.$DOMAIN/ lead to port 80"
}

kept_over_a_restart() {
    local orders
    orders=$(pebble_says | grep -c 'POST /order-plz' || true)
    [ "$orders" -gt 0 ] || fail "the authority counts no orders"
    systemctl restart tenantd-edge.service
    # The first connection has it already.
    assert_ok trusted "alpha.$DOMAIN"
    assert_ok trusted "gamma.$DOMAIN"
    assert_ok trusted "$DOMAIN"
    # A name that was refused is not asked for again because the edge was started.
    assert_eq "$(asks "beta.$DOMAIN")" 401
    sleep 2
    assert_eq "$(number acme_orders_total)" 0
    assert_eq "$(pebble_says | grep -c 'POST /order-plz' || true)" "$orders"
}

the_authority_goes_and_comes_back() {
    local before=/run/pebble/before.pem
    cp "$ROOT" "$before"
    systemctl stop pebble.service
    tenant delta
    assert_eq "$(asks "delta.$DOMAIN")" 401
    eventually 20 sh -c "journalctl -u tenantd-edge -o cat | grep -q 'cannot order the certificate of delta.$DOMAIN from $DIRECTORY: .*onnection refused'"
    assert_ok trusted "alpha.$DOMAIN" "$before"
    assert_eq "$(asks "delta.$DOMAIN")" 401
    sleep 12 # it is asked again meanwhile
    assert_eq "$(edge_journal | grep -c 'cannot order the certificate of delta')" 1
    # Pebble keeps nothing: our account is unknown to it now, and its root is another.
    pebble_start
    eventually 90 trusted "delta.$DOMAIN"
    assert_match "$(edge_journal)" "$DIRECTORY gives certificates again"
    assert_ok trusted "alpha.$DOMAIN" "$before"
    assert_no_match "$(edge_journal)" 'PRIVATE KEY'
}

without_it_again() {
    edge_settings
    assert_fails trusted "delta.$DOMAIN"
    assert_eq "$(asks "delta.$DOMAIN")" 401
    assert_eq "$(plain "alpha.$DOMAIN" /.well-known/acme-challenge/x)" 308
    systemctl stop pebble.service
    edge_close
}

# What a failure leaves to look at.
trap 'status=$?; [ "$status" -eq 0 ] || edge_journal | grep -E "certificate|account|authority" | tail -n 20 >&2; exit "$status"' EXIT

"$@"
