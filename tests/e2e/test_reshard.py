"""Split, merge and scale with real processes: under full load nothing is lost, doubled or out of order, for who reads
along and for who reads afterwards; and what cannot be done is refused with words that say what to do."""
import json
import os
import signal
import subprocess
import sys
import unittest

import box

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "crash"))
from test_crash import WITNESS  # noqa: E402

EAGRE = os.path.join(box.BIN, "eagre")


class Reshard(unittest.TestCase):
    def setUp(self):
        for program in (WITNESS, EAGRE):
            if not os.access(program, os.X_OK):
                box.cannot_run(f"{program} is not built")
        cores = "0,1" if len(os.sched_getaffinity(0)) > 1 else "0"
        self.box = box.Box(cores=cores).__enter__()
        self.addCleanup(self.box.__exit__)
        self.port = box.free_port(cores.count(",") + 1)
        self.box.start_eagred("--port", str(self.port))
        self.box.start_control().wait_for("agreed with the dataplane")

    def stream(self, *args, status=0, words=""):
        done = subprocess.run([EAGRE, "stream", *args, "--data", self.box.data], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, status, f"{args}: {done.stdout}{done.stderr}")
        self.assertIn(words, done.stderr)
        return done.stdout

    def shards(self):
        return {s["id"]: s for s in json.loads(self.stream("describe", "quotes", "--json"))["shards"]}

    def witness(self, *args):
        child = subprocess.Popen([WITNESS, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (child.kill(), child.wait(), child.stdout.close(), child.stderr.close()))
        return child

    def end(self, child):
        child.send_signal(signal.SIGTERM)
        said = child.communicate(timeout=90)
        self.assertEqual(child.returncode, 0, said)
        return said[0].splitlines()[-1]

    def test_4_to_64_to_4_under_full_load(self):
        self.stream("create", "quotes", "--shards", "4")
        log = self.box.path("acknowledged.log")
        followers = [self.witness("follow", str(self.port), "quotes", log) for _ in range(2)]
        feeder = self.witness("feed", str(self.port), "quotes", log, "0")

        def fed():
            for _ in range(40):  # Twenty thousand records between two steps.
                self.assertTrue(feeder.stdout.readline().startswith("acknowledged"))
        fed()
        for count in (64, 4):
            self.assertIn(f"{count} open", self.stream("scale", "quotes", "--shards", str(count)))
            fed()
        self.stream("split", "quotes", "--shard", str(max(self.shards())))
        fed()
        sent = self.end(feeder)
        self.assertIn("failed 0", sent)
        for follower in followers:
            self.assertIn("wrong 0", self.end(follower))
        check = self.witness("check", str(self.port), "quotes", log, "all")
        said = check.communicate(timeout=90)
        self.assertEqual(check.returncode, 0, said)
        print(f"{sent}; {said[0].strip()}; {len(self.shards())} shards", file=sys.stderr)

    def test_tail_goes_through_splits_and_merges(self):
        self.stream("create", "quotes", "--shards", "2")
        tail = subprocess.Popen([EAGRE, "tail", "quotes", "--data", self.box.data, "--from", "trim_horizon", "--count", "60"],
                                stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (tail.kill(), tail.wait(), tail.stdout.close()))
        put = 0
        for step in (["split", "quotes", "--shard", "1"], ["merge", "quotes", "--shards", "4,2"], ["scale", "quotes", "--shards", "3"]):
            lines = "".join(f"{put + i}\n" for i in range(20))
            put += 20
            subprocess.run([EAGRE, "put", "quotes", "--data", self.box.data, "--key", "one"], input=lines, text=True, check=True,
                           capture_output=True, timeout=60)
            self.stream(*step)
        self.assertEqual(tail.communicate(timeout=60)[0].split(), [str(i) for i in range(60)])  # One key: in order.

    def test_what_cannot_be_done_is_refused_with_advice(self):
        self.stream("create", "quotes", "--shards", "4")
        low = self.shards()[1]
        above = f"{int(low['ending_hash_key'], 16) + 1:032x}"
        self.stream("split", "quotes", "--shard", "1", "--at", above, status=1, words="must be above the shard's first hash key")
        self.stream("split", "quotes", "--shard", "1", "--at", low["starting_hash_key"], status=1, words="BadArgument")
        self.stream("merge", "quotes", "--shards", "1,3", status=1, words="the neighbours of 1 are 2")
        self.stream("merge", "quotes", "--shards", "2,2", status=1, words="not neighbours")
        self.stream("split", "quotes", "--shard", "99", status=1, words="has no shard 99")
        self.stream("split", "nothing", "--shard", "1", status=1, words="UnknownStream")
        self.stream("scale", "quotes", "--shards", "10000", status=1, words="LimitExceeded")
        self.assertEqual(len(self.shards()), 4)
        self.stream("split", "quotes", "--shard", "1", "--at", f"{int(low['starting_hash_key'], 16) + 1:x}")
        self.stream("split", "quotes", "--shard", "1", status=1, words="its children are 5, 6")
        self.stream("merge", "quotes", "--shards", "1,2", status=1, words="ShardClosed")
        split = self.shards()
        self.assertFalse(split[1]["open"])
        self.assertEqual((split[5]["parent"], split[6]["parent"]), (1, 1))
        self.stream("split", "quotes", "--shard", "5", status=1, words="must be above")  # One key can't be divided.
        described = self.stream("describe", "quotes")
        self.assertRegex(described, r"(?m)^ +1 +closed +-")
        self.assertRegex(described, r"(?m)^ +6 +open +1 ")
        # Who asked for that shard alone is told where it goes on, and does not wait for what will never come.
        tail = subprocess.run([EAGRE, "tail", "quotes", "--shard", "1", "--from", "trim_horizon", "--data", self.box.data],
                              capture_output=True, text=True, timeout=box.WAIT_S)
        self.assertEqual(tail.returncode, 0, tail.stderr)
        self.assertRegex(tail.stderr, r"shard 1 was split.* it goes on with --shard 5 --shard 6\n")

    def test_a_stream_deleted_under_its_readers_and_writers(self):
        self.stream("create", "quotes", "--shards", "2")
        tail = subprocess.Popen([EAGRE, "tail", "quotes", "--from", "trim_horizon", "--data", self.box.data],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        put = subprocess.Popen([EAGRE, "put", "quotes", "--data", self.box.data], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for child in (tail, put):
            self.addCleanup(lambda child=child: (child.kill(), child.wait(), [pipe.close() for pipe in (child.stdin, child.stdout, child.stderr) if pipe]))
        put.stdin.write("before\n")
        put.stdin.flush()
        self.assertEqual(tail.stdout.readline(), "before\n")
        self.stream("delete", "quotes")
        said = tail.communicate(timeout=box.WAIT_S)
        self.assertEqual((tail.returncode, said[1].count("UnknownStream")), (1, 1), said)
        said = put.communicate("after\n", timeout=box.WAIT_S)
        self.assertNotEqual(put.returncode, 0)
        self.assertIn("UnknownS", said[1])


if __name__ == "__main__":
    box.main()
