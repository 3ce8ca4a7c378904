# The vault: archives sealed and opened, a list of many secrets, and how long a gateway's secrets take to reach its unit. ROUNDS, 40 if not said.
# variant: plain
# example: vault/archive_speed
# shellcheck shell=bash
exec python3 "$(dirname "$0")/secrets.py" "${1:-40}"
