"""The cleaner on a real process: two streams share every segment, one is deleted; the space used falls below 1.3 times what
is alive, the other stream reads back record by record, and the same after a kill at each of the cleaner's crash points."""
import glob
import json
import os
import subprocess
import time
import unittest

import box

EAGRE = os.path.join(box.BIN, "eagre")
SEGMENT_BYTES = 4 << 20
# Segments that are there whatever is alive: live, the two newest sealed ones; and files: ready (two at least, whatever was
# asked for, and two more before any is removed), one in the cleaner's hand.
SEGMENTS_KEPT = 3
FILES_KEPT = SEGMENTS_KEPT + 5
RECORD_BYTES = 8000
CHUNK_RECORDS = 20
CHUNKS = 160  # Enough for a relocated segment at each crash point that makes one count.
ARGS = ["--segment-bytes", str(SEGMENT_BYTES), "--cleaner-bytes-per-s", "256M"]
# Deleted to kept, in chunks: what stays is a sixth of each segment.
DEAD_PER_CHUNK = 5
STORED_BYTES = CHUNKS * (1 + DEAD_PER_CHUNK) * CHUNK_RECORDS * RECORD_BYTES


def records(stream, chunk):
    return [f"{stream}-{chunk:05d}-{i:03d}-".ljust(RECORD_BYTES, stream[0]) for i in range(CHUNK_RECORDS)]


class Cleaner(unittest.TestCase):
    def setUp(self):
        if not os.access(EAGRE, os.X_OK):
            box.cannot_run(f"{EAGRE} is not built")
        self.box = box.Box().__enter__()
        self.addCleanup(self.box.__exit__)

    def eagre(self, *args):
        done = subprocess.run([EAGRE, *args, "--data", self.box.data], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, f"{args}: {done.stderr}")
        return done.stdout

    def fill(self):
        """Both streams, interleaved: a chunk of the one, then some of the other."""
        putters = {}
        for stream in ("dead", "kept"):
            self.eagre("stream", "create", stream)
            putters[stream] = subprocess.Popen([EAGRE, "put", stream, "--key", "k", "--data", self.box.data],
                                               stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for chunk in range(CHUNKS):
            for stream, count in (("kept", 1), ("dead", DEAD_PER_CHUNK)):
                for part in range(count):
                    lines = records(stream, chunk * count + part)
                    putters[stream].stdin.write("\n".join(lines) + "\n")
                    putters[stream].stdin.flush()
        for putter in putters.values():
            putter.stdin.close()
            self.assertEqual(putter.wait(60), 0)

    def assert_kept_reads_back(self):
        told = [line for chunk in range(CHUNKS) for line in records("kept", chunk)]
        lines = self.eagre("tail", "kept", "--from", "trim_horizon", "--no-follow").splitlines()
        self.assertEqual(len(lines), len(told))
        self.assertTrue(lines == told, "records of the stream that stays are other ones, or in another order")

    def space(self):
        core = json.loads(self.eagre("stats", "--json"))["cores"][0]
        files = glob.glob(self.box.path("journal-0000/segment-*.eagre"))
        return core["alive_bytes"], core["used_bytes"], len(files), core

    def wait_for(self, what, done, timeout_s=40):
        deadline = time.monotonic() + timeout_s
        while not done():
            self.assertLess(time.monotonic(), deadline, f"{what}: {self.space()}")
            self.assertTrue(self.box.eagred.running(), self.box.eagred.text())

    def wait_for_kill(self, point):
        try:
            self.assertEqual(self.box.eagred.wait_exit(20), -9, f"{point}: {self.box.eagred.text()}")
        except subprocess.TimeoutExpired:
            self.fail(f"{point} was not reached: {self.space()}\n{self.box.eagred.text()}\n{self.box.control.text()}")

    def small_enough(self):
        alive, used, files, _ = self.space()
        bound = 1.3 * alive
        return (alive < STORED_BYTES / 2 and used - SEGMENTS_KEPT * SEGMENT_BYTES <= bound and
                (files - FILES_KEPT) * SEGMENT_BYTES <= bound)

    def test_space_follows_what_is_alive(self):
        self.box.start_eagred(*ARGS)
        self.box.start_control().wait_for(r"agreed with the dataplane")
        self.fill()
        files_before = self.space()[2]
        self.eagre("stream", "delete", "dead")
        self.wait_for("space does not fall", self.small_enough)
        alive, used, files, core = self.space()
        kept_bytes = CHUNKS * CHUNK_RECORDS * RECORD_BYTES
        self.assertGreater(alive, kept_bytes)
        # The live segment counts whole as long as it is live.
        self.assertLess(used, 1.3 * kept_bytes + (SEGMENTS_KEPT + 2) * SEGMENT_BYTES)
        self.assertLess(files, files_before)
        self.assertEqual(core["segments_damaged"], 0)
        self.assertGreater(core["relocated_bytes"], 0)
        self.assert_kept_reads_back()
        self.assertEqual(self.box.control.stop(), 0)
        self.assertEqual(self.box.eagred.stop(), 0)
        verified = json.loads(self.eagre_offline("verify", self.box.data, "--json"))
        self.assertGreater(verified["relocated_segments"], 0)
        self.assertIn("kind relocated", self.eagre_offline("dump", "--summary", self.box.path("journal-0000")))
        self.box.start_eagred(*ARGS)
        self.box.start_control().wait_for(r"agreed with the dataplane")
        self.assert_kept_reads_back()

    def eagre_offline(self, *args):
        done = subprocess.run([EAGRE, *args], capture_output=True, text=True, errors="replace", timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr)
        return done.stdout

    def test_killed_at_every_crash_point(self):
        self.box.start_eagred(*ARGS, "--cleaner", "off")
        self.box.start_control().wait_for(r"agreed with the dataplane")
        self.fill()
        self.eagre("stream", "delete", "dead")
        self.wait_for("the deleted stream still counts", lambda: self.space()[0] < STORED_BYTES / 2)
        listed = subprocess.run([box.EAGRED, "--list-crash-points"], capture_output=True, text=True, timeout=10)
        points = [line.split()[0] for line in listed.stdout.splitlines() if line.startswith("clean-")]
        self.assertGreaterEqual(len(points), 6)
        # First those before which nothing is gained, so that there is something left to do for the others.
        for point in sorted(points, key=lambda p: p in ("clean-relocated", "clean-recycled", "clean-header")):
            self.assertEqual(self.box.eagred.stop(), 0)
            os.environ["EAGRE_CRASH_AT"] = point
            try:
                self.box.spawn_eagred(*ARGS)
            finally:
                del os.environ["EAGRE_CRASH_AT"]
            self.wait_for_kill(point)
            self.eagre_offline("verify", self.box.data)
            self.box.start_eagred(*ARGS, "--cleaner", "off")
            self.assert_kept_reads_back()
        self.assertEqual(self.box.eagred.stop(), 0)
        self.box.start_eagred(*ARGS)
        self.wait_for("space does not fall after all that", self.small_enough)
        self.assert_kept_reads_back()


if __name__ == "__main__":
    box.main()
