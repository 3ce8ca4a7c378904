# shellcheck shell=bash
# nspawn hosts: a booted Debian in namespaces on this machine's kernel, over a copy-on-write root.
# The overlay is mounted in the host's own mount namespace, so it is gone when the host's last process is.

# nspawn_start HOST-DIR: boot; returns when the host's start jobs are done.
nspawn_start() {
    local dir=$1
    mkdir -p "$dir/upper" "$dir/work" "$dir/root"
    rm -rf "$dir/work/work/incompat"
    nspawn_cgroups "$dir"
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 python3 "$RIG_DIR/await_ready.py" "$dir" 90 \
        unshare --mount --propagation private bash "$RIG_DIR/nspawn_init.sh" "$dir" && return
    say "the nspawn host did not boot; the end of its console:"
    tail -n 40 "$dir/console.log" >&2
    return 1
}

# nspawn_cgroups HOST-DIR: make the host's own cgroup beside ours in the hierarchies systemd uses, so that two hosts
# never share one.
nspawn_cgroups() {
    local line mount own name
    name=tenantd-rig-${RUN##*.}-${1##*/}
    : >"$1/cgroups"
    while read -r line; do
        case $line in
            0::*) mount=$(findmnt -n -t cgroup2 -o TARGET | head -n 1) ;;
            *:name=systemd:*) mount=$(findmnt -n -t cgroup -O name=systemd -o TARGET | head -n 1) ;;
            *) continue ;;
        esac
        own=${line##*:}
        [ -n "$mount" ] || continue
        mkdir -p "$mount${own%/}/$name" || return
        printf '%s\n' "$mount${own%/}/$name" >>"$1/cgroups"
    done </proc/self/cgroup
}

# nspawn_run HOST-DIR CMD…: run CMD in the host as root with our standard streams; exits with its status.
nspawn_run() {
    local dir=$1 leader cgroup
    shift
    leader=$(cat "$dir/leader")
    (
        # Beside the host's init, in a cgroup of the host that its systemd does not manage.
        while read -r cgroup; do
            cgroup=$(find "$cgroup" -maxdepth 2 -type d -name payload | head -n 1)
            [ -n "$cgroup" ] || continue
            mkdir -p "$cgroup/rig" && echo "$BASHPID" >"$cgroup/rig/cgroup.procs"
        done <"$dir/cgroups"
        exec nsenter --target "$leader" --all --wdns=/root env -i HOME=/root LANG=C.UTF-8 ${TERM:+TERM="$TERM"} \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
    )
}

# nspawn_off HOST-DIR: power off cleanly, as "systemctl poweroff" does.
nspawn_off() {
    local dir=$1 line tries
    nspawn_run "$dir" systemctl --no-block poweroff </dev/null
    while read -r line; do
        for ((tries = 0; tries < 600; tries++)); do
            process_alive "$line" || break
            sleep 0.05
        done
    done <"$dir/processes"
    processes_end "$dir"
}

# nspawn_keep HOST-DIR LEVEL-DIR: make the stopped host's disk a level that other hosts start from.
nspawn_keep() {
    mv "$1/upper" "$2/upper"
    cp "$1/lower" "$2/lower"
}

# nspawn_base SUITE VARIANT LEVEL-DIR: the level of a bare host.
nspawn_base() {
    rootfs "$1" "$2" >"$3/lower"
}

# nspawn_disk LEVEL-DIR HOST-DIR: give a new host its disk: the level's own changes over what that level started from.
nspawn_disk() {
    {
        [ ! -d "$1/upper" ] || printf '%s\n' "$1/upper"
        cat "$1/lower"
    } >"$2/lower"
}
