#!/usr/bin/env bash
# Builds Dohle and runs it: `deploy/run.sh` starts the lab, `deploy/run.sh ARGS…` runs `dohle ARGS…`.
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/setup.sh

cargo build --bins
[ $# -gt 0 ] || set -- lab
exec "${CARGO_TARGET_DIR:-target}/debug/dohle" "$@"
