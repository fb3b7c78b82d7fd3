#!/usr/bin/env bash
# Builds Dohle and runs all of its tests. With CI=true a missing test client is a failure, otherwise it is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
packages=(kcat default-jre-headless maven python3-venv) # real clients that judge us: kcat, Kafka's own tools, Python's
command -v go >/dev/null || packages+=(golang-go) # builds grpcurl, which judges the admin port
source deploy/setup.sh

cargo build --bins --tests
cargo fmt --check
cargo clippy --all-targets -- -D warnings
cargo test
