# The escape list, row by row: tenant alpha tries each act of escape.rows against tenant beta and the host, and is
# blocked; the same act succeeds where nothing holds it. The rows are data, so that SECURITY.md can be checked against them.
# level: tenants
# shellcheck shell=bash

E=/var/lib/escape
HERE=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=tests/host/escape.bash
. "$HERE/escape.bash"

# hold LINK KIND ARGS…: keep a target for the positive controls; LINK is a network namespace, or "host".
hold() {
    local where=$1 log=$E/held.$RANDOM$RANDOM
    shift
    if [ "$where" = host ]; then
        setsid "$PROBE" hold "$@" >"$log" 2>&1 </dev/null &
    else
        setsid ip netns exec "$where" "$PROBE" hold "$@" >"$log" 2>&1 </dev/null &
    fi
    echo $! >>"$E/pids"
    for _ in $(seq 200); do
        grep -q ready "$log" && return
        kill -0 $! 2>/dev/null || break
        sleep 0.05
    done
    echo "not held: $*: $(cat "$log")"
    return 1
}

address_of() { ip netns exec "$1" ip -4 -o address show eth0 | awk '{ sub(/\/.*/, "", $4); print $4 }'; }

# The other usable address of a /30.
partner_of() {
    local last=${1##*.}
    echo "${1%.*}.$((last % 4 == 1 ? last + 1 : last - 1))"
}

names() {
    local alpha beta
    alpha=$(address_of t-alpha)
    beta=$(address_of t-beta)
    cat <<NAMES
alpha=$alpha
beta=$beta
alpha-gateway=$(partner_of "$alpha")
beta-gateway=$(partner_of "$beta")
beta-pid=$(systemctl show -P MainPID tenant@beta.service)
beta-uid=$(id -u t-beta)
beta-data=/var/lib/tenants/beta
beta-secret=/var/lib/tenants/beta/state/escape-secret
beta-compiled=/var/lib/tenantd/compiled/beta
alpha-cell=/run/tenantd/cell
alpha-compiled=/var/lib/tenantd/compiled/alpha
machine-id=$(cat /etc/machine-id)
hostname=$(uname -n)
setuid-copy=$PLACE/escape-setuid
caps-copy=$PLACE/escape-caps
place=$PLACE
copy=$E/copy/file
copy-parent=$E/copy
CELL:own=/var/lib/tenants/alpha/workspace
CELL:own-file=/var/lib/tenants/alpha/workspace/escape-own
HOST:own=$E/own
HOST:own-file=$E/own/file
NAMES
}

# A network of the test's own: the host has 10.255.77.1, the namespace "escape" 10.255.77.2.
scratch_network() {
    ip netns add escape
    ip link add escape0 type veth peer name eth0 netns escape
    ip address add 10.255.77.1/30 dev escape0
    ip address add 169.254.169.254/32 dev escape0
    ip -6 address add fd00:ec2::254/128 dev escape0 nodad || true
    # Without waiting for duplicates, the IPv6 addresses of the control are there at once.
    ip netns exec escape sh -c 'echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad' || true
    echo 0 >/proc/sys/net/ipv6/conf/escape0/accept_dad || true
    ip link set escape0 up
    ip -n escape address add 10.255.77.2/30 dev eth0
    ip -n escape link set eth0 up
    ip -n escape link set lo up
}

targets() {
    hold host tcp '[::]' 7777 || hold host tcp 0.0.0.0 7777
    hold host tcp 169.254.169.254 80
    hold host tcp '[fd00:ec2::254]' 80 || true
    hold host udp '[::]' 7777 || hold host udp 0.0.0.0 7777
    hold host udp 0.0.0.0 53 || true
    hold host abstract escape-held
    hold host sysv-shm 77701
    hold host sysv-msg 77702
    hold host sysv-sem 77703
    hold host posix-queue escape-held
    hold host file /tmp/escape-held
    hold host file /var/tmp/escape-held
    hold host file /dev/shm/escape-held
    hold t-beta abstract escape-beta
    hold t-beta udp 0.0.0.0 7777
}

before_file() {
    after_file
    assert_ok systemctl is-active tenant@alpha.service tenant@beta.service
    attack_program
    mkdir -p "$E/own" "$E/copy"
    chmod 0777 "$E/own"
    scratch_network
    targets
    names >"$E/names"
    printf 't-beta:x:599999:599999::/:/usr/sbin/nologin\n' >"$E/passwd"
    echo own >"$E/own/file"
    echo copy >"$E/copy/file"
    install -m 0600 -o t-beta -g t-beta /dev/null /var/lib/tenants/beta/state/escape-secret
    echo "secret of beta" >/var/lib/tenants/beta/state/escape-secret
    install -m 0600 -o t-alpha -g t-alpha /dev/null /var/lib/tenants/alpha/workspace/escape-own
    install -m 4755 "$PROBE" "$PLACE/escape-setuid"
    install -m 0755 "$PROBE" "$PLACE/escape-caps"
    # Version 2 with the effective bit: CAP_NET_RAW permitted.
    python3 -c 'import os, struct
os.setxattr("'"$PLACE"'/escape-caps", "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))'
    mkdir -p /etc/cron.d /var/spool/cron/crontabs /var/spool/cron/atjobs /var/lib/systemd/linger /etc/profile.d \
        /etc/systemd/user /run/systemd/system /etc/udev/rules.d /etc/tmpfiles.d /srv /home
    touch /srv/escape-here /home/escape-here /root/escape-here /var/lib/systemd/linger/escape-here
}

after_file() {
    local pid
    if [ -f "$E/pids" ]; then
        while read -r pid; do
            [[ $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) != *escape-probe* ]] || kill "$pid"
        done <"$E/pids"
    fi
    ip link delete escape0 2>/dev/null || true
    ip netns delete escape 2>/dev/null || true
    rm -rf "$E" "$PLACE" /srv/escape-here /home/escape-here \
        /root/escape-here /var/lib/systemd/linger/escape-here /var/lib/tenants/beta/state/escape-secret \
        /var/lib/tenants/alpha/workspace/escape-own
}

rows() { python3 "$HERE/escape_rows.py" "$1" "$E/names"; }

test_a_tenant_cannot_read_or_change_another_tenants_data() { rows data; }
test_a_tenant_cannot_reach_foreign_files_by_a_link() { rows links; }
test_a_tenant_cannot_see_another_tenants_processes() { rows processes; }
test_a_tenant_cannot_act_on_another_tenants_processes() { rows tracing; }
# Only a pid namespace hides that: systemd 257 has PrivatePIDs=, and a unit must set it.
# needs: systemd>=257
test_a_tenant_cannot_learn_that_a_foreign_process_exists() {
    [ "$(systemctl show -P PrivatePIDs tenant@alpha.service)" = yes ] || skip "tenant@.service sets no PrivatePIDs="
    rows existence
}
test_a_tenant_cannot_reach_another_tenants_network() { rows reach; }
test_a_tenant_cannot_pose_as_another_machine() { rows spoof; }
test_a_tenant_finds_no_shared_memory_queue_or_temporary_file_of_others() { rows ipc; }
test_a_tenant_cannot_learn_who_else_is_there() { rows names; }
# Before systemd 258 no unit can be given a host name of its own.
# needs: systemd>=258
test_a_tenant_cannot_learn_the_hosts_name() { rows hostname; }
test_a_tenant_cannot_reach_ports_of_the_host_or_the_metadata_address() { rows host-ports; }
test_a_tenant_cannot_reach_the_control_sockets_of_the_host() { rows host-sockets; }
test_a_tenant_cannot_rebuild_its_file_tree() { rows mounts; }
test_a_tenant_cannot_make_or_enter_a_namespace() { rows namespaces; }
test_a_tenant_cannot_change_kernel_settings_or_open_devices() { rows settings; }
test_a_tenant_cannot_use_privileged_parts_of_the_kernel() { rows kernel; }
test_a_tenant_cannot_open_sockets_other_than_tcp_udp_and_unix() { rows sockets; }
test_a_tenant_cannot_change_its_identity() { rows identity; }
test_a_tenant_cannot_gain_rights_or_run_code_by_a_program_of_its_own() { rows programs; }
test_a_tenant_cannot_raise_its_limits_or_leave_its_control_group() { rows limits; }
test_a_tenant_leaves_nothing_behind_that_would_run_later() { rows persist; }
test_a_tenant_cannot_read_or_change_the_hosts_files() { rows host-files; }
test_a_tenant_cannot_change_its_own_walls() { rows walls; }

test_every_row_belongs_to_a_test() {
    local area
    while read -r area; do
        grep -Eq "^(test_.*\{|   ) rows $area(;|\$)" "$HERE/escape.sh" || fail "no test runs the rows of $area"
    done < <(sed -n 's/^\([a-z-]*\) | .*/\1/p' "$HERE/escape.rows" | sort -u)
}
