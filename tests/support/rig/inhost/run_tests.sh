#!/bin/bash
# Run the tests of files: run_tests.sh FILE… with RIG_KIND, RIG_SUITE, RIG_FILTER (a regular expression on "file: sentence"),
# RIG_TIMEOUT (seconds a test may take). Standard output is one line per test, tab-separated:
#   RESULT  pass|fail|skip  FILE  SENTENCE  SECONDS  REASON
# and after a failure its output, each line behind "LOG" and a tab.
set -uo pipefail
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export RIG_SKIP_REASON=$work/reason

# tests_of FILE: each test function and what the "# needs:" line above it says, tab-separated.
tests_of() {
    awk '/^# *needs:/ { sub(/^# *needs: */, ""); needs = $0; next }
         /^test_[a-z0-9_]+ *\(\)/ { sub(/ *\(\).*/, ""); print $0 "\t" needs; needs = ""; next }
         /^[^#]/ { needs = "" }' "$1"
}

# lacks NEEDS: the first of the needs that this host does not offer, in words; fails if it offers all.
lacks() {
    local need
    for need in $1; do
        case $need in
            host) ;;
            nspawn | qemu) [ "$RIG_KIND" = "$need" ] || { echo "needs a $need host"; return; } ;;
            bookworm | trixie) [ "$RIG_SUITE" = "$need" ] || { echo "needs $need"; return; } ;;
            cgroup) has_controllers || { echo "no cgroup controllers for memory, cpu and pids"; return; } ;;
            kvm) [ "$(systemd-detect-virt)" = kvm ] || { echo "an emulated processor is too slow for it"; return; } ;;
            quota) findmnt -n /srv/quota >/dev/null || { echo "no disk with project quotas"; return; } ;;
            landlock'>='*) [ "$landlock" -ge "${need#*>=}" ] || { echo "Landlock ABI $landlock, needs ${need#*>=}"; return; } ;;
            systemd'>='*) [ "$systemd" -ge "${need#*>=}" ] || { echo "systemd $systemd, needs ${need#*>=}"; return; } ;;
            *) echo "unknown need \"$need\""; return ;;
        esac
    done
    return 1
}

has_controllers() {
    local have
    have=" $(cat /sys/fs/cgroup/cgroup.controllers 2>/dev/null) "
    [[ $have == *" memory "* && $have == *" cpu "* && $have == *" pids "* ]]
}

# part FILE FUNCTION [TIMES]: run one function of a file, its output into the log. It is ended after so many times what a test may take.
part() {
    timeout --kill-after=10 $((${RIG_TIMEOUT:-120} * ${3:-1})) bash "$here/one_test.sh" "$1" "$2" </dev/null >"$work/log" 2>&1
}

# result VERDICT FILE SENTENCE SECONDS REASON
result() {
    local IFS=$'\t'
    printf 'RESULT\t%s\n' "$*"
    [ "$1" != fail ] || sed -e 's/^/LOG\t/' "$work/log"
}

one_file() {
    local file=$1 label test needs sentence reason status started before=0
    label=$(basename "$file" .sh)
    tests_of "$file" >"$work/tests"
    # It may install and start what all tests of the file need.
    part "$file" before_file 3 || before=$?
    cp "$work/log" "$work/before.log"
    while IFS=$'\t' read -r test needs <&3; do
        sentence=${test#test_}
        sentence=${sentence//_/ }
        [[ "$label: $sentence" =~ ${RIG_FILTER:-.} ]] || continue
        if reason=$(lacks "$needs"); then
            result skip "$label" "$sentence" 0 "$reason"
            continue
        fi
        if [ "$before" -ne 0 ]; then
            cp "$work/before.log" "$work/log"
            result fail "$label" "$sentence" 0 "before_file exited with $before"
            continue
        fi
        status=0
        started=${EPOCHREALTIME/./}
        part "$file" "$test" || status=$?
        started=$(((${EPOCHREALTIME/./} - started) / 1000))
        started=$((started / 1000)).$(printf '%03d' $((started % 1000)))
        case $status in
            0) result pass "$label" "$sentence" "$started" "" ;;
            77) result skip "$label" "$sentence" "$started" "$(cat "$RIG_SKIP_REASON")" ;;
            124 | 137) result fail "$label" "$sentence" "$started" "took longer than ${RIG_TIMEOUT:-120} s" ;;
            *) result fail "$label" "$sentence" "$started" "status $status" ;;
        esac
    done 3<"$work/tests"
    part "$file" after_file || {
        result fail "$label" "its own clean-up succeeds" 0 "after_file failed"
    }
}

landlock=$(python3 "$here/landlock_abi.py")
systemd=$(systemctl --version 2>/dev/null | awk 'NR == 1 { print int($2) }')
for file in "$@"; do
    [ -r "$file" ] || exit 66
    one_file "$file"
done
