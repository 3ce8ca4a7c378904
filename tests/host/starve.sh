# One tenant cannot starve another: alpha takes what it can get, and beta's health path answers within a second
# throughout. A limit must end each taking, and the same taking must succeed where no limit is.
# level: tenants
# shellcheck shell=bash

# shellcheck source=tests/host/escape.bash
. "$(dirname "${BASH_SOURCE[0]}")/escape.bash"

before_file() { attack_program; }
after_file() {
    rm -rf "$PLACE"
    tenantctl start alpha
}

beta_answers() { curl -fsS -m 1 -o /dev/null "http://$BETA:18789/healthz"; }

# starve ACT ARGS…: alpha runs the act; its report is left in $REPORT. Fails if beta once takes longer than a second, or
# if $ALSO, a command, fails meanwhile.
ALSO=true
starve() {
    local out load asked=0
    BETA=$(ip netns exec t-beta ip -4 -o address show eth0 | awk '{ sub(/\/.*/, "", $4); print $4 }')
    out=$(mktemp)
    later rm -f "$out"
    { in_cell alpha "$PROBE" "$@" || true; } >"$out" 2>&1 &
    load=$!
    while kill -0 "$load" 2>/dev/null; do
        beta_answers || fail "beta did not answer within a second while alpha ran $*"
        "$ALSO" || fail "\"$ALSO\" failed while alpha ran $*"
        asked=$((asked + 1))
        sleep 0.1
    done
    wait "$load"
    REPORT=$(grep -v '^j*$' "$out" || true)
    printf '%s\nbeta answered %d times\n' "$REPORT" "$asked"
    [ "$asked" -gt 0 ] || fail "beta was never asked"
    beta_answers || fail "beta does not answer afterwards"
}

# A limit ended it: the probe says so, or the kernel killed the probe itself.
limited() { assert_no_match "$REPORT" '"outcome":"(succeeded|error)"' "the load"; }

# The same amount where no limit is.
unlimited() {
    assert_ok systemd-run --quiet --wait --pipe --collect --uid=nobody -p TasksMax=infinity -p LimitNOFILE=1000000 "$PROBE" "$@"
    assert_match "$OUTPUT" '"outcome":"succeeded"'
}

limit_of() { systemctl show -P "$1" tenants-alpha.slice; }

# needs: cgroup
test_a_fork_bomb_ends_at_the_tenants_own_limit() {
    local most
    most=$(limit_of TasksMax)
    assert_match "$most" '^[0-9]+$' "TasksMax of the slice"
    starve load-processes $((most + 100))
    limited
    unlimited load-processes $((most + 100))
}

# needs: cgroup
test_a_memory_hog_ends_at_the_tenants_own_limit() {
    local most
    most=$(limit_of MemoryMax)
    assert_match "$most" '^[0-9]+$' "MemoryMax of the slice"
    starve load-memory $((most / 1048576 + 128))
    limited
    unlimited load-memory $((most / 1048576 + 128))
}

test_a_tenant_cannot_open_files_without_end() {
    local most
    most=$(in_cell alpha sh -c 'ulimit -Hn')
    assert_match "$most" '^[0-9]+$' "the limit of open files"
    starve load-files $((most + 1000))
    limited
    unlimited load-files $((most + 1000))
}

# needs: cgroup
test_a_busy_tenant_leaves_its_neighbour_its_share_of_the_processors() {
    local out
    out=$(mktemp)
    later rm -f "$out"
    in_cell alpha "$PROBE" load-processor 5 >"$out" 2>&1 &
    starve load-processor 5
    wait
    assert_match "$REPORT$(cat "$out")" '"succeeded".*"succeeded"'
}

a_terminal_is_left() { python3 -c 'import os; os.openpty()'; }

test_a_tenant_cannot_use_up_the_terminals_of_the_host() {
    ALSO=a_terminal_is_left
    starve load-terminals 5000
}

test_a_tenant_that_floods_its_network_does_not_hold_up_its_neighbour() {
    local alpha
    alpha=$(ip netns exec t-alpha ip -4 -o address show eth0 | awk '{ sub(/\/.*/, "", $4); print $4 }')
    starve load-flows "${alpha%.*}.$((${alpha##*.} - 1))" 9999 5000
}

test_a_tenant_that_floods_the_journal_is_cut_short_and_its_neighbour_is_heard() {
    local since lines
    cat >"$PLACE/noisy" <<NOISY
#!/bin/sh
$PROBE load-journal 30000 >/dev/null &
exec $(gateway)
NOISY
    chmod 0755 "$PLACE/noisy"
    since=$(date '+%F %T')
    later tenantctl delete noisy --yes
    assert_ok tenantctl create noisy --runtime generic --port 18789 --command "$PLACE/noisy"
    sleep 2
    lines=$(journalctl --since "$since" -u tenant@noisy -o cat | grep -c '^j' || true)
    [ "$lines" -lt 30000 ] || fail "all 30000 lines of the flood are in the journal"
    assert_ok tenantctl restart beta
    journalctl --sync
    assert_match "$(journalctl --since "$since" -u tenant@beta -o cat)" 'listening on'
    printf '%d of 30000 lines were kept\n' "$lines"
}
