# Certificates by ACME from Pebble, the authority for tests, which comes from the build machine and runs in the host beside the edge.
# shellcheck shell=bash
# hosts: nspawn

inside() { host_run h bash -euo pipefail /opt/rig/host/edge/acme.bash "$@" </dev/null; }

test_each_name_gets_a_certificate_of_its_own_and_keeps_it() {
    need_packages pebble
    boot h
    host_put h "$(command -v pebble)" /usr/local/bin
    inside open
    inside ordered_when_asked_for
    inside strangers_open_no_order
    inside forged_challenges
    inside a_tenant_made_later
    inside a_name_that_is_refused
    inside kept_over_a_restart
    inside the_authority_goes_and_comes_back
    inside without_it_again
}
