# Secrets: sealed, listed, rotated, removed; the keys that seal them; what happens when the host loses them; and that no value
# shows anywhere.
# level: tenants
# hosts: nspawn qemu
# shellcheck shell=bash
# shellcheck disable=SC2317 # some functions are called by name

VAULT=/var/lib/tenantd/vault
HOST_KEY=/var/lib/systemd/credential.secret

secret() { tenantctl secret "$@"; }
given() { # VALUE COMMAND…: the command with the value on standard input
    printf '%s' "$1" | "${@:2}"
}
kek() { tenantctl vault status --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["kek"])'; }
versions() { # TENANT: "name version" lines
    tenantctl secret list "$1" --json | python3 -c 'import json,sys; [print(s["name"], s["version"]) for s in json.load(sys.stdin)]'
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
    assert_eq "$(find "$VAULT/alpha" -name 'secret.*' -printf '%f %m %U\n')" "secret.token.$((first + 1)) 600 0"
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

test_no_value_shows_anywhere() {
    local value=Xq7-only-in-the-vault-4Zt place
    assert_ok given "$value" secret set alpha token
    later tenantctl secret remove alpha token
    assert_ok tenantctl vault rotate-dek alpha
    assert_ok tenantctl vault rotate-kek
    # In a file, because an argument of grep's would be found as well.
    printf '%s\n' "$value" >/dev/shm/pattern
    later rm /dev/shm/pattern
    seen() { grep -acFf /dev/shm/pattern || true; }
    # Positive controls: the searches find a value that is there.
    echo "$value" >/run/control
    assert_eq "$(grep -rlsFf /dev/shm/pattern /run)" /run/control
    assert_eq "$(CONTROL=$value sh -c 'cat /proc/self/environ' | seen)" 1
    rm /run/control
    for place in /var /etc /run /tmp /root /srv; do
        assert_eq "$(grep -rlsFf /dev/shm/pattern --devices=skip --exclude-dir=rig "$place" || true)" ""
    done
    assert_eq "$(cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | seen)" 0
    assert_eq "$(journalctl --no-pager -o export | seen)" 0
    assert_eq "$(grep 'Max core file size' "/proc/$(systemctl show -P MainPID tenantd)/limits" | awk '{print $5 $6}')" 00
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
    assert_ok tenantctl restart alpha
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
    record=$(find "$VAULT/alpha" -name 'secret.*')
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
    rm "$VAULT/alpha/notes" "$record"
    assert_match "$(tenantctl secret list alpha --json)" 'its file was taken away'
    assert_ok given five secret set alpha token
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
