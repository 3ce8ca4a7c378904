#!/bin/bash
# Runs in a host with a daemon that dies before step N: every_step.sh create|change|delete|backup|restore|clone.
# For N = 1, 2, … until the verb succeeds without a death: kill, restart, and look at what is left.
set -Eeuo pipefail
verb=$1
gateway='/usr/local/lib/standin/bin/standin-gateway --port 18789'

mkdir -p /run/systemd/system/tenantd.service.d
printf '[Service]\nExecStart=\nExecStart=/opt/mortal/tenantd\nRestart=no\nPassEnvironment=TENANTD_DIE_AT\n' \
    >/run/systemd/system/tenantd.service.d/mortal.conf
systemctl daemon-reload

daemon() { # [N]: a daemon that dies before its N-th step, or none
    systemctl stop tenantd 2>/dev/null || true
    systemctl reset-failed tenantd 2>/dev/null || true
    if [ $# -gt 0 ]; then systemctl set-environment "TENANTD_DIE_AT=$1"; else systemctl unset-environment TENANTD_DIE_AT; fi
    systemctl start tenantd
}
traces() { # whatever carries the tenant's name
    getent passwd t-omega || true
    find /etc/userdb /etc/tenantd /etc/systemd /var/lib/tenants /var/lib/tenantd/compiled /var/lib/tenantd/vault /run/netns /run/tenantd -name '*omega*' 2>/dev/null || true
    # systemd 252 keeps a stopped unit in memory for as long as it likes: that is nothing left behind.
    systemctl list-units --all --plain --no-legend '*omega*' | grep -v ' inactive dead ' || true
    ip -o link | grep -w omega || true
    sqlite3 /var/lib/tenantd/state.db "SELECT 'allocation of ' || tenant FROM allocation WHERE tenant = 'omega' UNION ALL SELECT 'operation ' || kind FROM operation"
}
nothing_left() { [ -z "$(traces)" ]; }
wait_for() { for _ in $(seq 100); do "$@" && return 0; sleep 0.1; done; return 1; }
create() { tenantctl create omega --runtime generic --port 18789 --command "$gateway"; }
others_untouched() {
    [ "$(systemctl show -P MainPID tenant@alpha tenant@beta | tr '\n' ' ')" = "$others" ] ||
        { echo "step $n: another tenant was touched"; exit 1; }
}
there() { tenantctl list --json | grep -q '"omega"' || create >/dev/null; }
note() { tenantctl exec omega -- sh -c "echo $1 >workspace/note"; }
backed_up() { rm -rf /srv/omega; mkdir -p /srv/omega; tenantctl backup omega --to /srv/omega >/dev/null; echo /srv/omega/*.backup; }
sound() { # TENANT: it runs, nothing is under way, and nothing lies beside it
    [ "$(systemctl is-active "tenant@$1")" = active ] && grep -q "^frozen 0" "/sys/fs/cgroup/tenants.slice/tenants-$1.slice/cgroup.events" &&
        tenantctl status "$1" --json | python3 -c 'import json,sys; s=json.load(sys.stdin); sys.exit(bool(s["drift"] or s["open_operation"]))' &&
        [ -z "$(find /var/lib/tenants -mindepth 1 -maxdepth 1 -name '.*')" ]
}
others=$(systemctl show -P MainPID tenant@alpha tenant@beta | tr '\n' ' ')

deaths=0
for n in $(seq 200); do
    case $verb in
        create) daemon "$n"; action=create ;;
        change)
            daemon
            tenantctl list --json | grep -q '"omega"' || create >/dev/null
            daemon "$n"
            weight=$((n % 90 + 10)) # and a variable, which restarts it
            action="tenantctl set omega limits.cpu_weight=$weight limits.tasks_max=$((200 + n)) env.ROUND=$n" ;;
        delete)
            daemon
            tenantctl list --json | grep -q '"omega"' || create >/dev/null
            daemon "$n"; action='tenantctl delete omega --yes' ;;
        backup)
            daemon; there
            rm -rf /srv/omega; mkdir -p /srv/omega
            daemon "$n"; action="tenantctl backup omega --to /srv/omega --stop --no-verify" ;;
        restore)
            daemon; there; note "then"; file=$(backed_up); note now
            daemon "$n"; action="tenantctl restore $file --yes" ;;
        clone)
            daemon
            [ -n "${file:-}" ] || { there; note "then"; file=$(backed_up); tenantctl delete omega --yes >/dev/null; }
            daemon "$n"; action="tenantctl restore $file" ;;
    esac
    if $action >/tmp/out 2>&1; then break; fi
    wait_for sh -c '! systemctl is-active --quiet tenantd' || { echo "step $n: $verb failed without a death:"; cat /tmp/out; exit 1; }
    deaths=$((deaths + 1))
    daemon
    wait_for sh -c 'tenantctl list >/dev/null 2>&1' || { echo "step $n: tenantd does not come back"; journalctl -u tenantd -n 20; exit 1; }
    case $verb in
        backup) wait_for sound omega || { echo "step $n: the tenant does not go on"; tenantctl status omega; exit 1; } ;;
        restore)
            wait_for sound omega || { echo "step $n: the tenant is not whole"; tenantctl status omega; exit 1; }
            case $(cat /var/lib/tenants/omega/workspace/note) in
                now) before=yes ;;
                then) after=yes ;;
                *) echo "step $n: the data is neither the old nor the restored"; exit 1 ;;
            esac ;;
        create|delete|clone)
            wait_for nothing_left || { echo "step $n: after a killed $verb this is left:"; traces; journalctl -u tenantd -n 20; exit 1; } ;;
        change)
            [ "$(systemctl show -P CPUWeight tenants-omega.slice)" = "$weight" ] || { echo "step $n: the change was not finished"; exit 1; }
            [ "$(systemctl is-active tenant@omega)" = active ] || { echo "step $n: the tenant does not run"; exit 1; }
            tenantctl status omega --json | python3 -c 'import json,sys; s=json.load(sys.stdin); assert not s["drift"], s["drift"]; assert not s["open_operation"]' ;;
    esac
    others_untouched
done
[ "$verb" != restore ] || [ "${before:-no}${after:-no}" = yesyes ] || { echo "no death on both sides of the exchange"; exit 1; }
[ "$deaths" -ge 3 ] || { echo "only $deaths deaths: the daemon did not die at its steps"; cat /tmp/out; exit 1; }
echo "$verb: $deaths deaths, each followed by recovery" >&2
