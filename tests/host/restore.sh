# Backups restored: over a tenant and as another, on this host and on one that has only the recovery copy of its key; what is wrong with
# one is said, and nothing is lost by it.
# level: tenants
# hosts: nspawn qemu
# shellcheck shell=bash
# shellcheck disable=SC2317 # some functions are called by name

# shellcheck source=tests/host/backup.bash
. "${BASH_SOURCE[0]%/*}/backup.bash"

test_a_backup_becomes_another_tenant_with_data_spec_and_secrets() {
    local file summary value=Backed-up-value-5Vn2
    printf '%s' "$value" | tenantctl secret set delta token --for file
    later tenantctl secret remove delta token
    assert_ok tenantctl set delta description='the first' limits.tasks_max=300
    in_delta 'echo remember >workspace/note; mkdir -p state/deep/er; echo more >state/deep/er/file; ln -sf note workspace/link'
    file=$(backed_up delta)
    assert_match "$file" "^$BACKUPS/delta-[0-9]{8}T[0-9]{6}Z.backup$"
    assert_eq "$(stat -c '%a %U' "$file")" "600 root"
    summary=$(tenantctl backup verify "$file" --json)
    assert_eq "$(field "$summary" 'd[0]["tenant"], d[0]["quiesced"]')" "delta frozen"
    # No value in it, with a control.
    printf '%s\n%s\n' "$value" remember >/dev/shm/pattern
    later rm -f /dev/shm/pattern
    assert_eq "$(grep -acFf /dev/shm/pattern "$file" || true)" 0
    assert_eq "$(grep -cFf /dev/shm/pattern /var/lib/tenants/delta/workspace/note)" 1
    assert_ok tenantctl restore "$file" --as gamma
    later delete gamma
    assert_eq "$(cat /var/lib/tenants/gamma/workspace/note /var/lib/tenants/gamma/state/deep/er/file)" $'remember\nmore'
    assert_eq "$(readlink /var/lib/tenants/gamma/workspace/link)" note
    assert_eq "$(find /var/lib/tenants/gamma -mindepth 1 ! -user t-gamma)" ""
    assert_eq "$(unit gamma ActiveState)" active
    assert_eq "$(tenantctl status gamma --json | python3 -c 'import json,sys; d=json.load(sys.stdin); print(d["drift"], d["limits"].get("TasksMax"))')" \
        "[] $(tenantctl status delta --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["limits"].get("TasksMax"))')"
    assert_match "$(cat /etc/tenantd/tenants.d/gamma.toml)" 'id = "gamma".*the first'
    assert_ok tenantctl restart delta
    assert_eq "$(secret_of gamma token) $(secret_of delta token)" "$value $value"
    nothing_beside
    assert_match "$(tenantctl status delta)" 'last backup: [0-9]+ s ago'
}

test_a_tenant_gets_its_data_back_and_keeps_its_spec_and_secrets() {
    local file before
    in_delta 'echo one >workspace/note; rm -f workspace/new'
    printf one | tenantctl secret set delta token --for file
    later tenantctl secret remove delta token
    file=$(backed_up delta)
    in_delta 'echo two >workspace/note; echo x >workspace/new; chmod 500 workspace'
    printf two | tenantctl secret rotate delta token
    before=$(cat /etc/tenantd/tenants.d/delta.toml)
    assert_status 73 tenantctl restore "$file"
    assert_match "$OUTPUT" 'tenant delta exists: say --yes'
    assert_eq "$(cat /var/lib/tenants/delta/workspace/note)" two
    assert_ok tenantctl restore "$file" --yes
    assert_eq "$(cat /var/lib/tenants/delta/workspace/note)" one
    test ! -e /var/lib/tenants/delta/workspace/new
    assert_eq "$(unit delta ActiveState)" active
    assert_eq "$(secret_of delta token)" two
    assert_eq "$(cat /etc/tenantd/tenants.d/delta.toml)" "$before"
    assert_eq "$(tenantctl status delta --json | python3 -c 'import json,sys; d=json.load(sys.stdin); print(d["drift"], d["open_operation"])')" "[] None"
    nothing_beside
    # One that is stopped stays stopped.
    assert_ok tenantctl stop delta
    later tenantctl start delta
    assert_ok tenantctl restore "$file" --yes
    assert_eq "$(unit delta ActiveState)" inactive
}

test_what_a_restored_or_repaired_tenant_may_reach_is_shown_and_can_be_refused() {
    local file spec=/etc/tenantd/tenants.d/delta.toml
    # The spec on disk allows more than is in force: a repair would put that into force.
    assert_ok tenantctl egress set delta --profile team --default deny
    later tenantctl egress set delta --off --yes
    sed -i 's/^\[egress\]$/&\npresets = ["github"]/' "$spec"
    assert_status 65 tenantctl repair delta --no-widening
    assert_match "$OUTPUT" '\+ .*github.*for example: '
    assert_no_match "$(cat /var/lib/tenantd/egress/delta/egress.json)" 'preset github'
    assert_ok tenantctl repair delta
    assert_match "$OUTPUT" 'Tenant delta may do more than before:'
    assert_match "$(cat /var/lib/tenantd/egress/delta/egress.json)" 'preset github'
    file=$(backed_up delta)
    # Over the tenant nothing is allowed that was not; as another tenant all of it is new.
    assert_ok tenantctl restore "$file" --yes --no-widening
    assert_no_match "$OUTPUT" 'may do more'
    assert_status 65 tenantctl restore "$file" --as gamma --no-widening
    assert_match "$OUTPUT" 'Tenant gamma may do more than before:.*github.*for example: '
    assert_eq "$(getent passwd t-gamma || true)" ""
    assert_ok tenantctl restore "$file" --as gamma
    later delete gamma
    assert_match "$OUTPUT" 'Tenant gamma may do more than before:'
    assert_match "$(cat /var/lib/tenantd/egress/gamma/egress.json)" 'preset github'
}

test_what_is_no_whole_backup_is_refused_with_a_sentence() {
    local file at byte size
    in_delta 'head -c 300000 /dev/urandom >workspace/random'
    later in_delta 'rm workspace/random'
    file=$(backed_up delta)
    size=$(stat -c %s "$file")
    assert_status 65 tenantctl backup verify /etc/os-release
    assert_status 66 tenantctl backup verify /nonexistent
    assert_status 66 tenantctl backup verify /dev/null
    # Header, first chunk, in the midst, the end.
    for at in 0 9 17 41 72 73 80 70000 150000 $((size - 20)) $((size - 1)); do
        cp "$file" /srv/damaged
        byte=$(od -An -tu1 -j "$at" -N1 "$file" | tr -d ' ')
        printf '%b' "\\0$(printf %o $((byte ^ 1)))" | dd of=/srv/damaged bs=1 seek="$at" conv=notrunc status=none
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
    in_delta 'echo kept >workspace/note'
    assert_status 65 tenantctl restore /srv/damaged --yes
    assert_match "$OUTPUT" 'tenant delta is as it was before'
    assert_eq "$(cat /var/lib/tenants/delta/workspace/note) $(unit delta ActiveState)" "kept active"
    nothing_beside
    assert_ok tenantctl backup verify "$file"
}

test_a_hostile_tree_goes_through_and_harms_nobody() {
    local file summary peak
    # So that its peak is that of this test.
    systemctl restart tenantd
    # Its device is refused, by the kernel; everything else it can make.
    # shellcheck disable=SC2016 # for the shell in the cell
    in_delta '
        cd workspace && mkdir -p evil && cd evil
        ln -s /etc/shadow out; ln -s ../../../../../etc/passwd climb; ln -s /proc/self/root/etc proc
        mkfifo fifo; python3 -c "import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")"
        truncate -s 1T sparse; echo end >>sparse
        printf x >"$(printf "new\nline")"; printf x >"-rf"; printf x >"$(printf "\033[31mred")"
        echo plain >file; ln file hard
        mkdir locked; echo x >locked/in; chmod 0 locked; echo y >unreadable; chmod 0 unreadable
        python3 - <<PYTHON
import os
for n in range(30000): open(f"small{n}", "w").write("x")
for n in range(400):
    os.mkdir("d"); os.chdir("d")
PYTHON
    '
    # What no tenant can do; as if it had been there before.
    chmod 4755 /var/lib/tenants/delta/workspace/evil/file
    later in_delta 'chmod -R u+rwX workspace/evil; rm -rf workspace/evil'
    file=$(backed_up delta)
    summary=$(tenantctl backup verify "$file" --json)
    assert_eq "$(field "$summary" '{k: json.loads(d[0]["contents"])["left_out"][k] for k in ("fifos", "sockets", "special_bits")}')" \
        "{'fifos': 1, 'sockets': 1, 'special_bits': 1}"
    assert_match "$(field "$summary" 'json.loads(d[0]["contents"])["left_out"]["links_out"]')" '^[23]$'
    assert_ok tenantctl restore "$file" --as gamma
    later delete gamma
    cd /var/lib/tenants/gamma/workspace/evil || fail "the tree was not restored"
    assert_eq "$(find . -type p -o -type s -o -perm /6000)" ""
    # No link that leads out of the tenant's tree but to /usr.
    assert_eq "$(find . -type l)" ""
    assert_eq "$(stat -c '%s %h' sparse hard | tr '\n' ' ')" "1099511627780 1 6 2 "
    [ "$(du -k sparse | cut -f1)" -lt 100 ] || fail "the holes were filled: $(du -k sparse)"
    assert_eq "$(find . -maxdepth 1 -name 'small*' | wc -l)" 30000
    assert_eq "$(cat -- "$(printf 'new\nline')" ./-rf)" xx
    assert_eq "$(stat -c %U file)" t-gamma
    cd / || exit
    assert_eq "$(stat -c '%a %U' /etc/shadow)" "640 root"
    # tenantd's memory does not grow with any of it.
    peak=$(awk '/VmHWM/ {print $2}' "/proc/$(systemctl show -P MainPID tenantd)/status")
    [ "$peak" -lt 40000 ] || fail "tenantd used $peak KiB"
}

test_a_full_disk_leaves_everything_as_it_was() {
    local file
    in_delta 'head -c 30000000 /dev/urandom >workspace/large; echo kept >workspace/note'
    later in_delta 'rm workspace/large'
    file=$(backed_up delta)
    # The target is full.
    mkdir -p /srv/small
    mount -t tmpfs -o size=1m,mode=0700 tmpfs /srv/small
    later umount /srv/small
    assert_status 74 tenantctl backup delta --to /srv/small
    assert_match "$OUTPUT" 'No space left'
    assert_eq "$(ls -A /srv/small)" ""
    assert_eq "$(freezer delta)" running
    # The tenants' disk is full: tenants, and a place for one more.
    systemctl stop tenant@delta tenant@beta
    cp -a /var/lib/tenants /srv/tenants
    mount -t tmpfs -o size=50m,mode=0711 tmpfs /var/lib/tenants
    cp -a /srv/tenants/. /var/lib/tenants
    systemctl restart tenantd
    systemctl start tenant@delta tenant@beta
    put_back() {
        systemctl stop tenant@delta tenant@beta
        umount /var/lib/tenants
        rm -r /srv/tenants
        systemctl restart tenantd
        systemctl start tenant@delta tenant@beta
    }
    later put_back
    assert_status 74 tenantctl restore "$file" --yes
    assert_match "$OUTPUT" 'free disk space.*tenant delta is as it was before'
    assert_eq "$(unit delta ActiveState)" active
    assert_eq "$(cat /var/lib/tenants/delta/workspace/note)" kept
    nothing_beside
    assert_status 74 tenantctl restore "$file" --as gamma
    assert_eq "$(getent passwd t-gamma || true)$(find /var/lib/tenants "$VAULT" -name '*gamma*')" ""
}

test_a_backup_of_one_host_is_restored_on_another_with_the_recovery_copy() {
    local file kek
    printf moved | tenantctl secret set delta token --for file
    later tenantctl secret remove delta token
    in_delta 'echo moved >workspace/note'
    file=$(backed_up delta)
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
    # The other host's settings are in it, too.
    assert_eq "$(field "$(tenantctl backup verify "$file" --json)" 'd[0]["settings"]')" "$(cat /etc/tenantd/tenantd.toml)"
    assert_ok tenantctl restore "$file" --as gamma
    assert_eq "$(cat /var/lib/tenants/gamma/workspace/note) $(secret_of gamma token)" "moved moved"
    # It is sealed by this host's own key now.
    kek=$(field "$(tenantctl vault status --json)" 'd["kek"]')
    assert_ok tenantctl vault rotate-dek gamma
    assert_eq "$(field "$(tenantctl backup verify "$(backed_up gamma)" --json)" 'd[0]["kek"]')" "$kek"
}

test_restoring_is_asked_for_and_a_tenants_program_is_not_roots() {
    local file seen
    file=$(backed_up beta)
    assert_status 77 runuser -u nobody -- tenantctl backup beta --to -
    install -m 0644 "$file" /tmp/readable.backup
    later rm /tmp/readable.backup
    assert_status 77 runuser -u nobody -- tenantctl restore /tmp/readable.backup --as gamma
    # While it is unpacked, the program is the new tenant, without privilege.
    in_delta 'head -c 200000000 /dev/urandom >workspace/large'
    later in_delta 'rm workspace/large'
    file=$(backed_up delta --no-verify)
    tenantctl restore "$file" --as gamma &
    later delete gamma
    # PID 1 has made the process before it is the tenant's.
    running() { [ "$(ps -o comm= -p "$(systemctl show -P MainPID tenantd-archive-unpack-gamma.service)" || true)" = tenant-archive ]; }
    eventually 20 running
    seen=$(cat "/proc/$(systemctl show -P MainPID tenantd-archive-unpack-gamma.service)/status")
    assert_eq "$(awk '/^Uid/ {print $3}' <<<"$seen")" "$(id -u t-gamma)"
    assert_match "$seen" $'CapBnd:\t0000000000000000'
    assert_match "$seen" $'NoNewPrivs:\t1'
    assert_match "$seen" $'Seccomp:\t2'
    wait
}

test_data_that_the_gateway_does_not_start_with_is_taken_back() {
    # shellcheck disable=SC2016 # for the shell in the cell
    local file gateway='test ! -e "$HOME/../workspace/broken" && exec /usr/local/lib/standin/bin/standin-gateway --port 18789'
    assert_ok tenantctl create picky --runtime generic --port 18789 -- /bin/sh -c "$gateway"
    later delete picky
    in_cell picky sh -c 'echo then >workspace/note; touch workspace/broken'
    file=$(backed_up picky)
    in_cell picky sh -c 'echo now >workspace/note; rm workspace/broken'
    assert_fails tenantctl restore "$file" --yes
    assert_match "$OUTPUT" 'tenant picky is as it was before'
    assert_eq "$(cat /var/lib/tenants/picky/workspace/note) $(unit picky ActiveState)" "now active"
    nothing_beside
    assert_eq "$(tenantctl status picky --json | python3 -c 'import json,sys; d=json.load(sys.stdin); print(d["drift"], d["open_operation"])')" "[] None"
    # Made anew from it, there is no such tenant: nothing of it is left.
    assert_fails tenantctl restore "$file" --as picky2
    assert_eq "$(getent passwd t-picky2 || true)$(find /var/lib/tenants "$VAULT" -name '*picky2*')" ""
    # One that runs with neither is not locked: it can be changed, and deleted.
    in_cell picky touch workspace/broken
    assert_fails tenantctl restart picky
    assert_fails tenantctl restore "$file" --yes
    assert_match "$OUTPUT" 'has the data it had before, but does not start with it either'
    assert_ok tenantctl set picky description=mended
    nothing_beside
}
