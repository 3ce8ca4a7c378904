# Who is given secrets by the credential socket, and the process that opens them.
# shellcheck shell=bash
# level: tenants
# hosts: nspawn qemu
# shellcheck disable=SC2016 # expanded in the unit

secret() { tenantctl secret "$@"; }
given() { # VALUE COMMAND…: the command with the value on standard input
    printf '%s' "$1" | "${@:2}"
}
asked_as() { # UNIT: what a unit of this name is given, as text
    systemd-run --quiet --wait --pipe --collect --unit="$1" -p LoadCredential=secrets:/run/tenantd/credentials.sock \
        sh -c 'cat "$CREDENTIALS_DIRECTORY/secrets"' | tr -d '\000'
}
given_to_proxy_of() { # TENANT: what its egress proxy is given when it starts, as text
    systemctl restart "tenant-egress@$1.service" && tr -d '\000' <"/run/credentials/tenant-egress@$1.service/secrets"
}
with_proxy() { # TENANT: it has an egress proxy, until the test is over
    local spec=/etc/tenantd/tenants.d/$1.toml
    cp "$spec" "/root/$1.toml"
    later tenantctl apply -f "/root/$1.toml"
    printf '\n[egress]\nprofile = "team"\n' | cat "/root/$1.toml" - >"/root/$1.new"
    assert_ok tenantctl apply -f "/root/$1.new"
}

test_an_egress_proxy_is_given_the_secrets_of_the_proxy_and_no_gateways() {
    local answer
    later tenantctl secret remove alpha provider
    later tenantctl secret remove alpha tls-key
    later tenantctl secret remove beta provider
    assert_ok given 'for the proxy of alpha' secret set alpha provider
    assert_ok given 'for the proxy of beta' secret set beta provider
    assert_ok given 'the key of alpha' secret set alpha tls-key --for file
    with_proxy alpha
    with_proxy beta
    answer=$(given_to_proxy_of alpha)
    assert_match "$answer" '^tnd-cred.*providerfor the proxy of alpha$'
    assert_no_match "$answer" 'the key of alpha|gateway|beta'
    assert_match "$(given_to_proxy_of beta)" 'providerfor the proxy of beta$'
    # A unit of another name is given nothing, and the journal says who asked.
    assert_eq "$(asked_as other@alpha.service)" ""
    assert_match "$(journalctl -u tenantd-credentials -n 3 -o cat)" 'refused: ".*/unit/other@alpha.service/secrets" is no gateway and no egress proxy'
    # The gateway has the others: its own among them, and none of the proxy's.
    assert_ok tenantctl restart alpha
    answer=$(tr -d '\000' </run/credentials/tenant@alpha.service/secrets)
    assert_match "$answer" 'tls-keythe key of alpha'
    assert_match "$answer" 'gateway[0-9a-f]{32}'
    assert_no_match "$answer" 'for the proxy'
}

test_what_opens_secrets_is_neither_swapped_out_nor_looked_into() {
    local pid look=(setpriv --inh-caps=-all "--bounding-set=-all,+dac_override") control
    assert_ok systemctl restart tenant@alpha
    pid=$(systemctl show -P MainPID tenantd-credentials)
    [ "$(awk '/^VmLck:/ {print $2}' "/proc/$pid/status")" -gt 0 ] || fail "nothing of process $pid is locked"
    assert_no_match "$(journalctl -u tenantd-credentials -b -o cat)" 'cannot lock'
    # Not dumpable: root without CAP_SYS_PTRACE does not see it, and sees another process of root's.
    "${look[@]}" sleep 60 &
    control=$!
    later kill "$control"
    eventually 10 grep -q sleep "/proc/$control/cmdline"
    assert_ok "${look[@]}" cat "/proc/$control/environ"
    assert_fails "${look[@]}" cat "/proc/$pid/environ"
    assert_match "$OUTPUT" 'Permission denied|Operation not permitted'
}

test_a_changed_secret_reaches_a_gateway_that_runs_when_that_is_asked_for() {
    local pid
    delivered() { cat "/proc/$(systemctl show -P MainPID tenant@alpha)/root/run/tenantd/secrets/$1"; }
    printf one | tenantctl secret set alpha token --for file
    later tenantctl secret remove alpha token
    # shellcheck disable=SC2317 # called by name
    rotate() { printf '%s' "$1" | tenantctl secret rotate alpha token "${@:2}"; }
    pid=$(systemctl show -P MainPID tenant@alpha)
    assert_ok rotate two
    assert_match "$OUTPUT" 'when it starts the next time'
    assert_eq "$(systemctl show -P MainPID tenant@alpha)" "$pid"
    assert_ok rotate three --restart
    assert_match "$OUTPUT" 'Restarting the gateway of tenant alpha'
    assert_eq "$(delivered token)" three
    # One that is stopped is not started by it.
    tenantctl stop alpha
    later tenantctl start alpha
    assert_ok rotate four --restart
    assert_match "$OUTPUT" 'does not run'
    assert_eq "$(systemctl is-active tenant@alpha || true)" inactive
}
