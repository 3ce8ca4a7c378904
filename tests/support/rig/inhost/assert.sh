# shellcheck shell=bash
# What a test may say. A test is a function test_a_sentence_in_snake_case(); it runs in its own bash with "set -euo
# pipefail", so any command that fails fails the test, and its output is shown only then.

# fail TEXT…: this test fails.
fail() {
    printf 'failed: %s\n' "$*" >&2
    exit 1
}

# skip TEXT…: this host cannot run the test for a reason that "# needs:" cannot state.
skip() {
    printf '%s\n' "$*" >"$RIG_SKIP_REASON"
    exit 77
}

# assert_eq ACTUAL EXPECTED [WHAT]
assert_eq() {
    [ "$1" = "$2" ] || fail "${3:-value}: expected \"$2\", got \"$1\""
}

# assert_match TEXT REGEX [WHAT]: bash's extended regular expression, unanchored.
assert_match() {
    [[ $1 =~ $2 ]] || fail "${3:-text}: \"$1\" does not match \"$2\""
}

# assert_no_match TEXT REGEX [WHAT]
assert_no_match() {
    [[ ! $1 =~ $2 ]] || fail "${3:-text}: \"$1\" matches \"$2\""
}

# assert_status STATUS CMD…: CMD exits with STATUS; its output (both streams) stays in $OUTPUT.
assert_status() {
    local wanted=$1 status=0
    shift
    OUTPUT=$("$@" 2>&1) || status=$?
    printf '%s\n' "$OUTPUT"
    [ "$status" -eq "$wanted" ] || fail "\"$*\" exited with $status, not $wanted"
}

# assert_ok CMD…: CMD succeeds; output in $OUTPUT.
assert_ok() { assert_status 0 "$@"; }

# assert_fails CMD…: CMD fails, with any status; output in $OUTPUT.
assert_fails() {
    local status=0
    OUTPUT=$("$@" 2>&1) || status=$?
    printf '%s\n' "$OUTPUT"
    [ "$status" -ne 0 ] || fail "\"$*\" succeeded"
}

# eventually SECONDS CMD…: CMD succeeds within SECONDS.
eventually() {
    local until=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$until" ] || fail "\"$*\" did not come true in time"
        sleep 0.05
    done
}

# later CMD…: run CMD when this test ends, however it ends; the last one given runs first.
later() { RIG_LATER=("$(printf '%q ' "$@")" "${RIG_LATER[@]}"); }

RIG_LATER=()
rig_run_later() {
    local status=$? command
    set +e
    for command in "${RIG_LATER[@]}"; do
        eval "$command" || printf 'note: at the end of the test, %s failed\n' "$command" >&2
    done
    exit "$status"
}

# in_cell TENANT CMD…: CMD inside the tenant's cell, with its confinement.
in_cell() {
    local tenant=$1
    shift
    tenantctl exec "$tenant" -- "$@"
}
