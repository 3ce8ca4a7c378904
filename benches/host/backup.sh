# A backup of a tenant against tar, zstd and openssl in a pipeline, its restore, and the memory both take. ROUNDS and MEGABYTES, 5 and 1024 if not said.
# variant: plain
# shellcheck shell=bash
exec python3 "$(dirname "$0")/backup.py" "${1:-5}" "${2:-1024}"
