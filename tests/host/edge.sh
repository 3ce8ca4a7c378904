# The edge: who comes in from outside, as what, and what the gateway sees of it.
# shellcheck shell=bash disable=SC2016,SC2034,SC2119,SC2317 # expanded elsewhere; nothing to pass on; called by "eventually"
# level: tenants
# hosts: nspawn

# shellcheck source=tests/host/edge/edge.bash
. "${BASH_SOURCE[0]%/*}/edge/edge.bash"

before_file() { edge_open; }
after_file() { edge_close; }

test_a_token_opens_its_own_tenant_and_the_gateway_is_told_who_comes() {
    local echo
    echo=$(at alpha /echo -H "$(bearer "$(token alpha owner --subject ann)")")
    assert_match "$echo" '\["x-forwarded-user","owner"\]'
    assert_match "$echo" '\["x-tenantd-subject","ann"\]'
    assert_match "$echo" '\["x-forwarded-proto","https"\]'
    assert_match "$echo" '\["x-forwarded-host","alpha.agents.test"\]'
    assert_match "$echo" '\["x-forwarded-for","198.51.100.2"\]'
    assert_match "$echo" '\["host","alpha.agents.test"\]'
    assert_match "$(at alpha /.tenantd/whoami -H "$(bearer "$(token alpha viewer --subject ann)")")" '"role":"viewer"'
    assert_eq "$(at alpha /echo --http2 -o /dev/null -w '%{http_version}' -H "$(bearer "$(token alpha owner)")")" 2
}

test_whoever_brings_no_good_credential_stays_outside() {
    local good headers
    good=$(token alpha owner)
    assert_eq "$(status alpha /echo -H "$(bearer "$good")")" 200
    assert_eq "$(status alpha /echo)" 401
    assert_eq "$(status alpha /echo -H 'Authorization: Bearer nonsense')" 401
    assert_eq "$(status alpha /echo -H "$(bearer "$(token beta owner)")")" 401
    assert_eq "$(status alpha /echo -H "Authorization: Basic $(printf 'x:%s' "$(token beta owner)" | base64 -w 0)")" 401
    assert_eq "$(status alpha /echo -H "Authorization: Basic $(printf 'x:%s' "$good" | base64 -w 0)")" 200
    assert_eq "$(status alpha "/echo?token=$good")" 401
    headers=$(at alpha /echo -D - -o /dev/null)
    assert_match "$headers" 'www-authenticate: Bearer'
    # The client reads no reason, only a number under which the journal has it.
    assert_match "$(at alpha /echo)" '"error":"unauthorized".*"request_id":"[0-9a-f-]+"'
    assert_match "$(at alpha / -H 'Accept: text/html' -L)" '<html|<!doctype'
}

test_a_viewer_looks_and_does_not_write() {
    local viewer operator
    viewer=$(token alpha viewer) operator=$(token alpha operator)
    assert_eq "$(status alpha /echo -H "$(bearer "$viewer")")" 200
    assert_eq "$(status alpha /echo -H "$(bearer "$viewer")" -X POST -d x=1)" 403
    assert_eq "$(status alpha /echo -H "$(bearer "$viewer")" -X DELETE)" 403
    assert_eq "$(status alpha /echo -H "$(bearer "$viewer")" -H 'X-HTTP-Method-Override: POST' -X PATCH)" 403
    assert_eq "$(client upgrade alpha "$(bearer "$viewer")")" 403
    assert_match "$(at alpha /echo -H "$(bearer "$operator")" -d x=1)" '"body":"x=1"'
    assert_eq "$(client upgrade alpha "$(bearer "$operator")")" 101
}

test_a_token_dies_with_its_time() {
    local short
    short=$(token alpha owner --ttl 5s)
    client hold alpha "$short" /run/held &
    later rm -f /run/held /run/held.go
    eventually 5 test -s /run/held
    assert_eq "$(status alpha /echo -H "$(bearer "$short")")" 200
    eventually 8 grep -q ended /run/held
    assert_eq "$(status alpha /echo -H "$(bearer "$short")")" 401
}

test_revocation_ends_what_is_open_within_a_second() {
    local one other by what how
    for by in jti subject tenant; do
        one=$(tenantctl token issue alpha --role owner --subject ann --json)
        other=$(token beta owner --subject bob)
        client hold alpha "$(member token <<<"$one")" /run/socket & client stream alpha "$(member token <<<"$one")" /run/stream &
        client hold beta "$other" /run/other &
        later rm -f /run/socket /run/stream /run/other /run/socket.go /run/stream.go /run/other.go
        for how in socket stream other; do eventually 10 test -s "/run/$how"; done
        case $by in jti) what=$(member jti <<<"$one") ;; subject) what=ann ;; tenant) what=alpha ;; esac
        # What ends before the watch begins, but after this, was ended by the revocation.
        for how in socket stream other; do assert_eq "$(cat "/run/$how")" open; done
        tenantctl token revoke "--$by" "$what"
        touch /run/socket.go /run/stream.go
        for how in socket stream; do
            eventually 5 grep -q ended "/run/$how"
            assert_match "$(cat "/run/$how")" '^ended (-|0|1\.0)'
        done
        assert_eq "$(status alpha /echo -H "$(bearer "$(member token <<<"$one")")")" 401
        # Another tenant's socket goes on.
        assert_eq "$(cat /run/other)" open
        assert_eq "$(status beta /echo -H "$(bearer "$other")")" 200
        touch /run/other.go
        tenantctl token revoke --subject bob
        eventually 5 grep -q ended /run/other
        rm -f /run/socket /run/stream /run/other /run/*.go
        sleep 1.1 # what is issued in the second of a revocation is revoked, too
    done
    assert_eq "$(status alpha /echo -H "$(bearer "$(token alpha owner --subject ann)")")" 200
}

test_a_login_link_signs_one_browser_in_once() {
    local url ticket jar=/run/jar
    later rm -f "$jar" "$jar.2"
    url=$(tenantctl login alpha --role operator --subject ann --json | member url)
    assert_match "$url" '^https://alpha.agents.test/.tenantd/login\?ticket='
    ticket=${url#*ticket=}
    # Looking at it uses nothing up.
    assert_match "$(at alpha "/.tenantd/login?ticket=$ticket")" 'method="post"'
    assert_eq "$(status alpha /.tenantd/login -H 'Origin: https://evil.example' -d "ticket=$ticket")" 403
    assert_eq "$(status beta /.tenantd/login -H 'Origin: https://beta.agents.test' -d "ticket=$ticket")" 403
    assert_eq "$(status alpha /.tenantd/login -c "$jar" -H 'Origin: https://alpha.agents.test' -d "ticket=$ticket")" 303
    assert_eq "$(status alpha /.tenantd/login -c "$jar.2" -H 'Origin: https://alpha.agents.test' -d "ticket=$ticket")" 403
    assert_match "$(at alpha /.tenantd/whoami -b "$jar")" '"role":"operator"'
    assert_match "$(cat "$jar")" '#HttpOnly_alpha.agents.test	FALSE	/	TRUE.*__Host-tenantd'
    # A ticket is no token, and a token no ticket.
    ticket=$(tenantctl login alpha --json | member url)
    assert_eq "$(status alpha /echo -H "$(bearer "${ticket#*ticket=}")")" 401
    assert_eq "$(status alpha /.tenantd/login -H 'Origin: https://alpha.agents.test' -d "ticket=$(token alpha owner)")" 403
    # The used ticket stays used over a restart of the edge.
    ticket=${url#*ticket=}
    systemctl restart tenantd-edge.service
    assert_eq "$(status alpha /.tenantd/login -H 'Origin: https://alpha.agents.test' -d "ticket=$ticket")" 403
    assert_eq "$(status alpha /.tenantd/logout -b "$jar" -H 'Origin: https://alpha.agents.test' -X POST)" 303
    assert_eq "$(status alpha /.tenantd/whoami -b "$jar")" 401
}

test_a_session_is_good_at_its_own_origin_only() {
    local jar=/run/jar cookie
    later rm -f "$jar"
    sign_in alpha owner "$jar"
    cookie="__Host-tenantd=$(awk '$6 == "__Host-tenantd" {print $7}' "$jar")"
    assert_eq "$(status alpha /echo -H "Cookie: $cookie")" 200
    assert_eq "$(status beta /echo -H "Cookie: $cookie")" 401
    assert_eq "$(status alpha /echo -H "Cookie: ${cookie}x")" 401
    assert_eq "$(status alpha /echo -H "Cookie: $cookie; $cookie")" 401
    # A bad Authorization never falls back to the cookie.
    assert_eq "$(status alpha /echo -H "Cookie: $cookie" -H 'Authorization: Bearer x')" 401
    # With a cookie, what changes something says where it comes from.
    assert_eq "$(status alpha /echo -H "Cookie: $cookie" -d x=1)" 403
    assert_eq "$(status alpha /echo -H "Cookie: $cookie" -d x=1 -H 'Origin: https://beta.agents.test')" 403
    assert_eq "$(status alpha /echo -H "Cookie: $cookie" -d x=1 -H 'Origin: https://alpha.agents.test')" 200
    assert_eq "$(client upgrade alpha "Cookie: $cookie")" 403
    assert_eq "$(client upgrade alpha "Cookie: $cookie" 'Origin: https://beta.agents.test')" 403
    assert_eq "$(client upgrade alpha "Cookie: $cookie" 'Origin: null')" 403
    assert_eq "$(client upgrade alpha "Cookie: $cookie" 'Origin: https://alpha.agents.test')" 101
    assert_eq "$(client upgrade alpha "$(bearer "$(token alpha owner)")" 'Origin: https://evil.example')" 403
}

test_credentials_and_forged_headers_never_reach_the_tenant() {
    local jar=/run/jar seen what
    later rm -f "$jar"
    sign_in alpha viewer "$jar"
    what="__Host-tenantd=$(awk '$6 == "__Host-tenantd" {print $7}' "$jar")"
    seen=$(at alpha /echo -H "Cookie: a=1; $what; b=2" -H 'X-Forwarded-User: owner' -H 'X-Forwarded-For: 127.0.0.1' -H 'Forwarded: for=127.0.0.1' \
        -H 'X-Real-IP: 127.0.0.1' -H 'X-Tenantd-Subject: root' -H 'X-OpenClaw-Scopes: operator.admin' -H 'X_Forwarded_User: owner' -H 'X-Forwarded-Port: 1' \
        --http1.1 -H 'Connection: close, X-Own' -H 'X-Own: 1' -H 'TE: trailers' -H 'Proxy-Authorization: x' -H 'X-Kept: 1')
    assert_match "$seen" '\["x-kept","1"\]' # the positive control
    assert_match "$seen" '\["cookie","a=1; b=2"\]'
    assert_match "$seen" '\["x-forwarded-user","viewer"\]'
    assert_match "$seen" '\["x-forwarded-for","198.51.100.2"\]'
    assert_eq "$(grep -o 'x-forwarded-user' <<<"$seen" | wc -l)" 1
    assert_eq "$(grep -o 'x-forwarded-for' <<<"$seen" | wc -l)" 1
    assert_no_match "$seen" 'tenantd=|"root"|operator.admin|x_forwarded|"forwarded"|x-real-ip|x-own|proxy-authorization|"te"'
    seen=$(at alpha /echo -H "$(bearer "$(token alpha owner)")")
    assert_no_match "$seen" '[Aa]uthorization|Bearer|eyJ'
}

test_what_a_tenant_sets_is_no_session_of_ours() {
    local headers
    headers=$(at alpha /cookies -D - -o /dev/null -H "$(bearer "$(token alpha owner)")")
    assert_match "$headers" 'set-cookie: own=1'
    assert_no_match "$headers" '[Tt][Ee][Nn][Aa][Nn][Tt][Dd]='
    assert_no_match "$headers" 'Domain='
    assert_no_match "$headers" 'forged'
}

test_names_lead_to_their_own_tenant_or_nowhere() {
    local owner
    owner=$(token alpha owner)
    assert_eq "$(status alpha /echo -H "$(bearer "$owner")" -H 'Host: beta.agents.test')" 421
    assert_eq "$(status alpha /echo -H "$(bearer "$owner")" -H 'Host: alpha.agents.test:443')" 200
    assert_eq "$(status alpha /echo -H "$(bearer "$owner")" -H 'Host: ALPHA.agents.test')" 200
    assert_match "$(status x.alpha /echo -k -H "$(bearer "$owner")")" '^(404|421)$'
    assert_match "$(status nosuch /echo -H "$(bearer "$owner")")" '^(401|404|421)$'
    assert_match "$(at alpha / -H "Host: $INSIDE" -o /dev/null -w '%{http_code}')" '^(404|421)$'
    assert_eq "$(outside curl -sS -o /dev/null -w '%{http_code} %{redirect_url}' --resolve "*:80:$INSIDE" http://alpha.agents.test/x)" '308 https://alpha.agents.test/x'
}

test_streams_sockets_and_bodies_pass_whole() {
    local owner got
    owner=$(token alpha owner)
    got=$(client ws alpha "$owner")
    assert_match "$got" '^first' # the subprotocol
    assert_match "$got" '\["x-forwarded-user","owner"\]'
    assert_match "$got" $'\nhello\nended$'
    # Event by event, not all at the end.
    assert_match "$(at alpha '/events?count=50&every=200' -N -H "$(bearer "$owner")" --max-time 2 2>/dev/null || true)" 'data: 5'
    assert_eq "$(at alpha '/bytes?count=30000000' -H "$(bearer "$owner")" | wc -c)" 30000000
    assert_match "$(at alpha /echo -H "$(bearer "$owner")" -H 'Transfer-Encoding: chunked' -d hello)" '"body":"hello"'
    assert_match "$(at alpha /echo --http2 -H "$(bearer "$owner")" -d hello)" '"body":"hello"'
    head -c 900000 /dev/zero | tr '\0' '~' >/run/body
    later rm -f /run/body
    assert_eq "$(at alpha /echo -H "$(bearer "$owner")" --data-binary @/run/body | tr -cd '~' | wc -c)" 900000
}

test_a_sleeping_tenant_wakes_once_for_all_who_wait() {
    local owner starts i
    owner=$(token alpha owner)
    assert_ok tenantctl sleep alpha
    starts=$(journalctl -u tenant@alpha -o cat | grep -c '^Started' || true)
    for i in $(seq 20); do status alpha /echo -H "$(bearer "$owner")" >"/run/answer.$i" & done
    wait
    later rm -f /run/answer.*
    assert_eq "$(cat /run/answer.*)" "$(printf '200%.0s' $(seq 20))"
    assert_eq "$(journalctl -u tenant@alpha -o cat | grep -c '^Started')" $((starts + 1))
}

test_a_stopped_tenant_stays_stopped() {
    local owner
    owner=$(token alpha owner)
    later tenantctl start alpha
    assert_ok tenantctl stop alpha
    assert_match "$(at alpha /echo -H "$(bearer "$owner")" -w ' %{http_code}')" '"error":"stopped".* 503$'
    assert_match "$(systemctl is-active tenant@alpha || true)" inactive
}

test_the_edge_comes_back_without_a_refused_connection() {
    local owner round pid
    owner=$(token alpha owner)
    outside python3 "$EDGE/load.py" alpha "$owner" 6 /run/load &
    later rm -f /run/load
    for round in 1 2 3; do
        sleep 1.2
        pid=$(edge_pid)
        [ "$pid" -gt 1 ] || fail "the edge is down"
        kill -KILL "$pid"
    done
    wait
    assert_match "$(cat /run/load)" 'refused 0'
    assert_match "$(cat /run/load)" 'answered [1-9][0-9]'
}

test_without_tenantd_the_edge_goes_on() {
    local owner
    owner=$(token alpha owner)
    later systemctl start tenantd.service
    systemctl stop tenantd.service
    systemctl restart tenantd-edge.service
    assert_eq "$(status alpha /echo -H "$(bearer "$owner")")" 200
}

test_keys_rotate_and_what_the_old_one_signed_stays_good() {
    local old new
    old=$(token alpha owner)
    assert_ok tenantctl edge rotate-key
    new=$(token alpha owner)
    [ "${old%%.*}" != "${new%%.*}" ] || fail "the key is the same"
    sleep 0.6 # the edge looks at its files four times a second
    assert_eq "$(status alpha /echo -H "$(bearer "$old")")" 200
    assert_eq "$(status alpha /echo -H "$(bearer "$new")")" 200
    assert_ok tenantctl edge rotate-key --now
    sleep 0.5
    assert_eq "$(status alpha /echo -H "$(bearer "$old")")" 401
    assert_eq "$(status alpha /echo -H "$(bearer "$(token alpha owner)")")" 200
}

test_wrong_settings_are_shown_with_their_place_and_change_nothing() {
    local owner
    owner=$(token alpha owner)
    cp /etc/tenantd/edge.toml /run/edge.toml
    later sh -c 'cp /run/edge.toml /etc/tenantd/edge.toml; tenantctl edge reload; rm /run/edge.toml'
    printf 'domain = "agents.test"\nsession_sec = 5\n' >/run/wrong.toml
    later rm -f /run/wrong.toml
    assert_status 78 tenantctl edge check /run/wrong.toml
    assert_match "$OUTPUT" 'wrong.toml:2:15'
    assert_match "$OUTPUT" '\^'
    assert_ok tenantctl edge check /etc/tenantd/edge.toml
    cp /run/wrong.toml /etc/tenantd/edge.toml
    assert_fails tenantctl edge reload
    assert_match "$OUTPUT" 'edge.toml:2:15'
    assert_eq "$(status alpha /echo -H "$(bearer "$owner")")" 200
}

test_the_edge_is_confined_and_reaches_gateways_only() {
    local pid address runas
    pid=$(edge_pid)
    assert_eq "$(stat -c %U "/proc/$pid")" tenantd-edge
    assert_eq "$(awk '/^Cap/ {print $2}' "/proc/$pid/status" | sort -u)" 0000000000000000
    assert_eq "$(awk '/^Seccomp:|^NoNewPrivs:/ {print $2}' "/proc/$pid/status" | sort -u | tr '\n' ' ')" '1 2 '
    assert_match "$(journalctl -u tenantd-edge -o cat)" '[Ll]andlock'
    assert_match "$(systemd-analyze security --no-pager tenantd-edge.service | tail -n 1)" ' (0\.[0-9]|1\.[0-3]) '
    # By the fence: the edge's user may open connections to a tenant, other users may not.
    address=$(tenantctl status alpha --json | member address)
    runas() { setpriv --reuid "$1" --regid "$1" --clear-groups curl -s -o /dev/null --max-time 3 "http://$address:18789/"; }
    assert_ok runas tenantd-edge
    assert_fails runas nobody
    # And to nothing else.
    assert_fails setpriv --reuid tenantd-edge --regid tenantd-edge --clear-groups cat /var/lib/tenantd/state.db
    assert_fails setpriv --reuid tenantd-edge --regid tenantd-edge --clear-groups sh -c 'ls /var/lib/tenantd/signing/*'
    assert_eq "$(stat -c '%a %U:%G' /var/lib/tenantd/edge)" '750 root:tenantd-edge'
}

test_a_tenant_cannot_reach_the_edge_or_its_sockets() {
    local address
    address=$(tenantctl status alpha --json | member address)
    for address in "$INSIDE" "${address%.*}.$((${address##*.} - 1))" 127.0.0.1; do
        assert_fails in_cell alpha curl -sk -o /dev/null --max-time 2 "https://$address/"
    done
    assert_fails in_cell alpha ls /run/tenantd/wake.sock /run/tenantd/proof.sock /var/lib/tenantd/edge
}

test_the_edge_says_what_it_does_and_keeps_secrets_to_itself() {
    local owner metrics
    owner=$(token alpha owner --subject ann)
    at alpha '/echo?secret-in-query' -H "$(bearer "$owner")" -H 'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' -d body-of-mine >/dev/null
    eventually 5 sh -c 'journalctl -u tenantd-edge -o cat | grep -q ann'
    assert_no_match "$(journalctl -u tenantd-edge -o export)" 'body-of-mine|secret-in-query|eyJ'
    assert_match "$(at alpha /echo -H "$(bearer "$owner")" -H 'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01')" '4bf92f3577b34da6a3ce929d0e0e4736'
    metrics=$(curl -sS --unix-socket /run/tenantd-edge/metrics.sock http://localhost/metrics)
    assert_match "$metrics" '# TYPE '
    assert_no_match "$metrics" 'eyJ'
    assert_match "$(tenantctl roles)" 'viewer'
    assert_match "$(tenantctl edge status --json)" '"domain": *"agents.test"'
}

test_disabled_the_edge_listens_nowhere() {
    later edge_settings
    later tenantctl edge enable --domain "$DOMAIN"
    assert_ok tenantctl edge disable
    assert_status 7 outside curl -sk --max-time 3 "https://$INSIDE/"
}
