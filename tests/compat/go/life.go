// Ordinary lives with AWS's SDK for Go, version 2: life URL SCENE. Prints one JSON object; ends with status 1 and the reason when
// something is not as it should be. This file: what the scenes share.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
)

var (
	client *kinesis.Client
	// The end of everything, so that nothing waits for ever.
	life, end = context.WithTimeout(context.Background(), 100*time.Second)
)

func fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
	os.Exit(1)
}

func must(ok bool, format string, values ...any) {
	if !ok {
		fail(format, values...)
	}
}

// The answer of a call that has to succeed.
func done[T any](answer T, err error) T {
	if err != nil {
		fail("%T: %v", answer, err)
	}
	return answer
}

// A call that has to be refused with this error of the service, as HTTP status 400 and with the id of a request.
func refused(code string, err error) {
	var service smithy.APIError
	must(errors.As(err, &service) && service.ErrorCode() == code, "expected %s: %v", code, err)
	var answered *awshttp.ResponseError
	must(errors.As(err, &answered) && answered.HTTPStatusCode() == 400 && answered.ServiceRequestID() != "", "%s has no status or request id: %v", code, err)
}

func is(code string, err error) bool {
	var service smithy.APIError
	return errors.As(err, &service) && service.ErrorCode() == code
}

// Between two questions that are asked again and again.
func pause() {
	select {
	case <-time.After(20 * time.Millisecond):
	case <-life.Done():
		fail("out of time")
	}
}

func create(stream string, shards int32) {
	done(client.CreateStream(life, &kinesis.CreateStreamInput{StreamName: &stream, ShardCount: &shards}))
	active(stream)
}

func active(stream string) {
	waiter := kinesis.NewStreamExistsWaiter(client, func(o *kinesis.StreamExistsWaiterOptions) { o.MinDelay = 50 * time.Millisecond })
	if err := waiter.Wait(life, &kinesis.DescribeStreamInput{StreamName: &stream}, 20*time.Second); err != nil {
		fail("%s does not become active: %v", stream, err)
	}
}

func remove(stream string) {
	done(client.DeleteStream(life, &kinesis.DeleteStreamInput{StreamName: &stream}))
	waiter := kinesis.NewStreamNotExistsWaiter(client, func(o *kinesis.StreamNotExistsWaiterOptions) { o.MinDelay = 50 * time.Millisecond })
	if err := waiter.Wait(life, &kinesis.DescribeStreamInput{StreamName: &stream}, 20*time.Second); err != nil {
		fail("%s does not go away: %v", stream, err)
	}
	_, err := client.DescribeStream(life, &kinesis.DescribeStreamInput{StreamName: &stream})
	refused("ResourceNotFoundException", err)
}

// All shards, in pages of so many: pages and shards.
func shards(stream string, page int32) (pages int, all []types.Shard) {
	input := &kinesis.ListShardsInput{StreamName: &stream, MaxResults: &page}
	for {
		answer := done(client.ListShards(life, input))
		must(len(answer.Shards) <= int(page), "a page of %d shards where at most %d were asked for", len(answer.Shards), page)
		pages, all = pages+1, append(all, answer.Shards...)
		if answer.NextToken == nil {
			return
		}
		input = &kinesis.ListShardsInput{NextToken: answer.NextToken, MaxResults: &page}
	}
}

func filtered(stream string, filter types.ShardFilterType) (ids []string) {
	answer := done(client.ListShards(life, &kinesis.ListShardsInput{StreamName: &stream, ShardFilter: &types.ShardFilter{Type: filter}}))
	for _, shard := range answer.Shards {
		ids = append(ids, *shard.ShardId)
	}
	return
}

func iterator(stream, shard string, kind types.ShardIteratorType, more ...func(*kinesis.GetShardIteratorInput)) *string {
	input := &kinesis.GetShardIteratorInput{StreamName: &stream, ShardId: &shard, ShardIteratorType: kind}
	for _, set := range more {
		set(input)
	}
	return done(client.GetShardIterator(life, input)).ShardIterator
}

// Debian's SDK closes the body of a request as soon as the answer's head is there, though net/http may not yet have seen that the body ends;
// it then takes the request for cut off and closes the connection ("use of closed network connection", also seen with AWS, and cured in
// SDKs of 2025). Answers on loopback are that fast in one of some hundred calls. So net/http gets bodies that stay.
type lastingBodies struct{ *awshttp.BuildableClient }

func (client lastingBodies) Do(request *http.Request) (*http.Response, error) {
	if request.Body != nil {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return nil, err
		}
		request.Body = io.NopCloser(bytes.NewReader(body))
	}
	return client.BuildableClient.Do(request)
}

func main() {
	defer end()
	scenes := map[string]func() map[string]any{"pipeline": pipeline, "iterators": iterators, "fan_out": fanOut, "errors": mistakes}
	must(len(os.Args) == 3 && scenes[os.Args[2]] != nil, "usage: life URL pipeline|iterators|fan_out|errors")
	// One attempt: an error that a second would hide is to be seen.
	settings := done(config.LoadDefaultConfig(life, config.WithRetryMaxAttempts(1)))
	client = kinesis.NewFromConfig(settings, func(o *kinesis.Options) {
		o.EndpointResolver = kinesis.EndpointResolverFromURL(os.Args[1])
		o.HTTPClient = lastingBodies{awshttp.NewBuildableClient()}
	})
	done(fmt.Println(string(done(json.Marshal(scenes[os.Args[2]]())))))
}

// What is asked wrongly, and the errors as this SDK types them.
func mistakes() map[string]any {
	stream, other, shard := "life-go-errors", "life-go-nothing", "shardId-000000000000"
	create(stream, 1)
	var inUse *types.ResourceInUseException
	_, err := client.CreateStream(life, &kinesis.CreateStreamInput{StreamName: &stream, ShardCount: aws.Int32(1)})
	refused("ResourceInUseException", err)
	must(errors.As(err, &inUse) && inUse.ErrorMessage() != "", "not typed: %v", err)
	var notFound *types.ResourceNotFoundException
	_, err = client.PutRecord(life, &kinesis.PutRecordInput{StreamName: &other, Data: []byte("x"), PartitionKey: aws.String("k")})
	refused("ResourceNotFoundException", err)
	must(errors.As(err, &notFound) && notFound.ErrorMessage() != "", "not typed: %v", err)
	_, err = client.GetShardIterator(life, &kinesis.GetShardIteratorInput{StreamName: &stream, ShardId: aws.String("shardId-000000004711"), ShardIteratorType: "LATEST"})
	refused("ResourceNotFoundException", err)
	_, err = client.DeleteStream(life, &kinesis.DeleteStreamInput{StreamName: &other})
	refused("ResourceNotFoundException", err)
	_, err = client.PutRecord(life, &kinesis.PutRecordInput{StreamName: &stream, Data: []byte("x"), PartitionKey: aws.String("")})
	refused("ValidationException", err)
	_, err = client.PutRecord(life, &kinesis.PutRecordInput{StreamName: aws.String("no blanks"), Data: []byte("x"), PartitionKey: aws.String("k")})
	refused("ValidationException", err)
	_, err = client.PutRecords(life, &kinesis.PutRecordsInput{StreamName: &stream, Records: make([]types.PutRecordsRequestEntry, 0)})
	refused("ValidationException", err)
	many := make([]types.PutRecordsRequestEntry, 501)
	for i := range many {
		many[i] = types.PutRecordsRequestEntry{Data: []byte("x"), PartitionKey: aws.String("k")}
	}
	_, err = client.PutRecords(life, &kinesis.PutRecordsInput{StreamName: &stream, Records: many})
	refused("ValidationException", err)
	_, err = client.GetRecords(life, &kinesis.GetRecordsInput{ShardIterator: aws.String("AAAA")})
	refused("InvalidArgumentException", err)
	_, err = client.GetRecords(life, &kinesis.GetRecordsInput{ShardIterator: iterator(stream, shard, "LATEST"), Limit: aws.Int32(10001)})
	refused("ValidationException", err)
	_, err = client.GetShardIterator(life, &kinesis.GetShardIteratorInput{StreamName: &stream, ShardId: &shard, ShardIteratorType: "AT_SEQUENCE_NUMBER",
		StartingSequenceNumber: aws.String("12345")})
	refused("InvalidArgumentException", err)
	_, err = client.GetShardIterator(life, &kinesis.GetShardIteratorInput{StreamName: &stream, ShardId: &shard, ShardIteratorType: "NEXT"})
	refused("ValidationException", err)
	_, err = client.SplitShard(life, &kinesis.SplitShardInput{StreamName: &stream, ShardToSplit: &shard, NewStartingHashKey: aws.String("0")})
	refused("InvalidArgumentException", err)
	_, err = client.ListShards(life, &kinesis.ListShardsInput{NextToken: aws.String("AAAA")})
	refused("InvalidArgumentException", err)
	// Nothing of it was stored.
	answer := done(client.GetRecords(life, &kinesis.GetRecordsInput{ShardIterator: iterator(stream, shard, "TRIM_HORIZON")}))
	must(len(answer.Records) == 0, "%d records of calls that were refused", len(answer.Records))
	remove(stream)
	return map[string]any{"ok": true}
}
