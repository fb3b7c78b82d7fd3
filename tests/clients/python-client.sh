#!/usr/bin/env bash
# Runs a script of tests/clients/python with Python's clients of Kafka: `python-client.sh aiokafka_story.py HOST:PORT`.
#
# The first call installs the clients by pip into a virtual environment in a cache folder (PYTHON_CLIENTS_HOME, or below
# XDG_CACHE_HOME) and leaves nothing in the tree; `python-client.sh fetch` does only that. Needs `python3` with `venv`.
set -euo pipefail

clients=(kafka-python==3.0.12 aiokafka==0.14.0 confluent-kafka==2.16.1)
name=$(IFS=_ && echo "${clients[*]//==/-}")
home=${PYTHON_CLIENTS_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/dohle/python}-$name

# A folder under its own name is complete: an environment cannot be moved, so the mark of that comes last.
fetch() {
    [ ! -e "$home/complete" ] || return 0
    mkdir -p "$home"
    exec 9>"$home/lock"
    flock 9
    [ ! -e "$home/complete" ] || return 0
    python3 -m venv "$home/venv" >&2
    "$home/venv/bin/pip" install --quiet "${clients[@]}" >&2
    touch "$home/complete"
    exec 9>&-
}

[ $# -gt 0 ] || { echo "usage: python-client.sh fetch | SCRIPT ARGS…" >&2 && exit 2; }
fetch
[ "$1" != fetch ] || exit 0
script=$(dirname "$0")/python/$1
shift
exec "$home/venv/bin/python" -B "$script" "$@"
