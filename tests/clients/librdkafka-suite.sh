#!/usr/bin/env bash
# Runs librdkafka's own tests against one node, and compares what comes of them with librdkafka-suite.md:
#
#   librdkafka-suite.sh              every test that the table expects to pass or to fail; about 8 minutes
#   librdkafka-suite.sh 0011 0081    only these; a test's output is shown when it is not as the table says
#   librdkafka-suite.sh fetch        builds them and does nothing else
#
# The source is that of this checkout's locked rdkafka-sys; the first call builds it in a cache folder
# (LIBRDKAFKA_SUITE_HOME, or below XDG_CACHE_HOME) and leaves nothing in the tree. With DOHLE_TEST_SERVER another
# program takes the flags of `dohle server`: tests/clients/kafka-server.sh tells what Apache Kafka does.
# Needs cargo, make, gcc and g++, and the headers of zlib and OpenSSL (Debian: zlib1g-dev libssl-dev). Its zstd is the
# one that Dohle is built with.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
table=$here/librdkafka-suite.md

cd "$here/../.."
metadata=$(cargo metadata --locked --format-version 1)
manifest() { grep -o '"manifest_path":"[^"]*/'"$1"'-[^"/]*/Cargo.toml"' <<<"$metadata" | cut -d'"' -f4; }
crate=$(manifest rdkafka-sys)
target=$(grep -o '"target_directory":"[^"]*"' <<<"$metadata" | cut -d'"' -f4)
home=${LIBRDKAFKA_SUITE_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/dohle/librdkafka-zstd}-$(basename "$(dirname "$crate")")

# Builds beside the folder that is meant and renames: a folder under its own name is complete, whoever else builds.
fetch() {
    [ ! -d "$home" ] || return 0
    mkdir -p "$(dirname "$home")"
    local unfinished zstd_header zstd_library
    cargo build --locked --bin dohle
    zstd_header=$(dirname "$(manifest zstd-sys)")/zstd/lib
    zstd_library=$(dirname "$(find "$target/debug/build" -path '*/zstd-sys-*/out/libzstd.a' -print -quit)")
    unfinished=$(mktemp -d "$home.XXXXXX")
    cp -R "$(dirname "$crate")/librdkafka/." "$unfinished"
    (cd "$unfinished" && ./configure --disable-gssapi --disable-curl --enable-zstd --disable-lz4-ext \
        --CPPFLAGS="-I$zstd_header" --LDFLAGS="-L$zstd_library" &&
        grep -q WITH_ZSTD config.h &&
        make -j"$(nproc)" libs && make -C tests -j"$(nproc)" test-runner) >"$unfinished/log" 2>&1 ||
        { tail -30 "$unfinished/log" >&2 && rm -rf "$unfinished" && exit 1; }
    mv -T "$unfinished" "$home" 2>/dev/null || rm -rf "$unfinished"
}

is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port() {
    local port
    while port=$((RANDOM % 20000 + 12000)) && is_open "$port"; do :; done
    echo "$port"
}

# Starts a node and waits until it takes connections; whatever happens, it ends with this script.
start() {
    local program=${DOHLE_TEST_SERVER:-$target/debug/dohle} port
    port=$(free_port)
    mkdir "$folder/data"
    "$program" server --data-dir "$folder/data" --listen "127.0.0.1:$port" --peer-listen "127.0.0.1:$(free_port)" \
        --admin-listen "127.0.0.1:$(free_port)" --set num.partitions=4 >"$folder/server.log" 2>&1 &
    server=$!
    until is_open "$port"; do
        kill -0 "$server" 2>/dev/null || { cat "$folder/server.log" >&2 && exit 1; }
        sleep 0.2
    done
    # The tests are told of one cluster and make topics of names nobody else has. Closing a consumer of a group takes
    # long where nobody coordinates groups, hence the patience.
    printf '%s\n' "bootstrap.servers=127.0.0.1:$port" broker.address.family=v4 test.topic.random=true \
        test.timeout.multiplier=2 >"$folder/test.conf"
}

stop() {
    [ -z "${server:-}" ] || { kill "$server" 2>/dev/null && wait "$server" || true; }
    rm -rf "$folder"
}

# What comes of one test: pass, fail or skip.
outcome() {
    local name=$1 only=$2 status=0
    (cd "$home/tests" && LD_LIBRARY_PATH=../src:../src-cpp TESTS=$name SUBTESTS=$only TEST_KAFKA_VERSION=4.3.1 \
        RDKAFKA_TEST_CONF=$folder/test.conf timeout -k 5 200 ./test-runner -L -p1) >"$folder/output" 2>&1 || status=$?
    rm -f "$home"/tests/stats_*.json
    sed -i 's/\x1b\[[0-9;]*m//g' "$folder/output"
    if [ $status != 0 ]; then
        echo fail
    # A part of a test that is not there is passed too.
    elif grep -aq "^| $name *| *PASSED" "$folder/output" &&
        grep -aq "${only:+\[ .*$only.*: PASS}" "$folder/output"; then
        echo pass
    else
        echo skip
    fi
}

is_wanted() {
    local name=$1 wanted
    shift
    [ $# -gt 0 ] || return 0
    for wanted in "$@"; do [[ $name != "$wanted"* ]] || return 0; done
    return 1
}

fetch
[ "${1:-}" != fetch ] || exit 0
[ -n "${DOHLE_TEST_SERVER:-}" ] || cargo build --locked --bin dohle
folder=$(mktemp -d)
trap stop EXIT
start

surprises=0
while IFS='|' read -r _ name only expected _; do
    read -r name <<<"$name" && read -r only <<<"$only" && read -r expected <<<"$expected"
    [[ $expected = pass || $expected = fail ]] && is_wanted "$name" "$@" || continue
    began=$SECONDS
    actual=$(outcome "$name" "$only")
    printf '%-28s %-24s %-4s %3d s' "$name" "$only" "$actual" $((SECONDS - began))
    if [ "$actual" = "$expected" ]; then
        echo
    else
        echo "  but the table says $expected"
        surprises=$((surprises + 1))
        [ $# = 0 ] || cat "$folder/output"
    fi
done < <(grep '^| [0-9]' "$table")
[ $surprises = 0 ] || { echo "$surprises tests are not as $table says" >&2 && exit 1; }
