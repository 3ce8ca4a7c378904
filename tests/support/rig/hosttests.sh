# shellcheck shell=bash
# The tests in tests/host: which host each file gets, and running them there. A file may say at its top
#   # level: bare|package|tenants   what its host starts with (tenants if not said; see host.sh)
#   # hosts: nspawn qemu            on which kinds it runs (both if not said)
#   # host: own                     not to be shared with another file (on QEMU; nspawn hosts are never shared)
# outside_*.sh run on the build machine and drive hosts themselves.

# host_tests KIND SUITE [FILTER]: run and report all tests for such hosts; the filter is a regular expression on
# "file: sentence".
host_tests() {
    local kind=$1 suite=$2 file group most groups=() jobs=() heavy=() outside=()
    export RIG_KIND=$1 RIG_SUITE=$2 RIG_FILTER=${3:-.}
    # Once, before several hosts want them.
    if ! build_deb >/dev/null || ! build_standin >/dev/null; then
        die "there is nothing to test"
    fi
    for file in "$CHECKOUT"/tests/host/*.sh; do
        test_file_wanted "$file" || continue
        if [[ ${file##*/} == outside_* ]]; then
            outside+=("host_test_outside $file")
            continue
        fi
        group=$(test_file_says "$file" level tenants)
        if [ "$kind" = nspawn ] || [ -n "$(test_file_says "$file" host "")" ]; then
            group=$group:$(basename "$file" .sh)
        fi
        groups+=("$group $file")
    done
    printf '%s\n' "${groups[@]}" >"$RUN/groups-$kind-$suite"
    while read -r group; do
        case $group in
            '') ;;
            openclaw*) heavy+=("$group") ;;
            *) jobs+=("host_test_groups $group") ;;
        esac
    done < <(cut -d' ' -f1 "$RUN/groups-$kind-$suite" | sort -u)
    # An nspawn host waits more than it computes; the QEMU hosts of two releases run at once already.
    if [ "$kind" = nspawn ]; then most=2; else most=1; fi
    side_by_side "$most" "${jobs[@]}"
    # The real gateway takes a processor for itself while it starts: one such host at a time.
    jobs=()
    [ ${#heavy[@]} -eq 0 ] || jobs=("host_test_groups ${heavy[*]}")
    if [ ${#outside[@]} -eq 0 ]; then
        side_by_side "$most" "${jobs[@]}"
        return
    fi
    # These build programs for themselves. The unit tests may still be building, and nobody is to wait for them within the time of a test.
    shown_on_failure "cargo build" cargo build --manifest-path "$CHECKOUT/Cargo.toml" --locked -p tenantd --features fault-injection || true
    side_by_side "$most" "${jobs[@]}" "${outside[@]}"
}

# side_by_side NUMBER "FUNCTION WORD"…: call them in this order, so many at a time; what one of several says is shown when
# it has ended.
side_by_side() {
    local most=$1 call said ended
    local -A running=()
    shift
    if [ $# -eq 1 ]; then
        to_its_end "$1"
        return
    fi
    for call in "$@"; do
        said=$(mktemp "$RUN/said.XXXXXX")
        (
            report_apart "$said"
            to_its_end "$call" >"$said"
            flock "$RUN/printing" cat "$said"
        ) &
        running[$!]=
        [ ${#running[@]} -ge "$most" ] || continue
        wait -n -p ended "${!running[@]}" || true
        unset "running[$ended]"
    done
    [ ${#running[@]} -eq 0 ] || wait "${!running[@]}"
}

# to_its_end "FUNCTION WORD": call it; that it fails is reported.
to_its_end() {
    # shellcheck disable=SC2086 # a function and its argument
    $1 || report fail "$RIG_KIND-$RIG_SUITE" "$1 runs to its end"
}

# host_test_outside FILE: run and report a file that drives its hosts itself.
host_test_outside() {
    RIG_OUTSIDE=yes RIG_TIMEOUT=${RIG_TIMEOUT:-900} bash "$RIG_DIR/inhost/run_tests.sh" "$1" |
        report_results "$RIG_KIND-$RIG_SUITE"
}

# hosts_at_once "KIND SUITE FILTER"…: host_tests for each, all at once; what one says is shown when all before it have ended.
hosts_at_once() {
    local stream kind suite filter pids=() number=0
    # shellcheck disable=SC2086 # lists of names
    need_packages $QEMU_PACKAGES $UPLINK_PACKAGES
    for stream in "$@"; do
        read -r kind suite filter <<<"$stream"
        (
            report_apart "$RUN/apart.$number"
            host_tests "$kind" "$suite" "$filter"
            report_expected "$kind-$suite"
        ) >"$RUN/stream.$number" &
        pids+=($!)
        number=$((number + 1))
    done
    for ((number = 0; number < ${#pids[@]}; number++)); do
        wait "${pids[number]}" || report fail hosts "the tests on ${*:number+1:1} run to their end" >>"$RUN/stream.$number"
        cat "$RUN/stream.$number"
    done
}

# host_test_groups GROUP…: one after the other.
host_test_groups() {
    local group
    for group in "$@"; do host_test_group "$group"; done
}

# host_test_group GROUP: boot one host for the files of a group and run them.
host_test_group() {
    local wanted=$1 where=$RIG_KIND-$RIG_SUITE name group file files=() status=0
    # The name of a machine is that of a host: without underscores.
    name=$where-${1#*:}
    name=${name//_/-}
    while read -r group file; do
        [ "$group" != "$wanted" ] || files+=("/opt/rig/host/${file##*/}")
    done <"$RUN/groups-$RIG_KIND-$RIG_SUITE"
    if ! host_boot "$name" "$RIG_KIND" "$RIG_SUITE" "${wanted%%:*}" </dev/null >&2 ||
        ! host_put_tests "$name"; then
        report fail "$where" "${wanted#*:}: its host boots"
        return
    fi
    host_run "$name" env RIG_KIND="$RIG_KIND" RIG_SUITE="$RIG_SUITE" RIG_FILTER="$RIG_FILTER" \
        RIG_TIMEOUT="${RIG_TIMEOUT:-$(test_timeout "$wanted")}" bash /opt/rig/inhost/run_tests.sh "${files[@]}" </dev/null |
        report_results "$where" || status=$?
    [ "$status" -eq 0 ] || report fail "$where" "${wanted#*:}: its host lasts to the end" "" "status $status"
    host_stop "$name"
}

# test_timeout GROUP: the seconds after which a single test hangs. Emulated processors are many times slower; the real gateway needs 20 s of
# a processor for each start, and a test has several.
test_timeout() {
    case $RIG_KIND:$1 in
        qemu:*) echo 600 ;;
        nspawn:openclaw*) echo 300 ;;
        *) echo 120 ;;
    esac
}

# test_file_wanted FILE: whether the file runs on this kind of host and has a test that the filter takes.
test_file_wanted() {
    local label sentence
    [ -e "$1" ] || return
    label=$(basename "$1" .sh)
    [[ " $(test_file_says "$1" hosts "nspawn qemu") " == *" $RIG_KIND "* ]] || return
    while read -r sentence; do
        [[ "$label: ${sentence//_/ }" =~ $RIG_FILTER ]] && return
    done < <(sed -n 's/^test_\([a-z0-9_]*\) *().*/\1/p' "$1")
    return 1
}

# test_file_says FILE KEY DEFAULT: what a "# KEY: VALUE" line at the top of the file says.
test_file_says() {
    local said
    said=$(sed -n -e '/^[^#]/q' -e "s/^# *$2: *//p" "$1" | head -n 1)
    printf '%s\n' "${said:-$3}"
}
