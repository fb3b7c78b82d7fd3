#!/usr/bin/env bash
# Apache Kafka behind the flags of `dohle server`: the same tests against the original tell whether a test is right.
#
#   DOHLE_TEST_SERVER=tests/clients/kafka-server.sh cargo test --test it clients
#
# A node's id is its position among the seeds, as Dohle's is; the peer port serves the controller; no admin port opens.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

data_dir='' listen='' peer='' seeds='' settings=()
[ "${1:-}" = server ] || { echo "kafka-server.sh: only \`server\` is known" >&2 && exit 2; }
shift
while [ $# -gt 0 ]; do
    case $1 in
        --data-dir) data_dir=$2 ;;
        --listen) listen=$2 ;;
        --peer-listen) peer=$2 ;;
        --seeds) seeds=$2 ;;
        --set) settings+=("$2") ;;
        --admin-listen | --log) ;;
        *) echo "kafka-server.sh: unknown flag $1" >&2 && exit 2 ;;
    esac
    shift 2
done
IFS=, read -ra seeds <<<"${seeds:-$peer}"

id=0 voters=''
for position in "${!seeds[@]}"; do
    voters+=${voters:+,}$((position + 1))@${seeds[position]}
    [ "${seeds[position]}" != "$peer" ] || id=$((position + 1))
done
copies=$((${#seeds[@]} < 3 ? 1 : 3))

cat >"$data_dir/server.properties" <<SETTINGS
process.roles=broker,controller
node.id=$id
controller.quorum.voters=$voters
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://$listen,CONTROLLER://$peer
advertised.listeners=PLAINTEXT://$listen
log.dirs=$data_dir/log
offsets.topic.replication.factor=$copies
transaction.state.log.replication.factor=$copies
$(printf '%s\n' "${settings[@]}")
SETTINGS
"$here/kafka-tools.sh" kafka-storage format --ignore-formatted -t AAAAAAAAQACAAAAAAAAAAA \
    -c "$data_dir/server.properties" >&2
export KAFKA_TOOLS_JVM='-Xms256m -Xmx1g -XX:+UseG1GC' KAFKA_TOOLS_LOG=info
exec "$here/kafka-tools.sh" kafka-server-start "$data_dir/server.properties" >&2
