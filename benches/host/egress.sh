# The egress proxy of one tenant against HAProxy (TCP) and nginx (TLS on both sides), both of Debian, in one run: bytes and requests a processor second, what a connection waits longer, a refusal, the look for
# the program behind a connection, memory. SECONDS of each measurement (5).
# shellcheck shell=bash
exec python3 "$(dirname "$0")/egress.py" "${1:-5}"
