# shellcheck shell=bash
# What the files about the edge share: the edge open on this host, and clients of it. The network outside is a namespace of its own, so
# that a client's address is not one of this host's.

EDGE=${BASH_SOURCE[0]%/*}
# shellcheck disable=SC2034 # of the files that take this in
CERTIFICATE=/var/lib/tenantd/edge/tls/cert.pem
DOMAIN=agents.test
INSIDE=198.51.100.1 # this host, as seen from outside
export EDGE CERTIFICATE DOMAIN INSIDE

# edge_open [LINE…]: the outside and the edge, with limits that tests do not meet, and further lines of its settings.
edge_open() {
    ip netns add outside
    ip link add to-outside type veth peer name to-host netns outside
    ip addr add "$INSIDE/24" dev to-outside
    ip link set to-outside up
    ip -n outside addr add 198.51.100.2/24 dev to-host
    ip -n outside addr add 198.51.100.3/24 dev to-host # who misbehaves
    ip -n outside link set to-host up
    ip -n outside link set lo up
    tenantctl edge enable --domain "$DOMAIN"
    edge_settings "$@"
}

# edge_settings [LINE…]: these settings take effect.
edge_settings() {
    {
        cat <<TOML
domain = "$DOMAIN"
TOML
        printf '%s\n' "$@"
        cat <<TOML
[limits]
requests_per_ip = 100000
requests_per_subject = 100000
requests_per_tenant = 100000
connections_per_ip = 10000
connections_per_tenant = 5000
sockets_per_subject = 5000
failures_per_ip = 1000000
TOML
    } >/etc/tenantd/edge.toml
    tenantctl edge reload >/dev/null
    sleep 0.6 # the edge looks at its files four times a second
}

edge_close() {
    tenantctl edge disable
    ip netns delete outside
}

outside() { ip netns exec outside "$@"; }

# token TENANT ROLE [OPTION…]
token() {
    local tenant=$1 role=$2
    shift 2
    tenantctl token issue "$tenant" --role "$role" --json "$@" | member token
}

# member NAME: of the JSON object on standard input
member() { python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# at TENANT PATH [OPTION…]: curl from outside; the answer on standard output
at() {
    local tenant=$1 path=$2
    shift 2
    outside curl -sS --max-time 20 --cacert "$CERTIFICATE" --resolve "*:443:$INSIDE" "$@" "https://$tenant.$DOMAIN$path"
}

# status TENANT PATH [OPTION…]: only the status
status() { at "$@" -o /dev/null -w '%{http_code}'; }

# bearer TOKEN: the option
bearer() { printf 'Authorization: Bearer %s' "$1"; }

# client WORD…: client.py from outside
client() { client_of client.py "$@"; }

# sign_in TENANT ROLE JAR: a browser's session in a cookie jar
sign_in() {
    local url
    url=$(tenantctl login "$1" --role "$2" --subject "${4:-ann}" --json | member url)
    at "$1" /.tenantd/login -c "$3" -b "$3" -o /dev/null -H "Origin: https://$1.$DOMAIN" --data-urlencode "ticket=${url#*ticket=}"
}

edge_pid() { systemctl show -P MainPID tenantd-edge.service; }

# client_of PROGRAM WORD…: one of the programs beside this file, from outside
client_of() {
    local program=$1
    shift
    outside python3 "$EDGE/$program" "$@"
}
