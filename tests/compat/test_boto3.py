"""boto3 against the gateway, as anybody uses it: only the endpoint is ours."""
import hashlib
import os
import time

import boto3_case
from boto3_case import box, botocore


class Boto3(boto3_case.Case):
    def test_a_stream_is_made_described_and_deleted(self):
        self.create("quotes", 3)
        described = self.kinesis.describe_stream(StreamName="quotes")["StreamDescription"]
        self.assertEqual((described["StreamStatus"], described["RetentionPeriodHours"], described["HasMoreShards"]), ("ACTIVE", 24, False))
        self.assertEqual(described["StreamARN"], "arn:aws:kinesis:us-east-1:000000000000:stream/quotes")
        self.assertLess(abs(time.time() - described["StreamCreationTimestamp"].timestamp()), 60)
        self.assertEqual([shard["ShardId"] for shard in described["Shards"]], [f"shardId-{i:012}" for i in range(3)])
        ranges = [(int(shard["HashKeyRange"]["StartingHashKey"]), int(shard["HashKeyRange"]["EndingHashKey"])) for shard in described["Shards"]]
        self.assertEqual((ranges[0][0], ranges[-1][1]), (0, 2**128 - 1))
        for (_, ending), (starting, _) in zip(ranges, ranges[1:]):
            self.assertEqual(ending + 1, starting)
        summary = self.kinesis.describe_stream_summary(StreamName="quotes")["StreamDescriptionSummary"]
        self.assertEqual((summary["OpenShardCount"], summary["StreamModeDetails"]["StreamMode"]), (3, "PROVISIONED"))
        self.refused("ResourceInUseException", "Stream quotes under account 000000000000 already exists.", self.kinesis.create_stream,
                     StreamName="quotes", ShardCount=1)
        self.refused("LimitExceededException", "Current shard count for the account: 3. Limit: 500.", self.kinesis.create_stream,
                     StreamName="vast", ShardCount=498)
        self.create("ticks", 1)
        self.assertEqual(self.kinesis.list_streams()["StreamNames"], ["quotes", "ticks"])
        pages = list(self.kinesis.get_paginator("list_streams").paginate(PaginationConfig={"PageSize": 1}))
        self.assertEqual([name for page in pages for name in page["StreamNames"]], ["quotes", "ticks"])
        self.kinesis.delete_stream(StreamName="quotes")
        self.kinesis.get_waiter("stream_not_exists").wait(StreamName="quotes", WaiterConfig={"Delay": 1, "MaxAttempts": 10})
        self.refused("ResourceNotFoundException", "Stream quotes under account 000000000000 not found.", self.kinesis.describe_stream,
                     StreamName="quotes")
        self.refused("ResourceNotFoundException", "not found", self.kinesis.put_record, StreamName="quotes", Data=b"x", PartitionKey="k")
        limits = self.kinesis.describe_limits()
        self.assertEqual((limits["ShardLimit"], limits["OpenShardCount"]), (500, 1))

    def test_records_come_back_as_they_were_put(self):
        self.create()
        put = []
        for i, data in enumerate([b"", b"\x00\xff" * 500, "grün".encode(), bytes(1024 * 1024 - 16)]):
            answer = self.kinesis.put_record(StreamName="quotes", Data=data, PartitionKey=f"schlüssel-{i}")
            put.append((answer["ShardId"], answer["SequenceNumber"], f"schlüssel-{i}", data))
            self.assertEqual(len(answer["SequenceNumber"]), 56)
        got = []
        for shard in self.shards():
            for record in self.read(self.iterator(shard["ShardId"]))[0]:
                got.append((shard["ShardId"], record["SequenceNumber"], record["PartitionKey"], record["Data"]))
                self.assertLess(abs(time.time() - record["ApproximateArrivalTimestamp"].timestamp()), 60)
        self.assertEqual(sorted(got), sorted(put))
        # Where a key goes is AWS's own arithmetic.
        for shard_id, _, key, _ in put:
            hashed = int(hashlib.md5(key.encode()).hexdigest(), 16)
            ranges = {shard["ShardId"]: shard["HashKeyRange"] for shard in self.shards()}
            self.assertTrue(int(ranges[shard_id]["StartingHashKey"]) <= hashed <= int(ranges[shard_id]["EndingHashKey"]))
        explicit = self.kinesis.put_record(StreamName="quotes", Data=b"x", PartitionKey="k", ExplicitHashKey=str(2**128 - 1))
        self.assertEqual(explicit["ShardId"], self.shards()[-1]["ShardId"])

    def test_many_records_keep_their_order(self):
        self.create("quotes", 4)
        keys, sent, number = [f"key-{i}" for i in range(50)], {}, 0
        while number < 10_000:
            batch = [{"Data": b"%d" % (number + i), "PartitionKey": keys[(number + i) * 7 % 50]} for i in range(500)]
            answer = self.kinesis.put_records(StreamName="quotes", Records=batch)
            self.assertEqual((answer["FailedRecordCount"], len(answer["Records"])), (0, 500))
            last = {}
            for record, outcome in zip(batch, answer["Records"]):
                sent.setdefault(record["PartitionKey"], []).append(int(record["Data"]))
                # Within one call, too, order per shard is kept.
                self.assertGreater(int(outcome["SequenceNumber"]), last.get(outcome["ShardId"], 0))
                last[outcome["ShardId"]] = int(outcome["SequenceNumber"])
            number += 500
        got = {}
        for shard in self.shards():
            records, _ = self.read(self.iterator(shard["ShardId"]), Limit=700)
            numbers = [int(record["SequenceNumber"]) for record in records]
            self.assertEqual(numbers, sorted(set(numbers)))
            for record in records:
                got.setdefault(record["PartitionKey"], []).append(int(record["Data"]))
        self.assertEqual(got, sent)

    def test_every_kind_of_iterator(self):
        self.create("quotes", 1)
        [shard] = [each["ShardId"] for each in self.shards()]
        numbers = [self.kinesis.put_record(StreamName="quotes", Data=b"%d" % i, PartitionKey="k")["SequenceNumber"] for i in range(5)]
        later = int(time.time()) + 1  # boto3 sends whole seconds.
        while time.time() < later + 0.01:
            time.sleep(0.01)
        numbers += [self.kinesis.put_record(StreamName="quotes", Data=b"%d" % i, PartitionKey="k")["SequenceNumber"] for i in range(5, 8)]

        def data(iterator):
            return [int(record["Data"]) for record in self.read(iterator)[0]]
        self.assertEqual(data(self.iterator(shard)), list(range(8)))
        self.assertEqual(data(self.iterator(shard, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[3])), [3, 4, 5, 6, 7])
        self.assertEqual(data(self.iterator(shard, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[3])), [4, 5, 6, 7])
        self.assertEqual(data(self.iterator(shard, "AT_TIMESTAMP", Timestamp=later)), [5, 6, 7])
        self.assertEqual(data(self.iterator(shard, "AT_TIMESTAMP", Timestamp=1)), list(range(8)))
        latest = self.iterator(shard, "LATEST")
        self.assertEqual(data(latest), [])
        self.kinesis.put_record(StreamName="quotes", Data=b"8", PartitionKey="k")
        self.assertEqual(data(latest), [8])  # It may be used again.
        # A limit that cut the answer shows in MillisBehindLatest.
        cut = self.kinesis.get_records(ShardIterator=self.iterator(shard), Limit=3)
        self.assertEqual(len(cut["Records"]), 3)
        self.assertGreater(cut["MillisBehindLatest"], 0)
        self.assertEqual(data(cut["NextShardIterator"]), list(range(3, 9)))
        self.refused("InvalidArgumentException", "Invalid ShardIterator.", self.kinesis.get_records, ShardIterator="AAAA")
        forged = latest[:-8] + ("A" if latest[-8] != "A" else "B") + latest[-7:]
        self.refused("InvalidArgumentException", "Invalid ShardIterator.", self.kinesis.get_records, ShardIterator=forged)
        self.refused("InvalidArgumentException", "did not come from this stream", self.iterator, shard=shard, kind="AT_SEQUENCE_NUMBER",
                     StartingSequenceNumber="12345")
        self.refused("ResourceNotFoundException", "Shard shardId-000000004711 in stream quotes under account", self.iterator,
                     shard="shardId-000000004711")
        self.refused("InvalidArgumentException", "cannot be greater than the currentTimestampInMillis", self.iterator, shard=shard,
                     kind="AT_TIMESTAMP", Timestamp=time.time() + 3600)

    def test_splits_and_merges_are_told_to_readers(self):
        self.create("quotes", 1)
        [parent] = self.shards()
        before = [self.kinesis.put_record(StreamName="quotes", Data=b"%d" % i, PartitionKey=f"k{i}")["SequenceNumber"] for i in range(20)]
        self.refused("InvalidArgumentException", "", self.kinesis.split_shard, StreamName="quotes", ShardToSplit=parent["ShardId"], NewStartingHashKey="0")
        self.kinesis.split_shard(StreamName="quotes", ShardToSplit=parent["ShardId"], NewStartingHashKey=str(2**127))
        children = [shard for shard in self.shards() if shard.get("ParentShardId") == parent["ShardId"]]
        self.assertEqual([child["ShardId"] for child in children], ["shardId-000000000001", "shardId-000000000002"])
        [closed] = [shard for shard in self.shards() if shard["ShardId"] == parent["ShardId"]]
        self.assertEqual(closed["SequenceNumberRange"]["EndingSequenceNumber"], before[-1])
        after = self.kinesis.put_record(StreamName="quotes", Data=b"20", PartitionKey="k0")
        self.assertIn(after["ShardId"], [child["ShardId"] for child in children])
        self.assertGreater(int(after["SequenceNumber"]), int(before[-1]))
        records, last = self.read(self.iterator(parent["ShardId"]))
        self.assertEqual([int(record["Data"]) for record in records], list(range(20)))
        # The end of a closed shard: no iterator, and who goes on.
        while "NextShardIterator" in last:
            last = self.kinesis.get_records(ShardIterator=last["NextShardIterator"])
        self.assertEqual({child["ShardId"] for child in last["ChildShards"]}, {child["ShardId"] for child in children})
        self.assertEqual(last["ChildShards"][0]["ParentShards"], [parent["ShardId"]])
        self.kinesis.merge_shards(StreamName="quotes", ShardToMerge=children[0]["ShardId"], AdjacentShardToMerge=children[1]["ShardId"])
        [merged] = self.shards(ShardFilter={"Type": "AT_LATEST"})
        self.assertEqual({merged["ParentShardId"], merged["AdjacentParentShardId"]}, {child["ShardId"] for child in children})
        self.assertEqual([shard["ShardId"] for shard in self.shards(ShardFilter={"Type": "AT_TRIM_HORIZON"})], [parent["ShardId"]])
        scaled = self.kinesis.update_shard_count(StreamName="quotes", TargetShardCount=2, ScalingType="UNIFORM_SCALING")
        self.assertEqual((scaled["CurrentShardCount"], scaled["TargetShardCount"]), (1, 2))
        self.assertEqual(len(self.shards(ShardFilter={"Type": "AT_LATEST"})), 2)
        pages = [self.kinesis.list_shards(StreamName="quotes", MaxResults=2)]
        while "NextToken" in pages[-1]:
            pages.append(self.kinesis.list_shards(NextToken=pages[-1]["NextToken"], MaxResults=2))
        self.assertEqual([shard["ShardId"] for page in pages for shard in page["Shards"]], [shard["ShardId"] for shard in self.shards()])
        self.assertEqual(len(pages), 3)
        self.refused("InvalidArgumentException", "NextToken and StreamName cannot be provided together.", self.kinesis.list_shards,
                     StreamName="quotes", NextToken=pages[0]["NextToken"])
        self.refused("LimitExceededException", "at most double", self.kinesis.update_shard_count, StreamName="quotes", TargetShardCount=5,
                     ScalingType="UNIFORM_SCALING")

    def test_shards_keep_their_names_when_the_catalogue_is_lost(self):
        self.create("first", 2)
        self.create("quotes", 2)
        self.kinesis.split_shard(StreamName="quotes", ShardToSplit="shardId-000000000001", NewStartingHashKey=str(3 * 2**126))
        before = self.shards()
        self.assertEqual([shard["ShardId"] for shard in before], [f"shardId-{i:012}" for i in range(4)])
        self.box.control.stop()
        self.box.eagred.kill()
        for name in os.listdir(self.box.data):
            if name.startswith("catalog.sqlite"):
                os.remove(self.box.path(name))
        self.box.start_eagred("--port", str(self.box.ports[0]))
        self.box.start_control().wait_for("agreed with the dataplane")
        self.assertEqual(self.shards(), before)
        self.kinesis.merge_shards(StreamName="quotes", ShardToMerge="shardId-000000000000", AdjacentShardToMerge="shardId-000000000002")
        self.assertEqual([shard["ShardId"] for shard in self.shards(ShardFilter={"Type": "AT_LATEST"})], ["shardId-000000000003", "shardId-000000000004"])

    def test_retention_tags_and_record_size(self):
        self.create("quotes", 1)
        arn = self.kinesis.describe_stream_summary(StreamName="quotes")["StreamDescriptionSummary"]["StreamARN"]
        self.kinesis.increase_stream_retention_period(StreamName="quotes", RetentionPeriodHours=48)
        self.assertEqual(self.kinesis.describe_stream(StreamName="quotes")["StreamDescription"]["RetentionPeriodHours"], 48)
        self.refused("InvalidArgumentException", "can not be shorter", self.kinesis.increase_stream_retention_period, StreamName="quotes",
                     RetentionPeriodHours=30)
        self.kinesis.decrease_stream_retention_period(StreamName="quotes", RetentionPeriodHours=24)
        self.refused("InvalidArgumentException", "Minimum allowed retention period is 24 hours", self.kinesis.decrease_stream_retention_period,
                     StreamName="quotes", RetentionPeriodHours=23)
        self.kinesis.add_tags_to_stream(StreamName="quotes", Tags={"team": "desk", "cost": "7"})
        self.kinesis.remove_tags_from_stream(StreamName="quotes", TagKeys=["cost", "nothing"])
        tagged = self.kinesis.list_tags_for_stream(StreamName="quotes")
        self.assertEqual((tagged["Tags"], tagged["HasMoreTags"]), ([{"Key": "team", "Value": "desk"}], False))
        on_demand = {"StreamMode": "ON_DEMAND"}
        self.kinesis.create_stream(StreamName="auto", StreamModeDetails=on_demand)
        summary = self.kinesis.describe_stream_summary(StreamName="auto")["StreamDescriptionSummary"]
        self.assertEqual((summary["StreamModeDetails"], summary["OpenShardCount"]), (on_demand, 4))
        self.assertEqual(self.kinesis.list_tags_for_stream(StreamName="auto")["Tags"], [])
        if not hasattr(self.kinesis, "update_max_record_size"):
            return  # Debian's botocore is older than these.
        self.kinesis.tag_resource(ResourceARN=arn, Tags={"cost": "8"})
        self.assertEqual(self.kinesis.list_tags_for_resource(ResourceARN=arn)["Tags"], [{"Key": "cost", "Value": "8"}, {"Key": "team", "Value": "desk"}])
        self.kinesis.untag_resource(ResourceARN=arn, TagKeys=["cost"])
        self.refused("InvalidArgumentException", "limit of 1048576 bytes", self.kinesis.put_record, StreamName="quotes", Data=bytes(2 << 20),
                     PartitionKey="k")
        self.kinesis.update_max_record_size(StreamARN=arn, MaxRecordSizeInKiB=4096)
        self.kinesis.put_record(StreamARN=arn, Data=bytes(2 << 20), PartitionKey="k")

    def test_a_stream_by_its_arn(self):
        self.create("quotes", 1)
        arn = "arn:aws:kinesis:us-east-1:000000000000:stream/quotes"
        try:
            self.kinesis.put_record(StreamARN=arn, Data=b"x", PartitionKey="k")
        except botocore.exceptions.ParamValidationError:
            return  # Debian's boto3 is older than StreamARN.
        self.refused("InvalidArgumentException", "don't name one stream", self.kinesis.put_record, StreamARN=arn, StreamName="other", Data=b"x",
                     PartitionKey="k")
        self.refused("InvalidArgumentException", "Either StreamName or StreamARN", self.kinesis.describe_stream)

    def test_what_is_not_there_is_said(self):
        self.create("quotes", 1)
        self.refused("NotAvailableException", "not available", self.kinesis.start_stream_encryption, StreamName="quotes", EncryptionType="KMS",
                     KeyId="alias/aws/kinesis")

    def test_the_dataplane_dies_and_comes_back(self):
        self.create("quotes", 1)
        self.kinesis.put_record(StreamName="quotes", Data=b"before", PartitionKey="k")
        [shard] = self.shards()
        self.box.eagred.kill()
        self.box.start_eagred("--port", str(self.box.ports[0]))
        self.box.control.wait_for("agreed with the dataplane")
        # The producer sends again what was not answered: this one waits for the box and is stored.
        self.kinesis.put_record(StreamName="quotes", Data=b"after", PartitionKey="k")
        self.assertEqual([record["Data"] for record in self.read(self.iterator(shard["ShardId"]))[0]], [b"before", b"after"])


if __name__ == "__main__":
    box.main()
