"""What the tests with boto3 share: a box with a gateway, a client of it, subscriptions read event by event, and raw JSON for what the
installed model does not have yet."""
import http.client
import json
import os
import time
import unittest
import urllib.parse

import gateway
from gateway import box

try:
    import boto3
    import botocore
    import botocore.config
    import botocore.exceptions
except ImportError:
    boto3 = botocore = None

os.environ.update(gateway.CREDENTIALS)
ACCOUNT = "000000000000"
WAIT_S = 30
# A consumer's subscription to a shard is taken over by a later one, but not within this time.
TAKEOVER_S = 5


def arn_of(stream):
    return f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{stream}"


def client_of(url):
    config = botocore.config.Config(retries={"max_attempts": 1}, read_timeout=20, connect_timeout=5, max_pool_connections=50)
    return boto3.client("kinesis", endpoint_url=url, config=config)


class Subscription:
    """SubscribeToShard, read event by event as they are asked for. `error`: the code of the exception that ended it."""

    def __init__(self, client, consumer, shard, kind="TRIM_HORIZON", **position):
        self.stream = client.subscribe_to_shard(ConsumerARN=consumer, ShardId=shard, StartingPosition={"Type": kind, **position})["EventStream"]
        self.iterator, self.last, self.error = iter(self.stream), None, None

    def next(self):
        """None: it is over."""
        try:
            event = next(self.iterator, None)
        except botocore.exceptions.EventStreamError as error:
            self.error = error.response["Error"]["Code"]
            event = None
        if event is not None:
            self.last = event["SubscribeToShardEvent"]
            return self.last
        return None

    def take(self, count):
        """The next `count` records, or those up to its end."""
        records = []
        while len(records) < count and (event := self.next()) is not None:
            records += event["Records"]
        return records

    def rest(self, within_s=WAIT_S):
        """All events up to its end. An idle one has events, too: this sees that it goes on."""
        events, deadline = [], time.monotonic() + within_s
        while (event := self.next()) is not None:
            events.append(event)
            assert time.monotonic() < deadline, f"it goes on after {within_s} s"
        return events

    def close(self):
        self.stream.close()


class Case(unittest.TestCase):
    def setUp(self):
        if boto3 is None:
            self.skipTest("boto3 is not installed (tools/setup)")
        self.box = gateway.Gateway().__enter__()
        self.addCleanup(self.box.__exit__)
        self.box.start()
        self.kinesis = self.client()

    def client(self):
        """Of the gateway that was started last."""
        client = client_of(self.box.url)
        self.addCleanup(client.close)
        return client

    def refused(self, code, words, call, **arguments):
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(**arguments)
        error = caught.exception.response["Error"]
        self.assertEqual(error["Code"], code, error)
        self.assertIn(words, error["Message"])

    def raw(self, operation, body, url=None):
        """(status, answer): what boto3's model may lack, as it would send it."""
        address = urllib.parse.urlsplit(url or self.box.url)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
        try:
            connection.request("POST", "/", json.dumps(body), {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Kinesis_20131202." + operation})
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else {}
        finally:
            connection.close()

    def ok(self, operation, **body):
        status, answer = self.raw(operation, body)
        self.assertEqual(status, 200, (operation, answer))
        return answer

    def fault(self, kind, operation, **body):
        status, answer = self.raw(operation, body)
        self.assertEqual((status, answer.get("__type")), (400, kind), (operation, body, answer))
        return answer.get("message", "")

    def create(self, name="quotes", shards=2):
        self.kinesis.create_stream(StreamName=name, ShardCount=shards)
        self.kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 10})

    def shards(self, name="quotes", **more):
        return self.kinesis.list_shards(StreamName=name, **more)["Shards"]

    def iterator(self, shard, kind="TRIM_HORIZON", name="quotes", **more):
        return self.kinesis.get_shard_iterator(StreamName=name, ShardId=shard, ShardIteratorType=kind, **more)["ShardIterator"]

    def read(self, iterator, **more):
        """Everything from there to the tail, or to the end of a closed shard: (records, the last answer)."""
        records, answer = [], None
        while iterator:
            answer = self.kinesis.get_records(ShardIterator=iterator, **more)
            records += answer["Records"]
            iterator = answer.get("NextShardIterator")
            if answer["MillisBehindLatest"] == 0:
                break
        return records, answer

    def put(self, first, count, keys=20, name="quotes"):
        """Numbered records; those of a key are stored in order. {shard: [number, ...]}, as the shard has them."""
        there, last = {}, {}
        for begin in range(first, first + count, 500):
            numbers = range(begin, min(begin + 500, first + count))
            answer = self.kinesis.put_records(StreamName=name, Records=[{"Data": b"%d" % i, "PartitionKey": f"k{i % keys}"} for i in numbers])
            self.assertEqual(answer["FailedRecordCount"], 0)
            for number, outcome in zip(numbers, answer["Records"]):
                sequence = int(outcome["SequenceNumber"])
                self.assertGreater(sequence, last.get(number % keys, 0))
                last[number % keys] = sequence
                there.setdefault(outcome["ShardId"], []).append((sequence, number))
        return {shard: [number for _, number in sorted(records)] for shard, records in there.items()}

    def register(self, consumer="desk", stream="quotes", client=None):
        """Its ARN, when it is ACTIVE."""
        arn = (client or self.kinesis).register_stream_consumer(StreamARN=arn_of(stream), ConsumerName=consumer)["Consumer"]["ConsumerARN"]
        deadline = time.monotonic() + WAIT_S
        while self.kinesis.describe_stream_consumer(ConsumerARN=arn)["ConsumerDescription"]["ConsumerStatus"] != "ACTIVE":
            self.assertLess(time.monotonic(), deadline)
        return arn

    def subscribe(self, consumer, shard, kind="TRIM_HORIZON", client=None, **position):
        subscription = Subscription(client or self.kinesis, consumer, shard, kind, **position)
        self.addCleanup(subscription.close)
        return subscription

    def numbers(self, records):
        return [int(record["Data"]) for record in records]
