#!/bin/bash
# In its own mount namespace: merge the layers of an nspawn host's disk and make a file system of them:
# qemu_image.sh DIR, with the layers in DIR/lower, to DIR/disk.raw, DIR/kernel and DIR/initrd.
set -eu
dir=$1
mount -t overlay -o "lowerdir=$(paste -sd: "$dir/lower"),upperdir=$dir/upper,workdir=$dir/work,volatile" \
    tenantd-rig "$dir/root"
# It excuses what an nspawn host lacks; this one lacks nothing.
rm -f "$dir/root/etc/tenantd/tenantd.toml"
cp "$dir"/root/boot/vmlinuz-* "$dir/kernel"
cp "$dir"/root/boot/initrd.img-* "$dir/initrd"
mkfs.ext4 -q -E lazy_itable_init=1,lazy_journal_init=1 -L root -d "$dir/root" "$dir/disk.raw"
