# Known values, set and rotated, are nowhere but where they belong: not in memory, core files, swap, the journal, on the bus, or in files.
# Each search finds a value that is there first.
# level: tenants
# host: own
# shellcheck shell=bash
# shellcheck disable=SC2317 # some functions are called by name

# Values lie here in files; no shell and no argument holds one. In memory, because a disk keeps what was deleted.
VALUES=/dev/shm/values
LEAK=/opt/rig/host/secrets/leak.py
BUS=/root/bus.capture
ALL=file.old,file.new,proxy.old,proxy.new,lost
FOR_PROXY=proxy.old,proxy.new,lost

# "lost" is given and removed again. What the bus carries meanwhile is kept.
before_file() {
    python3 "$LEAK" make "$VALUES" file.old file.new proxy.old proxy.new lost control
    systemctl start polkit
    busctl capture >"$BUS" &
    local capture=$!
    eventually 10 test -s "$BUS"
    # A positive control for the bus.
    busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus NameHasOwner s "$(cat "$VALUES/control")"
    tenantctl secret set alpha for-file --for file --from "$VALUES/file.old"
    tenantctl secret set alpha for-proxy --from "$VALUES/proxy.old"
    tenantctl secret set alpha for-nobody --from "$VALUES/lost"
    tenantctl secret rotate alpha for-file --from "$VALUES/file.new"
    tenantctl secret rotate alpha for-proxy --from "$VALUES/proxy.new"
    tenantctl secret remove alpha for-nobody
    tenantctl vault rotate-dek alpha
    tenantctl vault rotate-kek
    tenantctl restart alpha
    kill "$capture"
    wait "$capture" || true
}
after_file() {
    tenantctl secret remove alpha for-file
    tenantctl secret remove alpha for-proxy
    tenantctl restart alpha
    rm -r "$VALUES" "$BUS"
}

leak() { python3 "$LEAK" "$1" "$VALUES" "${@:2}"; }
main_pid() { systemctl show -P MainPID "$1"; }
of_unit() { # UNIT…: its processes
    local unit
    for unit; do cat "/sys/fs/cgroup$(systemctl show -P ControlGroup "$unit")/cgroup.procs"; done
}
everyone_but() { # PID…: all other processes
    local pid
    for pid in /proc/[0-9]*; do
        [[ " $* " == *" ${pid#/proc/} "* ]] || echo "${pid#/proc/}"
    done
}
pids() { tr '\n' ' ' <<<"$*"; }

test_no_process_has_a_value_in_memory_but_the_gateway_it_is_for() {
    local alpha holder found
    alpha=$(pids "$(of_unit tenant@alpha)")
    # Positive controls: the gateway has it in its cell, and the search finds it in a process that holds it.
    cmp "$VALUES/file.new" "/proc/$(main_pid tenant@alpha)/root/run/tenantd/secrets/for-file"
    coproc HOLDER { exec python3 "$LEAK" hold "$VALUES" control; }
    holder=$HOLDER_PID
    later kill "$holder"
    read -r found <&"${HOLDER[0]}"
    assert_eq "$(leak memory control "$holder")" "$holder python3 control"
    # Whom it matters most for run: else nothing would be looked at.
    for found in tenantd dbus polkit systemd-journald systemd-logind tenant@beta tenant-net@alpha tenantd-credentials; do
        [ "$(main_pid "$found")" -gt 0 ] || fail "$found does not run"
    done
    # PID 1 hands credentials over, and may have that of a file; no other process may.
    # shellcheck disable=SC2046,SC2086 # lists of numbers
    assert_eq "$(leak memory "$ALL" $(everyone_but 1 $alpha))" ""
    # What is for the proxy, and what was removed, nobody has.
    # shellcheck disable=SC2046 # a list of numbers
    assert_eq "$(leak memory "$FOR_PROXY" $(everyone_but))" ""
}

test_the_bus_carries_no_value() {
    assert_eq "$(leak files control "$BUS")" "$BUS control"
    # It was listening when the values were given.
    grep -qa SetSecret "$BUS"
    grep -qa RotateKek "$BUS"
    assert_eq "$(leak files "$ALL" "$BUS")" ""
}

test_no_argument_and_no_environment_has_a_value() {
    local control
    control=$(cat "$VALUES/control")
    CONTROL=$control sleep 100 &
    later kill $!
    assert_match "$(leak words control)" "$! sleep control"
    assert_eq "$(leak words "$ALL")" ""
}

test_no_file_has_a_value_but_the_credential_of_the_gateway() {
    local credential=/run/credentials/tenant@alpha.service
    # Positive controls: the credential itself, and one in a state file's place.
    assert_eq "$(leak files file.new /run)" "$credential/secrets file.new"
    cp "$VALUES/control" /var/lib/tenantd/control
    later rm /var/lib/tenantd/control
    assert_eq "$(leak files control /var/lib/tenantd)" "/var/lib/tenantd/control control"
    test -s /var/lib/tenantd/state.db
    assert_eq "$(leak files "$FOR_PROXY" /run /dev/shm)" ""
    assert_eq "$(leak files "$ALL" /var /etc /tmp /root /home /srv /dev/shm /run -- "$credential" "$BUS")" ""
}

test_the_journal_has_no_value() {
    journalctl --sync
    journalctl --no-pager -o export >/root/journal
    later rm /root/journal
    # Positive control: what was done is in it.
    grep -qa 'secret set' /root/journal
    assert_eq "$(leak files "$ALL" /root/journal)" ""
    logger -t leak -f "$VALUES/control"
    journalctl --sync
    journalctl --no-pager -o export >/root/journal
    assert_eq "$(leak files control /root/journal)" "/root/journal control"
}

cores() { find / -maxdepth 1 -name 'core*' -type f; }
dies() { # PID: of a signal whose default is a core file
    kill -ABRT "$1"
    eventually 10 test ! -e "/proc/$1"
}

test_tenantd_leaves_no_core_file() {
    local pattern before pid
    before=$(cat /proc/sys/kernel/core_pattern)
    pattern=$before
    if [[ $pattern == */* || $pattern == \|* ]]; then
        # It is the machine's: only where the host has one of its own can it be another.
        echo core >/proc/sys/kernel/core_pattern 2>/dev/null || skip "core files go to \"$pattern\" here"
        later sh -c "echo '$before' >/proc/sys/kernel/core_pattern"
    fi
    later find / -maxdepth 1 -name 'core*' -type f -delete
    later systemctl reset-failed tenantd
    (cd / && ulimit -c unlimited && exec sleep 100) &
    sleep 0.2
    dies $!
    [ -n "$(cores)" ] || fail "not even the control left a core file"
    find / -maxdepth 1 -name 'core*' -type f -delete
    pid=$(main_pid tenantd)
    assert_eq "$(awk '/^Max core file size/ { print $5 $6 }' "/proc/$pid/limits")" 00
    # It has a limit of its own; not even without it, where root may lift it.
    prlimit --pid "$pid" --core=unlimited || echo "this host does not let it have more"
    dies "$pid"
    assert_eq "$(cores)" ""
    eventually 10 tenantctl list
    [ "$(main_pid tenantd)" != "$pid" ]
}

# needs: host qemu
test_what_is_swapped_out_of_the_vaults_processes_holds_no_value() {
    local unit
    # Written, not fallocated: blocks that a file system takes for unwritten read as zeros, whatever the kernel has swapped to them.
    dd if=/dev/zero of=/srv/swap bs=1M count=128 conv=fsync status=none
    chmod 0600 /srv/swap
    later rm /srv/swap
    mkswap /srv/swap >/dev/null
    swapon /srv/swap
    later swapoff /srv/swap
    # Positive control: a service that holds a value and locks nothing.
    systemd-run --unit=holder --service-type=exec python3 "$LEAK" hold "$VALUES" control
    later systemctl stop holder
    tenantctl secret list alpha
    # tenantd-credentials has ended when it was not asked for long.
    tenantctl restart alpha
    eventually 60 sh -c 'journalctl -u holder -o cat | grep -q held'
    for unit in holder tenantd tenantd-credentials dbus polkit systemd-journald; do
        [ "$(main_pid "$unit")" -gt 0 ] || fail "$unit does not run"
        # As much as it gives; less than asked for is an error.
        echo 200M >"/sys/fs/cgroup$(systemctl show -P ControlGroup "$unit")/memory.reclaim" 2>/dev/null || true
    done
    [ "$(cat /sys/fs/cgroup/system.slice/holder.service/memory.swap.current)" -gt 0 ] || fail "nothing of the control was swapped out"
    # What the kernel swaps goes past the pages that a reader of the file may still find in memory.
    swapped() {
        echo 1 >/proc/sys/vm/drop_caches
        leak files control /srv/swap | grep -q control
    }
    eventually 60 swapped
    assert_eq "$(leak files "$ALL" /srv/swap)" ""
}
