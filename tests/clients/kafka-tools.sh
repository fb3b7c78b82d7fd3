#!/usr/bin/env bash
# Runs one of Apache Kafka's own programs: `kafka-tools.sh kafka-topics --bootstrap-server localhost:9092 --list`.
#
# The first call downloads Kafka's jars by Maven into a cache folder (KAFKA_TOOLS_HOME, or below XDG_CACHE_HOME) and
# leaves nothing in the tree; `kafka-tools.sh fetch` does only that. Needs `java` (17 or newer) and `mvn`.
set -euo pipefail

version=${KAFKA_TOOLS_VERSION:-4.3.1}
home=${KAFKA_TOOLS_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/dohle/kafka}-$version

# What Maven is asked for: the tools, the server they read the files of, and a logger that writes to standard error.
project() {
    echo '<project><modelVersion>4.0.0</modelVersion><groupId>dohle</groupId><artifactId>kafka-tools</artifactId>'
    echo '<version>1</version><packaging>pom</packaging><dependencies>'
    local jar
    for jar in "org.apache.kafka:kafka-tools:$version" "org.apache.kafka:kafka_2.13:$version" \
        org.slf4j:slf4j-simple:1.7.36; do
        IFS=: read -r group name release <<<"$jar"
        echo "<dependency><groupId>$group</groupId><artifactId>$name</artifactId>"
        echo "<version>$release</version></dependency>"
    done
    echo '</dependencies></project>'
}

# Downloads beside the folder that is meant and renames: a folder under its own name is complete, whoever else fetches.
fetch() {
    [ ! -d "$home" ] || return 0
    mkdir -p "$(dirname "$home")"
    local unfinished
    unfinished=$(mktemp -d "$home.XXXXXX")
    project >"$unfinished/pom.xml"
    mvn -q -B -f "$unfinished/pom.xml" dependency:copy-dependencies -DoutputDirectory="$unfinished" >&2
    mv -T "$unfinished" "$home" 2>/dev/null || rm -rf "$unfinished"
}

main_class() {
    local tools=org.apache.kafka.tools
    case $1 in
        kafka-broker-api-versions) echo $tools.BrokerApiVersionsCommand ;;
        kafka-cluster) echo $tools.ClusterTool ;;
        kafka-configs) echo kafka.admin.ConfigCommand ;;
        kafka-console-consumer) echo $tools.consumer.ConsoleConsumer ;;
        kafka-console-producer) echo $tools.ConsoleProducer ;;
        kafka-delete-records) echo $tools.DeleteRecordsCommand ;;
        kafka-dump-log) echo $tools.DumpLogSegments ;;
        kafka-features) echo $tools.FeatureCommand ;;
        kafka-get-offsets) echo $tools.GetOffsetShell ;;
        kafka-leader-election) echo $tools.LeaderElectionCommand ;;
        kafka-log-dirs) echo $tools.LogDirsCommand ;;
        kafka-metadata-quorum) echo $tools.MetadataQuorumCommand ;;
        kafka-producer-perf-test) echo $tools.ProducerPerformance ;;
        kafka-reassign-partitions) echo $tools.reassign.ReassignPartitionsCommand ;;
        kafka-server-start) echo kafka.Kafka ;;
        kafka-storage) echo kafka.tools.StorageTool ;;
        kafka-topics) echo $tools.TopicCommand ;;
        kafka-transactions) echo $tools.TransactionsCommand ;;
        kafka-verifiable-producer) echo $tools.VerifiableProducer ;;
        *.*) echo "$1" ;;
        *) echo "kafka-tools.sh: no program $1 is known here; its main class would be" >&2 && exit 2 ;;
    esac
}

[ $# -gt 0 ] || { echo "usage: kafka-tools.sh fetch | PROGRAM ARGS…" >&2 && exit 2; }
fetch
[ "$1" != fetch ] || exit 0
class=$(main_class "$1")
shift
# A program that lives for a second is not worth an optimising compiler or a concurrent collector.
read -ra options <<<"${KAFKA_TOOLS_JVM:--Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1}"
options+=(-Dorg.slf4j.simpleLogger.defaultLogLevel="${KAFKA_TOOLS_LOG:-warn}")
exec java "${options[@]}" -cp "$home/*" "$class" "$@"
