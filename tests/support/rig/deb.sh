# shellcheck shell=bash
# The package under test, built from the tracked sources as Debian builds it, and reused while they do not change.

# build_deb: print the path of the up-to-date package, the same one throughout a run. TENANTD_DEB=FILE gives a built one
# instead.
build_deb() {
    [ -s "$RUN/deb" ] || deb_current >"$RUN/deb" || return
    cat "$RUN/deb"
}

deb_current() {
    local key dir
    if [ -n "${TENANTD_DEB:-}" ]; then
        [ -f "$TENANTD_DEB" ] || die "there is no package $TENANTD_DEB"
        realpath "$TENANTD_DEB"
        return
    fi
    key=$(package_sources | tr '\0' '\n' | (cd "$CHECKOUT" && while read -r path; do
        [ ! -f "$path" ] || sha256sum "$path"
    done) | hash_of) || return
    dir=$(cached deb "$key" deb_make) || return
    find "$dir" -name 'tenantd_*.deb' | head -n 1
}

# package_sources: the files that make up the package, NUL-separated, relative to the checkout.
package_sources() {
    git -c safe.directory='*' -C "$CHECKOUT" ls-files -z --cached --others --exclude-standard -- \
        ':!tests/host' ':!tests/run' ':!tests/support/rig' ':!.ci' ':!packaging/try' ':!benches' ':!tests/fuzz'
}

deb_make() {
    # Not inside the checkout: dpkg-buildpackage writes beside its source tree, and the copy keeps its own build cache.
    local dir=$1 build=$RIG_CACHE/build lock
    [ -e "$CHECKOUT/debian/control" ] || die "there is no debian/control in $CHECKOUT"
    need_rust
    # shellcheck disable=SC2086 # a list of names
    need_packages $BUILD_PACKAGES
    step "building the package"
    mkdir -p "$build/source"
    exec {lock}>"$build/lock"
    flock "$lock"
    find "$build" -mindepth 1 -maxdepth 1 -type f ! -name lock -delete
    find "$build/source" -mindepth 1 -maxdepth 1 ! -name target -exec rm -rf {} +
    package_sources | tar -C "$CHECKOUT" --null --verbatim-files-from --ignore-failed-read -T - -c 2>/dev/null |
        tar -C "$build/source" -x
    shown_on_failure dpkg-buildpackage deb_compile "$build/source" || return
    mv "$build"/*.deb "$dir"
}

deb_compile() {
    # debhelper gives the build an empty home, in which rustup and cargo would find nothing.
    cd "$1" && CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup} \
        DEB_BUILD_OPTIONS="nocheck noautodbgsym parallel=$(nproc)" dpkg-buildpackage -us -uc -b -d -nc
}

# deb_with_version DEB VERSION DIR: write the same package with another version into DIR, for upgrade tests; print it.
deb_with_version() {
    local deb=$1 version=$2 to=$3 tree
    tree=$(mktemp -d "${TMPDIR:-/tmp}/tenantd-deb.XXXXXX")
    dpkg-deb -R "$deb" "$tree/p" && sed -i "s/^Version: .*/Version: $version/" "$tree/p/DEBIAN/control" &&
        dpkg-deb --root-owner-group -b "$tree/p" "$to/tenantd_${version}_amd64.deb" >&2
    rm -rf "$tree"
    printf '%s\n' "$to/tenantd_${version}_amd64.deb"
}
