# shellcheck shell=bash
# A way out for one nspawn host, used only where a real registry is needed: user-mode networking (slirp4netns) that
# changes nothing in this machine's own network namespace, and this machine's resolver, CA certificates and npm settings.

# host_uplink NAME: give the host a link up0 with a default route and name resolution.
host_uplink() {
    local dir=$RUN/$1 leader file
    # shellcheck disable=SC2086 # a list of names
    need_packages $UPLINK_PACKAGES
    leader=$(cat "$dir/leader")
    (
        exec setsid slirp4netns --configure --mtu=65520 --disable-host-loopback --ready-fd=3 "$leader" up0 \
            3>"$dir/uplink.ready" </dev/null >"$dir/uplink.log" 2>&1
    ) &
    process_line $! >>"$dir/processes"
    disown $!
    await 10 test -s "$dir/uplink.ready" || {
        say "the uplink did not come up:"
        cat "$dir/uplink.log" >&2
        return 1
    }
    # 10.0.2.3 is slirp4netns's own resolver, which asks this machine's.
    echo 'nameserver 10.0.2.3' | host_run "$1" sh -c 'cat >/etc/resolv.conf'
    host_run "$1" sh -c 'cat >/etc/ssl/certs/ca-certificates.crt' </etc/ssl/certs/ca-certificates.crt
    for file in /etc/npmrc /usr/etc/npmrc /usr/local/etc/npmrc; do
        [ ! -f "$file" ] || host_run "$1" sh -c 'cat >/etc/npmrc' <"$file"
    done
    # What npm has built in is a setting, too; a host without npm has no other way to know it.
    ! command -v npm >/dev/null || npm config get registry 2>/dev/null | sed -n 's#^http#registry=&#p' |
        host_run "$1" sh -c 'cat >>/etc/npmrc'
}

# await SECONDS CMD…: whether CMD comes true in time.
await() {
    local until=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$until" ] || return
        sleep 0.02
    done
}
