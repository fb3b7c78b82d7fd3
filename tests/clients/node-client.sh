#!/usr/bin/env bash
# Runs a script of tests/clients/node with kafkajs at hand: `node-client.sh kafkajs_story.js HOST:PORT`.
#
# The first call installs kafkajs by npm into a cache folder (NODE_CLIENTS_HOME, or below XDG_CACHE_HOME) and leaves
# nothing in the tree; `node-client.sh fetch` does only that. Needs `node` and `npm`.
set -euo pipefail

client=kafkajs@2.2.4
home=${NODE_CLIENTS_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/dohle/node}-${client/@/-}

# Installs beside the folder that is meant and renames: a folder under its own name is complete.
fetch() {
    [ ! -d "$home" ] || return 0
    mkdir -p "$(dirname "$home")"
    local unfinished
    unfinished=$(mktemp -d "$home.XXXXXX")
    npm install --silent --no-audit --no-fund --no-update-notifier --prefix "$unfinished" "$client" >&2
    mv -T "$unfinished" "$home" 2>/dev/null || rm -rf "$unfinished"
}

[ $# -gt 0 ] || { echo "usage: node-client.sh fetch | SCRIPT ARGS…" >&2 && exit 2; }
fetch
[ "$1" != fetch ] || exit 0
script=$(dirname "$0")/node/$1
shift
NODE_PATH=$home/node_modules exec node "$script" "$@"
