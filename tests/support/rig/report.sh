# shellcheck shell=bash
# The one report of a run: a line per test on standard output, and at the end how many passed, failed and were skipped.

# report_begin: start counting. Needs run_begin.
report_begin() {
    : >"$RUN/report"
    report_apart "$RUN/first"
}

# report_apart FILE: what runs beside others keeps what failed in FILE.failures, so that its lines stay together.
report_apart() {
    export RIG_FAILURES=$1.failures
    : >"$RIG_FAILURES"
}

# report VERDICT WHERE SENTENCE [SECONDS [REASON]]: VERDICT is pass, fail or skip.
report() {
    local verdict=$1 where=$2 sentence=$3 seconds=${4:-} reason=${5:-} line
    printf '%s\t%s\t%s\n' "$verdict" "$where" "$sentence" >>"$RUN/report"
    printf -v line '%-4s  %-15s  %s%s%s' "$verdict" "$where" "$sentence" "${seconds:+  ($seconds s)}" "${reason:+  [$reason]}"
    printf '%s\n' "$line"
    [ "$verdict" != fail ] || printf '%s\n' "$line" >>"$RIG_FAILURES"
}

# report_log WHERE: show standard input below a failure, there and again at the end of the run.
report_log() {
    local where=$1 line
    while IFS= read -r line; do
        printf '    | %s\n' "$line"
        printf '    %s | %s\n' "$where" "$line" >>"$RIG_FAILURES"
    done
}

# report_check WHERE SENTENCE CMD…: one test that is a command; its output is shown if it fails, status 77 skips.
report_check() {
    local where=$1 sentence=$2 log status=0 started=$SECONDS
    shift 2
    log=$(mktemp "$RUN/check.XXXXXX")
    ("$@") >"$log" 2>&1 </dev/null || status=$?
    case $status in
        0) report pass "$where" "$sentence" "$((SECONDS - started))" ;;
        77) report skip "$where" "$sentence" "" "$(tail -n 1 "$log")" ;;
        *)
            report fail "$where" "$sentence" "$((SECONDS - started))" "status $status"
            tail -n 200 "$log" | report_log "$where"
            ;;
    esac
}

# report_results WHERE: read the lines of inhost/run_tests.sh on standard input.
report_results() {
    local where=$1 line verdict file sentence seconds reason
    while IFS= read -r line; do
        case $line in
            RESULT$'\t'*)
                # Tabs are white space to read, which would join empty fields; another separator is not.
                IFS=$'\037' read -r _ verdict file sentence seconds reason <<<"${line//$'\t'/$'\037'}"
                report "$verdict" "$where" "$file: $sentence" "$seconds" "$reason"
                ;;
            LOG$'\t'*) report_log "$where" <<<"${line#LOG$'\t'}" ;;
            *) printf '    ? %s\n' "$line" ;;
        esac
    done
}

# report_expected WHERE: fail if more tests are skipped there than tests/expected-skips allows; BLESS=1 writes the number.
report_expected() {
    local where=$1 expected=$CHECKOUT/tests/expected-skips allowed skipped
    skipped=$(grep -c "^skip"$'\t'"$where"$'\t' "$RUN/report") || true
    [ "${BLESS:-}" != 1 ] || sed -i "s/^$where .*/$where $skipped/" "$expected"
    allowed=$(awk -v where="$where" '$1 == where { print $2 }' "$expected")
    if [ "$skipped" -gt "${allowed:-0}" ]; then
        report fail "$where" "no more tests are skipped than expected" "" "$skipped, expected at most ${allowed:-0}"
    fi
}

# report_end: every failure once more, for who sees only the end, and the closing line; fails if a test failed or none ran.
report_end() {
    local passed failed skipped
    passed=$(grep -c '^pass' "$RUN/report") || true
    failed=$(grep -c '^fail' "$RUN/report") || true
    skipped=$(grep -c '^skip' "$RUN/report") || true
    if [ "$failed" -gt 0 ]; then
        echo "==> what failed"
        cat "$RUN"/*.failures | tail -n 400
    fi
    printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}
