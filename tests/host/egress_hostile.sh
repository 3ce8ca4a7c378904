# Egress: a tenant that wants out. Each act leaves no packet, or reaches no server; outside a cell the same act does.
# shellcheck shell=bash disable=SC2016,SC2034,SC2317 # expanded in the cell; used by "world.sh"; called by "eventually"
# level: tenants
# hosts: nspawn

# shellcheck source=tests/host/egress/world.sh
. "${BASH_SOURCE[0]%/*}/egress/world.sh"
STOLEN=/var/lib/tenants/alpha/workspace

# strict DEFAULT: alpha reaches what the attacks need to be near to, and one host only by one program.
strict() {
    printf '[egress]\nprofile = "team"\ndefault = "%s"\n' "$1"
    cat <<'TOML'
policy = '''
version: 1
network_policies:
  plain:
    endpoints:
      - { host: allowed.example.com, ports: [80, 443] }
      - { host: redirect.example.com, port: 80 }
  names-that-lie:
    endpoints:
      - { host: rebind.example.com, port: 80 }
      - { host: rebind-loop.example.com, port: 80 }
      - { host: rebind-late.example.com, port: 80 }
      - { host: loop4.example.com, port: 80 }
      - { host: loop6.example.com, port: 80 }
      - { host: meta.example.com, port: 80 }
      - { host: ten.example.com, port: 80 }
      - { host: cgnat.example.com, port: 80 }
      - { host: zero.example.com, port: 80 }
      - { host: mapped.example.com, port: 80 }
      - { host: mappedmeta.example.com, port: 80 }
      - { host: nat64.example.com, port: 80 }
      - { host: linklocal.example.com, port: 80 }
      - { host: alias-loop.example.com, port: 80 }
      - { host: mixed.example.com, port: 80 }
  looked-at:
    endpoints:
      - { host: api.example.com, port: 443, protocol: rest, enforcement: enforce,
          rules: [{ allow: { method: GET, path: "/v1/**" } }, { allow: { method: POST, path: "/v1/items/*" } }] }
  one-program:
    endpoints:
      - { host: files.example.com, port: 80 }
    binaries: [{ path: /usr/bin/curl }]
  another-program:
    endpoints:
      - { host: sse.example.com, port: 80 }
    binaries: [{ path: "/usr/bin/python3*" }]
'''
TOML
}

before_file() {
    world_open
    strict deny | egress_set alpha
    strict deny | egress_set beta
}
after_file() {
    egress_reset alpha
    egress_reset beta
    world_close
}

attack() { program alpha attack.py "$@"; }
# outside CMD…: the same act by root in this host, which nothing holds back.
outside() { timeout 30 python3 "$EGRESS/attack.py" "$@"; }
# stays_inside ACT [WORD…]: it is refused and nothing leaves.
stays_inside() {
    nothing_leaves attack "$@"
    assert_match "$OUTPUT" '^(refused|refused:.*|failed.*)' "$*"
    assert_no_match "$OUTPUT" 'reached' "$*"
}
# goes_nowhere_bad ACT [WORD…]: what leaves is at most a question for a name and what goes to public addresses that are allowed.
goes_nowhere_bad() {
    local mark
    mark=$(uplink_mark)
    OUTPUT=$("$@" 2>&1) || true
    printf '%s\n' "$OUTPUT"
    assert_no_match "$(uplink_since "$mark")" '"to": "(169\.254|10\.|100\.64|127\.|0\.|::1|::ffff|64:ff9b|fe80|203\.0\.113)'
}

test_no_packet_leaves_but_by_the_proxy() {
    local act
    for act in datagram-to-a-resolver quic datagram-to-any-port broadcast multicast ping raw-icmp raw-protocol packet-socket sctp udp-over-six \
        tcp-over-six fast-open tcp-to-a-resolver bound-to-the-bridge with-a-mark; do
        stays_inside "$act"
    done
}

# The positive controls: without a cell these acts do leave.
test_outside_a_cell_the_same_acts_are_seen_to_leave() {
    local act
    for act in datagram-to-a-resolver quic datagram-to-any-port raw-icmp raw-protocol udp-over-six tcp-over-six fast-open tcp-to-a-resolver with-a-mark; do
        something_leaves outside "$act"
    done
    something_leaves outside redirected 169.254.169.254
    something_leaves outside redirected "$WORLD_NET.12"
}

test_names_carry_nothing_out() {
    local mark
    stays_inside tunnel-by-names
    stays_inside tunnel-by-other-records
    mark=$(log_mark dns)
    stays_inside tunnel-below-an-allowed-name
    nothing_leaves attack texts-of-an-allowed-name
    assert_eq "$(log_since dns "$mark")" ""
    assert_match "$(program alpha client.py dns allowed.example.com A)" '^NOERROR'
    assert_match "$(attack broken-queries)" 'and then NOERROR'
}

test_the_explicit_proxy_connects_to_nothing_but_names_that_are_listed() {
    local authority
    for authority in other.example.com:443 allowed.example.com:22 allowed.example.com:3128 allowed.example.com allowed.example.com:0 \
        allowed.example.com:99999 allowed.example.com:443:443 "$WORLD_NET.12:443" "$WORLD_NET.10:443" 127.0.0.1:22 127.0.0.1:3128 127.0.0.1:18789 \
        localhost:22 localhost:3128 0.0.0.0:80 '[::1]:80' '[::]:80' '[::ffff:127.0.0.1]:80' '[::ffff:169.254.169.254]:80' '[fe80::1]:80' '[64:ff9b::a9fe:a9fe]:80' \
        169.254.169.254:80 2852039166:80 0xa9fea9fe:80 0251.0376.0251.0376:80 169.254.43518:80 127.1:80 0177.0.0.1:80 0x7f.1:80 017700000001:80 \
        user@allowed.example.com:443 allowed.example.com@other.example.com:443 'allowed.example.com#@other.example.com:443' \
        'other.example.com\x00.allowed.example.com:443' 'allowed.example.com\tother.example.com:443' 'allowed.example.com\r\nX: y:443' \
        'allowed.example.com:443 HTTP/1.1\r\nHost: x' '' ':' ':443' '/' 'http://allowed.example.com/' '*' '\xff\xfe:443' 'allowed.example.com/x:443' \
        'metadata.google.internal:80' 'allowed.example.com%00:443' '[allowed.example.com]:443' '.allowed.example.com:443' 'allowed..example.com:443'; do
        stays_inside connect-to "$authority"
    done
    assert_match "$(attack connect-to allowed.example.com:443)" reached
}

test_an_absolute_address_is_judged_by_its_own_host_and_never_reaches_inside() {
    local url
    for url in http://other.example.com/ "http://$WORLD_NET.12/" http://127.0.0.1/ http://127.0.0.1:18789/ http://localhost/ http://169.254.169.254/latest/meta-data/ \
        http://2852039166/ http://0xa9fea9fe/ http://0251.0376.0251.0376/ 'http://[::ffff:a9fe:a9fe]/' 'http://[::1]/' http://127.1/ http://0/ \
        http://allowed.example.com:22/ http://allowed.example.com@other.example.com/ http://user:pass@other.example.com/ 'http://other.example.com\@allowed.example.com/' \
        https://other.example.com/ ftp://allowed.example.com/ file:///etc/passwd gopher://allowed.example.com/; do
        stays_inside absolute "$url" allowed.example.com
    done
    nothing_reaches other.example.com attack absolute http://allowed.example.com/ other.example.com
    assert_match "$(attack absolute http://allowed.example.com/)" reached
}

test_a_redirected_connection_to_an_address_is_refused_in_every_notation() {
    local address
    for address in "$WORLD_NET.12" 169.254.169.254 10.0.0.5 100.64.0.1 203.0.113.7 2852039166 0xa9fea9fe 0251.0376.0251.0376 169.254.43518 8.8.8.8 \
        "$(ip -4 -o addr show uplink0 | awk '{split($4, a, "/"); print a[1]; exit}')"; do
        stays_inside redirected "$address" 80
        # The listed name may be looked up; nobody is connected to.
        goes_nowhere_bad attack redirected "$address" 80 allowed.example.com
        assert_no_match "$OUTPUT" reached
        stays_inside redirected "$address" 443
        stays_inside redirected "$address" 22
    done
    # The act waits for two seconds; on a busy machine that may be too short.
    reached() { [[ $(attack redirected allowed.example.com 80) == *reached* ]]; }
    eventually 20 reached
}

test_names_that_lead_inside_are_not_followed() {
    local name
    for name in loop4 loop6 meta ten cgnat zero mapped mappedmeta nat64 linklocal alias-loop; do
        goes_nowhere_bad attack absolute "http://$name.example.com/"
        assert_no_match "$OUTPUT" 'reached' "$name"
        goes_nowhere_bad attack redirected "$name.example.com" 80
        assert_no_match "$OUTPUT" 'reached' "$name"
    done
    # A name with a good and a bad address leads at most to the good one.
    goes_nowhere_bad attack absolute http://mixed.example.com/
}

test_a_name_that_changes_its_mind_is_not_followed_inside() {
    local name number
    for name in rebind rebind-loop rebind-late; do
        for number in 1 2 3 4 5 6; do
            goes_nowhere_bad attack absolute "http://$name.example.com/"
            goes_nowhere_bad attack redirected "$name.example.com" 80
        done
    done
}

test_a_redirection_by_a_server_is_judged_as_any_other_request() {
    local to
    for to in http://169.254.169.254/ http://127.0.0.1:18789/ http://other.example.com/ http://10.0.0.5/; do
        goes_nowhere_bad by_proxy alpha -L -o /dev/null -w '%{http_code} %{num_redirects}' "http://redirect.example.com/redirect?to=$to"
        assert_match "$OUTPUT" '403 1|000 1'
        goes_nowhere_bad direct alpha -L -o /dev/null -w '%{http_code} %{num_redirects}' "http://redirect.example.com/redirect?to=$to"
        # Its own loopback is the tenant's to reach.
        [[ $to == *127.0.0.1* ]] || assert_no_match "$OUTPUT" '^200'
    done
}

test_a_handshake_for_another_name_than_was_asked_for_goes_nowhere() {
    local shown
    for shown in other.example.com api.example.com none; do
        nothing_reaches "$shown" attack other-sni allowed.example.com "$shown"
        assert_match "$(attack other-sni allowed.example.com "$shown")" refused
    done
    assert_match "$(attack other-sni allowed.example.com allowed.example.com)" reached
    assert_match "$(attack plain-in-a-tunnel allowed.example.com other.example.com)" refused
    assert_match "$(attack encrypted-hello allowed.example.com)" refused
    assert_match "$(attack two-names)" refused
    assert_match "$(attack hello-by-bytes allowed.example.com)" 'a ServerHello'
    assert_no_match "$(attack hello-by-bytes other.example.com)" 'a ServerHello'
}

test_another_host_inside_a_connection_that_is_looked_at_is_refused() {
    local host
    for host in other.example.com allowed.example.com API.example.com.evil api.example.com:8443 api.example.com:443@other.example.com; do
        nothing_reaches "$host" attack fronted api.example.com "$host"
        assert_match "$(attack fronted api.example.com "$host")" refused
        assert_match "$(attack fronted api.example.com "$host" 3)" refused
    done
    assert_match "$(attack fronted api.example.com api.example.com 3)" reached
}

smuggles() { # ACT HOST: no request to /smuggled arrives, and none for another host
    local how mark
    while read -r how; do
        mark=$(log_mark web)
        echo "$how: $(attack "$1" "$how" </dev/null)"
        assert_no_match "$(log_since web "$mark" | sed 's/"ended":.*//')" '"target": "[^"]*smuggled' "$how"
        assert_no_match "$(log_since web "$mark")" '"host": "other' "$how"
    done < <(sed -n '/^SMUGGLING/,/^}/s/^    "\([a-z-]*\)":.*/\1/p' "$EGRESS/attack.py")
}

test_no_request_is_smuggled_past_one_that_is_allowed() {
    smuggles smuggle
    assert_eq "$(code direct alpha https://api.example.com/v1/x)" 200
}

test_no_request_is_smuggled_by_the_explicit_proxy() {
    smuggles smuggle-absolute
    assert_eq "$(code by_proxy alpha http://allowed.example.com/)" 200
}

test_heads_that_never_end_are_ended_and_harm_nobody() {
    local said
    said=$(attack slow-heads 50 60)
    assert_eq "$said" "50 of 50 ended"
    assert_match "$(attack huge-head)" '^refused after'
    assert_eq "$(code direct alpha https://allowed.example.com/)" 200
}

test_a_server_that_answers_with_an_endless_head_costs_no_memory() {
    direct alpha -o /dev/null https://api.example.com/v1/huge-head || true
    direct alpha -o /dev/null --max-time 3 https://api.example.com/v1/endless || true
    [ "$(awk '/VmHWM/ {print $2}' "/proc/$(proxy_pid alpha)/status")" -lt 100000 ] || fail "it held too much"
    assert_eq "$(code direct alpha https://api.example.com/v1/x)" 200
}

test_a_flood_of_connections_does_not_reach_another_tenant() {
    attack many-connections 3000 20 >"$WORLD/flood" 2>&1 &
    eventually 20 grep -q '^open' "$WORLD/flood"
    assert_eq "$(code direct beta https://allowed.example.com/)" 200
    assert_eq "$(code by_proxy beta http://allowed.example.com/)" 200
    wait $! || true
    back() { [ "$(code direct alpha https://allowed.example.com/)" = 200 ]; }
    eventually 60 back
}

test_a_flood_of_questions_is_held_back() {
    local count
    later eval 'strict deny | egress_set alpha'
    strict ask | egress_set alpha
    in_cell alpha sh -c 'for i in $(seq 30); do curl -s -o /dev/null --max-time 30 -x http://127.0.0.1:3128 "http://n$i.example.com/" & done; wait' &
    eventually 10 asked alpha
    sleep 2
    count=$(waiting alpha | wc -w)
    [ "$count" -le 10 ] || fail "$count questions wait at once"
    # beta's operator is still asked.
    later eval 'strict deny | egress_set beta'
    strict ask | egress_set beta
    held "$WORLD/held" by_proxy beta http://other.example.com/
    answer beta deny
    eventually 10 test -e "$WORLD/held"
    wait
    attack flood-of-questions 300
    count=$(tenantctl approvals list --json | json "sum(q['tenant'] == 'alpha' for q in it)")
    [ "$count" -le 60 ] || fail "$count questions were raised in an hour"
}

test_a_program_is_known_by_what_runs_and_not_by_its_name() {
    assert_eq "$(code by_proxy alpha http://files.example.com/)" 200
    assert_match "$(program alpha client.py urllib http://files.example.com/)" '^403'
    assert_match "$(attack named curl http://files.example.com/)" 'status (403|URLError)'
    # A copy does not run where the tenant can write.
    in_cell alpha cp /usr/bin/curl "$STOLEN/curl"
    later rm -rf "$STOLEN/curl" "$STOLEN/bin"
    assert_fails in_cell alpha "$STOLEN/curl" -s http://files.example.com/
    # A copy run by the loader is the loader, and a script with the name its interpreter.
    nothing_reaches files.example.com in_cell alpha sh -c '/lib64/ld-linux-x86-64.so.2 "$0" -sS -x http://127.0.0.1:3128 http://files.example.com/' "$STOLEN/curl"
    in_cell alpha sh -c 'mkdir -p "$0"; cp "$1" "$0/client.py"; cp "$1" "$0/curl"' "$STOLEN/bin" "$PROGRAMS/client.py"
    nothing_reaches files.example.com in_cell alpha python3 "$STOLEN/bin/curl" urllib http://files.example.com/
    nothing_reaches files.example.com in_cell alpha sh -c 'exec -a /usr/bin/curl python3 "$0" urllib http://files.example.com/' "$PROGRAMS/client.py"
}

test_a_connection_that_another_program_made_or_holds_is_not_its_own() {
    nothing_reaches files.example.com attack inherited http://files.example.com/
    nothing_reaches files.example.com attack held-beside http://files.example.com/ /usr/bin/curl
    # A process whose first thread has ended shows neither its descriptors there nor what it runs.
    nothing_reaches files.example.com attack held-by-thread http://files.example.com/ /usr/bin/curl
    nothing_reaches sse.example.com attack held-by-thread http://sse.example.com/
    assert_match "$(attack absolute http://sse.example.com/)" reached
    assert_eq "$(code by_proxy alpha http://files.example.com/)" 200
}

test_the_proxy_of_another_tenant_is_out_of_reach() {
    local beta
    beta=$(tenantctl status beta --json | json 'it["address"]')
    goes_nowhere_bad in_cell alpha curl -sS --max-time 5 -x "http://$beta:3128" http://allowed.example.com/
    assert_no_match "$OUTPUT" hello
    nothing_leaves attack redirected "$beta" 3128
    assert_match "$OUTPUT" refused
}

test_the_sockets_of_the_host_are_out_of_reach() {
    local path
    while read -r path; do
        assert_match "$(attack host-socket "$path" </dev/null)" refused "$path"
    done < <(find /run/tenantd /run/systemd /run/dbus -type s)
    assert_match "$(python3 "$EGRESS/attack.py" host-socket /run/dbus/system_bus_socket)" reached
}

test_the_proxy_cannot_be_killed_traced_or_read_by_its_tenant() {
    local pid
    assert_eq "$(code direct alpha https://allowed.example.com/)" 200
    pid=$(proxy_pid alpha)
    assert_match "$(attack disturb "$pid")" refused
    # As the tenant's user, with the host's processes in sight.
    assert_match "$(setpriv --reuid t-alpha --regid t-alpha --clear-groups python3 "$EGRESS/attack.py" disturb "$pid")" refused
    assert_eq "$(proxy_pid alpha)" "$pid"
    sleep 60 &
    later kill $!
    assert_match "$(python3 "$EGRESS/attack.py" disturb $!)" reached
}

test_nobody_listens_in_the_place_of_the_proxy() {
    local address
    for address in 127.0.0.1 0.0.0.0 127.0.0.2; do
        attack listen-instead 3128 tcp "$address"
        attack listen-instead 3129 tcp "$address"
        attack listen-instead 53 udp "$address"
    done
    assert_match "$(attack listen-instead 3128)" refused
    assert_match "$(attack listen-instead 3129)" refused
    assert_match "$(attack listen-instead 53)" refused
    assert_match "$(attack listen-instead 53 udp)" refused
    # At the port that a connection goes to.
    assert_match "$(attack listen-at 192.0.2.77 8077)" refused
    assert_match "$(outside listen-at 127.0.0.77 8077)" reached
    # While the tenant is started anew, and when its proxy has died.
    kill -KILL "$(proxy_pid alpha)" 2>/dev/null || true
    assert_match "$(attack listen-instead 3128)" refused
    assert_eq "$(code direct alpha https://allowed.example.com/)" 200
}

test_the_proxys_own_port_for_what_knows_no_proxy_leads_nowhere() {
    stays_inside redirected 127.0.0.1 3129 allowed.example.com
    stays_inside redirected 127.0.0.2 3129 allowed.example.com
    assert_match "$(attack redirected allowed.example.com 80)" reached
}

test_a_port_that_another_connection_had_a_moment_ago_is_no_obstacle() {
    local one='hello from allowed.example.com' two='hello from sse.example.com'
    assert_eq "$(program alpha client.py port allowed.example.com sse.example.com allowed.example.com)" "$one; $two; $one"
}

test_what_was_refused_is_told_to_the_operator() {
    local since
    since=$(date +%s)
    attack connect-to evil-name-5521.example.com:443
    told() { journalctl -q -u tenant-egress@alpha.service --since "@$since" -o cat | grep evil-name-5521 >/dev/null; }
    eventually 10 told
    # What a tenant writes cannot forge a line of the journal.
    attack connect-to 'a\nforged-5522 allowed:443'
    assert_eq "$(journalctl -q -u tenant-egress@alpha.service --since "@$since" -o cat | grep -c '^forged-5522' || true)" 0
}
