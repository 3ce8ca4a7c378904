# What each directive of tenant@.service costs a start. The table in docs/unit-directives.md is made from this.
# shellcheck shell=bash
exec python3 "$(dirname "$0")/directives.py" "${1:-15}"
