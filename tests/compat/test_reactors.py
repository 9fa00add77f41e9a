"""One gateway with two reactors: whichever of them a connection falls to, it is one service."""
import collections
import concurrent.futures
import os
import subprocess
import unittest

import gateway
from gateway import box

try:
    import boto3
    import botocore.config
    import botocore.exceptions
except ImportError:
    boto3 = None

os.environ.update(gateway.CREDENTIALS)
CALLERS, ROUNDS, RECORDS = 12, 4, 250


class Reactors(unittest.TestCase):
    def setUp(self):
        if boto3 is None:
            self.skipTest("boto3 is not installed (tools/setup)")
        cpus = sorted(os.sched_getaffinity(0))
        self.box = gateway.Gateway().__enter__()
        self.addCleanup(self.box.__exit__)
        self.box.start("--cores", f"{cpus[0]},{cpus[-1]}")
        self.assertIn("reactors=2", self.box.gateway.text())
        # A connection each, so that both reactors have some.
        config = botocore.config.Config(retries={"max_attempts": 1}, read_timeout=20, connect_timeout=5)
        self.clients = [boto3.client("kinesis", endpoint_url=self.box.url, config=config) for _ in range(CALLERS)]
        for client in self.clients:
            self.addCleanup(client.close)

    def test_many_connections_are_one_service(self):
        self.clients[0].create_stream(StreamName="quotes", ShardCount=3)
        # Each sees at once what another has made.
        for client in self.clients:
            self.assertEqual(client.describe_stream_summary(StreamName="quotes")["StreamDescriptionSummary"]["OpenShardCount"], 3)

        def put(number):
            for turn in range(ROUNDS):
                answer = self.clients[number].put_records(StreamName="quotes", Records=[
                    {"PartitionKey": f"{number}-{i % 10}", "Data": f"{turn * RECORDS + i}".encode()} for i in range(RECORDS)])
                self.assertEqual(answer["FailedRecordCount"], 0)
        with concurrent.futures.ThreadPoolExecutor(CALLERS) as pool:
            list(pool.map(put, range(CALLERS)))
        got = collections.defaultdict(list)
        turn = 0
        for shard in self.clients[0].list_shards(StreamName="quotes")["Shards"]:
            iterator = self.clients[1].get_shard_iterator(StreamName="quotes", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
            while True:
                turn += 1  # An iterator of one is good at the other.
                answer = self.clients[turn % CALLERS].get_records(ShardIterator=iterator, Limit=500)
                for record in answer["Records"]:
                    got[record["PartitionKey"]].append(int(record["Data"]))
                iterator = answer["NextShardIterator"]
                if answer["MillisBehindLatest"] == 0:
                    break
        self.assertEqual(len(got), CALLERS * 10)
        for key, numbers in got.items():
            self.assertEqual(numbers, sorted(numbers), key)
            self.assertEqual(len(numbers), ROUNDS * RECORDS // 10)

    def test_a_port_is_not_shared_with_another_process(self):
        port = self.box.url.rsplit(":", 1)[1]
        other = subprocess.run([gateway.GATEWAY, "--data", self.box.data, "--port", port, "--box-port", str(self.box.ports[0]), "--cores", "0,0"],
                               capture_output=True, text=True, timeout=30)
        self.assertEqual(other.returncode, 1)
        self.assertIn("PortInUse", other.stderr)

    def test_wrong_lists_of_cpus(self):
        for cpus in ("", "x", "1-", "3-1", "5000", "-1", "0-100"):
            done = subprocess.run([gateway.GATEWAY, "--cores", cpus], capture_output=True, text=True, timeout=30)
            self.assertNotEqual(done.returncode, 0, cpus)
            self.assertIn("--cores", done.stdout + done.stderr)


if __name__ == "__main__":
    box.main()
