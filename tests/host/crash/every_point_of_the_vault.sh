#!/bin/bash
# Runs in a host with a daemon that dies at point N of the vault's files: every_point_of_the_vault.sh VERB LEAST…
# For N = 1, 2, … until the verb succeeds without a death: kill, let systemd start it again, and look at what is there.
set -Eeuo pipefail
vault=/var/lib/tenantd/vault
host_key=/var/lib/systemd/credential.secret
words=/root/words
copy=/root/copy

mkdir -p /run/systemd/system/tenantd.service.d
cat >/run/systemd/system/tenantd.service.d/mortal.conf <<'UNIT'
[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=
ExecStart=/opt/mortal/tenantd
Restart=always
RestartSec=0
PassEnvironment=TENANTD_DIE_AT_VAULT
UNIT
systemctl daemon-reload
echo "six words make a passphrase" >"$words"

# Answers as PID 1 is answered when it starts the gateway of a tenant.
cat >/root/ask.py <<'PYTHON'
import os, socket, sys
with socket.socket(socket.AF_UNIX) as link:
    link.bind(b"\0" + os.urandom(8).hex().encode() + b"/unit/tenant@" + sys.argv[1].encode() + b".service/secrets")
    link.connect("/run/tenantd/credentials.sock")
    sys.stdout.buffer.write(b"".join(iter(lambda: link.recv(65536), b"")))
PYTHON

bad() { echo "$verb, point $n: $*"; journalctl -u tenantd -n 20 -o cat; ls -lA "$vault" "$vault"/*; exit 1; }
wait_for() { for _ in $(seq 100); do "$@" && return 0; sleep 0.05; done; return 1; }
daemon_pid() { systemctl show -P MainPID tenantd; }
arm() { # N: the daemon that runs dies at point N, the one after it does not
    systemctl set-environment "TENANTD_DIE_AT_VAULT=$1"
    systemctl restart tenantd
    systemctl unset-environment TENANTD_DIE_AT_VAULT
}
status() { tenantctl vault status --json; }
field() { python3 -c 'import json,sys; print(json.load(sys.stdin).get(sys.argv[1]))' "$1"; }
version() { # TENANT NAME
    tenantctl secret list "$1" --json |
        python3 -c 'import json,sys; print(next((s["version"] for s in json.load(sys.stdin) if s["name"] == sys.argv[1]), 0))' "$2"
}
problems() { # TENANT: "NAME: PROBLEM" lines
    tenantctl secret list "$1" --json |
        python3 -c 'import json,sys; [print(s["name"] + ": " + s["problem"]) for s in json.load(sys.stdin) if s.get("problem")]'
}
set_secret() { printf '%s' "$3" | tenantctl secret set "$1" "$2" --for file >/dev/null 2>&1; }
answered() { python3 /root/ask.py "$1" | tr -d '\0'; }
holds() { # TENANT VALUE…: each is given to the gateway
    local tenant=$1 found value
    shift
    found=$(answered "$tenant") || bad "nobody answers for $tenant"
    for value in "$@"; do
        [[ $found == *"$value"* ]] || bad "$tenant is not given \"$value\": $found"
    done
}
deks() { find "$vault/$1" -name 'dek.*' | wc -l; }
sound() { # [PROBLEM]: everything opens, no version of the untouched changed; no secret has a problem, or this one
    local now tenant
    now=$(status)
    [ "$(field state <<<"$now")" = open ] || bad "the vault is not open: $now"
    [ "$(field damaged <<<"$now")" = None ] || bad "damaged: $now"
    now=$(problems alpha)$(problems beta)
    [ -z "$now" ] || [ "$now" = "${1:-}" ] || bad "a secret has a problem: $now"
    for tenant in alpha beta; do
        [ "$(version "$tenant" still)" = "${still[$tenant]}" ] || bad "the version of $tenant's secret changed"
        holds "$tenant" "the still value of $tenant"
    done
}
settled() { # after the verb ended well: one key each, nothing left of a write
    local left
    [ ! -e "$vault/kek.next" ] || bad "kek.next is left"
    [ "$(deks alpha) $(deks beta)" = "1 1" ] || bad "there is more than one DEK"
    left=$(find "$vault" -name '.*' ! -path "$vault")
    [ -z "$left" ] || bad "left: $left"
    sound
}

declare -A still
systemctl restart tenantd
for tenant in alpha beta; do
    set_secret "$tenant" still "the still value of $tenant"
    still[$tenant]=$(version "$tenant" still)
done
set_secret alpha other "the other value"

# What is done, what is so before it, what may be after a death, what is after it ended well.
prepare() {
    case $verb in
        set) set_secret alpha turn "turn $n is old"; before=$(version alpha turn) ;;
        remove) [ "$(version alpha turn)" != 0 ] || set_secret alpha turn "turn $n"; before=$(version alpha turn) ;;
        rotate-kek) before=$(status | field kek) ;;
        import | import-lost)
            # A KEK of another time: the one that is then rotated away, with one more rotation so that it is a new one each time.
            # Those that are kept hold nothing any more, and each takes its time to open.
            rm -f "$copy" "$vault"/kek.[0-9a-f]*[0-9]*
            tenantctl vault recovery export --to "$copy" --passphrase-from "$words" 2>/dev/null
            before=$(status | field kek)
            if [ "$verb" = import ]; then tenantctl vault rotate-kek >/dev/null 2>&1; else cp "$host_key" /root/host-key; fi ;;
    esac
}
act() {
    case $verb in
        set) set_secret alpha turn "turn $n is new" ;;
        remove) tenantctl secret remove alpha turn ;;
        rotate-dek) tenantctl vault rotate-dek alpha ;;
        rotate-kek) tenantctl vault rotate-kek ;;
        import | import-lost) tenantctl vault recovery import "$copy" --passphrase-from "$words" ;;
    esac
}
after_death() {
    case $verb in
        set)
            [[ $(answered alpha) == *"turn $n is "* ]] || bad "neither the old value nor the new one is there"
            [ "$(version alpha turn)" -ge "$before" ] || bad "the version went down" ;;
        remove)
            # The files go before the note of them: until it is removed again, the list says what is so.
            sound "turn: its file was taken away: set it anew, or remove it"
            return ;;
        rotate-kek)
            # Nobody asks for it: the daemon goes on by itself.
            wait_for test ! -e "$vault/kek.next" || bad "the rotation was not ended by the next start" ;;
        import-lost) return ;; # locked until it is imported
    esac
    sound
}
after_success() {
    case $verb in
        set) holds alpha "turn $n is new"; [ "$(version alpha turn)" -gt "$before" ] || bad "the version did not go up" ;;
        remove) [ "$(version alpha turn)" = 0 ] || bad "it is still there" ;;
        rotate-kek) [ "$(status | field kek)" != "$before" ] || bad "the KEK is still the same" ;;
        import) ls "$vault/kek.$before" >/dev/null || bad "the KEK of the copy is not kept" ;;
        import-lost) [ "$(status | field kek)" = "$before" ] || bad "the KEK of the copy is not in use" ;;
    esac
    settled
}

every_point() { # VERB LEAST
    local least=$2 deaths=0 pid begun=$SECONDS
    verb=$1
    for n in $(seq 100); do
        prepare
        # The host's key goes when the daemon that knows the KEK is about to end.
        [ "$verb" != import-lost ] || rm "$host_key"
        arm "$n"
        pid=$(daemon_pid)
        if act >/tmp/out 2>&1; then
            [ "$(daemon_pid)" = "$pid" ] || bad "it succeeded although the daemon died"
            # It is still to die, at a later point: of another verb.
            systemctl restart tenantd
            after_success
            break
        fi
        wait_for test ! -e "/proc/$pid" || bad "failed without a death: $(cat /tmp/out)"
        deaths=$((deaths + 1))
        tenantctl list >/dev/null 2>&1 || wait_for tenantctl list >/dev/null 2>&1 || bad "tenantd does not come back"
        after_death
        # Once more, and nobody dies.
        if ! act >/tmp/out 2>&1; then
            # A removal that was all but done when the daemon died has nothing left to remove.
            [ "$verb $(version alpha turn)" = "remove 0" ] || bad "it does not go on: $(cat /tmp/out)"
        fi
        after_success
    done
    [ "$deaths" -ge "$least" ] || { echo "$verb: only $deaths deaths, not $least: the daemon did not die at its points"; cat /tmp/out; exit 1; }
    echo "$verb: $deaths deaths in $((SECONDS - begun)) s, each followed by recovery" >&2
}

while [ $# -gt 0 ]; do
    every_point "$1" "$2"
    shift 2
done
