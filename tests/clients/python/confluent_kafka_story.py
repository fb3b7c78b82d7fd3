"""confluent-kafka, as its users write: administration, an idempotent producer, a consumer by assignment.

Usage: confluent_kafka_story.py BOOTSTRAP
"""

import sys

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

RECORDS = 1_000
TOPIC = "from-confluent-kafka"


def wait(futures):
    return [future.result(timeout=60) for future in futures.values()]


def refusal(futures):
    try:
        wait(futures)
    except KafkaException as exception:
        return exception.args[0].name()
    return "none"


def administer(admin):
    wait(admin.create_topics([NewTopic(TOPIC, num_partitions=1, replication_factor=1)]))
    assert refusal(admin.create_topics([NewTopic(TOPIC, 1, 1)])) == "TOPIC_ALREADY_EXISTS"
    wait(admin.create_partitions([NewPartitions(TOPIC, 3)]))
    assert refusal(admin.create_partitions([NewPartitions(TOPIC, 2)])) == "INVALID_PARTITIONS"
    assert len(admin.list_topics(TOPIC).topics[TOPIC].partitions) == 3

    def change(key, operation, value):
        entry = ConfigEntry(key, value, incremental_operation=operation)
        return ConfigResource(ResourceType.TOPIC, TOPIC, incremental_configs=[entry])

    wait(admin.incremental_alter_configs([change("retention.ms", AlterConfigOpType.SET, "3600000")]))
    wait(admin.incremental_alter_configs([change("cleanup.policy", AlterConfigOpType.APPEND, "compact")]))
    wrong = change("retention.ms", AlterConfigOpType.SET, "soon")
    assert refusal(admin.incremental_alter_configs([wrong])) == "INVALID_CONFIG"
    [described] = wait(admin.describe_configs([ConfigResource(ResourceType.TOPIC, TOPIC)]))
    assert described["retention.ms"].value == "3600000", described
    assert described["cleanup.policy"].value == "delete,compact", described
    cluster = admin.describe_cluster().result(timeout=60)
    assert len(cluster.nodes) == 1, cluster


def main(bootstrap):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    administer(admin)

    offsets = []

    def delivered(error, message):
        assert error is None, error
        offsets.append(message.offset())

    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "compression.type": "zstd"})
    for number in range(RECORDS):
        key, value = b"%d" % number, b"record %d" % number
        producer.produce(TOPIC, key=key, value=value, partition=2, on_delivery=delivered)
    assert producer.flush(60) == 0
    assert offsets == list(range(RECORDS))

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "by hand", "enable.auto.commit": False})
    consumer.assign([TopicPartition(TOPIC, 2, 0)])
    found = []
    while len(found) < RECORDS:
        records = consumer.consume(RECORDS - len(found), timeout=60)
        assert records, "nothing comes any more"
        found.extend((record.offset(), record.key(), record.value()) for record in records)
    assert found == [(number, b"%d" % number, b"record %d" % number) for number in range(RECORDS)]
    assert consumer.get_watermark_offsets(TopicPartition(TOPIC, 2), timeout=60) == (0, RECORDS)
    consumer.close()

    wait(admin.delete_topics([TOPIC]))
    print("confluent-kafka: all is well")


main(sys.argv[1])
