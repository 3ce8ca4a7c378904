# shellcheck shell=bash
# Sourced by the tests that attack: where their programs are. A cell shows the host's /usr and nothing else of it, so
# the attack program is copied there.

PLACE=/usr/local/lib/escape
PROBE=$PLACE/escape-probe

# program NAME: the path of a stand-in program in this host.
program() {
    local folder
    for folder in /usr/local/lib/standin /usr/local/lib/standin/bin /usr/local/bin /usr/lib/standin /opt/standin/bin; do
        if [ -x "$folder/$1" ]; then
            echo "$folder/$1"
            return
        fi
    done
    echo "no $1 in this host" >&2
    return 1
}

# attack_program: put it where cells see it.
attack_program() {
    mkdir -p "$PLACE"
    install -m 0755 "$(program escape-probe)" "$PROBE"
}

# gateway: the command of a stand-in tenant.
gateway() { echo "$(program standin-gateway) --port 18789"; }
