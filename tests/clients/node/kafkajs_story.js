// kafkajs, as its users write: administration, and an idempotent producer. Its consumer knows only groups, so what was
// sent is looked at by offsets. Usage: kafkajs_story.js BOOTSTRAP

const assert = require('node:assert');
const { ConfigResourceTypes, Kafka, logLevel } = require('kafkajs');

const RECORDS = 1000;
const topic = 'from-kafkajs';

async function administer(admin) {
  assert.strictEqual(await admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 1 }] }), true);
  assert.strictEqual(await admin.createTopics({ topics: [{ topic }] }), false, 'it is there already');
  await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] });
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
  assert.strictEqual(topics[0].partitions.length, 3);
  const resource = { type: ConfigResourceTypes.TOPIC, name: topic };
  await admin.alterConfigs({ resources: [{ ...resource, configEntries: [{ name: 'retention.ms', value: '60000' }] }] });
  const { resources } = await admin.describeConfigs({ resources: [{ ...resource, configNames: ['retention.ms'] }] });
  assert.strictEqual(resources[0].configEntries[0].configValue, '60000');
  assert.ok((await admin.listTopics()).includes(topic));
  assert.strictEqual((await admin.describeCluster()).brokers.length, 1);
}

async function main(bootstrap) {
  const kafka = new Kafka({ clientId: 'story', brokers: [bootstrap], logLevel: logLevel.ERROR });
  const admin = kafka.admin();
  await admin.connect();
  await administer(admin);

  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  for (let first = 0; first < RECORDS; first += 100) {
    const messages = Array.from({ length: 100 }, (_, n) => ({ key: `${first + n}`, value: 'v', partition: 2 }));
    const [told] = await producer.send({ topic, acks: -1, messages });
    assert.strictEqual(told.baseOffset, String(first));
  }
  await producer.disconnect();

  const offsets = await admin.fetchTopicOffsets(topic);
  assert.deepStrictEqual(offsets.map((one) => one.high).sort(), ['0', '0', String(RECORDS)]);
  await admin.deleteTopics({ topics: [topic] });
  await admin.disconnect();
  console.log('kafkajs: all is well');
}

main(process.argv[2]).catch((error) => {
  console.error(error);
  process.exit(1);
});
