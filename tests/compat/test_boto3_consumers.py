"""Enhanced fan-out with boto3: consumers, and subscriptions to shards with all that may happen to them."""
import hashlib
import time

import boto3_case
from boto3_case import TAKEOVER_S, arn_of, box

ENDING_S = 10
# In which a subscription learns that its consumer is not registered any more.
DEREGISTERED_S = 15


def varint(number):
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def aggregate(records):
    """As the Kinesis Producer Library packs (key, data) into one record: a table of keys, records that name them by number, MD5."""
    def field(number, value):  # Of kind 2: bytes with their length before them; else a number.
        return varint(number << 3 | 2) + varint(len(value)) + value if isinstance(value, bytes) else varint(number << 3) + varint(value)
    keys = sorted({key for key, _ in records})
    packed = b"".join(field(1, key.encode()) for key in keys)
    packed += b"".join(field(3, field(1, keys.index(key)) + field(3, data)) for key, data in records)
    return b"\xf3\x89\x9a\xc2" + packed + hashlib.md5(packed).digest()


class Consumers(boto3_case.Case):
    def names(self, **more):
        return [each["ConsumerName"] for each in self.kinesis.list_stream_consumers(StreamARN=arn_of("quotes"), **more)["Consumers"]]

    def test_they_are_registered_described_listed_and_deregistered(self):
        self.create()
        made = self.kinesis.register_stream_consumer(StreamARN=arn_of("quotes"), ConsumerName="desk")["Consumer"]
        self.assertEqual(made["ConsumerName"], "desk")
        self.assertIn(made["ConsumerStatus"], ("CREATING", "ACTIVE"))
        epoch = int(made["ConsumerCreationTimestamp"].timestamp())
        self.assertEqual(made["ConsumerARN"], f"{arn_of('quotes')}/consumer/desk:{epoch}")
        self.assertLess(abs(time.time() - epoch), 60)
        by_arn = self.kinesis.describe_stream_consumer(ConsumerARN=made["ConsumerARN"])["ConsumerDescription"]
        self.assertEqual({name: by_arn[name] for name in made}, {**made, "ConsumerStatus": "ACTIVE"})
        self.assertEqual(by_arn["StreamARN"], arn_of("quotes"))
        self.assertEqual(self.kinesis.describe_stream_consumer(StreamARN=arn_of("quotes"), ConsumerName="desk")["ConsumerDescription"], by_arn)
        self.refused("ResourceInUseException", "desk", self.kinesis.register_stream_consumer, StreamARN=arn_of("quotes"), ConsumerName="desk")
        self.refused("ResourceNotFoundException", "not found", self.kinesis.register_stream_consumer, StreamARN=arn_of("nothing"), ConsumerName="desk")
        self.refused("InvalidArgumentException", "", self.kinesis.describe_stream_consumer, ConsumerName="desk")
        self.refused("InvalidArgumentException", "", self.kinesis.deregister_stream_consumer, StreamARN=arn_of("quotes"))
        self.assertEqual(self.kinesis.describe_stream_summary(StreamName="quotes")["StreamDescriptionSummary"]["ConsumerCount"], 1)
        self.register("another")
        self.assertEqual(self.names(), ["another", "desk"])
        self.kinesis.deregister_stream_consumer(ConsumerARN=made["ConsumerARN"])
        self.kinesis.deregister_stream_consumer(StreamARN=arn_of("quotes"), ConsumerName="another")
        self.assertEqual(self.names(), [])
        for name in ("desk", "another"):
            self.refused("ResourceNotFoundException", name, self.kinesis.describe_stream_consumer, StreamARN=arn_of("quotes"), ConsumerName=name)
            self.refused("ResourceNotFoundException", name, self.kinesis.deregister_stream_consumer, StreamARN=arn_of("quotes"), ConsumerName=name)
        # One that is made again under the name is another: the old ARN does not name it.
        while time.time() < epoch + 1.01:
            time.sleep(0.01)
        self.assertNotEqual(self.register("desk"), made["ConsumerARN"])
        self.refused("ResourceNotFoundException", "desk", self.kinesis.describe_stream_consumer, ConsumerARN=made["ConsumerARN"])
        self.refused("ResourceNotFoundException", "desk", self.kinesis.deregister_stream_consumer, ConsumerARN=made["ConsumerARN"])
        self.assertEqual(self.names(), ["desk"])

    def test_how_many_there_may_be_and_their_pages(self):
        self.create()
        wanted = [f"c{i:02}" for i in range(20)]
        for name in reversed(wanted):
            self.register(name)
        self.refused("LimitExceededException", "20", self.kinesis.register_stream_consumer, StreamARN=arn_of("quotes"), ConsumerName="one-more")
        self.assertEqual(self.names(), wanted)
        pages = [self.kinesis.list_stream_consumers(StreamARN=arn_of("quotes"), MaxResults=7)]
        while "NextToken" in pages[-1]:
            pages.append(self.kinesis.list_stream_consumers(StreamARN=arn_of("quotes"), MaxResults=7, NextToken=pages[-1]["NextToken"]))
        self.assertEqual([len(page["Consumers"]) for page in pages], [7, 7, 6])
        self.assertEqual([each["ConsumerName"] for page in pages for each in page["Consumers"]], wanted)
        paginator = self.kinesis.get_paginator("list_stream_consumers").paginate(StreamARN=arn_of("quotes"), PaginationConfig={"PageSize": 3})
        self.assertEqual([each["ConsumerName"] for page in paginator for each in page["Consumers"]], wanted)
        self.create("ticks")
        self.assertEqual(self.kinesis.list_stream_consumers(StreamARN=arn_of("ticks"))["Consumers"], [])
        for stream, token in (("quotes", "garbage"), ("quotes", "Z2FyYmFnZQ=="), ("ticks", pages[0]["NextToken"])):
            self.refused("InvalidArgumentException", "NextToken", self.kinesis.list_stream_consumers, StreamARN=arn_of(stream), NextToken=token)
        made = self.kinesis.describe_stream_summary(StreamName="quotes")["StreamDescriptionSummary"]["StreamCreationTimestamp"]
        self.assertEqual(self.names(StreamCreationTimestamp=made), wanted)
        self.refused("ResourceNotFoundException", "", self.kinesis.list_stream_consumers, StreamARN=arn_of("quotes"), StreamCreationTimestamp=1)
        # With a commitment to throughput there may be fifty.
        self.ok("UpdateAccountSettings", MinimumThroughputBillingCommitment={"Status": "ENABLED"})
        for i in range(20, 50):
            self.ok("RegisterStreamConsumer", StreamARN=arn_of("quotes"), ConsumerName=f"c{i}")
        self.refused("LimitExceededException", "50", self.kinesis.register_stream_consumer, StreamARN=arn_of("quotes"), ConsumerName="one-more")

    def test_a_stream_with_consumers_is_deleted_only_when_that_is_said(self):
        self.create()
        consumer = self.register()
        self.refused("ResourceInUseException", "", self.kinesis.delete_stream, StreamName="quotes")
        self.refused("ResourceInUseException", "", self.kinesis.delete_stream, StreamName="quotes", EnforceConsumerDeletion=False)
        self.kinesis.delete_stream(StreamName="quotes", EnforceConsumerDeletion=True)
        self.create()
        self.assertEqual(self.names(), [])
        self.refused("ResourceNotFoundException", "", self.kinesis.describe_stream_consumer, ConsumerARN=consumer)

    def test_what_is_not_there_is_said(self):
        self.create("quotes", 1)
        consumer = self.register()
        self.put(0, 5)
        for arn in (consumer[:-10] + "1234567890", consumer.replace("desk", "nobody"), consumer.replace("quotes", "nothing")):
            self.refused("ResourceNotFoundException", "not found", self.subscribe, consumer=arn, shard="shardId-000000000000")
        self.refused("ResourceNotFoundException", "shardId-000000004711", self.subscribe, consumer=consumer, shard="shardId-000000004711")
        status, answer = self.raw("SubscribeToShard", {"ConsumerARN": arn_of("quotes"), "ShardId": "shardId-000000000000", "StartingPosition": {"Type": "LATEST"}})
        self.assertEqual((status, answer["__type"]), (400, "ValidationException"), answer)
        for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
            self.refused("InvalidArgumentException", "", self.subscribe, consumer=consumer, shard="shardId-000000000000", kind=kind)
            self.refused("InvalidArgumentException", "did not come from this stream", self.subscribe, consumer=consumer, shard="shardId-000000000000", kind=kind,
                         SequenceNumber="12345")
        self.refused("InvalidArgumentException", "", self.subscribe, consumer=consumer, shard="shardId-000000000000", kind="AT_TIMESTAMP")
        self.refused("InvalidArgumentException", "cannot be greater than", self.subscribe, consumer=consumer, shard="shardId-000000000000", kind="AT_TIMESTAMP",
                     Timestamp=time.time() + 3600)
        # None of these has taken the shard: it is free.
        subscription = self.subscribe(consumer, "shardId-000000000000")
        self.assertEqual(self.numbers(subscription.take(5)), list(range(5)))

    def test_a_deregistered_one_that_is_idle_is_told_so(self):
        self.create("quotes", 1)
        consumer = self.register()
        subscription = self.subscribe(consumer, "shardId-000000000000")
        self.kinesis.deregister_stream_consumer(ConsumerARN=consumer)
        subscription.rest(DEREGISTERED_S)
        self.assertEqual(subscription.error, "ResourceNotFoundException")
        self.refused("ResourceNotFoundException", "not found", self.subscribe, consumer=consumer, shard="shardId-000000000000")

    def test_a_deregistered_one_that_is_reading_is_told_so(self):
        self.create("quotes", 1)
        consumer = self.register()
        subscription = self.subscribe(consumer, "shardId-000000000000")
        self.kinesis.deregister_stream_consumer(ConsumerARN=consumer)
        deadline = time.monotonic() + DEREGISTERED_S
        event = {}
        while event is not None and time.monotonic() < deadline:
            self.kinesis.put_record(StreamName="quotes", Data=b"x", PartitionKey="k")
            event = subscription.next()
        self.assertEqual(subscription.error, "ResourceNotFoundException")


class Subscriptions(boto3_case.Case):
    def check_children(self, event, parents, wanted):
        """Of a shard's last event: that they are there with parents and keys as ListShards tells them."""
        self.assertNotIn("ContinuationSequenceNumber", event)
        self.assertEqual(event["Records"], [])
        listed = {shard["ShardId"]: shard["HashKeyRange"] for shard in self.shards()}
        self.assertEqual({child["ShardId"]: child["HashKeyRange"] for child in event["ChildShards"]}, {name: listed[name] for name in wanted})
        for child in event["ChildShards"]:
            self.assertEqual(sorted(child["ParentShards"]), sorted(parents))

    def test_every_kind_of_start(self):
        self.create("quotes", 1)
        [shard] = [each["ShardId"] for each in self.shards()]
        numbers = [self.kinesis.put_record(StreamName="quotes", Data=b"%d" % i, PartitionKey="k")["SequenceNumber"] for i in range(5)]
        later = int(time.time()) + 1  # boto3 sends whole seconds.
        while time.time() < later + 0.01:
            time.sleep(0.01)
        numbers += [self.kinesis.put_record(StreamName="quotes", Data=b"%d" % i, PartitionKey="k")["SequenceNumber"] for i in range(5, 8)]

        def start(kind, **position):
            # Each with a consumer of its own: one has one subscription at a time.
            return self.subscribe(self.register(f"c{len(self.kinesis.list_stream_consumers(StreamARN=arn_of('quotes'))['Consumers'])}"), shard, kind, **position)
        for wanted, kind, position in (
                (range(8), "TRIM_HORIZON", {}), (range(3, 8), "AT_SEQUENCE_NUMBER", {"SequenceNumber": numbers[3]}),
                (range(4, 8), "AFTER_SEQUENCE_NUMBER", {"SequenceNumber": numbers[3]}), (range(5, 8), "AT_TIMESTAMP", {"Timestamp": later}),
                (range(8), "AT_TIMESTAMP", {"Timestamp": 1})):
            subscription = start(kind, **position)
            records = subscription.take(len(wanted))
            self.assertEqual((self.numbers(records), [each["SequenceNumber"] for each in records]), (list(wanted), numbers[wanted[0]:]), kind)
            self.assertEqual(subscription.last["MillisBehindLatest"], 0)
            self.assertEqual((records[0]["PartitionKey"], abs(time.time() - records[0]["ApproximateArrivalTimestamp"].timestamp()) < 60), ("k", True))
        latest, after = start("LATEST"), start("AFTER_SEQUENCE_NUMBER", SequenceNumber=numbers[-1])
        self.put(8, 3)
        self.assertEqual((self.numbers(latest.take(3)), self.numbers(after.take(3))), ([8, 9, 10], [8, 9, 10]))

    def test_many_records_of_several_shards_arrive_once_and_in_order(self):
        self.create("quotes", 3)
        consumer = self.register()
        sent = self.put(0, 6_000)
        subscriptions = {shard["ShardId"]: self.subscribe(consumer, shard["ShardId"]) for shard in self.shards()}
        behind, got = set(), {shard: [] for shard in subscriptions}

        def drain():
            for shard, subscription in subscriptions.items():
                while len(got[shard]) < len(sent[shard]):
                    event = subscription.next()
                    got[shard] += event["Records"]
                    behind.add(event["MillisBehindLatest"] > 0)
                    if event["Records"]:
                        self.assertGreaterEqual(int(event["ContinuationSequenceNumber"]), int(event["Records"][-1]["SequenceNumber"]))
                self.assertEqual(subscription.last["MillisBehindLatest"], 0)
        drain()
        for first in range(6_000, 12_000, 1_000):  # And while it is read.
            for shard, numbers in self.put(first, 1_000).items():
                sent[shard] += numbers
            drain()
        self.assertEqual({shard: self.numbers(records) for shard, records in got.items()}, sent)
        for shard, records in got.items():
            read, _ = self.read(self.iterator(shard))
            self.assertEqual([each["SequenceNumber"] for each in records], [each["SequenceNumber"] for each in read])
        self.assertIn(False, behind)

    def test_who_is_behind_is_told(self):
        self.create("quotes", 1)
        blob = bytes(500_000)
        for _ in range(12):
            self.kinesis.put_record(StreamName="quotes", Data=blob, PartitionKey="k")
        subscription = self.subscribe(self.register(), "shardId-000000000000")
        events = []
        while sum(len(event["Records"]) for event in events) < 12:
            events.append(subscription.next())
        self.assertGreater(events[0]["MillisBehindLatest"], 0)
        self.assertEqual(events[-1]["MillisBehindLatest"], 0)
        self.assertEqual({record["Data"] for event in events for record in event["Records"]}, {blob})

    def test_continuation_moves_while_idle_and_is_where_to_go_on(self):
        self.create("quotes", 1)
        shard, consumer = "shardId-000000000000", self.register()
        self.put(0, 10)
        first = self.subscribe(consumer, shard)
        self.assertEqual(self.numbers(first.take(10)), list(range(10)))
        continuations = [first.last["ContinuationSequenceNumber"]]
        for _ in range(2):
            idle = first.next()
            self.assertEqual((idle["Records"], idle["MillisBehindLatest"]), ([], 0))
            continuations.append(idle["ContinuationSequenceNumber"])
        moved = [int(number) for number in continuations]
        self.assertEqual(moved, sorted(set(moved)))
        # From each of them, and by both ways of naming it, what comes next is what comes next.
        self.put(10, 3)
        self.assertEqual(self.numbers(first.take(3)), [10, 11, 12])
        continuations.append(first.last["ContinuationSequenceNumber"])
        self.put(13, 3)
        for i, number in enumerate(continuations):
            for kind in ("AFTER_SEQUENCE_NUMBER", "AT_SEQUENCE_NUMBER"):
                wanted = list(range(13 if i == len(continuations) - 1 else 10, 16))
                again = self.subscribe(self.register(f"{kind}-{i}"), shard, kind, SequenceNumber=number)
                self.assertEqual(self.numbers(again.take(len(wanted))), wanted, (kind, i))
                self.assertEqual(self.numbers(self.read(self.iterator(shard, kind, StartingSequenceNumber=number))[0]), wanted, (kind, i))

    def check_takeover(self, one, other):
        """A consumer has one subscription to a shard; `one` and `other` are clients."""
        consumer, shard = self.register("taken"), "shardId-000000000000"
        first = self.subscribe(consumer, shard, client=one)
        begin = time.monotonic()
        self.assertEqual(self.numbers(first.take(10)), list(range(10)))
        for client in (one, other):
            self.refused("ResourceInUseException", consumer, self.subscribe, consumer=consumer, shard=shard, client=client)
        # The other shard is another matter, and so is another consumer.
        self.subscribe(consumer, "shardId-000000000001", client=other)
        self.subscribe(self.register("by-the-side", client=other), shard, client=other)
        self.assertLess(time.monotonic() - begin, TAKEOVER_S, "too slow to show anything")
        while time.monotonic() < begin + TAKEOVER_S + 0.2:
            time.sleep(0.05)
        second = self.subscribe(consumer, shard, "AFTER_SEQUENCE_NUMBER", client=other, SequenceNumber=first.last["ContinuationSequenceNumber"])
        self.kinesis.put_record(StreamName="quotes", Data=b"10", PartitionKey="k", ExplicitHashKey="0")
        self.assertEqual(self.numbers(second.take(1)), [10])
        self.assertEqual([record for event in first.rest(ENDING_S) for record in event["Records"]], [])
        self.assertEqual(first.error, "ResourceInUseException")

    def ten(self):
        self.create("quotes", 2)
        for i in range(10):
            self.kinesis.put_record(StreamName="quotes", Data=b"%d" % i, PartitionKey="k", ExplicitHashKey="0")

    def test_a_later_one_takes_over_after_five_seconds(self):
        self.ten()
        self.check_takeover(self.kinesis, self.kinesis)

    def test_takeover_from_another_gateway(self):
        self.ten()
        self.box.start_gateway()
        self.check_takeover(self.kinesis, self.client())

    def test_two_gateways_of_one_box(self):
        self.ten()
        self.box.start_gateway()
        other = self.client()
        self.assertNotEqual(other.meta.endpoint_url, self.kinesis.meta.endpoint_url)
        # Iterators and tokens of one are good at the other.
        iterator = self.iterator("shardId-000000000000")
        self.assertEqual(self.numbers(other.get_records(ShardIterator=iterator)["Records"]), list(range(10)))
        iterator = other.get_records(ShardIterator=iterator, Limit=4)["NextShardIterator"]
        self.assertEqual(self.numbers(self.kinesis.get_records(ShardIterator=iterator)["Records"]), list(range(4, 10)))
        token = self.kinesis.list_shards(StreamName="quotes", MaxResults=1)["NextToken"]
        self.assertEqual([shard["ShardId"] for shard in other.list_shards(NextToken=token)["Shards"]], ["shardId-000000000001"])
        # Who is ACTIVE at one may subscribe at the other at once, and who is not, may not.
        for name in ("one", "two", "three"):
            consumer = self.register(name)
            self.assertEqual(other.describe_stream_consumer(ConsumerARN=consumer)["ConsumerDescription"]["ConsumerStatus"], "ACTIVE")
            self.assertEqual(self.numbers(self.subscribe(consumer, "shardId-000000000000", client=other).take(10)), list(range(10)))
        other.deregister_stream_consumer(ConsumerARN=consumer)
        self.refused("ResourceNotFoundException", "", self.kinesis.describe_stream_consumer, ConsumerARN=consumer)
        self.refused("ResourceNotFoundException", "", self.subscribe, consumer=consumer, shard="shardId-000000000001")

    def test_a_split_and_a_merge_end_subscriptions_with_where_to_go_on(self):
        self.create("quotes", 1)
        [parent] = [shard["ShardId"] for shard in self.shards()]
        consumer = self.register()
        sent = self.put(0, 1_000)
        subscription = self.subscribe(consumer, parent)
        got = self.numbers(subscription.take(500))
        self.kinesis.split_shard(StreamName="quotes", ShardToSplit=parent, NewStartingHashKey=str(2**127))
        events = subscription.rest()
        got += self.numbers(record for event in events for record in event["Records"])
        self.assertEqual((got, subscription.error), (sent[parent], None))
        children = ["shardId-000000000001", "shardId-000000000002"]
        self.check_children(events[-1], [parent], children)
        self.assertTrue(all("ContinuationSequenceNumber" in event and not event.get("ChildShards") for event in events[:-1]))
        sent = self.put(1_000, 1_000)
        parted = {child: self.subscribe(consumer, child) for child in children}
        got = {child: self.numbers(parted[child].take(len(sent[child]))) for child in children}
        self.kinesis.merge_shards(StreamName="quotes", ShardToMerge=children[0], AdjacentShardToMerge=children[1])
        for child in children:
            events = parted[child].rest()
            got[child] += self.numbers(record for event in events for record in event["Records"])
            self.assertEqual((got[child], parted[child].error), (sent[child], None))
            self.check_children(events[-1], children, ["shardId-000000000003"])
        sent = self.put(2_000, 1_000)
        merged = self.subscribe(consumer, "shardId-000000000003")
        self.assertEqual(self.numbers(merged.take(1_000)), sent["shardId-000000000003"])
        # One that ended before anybody subscribed: its records, and where to go on. LATEST is its end.
        late = self.register("late")
        events = self.subscribe(late, parent).rest()
        self.assertEqual(self.numbers(record for event in events for record in event["Records"]), list(range(1_000)))
        self.check_children(events[-1], [parent], children)
        events = self.subscribe(late, children[0], "LATEST").rest()
        self.assertEqual([record for event in events for record in event["Records"]], [])
        self.check_children(events[-1], children, ["shardId-000000000003"])

    def test_a_deleted_stream_ends_its_subscriptions(self):
        self.create("quotes", 1)
        subscription = self.subscribe(self.register(), "shardId-000000000000")
        self.put(0, 10)
        self.assertEqual(self.numbers(subscription.take(10)), list(range(10)))
        self.kinesis.delete_stream(StreamName="quotes", EnforceConsumerDeletion=True)
        self.assertEqual([record for event in subscription.rest(ENDING_S) for record in event["Records"]], [])
        self.assertIn(subscription.error, (None, "ResourceNotFoundException"))

    def test_the_dataplane_dies_and_comes_back(self):
        self.create("quotes", 1)
        consumer = self.register()
        subscription = self.subscribe(consumer, "shardId-000000000000")
        self.put(0, 100)
        self.assertEqual(self.numbers(subscription.take(100)), list(range(100)))
        self.box.eagred.kill()
        self.box.start_eagred("--port", str(self.box.ports[0]))
        self.box.control.wait_for("agreed with the dataplane")
        self.put(100, 100)
        # It may end, as any connection may; then the client goes on where it was, and nothing is missing or there twice.
        goes_on = subscription.last["ContinuationSequenceNumber"]
        got = self.numbers(subscription.take(100))
        if len(got) < 100:
            if subscription.last is not None:
                goes_on = subscription.last["ContinuationSequenceNumber"]
            got += self.numbers(self.subscribe(consumer, "shardId-000000000000", "AFTER_SEQUENCE_NUMBER", SequenceNumber=goes_on).take(100 - len(got)))
        self.assertEqual(got, list(range(100, 200)))

    def test_aggregated_records_pass_byte_for_byte(self):
        self.create("quotes", 1)
        consumer = self.register()
        sent = [aggregate([(f"user-{i % 7}", bytes([i % 256]) * (i * 37 % 900)) for i in range(first, first + 200)]) for first in range(0, 1_000, 200)]
        self.assertEqual(len(sent[0]) > 16_384, True)  # Lengths of three bytes, too.
        for i, data in enumerate(sent):
            # The library's own choice: one user's key, or "a" with a hash of the shard.
            self.kinesis.put_record(StreamName="quotes", Data=data, PartitionKey="a", ExplicitHashKey=str(i * 2**100))
        self.kinesis.put_records(StreamName="quotes", Records=[{"Data": data, "PartitionKey": "a"} for data in sent])
        for records in (self.read(self.iterator("shardId-000000000000"))[0], self.subscribe(consumer, "shardId-000000000000").take(10)):
            self.assertEqual([record["Data"] for record in records], sent + sent)
            self.assertEqual({record["PartitionKey"] for record in records}, {"a"})


if __name__ == "__main__":
    box.main()
