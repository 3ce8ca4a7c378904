# The network of a tenant: putting up, taking down, sweeping, and what the fence costs a packet.
# shellcheck shell=bash
exec python3 "$(dirname "$0")/network.py"
