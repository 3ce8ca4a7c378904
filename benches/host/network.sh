# The network of a tenant: putting up, taking down, sweeping, and what the fence costs a packet. COUNT networks, 200 if not said.
# shellcheck shell=bash
exec python3 "$(dirname "$0")/network.py" "${1:-200}"
