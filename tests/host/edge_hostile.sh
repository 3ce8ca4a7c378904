# What hostile clients and hostile tenants try at the edge.
# shellcheck shell=bash disable=SC2119,SC2317 # nothing to pass on; called by "eventually"
# level: tenants
# hosts: nspawn

# shellcheck source=tests/host/edge/edge.bash
. "${BASH_SOURCE[0]%/*}/edge/edge.bash"

# Slow clients take their time; they are waited for at the end.
before_file() {
    edge_open
    setsid bash -c "$(declare -p EDGE CERTIFICATE DOMAIN INSIDE); $(declare -f outside client_of); client_of slow.py beta '$(token beta owner)'; echo \"status \$?\"" \
        >/run/slow 2>&1 </dev/null &
}
after_file() { edge_close; }

# A key that the edge knows, and whose private half is ours: only so can a token be wrong in one thing alone.
known_key() {
    openssl genpkey -algorithm ed25519 -out /run/key.pem
    later rm -f /run/key.pem
    cp -p /var/lib/tenantd/edge/keys.json /var/lib/tenantd/edge/.keys.json
    later mv /var/lib/tenantd/edge/.keys.json /var/lib/tenantd/edge/keys.json
    python3 - <<'PY'
import base64, json, os, subprocess
file = "/var/lib/tenantd/edge/keys.json"
keys = json.load(open(file))
raw = subprocess.check_output(["openssl", "pkey", "-in", "/run/key.pem", "-pubout", "-outform", "DER"])[-32:]
keys["keys"].append({"kid": "attacker", "x": base64.urlsafe_b64encode(raw).rstrip(b"=").decode(), "retired": None})
status = os.stat(file)
with open(file + ".new", "w") as new:
    json.dump(keys, new)
os.chown(file + ".new", status.st_uid, status.st_gid)
os.chmod(file + ".new", status.st_mode & 0o777)
os.rename(file + ".new", file)
PY
    sleep 0.6
}

test_no_token_that_is_wrong_in_anything_is_taken() {
    known_key
    assert_ok client_of jwt.py alpha "$(token alpha owner)" "$(token beta owner)" /run/key.pem attacker
    assert_match "$OUTPUT" ' 0 taken'
}

test_no_request_reads_differently_at_the_gateway() {
    assert_ok client_of desync.py alpha "$(token alpha owner)"
}

test_no_frames_make_another_request() {
    assert_ok client_of frames.py alpha "$(token alpha owner)"
}

test_a_flooded_tenant_does_not_slow_another() {
    later edge_settings
    edge_settings
    sed -i 's/^requests_per_tenant.*/requests_per_tenant = 100/' /etc/tenantd/edge.toml
    tenantctl edge reload
    sleep 0.6
    assert_ok client_of flood.py alpha "$(token alpha owner --subject ann)" beta "$(token beta owner --subject bob)" 4
}

test_who_guesses_tokens_has_to_wait() {
    local i codes
    later edge_settings
    sed -i 's/^failures_per_ip.*/failures_per_ip = 20/' /etc/tenantd/edge.toml
    tenantctl edge reload
    sleep 0.6
    codes=$(for i in $(seq 40); do status alpha /echo --interface 198.51.100.3 -H "Authorization: Bearer $i"; echo; done | sort | uniq -c)
    assert_match "$codes" ' 429'
    assert_match "$codes" ' (19|20|21) 401'
}

test_heads_and_bodies_have_an_end() {
    local owner
    owner=$(token alpha owner)
    assert_eq "$(status alpha /echo -H "$(bearer "$owner")" -H "X-Large: $(head -c 20000 /dev/zero | tr '\0' x)")" 200
    assert_match "$(status alpha /echo -H "$(bearer "$owner")" -H "X-Large: $(head -c 60000 /dev/zero | tr '\0' x)")" '^(400|431)$'
    assert_match "$(status alpha "/$(head -c 60000 /dev/zero | tr '\0' x)" -H "$(bearer "$owner")")" '^(400|414|431)$'
    later edge_settings
    sed -i 's/^\[limits\]/&\nbody_bytes = 100000/' /etc/tenantd/edge.toml
    tenantctl edge reload
    sleep 0.6
    head -c 200000 /dev/zero >/run/body
    later rm -f /run/body
    assert_eq "$(status alpha /echo -H "$(bearer "$owner")" --data-binary @/run/body)" 413
    head -c 101000 /dev/zero >/run/body
    assert_match "$(status alpha /echo -H "$(bearer "$owner")" -H 'Transfer-Encoding: chunked' -H 'Expect:' --data-binary @/run/body)" '^413$'
}

test_a_gateway_that_dies_in_the_middle_takes_its_answer_along_and_nothing_else() {
    local owner
    owner=$(token alpha owner)
    assert_status 18 at alpha /torn --http1.1 -H "$(bearer "$owner")"
    assert_fails at alpha /torn --http2 -H "$(bearer "$owner")"
    at alpha '/events?count=1000&every=50' -N -H "$(bearer "$owner")" >/run/events 2>/run/failure &
    later rm -f /run/events /run/failure
    eventually 5 grep -q 'data: 3' /run/events
    kill -KILL "$(systemctl show -P MainPID tenant@alpha)"
    assert_fails wait $!
    assert_eq "$(status beta /echo -H "$(bearer "$(token beta owner)")")" 200
    answers() { [ "$(status alpha /echo -H "$(bearer "$owner")")" = 200 ]; }
    eventually 30 answers
}

# As many as a tenant of 128 tasks takes whose gateway has a thread for each; "bench edge" opens 10,000.
test_a_hundred_idle_sockets_cost_little_and_live() {
    assert_ok client_of idle.py alpha "$(token alpha owner)" 100 "$(edge_pid)"
}

test_a_tenant_that_lies_about_lengths_spoils_no_other_answer() {
    local owner
    owner=$(token alpha owner)
    # Answers torn off, whole ones after them on other connections of the pool.
    for _ in $(seq 20); do
        at alpha /torn -H "$(bearer "$owner")" >/dev/null 2>&1 || true
        assert_match "$(at alpha /healthz -H "$(bearer "$owner")")" '^\{"ok":true,"status":"live"\}$'
    done
}

# The last one: it began before the first.
test_slow_clients_were_ended_while_others_were_served() {
    eventually 60 grep -q '^status' /run/slow
    cat /run/slow
    assert_match "$(tail -n 1 /run/slow)" '^status 0$'
}
