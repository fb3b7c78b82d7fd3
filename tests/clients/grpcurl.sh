#!/usr/bin/env bash
# Runs grpcurl, a generic gRPC client: `grpcurl.sh -plaintext localhost:9094 list`.
#
# The first call builds it from its Go module into a cache folder (GRPCURL_HOME, or below XDG_CACHE_HOME). Needs `go`.
set -euo pipefail

version=${GRPCURL_VERSION:-v1.8.7}
home=${GRPCURL_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/dohle/grpcurl-$version}

# Builds beside the folder that is meant and renames: a folder under its own name is complete, whoever else builds.
if [ ! -x "$home/grpcurl" ]; then
    mkdir -p "$(dirname "$home")"
    unfinished=$(mktemp -d "$home.XXXXXX")
    GOBIN=$unfinished go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$version" >&2
    mv -T "$unfinished" "$home" 2>/dev/null || rm -rf "$unfinished"
fi
exec "$home/grpcurl" "$@"
