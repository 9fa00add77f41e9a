package main

import (
	"fmt"
	"math/big"
	"reflect"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

const (
	producerCount  = 8
	keysPerCaller  = 20
	recordsPerCall = 100
	callsAtLeast   = 20 // Of each producer: 16,000 records of all.
)

// What was put or read: the data of each key, in order.
type Log struct {
	sync.Mutex
	data  map[string][]string
	last  map[string]string // The newest sequence number of each key: as long as any other, so text compares as they do.
	count int
}

func newLog() *Log { return &Log{data: map[string][]string{}, last: map[string]string{}} }

func (log *Log) add(key, data, number string) {
	log.Lock()
	defer log.Unlock()
	must(len(number) == 56 && number > log.last[key], "sequence number %s of key %s is not after %s", number, key, log.last[key])
	log.data[key], log.last[key] = append(log.data[key], data), number
	log.count++
}

func (log *Log) size() int {
	log.Lock()
	defer log.Unlock()
	return log.count
}

func same(put, got *Log, who string) {
	for key, sent := range put.data {
		must(reflect.DeepEqual(sent, got.data[key]), "%s: key %s: %d records put, %d read, or in another order", who, key, len(sent), len(got.data[key]))
	}
	must(put.count == got.count, "%s: %d records put, %d read", who, put.count, got.count)
}

// One producer: calls one after the other, with keys of its own, at least so many and until nobody needs more.
func produce(stream string, producer int, put *Log, enough *atomic.Bool) {
	for call, number := 0, 0; call < callsAtLeast || !enough.Load(); call++ {
		entries := make([]types.PutRecordsRequestEntry, recordsPerCall)
		for i := range entries {
			key := fmt.Sprintf("key-%d-%d", producer, number*7%keysPerCaller)
			entries[i] = types.PutRecordsRequestEntry{Data: []byte(fmt.Sprintf("%s %d", key, number)), PartitionKey: &key}
			number++
		}
		answer := done(client.PutRecords(life, &kinesis.PutRecordsInput{StreamName: &stream, Records: entries}))
		must(*answer.FailedRecordCount == 0 && len(answer.Records) == len(entries), "%d of %d records failed", *answer.FailedRecordCount, len(entries))
		// Order is promised to a key, within a call, too; not to a shard: of one that comes from a merge meanwhile, neither parent is first.
		for i, record := range answer.Records {
			must(record.ErrorCode == nil, "a record failed: %s", aws.ToString(record.ErrorCode))
			put.add(*entries[i].PartitionKey, string(entries[i].Data), *record.SequenceNumber)
		}
	}
}

// Reads shards from their beginnings while they are written, and children when all of their parents have been read to the end.
type Follower struct {
	sync.Mutex
	stream  string
	got     *Log
	enough  *atomic.Bool
	readers sync.WaitGroup
	begun   map[string]bool
	ended   map[string]bool
}

func (follower *Follower) begin(shard string) {
	if !follower.begun[shard] {
		follower.begun[shard] = true
		follower.readers.Add(1)
		go follower.read(shard)
	}
}

func (follower *Follower) read(shard string) {
	defer follower.readers.Done()
	at := iterator(follower.stream, shard, "TRIM_HORIZON")
	for !follower.enough.Load() {
		answer := done(client.GetRecords(life, &kinesis.GetRecordsInput{ShardIterator: at, Limit: aws.Int32(700)}))
		for _, record := range answer.Records {
			follower.got.add(*record.PartitionKey, string(record.Data), *record.SequenceNumber)
		}
		if at = answer.NextShardIterator; at == nil {
			must(len(answer.ChildShards) > 0, "%s has ended and names no children", shard)
			follower.goOn(shard, answer.ChildShards)
			return
		}
		must(len(answer.ChildShards) == 0, "%s has not ended and names children", shard)
		if len(answer.Records) == 0 {
			pause()
		}
	}
}

func (follower *Follower) goOn(shard string, children []types.ChildShard) {
	follower.Lock()
	defer follower.Unlock()
	follower.ended[shard] = true
	for _, child := range children {
		ready := true
		for _, parent := range child.ParentShards {
			ready = ready && follower.ended[parent]
		}
		if ready {
			follower.begin(*child.ShardId)
		}
	}
}

// Reads everything that is there, parents before children, as the list of shards tells it.
func readAll(stream string, all []types.Shard) *Log {
	got := newLog()
	// Children are younger than their parents, and ids count up.
	sort.Slice(all, func(i, j int) bool { return *all[i].ShardId < *all[j].ShardId })
	for _, shard := range all {
		closed := shard.SequenceNumberRange.EndingSequenceNumber != nil
		for at := iterator(stream, *shard.ShardId, "TRIM_HORIZON"); at != nil; {
			answer := done(client.GetRecords(life, &kinesis.GetRecordsInput{ShardIterator: at}))
			for _, record := range answer.Records {
				got.add(*record.PartitionKey, string(record.Data), *record.SequenceNumber)
			}
			at = answer.NextShardIterator
			must(closed || at != nil, "%s is open and has ended", *shard.ShardId)
			if !closed && *answer.MillisBehindLatest == 0 {
				break
			}
		}
	}
	return got
}

func middle(shard types.Shard) *string {
	from, _ := new(big.Int).SetString(*shard.HashKeyRange.StartingHashKey, 10)
	to, _ := new(big.Int).SetString(*shard.HashKeyRange.EndingHashKey, 10)
	return aws.String(new(big.Int).Rsh(from.Add(from, to).Add(from, big.NewInt(1)), 1).String())
}

// Waits until so many more have been put.
func more(put *Log, count int) {
	for target := put.size() + count; put.size() < target; {
		pause()
	}
}

// Producers and a follower at once, a split and a merge meanwhile; then everything is read again.
func pipeline() map[string]any {
	stream := "life-go"
	create(stream, 2)
	put, enough := newLog(), &atomic.Bool{}
	first := done(client.PutRecord(life, &kinesis.PutRecordInput{StreamName: &stream, Data: []byte("first"), PartitionKey: aws.String("first")}))
	put.add("first", "first", *first.SequenceNumber)
	follower := &Follower{stream: stream, got: newLog(), enough: &atomic.Bool{}, begun: map[string]bool{}, ended: map[string]bool{}}
	for _, shard := range filtered(stream, "AT_TRIM_HORIZON") {
		follower.begin(shard)
	}
	var producers sync.WaitGroup
	for i := 0; i < producerCount; i++ {
		producers.Add(1)
		go func(i int) { defer producers.Done(); produce(stream, i, put, enough) }(i)
	}
	more(put, 2000)
	_, before := shards(stream, 100)
	done(client.SplitShard(life, &kinesis.SplitShardInput{StreamName: &stream, ShardToSplit: before[0].ShardId, NewStartingHashKey: middle(before[0])}))
	active(stream)
	more(put, 2000)
	// The upper half of the one, and the other, which is older.
	done(client.MergeShards(life, &kinesis.MergeShardsInput{StreamName: &stream, ShardToMerge: aws.String("shardId-000000000003"), AdjacentShardToMerge: before[1].ShardId}))
	active(stream)
	more(put, 2000)
	enough.Store(true)
	producers.Wait()
	for follower.got.size() < put.count {
		pause()
	}
	follower.enough.Store(true)
	follower.readers.Wait()
	same(put, follower.got, "read while it was written")

	pages, all := shards(stream, 2)
	must(pages == 3 && len(all) == 5, "%d pages of %d shards", pages, len(all))
	parents := map[string][]string{}
	for _, shard := range all {
		parents[*shard.ShardId] = nil
		for _, parent := range []*string{shard.ParentShardId, shard.AdjacentParentShardId} {
			if parent != nil {
				parents[*shard.ShardId] = append(parents[*shard.ShardId], *parent)
			}
		}
		sort.Strings(parents[*shard.ShardId])
	}
	id := func(number int) string { return fmt.Sprintf("shardId-%012d", number) }
	family := map[string][]string{id(0): nil, id(1): nil, id(2): {id(0)}, id(3): {id(0)}, id(4): {id(1), id(3)}}
	must(reflect.DeepEqual(parents, family), "shards and their parents: %v", parents)
	must(reflect.DeepEqual(filtered(stream, "AT_LATEST"), []string{id(2), id(4)}), "open shards: %v", filtered(stream, "AT_LATEST"))
	rest := done(client.ListShards(life, &kinesis.ListShardsInput{StreamName: &stream, ExclusiveStartShardId: aws.String(id(2))}))
	must(len(rest.Shards) == 2 && *rest.Shards[0].ShardId == id(3), "%d shards behind the third", len(rest.Shards))
	same(put, readAll(stream, all), "read again")

	_, err := client.PutRecord(life, &kinesis.PutRecordInput{StreamName: &stream, Data: []byte("x"), PartitionKey: aws.String("k"),
		SequenceNumberForOrdering: first.SequenceNumber})
	done(0, err) // What older producers send along.
	remove(stream)
	_, err = client.PutRecord(life, &kinesis.PutRecordInput{StreamName: &stream, Data: []byte("x"), PartitionKey: aws.String("k")})
	refused("ResourceNotFoundException", err)
	return map[string]any{"records": put.count, "shards": len(all)}
}
