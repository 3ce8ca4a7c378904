#!/bin/bash
# One function of a test file in its own process: one_test.sh FILE FUNCTION.
set -Eeuo pipefail
here=$(dirname "$0")
# shellcheck source=tests/support/rig/inhost/assert.sh
. "$here/assert.sh"
if [ "${RIG_OUTSIDE:-}" = yes ]; then
    # A test that drives hosts from the build machine; it gets a run of its own.
    # shellcheck source=tests/support/rig/rig.sh
    . "$here/../rig.sh"
    run_begin
    later run_end
fi
trap rig_run_later EXIT
trap 'printf "%s:%s: \"%s\" failed\n" "${BASH_SOURCE[0]##*/}" "$LINENO" "$BASH_COMMAND" >&2' ERR
# shellcheck source=/dev/null
. "$1"
declare -F "$2" >/dev/null || exit 0
"$2"
