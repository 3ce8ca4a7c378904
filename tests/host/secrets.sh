# Secrets: sealed, listed, rotated, removed; the keys that seal them; what happens when the host loses them. That no
# value shows anywhere is in secrets_leak.sh.
# level: tenants
# hosts: nspawn qemu
# shellcheck shell=bash
# shellcheck disable=SC2317 # some functions are called by name

VAULT=/var/lib/tenantd/vault
HOST_KEY=/var/lib/systemd/credential.secret

# The daemon is started more often here than anywhere else.
before_file() {
    mkdir -p /run/systemd/system/tenantd.service.d
    printf '[Unit]\nStartLimitIntervalSec=0\n' >/run/systemd/system/tenantd.service.d/often.conf
    systemctl daemon-reload
}
after_file() {
    rm -r /run/systemd/system/tenantd.service.d
    systemctl daemon-reload
}

secret() { tenantctl secret "$@"; }
given() { # VALUE COMMAND…: the command with the value on standard input
    printf '%s' "$1" | "${@:2}"
}
kek() { tenantctl vault status --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["kek"])'; }
versions() { # TENANT: "name version" lines, without its gateway's own
    tenantctl secret list "$1" --json | python3 -c 'import json,sys; [print(s["name"], s["version"]) for s in json.load(sys.stdin) if s["name"] != "gateway"]'
}
version() { # TENANT NAME: its version; 0 if there is no such secret
    versions "$1" | awk -v name="$2" '$1 == name { found = $2 } END { print found + 0 }'
}
words() { echo "six words make a passphrase" >"$1"; }

test_a_secret_is_set_listed_rotated_and_removed() {
    local first
    assert_ok given first secret set alpha token
    later tenantctl secret remove alpha token
    first=$(version alpha token)
    assert_match "$OUTPUT" "Secret token of tenant alpha is sealed, in version $first"
    assert_ok given second secret rotate alpha token
    assert_eq "$(versions alpha)" "token $((first + 1))"
    assert_eq "$(versions beta)" ""
    assert_match "$(tenantctl secret list alpha)" "token +proxy +$((first + 1))"
    assert_eq "$(find "$VAULT/alpha" -name 'secret.token.*' -printf '%f %m %U\n')" "secret.token.$((first + 1)) 600 0"
    assert_ok secret remove alpha token
    assert_eq "$(versions alpha)" ""
    # A name that was removed goes on above all that was.
    assert_ok given third secret set alpha token
    assert_eq "$(versions alpha)" "token $((first + 2))"
}

test_what_is_no_secret_is_refused_and_the_old_value_stays() {
    local good
    assert_ok given good secret set alpha token
    later tenantctl secret remove alpha token
    good=$(versions alpha)
    assert_status 65 given '' secret set alpha token
    assert_match "$OUTPUT" 'the value is empty'
    head -c 65537 /dev/zero >/root/large
    assert_status 65 secret set alpha token --from /root/large
    assert_match "$OUTPUT" 'more than 65536 bytes'
    assert_status 65 given x secret set alpha Not_A_Name
    assert_status 66 given x secret set nosuch token
    assert_status 66 given x secret rotate alpha nosuch
    assert_status 73 given x secret set alpha token --for file
    assert_match "$OUTPUT" 'is there already, for proxy'
    assert_status 66 secret remove alpha nosuch
    assert_eq "$(versions alpha)" "$good"
    # As large as one may be, and any bytes.
    head -c 65536 /dev/urandom >/root/large
    assert_ok secret rotate alpha token --from /root/large
}

test_keys_are_rotated_and_what_they_sealed_opens() {
    local before value
    assert_ok given value secret set alpha token
    later tenantctl secret remove alpha token
    before=$(kek) value=$(versions alpha)
    assert_ok tenantctl vault rotate-dek alpha
    assert_eq "$(find "$VAULT/alpha" -name 'dek.*' | wc -l)" 1
    assert_ok tenantctl vault rotate-kek
    [ "$(kek)" != "$before" ] || fail "the KEK is still $before"
    test ! -e "$VAULT/kek.next"
    # Opening is part of it: a value that did not open could not be sealed anew.
    assert_ok tenantctl vault rotate-dek alpha
    assert_ok systemctl restart tenantd
    assert_ok tenantctl vault rotate-dek alpha
    assert_eq "$(versions alpha)" "$value"
}

test_a_lost_host_key_locks_the_vault_until_the_recovery_copy_is_imported() {
    local before value
    assert_ok given value secret set alpha token
    later tenantctl secret remove alpha token
    before=$(kek) value=$(version alpha token)
    words /root/words
    rm -f /root/copy
    assert_ok tenantctl vault recovery export --to /root/copy --passphrase-from /root/words
    assert_eq "$(stat -c '%a %s' /root/copy)" "600 105"
    assert_status 73 tenantctl vault recovery export --to /root/copy --passphrase-from /root/words
    rm "$HOST_KEY"
    systemctl restart tenantd
    assert_status 78 tenantctl vault status
    assert_match "$OUTPUT" 'locked'
    assert_status 78 given other secret rotate alpha token
    assert_match "$OUTPUT" 'the vault is locked: .*tenantctl vault recovery import'
    # Everything else goes on.
    assert_eq "$(systemctl is-active tenant@alpha)" active
    assert_ok tenantctl set alpha limits.cpu_weight=71
    later tenantctl set alpha limits.cpu_weight=
    echo "not these words" >/root/wrong
    assert_status 65 tenantctl vault recovery import /root/copy --passphrase-from /root/wrong
    head -c 100 /root/copy >/root/cut
    assert_status 65 tenantctl vault recovery import /root/cut --passphrase-from /root/words
    assert_status 78 tenantctl vault status
    assert_ok tenantctl vault recovery import /root/copy --passphrase-from /root/words
    assert_eq "$(kek)" "$before"
    assert_ok given other secret rotate alpha token
    assert_eq "$(version alpha token)" $((value + 1))
}

test_old_files_put_back_are_seen_and_damaged_ones_do_not_open() {
    local record one
    assert_ok given one secret set alpha token
    later tenantctl secret remove alpha token
    one=$(version alpha token)
    rm -rf /root/older
    cp -a "$VAULT/alpha" /root/older
    assert_ok given two secret rotate alpha token
    rm -rf "$VAULT/alpha"
    cp -a /root/older "$VAULT/alpha"
    assert_match "$(tenantctl secret list alpha --json)" 'an older version was put back: '$((one + 1))' was written'
    assert_ok given three secret rotate alpha token
    assert_eq "$(version alpha token)" $((one + 2))
    record=$(find "$VAULT/alpha" -name 'secret.token.*')
    printf '\377' | dd of="$record" bs=1 seek=40 conv=notrunc status=none
    assert_status 65 tenantctl vault rotate-dek alpha
    assert_match "$OUTPUT" 'does not open: it was changed'
    # A record of another tenant, and a file of nobody.
    assert_ok given four secret set beta token
    later tenantctl secret remove beta token
    cp "$VAULT"/beta/secret.token.* "$record"
    assert_status 65 tenantctl vault rotate-dek alpha
    : >"$VAULT/alpha/notes"
    assert_status 65 given x secret rotate alpha token
    assert_match "$OUTPUT" '"notes" in the vault is none of tenantd'
    rm "$VAULT/alpha/notes"
    # Another secret can be set all the same, the keys can be rotated, and the damaged one can be set anew.
    assert_ok given x secret set alpha other
    later tenantctl secret remove alpha other
    assert_ok tenantctl vault rotate-kek
    assert_ok given five secret rotate alpha token
    assert_ok tenantctl vault rotate-dek alpha
    find "$VAULT/alpha" -name 'secret.token.*' -delete
    assert_match "$(tenantctl secret list alpha --json)" 'its file was taken away'
    assert_ok given six secret set alpha token
}

test_a_secret_whose_record_cannot_be_read_is_damaged_and_not_gone() {
    local record
    assert_ok given one secret set alpha token
    later tenantctl secret remove alpha token
    record=$(find "$VAULT/alpha" -name 'secret.token.*')
    printf 'nonsense' | dd of="$record" bs=1 conv=notrunc status=none
    assert_match "$(tenantctl secret list alpha)" 'token +unreadable'
    assert_status 65 given two secret rotate alpha token
    assert_match "$OUTPUT" 'the record of secret token of tenant alpha is damaged .*tenantctl secret set alpha token'
    # Positive control: one that is not there is another matter.
    assert_status 66 given two secret rotate alpha nosuch
    assert_ok given two secret set alpha token
    assert_ok given three secret rotate alpha token
    assert_ok tenantctl vault rotate-dek alpha
}

doctor() { { tenantctl doctor --no-color || true; } | tr -s ' \n' ' '; } # its lines are broken to fit a terminal

test_doctor_looks_at_the_vault_and_at_the_socket_of_the_gateways() {
    local record
    assert_ok given value secret set alpha token
    later tenantctl secret remove alpha token
    assert_match "$(doctor)" 'vault: open; all [0-9]+ secrets in it open'
    assert_match "$(doctor)" 'tenantd-credentials.socket listens'
    record=$(find "$VAULT/alpha" -name 'secret.token.*')
    printf '\377' | dd of="$record" bs=1 seek=40 conv=notrunc status=none
    assert_status 71 tenantctl doctor --no-color
    assert_match "$(tr -s ' \n' ' ' <<<"$OUTPUT")" 'damaged: tenant alpha: vault file secret.token.[0-9]+ does not open'
    assert_ok given value secret rotate alpha token
    # A rotation that ends at nothing but a damaged DEK.
    assert_ok given value secret set beta token
    later tenantctl secret remove beta token
    cp "$VAULT"/beta/dek.1 /root/dek
    printf '\377' | dd of="$VAULT"/beta/dek.1 bs=1 seek=60 conv=notrunc status=none
    assert_fails tenantctl vault rotate-kek
    assert_match "$(doctor)" 'a rotation of the KEK is under way'
    cp /root/dek "$VAULT"/beta/dek.1
    assert_ok tenantctl vault rotate-kek
    assert_match "$(doctor)" 'vault: open'
    cp "$HOST_KEY" /root/host-key
    later cp /root/host-key "$HOST_KEY"
    rm "$HOST_KEY"
    systemctl restart tenantd
    assert_match "$(doctor)" 'MISSING: locked, and tenants that have secrets do not start'
    cp /root/host-key "$HOST_KEY"
    systemctl restart tenantd
    later systemctl start tenantd-credentials.socket
    systemctl stop tenantd-credentials.socket
    assert_match "$(doctor)" 'tenantd-credentials.socket is inactive: no tenant starts'
    # Nobody is asked for a password.
    useradd -m passerby 2>/dev/null || true
    later userdel -r passerby
    assert_match "$(runuser -u passerby -- tenantctl doctor --no-color </dev/null | tr -s ' \n' ' ' || true)" 'vault: warning: cannot be looked at'
}

test_a_damaged_vault_keeps_no_tenant_alive() {
    assert_ok tenantctl create gamma --no-start --runtime generic --port 18789 --command /usr/bin/true
    assert_ok given value secret set gamma token
    echo x >"$VAULT/gamma/notes"
    head -c 200000 /dev/zero >"$VAULT/gamma/secret.token.1"
    assert_ok tenantctl delete gamma --yes
    test ! -e "$VAULT/gamma"
    # What somebody else left there under a name is not another tenant's.
    mkdir -m 0700 "$VAULT/gamma"
    later rmdir "$VAULT/gamma"
    assert_status 73 tenantctl create gamma --no-start --runtime generic --port 18789 --command /usr/bin/true
    assert_match "$OUTPUT" 'secrets of an earlier tenant of this name'
}

test_a_vault_is_moved_to_another_host_by_its_files_and_a_recovery_copy() {
    local before
    assert_ok given value secret set alpha token --for file
    later tenantctl secret remove alpha token
    words /root/words
    rm -rf /root/copy /root/moved
    assert_ok tenantctl vault recovery export --to /root/copy --passphrase-from /root/words
    before=$(kek)
    # The other host: an empty vault, another host key, nothing in memory.
    systemctl stop tenantd tenantd-credentials.service
    mv "$VAULT" /root/moved
    rm "$HOST_KEY"
    systemctl start tenantd
    assert_match "$(tenantctl vault status)" empty
    assert_ok tenantctl vault recovery import /root/copy --passphrase-from /root/words
    assert_eq "$(kek)" "$before"
    cp -a /root/moved/alpha "$VAULT/"
    assert_ok tenantctl vault rotate-dek alpha
    # And one that has a KEK of its own already takes it over.
    systemctl stop tenantd tenantd-credentials.service
    rm -rf "$VAULT"
    systemctl start tenantd
    assert_ok given other secret set beta token
    later tenantctl secret remove beta token
    assert_ok tenantctl vault recovery import /root/copy --passphrase-from /root/words
    [ "$(kek)" != "$before" ] || fail "the imported KEK took the place of the one in use"
    cp -a /root/moved/alpha "$VAULT/"
    assert_ok tenantctl vault rotate-dek alpha
    assert_ok tenantctl vault rotate-kek
    assert_ok systemctl restart tenant@alpha
    assert_eq "$(in_gateway alpha cat /run/tenantd/secrets/token)" value
    # Its gateway's own secret is made anew; nobody can set it.
    assert_match "$(tenantctl secret list beta --json)" 'tenantctl repair beta'
    assert_ok tenantctl repair beta
    assert_match "$(tenantctl secret list beta)" 'gateway +gateway'
}

in_gateway() { # TENANT COMMAND…: as the tenant, in the mount namespace of its gateway
    local pid
    pid=$(systemctl show -P MainPID "tenant@$1")
    nsenter -t "$pid" -m -- setpriv --reuid "t-$1" --regid "t-$1" --clear-groups "${@:2}"
}
environment_of() { tr '\0' '\n' <"/proc/$(systemctl show -P MainPID "tenant@$1")/environ"; }

test_a_gateway_gets_its_files_and_variables_and_no_other_secret() {
    later tenantctl restart alpha
    later tenantctl secret remove alpha tls-key
    later tenantctl secret remove alpha bot-token
    later tenantctl secret remove alpha provider
    later tenantctl secret remove beta tls-key
    assert_ok given 'the key of alpha' secret set alpha tls-key --for file
    assert_ok given 'the token of alpha' secret set alpha bot-token --for variable
    assert_ok given 'for the proxy only' secret set alpha provider
    assert_ok given 'the key of beta' secret set beta tls-key --for file
    # Said, not done: a restart is the operator's.
    assert_match "$OUTPUT" 'tenantctl restart beta'
    assert_no_match "$(environment_of alpha)" BOT_TOKEN
    # tenantd is not needed for it.
    systemctl stop tenantd
    later systemctl start tenantd
    assert_ok systemctl restart tenant@alpha
    assert_eq "$(in_gateway alpha cat /run/tenantd/secrets/tls-key)" 'the key of alpha'
    assert_eq "$(in_gateway alpha ls /run/tenantd/secrets)" tls-key
    assert_eq "$(in_gateway alpha stat -c '%a %U' /run/tenantd/secrets/tls-key)" '400 t-alpha'
    assert_match "$(environment_of alpha)" 'BOT_TOKEN=the token of alpha'
    assert_no_match "$(environment_of alpha)" 'for the proxy only'
    # Not on a disk, and gone with the gateway.
    assert_match "$(in_gateway alpha stat -fc %T /run/tenantd/secrets)" '^(tmpfs|ramfs)$'
    assert_eq "$(find /run/credentials /run/tenantd -name 'tls-key' 2>/dev/null)" ""
    # Neither beta, which was not restarted, nor a command in the cell has any of it.
    assert_eq "$(in_gateway beta ls /run/tenantd/secrets)" ""
    systemctl start tenantd
    assert_eq "$(tenantctl exec alpha -- sh -c 'ls /run/tenantd/secrets; env | grep -c BOT_TOKEN')" 0
    # The bundle itself, where PID 1 puts it, is the gateway's alone.
    assert_fails runuser -u nobody -- cat /run/credentials/tenant@alpha.service/secrets
}

test_variables_that_steer_programs_are_refused() {
    local name
    for name in ld-preload node-options path openclaw-state; do
        assert_status 65 given x secret set alpha "$name" --for variable
    done
    assert_match "$OUTPUT" 'steers the loader or the runtime itself'
    assert_status 65 given "$(printf '\377')" secret set alpha binary --for variable
}

test_a_gateway_whose_secrets_do_not_open_does_not_start() {
    later tenantctl start alpha
    later tenantctl secret remove alpha tls-key
    later systemctl reset-failed tenant@alpha
    assert_ok given 'the key of alpha' secret set alpha tls-key --for file
    assert_ok tenantctl stop alpha
    cp "$HOST_KEY" /root/host-key
    later cp /root/host-key "$HOST_KEY"
    systemctl stop tenantd-credentials.service
    rm "$HOST_KEY"
    assert_fails systemctl start tenant@alpha
    assert_match "$(journalctl -u tenantd-credentials -n 5 -o cat)" 'the vault is locked'
    assert_match "$(journalctl -u tenant@alpha -n 20 -o cat)" 'secrets: cannot read .*it is empty'
    # Nor does any other: every gateway has a secret of its own.
    later systemctl start tenant@beta
    assert_fails systemctl restart tenant@beta
    cp /root/host-key "$HOST_KEY"
    systemctl reset-failed tenant@alpha tenant@beta
    assert_ok systemctl start tenant@alpha tenant@beta
    # And without the socket nobody answers.
    systemctl stop tenant@alpha tenantd-credentials.socket tenantd-credentials.service
    systemctl mask --runtime tenantd-credentials.socket
    later systemctl unmask --runtime tenantd-credentials.socket
    assert_fails systemctl start tenant@alpha
    systemctl unmask --runtime tenantd-credentials.socket
    systemctl reset-failed tenant@alpha
    assert_ok systemctl start tenant@alpha
}

test_nobody_but_pid_1_for_a_gateway_is_given_a_secret() {
    local ask='
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(b"\0" + sys.argv[1].encode())
s.connect("/run/tenantd/credentials.sock")
print(s.recv(100000))'
    later tenantctl secret remove alpha tls-key
    assert_ok given 'the key of alpha' secret set alpha tls-key --for file
    # Positive control: what PID 1 would ask is answered.
    assert_match "$(python3 -c "$ask" x1/unit/tenant@alpha.service/secrets)" 'the key of alpha'
    assert_eq "$(python3 -c "$ask" x2/unit/tenant@alpha.service/other)" "b''"
    assert_eq "$(python3 -c "$ask" x3/unit/tenant-exec-1-alpha.service/secrets)" "b''"
    assert_eq "$(python3 -c "$ask" x4/unit/sshd.service/secrets)" "b''"
    assert_match "$(journalctl -u tenantd-credentials -n 3 -o cat)" 'refused: "x4/unit/sshd.service/secrets" is no gateway'
    assert_fails runuser -u nobody -- python3 -c "$ask" x5/unit/tenant@alpha.service/secrets
    assert_match "$OUTPUT" 'Permission denied'
}

test_a_vault_that_others_could_read_is_refused() {
    assert_ok given value secret set alpha token
    later tenantctl secret remove alpha token
    later chmod 0700 "$VAULT"
    chmod 0755 "$VAULT"
    assert_status 77 given other secret rotate alpha token
    assert_match "$OUTPUT" 'vault has mode 0755 .*chmod 0700'
}

test_a_deleted_tenant_takes_its_secrets_along() {
    assert_ok tenantctl create gamma --no-start --runtime generic --port 18789 --command /usr/bin/true
    assert_ok given value secret set gamma token
    assert_ok tenantctl delete gamma --yes --keep-data
    assert_ok test -e "$VAULT/gamma/secret.token.1"
    assert_ok tenantctl create gamma --no-start --runtime generic --port 18789 --command /usr/bin/true
    assert_eq "$(versions gamma)" "token 1"
    assert_ok tenantctl delete gamma --yes
    test ! -e "$VAULT/gamma"
}

test_only_those_allowed_change_secrets() {
    useradd -m visitor 2>/dev/null || true
    later userdel -r visitor
    assert_fails runuser -u visitor -- sh -c 'echo x | tenantctl secret set alpha token'
    assert_fails runuser -u visitor -- tenantctl vault rotate-kek
    assert_fails runuser -u visitor -- tenantctl vault recovery export --to /tmp/copy --passphrase-from /etc/hostname
    assert_fails test -e /tmp/copy
}
