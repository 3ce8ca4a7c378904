# A real OpenClaw gateway on a stock Debian kernel, which brings an older Landlock and every cgroup controller.
# shellcheck shell=bash
# level: openclaw
# hosts: qemu
# host: own

# The gateway gives a worker of its own 5 s to start, which an emulated processor does not keep.
# needs: kvm
test_the_real_gateway_is_ready_in_its_cell_and_answers_nobody_else() {
    local pid
    assert_ok tenantctl create acme --runtime openclaw
    later tenantctl delete acme --yes
    assert_eq "$(systemctl is-active tenant@acme)" active
    pid=$(systemctl show -P MainPID tenant@acme)
    assert_eq "$(stat -c %U "/proc/$pid")" t-acme
    assert_eq "$(awk '/^Cap/ {print $2}' "/proc/$pid/status" | sort -u)" 0000000000000000
    assert_eq "$(awk '/^(Seccomp|NoNewPrivs):/ {print $2}' "/proc/$pid/status")" $'1\n2'
    assert_eq "$(systemctl show -P MemoryMax tenants-acme.slice)" $((1536 << 20))
    assert_match "$(in_cell acme curl -sS http://127.0.0.1:18789/startupz)" '"ok":true'
    # Its port is nobody's on the host, and the fence lets the host's own users reach no tenant.
    assert_fails curl -sS --max-time 5 http://127.0.0.1:18789/startupz
    assert_ok tenantctl status acme --json
    assert_eq "$(python3 -c 'import json, sys; s = json.load(sys.stdin); print(s["health"], s["drift"])' <<<"$OUTPUT")" 'ready []'
}
