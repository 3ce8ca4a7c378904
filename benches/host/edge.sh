# The edge against nginx (auth_request) and HAProxy (JWT), both of Debian, in one run: requests a processor second, the tail at half load, WebSockets, the check of
# a token. SECONDS of each measurement (5) and idle WebSockets (10000).
# shellcheck shell=bash
exec python3 "$(dirname "$0")/edge.py" "${1:-5}" "${2:-10000}"
