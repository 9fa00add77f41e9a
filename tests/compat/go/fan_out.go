package main

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// A subscription is closed by us after so many records, and goes on in another: so often.
const (
	recordsPerSubscription = 1500
	cutsPerShard           = 2
)

func register(streamArn, name string) string {
	made := done(client.RegisterStreamConsumer(life, &kinesis.RegisterStreamConsumerInput{StreamARN: &streamArn, ConsumerName: &name})).Consumer
	must(*made.ConsumerName == name && strings.HasPrefix(*made.ConsumerARN, streamArn+"/consumer/"+name+":"), "registered as %s", *made.ConsumerARN)
	for {
		described := done(client.DescribeStreamConsumer(life, &kinesis.DescribeStreamConsumerInput{ConsumerARN: made.ConsumerARN})).ConsumerDescription
		must(*described.StreamARN == streamArn && *described.ConsumerName == name, "described as %s of %s", *described.ConsumerName, *described.StreamARN)
		if described.ConsumerStatus == "ACTIVE" {
			return *made.ConsumerARN
		}
		pause()
	}
}

// Subscribes; the service refuses a second subscription of a consumer to a shard for 5 s after it took the first.
func subscribe(consumer, shard string, from types.StartingPosition) *kinesis.SubscribeToShardEventStream {
	for {
		answer, err := client.SubscribeToShard(life, &kinesis.SubscribeToShardInput{ConsumerARN: &consumer, ShardId: &shard, StartingPosition: &from})
		if err == nil {
			return answer.GetStream()
		}
		must(is("ResourceInUseException", err), "subscribing to %s: %v", shard, err)
		pause()
	}
}

// Reads a stream by subscriptions only: cut and continued, and on to the children where a shard ends.
type Subscriber struct {
	sync.Mutex
	consumer string
	got      *Log
	enough   *atomic.Bool
	readers  sync.WaitGroup
	cuts     atomic.Int32
	ended    map[string]bool
}

func (subscriber *Subscriber) begin(shard string) {
	subscriber.readers.Add(1)
	go subscriber.read(shard)
}

func (subscriber *Subscriber) read(shard string) {
	defer subscriber.readers.Done()
	position := types.StartingPosition{Type: "TRIM_HORIZON"}
	for cuts := 0; ; cuts++ {
		events := subscribe(subscriber.consumer, shard, position)
		count, again := 0, false
		for event := range events.Events() {
			one, ok := event.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent)
			must(ok, "an event of type %T", event)
			must(one.Value.MillisBehindLatest != nil, "an event without MillisBehindLatest")
			for _, record := range one.Value.Records {
				subscriber.got.add(*record.PartitionKey, string(record.Data), *record.SequenceNumber)
				count++
			}
			if len(one.Value.ChildShards) > 0 {
				must(one.Value.ContinuationSequenceNumber == nil, "the last event of a shard has a continuation")
				subscriber.goOn(shard, one.Value.ChildShards)
				continue // The service ends the subscription itself.
			}
			must(one.Value.ContinuationSequenceNumber != nil, "an event without a continuation")
			position = types.StartingPosition{Type: "AFTER_SEQUENCE_NUMBER", SequenceNumber: one.Value.ContinuationSequenceNumber}
			again = cuts < cutsPerShard && count >= recordsPerSubscription
			if again || subscriber.enough.Load() {
				break
			}
		}
		must(events.Err() == nil, "events of %s: %v", shard, events.Err())
		_ = events.Close()
		subscriber.Lock()
		over := subscriber.ended[shard] || subscriber.enough.Load()
		subscriber.Unlock()
		if over {
			return
		}
		must(again, "the subscription to %s ended before its time", shard)
		subscriber.cuts.Add(1)
	}
}

func (subscriber *Subscriber) goOn(shard string, children []types.ChildShard) {
	subscriber.Lock()
	defer subscriber.Unlock()
	must(!subscriber.ended[shard], "%s ended twice", shard)
	subscriber.ended[shard] = true
	for _, child := range children {
		must(len(child.ParentShards) == 1 && child.ParentShards[0] == shard, "%s has parents %v", *child.ShardId, child.ParentShards)
		subscriber.begin(*child.ShardId)
	}
}

func fanOut() map[string]any {
	stream := "life-go-fan-out"
	create(stream, 2)
	arn := *done(client.DescribeStreamSummary(life, &kinesis.DescribeStreamSummaryInput{StreamName: &stream})).StreamDescriptionSummary.StreamARN
	consumer := register(arn, "first")
	_, err := client.RegisterStreamConsumer(life, &kinesis.RegisterStreamConsumerInput{StreamARN: &arn, ConsumerName: aws.String("first")})
	refused("ResourceInUseException", err)
	second := register(arn, "second")
	register(arn, "third")
	names := ""
	for pager := kinesis.NewListStreamConsumersPaginator(client, &kinesis.ListStreamConsumersInput{StreamARN: &arn, MaxResults: aws.Int32(1)}); pager.HasMorePages(); {
		for _, each := range done(pager.NextPage(life)).Consumers {
			names += *each.ConsumerName + " "
		}
	}
	must(names == "first second third ", "consumers: %s", names)

	put, enough := newLog(), &atomic.Bool{}
	subscriber := &Subscriber{consumer: consumer, got: newLog(), enough: &atomic.Bool{}, ended: map[string]bool{}}
	_, before := shards(stream, 10)
	for _, shard := range before {
		subscriber.begin(*shard.ShardId)
	}
	var producers sync.WaitGroup
	for i := 0; i < producerCount; i++ {
		producers.Add(1)
		go func(i int) { defer producers.Done(); produce(stream, i, put, enough) }(i)
	}
	more(put, 8000)
	done(client.SplitShard(life, &kinesis.SplitShardInput{StreamName: &stream, ShardToSplit: before[0].ShardId, NewStartingHashKey: middle(before[0])}))
	more(put, 2000)
	enough.Store(true)
	producers.Wait()
	for subscriber.got.size() < put.count {
		pause()
	}
	subscriber.enough.Store(true) // Seen at the next event: one comes every 5 s, with records or without.
	subscriber.readers.Wait()
	same(put, subscriber.got, "pushed while it was written")
	must(subscriber.cuts.Load() > 0, "no subscription was cut")

	// Another consumer, from now on.
	other := before[1]
	events := subscribe(second, *other.ShardId, types.StartingPosition{Type: "LATEST"})
	_, err = client.SubscribeToShard(life, &kinesis.SubscribeToShardInput{ConsumerARN: &second, ShardId: other.ShardId, StartingPosition: &types.StartingPosition{Type: "LATEST"}})
	refused("ResourceInUseException", err)
	made := done(client.PutRecord(life, &kinesis.PutRecordInput{StreamName: &stream, Data: []byte("late"), PartitionKey: aws.String("k"), ExplicitHashKey: other.HashKeyRange.EndingHashKey}))
	for seen := false; !seen; {
		event, more := <-events.Events()
		must(more, "the subscription ended: %v", events.Err())
		for _, record := range event.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value.Records {
			must(*record.SequenceNumber == *made.SequenceNumber && string(record.Data) == "late", "a record from before the subscription")
			seen = true
		}
	}
	must(events.Close() == nil, "closing: %v", events.Err())

	done(client.DeregisterStreamConsumer(life, &kinesis.DeregisterStreamConsumerInput{ConsumerARN: &second}))
	for {
		if _, err = client.DescribeStreamConsumer(life, &kinesis.DescribeStreamConsumerInput{ConsumerARN: &second}); err != nil {
			break
		}
		pause()
	}
	refused("ResourceNotFoundException", err)
	_, err = client.SubscribeToShard(life, &kinesis.SubscribeToShardInput{ConsumerARN: &second, ShardId: other.ShardId, StartingPosition: &types.StartingPosition{Type: "LATEST"}})
	refused("ResourceNotFoundException", err)
	must(is("ResourceInUseException", func() error {
		_, err := client.DeleteStream(life, &kinesis.DeleteStreamInput{StreamName: &stream})
		return err
	}()), "a stream with consumers was deleted without being told to")
	done(client.DeleteStream(life, &kinesis.DeleteStreamInput{StreamName: &stream, EnforceConsumerDeletion: aws.Bool(true)}))
	return map[string]any{"records": put.count, "cuts": subscriber.cuts.Load()}
}
