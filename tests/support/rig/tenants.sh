# shellcheck shell=bash
# What the tests put into a host with the package: configuration, the stand-in runtime, tenants alpha and beta.
# The only place in the rig that knows tenantctl's and tenantd.toml's words.

# build_standin: print hashes and paths of the stand-in gateway and the attack program, the same ones throughout a run.
build_standin() {
    [ -s "$RUN/standin" ] || standin_current >"$RUN/standin" || return
    cat "$RUN/standin"
}

standin_current() {
    local target=${CARGO_TARGET_DIR:-$CHECKOUT/target}
    need_rust
    shown_on_failure "cargo build" cargo build --manifest-path "$CHECKOUT/Cargo.toml" --release --locked \
        -p standin-gateway -p escape-probe || return
    sha256sum "$target/release/standin-gateway" "$target/release/escape-probe"
}

# tenants_configure NAME KIND: what a host needs in /etc/tenantd before the package is installed.
tenants_configure() {
    # An nspawn host has no cgroup controllers when the outer machine is on cgroup v1; tenants accept that by name.
    # (qemu_image takes the file away again.)
    [ "$2" = nspawn ] || return 0
    host_run "$1" sh -c 'mkdir -p /etc/tenantd && cat >/etc/tenantd/tenantd.toml' <<'TOML'
[defaults]
accept_missing = ["cgroup-memory", "cgroup-cpu", "cgroup-pids", "cgroup-io", "disk-quota"]
TOML
}

# tenants_create NAME: install the stand-in programs and create the tenants.
tenants_create() {
    local name=$1 tenant programs
    mapfile -t programs < <(build_standin | awk '{print $2}')
    host_put "$name" "${programs[@]}" /usr/local/lib/standin/bin || return
    for tenant in alpha beta; do
        shown_on_failure "tenantctl create $tenant" host_run "$name" tenantctl create "$tenant" --runtime generic --port 18789 \
            --command '/usr/local/lib/standin/bin/standin-gateway --port 18789' </dev/null || return
    done
}

# tenants_wait NAME: wait until both tenants answer after a boot.
tenants_wait() {
    host_run "$1" systemctl start tenant@alpha.service tenant@beta.service </dev/null >&2
}

# openclaw_install NAME: install the openclaw runtime.
openclaw_install() {
    host_uplink "$1" && host_run "$1" tenantctl runtime install openclaw </dev/null >&2
}
