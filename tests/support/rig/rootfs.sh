# shellcheck shell=bash
# Root file systems of throwaway hosts: made once per recipe from the machine's own apt sources, then only read.

# rootfs SUITE VARIANT: print the path of a root file system (a directory); SUITE is bookworm or trixie, VARIANT
# is plain or bench.
rootfs() {
    local suite=$1 variant=$2 key
    key=$( (rootfs_packages "$suite" "$variant" && python3 "$RIG_DIR/apt_sources.py" "$suite") |
        hash_of "$RIG_DIR/rootfs.sh" "$RIG_DIR"/guest/*) || return
    cached "rootfs-$suite-$variant" "$key" rootfs_make "$suite" "$variant"
}

rootfs_packages() {
    sed -e "s/^not $1:.*//" -e 's/^not [a-z]*: *//' -e '/^#/d' "$RIG_DIR/rootfs.packages" |
        if [ "$2" = bench ]; then sed 's/^bench: *//'; else sed '/^bench:/d'; fi | sed '/^$/d'
}

rootfs_make() {
    local suite=$1 variant=$2 dir=$3 packages unit
    packages=$(rootfs_packages "$suite" "$variant" | paste -sd,)
    step "making the $suite root file system ($variant; one to two minutes, once)"
    python3 "$RIG_DIR/apt_sources.py" "$suite" >"$dir.sources" || return
    shown_on_failure mmdebstrap mmdebstrap --variant=minbase --mode=root --include="$packages" \
        --aptopt='APT::Install-Recommends "0"' --aptopt='Acquire::Retries "3"' \
        "$suite" "$dir" "$dir.sources" || return
    rm -f "$dir.sources"
    # Identity belongs to a host, not to its root file system; the journal is kept over a reboot.
    echo throwaway >"$dir/etc/hostname"
    : >"$dir/etc/machine-id"
    rm -f "$dir/etc/resolv.conf"
    mkdir -p "$dir/var/log/journal" "$dir/srv/quota"
    # The second disk of QEMU hosts; containers ignore device lines in fstab.
    echo 'LABEL=quota /srv/quota ext4 prjquota,x-systemd.device-timeout=15min,x-systemd.mount-timeout=15min 0 0' >"$dir/etc/fstab"
    for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
        fstrim.timer console-getty.service getty@tty1.service serial-getty@ttyS0.service; do
        ln -sf /dev/null "$dir/etc/systemd/system/$unit"
    done
    install -D -m 0755 "$RIG_DIR/guest/agent.py" "$dir/usr/lib/rig/agent.py"
    install -D -m 0644 "$RIG_DIR/guest/rig-agent@.service" "$dir/etc/systemd/system/rig-agent@.service"
    install -D -m 0644 "$RIG_DIR/guest/90-rig-agent.rules" "$dir/etc/udev/rules.d/90-rig-agent.rules"
}
