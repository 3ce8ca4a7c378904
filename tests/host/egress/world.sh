# shellcheck shell=bash disable=SC2034 # of the files that take this in
# The outside world for the files about egress: a network namespace behind the link "uplink0" of this host, with a name server, web servers,
# model providers and a watch that notes each frame that leaves. Nothing leaves the host.

EGRESS=${BASH_SOURCE[0]%/*}
WORLD=/run/world
PROGRAMS=/usr/local/lib/world # readable in the cells
WORLD_NET=93.184.216
WORLD_CA=/usr/local/share/ca-certificates/world.crt
# Places that no tenant may reach, and that answer here all the same: a refusal is the proxy's.
TEMPTING="8.8.8.8 1.1.1.1 169.254.169.254 10.0.0.5 100.64.0.1 203.0.113.7"
OPENAI_KEY=sk-world-openai-5f3a9c BACKUP_KEY=sk-world-backup-77d1e0 ANTHROPIC_KEY=sk-world-anthropic-b2c4d6

# world_open: the world is there, and this host resolves names by it and believes its authority.
world_open() {
    mkdir -p "$WORLD" "$PROGRAMS"
    cp "$EGRESS"/*.py "$PROGRAMS"
    world_certificates
    world_links
    cp -a /etc/resolv.conf "$WORLD/resolv.conf.before" 2>/dev/null || true
    rm -f /etc/resolv.conf
    echo "nameserver $WORLD_NET.53" >/etc/resolv.conf
    world_unit tenantd-test-world ip netns exec world python3 "$EGRESS/world.py" "$WORLD"
    world_unit tenantd-test-watch python3 "$EGRESS/watch.py" uplink0 "$WORLD/uplink.log"
    eventually 120 test -e "$WORLD/ready"
    eventually 120 world_answers
    touch "$WORLD"/{dns,web,tcp,providers,uplink}.log
}

world_answers() { [ "$(curl -s --max-time 20 https://allowed.example.com/)" = "hello from allowed.example.com" ]; }

# world_unit NAME CMD…: a service of this host's, which outlives the process that starts it.
world_unit() {
    local name=$1
    shift
    systemd-run --quiet --collect --unit "$name" -p Restart=no -p LimitNOFILE=65536 "$@"
}

world_links() {
    local address number
    ip netns add world
    ip link add uplink0 type veth peer name to-host netns world
    sysctl -qw net.ipv6.conf.uplink0.accept_dad=0 || true
    ip addr add "$WORLD_NET.1/24" dev uplink0
    ip addr add 2606:2800:220::1/64 dev uplink0 nodad || true
    ip link set uplink0 up
    ip -n world link set lo up
    ip -n world link set to-host up
    for number in 2 10 11 12 13 14 15 16 17 18 20 30 31 32 53 66; do
        ip -n world addr add "$WORLD_NET.$number/24" dev to-host
    done
    for number in 2 12 53; do ip -n world addr add "2606:2800:220::$number/64" dev to-host nodad || true; done
    for address in $TEMPTING; do ip -n world addr add "$address/32" dev lo; done
    ip -n world route add default via "$WORLD_NET.1"
    ip route replace default via "$WORLD_NET.2" dev uplink0
    ip -6 route replace default via 2606:2800:220::2 dev uplink0 || true
    nft -f - <<'NFT'
table inet worldwatch {
    chain leaving {
        type filter hook postrouting priority 300; policy accept;
        oifname "uplink0" meta l4proto tcp counter comment "tcp"
        oifname "uplink0" meta l4proto udp counter comment "udp"
        oifname "uplink0" meta l4proto { icmp, icmpv6 } counter comment "icmp"
        oifname "uplink0" meta l4proto != { tcp, udp, icmp, icmpv6 } counter comment "other"
    }
}
NFT
}

# world_certificates: an authority that this host believes, and what the servers show.
world_certificates() {
    local names="DNS:*.example.com,DNS:example.com,DNS:*.tunnel.example.net"
    authority world-ca "Test authority of the world"
    authority nobody-ca "An authority that nobody believes"
    certificate world world-ca "$names"
    certificate wrong world-ca "DNS:elsewhere.example.net"
    certificate untrusted nobody-ca "$names"
    cp "$WORLD/world-ca.pem" "$WORLD_CA"
    update-ca-certificates >/dev/null 2>&1
}

authority() { # NAME SUBJECT
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$2" -keyout "$WORLD/$1.key" -out "$WORLD/$1.pem" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
}

certificate() { # NAME AUTHORITY NAMES
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$WORLD/$1.key" -out "$WORLD/$1.csr" 2>/dev/null
    openssl x509 -req -in "$WORLD/$1.csr" -CA "$WORLD/$2.pem" -CAkey "$WORLD/$2.key" -days 20 -out "$WORLD/$1.pem" \
        -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\n' "$3") 2>/dev/null
}

# world_close: this host is as before.
world_close() {
    systemctl stop tenantd-test-world.service tenantd-test-watch.service
    nft delete table inet worldwatch
    ip link del uplink0
    ip netns del world
    rm -f /etc/resolv.conf "$WORLD_CA"
    cp -a "$WORLD/resolv.conf.before" /etc/resolv.conf 2>/dev/null || true
    update-ca-certificates --fresh >/dev/null 2>&1
    rm -rf "$WORLD" "$PROGRAMS"
}

# ---- what left this host

# uplink_mark: print a mark; what is noted after it is later.
uplink_mark() {
    uplink_fence
    wc -l <"$WORLD/uplink.log"
}

# uplink_since MARK: what left since, a JSON object a line.
uplink_since() {
    uplink_fence
    tail -n "+$(($1 + 1))" "$WORLD/uplink.log" | grep -v '"said": "fence ' || true
}

# uplink_fence: a datagram of our own has been noted, and so has all before it.
uplink_fence() {
    local word
    word="fence $EPOCHREALTIME $BASHPID $RANDOM"
    printf '%s' "$word" >"/dev/udp/$WORLD_NET.66/9"
    eventually 10 grep -qF "$word" "$WORLD/uplink.log"
}

# nothing_leaves CMD…: CMD ends, however it does, and no packet has left the host for it. Output in $OUTPUT, status in $STATUS.
nothing_leaves() {
    local mark left
    mark=$(uplink_mark)
    STATUS=0
    OUTPUT=$("$@" 2>&1) || STATUS=$?
    printf '%s\n' "$OUTPUT"
    left=$(uplink_since "$mark")
    [ -z "$left" ] || fail "\"$*\" made packets leave: $(head -n 5 <<<"$left")"
}

# something_leaves CMD…: the positive control of the watch.
something_leaves() {
    local mark
    mark=$(uplink_mark)
    assert_ok "$@"
    [ -n "$(uplink_since "$mark")" ] || fail "\"$*\" made nothing leave"
}

# nothing_reaches HOST CMD…: no request for that name arrives at a server of the world for this act.
nothing_reaches() {
    local host=$1 mark
    shift
    mark=$(log_mark web)
    "$@" || true
    assert_eq "$(log_since web "$mark" | grep -cF "\"host\": \"$host" || true)" 0 "requests for $host"
}

# ---- what the servers saw

# log_mark LOG, log_since LOG MARK: lines of dns, web, tcp or providers.
log_mark() { wc -l <"$WORLD/$1.log"; }
log_since() { tail -n "+$(($2 + 1))" "$WORLD/$1.log"; }

# provider_does NAME JSON: how a provider behaves from now on: {"mode":"503"}; "{}" for as usual.
provider_does() {
    python3 - "$WORLD/providers.json" "$1" "$2" <<'PY'
import json, os, sys
file, name, order = sys.argv[1:]
try: orders = json.load(open(file))
except FileNotFoundError: orders = {}
orders[name + ".example.com"] = json.loads(order)
with open(file + ".new", "w") as new: json.dump(orders, new)
os.rename(file + ".new", file)
PY
}

# ---- tenants

# egress_set TENANT: its spec with the [egress] on standard input, in force. Its memory is not the profile's: emulated hosts are small.
egress_set() {
    local spec=/etc/tenantd/tenants.d/$1.toml
    [ -e "$WORLD/$1.toml" ] || cp "$spec" "$WORLD/$1.toml"
    { without_quota; cat "$WORLD/$1.toml"; echo; cat; printf '\n[limits]\nmemory_max = "1G"\n'; } >"$WORLD/$1.new"
    tenantctl apply -f "$WORLD/$1.new" >/dev/null
    in_force "$1"
}

# without_quota: a line of a spec; an emulated host has no disk with project quotas for what a profile limits.
without_quota() { [ "$RIG_KIND" != qemu ] || echo 'accept_missing = ["disk-quota"]'; }

# egress_reset TENANT: its spec as it was before the world came.
egress_reset() {
    [ ! -e "$WORLD/$1.toml" ] || tenantctl apply -f "$WORLD/$1.toml" >/dev/null
}

# in_force TENANT: the proxy has seen its files again; the kernel tells it when they are replaced.
in_force() {
    tenantctl start "$1" >/dev/null
    sleep 1.2
}

# direct TENANT [OPTION…] URL: curl without the proxy's variables: the connection is redirected.
direct() { in_cell "$1" curl -sS --max-time 40 --noproxy '*' "${@:2}"; }
# by_proxy TENANT [OPTION…] URL: curl by the explicit proxy.
by_proxy() { in_cell "$1" curl -sS --max-time 40 --noproxy '' -x http://127.0.0.1:3128 "${@:2}"; }
# code WORD…: the status that "direct" or "by_proxy" ends with; 000 for none.
code() { "$@" -o /dev/null -w '%{http_code}' 2>/dev/null || true; }
# mcp BODY [OPTION…]: a message of alpha's to an MCP server, which sends back what it was sent. calls TOOL: the message that calls it.
mcp() { direct alpha "${@:2}" -H 'Content-Type: application/json' --data-binary "$1" https://api.example.com/mcp; }
calls() { printf '{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"%s","arguments":{}}}' "$1"; }
# program TENANT FILE WORD…: one of the programs beside this file, in the cell.
program() { in_cell "$1" python3 "$PROGRAMS/$2" "${@:3}"; }
# json EXPRESSION: of what is on standard input, as "it"
json() { python3 -c 'import json,sys; it = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }

proxy_pid() { systemctl show -P MainPID "tenant-egress@$1.service"; }

# ---- questions

# opened FILE URL: alpha has a WebSocket open; FILE says "open", and "ended" when it has ended.
opened() {
    # What an earlier test left there says "open", too.
    rm -f "$1"
    program alpha client.py hold "$2" >"$1" 2>&1 &
    eventually 20 grep -q open "$1"
}

# waiting TENANT: numbers of the questions that wait.
waiting() { tenantctl approvals list --json | json "' '.join(str(q['number']) for q in it if q['tenant'] == '$1' and q['state'] == 'waiting')"; }
asked() { [ -n "$(waiting "$1")" ]; }
# question TENANT: the one question that waits, as JSON.
question() {
    eventually 20 asked "$1"
    tenantctl approvals list --json | json "json.dumps(next(q for q in it if q['tenant'] == '$1' and q['state'] == 'waiting'))"
}
# named: as a question is named in an answer: its number, and what tells whether it has changed.
named() { json 'str(it["number"]) + "-" + it["digest"]'; }
# answer TENANT approve|deny [OPTION…]: the one question that waits.
answer() {
    local name
    name=$(question "$1" | named)
    tenantctl approvals "$2" "$name" --because 'a test' "${@:3}"
}
# held FILE CMD…: CMD in the background, its output and then its status in FILE.
held() {
    local file=$1
    shift
    rm -f "$file"
    { "$@" >"$file.out" 2>&1; echo "status $?" >>"$file.out"; mv "$file.out" "$file"; } &
}
