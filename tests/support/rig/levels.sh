# shellcheck shell=bash
# Levels: disks that hosts start from, each made by booting a host of the level below, changing it and powering it off
# cleanly. Kept in the cache under a hash of everything that went in.

# level KIND SUITE LEVEL VARIANT: print the directory of a level, making what is missing.
level() {
    local kind=$1 suite=$2 level=$3 variant=$4 below key
    # What needs no start of a gateway is made on an nspawn host and put on the QEMU host's disk: a minute less each.
    if [ "$kind" = qemu ] && [ "$level" != tenants ]; then
        below=$(level nspawn "$suite" "$level" "$variant") || return
        key=$(echo "$below" | hash_of "$RIG_DIR/qemu.sh") || return
        cached "level-qemu-$suite-$level" "$key" qemu_image "$below"
        return
    fi
    case $level in
        bare)
            key=$(rootfs "$suite" "$variant") || return
            cached "level-nspawn-$suite-bare" "${key##*-}" nspawn_base "$suite" "$variant"
            return
            ;;
        package) below=bare ;;
        tenants | openclaw) below=package ;;
        *) die "there is no level \"$level\" (bare, package, tenants, openclaw)" ;;
    esac
    below=$(level "$kind" "$suite" "$below" "$variant") || return
    key=$({ echo "$below" && "level_${level}_inputs"; } | hash_of "$RIG_DIR/levels.sh" "$RIG_DIR/tenants.sh") || return
    cached "level-$kind-$suite-$level" "$key" level_make "$kind" "$suite" "$level" "$below"
}

level_make() {
    local kind=$1 suite=$2 level=$3 below=$4 dir=$5 name
    name=level-$level-$BASHPID
    step "making a $suite $kind host: $level"
    host_new "$name" "$kind" "$suite" "$below" && "${kind}_start" "$RUN/$name" || return
    if ! "level_$level" "$name" "$kind"; then
        say "--- the end of the host's journal:"
        host_run "$name" journalctl -n 40 --no-pager </dev/null >&2 || true
        host_stop "$name"
        return 1
    fi
    host_off "$name" && "${kind}_keep" "$RUN/$name" "$dir" || return
    host_stop "$name"
}

# The package itself, not its path: TENANTD_DEB may name a file that is built anew in its place.
level_package_inputs() {
    local deb
    deb=$(build_deb) && sha256sum <"$deb"
}

# level_package NAME KIND: install the package as an administrator would.
level_package() {
    local deb
    deb=$(build_deb) || return
    host_put "$1" "$deb" /root || return
    tenants_configure "$1" "$2" || return
    shown_on_failure "apt install" host_run "$1" env DEBIAN_FRONTEND=noninteractive \
        apt-get -y install "/root/${deb##*/}" </dev/null
}

level_tenants_inputs() { build_standin; }

# level_tenants NAME KIND: create alpha and beta.
level_tenants() { tenants_create "$1"; }

level_openclaw_inputs() { :; }

# level_openclaw NAME KIND: install the real runtime from the npm registry.
level_openclaw() { openclaw_install "$1"; }
