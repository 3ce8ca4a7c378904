# Questions of tenants, posted to a webhook by a program that may see them and do nothing else.
# shellcheck shell=bash disable=SC2016,SC2317 # expanded elsewhere; called by "eventually"
# level: tenants
# hosts: nspawn

SECRET=/etc/tenantd/webhook.secret
LOG=/run/notify.log
SETTINGS=/etc/tenantd/tenantd.toml

before_file() {
    local spec=/etc/tenantd/tenants.d/alpha.toml
    cp "$SETTINGS" /root/settings.before
    cp "$spec" /root/alpha.before
    printf '\n[egress]\nprofile = "team"\ndefault = "ask"\n' | cat "$spec" - >/root/alpha.new
    tenantctl apply -f /root/alpha.new
    openssl rand -hex 32 | install -m 0600 /dev/stdin "$SECRET"
    printf '\n[egress.webhook]\nurl = "http://127.0.0.1:8425/hook"\n' >>"$SETTINGS"
    systemd-run --quiet --collect --unit test-receiver python3 "${BASH_SOURCE[0]%/*}/notify/receiver.py" "$SECRET" "$LOG"
    eventually 10 curl -s -o /dev/null http://127.0.0.1:8425/
}
after_file() {
    systemctl stop tenantd-notify test-receiver
    rm -f "$SECRET"
    cp /root/settings.before "$SETTINGS"
    tenantctl apply -f /root/alpha.before
}

# reach HOST: a program of alpha's cell reaches for it, in the background; its answer's first line is in /run/reached.
reach() {
    in_cell alpha curl -s -o /dev/null -w '%{http_connect}' --max-time 40 -x http://127.0.0.1:3128 "https://$1/" >/run/reached 2>/dev/null &
}
# posted EXPRESSION: of the question about upload.example.net that was posted first
posted() {
    python3 -c 'import json, sys
posts = [json.loads(line) for line in open(sys.argv[1])]
post = next(post for post in posts if post["question"]["host"] == "upload.example.net")
print(eval(sys.argv[2], {"post": post, "question": post["question"]}))' "$LOG" "$1"
}

test_it_is_off_until_somebody_wants_it_and_needs_a_secret() {
    assert_eq "$(systemctl is-enabled tenantd-notify || true) $(systemctl is-active tenantd-notify || true)" "disabled inactive"
    mv "$SECRET" "$SECRET.away"
    later mv "$SECRET.away" "$SECRET"
    systemctl start tenantd-notify || true
    assert_eq "$(systemctl is-active tenantd-notify || true)" inactive
}

test_a_question_is_posted_signed_and_answered_by_the_operator() {
    assert_ok systemctl start tenantd-notify
    reach upload.example.net
    eventually 20 posted 1 >/dev/null
    assert_eq "$(posted 'post["good"], question["tenant"], question["port"], question["state"]')" "(True, 'alpha', 443, 'waiting')"
    assert_match "$(posted 'question["binaries"]')" '/usr/bin/curl'
    assert_ok tenantctl approvals deny "$(posted 'question["id"]')" --once --because 'a test'
    wait
    assert_eq "$(cat /run/reached)" 403
    assert_eq "$(systemctl is-active tenantd-notify)" active
    assert_no_match "$(journalctl -q -b -u tenantd-notify -o cat)" 'cannot see|denied|not authorized'
}

test_its_user_sees_questions_and_can_do_nothing_else() {
    local as=(systemd-run --quiet --wait --pipe --collect -p User=tenantd-notify) request
    systemctl stop tenantd-notify
    reach other.example.net
    seen() { tenantctl approvals list --json | grep -qF other.example.net; }
    eventually 20 seen
    request=$(tenantctl approvals list --json |
        python3 -c 'import json, sys; print(next(str(q["number"]) + "-" + q["digest"] for q in json.load(sys.stdin) if q["destination"]["host"] == "other.example.net"))')
    assert_match "$("${as[@]}" tenantctl approvals list --json)" other.example.net
    assert_fails "${as[@]}" tenantctl approvals approve "$request" --once
    assert_fails "${as[@]}" tenantctl approvals deny "$request" --once
    assert_fails "${as[@]}" tenantctl status alpha
    assert_fails "${as[@]}" tenantctl stop alpha
    assert_ok tenantctl approvals deny "$request" --once
    wait
    assert_eq "$(cat /run/reached)" 403
}
