# The network of a tenant and its fence: what is made, what is dropped and counted, what happens when the fence is flushed,
# reloaded or missing, and that stopping leaves nothing behind.
# level: tenants
# shellcheck shell=bash
# shellcheck disable=SC2317 # some functions are called by name

NET=/usr/lib/tenantd/tenant-net

# The tests do what the self-test stops a tenant for.
before_file() { systemctl stop tenantd-selftest.timer tenantd-selftest.service; }
after_file() { systemctl start tenantd-selftest.timer; }

compiled() { # TENANT KEY: a value of the tenant's network file
    python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["link"][sys.argv[2]])' \
        "/var/lib/tenantd/compiled/$1/network.json" "$2"
}
counted() { nft -j list counter inet tenantd "$1" | python3 -c 'import json,sys; print(json.load(sys.stdin)["nftables"][1]["counter"]["packets"])'; }
# answers ADDRESS PORT: whether something accepts a TCP connection there within a second, from where this runs.
CONNECT='import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1)'
inside() { # TENANT ADDRESS PORT: connect as root in the tenant's namespace: no layer but the network holds this one
    ip netns exec "t-$1" python3 -c "$CONNECT" "$2" "$3"
}
listen() { # ADDRESS PORT: a listener on this host, until the test ends
    python3 -m http.server "$2" --bind "$1" >/dev/null 2>&1 &
    later kill $!
    eventually 60 python3 -c "$CONNECT" "$1" "$2"
}

test_a_tenants_links_are_silent_pinned_and_have_no_ipv6() {
    local bridge port
    bridge=$(compiled alpha bridge) port=$(compiled alpha host)
    assert_match "$(ip link show "$bridge")" NOARP
    assert_match "$(ip link show "$port")" "NOARP.*master $bridge"
    assert_match "$(ip link show "$bridge")" "alias alpha"
    assert_eq "$(ip -6 address show dev "$bridge"; ip -6 address show dev "$port"; ip -n t-alpha -6 address)" ""
    assert_match "$(ip neigh show dev "$bridge")" "$(compiled alpha tenant_address) .*PERMANENT"
    assert_match "$(ip -n t-alpha neigh)" "$(compiled alpha bridge_address) .*PERMANENT"
    assert_eq "$(ip -n t-alpha route show default)" ""
    assert_eq "$(cat "/proc/sys/net/ipv4/conf/$bridge/forwarding") $(cat "/proc/sys/net/ipv4/conf/$bridge/rp_filter")" "0 1"
}

test_a_service_of_this_host_is_refused_to_a_tenant_and_counted() {
    local address before
    address=$(compiled alpha bridge_address)
    listen "$address" 7781
    before=$(counted refused_service)
    assert_fails inside alpha "$address" 7781
    [ "$(counted refused_service)" -gt "$before" ] || fail "the fence did not count it"
    # Positive control: an element lets it through, and taking the element away cuts it.
    nft add element inet tenantd services "{ $(compiled alpha bridge) . $address . tcp . 7781 }"
    assert_ok inside alpha "$address" 7781
    nft delete element inet tenantd services "{ $(compiled alpha bridge) . $address . tcp . 7781 }"
    assert_fails inside alpha "$address" 7781
}

test_a_forged_source_address_is_dropped_and_counted() {
    local before beta
    beta=$(compiled beta tenant_address)
    before=$(counted dropped_spoofed)
    ip -n t-alpha address add "$beta/32" dev eth0
    later ip -n t-alpha address del "$beta/32" dev eth0
    assert_fails ip netns exec t-alpha python3 -c \
        'import socket,sys; socket.create_connection((sys.argv[1], 22), 1, (sys.argv[2], 0))' \
        "$(compiled alpha bridge_address)" "$beta"
    [ "$(counted dropped_spoofed)" -gt "$before" ] || fail "the fence did not count it"
}

test_nothing_is_forwarded_even_with_a_route_and_forwarding_on() {
    local before conf
    conf=/proc/sys/net/ipv4/ip_forward
    later sh -c "echo $(cat $conf) >$conf"
    echo 1 >$conf
    before=$(counted dropped_destination)
    ip -n t-alpha route add default via "$(compiled alpha bridge_address)"
    later ip -n t-alpha route del default
    assert_fails inside alpha "$(compiled beta tenant_address)" 18789
    assert_ok python3 -c "$CONNECT" "$(compiled beta tenant_address)" 18789
    [ "$(counted dropped_destination)" -gt "$before" ] || fail "the fence did not count it"
}

test_only_root_may_open_a_connection_from_this_host_to_a_tenant() {
    local address before
    address=$(compiled alpha tenant_address)
    assert_ok python3 -c "$CONNECT" "$address" 18789
    before=$(counted refused_relay)
    assert_fails setpriv --reuid nobody --clear-groups python3 -c "$CONNECT" "$address" 18789
    [ "$(counted refused_relay)" -gt "$before" ] || fail "the fence did not count it"
}

test_a_refused_connection_leaves_no_conntrack_entry() {
    local table=/proc/net/nf_conntrack address
    [ -e $table ] || skip "this kernel does not list its connections"
    address=$(compiled alpha bridge_address)
    ip netns exec t-alpha python3 -c '
import socket, sys
for port in range(7900, 8000):
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
        with socket.socket(socket.AF_INET, kind) as tried:
            tried.connect_ex((sys.argv[1], port))
            if kind == socket.SOCK_DGRAM:
                tried.send(b"x")' "$address"
    assert_eq "$(grep -c "src=$(compiled alpha tenant_address) .*dport=79" $table || true)" 0
    # Positive control: what is let through has one.
    assert_ok python3 -c "$CONNECT" "$(compiled alpha tenant_address)" 18789
    assert_match "$(cat $table)" "dst=$(compiled alpha tenant_address) .*dport=18789"
}

test_loading_the_fence_again_neither_opens_nor_cuts() {
    local elements
    elements=$(nft list set inet tenantd peers)
    assert_ok systemctl reload tenantd-fence
    assert_eq "$(nft list set inet tenantd peers)" "$elements"
    assert_ok python3 -c "$CONNECT" "$(compiled alpha tenant_address)" 18789
    assert_ok $NET selftest alpha
}

test_a_flushed_ruleset_is_put_back_with_the_elements_of_running_tenants() {
    local elements
    elements=$(nft list set inet tenantd peers)
    assert_ok systemctl is-active tenantd-fence-watch
    nft flush ruleset
    back() { [ "$(nft list set inet tenantd peers 2>/dev/null)" = "$elements" ]; }
    eventually 60 back
    assert_ok $NET selftest alpha
    assert_ok $NET selftest beta
    assert_ok python3 -c "$CONNECT" "$(compiled alpha tenant_address)" 18789
}

test_the_selftest_fails_without_the_fence() {
    systemctl stop tenantd-fence-watch
    later systemctl start tenantd-fence-watch
    later systemctl reload tenantd-fence
    nft flush chain inet tenantd tenant_to_host
    assert_fails $NET selftest alpha
    assert_match "$OUTPUT" "tenant_to_host.* is empty"
    # Hollow, not empty: only the attempt itself shows it.
    nft 'add rule inet tenantd tenant_to_host accept; add rule inet tenantd tenant_to_host accept'
    assert_fails $NET selftest alpha
    assert_match "$OUTPUT" "could be reached from inside"
}

test_a_fence_that_does_not_hold_is_shouted_about_until_it_holds_again() {
    local since
    assert_ok systemctl start tenantd-selftest
    assert_eq "$(systemctl is-failed tenantd-selftest || true)" inactive
    since=$(date '+%F %T')
    sleep 1
    # Nothing is deleted, so nobody puts it back: only the attempt shows it.
    nft insert rule inet tenantd tenant_to_host accept
    later systemctl reload tenantd-fence
    assert_fails systemctl start tenantd-selftest
    stopped() { ! systemctl is-active -q tenant@alpha && ! systemctl is-active -q tenant@beta; }
    eventually 20 stopped
    later systemctl start tenant@alpha tenant@beta
    assert_match "$(journalctl -u tenantd-selftest -p crit -o cat --since "$since")" 'tenant alpha: the fence does not hold: .*could be reached from inside: cutting it off'
    # Also after a test that found nothing more to cut off.
    assert_fails systemctl start tenantd-selftest
    assert_match "$(systemctl list-units --failed --plain --no-legend)" tenantd-selftest.service
    assert_match "$(journalctl -u tenantd-selftest -p crit -o cat --since "$since")" '2 tenant.s. are cut off until .*systemctl reload tenantd-fence'
    assert_status 71 tenantctl doctor --no-color
    assert_match "$OUTPUT" 'the fence was seen not to hold'
    assert_match "$(tenantctl list --no-color)" 'alpha +cut off'
    assert_match "$(tenantctl status alpha || true)" 'cut off: tenant alpha: the fence does not hold'
    # Starting a tenant is not enough: the fence must be seen to hold.
    assert_ok systemctl start tenant@alpha
    assert_fails systemctl start tenantd-selftest
    assert_match "$(tenantctl list --no-color)" 'alpha +cut off'
    assert_ok systemctl reload tenantd-fence
    assert_ok systemctl start tenant@alpha tenant@beta
    assert_ok systemctl start tenantd-selftest
    assert_eq "$(systemctl is-failed tenantd-selftest || true)" inactive
    assert_match "$(tenantctl list --no-color)" 'alpha +active'
    assert_no_match "$(tenantctl list --json)" alarm
    assert_no_match "$(tenantctl doctor --no-color || true)" 'seen not to hold'
}

test_no_network_is_made_without_the_fence() {
    systemctl stop tenant@beta tenantd-fence-watch
    later systemctl start tenant@beta
    later systemctl start tenantd-fence-watch
    later systemctl reload tenantd-fence
    eventually 60 test ! -e /run/netns/t-beta
    nft delete table inet tenantd
    assert_fails $NET up beta
    assert_match "$OUTPUT" "tenant beta: the fence is not loaded.*tenantd-fence.service"
    test ! -e /run/netns/t-beta
}

# up NAME: put a network up as tenant-net@NAME.service does, without a tenant that wants it.
up() { systemd-run --quiet --unit="up-$1" --property=Type=notify --property=NotifyAccess=main $NET up "$1"; }
down() { systemctl stop "up-$1"; $NET down "$1"; }

test_up_and_down_may_be_repeated() {
    local bridge
    bridge=$(compiled beta bridge)
    assert_ok systemctl stop tenant@beta
    later systemctl start tenant@beta
    eventually 60 test ! -e "/sys/class/net/$bridge"
    assert_ok $NET down beta
    # Half-made by a killed run: a dead link for the namespace, a bridge without a port, a pair of another make.
    ln -s /proc/4194305/ns/net /run/netns/t-beta
    ip link add "$bridge" type bridge
    ip link add "$(compiled beta host)" type veth peer name stray
    assert_ok up beta
    assert_ok $NET selftest beta
    # The process that held it is gone, and nobody took anything down.
    assert_ok systemctl kill --signal=KILL up-beta
    assert_ok systemctl reset-failed up-beta
    assert_ok up beta
    assert_ok $NET selftest beta
    assert_ok down beta
    assert_ok $NET down beta
    assert_ok $NET sweep
    assert_eq "$(ip -o link | grep -cw "$bridge" || true)" 0
    test ! -L /run/netns/t-beta
}

test_a_link_whose_process_is_gone_is_taken_away_whatever_else_is_wrong() {
    local record=/run/tenantd/net/beta.json
    assert_ok systemctl stop tenant@beta
    later systemctl start tenant@beta
    later rm -f "$record"
    down() { [ "$(systemctl is-active tenant-net@beta)" = inactive ]; }
    eventually 60 down
    ln -s /proc/1/ns/net /run/netns/t-beta
    echo '{"format":0}' >"$record"
    assert_fails $NET down beta
    test ! -L /run/netns/t-beta
}

test_what_holds_a_namespace_has_no_capability_and_no_mount() {
    local pid
    pid=$(systemctl show -P MainPID tenant-net@alpha)
    assert_eq "$(readlink /run/netns/t-alpha)" "/proc/$pid/ns/net"
    assert_eq "$(grep -E '^(Uid|CapPrm|CapEff|CapInh|CapAmb|NoNewPrivs|Seccomp):' "/proc/$pid/status" | tr -s '\t' ' ')" \
        $'Uid: 0 0 0 0\nCapInh: 0000000000000000\nCapPrm: 0000000000000000\nCapEff: 0000000000000000\nCapAmb: 0000000000000000\nNoNewPrivs: 1\nSeccomp: 2'
    assert_eq "$(grep -c 'netns/t-' /proc/self/mountinfo || true)" 0
    # No netlink socket, no stream of the journal's.
    assert_eq "$(find "/proc/$pid/fd" -type l -printf '%l\n' | sort -u)" /dev/null
    assert_match "$(ip netns exec t-alpha ip -o link)" 'eth0@'
}

test_a_tenant_whose_namespace_is_lost_gets_another() {
    local gateway holder
    # By the processes: the kernel gives the number of a namespace that is gone to the next one.
    back() {
        local main
        main=$(systemctl show -P MainPID tenant@alpha)
        [ "$(systemctl is-active tenant@alpha)" = active ] && [ "$main" != "$gateway" ] &&
            [ "$(systemctl show -P MainPID tenant-net@alpha)" != "$holder" ] &&
            # Between two of them there is none.
            [ "$(stat -Lc %i /run/netns/t-alpha)" = "$(stat -Lc %i "/proc/$main/ns/net")" ]
    }
    gateway=$(systemctl show -P MainPID tenant@alpha)
    holder=$(systemctl show -P MainPID tenant-net@alpha)
    assert_ok systemctl kill --signal=KILL --kill-who=main tenant-net@alpha
    eventually 60 back
    # The same by a signal that would end it quietly.
    gateway=$(systemctl show -P MainPID tenant@alpha)
    holder=$(systemctl show -P MainPID tenant-net@alpha)
    assert_ok kill "$holder"
    eventually 60 back
    assert_ok $NET selftest alpha
    assert_ok python3 -c "$CONNECT" "$(compiled alpha tenant_address)" 18789
}

test_a_tenant_that_stops_during_a_sweep_is_swept_too() {
    local bridge round
    bridge=$(compiled beta bridge)
    systemctl stop tenant@beta
    later systemctl start tenant@beta
    for round in $(seq 40); do
        assert_ok up beta
        systemctl start --no-block tenantd-sweep.service
        sleep "0.0$((round % 10))"
        assert_ok down beta
    done
    swept() {
        [ ! -e "/sys/class/net/$bridge" ] && [ -z "$(ls /run/tenantd/dead)" ] &&
            [ "$(systemctl is-failed tenantd-sweep.service tenantd-sweep.path)" = $'inactive\nactive' ]
    }
    eventually 60 swept
}

# What a tenant with a way out looks like; what passes is for egress.sh.
with_a_way_out() { # gives beta one, until the test ends
    local spec=/etc/tenantd/tenants.d/beta.toml
    cp $spec /run/beta.toml
    later sh -c "tenantctl apply -f /run/beta.toml && systemctl is-active tenant@beta"
    # Without what emulated hosts lack for a profile's limits: memory, and a disk with project quotas.
    { [ "$RIG_KIND" != qemu ] || echo 'accept_missing = ["disk-quota"]'; cat /run/beta.toml; printf '\n[egress]\ndefault = "deny"\n[limits]\nmemory_max = "1G"\n'; } >/run/beta.egress.toml
    assert_ok tenantctl apply -f /run/beta.egress.toml
}
refused_inside() { ip netns exec t-beta nft list counter ip tenantd refused_way_out | sed -n 's/.*packets \([0-9]*\).*/\1/p'; }

test_a_way_out_leads_to_the_tenants_own_loopback_and_nowhere_else() {
    local before
    assert_fails ip netns exec t-beta nft list table ip tenantd
    with_a_way_out
    assert_eq "$(ip -n t-beta route show default)" "default dev lo proto static scope link "
    assert_eq "$(systemctl is-active tenant-egress@beta.socket)" active
    assert_eq "$(ip netns exec t-beta ss -Hltn | awk '{print $4}' | grep 127.0.0.1 | sort)" $'127.0.0.1:3128\n127.0.0.1:3129\n127.0.0.1:53'
    assert_ok $NET selftest beta
    # A datagram and a ping are refused and counted; the uplink and the bridge see nothing of them.
    before=$(refused_inside)
    assert_fails ip netns exec t-beta python3 -c 'import socket; socket.socket(2, 2).sendto(b"x", ("8.8.8.8", 53))'
    assert_match "$OUTPUT" "Operation not permitted"
    assert_fails ip netns exec t-beta ping -c1 -W1 8.8.8.8
    [ "$(refused_inside)" -gt "$before" ] || fail "they were not counted"
    # Nor does a connection leave by the other link.
    before=$(refused_inside)
    assert_fails ip netns exec t-beta python3 -c 'import socket; link = socket.socket(); link.setsockopt(1, 25, b"eth0\0"); link.settimeout(5); link.connect(("8.8.8.8", 53))'
    [ "$(refused_inside)" -gt "$before" ] || fail "it was not counted: $OUTPUT"
    # Positive control: a connection to the same address is taken, by the socket inside.
    assert_ok inside beta 8.8.8.8 53
    # Which costs no memory for keeping track of it.
    assert_eq "$(ip netns exec t-beta sysctl -n net.netfilter.nf_conntrack_count)" 0
}

test_the_selftest_fails_without_the_rules_inside() {
    with_a_way_out
    assert_ok $NET selftest beta
    ip netns exec t-beta nft flush chain ip tenantd intercept
    assert_fails $NET selftest beta
    assert_match "$OUTPUT" "chain intercept inside is empty or missing"
    ip netns exec t-beta nft add rule ip tenantd intercept counter
    ip netns exec t-beta nft flush chain ip tenantd refuse
    assert_fails $NET selftest beta
    assert_match "$OUTPUT" "chain refuse inside is empty or missing"
    ip netns exec t-beta nft add rule ip tenantd refuse counter
    assert_fails $NET selftest beta
    assert_match "$OUTPUT" "a datagram (could leave|was not refused)"
}

test_without_the_proxys_socket_a_connection_is_refused_at_once() {
    with_a_way_out
    # The namespace alone, in which nothing listens.
    later sh -c "systemctl stop needs-net && systemctl start tenant@beta"
    assert_ok systemd-run --quiet --unit=needs-net -p Requires=tenant-net@beta.service -p After=tenant-net@beta.service sleep 60
    assert_ok systemctl stop tenant@beta
    deaf() { [ -z "$(ip netns exec t-beta ss -Hltn)" ]; }
    eventually 10 deaf
    assert_fails ip netns exec t-beta python3 -c 'import socket; socket.create_connection(("8.8.8.8", 53), 5)'
    assert_match "$OUTPUT" "Connection refused"
}

# Until its tenant is started again, it has a redirection.
test_a_namespace_that_an_older_version_made_goes_on() {
    local asked=(tenantctl exec beta -- curl -sS --noproxy '*' --max-time 20 http://8.8.4.4/)
    with_a_way_out
    assert_match "$("${asked[@]}")" "no rule of this tenant's policy allows 8.8.4.4:80"
    ip netns exec t-beta nft "flush chain ip tenantd intercept; delete chain ip tenantd intercept"
    # "redirect" is a word of nft's own language.
    ip netns exec t-beta nft -j -f - <<'NFT'
{"nftables": [
  {"add": {"chain": {"family": "ip", "table": "tenantd", "name": "redirect", "type": "nat", "hook": "output", "prio": -100, "policy": "accept"}}},
  {"add": {"rule": {"family": "ip", "table": "tenantd", "chain": "redirect", "expr": [
    {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": "8.8.4.4"}},
    {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}}, {"redirect": {"port": 3129}}]}}}]}
NFT
    assert_ok $NET selftest beta
    assert_match "$("${asked[@]}")" "no rule of this tenant's policy allows 8.8.4.4:80"
}

test_a_new_namespace_has_its_way_out_too() {
    local holder
    with_a_way_out
    holder=$(systemctl show -P MainPID tenant-net@beta)
    back() {
        [ "$(systemctl show -P MainPID tenant-net@beta)" != "$holder" ] && [ "$(systemctl is-active tenant@beta)" = active ] &&
            inside beta 8.8.8.8 53
    }
    assert_ok systemctl kill --signal=KILL --kill-who=main tenant-net@beta
    eventually 60 back
    assert_ok $NET selftest beta
}

test_a_file_that_others_could_have_written_is_refused() {
    local file=/var/lib/tenantd/compiled/beta/network.json
    chmod g+w $file
    later chmod g-w $file
    assert_fails $NET up beta
    assert_match "$OUTPUT" "network.json: is owned by uid 0 with mode .*; only root may be able to write it"
}

test_a_tenant_that_never_existed_is_one_sentence() {
    assert_status 72 $NET up nosuch
    assert_match "$OUTPUT" "tenant nosuch: .*does not exist: there is no such tenant"
    assert_status 64 $NET up ../etc
}
