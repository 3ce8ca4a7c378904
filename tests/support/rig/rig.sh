# shellcheck shell=bash
# The test rig: throwaway Debian hosts on one machine. Source this file; it defines functions and starts nothing.
# Promises: standard output stays the caller's, chatter goes to standard error; every process, mount, cgroup and
# file it makes is recorded under the run's own label, and the next run removes what a killed run left behind.

RIG_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CHECKOUT=$(cd "$RIG_DIR/../../.." && pwd)
RIG_CACHE=${TENANTD_CACHE:-$CHECKOUT/target/hosts}
export RIG_DIR CHECKOUT RIG_CACHE

for rig_part in say machine cache run rootfs nspawn qemu host deb tenants levels uplink report checks hosttests bench; do
    # shellcheck source=/dev/null
    . "$RIG_DIR/$rig_part.sh"
done
unset rig_part
