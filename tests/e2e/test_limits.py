"""Limits of a stream with real processes, from the command line where people meet them: tags, quotas, the record limit
up to 10 MiB, and what bad input is told."""
import json
import os
import subprocess
import time
import unittest

import box

EAGRE = os.path.join(box.BIN, "eagre")
MIB = 1 << 20


class Limits(unittest.TestCase):
    def setUp(self):
        self.box = box.Box().__enter__()
        self.addCleanup(self.box.__exit__)
        # Segments that hold records of 10 MiB.
        self.box.start_eagred("--segment-bytes", "32M")
        self.box.start_control()
        self.box.control.wait_for(r"agreed with the dataplane")

    def run_eagre(self, *args, text=None, status=0, words=""):
        command = [EAGRE, *args, "--data", self.box.data]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, status, f"{command}: {done.stdout}{done.stderr}")
        self.assertIn(words, done.stderr)
        return done.stdout

    def describe(self, name):
        return json.loads(self.run_eagre("stream", "describe", name, "--json"))

    def test_limits_and_tags_are_set_shown_and_kept(self):
        self.run_eagre("stream", "create", "quotes", "--retention", "7d", "--retention-bytes", "10G", "--record-bytes-max", "10M",
                       "--quota-bytes-per-s", "1M", "--quota-records-per-s", "1000", "--tag", "team=feeds", "--tag", "note=a=b")
        told = self.describe("quotes")
        self.assertEqual((told["retention_ms"], told["retention_bytes"]), (7 * 86400 * 1000, 10 << 30))
        self.assertEqual((told["quota_bytes_per_s"], told["quota_records_per_s"]), (MIB, 1000))
        self.assertEqual((told["record_bytes_max"], told["tags"]), (10 * MIB, {"note": "a=b", "team": "feeds"}))
        words = self.run_eagre("stream", "describe", "quotes")
        for each in ("7 d, 10 GiB", "up to 10 MiB", "1 MiB/s, 1,000 records/s", "team=feeds"):
            self.assertIn(each, words)

        self.run_eagre("stream", "set", "quotes", "--retention-bytes", "none", "--quota-records-per-s", "off")
        self.run_eagre("stream", "tag", "quotes", "team=infra", "env=prod")
        self.run_eagre("stream", "untag", "quotes", "note")
        self.box.eagred.kill()
        self.box.control.kill()
        self.box.start_eagred("--segment-bytes", "32M")
        self.box.start_control()
        self.box.control.wait_for(r"agreed with the dataplane")
        told = self.describe("quotes")
        self.assertEqual((told["retention_ms"], told["retention_bytes"]), (7 * 86400 * 1000, 0))
        self.assertEqual((told["quota_bytes_per_s"], told["quota_records_per_s"]), (MIB, 0))
        self.assertEqual(told["tags"], {"env": "prod", "team": "infra"})

    def test_bad_input_is_told_what_to_give(self):
        self.run_eagre("stream", "create", "quotes")
        many = [f"k{i}=v" for i in range(51)]
        for args, words in (
                (("set", "quotes"), "say what is to change"),
                (("set", "quotes", "--retention", "0s"), "retention is from 1 ms"),
                (("set", "quotes", "--retention", "4000d"), "3650 days"),
                (("set", "quotes", "--retention", "soon"), "no duration"),
                (("set", "quotes", "--retention-bytes", "1K"), "at least 1048576 bytes"),
                (("set", "quotes", "--retention-bytes", "0"), "give 'off'"),
                (("set", "quotes", "--retention-bytes", "much"), "like 10M"),
                (("set", "quotes", "--record-bytes-max", "11M"), "10 MiB"),
                (("set", "quotes", "--record-bytes-max", "0"), "from 1 to"),
                (("set", "quotes", "--quota-bytes-per-s", "0"), "give 'off'"),
                (("set", "quotes", "--quota-records-per-s", "1K"), "whole number"),
                (("set", "quotes", "--quota-bytes-per-s", "2T"), "at most"),
                (("set", "nobody", "--retention", "1h"), "UnknownStream"),
                (("tag", "quotes", "team"), "KEY=VALUE"),
                (("tag", "quotes", "x" * 129 + "=v"), "128 characters"),
                (("tag", "quotes", "k=" + "x" * 257), "256 characters"),
                (("tag", "quotes", *many), "at most 50 tags"),
                (("tag", "nobody", "k=v"), "UnknownStream"),
                (("untag", "nobody", "k"), "UnknownStream"),
                (("create", "big", "--record-bytes-max", "11M"), "10 MiB"),
                (("create", "tagged", *[word for tag in many for word in ("--tag", tag)]), "at most 50 tags")):
            with self.subTest(args=args[:4]):
                self.run_eagre("stream", *args, status=1, words=words)
        told = self.describe("quotes")
        self.assertEqual((told["retention_ms"], told["record_bytes_max"], told["tags"]), (86400 * 1000, MIB, {}))

    def test_a_quota_slows_a_producer_down_and_loses_nothing(self):
        self.run_eagre("stream", "create", "slow", "--quota-records-per-s", "500")
        lines = "".join(f"key,{i}\n" for i in range(1500))
        began = time.monotonic()
        put = json.loads(self.run_eagre("put", "slow", "--json", "--key-column", "1", text=lines).splitlines()[-1])
        took = time.monotonic() - began
        self.assertEqual(put["acknowledged"], 1500, put)
        # At most a second's worth was saved up and one batch owed.
        found = self.run_eagre("tail", "slow", "--from", "trim_horizon", "--no-follow").splitlines()
        self.assertEqual(found, [f"key,{i}" for i in range(1500)])
        with self.box.connect() as data:
            shard = data.metadata("slow")[0].shards[0].id
            with self.assertRaises(box.wire.WireError) as refused:
                for _ in range(3):  # The account is overdrawn, or one of these overdraws it.
                    data.append(shard, [(b"key", b"x")] * 500)
            self.assertEqual(refused.exception.name, "Throttled")
            self.assertGreater(refused.exception.detail, 0)
        self.assertLess(took, 20)

    def test_a_record_of_10_mib_goes_through_tcp_and_comes_back(self):
        self.run_eagre("stream", "create", "images", "--record-bytes-max", "10M")
        large = os.urandom(10 * MIB)
        with self.box.connect() as data:
            shard = data.metadata("images")[0].shards[0].id
            self.assertEqual(data.append(shard, [(b"k", large)]), 1)
            with self.assertRaises(box.wire.WireError) as refused:
                data.append(shard, [(b"k", large + b"x")])
            self.assertEqual((refused.exception.name, refused.exception.detail), ("RecordTooLarge", 10 * MIB))
            self.assertEqual(data.append(shard, [(b"k", b"behind it")]), 2)
            found = data.read_all(shard)
        self.assertEqual([len(record) for _, _, record in found], [10 * MIB, 9])
        self.assertEqual(found[0][2], large)
        # By the client library too, both ways, from the device: it is no longer in memory.
        for _ in range(6):
            with self.box.connect() as data:
                data.append(shard, [(b"k", large)])
        path = self.box.path("image")
        with open(path, "w", encoding="ascii") as file:
            file.write("k," + "y" * (10 * MIB - 2) + "\n")
        put = json.loads(self.run_eagre("put", "images", "--json", path).splitlines()[-1])
        self.assertEqual(put["acknowledged"], 1, put)
        last = self.run_eagre("tail", "images", "--from", "9", "--no-follow")
        self.assertEqual(len(last), 10 * MIB + 1)
        first = json.loads(self.run_eagre("tail", "images", "--from", "trim_horizon", "--count", "1", "--format", "json"))
        self.assertEqual(first["sequence"], 1)

    def test_another_record_limit_reaches_a_producer_that_is_connected(self):
        self.run_eagre("stream", "create", "growing")
        put = subprocess.Popen([EAGRE, "put", "growing", "--json", "--data", self.box.data], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            put.stdin.write("k,small\n")
            put.stdin.flush()
            deadline = time.monotonic() + 20
            while self.describe("growing")["shards"][0]["next_sequence"] < 2:
                self.assertLess(time.monotonic(), deadline, "the first record never came")
            self.run_eagre("stream", "set", "growing", "--record-bytes-max", "3M")
            put.stdin.write("k,small again\n")  # Its batch is told that the map is another one.
            put.stdin.flush()
            while self.describe("growing")["shards"][0]["next_sequence"] < 3:
                self.assertLess(time.monotonic(), deadline, "the second record never came")
            out, err = put.communicate("k," + "z" * (2 * MIB) + "\n", timeout=30)
        finally:
            if put.poll() is None:
                put.kill()
        self.assertEqual(put.returncode, 0, out + err)
        self.assertEqual(json.loads(out.splitlines()[-1])["acknowledged"], 3)


if __name__ == "__main__":
    box.main()
