# Egress: what a tenant reaches of the world by its proxy, what it is asked about, and what it never has.
# shellcheck shell=bash disable=SC2016,SC2034,SC2317 # expanded in the cell; used by "world.sh"; called by "eventually"
# level: tenants
# hosts: nspawn qemu

# shellcheck source=tests/host/egress/world.sh
. "${BASH_SOURCE[0]%/*}/egress/world.sh"
TOKEN=tok-6b1f0f2e9d
HELD=/run/world/held

# usual [LINE…]: alpha reaches a few names, some with rules; what is not listed is asked about. Lines before those of the policy.
usual() {
    printf '[egress]\nprofile = "team"\n'
    printf '%s\n' "$@"
    cat <<'TOML'
policy = '''
version: 1
network_policies:
  plain:
    endpoints:
      - { host: allowed.example.com, ports: [80, 443] }
      - { host: files.example.com, port: 443 }
      - { host: first.example.com, port: 2222, protocol: tcp }
      - { host: wrong.example.com, port: 443, protocol: rest, enforcement: enforce, access: read-only }
      - { host: untrusted.example.com, port: 443, protocol: rest, enforcement: enforce, access: read-only }
  looked-at:
    endpoints:
      - { host: api.example.com, port: 443, protocol: rest, enforcement: enforce,
          rules: [{ allow: { method: GET, path: "/v1/**" } }, { allow: { method: POST, path: "/v1/items/*" } }] }
      - { host: sse.example.com, port: 443, protocol: rest, enforcement: enforce, access: read-only }
      - { host: api.example.com, port: 443, path: /mcp, protocol: mcp, enforcement: enforce,
          rules: [{ allow: { method: initialize } }, { allow: { method: tools/call, tool: search } }] }
'''
TOML
}
# with_secret: as usual, and a secret for one host. Tables come after plain keys.
with_secret() {
    usual
    printf '[[egress.secret]]\nname = "api-token"\nhost = "api.example.com"\npath = "/v1"\n'
}

before_file() {
    world_open
    usual | egress_set alpha
    usual 'default = "deny"' | egress_set beta
    # The first start of a proxy takes longer on an emulated processor than a program waits for a name.
    eventually 120 in_cell alpha getent ahostsv4 allowed.example.com
    eventually 120 in_cell beta getent ahostsv4 allowed.example.com
}
after_file() {
    egress_reset alpha
    egress_reset beta
    world_close
}

test_an_allowed_host_is_reached_by_programs_that_know_no_proxy_and_by_those_that_do() {
    local said
    assert_eq "$(direct alpha https://allowed.example.com/)" "hello from allowed.example.com"
    assert_eq "$(direct alpha http://allowed.example.com/)" "hello from allowed.example.com"
    assert_eq "$(by_proxy alpha https://allowed.example.com/)" "hello from allowed.example.com"
    assert_eq "$(by_proxy alpha http://allowed.example.com/)" "hello from allowed.example.com"
    assert_eq "$(in_cell alpha sh -c 'echo $HTTPS_PROXY')" http://127.0.0.1:3128
    assert_eq "$(program alpha client.py urllib https://allowed.example.com/)" "hello from allowed.example.com"
    assert_eq "$(in_cell alpha env -u https_proxy -u HTTPS_PROXY python3 "$PROGRAMS/client.py" urllib https://allowed.example.com/)" \
        "hello from allowed.example.com"
    said=$(program alpha client.py tls allowed.example.com)
    [[ $said == "ok TLS"* ]] || fail "$said; $(journalctl -b -q -u tenant-egress@alpha.service -n 20 -o short-precise)"
    assert_eq "$(program alpha client.py first first.example.com 2222)" SSH-2.0-world
}

test_where_requests_are_not_looked_at_tls_is_the_servers_own() {
    local issuer='openssl s_client -connect "$1":443 -servername "$1" </dev/null 2>/dev/null | openssl x509 -noout -issuer'
    assert_match "$(in_cell alpha sh -c "$issuer" - allowed.example.com)" 'Test authority of the world'
    assert_no_match "$(in_cell alpha sh -c "$issuer" - api.example.com)" 'Test authority of the world'
}

test_names_resolve_only_if_the_policy_can_allow_them() {
    local mark
    assert_match "$(program beta client.py dns allowed.example.com A)" '^NOERROR'
    assert_match "$(program beta client.py dns allowed.example.com A 127.0.0.1 tcp)" '^NOERROR'
    mark=$(log_mark dns)
    assert_eq "$(program beta client.py dns other.example.com A)" REFUSED
    assert_eq "$(program beta client.py dns other.example.com AAAA 127.0.0.1 tcp)" REFUSED
    assert_eq "$(log_since dns "$mark" | grep -c other.example.com || true)" 0
}

test_names_of_this_hosts_own_list_are_found_and_its_search_list_is_not_used() {
    cp -a /etc/hosts "$WORLD/hosts.before" 2>/dev/null || true
    later eval 'rm -f /etc/hosts; cp -a "$WORLD/hosts.before" /etc/hosts 2>/dev/null || true; systemctl restart tenant-egress@alpha.socket'
    echo "$WORLD_NET.10 listed-here.example.org" >>/etc/hosts
    echo 'search example.com' >>/etc/resolv.conf
    later sed -i '/^search/d' /etc/resolv.conf
    usual | sed 's/host: allowed.example.com/host: listed-here.example.org/' | egress_set alpha
    later eval 'usual | egress_set alpha'
    systemctl restart tenant-egress@alpha.socket
    in_cell alpha getent ahostsv4 listed-here.example.org | grep -qF "$WORLD_NET.10" || fail "a name of /etc/hosts was not found"
    # "first" would be first.example.com by the search list.
    usual | sed 's/host: allowed.example.com/host: first/' | egress_set alpha
    assert_fails in_cell alpha getent ahostsv4 first
}

test_what_is_not_listed_is_refused_so_that_it_can_be_read_and_nothing_leaves() {
    nothing_leaves by_proxy beta -i http://other.example.com/x
    assert_match "$OUTPUT" 'HTTP/1.1 403'
    assert_match "$OUTPUT" 'application/json'
    assert_match "$OUTPUT" 'other\.example\.com'
    nothing_leaves by_proxy beta -v https://other.example.com/
    assert_match "$OUTPUT" ' 403'
    # An address that nobody resolved; a handshake is told why it ends.
    nothing_leaves program beta client.py tls other.example.com "$WORLD_NET.12"
    assert_match "$OUTPUT" 'alert .*ACCESS_DENIED'
    nothing_leaves direct beta -i -H 'Host: other.example.com' "http://$WORLD_NET.12/"
    assert_match "$OUTPUT" '403'
    something_leaves direct beta https://allowed.example.com/
}

test_a_request_that_is_asked_about_waits_and_goes_on_when_it_is_approved() {
    local mark
    mark=$(log_mark web)
    held "$HELD" by_proxy alpha https://other.example.com/
    assert_match "$(question alpha)" '"host": "other.example.com", "port": 443'
    [ ! -e "$HELD" ] || fail "it did not wait"
    assert_eq "$(log_since web "$mark" | grep -c '"host": "other.example.com"' || true)" 0
    answer alpha approve --once
    eventually 10 test -e "$HELD"
    assert_match "$(cat "$HELD")" 'hello from other.example.com'
}

test_one_that_is_denied_is_refused_at_once() {
    held "$HELD" by_proxy alpha -i http://other.example.com/denied
    answer alpha deny
    eventually 5 test -e "$HELD"
    assert_match "$(cat "$HELD")" 'HTTP/1.1 403'
    assert_eq "$(waiting alpha)" ""
}

test_nobody_answers_and_it_is_refused_when_the_time_is_up() {
    held "$HELD" by_proxy alpha -i http://other.example.com/nobody
    asked_now() { asked alpha; }
    eventually 10 asked_now
    eventually 40 test -e "$HELD"
    assert_match "$(cat "$HELD")" 'HTTP/1.1 403'
    assert_eq "$(waiting alpha)" ""
}

test_the_same_question_is_one_question_for_all_who_wait() {
    local one two="$HELD.two"
    held "$HELD" by_proxy alpha https://other.example.com/
    question alpha >/dev/null
    held "$two" by_proxy alpha https://other.example.com/
    # The proxy asks once for both.
    sleep 1
    [ ! -e "$two" ] || fail "the second did not wait"
    one=$(waiting alpha)
    assert_eq "$(wc -w <<<"$one")" 1
    answer alpha approve --once
    eventually 10 test -e "$HELD"
    eventually 10 test -e "$two"
    assert_match "$(cat "$HELD" "$two")" 'hello.*hello'
}

test_an_answer_for_an_hour_is_there_for_the_next_and_taking_it_back_ends_what_is_open() {
    local approval
    held "$HELD" program alpha client.py urllib https://ws.example.com/
    approval=$(answer alpha approve --for 1h --json | json 'it["approval"]')
    eventually 10 test -e "$HELD"
    assert_match "$(cat "$HELD")" "hello from ws.example.com"
    assert_eq "$(program alpha client.py urllib https://ws.example.com/)" "hello from ws.example.com"
    opened "$HELD.socket" wss://ws.example.com/echo
    opened "$HELD.other" wss://allowed.example.com/echo
    assert_ok tenantctl approvals revoke alpha "$approval"
    eventually 10 grep -q ended "$HELD.socket"
    assert_eq "$(cat "$HELD.other")" open # what is allowed otherwise goes on
    later systemctl kill -s KILL tenant-egress@alpha.service
}

test_rules_decide_about_method_and_path() {
    assert_eq "$(code direct alpha https://api.example.com/v1/things)" 200
    assert_eq "$(code by_proxy alpha https://api.example.com/v1/things)" 200
    assert_eq "$(code direct alpha -d x=1 https://api.example.com/v1/items/4)" 200
    assert_eq "$(code direct alpha -d x=1 https://api.example.com/v1/things)" 403
    assert_eq "$(code direct alpha -X DELETE https://api.example.com/v1/items/4)" 403
    assert_eq "$(code direct alpha -d x=1 https://api.example.com/v1/items/4/5)" 403
    assert_eq "$(code direct alpha --path-as-is https://api.example.com/v1/../admin)" 400
    assert_eq "$(code direct alpha --path-as-is https://api.example.com/v1/%2e%2e/admin)" 400
    assert_match "$(direct alpha https://api.example.com/v2)" 'api\.example\.com'
    nothing_reaches api.example.com direct alpha -X PUT -d x https://api.example.com/v1/things
    assert_match "$(direct alpha -d 'body of it' https://api.example.com/v1/items/7)" '"body": "body of it"'
}

test_rules_decide_about_the_tools_of_an_mcp_server() {
    assert_eq "$(mcp "$(calls search)" | json 'it["body"]')" "$(calls search)"
    nothing_reaches api.example.com mcp "$(calls send_email)"
    assert_match "$(mcp "$(calls send_email)")" '"id":4.*-32003.*do not allow tools/call send_email'
    nothing_reaches api.example.com mcp "[$(calls search),$(calls send_email)]"
    assert_eq "$(code mcp '{"jsonrpc":"2.0","id":1,"method":"initialize","m\u0065thod":"tools/list"}')" 403
    assert_eq "$(code mcp "$(calls search)" -H 'Content-Encoding: gzip')" 403
    assert_eq "$(code direct alpha -H 'Accept: text/event-stream' https://api.example.com/mcp)" 200
    assert_eq "$(code direct alpha -X PUT -d '{}' https://api.example.com/mcp)" 403
    assert_match "$(tenantctl egress explain alpha api.example.com POST /mcp --call tools/call --tool other)" 'is denied'
}

test_a_server_that_cannot_prove_its_name_is_not_spoken_to() {
    nothing_reaches wrong.example.com direct alpha https://wrong.example.com/
    nothing_reaches untrusted.example.com direct alpha https://untrusted.example.com/
    assert_match "$(code direct alpha https://wrong.example.com/)" '^(000|502|525|526)$'
    assert_eq "$(code direct alpha https://sse.example.com/status/200)" 200
}

test_programs_believe_the_authority_of_the_proxy_by_the_variables_they_know() {
    assert_ok in_cell alpha sh -c 'test -r "$SSL_CERT_FILE" && test "$SSL_CERT_FILE" = "$NODE_EXTRA_CA_CERTS"'
    assert_match "$(program alpha client.py urllib https://api.example.com/v1/x)" '"path": "/v1/x"'
    assert_fails in_cell alpha curl -sS --capath /nowhere --cacert /etc/ssl/host/ca-certificates.crt https://api.example.com/v1/x
    # beta's authority is another.
    assert_no_match "$(in_cell beta sh -c 'sed -n "1,/END/p" "$SSL_CERT_FILE"')" "$(in_cell alpha sh -c 'sed -n 3p "$SSL_CERT_FILE"')"
}

test_events_of_a_stream_come_one_by_one() {
    local said late
    said=$(program alpha client.py events 'https://sse.example.com/events?n=5&every=1')
    assert_match "$said" '^5 events'
    # Held back, the first would be late by four seconds.
    late=${said##* }
    [ "${late%%.*}" -lt 3 ] || fail "$said"
}

test_large_and_endless_bodies_pass_without_being_kept() {
    local before after
    assert_eq "$(direct alpha --max-time 400 'https://files.example.com/bytes?n=200000000' | wc -c)" 200000000
    before=$(systemctl show -P MemoryPeak tenant-egress@alpha.service)
    assert_fails in_cell alpha timeout 5 curl -sS --noproxy '*' -o /dev/null 'https://sse.example.com/endless'
    after=$(awk '/VmHWM/ {print $2}' "/proc/$(proxy_pid alpha)/status")
    echo "peak: $before, $after kB"
    [ "$after" -lt 100000 ] || fail "the proxy held $after kB"
}

test_a_change_of_the_policy_under_load_breaks_no_connection_that_stays_allowed() {
    local number said
    rm -f "$HELD.load"
    program alpha client.py load https://allowed.example.com/ 12 >"$HELD.load" 2>&1 &
    opened "$HELD.socket" wss://allowed.example.com/echo
    for number in 1 2 3; do
        usual | sed "s/files.example.com/files$number.example.com/" | egress_set alpha
    done
    assert_eq "$(cat "$HELD.socket")" open
    # What the new one forbids is over.
    [ "$(code direct alpha https://allowed.example.com/)" = 200 ] || fail "$(journalctl -b -q -u tenant-egress@alpha.service -n 30 -o short-precise)"
    usual | egress_set alpha
    ended() { grep -q good "$HELD.load"; }
    eventually 30 ended
    said=$(grep good "$HELD.load")
    assert_match "$said" '^[1-9][0-9]* good, 0 bad$'
    systemctl kill -s KILL tenant-egress@alpha.service
    eventually 10 grep -q ended "$HELD.socket"
}

test_what_a_new_policy_forbids_is_ended() {
    later eval 'usual | egress_set alpha'
    opened "$HELD.socket" wss://allowed.example.com/echo
    usual | sed 's/allowed.example.com/elsewhere.example.com/' | egress_set alpha
    eventually 30 grep -q ended "$HELD.socket"
}

test_a_proxy_that_dies_in_the_middle_is_there_for_the_next_connection() {
    local pid
    in_cell alpha curl -sS --noproxy '*' -o /dev/null 'https://files.example.com/slow?n=100&every=0.2' >"$HELD.cut" 2>&1 &
    started() { [ "$(proxy_pid alpha)" -gt 0 ]; }
    eventually 10 started
    pid=$(proxy_pid alpha)
    kill -KILL "$pid"
    wait $! || true
    assert_eq "$(direct alpha --retry 3 --retry-connrefused https://allowed.example.com/)" "hello from allowed.example.com"
    [ "$(proxy_pid alpha)" != "$pid" ] || fail "the same process"
}

test_a_proxy_without_work_ends_and_the_next_connection_starts_it() {
    assert_eq "$(direct beta https://allowed.example.com/)" "hello from allowed.example.com"
    gone() { [ "$(systemctl is-active tenant-egress@beta.service)" = inactive ]; }
    eventually 100 gone
    assert_eq "$(systemctl show -P Result tenant-egress@beta.service)" success
    assert_eq "$(systemctl is-active tenant-egress@beta.socket)" active
    assert_eq "$(direct beta https://allowed.example.com/)" "hello from allowed.example.com"
}

test_a_policy_file_that_cannot_be_read_keeps_the_last_good_one_and_says_so() {
    local file=/var/lib/tenantd/egress/alpha/egress.json
    assert_eq "$(code direct alpha https://allowed.example.com/)" 200
    cp -p "$file" "$WORLD/good.json"
    later systemctl kill -s KILL tenant-egress@alpha.service
    later cp -p "$WORLD/good.json" "$file"
    echo '{"format": 1, "tenant": ' >"$file"
    loud() { journalctl -b -q -u tenant-egress@alpha.service -p warning -o cat | grep 'egress.json' >/dev/null; }
    eventually 10 loud
    assert_eq "$(code direct alpha https://allowed.example.com/)" 200
    assert_eq "$(code direct beta https://allowed.example.com/)" 200
    # With none, everything is refused.
    systemctl kill -s KILL tenant-egress@alpha.service
    nothing_leaves direct alpha https://allowed.example.com/
    [ "$STATUS" -ne 0 ] || fail "it was reached without a policy"
}

secret_there() {
    printf %s "$TOKEN" | tenantctl secret set alpha api-token --for proxy
    with_secret | egress_set alpha
    systemctl restart tenant-egress@alpha.socket
}
secret_gone() {
    usual | egress_set alpha
    tenantctl secret remove alpha api-token
}

test_a_placeholder_becomes_the_secret_at_its_own_host_and_nowhere_else() {
    local mark
    later secret_gone
    secret_there
    mark=$(log_mark web)
    direct alpha -o /dev/null -H 'Authorization: Bearer tenantd:secret:api-token' https://api.example.com/v1/x || true
    direct alpha -o /dev/null -H 'X-Key: openshell:resolve:env:API_TOKEN' https://api.example.com/v1/x || true
    assert_match "$(log_since web "$mark")" "Bearer $TOKEN"
    assert_match "$(log_since web "$mark")" "\"[Xx]-[Kk]ey\", \"$TOKEN\""
    mark=$(log_mark web)
    assert_eq "$(code direct alpha -H 'Authorization: Bearer tenantd:secret:api-token' https://sse.example.com/status/200)" 403
    assert_eq "$(code by_proxy alpha -H 'Authorization: Bearer tenantd:secret:api-token' http://allowed.example.com/)" 403
    assert_eq "$(code direct alpha -H 'Authorization: Bearer tenantd:secret:other' https://api.example.com/v1/x)" 403
    assert_eq "$(code direct alpha 'https://api.example.com/v1/x?k=tenantd:secret:api-token')" 403
    assert_no_match "$(log_since web "$mark")" "$TOKEN"
}

test_a_secret_that_a_server_sends_back_does_not_reach_the_tenant() {
    local path
    later secret_gone
    secret_there
    for path in /v1/echo /v1/gzip-echo; do
        assert_no_match "$(direct alpha --compressed -H 'Authorization: Bearer tenantd:secret:api-token' "https://api.example.com$path" 2>&1 || true)" "$TOKEN"
    done
    # The positive control: this server does send back what it is sent.
    assert_match "$(direct alpha -H 'X-Plain: visible' https://api.example.com/v1/echo)" visible
}

test_the_value_of_a_secret_is_nowhere_in_the_cell() {
    local hex
    later secret_gone
    secret_there
    hex=$(printf %s "$TOKEN" | od -An -tx1 | tr -d ' \n')
    assert_eq "$(program alpha client.py environment "$hex")" nowhere
    assert_eq "$(journalctl -b -q -o cat | grep -c "$TOKEN" || true)" 0
    assert_fails grep -raqs "$TOKEN" /var/lib/tenantd /run/tenantd /etc/tenantd /var/lib/tenants
    # The positive control: the search finds what is there.
    in_cell alpha sh -c 'echo findme-4711 >/tmp/found'
    later in_cell alpha rm -f /tmp/found
    assert_match "$(in_cell alpha sh -c 'echo findme-4711 >/tmp/found; python3 "$0" environment 66696e646d652d34373131' "$PROGRAMS/client.py")" /tmp/found
}

test_without_tenantd_what_is_allowed_stays_allowed_and_a_question_is_a_refusal() {
    local pid user
    user=$(id -u t-alpha)
    pid=$(systemctl show -P MainPID tenant@alpha.service)
    # "in_cell" needs the daemon: here the network of the cell is entered by its namespace, as the tenant.
    as_alpha() { nsenter -t "$pid" -n -m -r setpriv --reuid "$user" --regid "$user" --clear-groups "$@"; }
    assert_eq "$(as_alpha curl -sS --noproxy '*' https://allowed.example.com/)" "hello from allowed.example.com"
    later systemctl start tenantd.service
    systemctl stop tenantd.service
    assert_eq "$(as_alpha curl -sS --noproxy '*' https://allowed.example.com/)" "hello from allowed.example.com"
    assert_eq "$(as_alpha curl -sS -o /dev/null -w '%{http_code}' --max-time 40 -x http://127.0.0.1:3128 http://other.example.com/)" 403
    assert_ok systemctl restart tenant@alpha.service
    pid=$(systemctl show -P MainPID tenant@alpha.service)
    assert_eq "$(as_alpha curl -sS --noproxy '*' https://allowed.example.com/)" "hello from allowed.example.com"
}

test_only_the_tenants_own_user_is_served() {
    local answer
    answer=$(ip netns exec t-alpha curl -s -o /dev/null -w '%{http_code}' --max-time 10 -x http://127.0.0.1:3128 http://allowed.example.com/ || true)
    assert_no_match "$answer" '^2'
    assert_eq "$(code by_proxy alpha http://allowed.example.com/)" 200
}

test_the_proxy_stops_with_its_tenant() {
    later tenantctl start beta
    assert_eq "$(code direct beta https://allowed.example.com/)" 200
    assert_ok tenantctl stop beta
    stopped() { [ "$(systemctl is-active tenant-egress@beta.service tenant-egress@beta.socket | sort -u)" = inactive ]; }
    eventually 10 stopped
}

test_a_deleted_tenant_leaves_nothing_of_its_proxy() {
    tenantctl create gamma --runtime generic --port 18789 --command '/usr/local/lib/standin/bin/standin-gateway --port 18789'
    later sh -c 'tenantctl delete gamma --destroy --yes 2>/dev/null || true'
    usual | egress_set gamma
    assert_eq "$(code direct gamma https://allowed.example.com/)" 200
    assert_ok test -e /var/lib/tenantd/egress/gamma/egress.json
    assert_ok tenantctl delete gamma --destroy --yes
    assert_eq "$(find / /run -xdev \( -path /proc -o -path /sys -o -path /var/log -o -path "$WORLD" \) -prune -o \( -path '*gamma*' -a -path '*egress*' \) -print)" ""
    assert_eq "$(systemctl list-units --all --no-legend --plain '*gamma*' | awk '{print $1}')" ""
    assert_fails test -e /var/lib/private/tenant-egress/gamma
    assert_fails getent passwd tenant-egress-gamma
}
