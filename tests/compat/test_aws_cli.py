"""aws-cli against the gateway, with the commands that README shows and that anybody types."""
import base64
import json
import os
import shutil
import subprocess
import unittest

import gateway
from gateway import box

AWS = shutil.which("aws")


class AwsCli(unittest.TestCase):
    def setUp(self):
        if not AWS:
            self.skipTest("aws-cli is not installed (tools/setup)")
        self.box = gateway.Gateway().__enter__()
        self.addCleanup(self.box.__exit__)
        self.box.start()

    def aws(self, *args, fails=False):
        env = {**os.environ, **gateway.CREDENTIALS, "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1"}
        done = subprocess.run([AWS, "--endpoint-url", self.box.url, "--output", "json", "kinesis", *args], env=env, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode in (254, 255), fails, f"{args}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else done.stderr

    def test_an_ordinary_life(self):
        self.aws("create-stream", "--stream-name", "quotes", "--shard-count", "1")
        self.aws("wait", "stream-exists", "--stream-name", "quotes")
        # The second version takes base64 as it is, the first encodes what it is given.
        second = subprocess.run([AWS, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout.startswith("aws-cli/2")
        data = base64.b64encode(b"hello").decode() if second else "hello"
        put = self.aws("put-record", "--stream-name", "quotes", "--partition-key", "k", "--data", data)
        records = json.dumps([{"Data": data, "PartitionKey": "a"}, {"Data": data, "PartitionKey": "b"}])
        self.assertEqual(self.aws("put-records", "--stream-name", "quotes", "--records", records)["FailedRecordCount"], 0)
        iterator = self.aws("get-shard-iterator", "--stream-name", "quotes", "--shard-id", put["ShardId"], "--shard-iterator-type", "TRIM_HORIZON")["ShardIterator"]
        got = self.aws("get-records", "--shard-iterator", iterator)["Records"]
        self.assertEqual([record["PartitionKey"] for record in got], ["k", "a", "b"])
        self.assertEqual({base64.b64decode(record["Data"]) for record in got}, {b"hello"})
        self.assertEqual(got[0]["SequenceNumber"], put["SequenceNumber"])
        self.assertEqual(self.aws("list-streams")["StreamNames"], ["quotes"])
        self.assertEqual(self.aws("describe-stream-summary", "--stream-name", "quotes")["StreamDescriptionSummary"]["OpenShardCount"], 1)
        self.aws("update-shard-count", "--stream-name", "quotes", "--target-shard-count", "2", "--scaling-type", "UNIFORM_SCALING")
        self.assertEqual(len(self.aws("list-shards", "--stream-name", "quotes")["Shards"]), 3)
        self.assertIn("ResourceInUseException", self.aws("create-stream", "--stream-name", "quotes", "--shard-count", "1", fails=True))
        self.aws("delete-stream", "--stream-name", "quotes")
        self.aws("wait", "stream-not-exists", "--stream-name", "quotes")
        self.assertIn("ResourceNotFoundException", self.aws("describe-stream", "--stream-name", "quotes", fails=True))

    def test_consumers_policies_and_modes(self):
        self.aws("create-stream", "--stream-name", "quotes", "--shard-count", "1")
        self.aws("wait", "stream-exists", "--stream-name", "quotes")
        arn = self.aws("describe-stream-summary", "--stream-name", "quotes")["StreamDescriptionSummary"]["StreamARN"]
        made = self.aws("register-stream-consumer", "--stream-arn", arn, "--consumer-name", "desk")["Consumer"]
        self.assertTrue(made["ConsumerARN"].startswith(arn + "/consumer/desk:"), made)
        described = self.aws("describe-stream-consumer", "--consumer-arn", made["ConsumerARN"])["ConsumerDescription"]
        self.assertEqual((described["ConsumerStatus"], described["StreamARN"]), ("ACTIVE", arn))
        self.assertEqual(self.aws("describe-stream-consumer", "--stream-arn", arn, "--consumer-name", "desk")["ConsumerDescription"], described)
        self.aws("register-stream-consumer", "--stream-arn", arn, "--consumer-name", "other")
        listed = self.aws("list-stream-consumers", "--stream-arn", arn, "--page-size", "1")["Consumers"]
        self.assertEqual([each["ConsumerName"] for each in listed], ["desk", "other"])
        self.assertIn("ResourceInUseException", self.aws("register-stream-consumer", "--stream-arn", arn, "--consumer-name", "desk", fails=True))
        self.assertIn("ResourceInUseException", self.aws("delete-stream", "--stream-name", "quotes", fails=True))
        self.aws("deregister-stream-consumer", "--consumer-arn", made["ConsumerARN"])
        self.assertIn("ResourceNotFoundException", self.aws("describe-stream-consumer", "--consumer-arn", made["ConsumerARN"], fails=True))
        self.aws("update-stream-mode", "--stream-arn", arn, "--stream-mode-details", "StreamMode=ON_DEMAND")
        self.assertEqual(self.aws("describe-stream-summary", "--stream-name", "quotes")["StreamDescriptionSummary"]["StreamModeDetails"], {"StreamMode": "ON_DEMAND"})
        refused = self.aws("update-shard-count", "--stream-name", "quotes", "--target-shard-count", "2", "--scaling-type", "UNIFORM_SCALING", fails=True)
        self.assertIn("ValidationException", refused)
        self.aws("delete-stream", "--stream-name", "quotes", "--enforce-consumer-deletion")
        self.aws("wait", "stream-not-exists", "--stream-name", "quotes")

    def test_resource_policies(self):
        self.aws("create-stream", "--stream-name", "quotes", "--shard-count", "1")
        arn = self.aws("describe-stream-summary", "--stream-name", "quotes")["StreamDescriptionSummary"]["StreamARN"]
        policy = json.dumps({"Version": "2012-10-17", "Statement": [{"Sid": "readers", "Effect": "Allow", "Principal": {"AWS": "111122223333"},
                                                                      "Action": ["kinesis:GetRecords", "kinesis:GetShardIterator"], "Resource": arn}]})
        known = subprocess.run([AWS, "kinesis", "put-resource-policy", "help"], env={**os.environ, "AWS_PAGER": "cat", "PAGER": "cat"}, capture_output=True,
                               timeout=60).returncode == 0
        if not known:
            self.skipTest("this aws-cli is older than put-resource-policy")
        self.aws("put-resource-policy", "--resource-arn", arn, "--policy", policy)
        self.assertEqual(self.aws("get-resource-policy", "--resource-arn", arn)["Policy"], policy)
        self.assertIn("InvalidArgumentException", self.aws("put-resource-policy", "--resource-arn", arn, "--policy", "{}", fails=True))
        self.aws("delete-resource-policy", "--resource-arn", arn)
        self.assertIn("ResourceNotFoundException", self.aws("get-resource-policy", "--resource-arn", arn, fails=True))


if __name__ == "__main__":
    box.main()
