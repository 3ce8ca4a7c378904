# What programs of a cell believe that are started without its variables: the host's authorities, and that of the tenant's own proxy.
# shellcheck shell=bash
# level: tenants
# hosts: nspawn

OWN=/var/lib/tenantd/compiled/gamma/egress-authority.pem
NEW=/usr/local/share/ca-certificates/of-this-test.crt

before_file() {
    tenantctl create gamma --runtime generic --port 18789 --command '/usr/local/lib/standin/bin/standin-gateway --port 18789' --profile customers
}
after_file() { tenantctl delete gamma --yes; }

# believes TENANT FILE [OPTION…]: whether a program without variables believes this authority, by the file that OpenSSL begins with.
believes() {
    local place=/var/lib/tenants/$1/workspace/authority.pem status=0
    install -m 0644 "$2" "$place"
    in_cell "$1" env -i /usr/bin/openssl verify "${3:--no-CApath}" "$place" || status=$?
    rm -f "$place"
    return "$status"
}

test_a_program_without_variables_believes_the_proxy_of_its_tenant() {
    assert_ok believes gamma "$OWN"
    assert_match "$OUTPUT" 'authority.pem: OK'
    # Not another tenant's, and nobody's on the host.
    assert_fails believes alpha "$OWN"
    assert_fails openssl verify "$OWN"
}

test_a_program_without_variables_believes_what_the_host_believes() {
    local tenant
    sed -n '1,/END CERTIFICATE/p' /etc/ssl/certs/ca-certificates.crt >/run/of-the-host.pem
    later rm -f /run/of-the-host.pem
    for tenant in gamma alpha; do
        assert_ok believes "$tenant" /run/of-the-host.pem
        # By the directory, too.
        assert_ok believes "$tenant" /run/of-the-host.pem -no-CAfile
        assert_eq "$(in_cell "$tenant" ls /etc/ssl/certs | LC_ALL=C sort)" "$(find /etc/ssl/certs -mindepth 1 -maxdepth 1 -printf '%f\n' | LC_ALL=C sort)"
    done
}

test_no_program_of_the_cell_changes_what_is_believed() {
    local tenant
    for tenant in gamma alpha; do
        assert_fails in_cell "$tenant" sh -c 'echo x >/etc/ssl/certs/new'
        assert_fails in_cell "$tenant" sh -c 'echo x >>/etc/ssl/certs/ca-certificates.crt'
        assert_fails in_cell "$tenant" rm -f /etc/ssl/certs/ca-certificates.crt
    done
    # Positive control.
    assert_ok in_cell gamma sh -c 'echo x >/var/lib/tenants/gamma/workspace/new && rm /var/lib/tenants/gamma/workspace/new'
}

test_a_gateway_that_starts_anew_believes_what_the_host_believes_by_then() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=of this test' -keyout /run/of-this-test.key -out "$NEW" 2>/dev/null
    later rm -f /run/of-this-test.key
    later update-ca-certificates
    later rm -f "$NEW"
    assert_fails believes gamma "$NEW"
    assert_ok update-ca-certificates
    # A command has a cell of its own, made now.
    assert_ok believes gamma "$NEW"
    assert_ok tenantctl restart gamma
    # A link would lead out of the cell here.
    assert_ok grep -qF "$(sed -n 3p "$NEW")" "/proc/$(systemctl show -P MainPID tenant@gamma)/root/run/tenantd/secrets/.authorities.pem"
}

test_a_tenant_of_an_older_version_starts_and_believes_the_same() {
    local cell=/var/lib/tenantd/compiled/gamma/etc/ssl
    assert_ok test -d "$cell/host"
    # What an older version did not make.
    rmdir "$cell/host" || fail "$cell/host holds something"
    assert_ok tenantctl restart gamma
    assert_ok believes gamma "$OWN"
    assert_ok test -d "$cell/host"
}
