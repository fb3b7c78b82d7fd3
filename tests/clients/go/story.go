// franz-go, as its users write: administration, an idempotent producer, a consumer by assignment. It speaks every
// request in its newest version, and fetches in sessions. Usage: story BOOTSTRAP
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	records = 1000
	topic   = "from-franz-go"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func expect(is bool, what string, args ...any) {
	if !is {
		panic(fmt.Sprintf(what, args...))
	}
}

func administer(ctx context.Context, admin *kadm.Client) {
	_, err := admin.CreateTopic(ctx, 1, 1, nil, topic)
	must(err)
	_, err = admin.CreateTopic(ctx, 1, 1, nil, topic)
	expect(errors.Is(err, kerr.TopicAlreadyExists), "created twice: %v", err)
	grown, err := admin.UpdatePartitions(ctx, 3, topic)
	must(err)
	must(grown.Error())
	value := "60000"
	altered, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "retention.ms", Value: &value}}, topic)
	must(err)
	must(altered[0].Err)
	described, err := admin.DescribeTopicConfigs(ctx, topic)
	must(err)
	found := false
	for _, config := range described[0].Configs {
		found = found || config.Key == "retention.ms" && config.MaybeValue() == value
	}
	expect(found, "retention.ms is not %s: %v", value, described)
	topics, err := admin.ListTopics(ctx, topic)
	must(err)
	expect(len(topics[topic].Partitions) == 3, "partitions: %v", topics[topic])
}

func produce(ctx context.Context, bootstrap string) {
	producer, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	must(err)
	defer producer.Close()
	for number := range records {
		record := &kgo.Record{Topic: topic, Partition: 2, Value: fmt.Appendf(nil, "record %d", number)}
		producer.Produce(ctx, record, func(sent *kgo.Record, err error) {
			must(err)
			expect(sent.Offset == int64(number), "record %d is at %d", number, sent.Offset)
		})
	}
	must(producer.Flush(ctx))
}

func consume(ctx context.Context, bootstrap string) {
	start := map[string]map[int32]kgo.Offset{topic: {}}
	for partition := range int32(3) {
		start[topic][partition] = kgo.NewOffset().AtStart()
	}
	consumer, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumePartitions(start))
	must(err)
	defer consumer.Close()
	for found := 0; found < records; {
		fetches := consumer.PollFetches(ctx)
		must(fetches.Err())
		fetches.EachRecord(func(record *kgo.Record) {
			expect(string(record.Value) == fmt.Sprintf("record %d", found), "%d: %s", found, record.Value)
			found++
		})
	}
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	bootstrap := os.Args[1]
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	must(err)
	admin := kadm.NewClient(client)
	defer admin.Close()
	administer(ctx, admin)
	produce(ctx, bootstrap)
	consume(ctx, bootstrap)
	ends, err := admin.ListEndOffsets(ctx, topic)
	must(err)
	end, _ := ends.Lookup(topic, 2)
	expect(end.Offset == records, "the end is %d", end.Offset)
	_, err = admin.DeleteTopics(ctx, topic)
	must(err)
	fmt.Println("franz-go: all is well")
}
