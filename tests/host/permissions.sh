# Who may ask the daemon: root always, others as polkit says, verb by verb.
# shellcheck shell=bash
# level: tenants
# hosts: nspawn

before_file() {
    useradd --no-create-home --shell /bin/sh someone
    groupadd tenantd-operators
    useradd --no-create-home --shell /bin/sh --groups tenantd-operators helga
}

after_file() {
    userdel someone
    userdel helga
    groupdel tenantd-operators
    rm -f /etc/polkit-1/rules.d/49-tenantd.rules
}

as() { runuser -u "$1" -- "${@:2}"; }

test_a_user_without_a_rule_may_do_nothing_and_is_told_what_would_allow_it() {
    local verb
    for verb in list 'status alpha' 'stop alpha' 'repair alpha' 'delete alpha --yes' 'runtime list' 'exec alpha -- id' \
        'set alpha description=x' 'create gamma --runtime generic --port 18789 --command /bin/true'; do
        # shellcheck disable=SC2086 # words of a command line
        assert_status 77 as someone tenantctl $verb
        assert_match "$OUTPUT" 'not allowed|permission'
    done
    assert_eq "$(systemctl is-active tenant@alpha.service)" active
    assert_fails test -e /etc/tenantd/tenants.d/gamma.toml
}

test_the_example_rule_lets_its_group_look_start_and_stop_but_not_change() {
    cp /usr/share/doc/tenantd/examples/49-tenantd.rules /etc/polkit-1/rules.d/
    chmod 644 /etc/polkit-1/rules.d/49-tenantd.rules
    eventually 10 as helga tenantctl list
    assert_ok as helga tenantctl status alpha
    assert_ok as helga tenantctl restart alpha
    assert_status 77 as helga tenantctl set alpha description=x
    assert_status 77 as helga tenantctl delete alpha --yes
    assert_status 77 as helga tenantctl exec alpha -- id
    assert_status 77 as someone tenantctl list
}

test_nobody_but_root_can_own_the_daemons_name() {
    assert_fails as someone busctl --system call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus \
        RequestName su org.tenantd.Manager1 4
    assert_match "$OUTPUT" 'not allowed|Access denied|denied'
}

test_a_call_starts_a_daemon_that_was_stopped() {
    systemctl stop tenantd.service
    assert_ok tenantctl list
    assert_eq "$(systemctl is-active tenantd.service)" active
}

test_verbs_that_need_no_daemon_need_no_permission() {
    assert_status 0 as someone tenantctl check /usr/share/tenantd/tenantd.toml
    as someone tenantctl doctor || assert_eq "$?" 71 "status of doctor"
}
