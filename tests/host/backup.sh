# Backups: made of running tenants, verified, restored over a tenant and as another, on this host and on one that has only the recovery
# copy; what is wrong with them is said, and nothing is lost by it.
# level: tenants
# hosts: nspawn qemu
# shellcheck shell=bash
# shellcheck disable=SC2317 # some functions are called by name

BACKUPS=/srv/backups
VAULT=/var/lib/tenantd/vault
HOST_KEY=/var/lib/systemd/credential.secret

before_file() {
    mkdir -p /run/systemd/system/tenantd.service.d
    printf '[Unit]\nStartLimitIntervalSec=0\n' >/run/systemd/system/tenantd.service.d/often.conf
    systemctl daemon-reload
    mkdir -m 0700 "$BACKUPS"
}
after_file() {
    rm -r /run/systemd/system/tenantd.service.d
    systemctl daemon-reload
}

alphas() { in_cell alpha sh -c "$1"; }
# The newest backup of a tenant, made now.
backed_up() { # TENANT [OPTION…]
    tenantctl backup "$1" --to "$BACKUPS" --json "${@:2}" | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["file"])'
    # Two of one second would have one name.
    sleep 1
}
field() { # DOCUMENT EXPRESSION
    printf '%s' "$1" | python3 -c "import json,sys; d=json.load(sys.stdin); print($2)"
}
delete() { tenantctl delete "$1" --yes; }
unit() { systemctl show -P "$2" "tenant@$1.service"; }
secret_of() { # TENANT NAME: as its gateway has it
    cat "/proc/$(unit "$1" MainPID)/root/run/tenantd/secrets/$2"
}
nothing_beside() { assert_eq "$(find /var/lib/tenants -mindepth 1 -maxdepth 1 -name '.*')" ""; }

test_a_backup_becomes_another_tenant_with_data_spec_and_secrets() {
    local file summary value=Backed-up-value-5Vn2
    printf '%s' "$value" | tenantctl secret set alpha token --for file
    later tenantctl secret remove alpha token
    assert_ok tenantctl set alpha description='the first' limits.tasks_max=300
    alphas 'echo remember >workspace/note; mkdir -p state/deep/er; echo more >state/deep/er/file; ln -sf note workspace/link'
    file=$(backed_up alpha)
    assert_match "$file" "^$BACKUPS/alpha-[0-9]{8}T[0-9]{6}Z.backup$"
    assert_eq "$(stat -c '%a %U' "$file")" "600 root"
    summary=$(tenantctl backup verify "$file" --json)
    assert_eq "$(field "$summary" 'd[0]["tenant"], d[0]["quiesced"]')" "('alpha', 'frozen')"
    # No value in it, with a control.
    printf '%s\n%s\n' "$value" remember >/dev/shm/pattern
    later rm -f /dev/shm/pattern
    assert_eq "$(grep -acFf /dev/shm/pattern "$file" || true)" 0
    assert_eq "$(grep -cFf /dev/shm/pattern /var/lib/tenants/alpha/workspace/note)" 1
    assert_ok tenantctl restore "$file" --as gamma
    later delete gamma
    assert_eq "$(cat /var/lib/tenants/gamma/workspace/note /var/lib/tenants/gamma/state/deep/er/file)" $'remember\nmore'
    assert_eq "$(readlink /var/lib/tenants/gamma/workspace/link)" note
    assert_eq "$(find /var/lib/tenants/gamma -mindepth 1 ! -user t-gamma)" ""
    assert_eq "$(unit gamma ActiveState)" active
    assert_eq "$(tenantctl status gamma --json | python3 -c 'import json,sys; d=json.load(sys.stdin); print(d["drift"], d["limits"].get("TasksMax"))')" \
        "[] $(tenantctl status alpha --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["limits"].get("TasksMax"))')"
    assert_match "$(cat /etc/tenantd/tenants.d/gamma.toml)" 'id = "gamma".*the first'
    assert_ok tenantctl restart alpha
    assert_eq "$(secret_of gamma token) $(secret_of alpha token)" "$value $value"
    nothing_beside
    assert_match "$(tenantctl status alpha)" 'last backup +[0-9]+ s ago'
}

test_a_tenant_gets_its_data_back_and_keeps_its_spec_and_secrets() {
    local file before
    alphas 'echo one >workspace/note; rm -f workspace/new'
    printf one | tenantctl secret set alpha token --for file
    later tenantctl secret remove alpha token
    file=$(backed_up alpha)
    alphas 'echo two >workspace/note; echo x >workspace/new; chmod 500 workspace'
    printf two | tenantctl secret rotate alpha token
    before=$(cat /etc/tenantd/tenants.d/alpha.toml)
    assert_status 73 tenantctl restore "$file"
    assert_match "$OUTPUT" 'tenant alpha exists: say --yes'
    assert_eq "$(cat /var/lib/tenants/alpha/workspace/note)" two
    assert_ok tenantctl restore "$file" --yes
    assert_eq "$(cat /var/lib/tenants/alpha/workspace/note)" one
    test ! -e /var/lib/tenants/alpha/workspace/new
    assert_eq "$(unit alpha ActiveState)" active
    assert_eq "$(secret_of alpha token)" two
    assert_eq "$(cat /etc/tenantd/tenants.d/alpha.toml)" "$before"
    assert_eq "$(tenantctl status alpha --json | python3 -c 'import json,sys; d=json.load(sys.stdin); print(d["drift"], d["open_operation"])')" "[] None"
    nothing_beside
    # One that is stopped stays stopped.
    assert_ok tenantctl stop alpha
    later tenantctl start alpha
    assert_ok tenantctl restore "$file" --yes
    assert_eq "$(unit alpha ActiveState)" inactive
}

test_a_tenant_is_frozen_while_it_is_read_and_goes_on() {
    local seen='' pid file
    alphas 'head -c 200000000 /dev/urandom >workspace/large'
    later alphas 'rm workspace/large'
    pid=$(unit alpha MainPID)
    tenantctl backup alpha --to "$BACKUPS" --no-verify &
    for _ in $(seq 200); do
        seen="$seen $(unit alpha FreezerState)"
        [[ $seen != *frozen* ]] || break
        sleep 0.01
    done
    assert_match "$seen" frozen
    # While it is, the tenant cannot be changed, but looked at.
    assert_status 75 tenantctl set alpha description=x
    assert_ok tenantctl list
    wait
    assert_eq "$(unit alpha FreezerState) $(unit alpha MainPID)" "running $pid"
    assert_ok in_cell alpha true
    # Stopped instead, its gateway is another one afterwards.
    file=$(backed_up alpha --stop)
    assert_eq "$(field "$(tenantctl backup verify "$file" --json)" 'd[0]["quiesced"]')" stopped
    assert_eq "$(unit alpha ActiveState)" active
    [ "$(unit alpha MainPID)" != "$pid" ] || fail "the gateway was not stopped"
}

test_whoever_makes_a_backup_may_die_and_the_tenant_goes_on() {
    local many
    alphas 'head -c 200000000 /dev/urandom >workspace/large'
    later alphas 'rm workspace/large'
    frozen() { [ "$(unit alpha FreezerState)" = frozen ]; }
    thawed() { [ "$(unit alpha FreezerState)" = running ]; }
    many=$(find "$BACKUPS" -name 'alpha-*' | wc -l)
    tenantctl backup alpha --to "$BACKUPS" &
    eventually 10 frozen
    kill -9 $!
    eventually 10 thawed
    eventually 10 tenantctl set alpha description=after
    tenantctl backup alpha --to "$BACKUPS" &
    eventually 10 frozen
    systemctl kill -s KILL tenantd
    eventually 20 thawed
    wait $! && fail "a backup without tenantd succeeded"
    eventually 10 tenantctl status alpha
    assert_eq "$(find "$BACKUPS" -name 'alpha-*' | wc -l)" "$many"
    # The caller that was killed could not remove what it had begun; it is no backup by its name.
    find "$BACKUPS" -name '.alpha-*.partial' -mmin -10 -delete
}

test_what_is_no_whole_backup_is_refused_with_a_sentence() {
    local file at byte size
    alphas 'head -c 300000 /dev/urandom >workspace/random'
    later alphas 'rm workspace/random'
    file=$(backed_up alpha) size=$(stat -c %s "$(ls -t "$BACKUPS"/alpha-*.backup | head -n 1)")
    assert_status 65 tenantctl backup verify /etc/os-release
    assert_status 66 tenantctl backup verify /nonexistent
    assert_status 66 tenantctl backup verify /dev/null
    # Header, first chunk, in the midst, the end.
    for at in 0 9 17 41 72 73 80 70000 150000 $((size - 20)) $((size - 1)); do
        cp "$file" /srv/damaged
        byte=$(od -An -tu1 -j "$at" -N1 "$file" | tr -d ' ')
        printf "\\$(printf %o $((byte ^ 1)))" | dd of=/srv/damaged bs=1 seek="$at" conv=notrunc status=none
        assert_fails tenantctl backup verify /srv/damaged
        assert_match "$OUTPUT" '/srv/damaged: '
        assert_fails tenantctl restore /srv/damaged --as gamma
    done
    for at in 0 50 73 100 65625 70000 $((size - 1)); do
        head -c "$at" "$file" >/srv/damaged
        assert_status 65 tenantctl backup verify /srv/damaged
        assert_status 65 tenantctl restore /srv/damaged --as gamma
    done
    # Two chunks that change places; something behind the end.
    python3 - "$file" /srv/damaged <<'PYTHON'
import sys
data = open(sys.argv[1], "rb").read()
head, chunk = 73, 65536 + 16
first, second = data[head:head + chunk], data[head + chunk:head + 2 * chunk]
open(sys.argv[2], "wb").write(data[:head] + second + first + data[head + 2 * chunk:])
PYTHON
    assert_status 65 tenantctl backup verify /srv/damaged
    cat "$file" /etc/os-release >/srv/damaged
    assert_status 65 tenantctl backup verify /srv/damaged
    { head -c 8 "$file"; printf '\002'; tail -c +10 "$file"; } >/srv/damaged
    assert_status 65 tenantctl backup verify /srv/damaged
    assert_match "$OUTPUT" 'newer'
    # Whatever was tried, nothing of it is left, and what is whole is still read.
    assert_eq "$(getent passwd t-gamma || true)$(find /var/lib/tenants "$VAULT" -name '*gamma*')" ""
    # A tenant that is there is not hurt by a backup that breaks in the midst.
    head -c 200000 "$file" >/srv/damaged
    alphas 'echo kept >workspace/note'
    assert_status 65 tenantctl restore /srv/damaged --yes
    assert_match "$OUTPUT" 'tenant alpha is as it was before'
    assert_eq "$(cat /var/lib/tenants/alpha/workspace/note) $(unit alpha ActiveState)" "kept active"
    nothing_beside
    assert_ok tenantctl backup verify "$file"
}

test_a_hostile_tree_goes_through_and_harms_nobody() {
    local file summary peak
    # Its device is refused, by the kernel; everything else it can make.
    alphas '
        cd workspace && mkdir -p evil && cd evil
        ln -s /etc/shadow out; ln -s ../../../../../etc/passwd climb; ln -s /proc/self/root/etc proc
        mkfifo fifo; python3 -c "import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")"
        truncate -s 1T sparse; echo end >>sparse
        printf x >"$(printf "new\nline")"; printf x >"-rf"; printf x >"$(printf "\033[31mred")"
        echo plain >file; ln file hard; chmod 4755 file
        mkdir locked; echo x >locked/in; chmod 0 locked; echo y >unreadable; chmod 0 unreadable
        python3 - <<PYTHON
import os
for n in range(30000): open(f"small{n}", "w").write("x")
for n in range(400):
    os.mkdir("d"); os.chdir("d")
PYTHON
    '
    later alphas 'chmod -R u+rwX workspace/evil; rm -rf workspace/evil'
    file=$(backed_up alpha)
    summary=$(tenantctl backup verify "$file" --json)
    assert_eq "$(field "$summary" '{k: json.loads(d[0]["contents"])["left_out"][k] for k in ("fifos", "sockets", "special_bits")}')" \
        "{'fifos': 1, 'sockets': 1, 'special_bits': 1}"
    assert_match "$(field "$summary" 'json.loads(d[0]["contents"])["left_out"]["links_out"]')" '^[23]$'
    assert_ok tenantctl restore "$file" --as gamma
    later delete gamma
    cd /var/lib/tenants/gamma/workspace/evil
    assert_eq "$(find . -type p -o -type s -o -perm /6000)" ""
    # No link that leads out of the tenant's tree but to /usr.
    assert_eq "$(find . -type l)" ""
    assert_eq "$(stat -c '%s %h' sparse hard | tr '\n' ' ')" "1099511627780 1 6 2 "
    [ "$(du -k sparse | cut -f1)" -lt 100 ] || fail "the holes were filled: $(du -k sparse)"
    assert_eq "$(find . -maxdepth 1 -name 'small*' | wc -l)" 30000
    assert_eq "$(cat -- "$(printf 'new\nline')" ./-rf)" xx
    assert_eq "$(stat -c %U file)" t-gamma
    cd /
    assert_eq "$(stat -c '%a %U' /etc/shadow)" "640 root"
    # tenantd's memory does not grow with any of it.
    peak=$(awk '/VmHWM/ {print $2}' "/proc/$(systemctl show -P MainPID tenantd)/status")
    [ "$peak" -lt 40000 ] || fail "tenantd used $peak KiB"
}

test_a_full_disk_leaves_everything_as_it_was() {
    local file
    alphas 'head -c 30000000 /dev/urandom >workspace/large; echo kept >workspace/note'
    later alphas 'rm workspace/large'
    file=$(backed_up alpha)
    # The target is full.
    mkdir -p /srv/small
    mount -t tmpfs -o size=1m,mode=0700 tmpfs /srv/small
    later umount /srv/small
    assert_status 74 tenantctl backup alpha --to /srv/small
    assert_match "$OUTPUT" 'No space left'
    assert_eq "$(ls -A /srv/small)" ""
    assert_eq "$(unit alpha FreezerState)" running
    # The tenants' disk is full: tenants, and a place for one more.
    systemctl stop tenant@alpha tenant@beta
    cp -a /var/lib/tenants /srv/tenants
    mount -t tmpfs -o size=50m,mode=0711 tmpfs /var/lib/tenants
    cp -a /srv/tenants/. /var/lib/tenants
    systemctl start tenant@alpha tenant@beta
    put_back() {
        systemctl stop tenant@alpha tenant@beta
        umount /var/lib/tenants
        rm -r /srv/tenants
        systemctl start tenant@alpha tenant@beta
    }
    later put_back
    assert_status 74 tenantctl restore "$file" --yes
    assert_match "$OUTPUT" 'free disk space.*tenant alpha is as it was before'
    assert_eq "$(unit alpha ActiveState)" active
    assert_eq "$(cat /var/lib/tenants/alpha/workspace/note)" kept
    nothing_beside
    assert_status 74 tenantctl restore "$file" --as gamma
    assert_eq "$(getent passwd t-gamma || true)$(find /var/lib/tenants "$VAULT" -name '*gamma*')" ""
}

test_a_backup_of_one_host_is_restored_on_another_with_the_recovery_copy() {
    local file kek
    printf moved | tenantctl secret set alpha token --for file
    later tenantctl secret remove alpha token
    alphas 'echo moved >workspace/note'
    file=$(backed_up alpha)
    echo "six words make a passphrase" >/root/words
    rm -f /root/copy
    assert_ok tenantctl vault recovery export --to /root/copy --passphrase-from /root/words
    # Another host: no vault of this one, and another host key.
    systemctl stop tenantd
    mv "$VAULT" /root/vault
    mv "$HOST_KEY" /root/host-key
    install -d -m 0700 "$VAULT"
    sqlite3 /var/lib/tenantd/state.db '.backup /root/state.db' 'DELETE FROM secret'
    back() {
        tenantctl delete gamma --yes || true
        systemctl stop tenantd tenantd-credentials.service
        rm -rf "$VAULT"
        mv /root/vault "$VAULT"
        mv -f /root/host-key "$HOST_KEY"
        sqlite3 /root/state.db '.backup /var/lib/tenantd/state.db'
        systemctl start tenantd
    }
    later back
    systemctl start tenantd
    assert_status 78 tenantctl backup verify "$file"
    assert_match "$OUTPUT" 'needs KEK [0-9a-f]{16}, which is not at hand: import its recovery copy'
    assert_status 78 tenantctl restore "$file" --as gamma
    assert_ok tenantctl vault recovery import /root/copy --passphrase-from /root/words
    assert_ok tenantctl restore "$file" --as gamma
    assert_eq "$(cat /var/lib/tenants/gamma/workspace/note) $(secret_of gamma token)" "moved moved"
    # It is sealed by this host's own key now.
    kek=$(field "$(tenantctl vault status --json)" 'd["kek"]')
    assert_ok tenantctl vault rotate-dek gamma
    assert_eq "$(field "$(tenantctl backup verify "$(backed_up gamma)" --json)" 'd[0]["kek"]')" "$kek"
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
    assert_fails systemctl start tenantd-backup.service
    assert_match "$(journalctl -b -u tenantd-backup -n 20)" 'cannot read the directory of backups /srv/scheduled'
    mkdir -m 0700 /srv/scheduled
    assert_ok systemctl start tenantd-backup.service
    assert_eq "$(find /srv/scheduled -name '*.backup' | sed 's/-.*//' | sort | xargs -n1 basename | tr '\n' ' ')" "alpha beta "
    # A program in place of the directory.
    cp /root/settings "$settings"
    printf '\n[backup]\ncommand = ["/bin/sh", "-c", "cat >/srv/{tenant}.piped"]\n' >>"$settings"
    assert_ok systemctl start tenantd-backup.service
    assert_ok tenantctl backup verify /srv/alpha.piped /srv/beta.piped
    cp /root/settings "$settings"
    printf '\n[backup]\ncommand = ["/bin/false"]\n' >>"$settings"
    assert_fails tenantctl backup alpha
    # One tenant that fails keeps no other from it.
    cp /root/settings "$settings"
    printf '\n[backup]\ndirectory = "/srv/scheduled"\n' >>"$settings"
    mv /etc/tenantd/tenants.d/alpha.toml /root
    later mv /root/alpha.toml /etc/tenantd/tenants.d
    rm /srv/scheduled/*
    assert_fails systemctl start tenantd-backup.service
    assert_match "$(ls /srv/scheduled)" '^beta-'
}

test_standard_output_takes_one_backup_and_nothing_else() {
    tenantctl backup beta --to - >/srv/piped
    assert_ok tenantctl backup verify /srv/piped
    tenantctl backup beta --to - | cat >/srv/piped
    assert_ok tenantctl backup verify /srv/piped
    assert_status 64 tenantctl backup --all --to -
    # A reader that goes away.
    tenantctl backup beta --to - 2>/srv/said | head -c 10 >/dev/null || true
    assert_eq "$(unit beta FreezerState)" running
}

test_destroying_takes_kept_data_keys_and_backups() {
    local settings=/etc/tenantd/tenantd.toml
    cp "$settings" /root/settings
    later cp /root/settings "$settings"
    mkdir -m 0700 /srv/destroyed
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
    assert_match "$OUTPUT" '1 backups of it in /srv/destroyed are removed'
    assert_eq "$(find /var/lib/tenants "$VAULT" /srv/destroyed -name 'gamma*')" ""
    assert_match "$(ls /srv/destroyed)" '^beta-'
}

test_restoring_is_asked_for_and_a_tenants_program_is_not_roots() {
    local file seen
    file=$(backed_up beta)
    assert_status 77 runuser -u nobody -- tenantctl backup beta --to -
    assert_status 77 runuser -u nobody -- sh -c "tenantctl restore /dev/stdin --as gamma <'$file'"
    # While it is unpacked, the program is the new tenant, without privilege.
    alphas 'head -c 200000000 /dev/urandom >workspace/large'
    later alphas 'rm workspace/large'
    file=$(backed_up alpha --no-verify)
    tenantctl restore "$file" --as gamma &
    later delete gamma
    running() { [ "$(systemctl show -P MainPID tenantd-archive-unpack-gamma.service)" != 0 ]; }
    eventually 20 running
    seen=$(cat "/proc/$(systemctl show -P MainPID tenantd-archive-unpack-gamma.service)/status")
    assert_eq "$(awk '/^Uid/ {print $3}' <<<"$seen")" "$(id -u t-gamma)"
    assert_match "$seen" $'CapBnd:\t0000000000000000'
    assert_match "$seen" $'NoNewPrivs:\t1'
    assert_match "$seen" $'Seccomp:\t2'
    wait
}
