# shellcheck shell=bash
# Signing in at an identity provider, from inside the host on which it runs (see outside_edge_oidc.sh).

# shellcheck source=tests/support/rig/inhost/assert.sh
. /opt/rig/inhost/assert.sh
# shellcheck source=tests/host/edge/edge.bash
. /opt/rig/host/edge/edge.bash

PROVIDER=http://127.0.0.1:4000

# web [OPTION…] URL: a browser on this host, with the jar $JAR
web() { curl -sS --max-time 20 --cacert "$CERTIFICATE" --resolve "*:443:127.0.0.1" -b "$JAR" -c "$JAR" "$@"; }

# settings: the provider is one of the edge's
issuer() {
    install -m 0600 /dev/stdin /etc/tenantd/op.secret <<<'a-secret-of-the-client'
    edge_settings '[[issuers]]' 'name = "op"' "issuer = \"$PROVIDER\"" 'client_id = "tenants"' 'client_secret_file = "/etc/tenantd/op.secret"' \
        'audience = "https://agents.test"' \
        '[[issuers.rules]]' 'claim = "groups"' 'value = "alpha-operators"' 'tenant = "alpha"' 'role = "operator"' \
        '[[issuers.rules]]' 'claim = "groups"' 'value = "alpha-robots"' 'tenant = "alpha"' 'role = "viewer"'
}

# go TENANT NAME: NAME signs in at the provider for TENANT; prints the last status and address
go() {
    local at page form
    page=$(web -L -w '\n%{url_effective}' "https://$1.$DOMAIN/.tenantd/oidc?issuer=op")
    form=$(sed -n 's/.*action="\([^"]*\)".*/\1/p' <<<"$page" | head -n 1)
    [[ $form == http* ]] || form=$PROVIDER$form
    page=$(web -L "$form" -d prompt=login -d "login=$2" -d password=any)
    form=$(sed -n 's/.*action="\([^"]*\)".*/\1/p' <<<"$page" | head -n 1)
    [[ $form == http* ]] || form=$PROVIDER$form
    # The address that the provider sends the browser back to is taken apart, so that a test may change it.
    at=$(web -o /dev/null -w '%{redirect_url}' "$form" -d prompt=consent)
    while [[ $at == "$PROVIDER"* ]]; do at=$(web -o /dev/null -w '%{redirect_url}' "$at"); done
    printf '%s\n' "$at"
}

# robot: an access token of the provider's
robot() {
    curl -sS -u robot:a-secret-of-the-robot -d grant_type=client_credentials -d "resource=${1:-https://agents.test}" "$PROVIDER/token" | member access_token
}

sign_in_and_out() {
    local back code
    JAR=/run/ann
    assert_match "$(web "https://alpha.$DOMAIN/.tenantd/login")" 'Sign in with op'
    back=$(go alpha ann)
    assert_match "$back" '^https://alpha\.agents\.test/\.tenantd/callback\?code='
    code=${back#*code=}
    # A code is good in the browser that asked, with the state it was asked with.
    assert_eq "$(JAR=/run/nobody web -o /dev/null -w '%{http_code}' "$back")" 403
    assert_eq "$(web -o /dev/null -w '%{http_code} %{redirect_url}' "$back")" "200 " # a page that goes on by itself: the session's cookie is SameSite=Strict
    assert_match "$(web "https://alpha.$DOMAIN/.tenantd/whoami")" '"role":"operator".*'
    assert_match "$(web "https://alpha.$DOMAIN/echo")" '\["x-forwarded-user","operator"\]'
    assert_match "$(web "https://alpha.$DOMAIN/.tenantd/whoami")" '"subject":"[^"]*ann'
    # Once.
    assert_match "$(web -o /dev/null -w '%{http_code}' "$back")" '^(403|502)$'
    assert_no_match "$(journalctl -u tenantd-edge -o export)" "${code%%&*}|a-secret-of-the-client"
}

state_of_another_login() {
    local back
    JAR=/run/ann.2
    back=$(go alpha ann)
    assert_eq "$(web -o /dev/null -w '%{http_code}' "${back/state=/state=x}")" 403
    assert_eq "$(web -o /dev/null -w '%{http_code}' "https://alpha.$DOMAIN/.tenantd/whoami")" 401
}

who_has_no_rule() {
    local back
    JAR=/run/bob
    back=$(go alpha bob)
    assert_eq "$(web -o /dev/null -w '%{http_code}' "$back")" 403
    # Nor has ann one for beta.
    JAR=/run/ann.3
    back=$(go beta ann)
    assert_eq "$(web -o /dev/null -w '%{http_code}' "$back")" 403
}

access_tokens() {
    local token
    token=$(robot)
    assert_match "$(at alpha /.tenantd/whoami -H "$(bearer "$token")")" '"role":"viewer"'
    assert_eq "$(status alpha /echo -H "$(bearer "$token")")" 200
    assert_eq "$(status alpha /echo -H "$(bearer "$token")" -d x=1)" 403
    assert_eq "$(status beta /echo -H "$(bearer "$token")")" 401
    assert_eq "$(status alpha /echo -H "$(bearer "$(robot https://other.example)")")" 401
}

# After the provider has come back with other keys.
new_keys() { # OLD TOKEN
    local old=$1
    # An unknown key makes the edge ask its provider anew, but not twice within five seconds.
    taken() { [ "$(status alpha /echo -H "$(bearer "$(robot)")")" = 200 ]; }
    eventually 10 taken
    dead() { [ "$(status alpha /echo -H "$(bearer "$old")")" = 401 ]; }
    eventually 10 dead
}

"$@"
