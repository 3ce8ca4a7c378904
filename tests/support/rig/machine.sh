# shellcheck shell=bash
# What the build machine must offer: root, Debian packages, a Rust toolchain.

# shellcheck disable=SC2034 # used by those who source this file
RIG_PACKAGES="systemd-container mmdebstrap debian-archive-keyring git python3 util-linux"
# shellcheck disable=SC2034
QEMU_PACKAGES="qemu-system-x86 qemu-utils e2fsprogs"
# shellcheck disable=SC2034
UPLINK_PACKAGES="slirp4netns"
# shellcheck disable=SC2034
BUILD_PACKAGES="dpkg-dev debhelper build-essential fakeroot libsqlite3-dev libzstd-dev lintian git pkg-config"

# need_root: the rig mounts, makes namespaces and boots hosts.
need_root() {
    [ "$(id -u)" -eq 0 ] || die "the test rig boots hosts and must run as root (try: sudo $0)"
}

# need_packages NAME…: install the Debian packages that are missing.
need_packages() {
    local name missing=()
    for name in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "this machine has no apt-get; the rig needs Debian 12 or 13"
    step "installing on this machine: ${missing[*]}"
    apt_install "${missing[@]}" || {
        shown_on_failure "apt-get update" apt-get -q update || die "cannot refresh the package lists"
        shown_on_failure "apt-get install" apt_install "${missing[@]}" || die "cannot install ${missing[*]}"
    }
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=600 \
        install "$@" >/dev/null 2>&1
}

# need_rust: a cargo new enough for the workspace, or one sentence on how to get it.
need_rust() {
    [ -d "$HOME/.cargo/bin" ] && PATH=$HOME/.cargo/bin:$PATH
    local wanted have
    wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$CHECKOUT/Cargo.toml" | head -n 1)
    have=$(cargo --version 2>/dev/null | awk '{print $2}') || true
    if [ -z "$have" ] || [ "$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -n 1)" != "$wanted" ]; then
        die "building needs cargo $wanted or newer (found: ${have:-none}): on Debian 13 \"apt install cargo\", on Debian 12" \
            "install rustup from https://rustup.rs; or give a built package with --deb FILE"
    fi
}
