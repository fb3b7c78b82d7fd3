#!/usr/bin/env bash
# Builds Dohle and runs it: `deploy/run.sh` starts a node, `deploy/run.sh ARGS…` runs `dohle ARGS…`.
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/setup.sh

cargo build --bins
[ $# -gt 0 ] || set -- server
exec "${CARGO_TARGET_DIR:-target}/debug/dohle" "$@"
