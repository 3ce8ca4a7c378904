# tenantctl itself: streams and terminals of exec, exit codes, logs, completion, passwords. What the verbs do to a host is
# tested in lifecycle.sh, what they refuse in input.sh, who may use them in permissions.sh.
# level: tenants
# hosts: nspawn
# shellcheck shell=bash disable=SC2016,SC2317 # expanded in the cell; called by "eventually"

terminal=$(dirname "${BASH_SOURCE[0]}")/terminal.py
on_terminal() { python3 "$terminal" "$@"; }
exec_units() { systemctl list-units --all --no-legend 'tenant-exec-*'; }
an_exec_unit() { [ -n "$(exec_units)" ]; }
no_exec_unit() { [ -z "$(exec_units)" ]; }
network_of() { # TENANT: whatever there is of its network: pin, links, record, elements of the fence, unit
    find /run/netns /run/tenantd/net -name "*$1*" 2>/dev/null || true
    ip -o link | grep -w "alias $1" || true
    nft list ruleset | grep -w "10.210.0.$((4 * $(sed -n 's/.*"uid":\([0-9]*\).*/\1/p' "/etc/userdb/t-$1.user") - 4 * 500000 + 2))" || true
    systemctl list-units --plain --no-legend "tenant-net@$1.service" || true
}
no_network_of() { [ -z "$(network_of "$1")" ]; }
starts_of() { journalctl -o cat -u "tenant@$1.service" | grep -c '^Starting' || true; }

test_a_command_in_the_cell_reads_and_writes_the_callers_streams_and_ends_as_it_ended() {
    assert_eq "$(echo hello | tenantctl exec alpha -- tr a-z A-Z)" HELLO
    assert_eq "$(tenantctl exec alpha -- sh -c 'echo out; echo err >&2' 2>/dev/null)" out
    assert_eq "$(tenantctl exec alpha -- sh -c 'echo out; echo err >&2' 2>&1 >/dev/null)" err
    assert_eq "$(head -c 3000000 /dev/zero | tenantctl exec alpha -- wc -c)" 3000000
    assert_eq "$(tenantctl exec alpha -- head -c 3000000 /dev/zero | wc -c)" 3000000
    assert_status 5 tenantctl exec alpha -- sh -c 'exit 5'
    assert_status 137 tenantctl exec alpha -- sh -c 'kill -9 $$'
    assert_status 66 tenantctl exec alpha -- no-such-program
    assert_status 66 tenantctl exec nobody -- id
}

test_a_command_gets_no_descriptor_of_the_caller() {
    # An open file of the caller's as standard input: the tenant sees a pipe, and nothing else is open (3 is ls's own).
    assert_match "$(tenantctl exec alpha -- readlink /proc/self/fd/0 </etc/shadow)" '^pipe:'
    assert_eq "$(tenantctl exec alpha -- ls /proc/self/fd </etc/shadow | tr '\n' ' ')" '0 1 2 3 '
}

test_a_command_on_a_terminal_gets_one_of_its_own_that_works() {
    local out
    # shellcheck disable=SC2016 # expanded in the cell
    out=$(TERM=xterm on_terminal '\$ $=>tty; stty size; echo "term $TERM"\n' \
        'term xterm\r=>sh -c "echo run-; exec sleep 100" && echo not-$((1+1))\n' 'run-\r=>\x03' \
        '\$ $=>echo to-$((1+1)) >/dev/tty\n' 'to-2\r=>RESIZE 40 90' '\$ $=>stty size; exit 9\n' \
        -- sh -c 'tty; PS1= tenantctl exec alpha -- sh -i; echo "ended $?"') || true
    echo "$out"
    assert_match "$out" '33 101'
    assert_match "$out" 'to-2'
    assert_match "$out" '40 90'
    assert_match "$out" 'ended 9'
    assert_no_match "$out" 'not-2'
    # Two terminals were named: the caller's, and another one.
    assert_eq "$(grep -o '^/dev/pts/[0-9]*' <<<"$out" | sort -u | wc -l)" 2
}

test_the_callers_terminal_is_as_before_afterwards() {
    local out
    out=$(on_terminal -- sh -c 'stty -g; tenantctl exec alpha -- true; stty -g' | grep : | sort -u)
    assert_eq "$(wc -l <<<"$out")" 1
}

test_a_command_whose_caller_is_gone_is_ended() {
    tenantctl exec alpha -- sleep 1000 &
    local caller=$!
    eventually 10 an_exec_unit
    kill -9 "$caller"
    eventually 10 no_exec_unit
}

test_a_command_in_a_stopped_tenant_has_its_network_for_as_long_as_it_runs_and_starts_no_gateway() {
    local starts caller
    assert_ok network_of alpha
    assert_match "$OUTPUT" 'alias alpha' # the positive control: while it runs, all of this is found
    assert_match "$OUTPUT" '10\.210\.0\.2'
    tenantctl stop alpha
    later tenantctl start alpha
    eventually 10 no_network_of alpha
    starts=$(starts_of alpha)
    assert_eq "$(tenantctl exec alpha -- sh -c 'id -un; echo kept >$HOME/repaired; cat $HOME/repaired' | tr '\n' ' ')" 't-alpha kept '
    eventually 10 no_network_of alpha || fail "left behind: $(network_of alpha)"
    # A command that leaves a process behind, one that fails, and one whose caller is gone.
    assert_ok tenantctl exec alpha -- sh -c 'sleep 1000 >/dev/null 2>&1 & exit 0'
    assert_status 5 tenantctl exec alpha -- sh -c 'exit 5'
    # One upon the other: the network of the last is on its way down when the next one wants it.
    for _ in {1..10}; do assert_ok tenantctl exec alpha -- true; done
    eventually 10 no_network_of alpha || fail "left behind: $(network_of alpha)"
    tenantctl exec alpha -- sleep 1000 &
    caller=$!
    eventually 10 an_exec_unit
    eventually 10 test -e /run/netns/t-alpha
    kill -9 "$caller"
    eventually 10 no_network_of alpha || fail "left behind: $(network_of alpha)"
    assert_fails pgrep -u t-alpha
    assert_eq "$(starts_of alpha)" "$starts"
    assert_eq "$(systemctl is-active tenant@alpha || true)" inactive
}

test_a_command_runs_once_and_not_without_a_network() {
    local ran=/var/lib/tenants/alpha/home/ran caller
    rm -f "$ran"
    later rm -f "$ran"
    tenantctl exec alpha -- sh -c 'echo once >>$HOME/ran; sleep 1000' &
    caller=$!
    eventually 10 test -s "$ran"
    # What holds its network is killed: systemd makes another, and must not begin the command anew.
    assert_ok systemctl kill --signal=KILL --kill-who=main tenant-net@alpha
    wait "$caller" || true
    eventually 20 systemctl is-active -q tenant@alpha
    assert_eq "$(cat "$ran")" once
    # The same where an administrator restarts it; and the gateway is in the new namespace.
    rm "$ran"
    tenantctl exec alpha -- sh -c 'echo once >>$HOME/ran; sleep 1000' &
    caller=$!
    eventually 10 test -s "$ran"
    assert_ok systemctl restart tenant-net@alpha
    wait "$caller" || true
    eventually 20 systemctl is-active -q tenant@alpha
    assert_eq "$(cat "$ran")" once
    assert_eq "$(stat -Lc %i /run/netns/t-alpha)" "$(stat -Lc %i "/proc/$(systemctl show -P MainPID tenant@alpha)/ns/net")"
    tenantctl stop alpha
    later tenantctl start alpha
    eventually 10 no_network_of alpha
    systemctl stop tenantd-fence-watch
    later systemctl start tenantd-fence-watch
    later systemctl reload-or-restart tenantd-fence
    nft delete table inet tenantd
    assert_status 69 tenantctl exec alpha -- id
    assert_match "$OUTPUT" 'tenant alpha: its network did not come up: see "journalctl -u tenant-net@alpha.service"'
}

test_a_gateway_that_is_started_and_stopped_beside_a_command_shares_its_network() {
    local caller
    tenantctl stop alpha
    later tenantctl start alpha
    eventually 10 no_network_of alpha
    tenantctl exec alpha -- sleep 1000 &
    caller=$!
    eventually 10 an_exec_unit
    assert_ok tenantctl start alpha
    assert_ok tenantctl stop alpha
    assert_eq "$(systemctl is-active tenant-net@alpha)" active
    assert_ok an_exec_unit
    kill -9 "$caller"
    eventually 10 no_network_of alpha || fail "left behind: $(network_of alpha)"
}

test_a_tenant_whose_gateway_failed_can_be_repaired_by_a_command() {
    local starts
    tenantctl create gamma --runtime generic --port 18789 --no-start -- /bin/sh -c \
        'test -e "$HOME/repaired" && exec /usr/local/lib/standin/bin/standin-gateway --port 18789; exit 78'
    later tenantctl delete gamma --yes
    assert_fails tenantctl start gamma
    assert_eq "$(systemctl is-active tenant@gamma || true)" failed
    starts=$(starts_of gamma)
    assert_ok tenantctl exec gamma -- sh -c 'echo 1 >$HOME/repaired'
    assert_eq "$(systemctl is-active tenant@gamma || true)" failed
    assert_eq "$(starts_of gamma)" "$starts"
    eventually 10 no_network_of gamma || fail "left behind: $(network_of gamma)"
    assert_ok tenantctl start gamma
}

test_status_ends_as_systemctl_does() {
    later tenantctl start beta
    assert_status 0 tenantctl status beta
    tenantctl stop beta
    assert_status 3 tenantctl status beta
    assert_status 66 tenantctl status nobody
    assert_match "$(tenantctl status beta --json || true)" '"state": "inactive"'
}

test_errors_are_json_where_json_is_asked_for() {
    local said
    said=$(tenantctl status nobody --json 2>&1 >/dev/null) || true
    assert_eq "$(python3 -c 'import json, sys; print(json.load(sys.stdin)["error"]["exit"])' <<<"$said")" 66
}

test_no_line_of_status_list_or_doctor_is_wider_than_80_columns_but_for_long_words() {
    { tenantctl list; tenantctl status alpha; tenantctl doctor || true; } >/tmp/wide
    assert_eq "$(awk 'length($0) > 80 && /[^ ] [^ ]/ && length($NF) < 60' /tmp/wide)" ''
}

test_set_keeps_the_comments_of_a_spec() {
    local spec=/etc/tenantd/tenants.d/alpha.toml
    cp -p "$spec" /tmp/alpha.before
    later tenantctl apply -f /tmp/alpha.before
    sed '1i # since March' "$spec" >/tmp/alpha.toml
    assert_ok tenantctl apply -f /tmp/alpha.toml
    assert_ok tenantctl set alpha 'description=the alpha company'
    assert_eq "$(head -n 1 "$spec")" '# since March'
    assert_match "$(cat "$spec")" 'description = "the alpha company"'
}

test_logs_hands_its_arguments_to_journalctl() {
    assert_match "$(tenantctl logs alpha -o cat --no-pager -n 500)" 'tenant alpha: confined: '
    assert_eq "$(tenantctl logs alpha -o cat --no-pager -n 1 | wc -l)" 1
}

test_an_ordinary_user_at_a_terminal_is_asked_for_a_password() {
    useradd --create-home --shell /bin/sh --groups sudo administrator
    later userdel --remove administrator
    echo administrator:secret | chpasswd
    local out
    out=$(on_terminal 'Password: =>secret\n' -- runuser -u administrator -- tenantctl list --no-color)
    assert_match "$out" 'AUTHENTICATING FOR org.tenantd.list'
    assert_match "$out" 'alpha +active'
    out=$(on_terminal 'Password: =>wrong\n' -- runuser -u administrator -- tenantctl list) && fail 'a wrong password sufficed'
    assert_match "$out" 'not allowed'
    assert_fails pidof pkttyagent
}

test_completion_offers_verbs_and_tenants() {
    # shellcheck disable=SC2016 # expanded by the shell that completes
    local try='. /usr/share/bash-completion/completions/tenantctl
        complete_line() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9
            _clap_complete_tenantctl tenantctl "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"; echo "${COMPREPLY[@]}"; }'
    assert_eq "$(bash -c "$try; complete_line tenantctl st" | tr ' ' '\n' | sort | tr '\n' ' ')" 'start status stop '
    assert_eq "$(bash -c "$try; complete_line tenantctl status al")" alpha
    assert_eq "$(runuser -u nobody -- bash -c "$try; complete_line tenantctl logs be")" beta
    systemctl stop tenantd.service
    assert_eq "$(bash -c "$try; complete_line tenantctl status be")" beta
    assert_eq "$(systemctl is-active tenantd.service || true)" inactive "tenantd after a completion"
}

test_every_verb_has_a_manual_page() {
    local verb page
    for verb in $(tenantctl --help | sed -n '/^Verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
        page=/usr/share/man/man1/tenantctl-$verb.1.gz
        [ -e "$page" ] || grep -qs man1/tenantctl-"$verb".1 /var/lib/dpkg/info/tenantd.list || fail "no page for $verb"
    done
}
