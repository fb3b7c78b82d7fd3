#!/usr/bin/env bash
# Builds Dohle and runs all of its tests. With CI=true a missing test client is a failure, otherwise it is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/setup.sh

cargo build --bins --tests
cargo fmt --check
cargo clippy --all-targets -- -D warnings
cargo test
