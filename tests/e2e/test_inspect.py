"""`eagre verify` and `eagre dump` on what real processes leave behind: clean after a kill -9 and after a stop; one flipped
byte is named with its file and offset, and the dump goes on behind it."""
import glob
import json
import os
import re
import subprocess
import unittest

import box

EAGRE = os.path.join(box.BIN, "eagre")


class Inspect(unittest.TestCase):
    def setUp(self):
        if not os.access(EAGRE, os.X_OK):
            box.cannot_run(f"{EAGRE} is not built")
        self.box = box.Box().__enter__()
        self.addCleanup(self.box.__exit__)

    def run_eagre(self, *args, status=0):
        done = subprocess.run([EAGRE, *args], capture_output=True, text=True, errors="replace", timeout=60)
        self.assertEqual(done.returncode, status, f"{args}: {done.stdout[-3000:]}{done.stderr}")
        return done.stdout + done.stderr

    def verify(self, status=0):
        return json.loads(self.run_eagre("verify", self.box.data, "--json", status=status))

    def feed(self, records):
        """Starts the box and stores at least `records`; returns the shards."""
        self.box.start()
        with self.box.admin() as admin:
            stream = admin.create("quotes", 3)
        feeder = box.Feeder(self.box, stream)
        feeder.start()
        feeder.wait_for(records)
        feeder.stop()
        return stream.shards

    def kill(self):
        self.box.eagred.kill()
        self.box.control.kill()

    def stored_runs(self):
        """(file, offset of the run header) of every run of records, by `eagre dump`."""
        runs = []
        for path in sorted(glob.glob(self.box.path("journal-0000/segment-*.eagre"))):
            for line in self.run_eagre("dump", path).splitlines():
                match = re.match(r"\s+(0x[0-9a-f]+)\s+run shard", line)
                if match:
                    runs.append((path, int(match.group(1), 16)))
        return runs

    def flip(self, path, offset):
        with open(path, "r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 0x20]))

    def test_a_killed_box_is_clean_and_a_flipped_byte_is_named(self):
        self.feed(2000)
        refused = self.run_eagre("verify", self.box.data, status=1)
        self.assertIn(f"in use by pid {self.box.eagred.child.pid}", refused)
        self.kill()
        report = self.verify()
        self.assertTrue(report["ok"])
        self.assertGreaterEqual(report["records"], 2000)
        self.assertTrue(any("unclean stop" in note["what"] for note in report["notes"]), report["notes"])

        runs = self.stored_runs()
        self.assertEqual(len(runs), report["runs"])
        path, offset = runs[len(runs) // 2]
        self.flip(path, offset + 64 + 30)
        report = self.verify(status=1)
        self.assertEqual([(problem["file"], problem["offset_bytes"]) for problem in report["problems"]],
                         [(path, offset)])
        self.assertIn("stored bytes", report["problems"][0]["what"])
        self.assertIn(f"PROBLEM {path} at {offset}: stored bytes",
                      self.run_eagre("verify", self.box.data, status=1))
        dumped = self.run_eagre("dump", self.box.data, status=1)
        self.assertEqual(dumped.count("DAMAGED"), 1)
        self.assertEqual(dumped.count(" run shard "), len(runs))
        self.assertIn('name=quotes', dumped)

    def test_a_stopped_box_and_its_next_lives_are_clean(self):
        self.feed(500)
        self.kill()
        for _ in range(2):
            self.box.start()
            self.assertEqual(self.box.control.stop(), 0)
            self.assertEqual(self.box.eagred.stop(), 0)
            report = self.verify()
            self.assertEqual((report["problems"], report["footers"]), ([], report["segments"]))
        # The catalogue counts, too.
        with open(self.box.path("catalog.sqlite"), "r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * 100)
        report = self.verify(status=1)
        self.assertTrue(all(problem["file"].endswith("catalog.sqlite") for problem in report["problems"]))

    def test_what_is_no_directory_of_ours_is_refused(self):
        self.assertIn("not a data directory", self.run_eagre("verify", self.box.data, status=1))
        self.assertEqual(os.listdir(self.box.data), [], "verify left something behind")
        self.assertIn("neither", self.run_eagre("dump", self.box.data, status=1))


if __name__ == "__main__":
    box.main()
