# What the tests of backups share.
# shellcheck shell=bash
# shellcheck disable=SC2034 # used by the tests

BACKUPS=/srv/backups
VAULT=/var/lib/tenantd/vault
HOST_KEY=/var/lib/systemd/credential.secret

before_file() {
    mkdir -p /run/systemd/system/tenantd.service.d
    printf '[Unit]\nStartLimitIntervalSec=0\n' >/run/systemd/system/tenantd.service.d/often.conf
    systemctl daemon-reload
    install -d -m 0700 "$BACKUPS"
    # Not one of those that were there when the host was made: an overlay cannot rename what lies in its lower layer.
    tenantctl create delta --runtime generic --port 18789 --command '/usr/local/lib/standin/bin/standin-gateway --port 18789'
}
after_file() {
    tenantctl delete delta --destroy --yes
    rm -r /run/systemd/system/tenantd.service.d
    systemctl daemon-reload
}

in_delta() { in_cell delta sh -c "$1"; }
# The newest backup of a tenant, made now.
backed_up() { # TENANT [OPTION…]
    tenantctl backup "$1" --to "$BACKUPS" --json "${@:2}" | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["file"])'
    # Two of one second would have one name.
    sleep 1
}
field() { # DOCUMENT EXPRESSION
    printf '%s' "$1" | python3 -c "import json,sys; d=json.load(sys.stdin); print($2)"
}
freezer() { # TENANT: frozen or running, as the kernel says
    if grep -q '^frozen 1$' "/sys/fs/cgroup/tenants.slice/tenants-$1.slice/cgroup.events"; then echo frozen; else echo running; fi
}
delete() { tenantctl delete "$1" --yes; }
unit() { systemctl show -P "$2" "tenant@$1.service"; }
secret_of() { # TENANT NAME: as its gateway has it
    cat "/proc/$(unit "$1" MainPID)/root/run/tenantd/secrets/$2"
}
nothing_beside() { assert_eq "$(find /var/lib/tenants -mindepth 1 -maxdepth 1 -name '.*')" ""; }
