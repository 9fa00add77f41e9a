package main

import (
	"reflect"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

func from(number string) func(*kinesis.GetShardIteratorInput) {
	return func(input *kinesis.GetShardIteratorInput) { input.StartingSequenceNumber = &number }
}

func at(time time.Time) func(*kinesis.GetShardIteratorInput) {
	return func(input *kinesis.GetShardIteratorInput) { input.Timestamp = &time }
}

// Everything from there to the tail, or to the end of the shard: the numbers that were put, and whether it has ended.
func rest(iterator *string, limit int32) (numbers []int, ended bool) {
	for {
		answer := done(client.GetRecords(life, &kinesis.GetRecordsInput{ShardIterator: iterator, Limit: &limit}))
		must(len(answer.Records) <= int(limit), "%d records where at most %d were asked for", len(answer.Records), limit)
		for _, record := range answer.Records {
			numbers = append(numbers, done(strconv.Atoi(string(record.Data))))
		}
		if iterator = answer.NextShardIterator; iterator == nil {
			must(len(answer.ChildShards) == 2, "a shard that was split names %d children", len(answer.ChildShards))
			return numbers, true
		}
		if *answer.MillisBehindLatest == 0 && len(answer.Records) == 0 {
			return numbers, false
		}
	}
}

func iterators() map[string]any {
	const count = 12
	stream, shard := "life-go-iterators", "shardId-000000000000"
	create(stream, 1)
	all, sequence, arrival := []int{}, []string{}, []time.Time{}
	latest := iterator(stream, shard, "LATEST")
	for i := 0; i < count; i++ {
		put := done(client.PutRecord(life, &kinesis.PutRecordInput{StreamName: &stream, Data: []byte(strconv.Itoa(i)), PartitionKey: aws.String(strconv.Itoa(i))}))
		all, sequence = append(all, i), append(sequence, *put.SequenceNumber)
		// Each in a millisecond of its own, so that time tells them apart.
		for begin := time.Now(); time.Since(begin) < 3*time.Millisecond; {
			time.Sleep(time.Millisecond)
		}
	}
	answer := done(client.GetRecords(life, &kinesis.GetRecordsInput{ShardIterator: iterator(stream, shard, "TRIM_HORIZON")}))
	for i, record := range answer.Records {
		must(*record.SequenceNumber == sequence[i], "record %d has number %s, was put with %s", i, *record.SequenceNumber, sequence[i])
		arrival = append(arrival, *record.ApproximateArrivalTimestamp)
		must(i == 0 || arrival[i].After(arrival[i-1]), "record %d came before the one before it", i)
	}
	must(len(arrival) == count, "%d records of %d", len(arrival), count)
	now := iterator(stream, shard, "LATEST")

	// First while the shard is open, then when it has been split: the same, but for its end.
	for _, closed := range []bool{false, true} {
		expect := func(what string, iterator *string, expected []int) {
			for _, limit := range []int32{5, 10000} { // An iterator may be used again.
				numbers, ended := rest(iterator, limit)
				must(len(numbers) == len(expected) && (len(numbers) == 0 || reflect.DeepEqual(numbers, expected)) && ended == closed,
					"%s: %v (ended: %v), expected %v", what, numbers, ended, expected)
			}
		}
		expect("TRIM_HORIZON", iterator(stream, shard, "TRIM_HORIZON"), all)
		expect("LATEST, before the first", latest, all)
		expect("LATEST, before the split", now, nil)
		expect("LATEST", iterator(stream, shard, "LATEST"), nil)
		for i := range all {
			expect("AT_SEQUENCE_NUMBER", iterator(stream, shard, "AT_SEQUENCE_NUMBER", from(sequence[i])), all[i:])
			expect("AFTER_SEQUENCE_NUMBER", iterator(stream, shard, "AFTER_SEQUENCE_NUMBER", from(sequence[i])), all[i+1:])
			expect("AT_TIMESTAMP, its own", iterator(stream, shard, "AT_TIMESTAMP", at(arrival[i])), all[i:])
			expect("AT_TIMESTAMP, just after", iterator(stream, shard, "AT_TIMESTAMP", at(arrival[i].Add(time.Millisecond))), all[i+1:])
		}
		expect("AT_TIMESTAMP, long ago", iterator(stream, shard, "AT_TIMESTAMP", at(time.Unix(1, 0))), all)
		if !closed {
			_, open := shards(stream, 10)
			done(client.SplitShard(life, &kinesis.SplitShardInput{StreamName: &stream, ShardToSplit: &shard, NewStartingHashKey: middle(open[0])}))
			active(stream)
		}
	}
	remove(stream)
	return map[string]any{"records": count}
}
