# shellcheck shell=bash
# What the rig tells its reader, always on standard error.

# say TEXT…: one line of progress.
say() { printf '%s\n' "$*" >&2; }

# step TEXT…: the start of something that takes a while, with the minutes since this run began.
step() { printf '==> %2d:%02d %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*" >&2; }

# die TEXT…: an error that ends the run.
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# shown_on_failure LABEL CMD…: run CMD with its output in a log; print the log's end only if CMD fails.
shown_on_failure() {
    local label=$1 log status=0
    shift
    log=$(mktemp "${TMPDIR:-/tmp}/tenantd-rig-log.XXXXXX")
    "$@" >"$log" 2>&1 || status=$?
    if [ "$status" -ne 0 ]; then
        say "--- $label failed with status $status; the end of its output:"
        tail -n 60 "$log" >&2
    fi
    rm -f "$log"
    return "$status"
}
