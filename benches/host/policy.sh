# Egress policy: one decision, over 200 policies of three endpoints, host and path parsed. POLICIES, 200 if not said.
# level: bare
# variant: plain
# example: policy/decide_speed
# shellcheck shell=bash
exec python3 "$(dirname "$0")/policy.py" "${1:-200}"
