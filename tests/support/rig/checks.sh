# shellcheck shell=bash
# The checks that need no host: formatting, lints, unit tests, dependencies, the package's own lint.

# static_checks: what needs nothing built.
static_checks() {
    need_rust
    need_packages shellcheck build-essential libsqlite3-dev libzstd-dev pkg-config git
    cd "$CHECKOUT" || exit
    report_check unit "the code is formatted" cargo fmt --all --check
    report_check unit "shell scripts pass shellcheck" shellcheck_all
}

# lint_checks: what the compiler's lints say.
lint_checks() {
    cd "$CHECKOUT" || exit
    step "looking for lints"
    report_check unit "clippy has nothing to say" \
        cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
}

# unit_build: build the unit tests and what runs them.
unit_build() {
    cd "$CHECKOUT" || exit
    need_cargo_tool cargo-nextest
    step "building the unit tests"
    shown_on_failure "cargo nextest" cargo nextest run --workspace --locked --no-run || true
    need_cargo_tool cargo-deny
}

# unit_checks: run and report what unit_build has built.
unit_checks() {
    cd "$CHECKOUT" || exit
    nextest_report
    report_check unit "dependencies: licences, sources and bans hold" cargo deny --locked check bans licenses sources
    report_check unit "dependencies: none has a known advisory" advisories_check
}

# need_cargo_tool NAME: build a cargo subcommand from the registry if it is missing.
need_cargo_tool() {
    command -v "$1" >/dev/null && return
    step "installing $1 (a minute or two, once)"
    shown_on_failure "cargo install $1" cargo install --locked --quiet --debug "$1" || die "cannot install $1"
}

# nextest_report: run the unit tests, one line each.
nextest_report() {
    local status=0 failed
    failed=$(grep -c '^fail' "$RUN/report") || true
    NEXTEST_STATUS_LEVEL=all cargo nextest run --workspace --locked --no-fail-fast --color never \
        --final-status-level none --failure-output immediate --no-tests pass 2>&1 </dev/null |
        nextest_lines || status=$?
    if [ "$status" -ne 0 ] && [ "$(grep -c '^fail' "$RUN/report")" -eq "$failed" ]; then
        report fail unit "cargo nextest runs to the end" "" "status $status"
    fi
}

# nextest_lines: turn nextest's lines on standard input into reports; a failure's output follows it.
nextest_lines() {
    local line verdict
    while IFS= read -r line; do
        if [[ $line =~ ^\ *([A-Z]+[A-Z0-9-]*)\ \[\ *([0-9.]+)s\]\ (\(.*/.*\)\ )?(.*)$ ]]; then
            case ${BASH_REMATCH[1]} in
                PASS | LEAK) verdict=pass ;;
                SKIP) verdict=skip ;;
                SLOW | TERMINATING) continue ;;
                *) verdict=fail ;;
            esac
            report "$verdict" unit "${BASH_REMATCH[4]}" "${BASH_REMATCH[2]}"
            [ "$verdict" = fail ] || verdict=
        elif [ "${verdict:-}" = fail ] || [[ $line == error* ]]; then
            report_log unit <<<"$line"
        fi
    done
}

# advisories_check: the advisory database is a git repository that not every build machine reaches.
advisories_check() {
    local output status=0
    output=$(cargo deny --locked check advisories 2>&1) || status=$?
    printf '%s\n' "$output"
    if [ "$status" -ne 0 ] && [[ $output == *"failed to fetch advisory database"* ]]; then
        echo "the advisory database cannot be reached from here"
        return 77
    fi
    return "$status"
}

shellcheck_all() {
    local scripts
    mapfile -t scripts < <(git -c safe.directory='*' ls-files --cached --others --exclude-standard \
        .ci/run packaging/try tests/run '*.sh')
    shellcheck -x "${scripts[@]}"
}

# package_checks: build the package and lint it.
package_checks() {
    local deb
    need_packages lintian
    if ! deb=$(build_deb); then
        report fail package "the package builds"
        return
    fi
    report pass package "the package builds"
    report_check package "lintian has nothing to say" lintian --fail-on error,warning --info "$deb"
}
