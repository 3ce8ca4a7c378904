# What the thousandth tenant costs, and what is left when all are gone. TENANTS made (1000), of which RUNNING are started (200).
# shellcheck shell=bash
exec python3 "$(dirname "$0")/many.py" "${1:-1000}" "${2:-200}"
