# shellcheck shell=bash
# QEMU hosts: a stock Debian kernel in a machine of its own, without a network card; commands go over virtio-serial.

QEMU_PORTS=3
QEMU_BOOT_SECONDS=${QEMU_BOOT_SECONDS:-600}

# qemu_start HOST-DIR: boot; returns when the host's start jobs are done.
qemu_start() {
    local dir=$1 attempt
    for attempt in 1 2 3; do
        qemu_boot "$dir" && return
        # A stock kernel patches its own code while it boots, and two emulated processors now and then do not survive that: "Oops:
        # int3" in sched_clock_cpu. That is QEMU's; nothing of ours runs yet. Whatever else keeps a host from booting is a failure.
        if ! grep -q 'Kernel panic' "$dir/console.log" || ! grep -q 'int3' "$dir/console.log"; then
            break
        fi
        say "the emulated kernel panicked while it patched itself (attempt $attempt of 3)"
        processes_end "$dir"
    done
    say "the QEMU host did not boot; the end of its console:"
    tail -n 40 "$dir/qemu.log" "$dir/console.log" >&2
    return 1
}

# qemu_boot HOST-DIR: boot once.
qemu_boot() {
    local dir=$1 port arguments=()
    mapfile -t arguments < <(qemu_accelerator "$dir")
    # tsc=reliable: on a busy machine the guest's kernel would find its clock unstable and patch its own code, as above. panic=-1: one that
    # panics ends at once (-no-reboot), instead of being waited for.
    for ((port = 0; port < QEMU_PORTS; port++)); do
        arguments+=(-chardev "socket,id=port$port,path=port$port.sock,server=on,wait=off"
            -device "virtserialport,chardev=port$port,name=rig$port")
    done
    (
        cd "$dir" || exit
        exec setsid qemu-system-x86_64 -smp 2 -m "${QEMU_MEMORY:-2048}" -nic none -display none -monitor none \
            -serial file:console.log -no-reboot -device virtio-rng-pci -device virtio-serial-pci \
            -kernel kernel -initrd initrd \
            -append "root=/dev/vda rw console=ttyS0 quiet tsc=reliable panic=-1" \
            -drive file=disk.qcow2,if=virtio,discard=unmap -drive file=quota.img,if=virtio,format=raw \
            "${arguments[@]}" </dev/null >qemu.log 2>&1
    ) &
    process_line $! >>"$dir/processes"
    disown $!
    python3 "$RIG_DIR/channel.py" --wait "$QEMU_BOOT_SECONDS" "$dir" \
        systemctl is-system-running --wait --quiet </dev/null && return
    [ "$(qemu_run "$dir" systemctl is-system-running </dev/null)" = degraded ]
}

# qemu_accelerator HOST-DIR: QEMU's arguments for the fastest processor that works: KVM where a probe guest reaches its
# kernel's first message, else emulation.
qemu_accelerator() {
    local probe=$RIG_CACHE/kvm-probe verdict
    # The answer holds for as long as this machine is up.
    verdict=$(sed -n "s/^$(cat /proc/sys/kernel/random/boot_id) //p" "$probe" 2>/dev/null)
    if [ -z "$verdict" ]; then
        verdict=tcg
        if [ -w /dev/kvm ] && timeout 10 qemu-system-x86_64 -accel kvm -m 256 -nic none -display none -monitor none \
            -no-reboot -serial stdio -kernel "$1/kernel" -append 'console=ttyS0 panic=-1 earlyprintk=serial' \
            </dev/null 2>&1 | grep -q 'Linux version'; then
            verdict=kvm
        fi
        printf '%s %s\n' "$(cat /proc/sys/kernel/random/boot_id)" "$verdict" >"$probe"
    fi
    if [ "$verdict" = kvm ]; then
        printf '%s\n' -accel kvm -cpu host
    else
        printf '%s\n' -accel tcg,thread=multi,tb-size=1024 -cpu max
    fi
}

# qemu_run HOST-DIR CMD…: run CMD in the host as root with our standard streams; exits with its status.
qemu_run() { python3 "$RIG_DIR/channel.py" "$@"; }

# qemu_off HOST-DIR: power off cleanly, as "systemctl poweroff" does.
qemu_off() {
    local dir=$1 line tries
    qemu_run "$dir" systemctl --no-block poweroff </dev/null
    line=$(tail -n 1 "$dir/processes")
    for ((tries = 0; tries < 1200; tries++)); do
        process_alive "$line" || break
        sleep 0.1
    done
    processes_end "$dir"
}

# qemu_keep HOST-DIR LEVEL-DIR: make the stopped host's disk a level that other hosts start from.
qemu_keep() {
    cp -a "$1/kernel" "$1/initrd" "$2"
    mv "$1/disk.qcow2" "$2"
}

# qemu_image NSPAWN-LEVEL-DIR LEVEL-DIR: the disk of an nspawn host as the disk of a QEMU host.
qemu_image() {
    # shellcheck disable=SC2086 # a list of names
    need_packages $QEMU_PACKAGES
    step "making a disk image"
    truncate -s 8G "$2/disk.raw"
    mkdir "$2/upper" "$2/work" "$2/root"
    nspawn_disk "$1" "$2"
    shown_on_failure "making a disk image" unshare --mount --propagation private bash "$RIG_DIR/qemu_image.sh" "$2" || return
    rm -rf --one-file-system "$2/upper" "$2/work" "$2/root" "$2/lower"
}

# qemu_disk LEVEL-DIR HOST-DIR: give a new host its disk, and an empty second one with project quotas.
qemu_disk() {
    local backing=disk.qcow2 format=qcow2
    # shellcheck disable=SC2086 # a list of names
    need_packages $QEMU_PACKAGES
    [ -e "$1/disk.raw" ] && backing=disk.raw format=raw
    ln -s "$1/kernel" "$1/initrd" "$2"
    qemu-img create -q -f qcow2 -F "$format" -b "$1/$backing" "$2/disk.qcow2" || return
    truncate -s 512M "$2/quota.img"
    mkfs.ext4 -q -O project,quota -E lazy_itable_init=1,lazy_journal_init=1 -L quota "$2/quota.img"
}
