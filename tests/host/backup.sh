# Backups: made of running tenants, verified, thinned out, by hand and by the timer; whoever makes them may die.
# level: tenants
# hosts: nspawn qemu
# shellcheck shell=bash
# shellcheck disable=SC2317 # some functions are called by name

# shellcheck source=tests/host/backup.bash
. "${BASH_SOURCE[0]%/*}/backup.bash"

test_a_tenant_is_frozen_while_it_is_read_and_goes_on() {
    local seen='' pid file
    in_delta 'head -c 200000000 /dev/urandom >workspace/large'
    later in_delta 'rm workspace/large'
    pid=$(unit delta MainPID)
    # A command in the cell, a job under way to systemd, is frozen with it.
    tenantctl exec delta -- sleep 30 &
    tenantctl backup delta --to "$BACKUPS" --no-verify &
    for _ in $(seq 200); do
        seen="$seen $(freezer delta)"
        [[ $seen != *frozen* ]] || break
        sleep 0.01
    done
    assert_match "$seen" frozen
    # While it is, the tenant cannot be changed, but looked at.
    assert_status 75 tenantctl set delta description=x
    assert_status 75 tenantctl exec delta -- true
    assert_ok tenantctl list
    assert_status 3 tenantctl status delta
    assert_match "$OUTPUT" 'not asked: backup is under way'
    wait %2
    assert_eq "$(freezer delta) $(unit delta MainPID)" "running $pid"
    assert_ok in_cell delta true
    # Stopped instead, its gateway is another one afterwards.
    file=$(backed_up delta --stop)
    assert_eq "$(field "$(tenantctl backup verify "$file" --json)" 'd[0]["quiesced"]')" stopped
    assert_eq "$(unit delta ActiveState)" active
    [ "$(unit delta MainPID)" != "$pid" ] || fail "the gateway was not stopped"
}

test_whoever_makes_a_backup_may_die_and_the_tenant_goes_on() {
    local many
    in_delta 'head -c 200000000 /dev/urandom >workspace/large'
    later in_delta 'rm workspace/large'
    frozen() { [ "$(freezer delta)" = frozen ]; }
    thawed() { [ "$(freezer delta)" = running ]; }
    many=$(find "$BACKUPS" -name 'delta-*' | wc -l)
    tenantctl backup delta --to "$BACKUPS" &
    eventually 10 frozen
    kill -9 $!
    eventually 10 thawed
    eventually 10 tenantctl set delta description=after
    # Two of one second would have one name.
    sleep 1
    tenantctl backup delta --to "$BACKUPS" &
    eventually 10 frozen
    systemctl kill -s KILL tenantd
    eventually 20 thawed
    wait $! && fail "a backup without tenantd succeeded"
    eventually 10 tenantctl status delta
    assert_eq "$(find "$BACKUPS" -name 'delta-*' | wc -l)" "$many"
    # The caller that was killed could not remove what it had begun; it is no backup by its name.
    find "$BACKUPS" -name '.delta-*.partial' -mmin -10 -delete
}

test_a_key_that_backups_need_is_not_destroyed_without_a_copy() {
    local file
    # A key without a copy.
    assert_ok tenantctl vault rotate-kek --give-up-backups
    file=$(backed_up beta)
    assert_status 78 tenantctl vault rotate-kek
    assert_match "$OUTPUT" 'no recovery copy of it was exported'
    assert_ok tenantctl backup verify "$file"
    echo "six words make a passphrase" >/root/words
    rm -f /root/copy
    assert_ok tenantctl vault recovery export --to /root/copy --passphrase-from /root/words
    assert_ok tenantctl vault rotate-kek
    assert_status 78 tenantctl backup verify "$file"
    assert_ok tenantctl vault recovery import /root/copy --passphrase-from /root/words
    assert_ok tenantctl backup verify "$file"
}

test_old_backups_are_thinned_out_and_others_stay() {
    mkdir -p /srv/thin
    touch /srv/thin/beta-2-20200101T000000Z.backup /srv/thin/beta.backup
    for _ in 1 2 3; do
        assert_ok tenantctl backup beta --to /srv/thin --keep 2
        sleep 1
    done
    assert_match "$OUTPUT" '1 older removed'
    assert_eq "$(find /srv/thin -name 'beta-2*Z.backup' ! -name 'beta-2-*' | wc -l)" 2
    assert_eq "$(find /srv/thin -type f | wc -l)" 4
}

test_the_timer_backs_every_tenant_up_where_the_settings_say() {
    local settings=/etc/tenantd/tenantd.toml
    cp "$settings" /root/settings
    later cp /root/settings "$settings"
    printf '\n[backup]\ndirectory = "/srv/scheduled"\nkeep = 1\n' >>"$settings"
    assert_eq "$(systemctl is-enabled tenantd-backup.timer || true)" disabled
    rm -rf /srv/scheduled
    assert_fails systemctl start tenantd-backup.service
    assert_match "$(journalctl -b -u tenantd-backup -n 20)" 'cannot read the directory of backups /srv/scheduled'
    install -d -m 0700 /srv/scheduled
    assert_ok systemctl start tenantd-backup.service
    assert_eq "$(find /srv/scheduled -name '*.backup' | sed 's/-.*//' | sort | xargs -n1 basename | tr '\n' ' ')" "alpha beta delta "
    # A program in place of the directory.
    cp /root/settings "$settings"
    printf '\n[backup]\ncommand = ["/bin/sh", "-c", "cat >/srv/{tenant}.piped"]\n' >>"$settings"
    assert_ok systemctl start tenantd-backup.service
    assert_ok tenantctl backup verify /srv/delta.piped /srv/beta.piped
    cp /root/settings "$settings"
    printf '\n[backup]\ncommand = ["/bin/false"]\n' >>"$settings"
    assert_fails tenantctl backup delta
    # One tenant that fails keeps no other from it.
    cp /root/settings "$settings"
    printf '\n[backup]\ndirectory = "/srv/scheduled"\n' >>"$settings"
    mv /etc/tenantd/tenants.d/delta.toml /root
    later mv /root/delta.toml /etc/tenantd/tenants.d
    rm /srv/scheduled/*
    assert_fails systemctl start tenantd-backup.service
    assert_eq "$(find /srv/scheduled -name '*.backup' | sed 's/-.*//' | sort | xargs -n1 basename | tr '\n' ' ')" "alpha beta "
}

test_standard_output_takes_one_backup_and_nothing_else() {
    tenantctl backup beta --to - >/srv/piped
    assert_ok tenantctl backup verify /srv/piped
    tenantctl backup beta --to - | cat >/srv/piped
    assert_ok tenantctl backup verify /srv/piped
    assert_status 64 tenantctl backup --all --to -
    # A reader that goes away.
    tenantctl backup beta --to - 2>/srv/said | head -c 10 >/dev/null || true
    assert_eq "$(freezer beta)" running
}

test_destroying_takes_kept_data_keys_and_backups() {
    local settings=/etc/tenantd/tenantd.toml
    cp "$settings" /root/settings
    later cp /root/settings "$settings"
    install -d -m 0700 /srv/destroyed
    printf '\n[backup]\ndirectory = "/srv/destroyed"\n' >>"$settings"
    assert_ok tenantctl create gamma --no-start --runtime generic --port 18789 --command /usr/bin/true
    printf x | tenantctl secret set gamma token
    assert_ok tenantctl backup gamma beta
    assert_ok tenantctl delete gamma --keep-data
    test -d /var/lib/tenants/gamma && test -d "$VAULT/gamma"
    assert_status 66 tenantctl delete gamma --yes
    assert_status 73 tenantctl restore "$(find /srv/destroyed -name 'gamma-*')"
    assert_match "$OUTPUT" 'data kept: destroy that first'
    assert_ok tenantctl delete gamma --destroy --yes
    assert_match "$OUTPUT" '1 backups of tenant gamma in /srv/destroyed are removed'
    assert_eq "$(find /var/lib/tenants "$VAULT" /srv/destroyed -name 'gamma*')" ""
    assert_match "$(ls /srv/destroyed)" '^beta-'
}
