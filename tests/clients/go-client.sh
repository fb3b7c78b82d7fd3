#!/usr/bin/env bash
# Builds the programs in tests/clients/go with franz-go and runs one: `go-client.sh story HOST:PORT`.
#
# The first call builds them by Go's module proxy in a cache folder (GO_CLIENTS_HOME, or below XDG_CACHE_HOME)
# and leaves nothing in the tree; `go-client.sh fetch` does only that. Needs `go` (1.24 or newer).
set -euo pipefail

clients=(github.com/twmb/franz-go@v1.22.2 github.com/twmb/franz-go/pkg/kadm@v1.18.0)
source=$(dirname "$0")/go
home=${GO_CLIENTS_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/dohle/go}-$(cat "$0" "$source"/*.go | cksum | cut -d' ' -f1)

# Builds beside the folder that is meant and renames: a folder under its own name is complete.
fetch() {
    [ ! -d "$home" ] || return 0
    mkdir -p "$(dirname "$home")"
    local unfinished
    unfinished=$(mktemp -d "$home.XXXXXX")
    cp "$source"/*.go "$unfinished"
    (cd "$unfinished" && go mod init clients && go get "${clients[@]}" && for program in story load; do
        go build -o "$program" "$program.go"
    done) >&2
    mv -T "$unfinished" "$home" 2>/dev/null || rm -rf "$unfinished"
}

[ $# -gt 0 ] || { echo "usage: go-client.sh fetch | PROGRAM ARGS…" >&2 && exit 2; }
fetch
[ "$1" != fetch ] || exit 0
program=$1
shift
exec "$home/$program" "$@"
