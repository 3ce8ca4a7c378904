# What confinement adds to a start, and what a container engine takes for the same program. ROUNDS, 20 if not said.
# shellcheck shell=bash
exec python3 "$(dirname "$0")/start.py" "${1:-20}"
