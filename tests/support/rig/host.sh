# shellcheck shell=bash
# Throwaway hosts by name. KIND is nspawn or qemu, SUITE bookworm or trixie, LEVEL what is there at boot:
#   bare      Debian and nothing of ours
#   package   the freshly built tenantd package, installed with apt
#   tenants   and two running stand-in tenants, alpha and beta
#   openclaw  the package and the real openclaw runtime, no tenants
# A host lives until host_stop or until the run ends.

# host_boot NAME KIND SUITE LEVEL [VARIANT]: boot a new host; returns when it has booted.
host_boot() {
    local name=$1 kind=$2 suite=$3 level=$4 variant=${5:-plain} dir=$RUN/$1 from
    from=$(level "$kind" "$suite" "$level" "$variant") || return
    host_new "$name" "$kind" "$suite" "$from"
    "${kind}_start" "$dir" || return
    [ "$level" != tenants ] || tenants_wait "$name"
}

# boot NAME [LEVEL]: for outside tests: boot a host of the kind and release that this test runs for, with tests/host in
# /opt/rig/host.
boot() {
    host_boot "$1" "$RIG_KIND" "$RIG_SUITE" "${2:-tenants}" && host_put_tests "$1"
}

# host_put_tests NAME: copy what runs tests inside a host, and the tests.
host_put_tests() { host_put "$1" "$RIG_DIR/inhost" "$CHECKOUT/tests/host" /opt/rig; }

# host_new NAME KIND SUITE LEVEL-DIR: prepare a host, not yet booted.
host_new() {
    local dir=$RUN/$1
    [ ! -e "$dir" ] || die "a host named $1 is there already"
    mkdir -p "$dir"
    printf '%s\n' "$2" >"$dir/kind"
    printf '%s\n' "$3" >"$dir/suite"
    "$2_disk" "$4" "$dir"
}

# host_run NAME CMD…: run CMD in the host as root with our standard streams; returns its status.
host_run() {
    local dir=$RUN/$1
    shift
    "$(cat "$dir/kind")_run" "$dir" "$@"
}

# host_off NAME: power off cleanly; the disk stays.
host_off() { "$(cat "$RUN/$1/kind")_off" "$RUN/$1"; }

# host_cut NAME: cut the power; the disk stays.
host_cut() { processes_end "$RUN/$1"; }

# host_start NAME: boot a host that was powered off or cut, on the same disk.
host_start() { "$(cat "$RUN/$1/kind")_start" "$RUN/$1"; }

# host_reboot NAME: power off cleanly and boot again.
host_reboot() { host_off "$1" && host_start "$1"; }

# host_stop NAME: end the host and forget its disk.
host_stop() {
    processes_end "$RUN/$1"
    rm -rf --one-file-system "${RUN:?}/$1"
}

# host_put NAME FILE… DIR: copy files or directories into a directory of the host (made if missing).
host_put() {
    local name=$1 sources to=${!#} path
    shift
    sources=()
    for path in "${@:1:$#-1}"; do
        sources+=(-C "$(cd "$(dirname "$path")" && pwd)" "$(basename "$path")")
    done
    # shellcheck disable=SC2016 # expanded in the host
    tar -c --owner=0 --group=0 --numeric-owner "${sources[@]}" |
        host_run "$name" sh -c 'mkdir -p "$1" && tar -x -C "$1"' sh "$to"
}

# host_get NAME PATH: write a file of the host to standard output.
host_get() { host_run "$1" cat -- "$2" </dev/null; }
