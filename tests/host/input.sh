# Bad input: one clear sentence with object, cause and remedy, a sysexits code, and the host as it was.
# shellcheck shell=bash disable=SC2317 # called by "eventually"
# level: tenants
# hosts: nspawn

gateway='/usr/local/lib/standin/bin/standin-gateway --port 18789'
create() { tenantctl create "$@" --runtime generic --port 18789 --command "$gateway"; }
# What a refused command must not change.
snapshot() {
    find /etc/userdb /etc/tenantd /etc/systemd /var/lib/tenants /var/lib/tenantd -path '*/state.db*' -prune -o -print | sort
    sqlite3 /var/lib/tenantd/state.db 'SELECT tenant, idx FROM allocation; SELECT kind FROM operation'
    systemctl list-units --plain --no-legend 'tenant@*' 'tenant-net@*' | awk '{print $1, $3, $4}'
    ip -o link | awk -F': ' '{print $2}'
}
# The links of tenants that an earlier test stopped are deleted a moment later, in groups.
swept() {
    [ "$(ip -o link | grep -c ': tb[0-9]*:')" = "$(systemctl list-units --state=active --plain --no-legend 'tenant-net@*' | wc -l)" ]
}
# refused CODE REGEX CMD…: exits with CODE, says REGEX on one line of standard error, changes nothing.
refused() {
    local code=$1 regex=$2 before
    shift 2
    eventually 10 swept
    before=$(snapshot)
    assert_status "$code" "$@"
    assert_match "$OUTPUT" "$regex"
    assert_eq "$(diff <(echo "$before") <(snapshot))" '' "what changed on the host by: $*"
}

test_names_out_of_form_reserved_too_long_or_taken_are_refused() {
    refused 65 'not of the form' create Acme
    refused 65 'not of the form' create a--b
    refused 65 'not of the form' create ../x
    refused 65 'reserved' create root
    refused 65 'at most 24' create abcdefghijklmnopqrstuvwxy
    refused 73 'tenant alpha exists already' create alpha
}

test_a_name_of_a_foreign_account_is_refused() {
    useradd --system --no-create-home t-foreign
    later userdel t-foreign
    refused 73 't-foreign' create foreign
}

test_limits_out_of_range_or_in_the_wrong_unit_are_refused() {
    refused 65 'not a size' create omega --memory-max=-1
    refused 65 'not a size' create omega --memory-max 1GB
    refused 65 'at least 16M' create omega --memory-max 1K
    refused 65 'out of range' create omega --cpu-weight 0
    refused 65 'not a CPU quota' create omega --cpu-quota 50
    refused 65 'more than this host has' create omega --memory-max 1000T
}

test_specs_with_unknown_keys_or_wrong_types_are_refused_with_their_place() {
    printf 'id = "omega"\nruntime = "generic"\ncommand = ["/bin/true"]\nmemory = 3\n' >/tmp/omega.toml
    refused 65 'omega.toml.*line 4' tenantctl apply -f /tmp/omega.toml
    printf 'id = "omega"\nruntime = "generic"\nport = "x"\n' >/tmp/omega.toml
    refused 65 'omega.toml.*line 3' tenantctl apply -f /tmp/omega.toml
}

test_two_files_for_one_tenant_are_refused() {
    mkdir -p /tmp/two
    later rm -r /tmp/two
    printf 'id = "omega"\nruntime = "generic"\ncommand = ["/bin/true"]\n' | tee /tmp/two/a.toml >/tmp/two/b.toml
    refused 65 '(a|b).toml.*omega' tenantctl apply -f /tmp/two
}

test_pools_that_meet_somebody_else_are_refused() {
    cp /etc/tenantd/tenantd.toml /tmp/settings
    later cp /tmp/settings /etc/tenantd/tenantd.toml
    ip link add foreign0 type bridge
    later ip link del foreign0
    ip addr add 10.99.0.1/24 dev foreign0
    ip link set foreign0 up
    printf '[pools]\naddresses = ["10.99.0.0/16"]\n' | cat - /tmp/settings >/etc/tenantd/tenantd.toml
    refused 78 '10.99.0.0' create omega
    cp /etc/subuid /tmp/subuid 2>/dev/null || : >/tmp/subuid
    later cp /tmp/subuid /etc/subuid
    echo 'somebody:510000:65536' >>/etc/subuid
    cp /tmp/settings /etc/tenantd/tenantd.toml
    refused 78 'subuid' create omega
}

test_an_exhausted_pool_is_refused() {
    cp /etc/tenantd/tenantd.toml /tmp/settings
    later cp /tmp/settings /etc/tenantd/tenantd.toml
    # A pool of as many uids as there are tenants: alpha and beta were given the first ones.
    assert_eq "$(sqlite3 /var/lib/tenantd/state.db 'SELECT max(idx) FROM allocation')" 1
    printf '[pools]\nuids = "500000-500001"\n' | cat - /tmp/settings >/etc/tenantd/tenantd.toml
    refused 73 'no uid is left' create omega
}

test_a_runtime_that_is_not_there_is_refused() {
    refused 66 'no runtime named.*generic, openclaw' tenantctl create omega --runtime nosuch
    refused 66 'tenantctl runtime install openclaw' tenantctl create omega --runtime openclaw
    refused 65 'nothing to install' tenantctl runtime install generic
    refused 65 'version' tenantctl runtime install openclaw --version ../../etc
}

test_a_data_directory_that_exists_or_is_a_link_is_refused() {
    mkdir /var/lib/tenants/omega
    later rm -rf /var/lib/tenants/omega
    refused 73 '/var/lib/tenants/omega' create omega
    rmdir /var/lib/tenants/omega
    ln -s /etc /var/lib/tenants/omega
    refused 73 '/var/lib/tenants/omega' create omega
}

test_one_of_two_creations_at_once_wins_and_the_other_is_told() {
    create omega >/tmp/one 2>&1 &
    local first=$! ok=0
    if create omega >/tmp/two 2>&1; then ok=$((ok + 1)); fi
    if wait "$first"; then ok=$((ok + 1)); fi
    later tenantctl delete omega --yes
    assert_eq "$ok" 1
    assert_match "$(cat /tmp/one /tmp/two)" 'under way|exists already'
    assert_eq "$(systemctl is-active tenant@omega)" active
}

test_creating_a_tenant_while_it_is_deleted_is_refused_or_comes_after() {
    create omega
    # It may be told that the creation, which is about to be refused, is under way: then it is asked again.
    deleted() { until tenantctl delete omega --yes; do [ $? -eq 75 ] || return 1; sleep 0.05; done; }
    deleted &
    local deletion=$! status=0
    create omega >/tmp/out 2>&1 || status=$?
    wait "$deletion"
    case $status in
        0) tenantctl delete omega --yes ;;
        73 | 75) ;;
        *) fail "status $status: $(cat /tmp/out)" ;;
    esac
    assert_fails test -e /var/lib/tenants/omega
    assert_fails getent passwd t-omega
}

test_a_host_without_nft_is_refused() {
    mv /usr/sbin/nft /usr/sbin/nft.away
    later sh -c '[ ! -e /usr/sbin/nft.away ] || mv /usr/sbin/nft.away /usr/sbin/nft'
    refused 71 'nft' create omega
    # The remedy counts at once, without a restart of the daemon.
    mv /usr/sbin/nft.away /usr/sbin/nft
    assert_ok create omega --no-start
    assert_ok tenantctl delete omega --yes
}

test_a_missing_controller_is_refused_by_name_unless_the_spec_accepts_it() {
    cp /etc/tenantd/tenantd.toml /tmp/settings
    later cp /tmp/settings /etc/tenantd/tenantd.toml
    : >/etc/tenantd/tenantd.toml
    grep -qw memory /sys/fs/cgroup/cgroup.controllers && skip 'this host has the memory controller'
    refused 71 'cgroup-memory.*accept_missing' create omega --memory-max 1G
}

test_a_full_disk_leaves_everything_as_it_was() {
    # A small file system under the compiled files fills up at whatever write comes then.
    mount -t tmpfs -o size=8k,mode=0700 full /var/lib/tenantd/compiled
    later umount /var/lib/tenantd/compiled
    refused 74 'No space left' create omega
}

test_unknown_tenants_have_a_sentence_for_every_verb() {
    local verb
    for verb in status start stop restart enable disable repair explain; do
        refused 66 'no tenant nosuch' tenantctl "$verb" nosuch
    done
    refused 66 'no tenant nosuch' tenantctl delete nosuch --yes
}

test_an_ordinary_user_may_neither_create_nor_delete() {
    refused 77 'not allowed' setpriv --reuid=nobody --regid=nogroup --clear-groups tenantctl delete alpha --yes
    refused 77 'not allowed' setpriv --reuid=nobody --regid=nogroup --clear-groups tenantctl create omega --runtime generic --port 18789 --command "$gateway"
}

test_a_stopped_daemon_is_named_with_its_remedy() {
    systemctl stop tenantd
    systemctl mask --runtime tenantd
    later sh -c 'systemctl unmask --runtime tenantd; systemctl start tenantd'
    assert_status 69 tenantctl list
    assert_match "$OUTPUT" 'systemctl start tenantd'
}
