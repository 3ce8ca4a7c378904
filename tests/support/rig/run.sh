# shellcheck shell=bash
# One run of the rig: its label (a directory), the processes and cgroups recorded in it, and how all of it goes away.
# A process is only ever ended by a recorded pid whose start time still matches.

# run_begin: give this run a label, clean up after killed runs, and clean up after this one when the shell ends.
run_begin() {
    local outer=${RUN:-} file
    mkdir -p "$RIG_CACHE/runs"
    run_sweep
    RUN=$(mktemp -d "$RIG_CACHE/runs/run.XXXXXX")
    export RUN
    process_line "$$" >"$RUN/owner"
    # A run inside a run tests the same package.
    for file in deb standin; do
        [ ! -s "$outer/$file" ] || cp "$outer/$file" "$RUN"
    done
    trap run_end EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

# run_keep: this run's hosts stay up when the shell ends, until run_end_kept.
run_keep() { touch "$RUN/kept"; }

# run_end: end everything this run started, unless it is to be kept.
run_end() {
    local status=$? job
    trap '' INT TERM HUP
    # What runs beside would start hosts again.
    for job in $(jobs -p); do kill "$job" 2>/dev/null || true; done
    [ -e "$RUN/kept" ] || run_remove "$RUN"
    return "$status"
}

# run_sweep: remove what killed runs left.
run_sweep() {
    local run
    for run in "$RIG_CACHE"/runs/run.*; do
        if [ ! -d "$run" ] || [ -e "$run/kept" ]; then
            continue
        fi
        if [ ! -s "$run/owner" ]; then
            # A run without an owner yet is only left over once it is older than a minute.
            [ -n "$(find "$run" -maxdepth 0 -mmin +1)" ] || continue
        elif process_alive "$(cat "$run/owner")"; then
            continue
        fi
        say "removing what an interrupted run left: ${run##*/}"
        run_remove "$run"
    done
}

# run_end_kept: remove the hosts kept by earlier runs.
run_end_kept() {
    local run
    for run in "$RIG_CACHE"/runs/run.*; do
        [ ! -e "$run/kept" ] || run_remove "$run"
    done
}

run_remove() {
    local host
    for host in "$1"/*/; do
        [ -d "$host" ] && processes_end "${host%/}"
    done
    rm -rf --one-file-system "$1" || say "warning: cannot remove all of $1"
}

# process_line PID: "PID START-TIME", which names one process for good.
process_line() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    # shellcheck disable=SC2086 # split on purpose: field 22 of proc(5) is the 20th after the name
    set -- "$1" $stat
    printf '%s %s\n' "$1" "${21}"
}

# process_alive "PID START-TIME": whether that very process still runs.
process_alive() {
    local line
    line=$(process_line "${1%% *}") && [ "$line" = "$1" ] &&
        ! grep -q '^State:.Z' "/proc/${1%% *}/status" 2>/dev/null
}

# processes_end HOST-DIR: end the host's recorded processes and remove its cgroups.
processes_end() {
    local dir=$1 line tries
    [ -e "$dir/processes" ] || return 0
    while read -r line; do
        process_alive "$line" && kill -KILL "${line%% *}"
    done <"$dir/processes"
    while read -r line; do
        for ((tries = 0; tries < 200; tries++)); do
            process_alive "$line" || break
            sleep 0.02
        done
    done <"$dir/processes"
    rm -f "$dir/processes"
    cgroups_remove "$dir"
}

# cgroups_remove HOST-DIR: remove the cgroups recorded for the host, once the kernel has emptied them.
cgroups_remove() {
    local dir tries
    [ -e "$1/cgroups" ] || return 0
    while read -r dir; do
        for ((tries = 0; tries < 100; tries++)); do
            [ -d "$dir" ] || break
            find "$dir" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.02
        done
        [ ! -d "$dir" ] || say "warning: cgroup $dir is still in use"
    done <"$1/cgroups"
    rm -f "$1/cgroups"
}
