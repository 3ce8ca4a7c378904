#!/bin/bash
# First process of an nspawn host, in its own mount namespace: nspawn_init.sh HOST-DIR. Enters the host's cgroups, mounts
# its copy-on-write root and becomes systemd-nspawn.
set -eu
dir=$1
while read -r cgroup; do
    echo 0 >"$cgroup/cgroup.procs"
done <"$dir/cgroups"
# volatile: the disk of a throwaway host need not survive this machine's own crash.
mount -t overlay -o "lowerdir=$(paste -sd: "$dir/lower"),upperdir=$dir/upper,workdir=$dir/work,volatile" \
    tenantd-rig "$dir/root"
exec systemd-nspawn --quiet --register=no --keep-unit --boot --directory="$dir/root" --machine="rig-$(basename "$dir")" \
    --private-network --capability=all --system-call-filter=@known --notify-ready=yes --console=pipe \
    --resolv-conf=off --timezone=off --link-journal=no
