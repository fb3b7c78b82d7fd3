// franz-go under an open-loop load, with the settings it has by itself: sends a numbered record whenever one is due, to
// the partitions in turn, and writes a line when a record is sent, and when it is acked or has failed. Ends when its
// input does. Usage: load BOOTSTRAP TOPIC PARTITIONS INTERVAL_MS BYTES
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var output sync.Mutex

func say(format string, args ...any) {
	output.Lock()
	defer output.Unlock()
	fmt.Printf(format+"\n", args...)
}

func number(text string) int {
	parsed, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return parsed
}

func main() {
	topic, partitions, bytes := os.Args[2], number(os.Args[3]), number(os.Args[5])
	interval := time.Duration(number(os.Args[4])) * time.Millisecond
	seeds := kgo.SeedBrokers(strings.Split(os.Args[1], ",")...)
	producer, err := kgo.NewClient(seeds, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		panic(err)
	}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, bufio.NewReader(os.Stdin))
		close(ended)
	}()
	start := time.Now()
	for number := 0; ; number++ {
		select {
		case <-ended:
			if err := producer.Flush(context.Background()); err != nil {
				panic(err)
			}
			return
		case <-time.After(time.Until(start.Add(time.Duration(number) * interval))):
		}
		value := fmt.Appendf(nil, "%-*d", bytes, number)
		say("sent %d", number)
		record := &kgo.Record{Topic: topic, Partition: int32(number % partitions), Value: value}
		producer.Produce(context.Background(), record, func(sent *kgo.Record, err error) {
			if err != nil {
				say("failed %d %v", number, err)
				return
			}
			say("acked %d %d %d", number, sent.Partition, sent.Offset)
		})
	}
}
