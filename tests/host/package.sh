# Installing, upgrading, removing and purging the package, with tenants running.
# shellcheck shell=bash
# level: tenants
# host: own

# The package under test lies where the administrator put it.
deb() { ls /root/tenantd_*_amd64.deb; }

# What this kind of host needs in the settings, for when a purge has taken them away.
before_file() { cp /etc/tenantd/tenantd.toml /root/tenantd.toml.first; }

# newer: print the path of the same package with a higher version.
newer() {
    local version tree=/root/newer
    version=$(dpkg-query -W -f='${Version}' tenantd)+1
    rm -rf "$tree" && dpkg-deb -R "$(deb)" "$tree"
    sed -i "s/^Version: .*/Version: $version/" "$tree/DEBIAN/control"
    dpkg-deb -Zgzip -z1 --root-owner-group -b "$tree" /root/newer.deb >&2
    echo /root/newer.deb
}

# apt VERB…: as an administrator types it, but with nobody there to answer a question.
apt() { env -u DEBIAN_FRONTEND apt-get -y --allow-downgrades "$@" </dev/null; }

# bring_up: the package is installed and both tenants run, whatever the test before left.
bring_up() {
    if [ "$(dpkg-query -W -f='${db:Status-Status}' tenantd 2>/dev/null)" != installed ]; then
        mkdir -p /etc/tenantd
        cp -n /root/tenantd.toml.first /etc/tenantd/tenantd.toml
        apt install "$(deb)"
    fi
    local tenant
    for tenant in alpha beta; do
        [ -e "/etc/tenantd/tenants.d/$tenant.toml" ] ||
            tenantctl create "$tenant" --runtime generic --port 18789 --command '/usr/local/lib/standin/bin/standin-gateway --port 18789'
        systemctl start "tenant@$tenant.service"
    done
}

pid_of() { systemctl show -P MainPID "$1"; }

# left_of_tenants: what tenants hold in the kernel, one thing a line.
left_of_tenants() {
    ip -o link | grep -oE ' (tb|tv)[0-9]+' || true
    ip netns list | grep '^t-' || true
    nft list tables | grep ' tenantd$' || true
    ps -eo user:32=,args= | sed -n '/^t-/p'
    systemctl list-units --no-legend --state=active,activating,deactivating,failed 'tenant*'
}

test_the_installation_enabled_and_started_what_guards_and_starts_tenants() {
    local unit
    for unit in tenantd.service tenantd-fence.service tenantd-fence-watch.service tenantd-selftest.timer tenantd-credentials.socket tenants.target; do
        assert_eq "$(systemctl is-enabled "$unit")" enabled "$unit"
        assert_eq "$(systemctl is-active "$unit")" active "$unit"
    done
    assert_eq "$(systemctl list-units --failed --no-legend 'tenant*')" ""
    assert_eq "$(stat -c '%U %a' /var/lib/tenantd)" "root 700"
    assert_eq "$(stat -c '%U %a' /var/lib/tenants)" "root 711"
}

test_every_file_of_the_package_is_where_dpkg_says_and_belongs_to_root() {
    assert_eq "$(dpkg --verify tenantd)" ""
    local path
    dpkg -L tenantd | while read -r path; do
        # polkitd's own directory is its user's; what we put there is root's.
        [ "$path" != /usr/share/polkit-1/rules.d ] || continue
        assert_match "$(stat -c '%U:%G %A' "$path")" '^root:root (l|.{5}-..-.)' "$path"
    done
    assert_eq "$(dpkg -L tenantd | xargs -d '\n' -I{} find {} -maxdepth 0 -perm /6000)" "" "setuid or setgid files"
}

test_every_program_of_the_package_finds_its_libraries() {
    local program
    for program in /usr/bin/tenantctl /usr/lib/tenantd/tenant*; do
        assert_no_match "$(ldd "$program")" 'not found' "$program"
    done
}

test_an_upgrade_leaves_running_tenants_running() {
    bring_up
    local alpha beta daemon
    alpha=$(pid_of tenant@alpha) beta=$(pid_of tenant@beta) daemon=$(pid_of tenantd)
    assert_no_match "$alpha $beta" '\b0\b' "running before the upgrade"
    echo '# a line of the administrator' >>/etc/tenantd/tenantd.toml
    cp /etc/tenantd/tenantd.toml /root/tenantd.toml.before
    assert_ok apt install "$(newer)"
    assert_eq "$(pid_of tenant@alpha)" "$alpha" "alpha's process"
    assert_eq "$(pid_of tenant@beta)" "$beta" "beta's process"
    [ "$(pid_of tenantd)" != "$daemon" ] || fail "the daemon is still the old one"
    assert_eq "$(systemctl is-active tenantd tenantd-fence tenantd-fence-watch)" $'active\nactive\nactive'
    assert_ok cmp /etc/tenantd/tenantd.toml /root/tenantd.toml.before
    assert_ok tenantctl status alpha
    assert_match "$(nft list set inet tenantd peers)" '"tb[0-9]+" \. 10\.'
}

# inside TOKEN: asks alpha's gateway through the edge, and prints the status.
inside() {
    curl -sk --max-time 30 --resolve alpha.agents.test:443:127.0.0.1 -o /dev/null -w '%{http_code}\n' \
        -H "Authorization: Bearer $1" https://alpha.agents.test/echo
}

is_let_in() { [ "$(inside "$1")" = 200 ]; }

test_an_upgrade_with_the_edge_open_refuses_nobody() {
    bring_up
    local token edge asking
    assert_ok tenantctl edge enable --domain agents.test
    later tenantctl edge disable
    token=$(tenantctl token issue alpha --role owner 2>/dev/null)
    eventually 10 is_let_in "$token"
    edge=$(pid_of tenantd-edge)
    # A connection and a request each time, of the hundred a second that one address may have.
    while [ ! -e /run/upgraded ]; do inside "$token"; sleep 0.03; done >/run/answers &
    asking=$!
    later rm -f /run/upgraded /run/answers
    assert_ok apt install "$(newer)"
    sleep 2
    touch /run/upgraded
    wait "$asking"
    assert_eq "$(sort -u /run/answers)" 200 "answers during the upgrade"
    [ "$(wc -l </run/answers)" -gt 20 ] || fail "hardly anything was asked"
    [ "$(pid_of tenantd-edge)" != "$edge" ] || fail "the edge is still the old one"
}

test_an_upgrade_does_not_start_a_tenant_that_was_stopped() {
    bring_up
    systemctl stop tenant@beta.service
    assert_eq "$(systemctl is-enabled tenant@beta.service)" enabled
    assert_ok apt install "$(newer)"
    assert_eq "$(systemctl is-active tenant@beta.service)" inactive
    assert_eq "$(systemctl is-active tenant@alpha.service)" active
}

test_an_upgrade_does_not_enable_what_the_administrator_disabled() {
    bring_up
    systemctl disable tenantd-selftest.timer
    later systemctl enable --now tenantd-selftest.timer
    assert_ok apt install "$(newer)"
    assert_eq "$(systemctl is-enabled tenantd-selftest.timer)" disabled
}

test_a_removal_stops_every_tenant_and_keeps_data_accounts_and_specs() {
    bring_up
    in_cell alpha sh -c 'echo kept >workspace/note'
    assert_ok apt remove tenantd
    assert_eq "$(left_of_tenants)" ""
    assert_eq "$(cat /var/lib/tenants/alpha/workspace/note)" kept
    assert_match "$(getent passwd t-alpha)" '^t-alpha:'
    assert_ok test -e /etc/tenantd/tenants.d/alpha.toml
    assert_fails systemctl cat tenantd.service
    assert_fails test -e /usr/bin/tenantctl
}

test_an_installation_after_a_removal_brings_the_enabled_tenants_back() {
    bring_up
    apt remove tenantd
    assert_ok apt install "$(deb)"
    eventually 60 systemctl is-active tenant@alpha.service
    eventually 60 systemctl is-active tenant@beta.service
    assert_ok tenantctl status alpha
}

test_a_purge_asks_nothing_removes_what_tenantd_made_and_keeps_the_tenants_data() {
    bring_up
    in_cell alpha sh -c 'echo kept >workspace/note'
    assert_ok tenantctl edge enable --domain agents.test
    assert_ok apt purge tenantd
    assert_eq "$(ss -ltnH '( sport = 443 or sport = 80 )')" ""
    assert_match "$(getent passwd tenantd-edge tenantd-notify | cut -d: -f1 | xargs)" '^tenantd-edge tenantd-notify$' "users of a package stay"
    assert_match "$OUTPUT" "tenants' data stays in /var/lib/tenants"
    # Each tenant has a secret, its gateway's own.
    assert_match "$OUTPUT" "tenants' sealed secrets stay in /var/lib/tenantd/vault"
    assert_eq "$(ls -A /var/lib/tenantd)" vault
    assert_eq "$(left_of_tenants)" ""
    assert_eq "$(cat /var/lib/tenants/alpha/workspace/note)" kept
    assert_eq "$(getent passwd t-alpha t-beta)" ""
    # By name, everywhere but in what is not tenantd's: the tests, the administrator's .deb, apt's and dpkg's own records.
    assert_eq "$(find / -xdev \( -path /opt -o -path /root -o -path /tmp -o -path /var/lib/tenants -o -path /var/lib/tenantd -o -path /var/log \
        -o -path /var/lib/apt -o -path /var/cache -o -path /proc -o -path /sys \) -prune -o \
        \( -name '*tenant*' -o -name 't-alpha*' -o -name '50????.user' \) -print)" "" "left behind"
    rm -rf /var/lib/tenants /var/lib/tenantd
}

test_a_purge_removes_the_tenants_data_when_the_settings_say_so() {
    bring_up
    printf '[purge]\ntenant_data = true # decided by the administrator\n' >>/etc/tenantd/tenantd.toml
    assert_ok apt purge tenantd
    assert_fails test -e /var/lib/tenants
    assert_fails test -e /var/lib/tenantd
    assert_fails test -e /etc/tenantd
}

test_a_purge_leaves_accounts_and_units_of_others_alone() {
    bring_up
    printf '{"userName":"t-other","uid":530000,"gid":530000,"disposition":"system"}\n' >/etc/userdb/t-other.user
    ln -s t-other.user /etc/userdb/530000.user
    ip netns add t-other
    later ip netns delete t-other
    assert_ok apt purge tenantd
    assert_match "$(getent passwd t-other)" '^t-other:'
    assert_match "$(ip netns list)" 't-other'
    rm -rf /etc/userdb/t-other.user /etc/userdb/530000.user /var/lib/tenants /var/lib/tenantd
}
