"""kafka-python, as its users write: administration, an idempotent producer, a consumer by assignment.

Usage: kafka_python_story.py BOOTSTRAP
"""

import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import TopicAlreadyExistsError

RECORDS = 1_000
TOPIC = "from-kafka-python"


def main(bootstrap):
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(TOPIC, num_partitions=2, replication_factor=1)])
    try:
        admin.create_topics([NewTopic(TOPIC, num_partitions=2, replication_factor=1)])
        raise AssertionError("a topic was created twice")
    except TopicAlreadyExistsError:
        pass
    assert TOPIC in admin.list_topics()

    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, compression_type="gzip")
    sent = [
        producer.send(TOPIC, key=b"%d" % number, value=b"record %d" % number, partition=1, headers=[("n", b"h")])
        for number in range(RECORDS)
    ]
    producer.flush()
    assert [future.get(timeout=60).offset for future in sent] == list(range(RECORDS))
    producer.close()

    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, consumer_timeout_ms=60_000)
    place = TopicPartition(TOPIC, 1)
    consumer.assign([place])
    consumer.seek_to_beginning(place)
    found = []
    for record in consumer:
        assert record.headers == [("n", b"h")], record
        found.append((record.offset, record.key, record.value))
        if len(found) == RECORDS:
            break
    assert found == [(number, b"%d" % number, b"record %d" % number) for number in range(RECORDS)]
    assert consumer.end_offsets([place]) == {place: RECORDS}
    consumer.close()

    admin.delete_topics([TOPIC])
    admin.close()
    print("kafka-python: all is well")


main(sys.argv[1])
