"""What is set on streams, consumers and the account, with boto3 or, where its model is older than the operation, with raw JSON; and the
filters of ListShards, by which readers find where to begin."""
import base64
import json
import time

import boto3_case
from boto3_case import ACCOUNT, arn_of, box

METRICS = {"IncomingBytes", "IncomingRecords", "OutgoingBytes", "OutgoingRecords", "WriteProvisionedThroughputExceeded",
           "ReadProvisionedThroughputExceeded", "IteratorAgeMilliseconds"}
TOKEN_MS = 300_000
BLOB = base64.b64encode(b"x").decode()


def policy(resource, action="kinesis:GetRecords", **more):
    statement = {"Sid": "one", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": [action], "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Settings(boto3_case.Case):
    def summary(self, name="quotes"):
        return self.ok("DescribeStreamSummary", StreamName=name)["StreamDescriptionSummary"]

    def commit(self, status="ENABLED"):
        return self.ok("UpdateAccountSettings", MinimumThroughputBillingCommitment={"Status": status})["MinimumThroughputBillingCommitment"]

    def tags(self, arn):
        return {tag["Key"]: tag["Value"] for tag in self.ok("ListTagsForResource", ResourceARN=arn)["Tags"]}

    def test_modes(self):
        self.create("quotes", 2)
        arn = arn_of("quotes")
        self.kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
        summary = self.summary()
        self.assertEqual((summary["StreamModeDetails"], summary["OpenShardCount"], summary["StreamStatus"]), ({"StreamMode": "ON_DEMAND"}, 2, "ACTIVE"))
        self.assertEqual(self.kinesis.describe_stream(StreamName="quotes")["StreamDescription"]["StreamModeDetails"], {"StreamMode": "ON_DEMAND"})
        self.assertEqual(self.ok("ListStreams")["StreamSummaries"][0]["StreamModeDetails"], {"StreamMode": "ON_DEMAND"})
        self.refused("ValidationException", "ON_DEMAND", self.kinesis.update_shard_count, StreamName="quotes", TargetShardCount=4, ScalingType="UNIFORM_SCALING")
        self.put(0, 100)
        self.kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "PROVISIONED"})
        self.assertEqual(self.summary()["StreamModeDetails"], {"StreamMode": "PROVISIONED"})
        self.kinesis.update_shard_count(StreamName="quotes", TargetShardCount=4, ScalingType="UNIFORM_SCALING")
        self.assertEqual(self.summary()["OpenShardCount"], 4)
        self.refused("ResourceNotFoundException", "nothing", self.kinesis.update_stream_mode, StreamARN=arn_of("nothing"),
                     StreamModeDetails={"StreamMode": "ON_DEMAND"})
        self.fault("ValidationException", "UpdateStreamMode", StreamARN=arn, StreamModeDetails={"StreamMode": "SOMETIMES"})
        self.fault("ValidationException", "UpdateStreamMode", StreamARN=arn)
        self.fault("ValidationException", "UpdateStreamMode", StreamModeDetails={"StreamMode": "ON_DEMAND"})

    def test_enhanced_monitoring(self):
        self.create()

        def change(call, *metrics):
            answer = call(StreamName="quotes", ShardLevelMetrics=list(metrics))
            self.assertEqual(answer["StreamName"], "quotes")
            [told] = self.kinesis.describe_stream(StreamName="quotes")["StreamDescription"]["EnhancedMonitoring"]
            self.assertEqual(sorted(told["ShardLevelMetrics"]), sorted(answer["DesiredShardLevelMetrics"]))
            self.assertEqual(self.summary()["EnhancedMonitoring"], [told])
            return set(answer["CurrentShardLevelMetrics"]), set(answer["DesiredShardLevelMetrics"])
        enable, disable = self.kinesis.enable_enhanced_monitoring, self.kinesis.disable_enhanced_monitoring
        [told] = self.summary()["EnhancedMonitoring"]
        self.assertEqual(told, {"ShardLevelMetrics": []})
        self.assertEqual(change(enable, "IncomingBytes", "OutgoingBytes"), (set(), {"IncomingBytes", "OutgoingBytes"}))
        self.assertEqual(change(enable, "IncomingBytes"), ({"IncomingBytes", "OutgoingBytes"}, {"IncomingBytes", "OutgoingBytes"}))
        self.assertEqual(change(disable, "OutgoingBytes"), ({"IncomingBytes", "OutgoingBytes"}, {"IncomingBytes"}))
        self.assertEqual(change(disable, "OutgoingBytes"), ({"IncomingBytes"}, {"IncomingBytes"}))
        self.assertEqual(change(enable, "ALL"), ({"IncomingBytes"}, METRICS))
        self.assertEqual(change(disable, "ALL"), (METRICS, set()))
        self.fault("ValidationException", "EnableEnhancedMonitoring", StreamName="quotes", ShardLevelMetrics=["Weather"])
        self.fault("ValidationException", "EnableEnhancedMonitoring", StreamName="quotes", ShardLevelMetrics=[])
        self.refused("ResourceNotFoundException", "nothing", enable, StreamName="nothing", ShardLevelMetrics=["ALL"])

    def test_how_large_records_may_be(self):
        self.create()
        arn = arn_of("quotes")
        large = {"StreamName": "quotes", "PartitionKey": "k", "Data": base64.b64encode(bytes(2 << 20)).decode()}
        self.assertEqual(self.summary()["MaxRecordSizeInKiB"], 1024)
        self.fault("InvalidArgumentException", "PutRecord", **large)
        self.ok("UpdateMaxRecordSize", StreamARN=arn, MaxRecordSizeInKiB=4096)
        self.assertEqual(self.summary()["MaxRecordSizeInKiB"], 4096)
        self.ok("PutRecord", **large)
        self.ok("UpdateMaxRecordSize", StreamARN=arn, MaxRecordSizeInKiB=1024)
        self.fault("InvalidArgumentException", "PutRecord", **large)
        for size in (1023, 10241):
            self.fault("ValidationException", "UpdateMaxRecordSize", StreamARN=arn, MaxRecordSizeInKiB=size)
        self.fault("ResourceNotFoundException", "UpdateMaxRecordSize", StreamARN=arn_of("nothing"), MaxRecordSizeInKiB=2048)
        self.ok("CreateStream", StreamName="large", ShardCount=1, MaxRecordSizeInKiB=4096)
        self.assertEqual(self.summary("large")["MaxRecordSizeInKiB"], 4096)
        self.ok("PutRecord", **{**large, "StreamName": "large"})

    def test_the_account_and_warm_throughput(self):
        self.assertEqual(self.ok("DescribeAccountSettings")["MinimumThroughputBillingCommitment"]["Status"], "DISABLED")
        self.create("quotes", 3)
        self.kinesis.create_stream(StreamName="auto", StreamModeDetails={"StreamMode": "ON_DEMAND"})
        limits = self.kinesis.describe_limits()
        self.assertEqual([limits[name] for name in ("ShardLimit", "OpenShardCount", "OnDemandStreamCount", "OnDemandStreamCountLimit")], [500, 7, 1, 50])
        warm = {"StreamARN": arn_of("auto"), "WarmThroughputMiBps": 100}
        self.fault("ValidationException", "UpdateStreamWarmThroughput", **warm)
        begin = time.time()
        enabled = self.commit()
        self.assertEqual(enabled["Status"], "ENABLED")
        self.assertTrue(begin - 1 < enabled["StartedAt"] < time.time() + 1, enabled)
        self.assertEqual(self.ok("DescribeAccountSettings")["MinimumThroughputBillingCommitment"], enabled)
        self.assertEqual(self.commit(), enabled)  # Twice is once.
        answer = self.ok("UpdateStreamWarmThroughput", **warm)
        self.assertEqual((answer["StreamARN"], answer["StreamName"], answer["WarmThroughput"]["TargetMiBps"]), (arn_of("auto"), "auto", 100))
        self.assertEqual(self.summary("auto")["WarmThroughput"]["TargetMiBps"], 100)
        self.fault("ValidationException", "UpdateStreamWarmThroughput", StreamName="quotes", WarmThroughputMiBps=100)
        self.fault("ResourceNotFoundException", "UpdateStreamWarmThroughput", StreamName="nothing", WarmThroughputMiBps=100)
        self.ok("UpdateStreamMode", StreamARN=arn_of("quotes"), StreamModeDetails={"StreamMode": "ON_DEMAND"}, WarmThroughputMiBps=50)
        self.assertEqual(self.summary()["WarmThroughput"]["TargetMiBps"], 50)
        self.ok("CreateStream", StreamName="warm", StreamModeDetails={"StreamMode": "ON_DEMAND"}, WarmThroughputMiBps=10)
        self.assertEqual(self.summary("warm")["WarmThroughput"]["TargetMiBps"], 10)
        self.fault("ValidationException", "UpdateAccountSettings", MinimumThroughputBillingCommitment={"Status": "PERHAPS"})
        self.fault("ValidationException", "UpdateAccountSettings")
        if not hasattr(self.kinesis, "update_account_settings"):
            return  # Debian's botocore is older than these.
        self.assertEqual(self.kinesis.describe_account_settings()["MinimumThroughputBillingCommitment"]["Status"], "ENABLED")
        disabled = self.kinesis.update_account_settings(MinimumThroughputBillingCommitment={"Status": "DISABLED"})
        self.assertEqual(disabled["MinimumThroughputBillingCommitment"]["Status"], "DISABLED")

    def test_resource_policies(self):
        self.create()
        consumer = self.register()
        for arn in (arn_of("quotes"), consumer):
            self.fault("ResourceNotFoundException", "GetResourcePolicy", ResourceARN=arn)
            self.fault("ResourceNotFoundException", "DeleteResourcePolicy", ResourceARN=arn)
            for text in (policy(arn), policy(arn, "kinesis:SubscribeToShard", Effect="Deny", Principal="*")):
                self.ok("PutResourcePolicy", ResourceARN=arn, Policy=text)
                self.assertEqual(self.ok("GetResourcePolicy", ResourceARN=arn)["Policy"], text)
            for bad in ("", "{", "[]", "null", "{}", '{"Statement": []}', '{"Statement": [7]}', policy(arn, "s3:GetObject"), policy(arn, Effect="Perhaps"),
                        policy(arn, Action=[]), policy(arn, Principal={"Federated": "x"}), policy(arn, NotAction="kinesis:GetRecords"),
                        json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kinesis:*", "Resource": "*"}]}),
                        policy(arn, Sid="x" * 30_000)):
                self.fault("InvalidArgumentException", "PutResourcePolicy", ResourceARN=arn, Policy=bad)
            self.assertEqual(self.ok("GetResourcePolicy", ResourceARN=arn)["Policy"], text)
        # Each has its own, and a consumer's goes with it.
        self.ok("DeleteResourcePolicy", ResourceARN=arn_of("quotes"))
        self.fault("ResourceNotFoundException", "GetResourcePolicy", ResourceARN=arn_of("quotes"))
        self.ok("GetResourcePolicy", ResourceARN=consumer)
        self.kinesis.deregister_stream_consumer(ConsumerARN=consumer)
        self.fault("ResourceNotFoundException", "GetResourcePolicy", ResourceARN=consumer)
        self.fault("ResourceNotFoundException", "GetResourcePolicy", ResourceARN=self.register())
        for arn in (arn_of("nothing"), f"{arn_of('quotes')}/consumer/nobody:1700000000"):
            self.fault("ResourceNotFoundException", "PutResourcePolicy", ResourceARN=arn, Policy=policy(arn))
        self.fault("ValidationException", "PutResourcePolicy", ResourceARN="quotes", Policy=policy("*"))
        if hasattr(self.kinesis, "put_resource_policy"):
            self.kinesis.put_resource_policy(ResourceARN=arn_of("quotes"), Policy=policy(arn_of("quotes")))
            self.assertEqual(self.kinesis.get_resource_policy(ResourceARN=arn_of("quotes"))["Policy"], policy(arn_of("quotes")))
            self.kinesis.delete_resource_policy(ResourceARN=arn_of("quotes"))

    def test_tags_of_streams_and_consumers(self):
        self.create()
        consumer = self.ok("RegisterStreamConsumer", StreamARN=arn_of("quotes"), ConsumerName="desk", Tags={"team": "desk"})["Consumer"]["ConsumerARN"]
        self.ok("TagResource", ResourceARN=arn_of("quotes"), Tags={"team": "quotes", "cost": ""})
        self.ok("TagResource", ResourceARN=consumer, Tags={"cost": "8", "größe": "ü = 1"})
        self.assertEqual(self.tags(arn_of("quotes")), {"team": "quotes", "cost": ""})
        self.assertEqual(self.tags(consumer), {"team": "desk", "cost": "8", "größe": "ü = 1"})
        self.assertEqual(self.kinesis.list_tags_for_stream(StreamName="quotes")["Tags"], [{"Key": "cost", "Value": ""}, {"Key": "team", "Value": "quotes"}])
        self.ok("UntagResource", ResourceARN=consumer, TagKeys=["cost", "nothing"])
        self.ok("UntagResource", ResourceARN=arn_of("quotes"), TagKeys=["team"])
        self.assertEqual((self.tags(arn_of("quotes")), self.tags(consumer)), ({"cost": ""}, {"team": "desk", "größe": "ü = 1"}))
        for arn in (arn_of("quotes"), consumer):
            self.fault("ValidationException", "TagResource", ResourceARN=arn, Tags={"x" * 129: "x"})
            self.fault("ValidationException", "TagResource", ResourceARN=arn, Tags={})
        self.assertEqual((self.tags(arn_of("quotes")), self.tags(consumer)), ({"cost": ""}, {"team": "desk", "größe": "ü = 1"}))
        for arn in (arn_of("nothing"), f"{arn_of('quotes')}/consumer/nobody:1700000000"):
            self.fault("ResourceNotFoundException", "TagResource", ResourceARN=arn, Tags={"a": "b"})
            self.fault("ResourceNotFoundException", "UntagResource", ResourceARN=arn, TagKeys=["a"])
            self.fault("ResourceNotFoundException", "ListTagsForResource", ResourceARN=arn)

    def test_tags_that_are_refused(self):
        self.create()
        consumer = self.register()
        streams = [("TagResource", {"ResourceARN": arn_of("quotes")}), ("AddTagsToStream", {"StreamName": "quotes"}), ("CreateStream", {"ShardCount": 1})]
        consumers = [("TagResource", {"ResourceARN": consumer}), ("RegisterStreamConsumer", {"StreamARN": arn_of("quotes")})]
        # Too many are no LimitExceededException, which clients take for throttling and send again.
        for i, (bad, operations) in enumerate((({f"t{i}": "x" for i in range(51)}, streams + consumers), ({"a!b": "x"}, streams + consumers),
                                               ({"a": "<x>"}, streams + consumers), ({"eagre:own": "x"}, streams))):
            for operation, body in operations:
                own = {"CreateStream": {"StreamName": f"tagged-{i}"}, "RegisterStreamConsumer": {"ConsumerName": f"tagged-{i}"}}.get(operation, {})
                with self.subTest(operation=operation, **body, tag=min(bad.items())):
                    self.fault("InvalidArgumentException", operation, **body, **own, Tags=bad)

    def test_an_arn_of_a_consumer_that_was_there_before_names_nobody(self):
        self.create()
        consumer = self.register()
        stale = consumer.rsplit(":", 1)[0] + ":1700000000"
        self.ok("PutResourcePolicy", ResourceARN=consumer, Policy=policy(consumer))
        for operation, more in (("TagResource", {"Tags": {"a": "b"}}), ("ListTagsForResource", {}), ("UntagResource", {"TagKeys": ["a"]}),
                                ("PutResourcePolicy", {"Policy": policy(stale)}), ("GetResourcePolicy", {}), ("DeleteResourcePolicy", {})):
            with self.subTest(operation=operation):
                self.fault("ResourceNotFoundException", operation, ResourceARN=stale, **more)
        self.assertEqual(self.tags(consumer), {})
        self.assertEqual(self.ok("GetResourcePolicy", ResourceARN=consumer)["Policy"], policy(consumer))

    def test_records_without_keys_where_they_are_spread(self):
        self.create("keyed", 2)
        arn = arn_of("quotes")
        keyless = [{"Data": base64.b64encode(b"%d" % i).decode()} for i in range(400)]
        self.fault("ValidationException", "UpdateStreamRecordDistributionStrategy", StreamARN=arn_of("keyed"), RecordDistributionStrategy="AUTO")
        self.ok("CreateStream", StreamName="quotes", StreamModeDetails={"StreamMode": "ON_DEMAND"})
        self.fault("ValidationException", "PutRecord", StreamName="quotes", Data=BLOB)
        self.fault("ValidationException", "PutRecords", StreamName="quotes", Records=[{**keyless[0], "PartitionKey": "k"}, keyless[1]])
        self.ok("UpdateStreamRecordDistributionStrategy", StreamARN=arn, RecordDistributionStrategy="AUTO")
        answer = self.ok("PutRecords", StreamName="quotes", Records=keyless)
        shards = [outcome["ShardId"] for outcome in answer["Records"]]
        self.assertEqual((answer["FailedRecordCount"], {shard: shards.count(shard) for shard in set(shards)}),
                         (0, {shard["ShardId"]: 100 for shard in self.shards()}))
        # A key is kept and does not choose the shard.
        keyed = [self.ok("PutRecord", StreamName="quotes", Data=BLOB, PartitionKey="k")["ShardId"] for _ in range(8)]
        self.assertEqual(len(set(keyed)), 4)
        records = [record for shard in self.shards() for record in self.read(self.iterator(shard["ShardId"]))[0]]
        self.assertEqual(sorted(self.numbers(record for record in records if record["Data"] != b"x")), list(range(400)))
        self.assertEqual([record["PartitionKey"] for record in records if record["Data"] == b"x"], ["k"] * 8)
        self.ok("UpdateStreamRecordDistributionStrategy", StreamARN=arn, RecordDistributionStrategy="USER_PARTITION_KEY")
        self.fault("ValidationException", "PutRecord", StreamName="quotes", Data=BLOB)
        self.fault("ValidationException", "UpdateStreamRecordDistributionStrategy", StreamARN=arn, RecordDistributionStrategy="FAIR")
        self.fault("ResourceNotFoundException", "UpdateStreamRecordDistributionStrategy", StreamARN=arn_of("nothing"), RecordDistributionStrategy="AUTO")

    def test_dry_runs(self):
        self.create("quotes", 1)
        consumer, shard = self.register(), "shardId-000000000000"
        put = {"StreamName": "quotes", "Data": BLOB, "PartitionKey": "k"}
        start = {"Type": "TRIM_HORIZON"}
        iterator = self.iterator(shard)
        for operation, good, bad, kind in (
                ("PutRecord", put, {**put, "StreamName": "nothing"}, "ResourceNotFoundException"),
                ("PutRecords", {"StreamName": "quotes", "Records": [{"Data": BLOB, "PartitionKey": "k"}]},
                 {"StreamName": "quotes", "Records": [{"Data": BLOB, "PartitionKey": "k", "ExplicitHashKey": str(2**128)}]}, "InvalidArgumentException"),
                ("GetShardIterator", {"StreamName": "quotes", "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"},
                 {"StreamName": "quotes", "ShardId": "shardId-000000004711", "ShardIteratorType": "TRIM_HORIZON"}, "ResourceNotFoundException"),
                ("GetRecords", {"ShardIterator": iterator}, {"ShardIterator": "AAAA"}, "InvalidArgumentException"),
                ("SubscribeToShard", {"ConsumerARN": consumer, "ShardId": shard, "StartingPosition": start},
                 {"ConsumerARN": consumer.replace("desk", "nobody"), "ShardId": shard, "StartingPosition": start}, "ResourceNotFoundException")):
            self.fault("DryRunOperationException", operation, **good, DryRun=True)
            self.fault(kind, operation, **bad, DryRun=True)
        self.assertEqual(self.read(iterator)[0], [])
        self.ok("PutRecord", **put, DryRun=False)
        # The subscription that would have been is not.
        self.assertEqual(len(self.subscribe(consumer, shard).take(1)), 1)

    def listed(self, **body):
        """The numbers of the shards."""
        answer = self.ok("ListShards", StreamName="quotes", **body)
        self.assertNotIn("NextToken", answer)
        return [int(shard["ShardId"][-12:]) for shard in answer["Shards"]]

    def reshard(self):
        """0 and 1; then 0 into 2 and 3; then 3 and 1 into 4. When it was as it was before, first, second, at last."""
        moments = [time.time() - 60]

        def moment():
            time.sleep(0.02)  # Shards open and close before or after it.
            moments.append(time.time())
            time.sleep(0.02)
        self.create("quotes", 2)
        moment()
        self.kinesis.split_shard(StreamName="quotes", ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**126))
        moment()
        self.kinesis.merge_shards(StreamName="quotes", ShardToMerge="shardId-000000000003", AdjacentShardToMerge="shardId-000000000001")
        moment()
        return moments

    def test_filters_of_shards(self):
        moments = self.reshard()
        self.assertEqual(self.listed(), [0, 1, 2, 3, 4])
        for kind, wanted in (("AT_TRIM_HORIZON", [0, 1]), ("FROM_TRIM_HORIZON", [0, 1, 2, 3, 4]), ("AT_LATEST", [2, 4])):
            self.assertEqual(self.listed(ShardFilter={"Type": kind}), wanted, kind)
        for shard, wanted in ((0, [1, 2, 3, 4]), (3, [4]), (4, []), (4711, [])):
            self.assertEqual(self.listed(ShardFilter={"Type": "AFTER_SHARD_ID", "ShardId": f"shardId-{shard:012}"}), wanted, shard)
        for i, (at, since) in enumerate((([0, 1], [0, 1, 2, 3, 4]), ([0, 1], [0, 1, 2, 3, 4]), ([1, 2, 3], [1, 2, 3, 4]), ([2, 4], [2, 4]))):
            self.assertEqual(self.listed(ShardFilter={"Type": "AT_TIMESTAMP", "Timestamp": moments[i]}), at, i)
            self.assertEqual(self.listed(ShardFilter={"Type": "FROM_TIMESTAMP", "Timestamp": moments[i]}), since, i)
        self.assertEqual(self.listed(ExclusiveStartShardId="shardId-000000000002"), [3, 4])
        self.assertEqual([shard["ShardId"] for shard in self.shards(ShardFilter={"Type": "AT_LATEST"})], ["shardId-000000000002", "shardId-000000000004"])
        for bad in ({"Type": "AFTER_SHARD_ID"}, {"Type": "AT_TIMESTAMP"}, {"Type": "FROM_TIMESTAMP"}):
            self.fault("InvalidArgumentException", "ListShards", StreamName="quotes", ShardFilter=bad)
        self.fault("ValidationException", "ListShards", StreamName="quotes", ShardFilter={"Type": "NEVER"})

    def test_pages_of_a_filter(self):
        moments = self.reshard()
        for shard_filter, wanted in (({"Type": "AT_TRIM_HORIZON"}, [0, 1]), ({"Type": "AT_LATEST"}, [2, 4]), ({"Type": "FROM_TRIM_HORIZON"}, [0, 1, 2, 3, 4]),
                                     ({"Type": "AFTER_SHARD_ID", "ShardId": "shardId-000000000001"}, [2, 3, 4]),
                                     ({"Type": "AT_TIMESTAMP", "Timestamp": moments[2]}, [1, 2, 3]), ({"Type": "FROM_TIMESTAMP", "Timestamp": moments[2]}, [1, 2, 3, 4])):
            # NextToken goes alone, as KCL sends it: the filter is in it.
            page = self.ok("ListShards", StreamName="quotes", MaxResults=1, ShardFilter=shard_filter)
            shards = page["Shards"]
            while "NextToken" in page:
                self.assertEqual(len(page["Shards"]), 1)
                page = self.ok("ListShards", NextToken=page["NextToken"], MaxResults=1)
                shards += page["Shards"]
            self.assertEqual([int(shard["ShardId"][-12:]) for shard in shards], wanted, shard_filter)

    def test_tokens_of_shards(self):
        self.create("quotes", 3)
        token = self.ok("ListShards", StreamName="quotes", MaxResults=1)["NextToken"]
        for _ in range(2):  # Good more than once.
            self.assertEqual(len(self.ok("ListShards", NextToken=token)["Shards"]), 2)
        for bad in ("garbage", "AAAA", token[:-4], base64.b64encode(bytes(100)).decode()):
            self.assertIn("NextToken", self.fault("InvalidArgumentException", "ListShards", NextToken=bad), bad)
        self.fault("ValidationException", "ListShards", NextToken="")
        for other in ({"StreamName": "quotes"}, {"StreamARN": arn_of("quotes")}, {"ExclusiveStartShardId": "shardId-000000000000"}, {"StreamCreationTimestamp": 1}):
            self.fault("InvalidArgumentException", "ListShards", NextToken=token, **other)
        self.fault("InvalidArgumentException", "ListShards")
        # It begins with when it was made, and is not signed: one that is older is made here, not waited for.
        made, rest = base64.b64decode(token).decode().split("/", 1)
        for age_ms, kind in ((TOKEN_MS - 30_000, None), (TOKEN_MS + 1_000, "ExpiredNextTokenException")):
            aged = base64.b64encode(f"{int(made) - age_ms}/{rest}".encode()).decode()
            status, answer = self.raw("ListShards", {"NextToken": aged})
            self.assertEqual((status, answer.get("__type")), (400 if kind else 200, kind))
        self.kinesis.delete_stream(StreamName="quotes")
        self.fault("ResourceNotFoundException", "ListShards", NextToken=token)

    def test_what_is_not_available_is_said(self):
        self.create()
        key = {"StreamName": "quotes", "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
        for call in (self.kinesis.start_stream_encryption, self.kinesis.stop_stream_encryption):
            self.refused("NotAvailableException", "not available", call, **key)
        for operation in ("CreateChannel", "DeleteChannel", "DescribeChannel", "ListChannels", "UpdateChannel"):
            self.assertIn("not available", self.fault("NotAvailableException", operation))

    def all_settings(self):
        consumers = self.kinesis.list_stream_consumers(StreamARN=arn_of("quotes"))["Consumers"]
        resources = [arn_of("quotes"), *(consumer["ConsumerARN"] for consumer in consumers)]
        return (self.summary(), consumers, [self.tags(arn) for arn in resources], [self.ok("GetResourcePolicy", ResourceARN=arn) for arn in resources],
                self.ok("DescribeAccountSettings"), self.kinesis.describe_limits()["OnDemandStreamCount"])

    def test_settings_outlive_what_keeps_them(self):
        self.commit()
        self.ok("CreateStream", StreamName="quotes", StreamModeDetails={"StreamMode": "ON_DEMAND"}, Tags={"team": "desk"}, MaxRecordSizeInKiB=2048,
                WarmThroughputMiBps=20, RecordDistributionStrategy="AUTO")
        self.kinesis.enable_enhanced_monitoring(StreamName="quotes", ShardLevelMetrics=["IncomingBytes"])
        self.register("desk")
        consumer = self.register("other")
        for name in ("desk", "other"):
            arn = self.kinesis.describe_stream_consumer(StreamARN=arn_of("quotes"), ConsumerName=name)["ConsumerDescription"]["ConsumerARN"]
            self.ok("TagResource", ResourceARN=arn, Tags={"who": name})
            self.ok("PutResourcePolicy", ResourceARN=arn, Policy=policy(arn))
        self.ok("PutResourcePolicy", ResourceARN=arn_of("quotes"), Policy=policy(arn_of("quotes")))
        before = self.all_settings()
        self.assertEqual((before[0]["MaxRecordSizeInKiB"], before[0]["ConsumerCount"], before[0]["WarmThroughput"]["TargetMiBps"]), (2048, 2, 20))
        count = 0

        def check():
            nonlocal count
            self.assertEqual(self.all_settings(), before)
            for _ in range(8):
                self.ok("PutRecord", StreamName="quotes", Data=BLOB)
                count += 1
            shards = [shard["ShardId"] for shard in self.shards()]
            self.assertEqual(sum(len(self.read(self.iterator(shard))[0]) for shard in shards), count)
        check()
        self.box.control.kill()
        for _ in range(8):  # What was known last goes on to count.
            self.ok("PutRecord", StreamName="quotes", Data=BLOB)
            count += 1
        self.box.start_control().wait_for("agreed with the dataplane")
        check()
        for end in ("stop", "kill"):
            for process in (self.box.gateway, self.box.control, self.box.eagred):
                getattr(process, end)()
            self.box.start_eagred("--port", str(self.box.ports[0]))
            self.box.start_control().wait_for("agreed with the dataplane")
            self.box.start_gateway()
            self.kinesis = self.client()
            check()
        [first, *_] = [shard["ShardId"] for shard in self.shards()]
        wanted = self.read(self.iterator(first))[0]
        got = self.subscribe(consumer, first).take(len(wanted))
        self.assertEqual([record["SequenceNumber"] for record in got], [record["SequenceNumber"] for record in wanted])
        # With their stream they go.
        self.kinesis.delete_stream(StreamName="quotes", EnforceConsumerDeletion=True)
        self.create("quotes", 1)
        summary = self.summary()
        self.assertEqual((summary["StreamModeDetails"]["StreamMode"], summary["MaxRecordSizeInKiB"], summary["ConsumerCount"], summary["EnhancedMonitoring"]),
                         ("PROVISIONED", 1024, 0, [{"ShardLevelMetrics": []}]))
        self.assertEqual((self.tags(arn_of("quotes")), "WarmThroughput" in summary), ({}, False))
        self.fault("ResourceNotFoundException", "GetResourcePolicy", ResourceARN=arn_of("quotes"))


if __name__ == "__main__":
    box.main()
