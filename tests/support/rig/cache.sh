# shellcheck shell=bash
# Things worth keeping between runs, each under a name that holds a hash of everything it was made from.

# hash_of [FILE…]: a short hash of standard input and of the files' contents.
hash_of() {
    { cat; [ $# -eq 0 ] || cat -- "$@"; } | sha256sum | cut -c1-16
}

# cached KIND KEY BUILDER [ARG…]: print the path of the cached directory KIND-KEY. If it is missing, call
# BUILDER ARG… DIR to fill an empty DIR; only a finished build gets the name. Concurrent runs wait for one build.
cached() {
    local kind=$1 path=$RIG_CACHE/$1-$2 partial status=0
    shift 2
    mkdir -p "$RIG_CACHE"
    if [ ! -d "$path" ]; then
        exec {cache_lock}>"$path.lock"
        flock "$cache_lock"
        if [ ! -d "$path" ]; then
            partial=$path.partial
            rm -rf --one-file-system "$partial"
            mkdir "$partial"
            ("$@" "$partial" >&2) || status=$?
            [ "$status" -eq 0 ] || { exec {cache_lock}>&-; return "$status"; }
            mv "$partial" "$path"
            forget_old "$kind"
        fi
        exec {cache_lock}>&-
    fi
    touch "$path"
    printf '%s\n' "$path"
}

# forget_old KIND: drop cached directories of this kind that nobody used for two days.
forget_old() {
    find "$RIG_CACHE" -mindepth 1 -maxdepth 1 -name "$1-*" -mmin +2880 -exec rm -rf --one-file-system {} +
}
