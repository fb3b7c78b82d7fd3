"""aiokafka, as its users write: administration, an idempotent producer, a consumer by assignment.

Usage: aiokafka_story.py BOOTSTRAP
"""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

RECORDS = 1_000
TOPIC = "from-aiokafka"


async def main(bootstrap):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, num_partitions=2, replication_factor=1)])

    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, compression_type="gzip")
    await producer.start()
    sent = []
    for number in range(RECORDS):
        sent.append(await producer.send(TOPIC, key=b"%d" % number, value=b"record %d" % number, partition=1))
    await producer.flush()
    assert [(await future).offset for future in sent] == list(range(RECORDS))
    await producer.stop()

    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, isolation_level="read_committed")
    await consumer.start()
    place = TopicPartition(TOPIC, 1)
    consumer.assign([place])
    await consumer.seek_to_beginning(place)
    for number in range(RECORDS):
        record = await asyncio.wait_for(consumer.getone(), timeout=60)
        assert (record.offset, record.key, record.value) == (number, b"%d" % number, b"record %d" % number), record
    assert await consumer.end_offsets([place]) == {place: RECORDS}
    await consumer.stop()

    await admin.delete_topics([TOPIC])
    await admin.close()
    print("aiokafka: all is well")


asyncio.run(main(sys.argv[1]))
