# What the cell adds to the start of a real OpenClaw gateway. ROUNDS, 5 if not said.
# level: openclaw
# variant: plain
# shellcheck shell=bash
exec python3 "$(dirname "$0")/openclaw.py" "${1:-5}"
