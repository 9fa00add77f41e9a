"""Room with real processes: retention by bytes, the limit of the box, and what the oldest records and a full disk do to
writers, readers and deletion."""
import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

import box
import wire

EAGRE = os.path.join(box.BIN, "eagre")
MIB = 1 << 20
SEGMENT = 4 * MIB
CHUNK = b"x" * (256 * 1024)
LINES = 60_000  # Of 1,000 bytes each.


class RoomCase(unittest.TestCase):
    def begin(self, *args, data=None):
        self.box = box.Box(data).__enter__()
        self.addCleanup(self.box.__exit__)
        self.args = ["--segment-bytes", "4M", *args]
        self.start()

    def start(self):
        self.box.start_eagred(*self.args)
        self.box.start_control()
        self.box.control.wait_for(r"agreed with the dataplane")

    def run_eagre(self, *args, **more):
        done = subprocess.run([EAGRE, *args, "--data", self.box.data], capture_output=True, text=True, timeout=60, **more)
        self.assertEqual(done.returncode, 0, f"{args}: {done.stdout}{done.stderr}")
        return done.stdout

    def describe(self, name):
        return json.loads(self.run_eagre("stream", "describe", name, "--json"))

    def wait_until(self, true, what, timeout_s=20):
        deadline = time.monotonic() + timeout_s
        while not true():
            self.assertLess(time.monotonic(), deadline, what)

    def fill(self, data, shard, most=4000):
        """Until the box refuses: (how many were taken, the error's name)."""
        for stored in range(most):
            try:
                data.append(shard, [(b"k", CHUNK)])
            except wire.WireError as error:
                return stored, error.name
        self.fail("the box never got full")

    def journal_bytes(self):
        directory = self.box.path("journal-0000")
        return sum(os.stat(os.path.join(directory, name)).st_size for name in os.listdir(directory) if name.endswith(".eagre"))


class Room(RoomCase):
    def test_time_takes_one_stream_and_leaves_the_other(self):
        """What is older than its stream's retention goes, closed parents with it; what lies beside it in the same segments stays."""
        self.begin()
        self.run_eagre("stream", "create", "short", "--shards", "2", "--retention", "3s")
        self.run_eagre("stream", "create", "long")
        lines = {name: [f"{name}-{i:06d}-" + name[0] * 985 for i in range(count)] for name, count in (("short", 24_000), ("long", 24_000))}
        for part in range(8):  # By turns, so that they share every segment.
            for name, all_lines in lines.items():
                size = len(all_lines) // 8
                put = "\n".join(all_lines[part * size:(part + 1) * size]) + "\n"
                self.run_eagre("put", name, "--key", "k", input=put)
        began = time.monotonic()
        parent = next(shard["id"] for shard in self.describe("short")["shards"] if shard["next_sequence"] > 1)
        self.run_eagre("stream", "split", "short", "--shard", str(parent))
        closed = self.run_eagre("tail", "short", "--shard", str(parent), "--from", "trim_horizon", "--no-follow").splitlines()
        if time.monotonic() - began < 2:  # Nothing can have been taken yet on a machine that is quick enough.
            self.assertEqual(closed[-1], lines["short"][-1], "a closed shard is read to its end")

        def gone():
            shards = {shard["id"]: shard for shard in self.describe("short")["shards"]}
            return parent not in shards and self.describe("short")["stored_bytes"] == 0
        self.wait_until(gone, "what is too old is still there")
        self.assertEqual(self.run_eagre("tail", "short", "--from", "trim_horizon", "--no-follow"), "")
        self.assertEqual(self.run_eagre("tail", "long", "--from", "trim_horizon", "--no-follow").splitlines(), lines["long"])

        def space_is_back():
            core = json.loads(self.run_eagre("stats", "--json"))["cores"][0]
            # The segment that is written to can't give anything back, and one more is as a rule half full.
            return core["used_bytes"] <= 1.3 * core["alive_bytes"] + 2 * SEGMENT
        self.wait_until(space_is_back, "space does not come back")
        self.assertEqual(self.run_eagre("tail", "long", "--from", "trim_horizon", "--no-follow").splitlines(), lines["long"])

    def test_a_stream_stays_under_its_bytes(self):
        self.begin()
        self.run_eagre("stream", "create", "short", "--shards", "4", "--retention-bytes", "8M")
        self.run_eagre("stream", "create", "long")
        with self.box.connect() as data:
            other = data.metadata("long")[0].shards[0].id
            data.append(other, [(b"k", b"first of all")])
        lines = self.box.path("lines")
        with open(lines, "w", encoding="ascii") as file:
            for i in range(LINES):
                file.write(f"{i % 97},{i:08}," + "x" * 985 + "\n")
        self.run_eagre("put", "short", "--key-column", "1", lines)
        self.wait_until(lambda: 0 < self.describe("short")["stored_bytes"] <= 8 * MIB and
                        all(shard["trim_horizon"] > 1 for shard in self.describe("short")["shards"]), "never trimmed to its limit")
        told = self.describe("short")
        self.assertGreater(told["stored_bytes"], 6 * MIB, "more was trimmed than had to be")
        self.assertTrue(all(shard["trim_horizon"] > 1 for shard in told["shards"]))
        found = [int(line.split(",")[1]) for line in
                 self.run_eagre("tail", "short", "--from", "trim_horizon", "--no-follow").splitlines()]
        self.assertIn(LINES - 1, found)
        # Shards keep up to an extent more than their share of the limit.
        self.assertLess(len(found) * 1000, 8 * MIB + 4 * 256 * 1024 + MIB)
        self.assertGreater(len(found) * 1000, 5 * MIB)
        self.assertGreater(min(found), LINES // 2, "the oldest stayed")
        with self.box.connect() as data:
            self.assertEqual(data.read_all(other), [(1, b"k", b"first of all")])
        horizons = [shard["trim_horizon"] for shard in told["shards"]]
        self.box.eagred.kill()
        self.box.control.kill()
        self.start()
        again = self.describe("short")
        self.assertTrue(all(now["trim_horizon"] >= then for now, then in zip(again["shards"], horizons)))
        self.assertEqual(len(self.run_eagre("tail", "short", "--from", "trim_horizon", "--no-follow").splitlines()), len(found))

    def test_the_limit_of_the_box_refuses_until_there_is_room(self):
        self.begin("--store-bytes-max", "48M")
        self.run_eagre("stream", "create", "bulk")
        with self.box.connect() as data:
            shard = data.metadata("bulk")[0].shards[0].id
            stored, name = self.fill(data, shard)
            self.assertEqual(name, "StoreFull")
            self.assertGreater(stored, 20 * MIB // len(CHUNK))
            self.assertLessEqual(self.journal_bytes(), 48 * MIB)
            self.assertEqual(len(data.read_all(shard, stored - 9)), 10)
            # The client library waits for room: a limit of the stream makes it.
            put = subprocess.Popen([EAGRE, "put", "bulk", "--json", "--data", self.box.data], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            put.stdin.write("waited for\n")
            put.stdin.flush()
            self.box.wait_for_statistics()
            self.run_eagre("stream", "set", "bulk", "--retention-bytes", "8M")
            out, err = put.communicate(timeout=40)
            self.assertEqual((put.returncode, json.loads(out.splitlines()[-1])["acknowledged"]), (0, 1), err)
            self.assertEqual(data.append(shard, [(b"k", b"again")]), stored + 2)
        self.box.eagred.wait_for("no room for another segment")
        self.box.eagred.wait_for("there is room again")

    def read_rest(self, data, shard, start):
        """What there is, while the oldest may still be going."""
        while True:
            try:
                return data.read_all(shard, start)
            except wire.WireError as error:
                self.assertEqual(error.name, "SequenceTrimmed")
                start = error.detail

    def test_the_oldest_makes_room_when_told_to(self):
        self.begin("--store-bytes-max", "48M", "--when-full", "trim-oldest")
        self.run_eagre("stream", "create", "old")
        self.run_eagre("stream", "create", "bulk")
        with self.box.connect() as data:
            old, bulk = (data.metadata(name)[0].shards[0].id for name in ("old", "bulk"))
            data.append(old, [(b"k", b"goes first")])
            sent = 0
            while sent < 400:
                try:
                    sent = data.append(bulk, [(b"k", b"%08d" % sent + CHUNK)])
                except wire.WireError as error:  # For a moment, until the oldest has gone.
                    self.assertEqual(error.name, "StoreFull")
            self.assertLessEqual(self.journal_bytes(), 48 * MIB)
            told = self.describe("bulk")["shards"][0]
            self.assertGreater(told["trim_horizon"], 100)
            self.assertLess(told["trim_horizon"], 400 - 16 * MIB // len(CHUNK), "more was given up than had to be")
            found = self.read_rest(data, bulk, told["trim_horizon"])
            self.assertEqual([number for number, _, _ in found], list(range(found[0][0], 401)))
            self.assertTrue(all(record[:8] == b"%08d" % (number - 1) for number, _, record in found))
            shard = self.describe("old")["shards"][0]
            self.assertEqual(shard["trim_horizon"], shard["next_sequence"])
        self.box.eagred.wait_for("given up to make room")

    def test_describe_of_10000_shards_is_right(self):
        self.begin("--segment-bytes", "64M")
        self.run_eagre("stream", "create", "wide", "--shards", "10000")
        self.run_eagre("put", "wide", "--json", input="".join(f"line {i}\n" for i in range(5000)))
        told = self.describe("wide")
        self.assertEqual(len(told["shards"]), 10000)
        self.assertTrue(all(shard["next_sequence"] >= 1 and shard["trim_horizon"] == 1 for shard in told["shards"]))
        self.assertEqual(sum(shard["next_sequence"] - 1 for shard in told["shards"]), 5000)
        self.box.eagred.kill()
        self.box.control.kill()
        self.start()
        again = self.describe("wide")
        self.assertEqual([shard["next_sequence"] for shard in again["shards"]], [shard["next_sequence"] for shard in told["shards"]])

    def test_a_limit_that_cannot_be_kept_is_refused_at_start(self):
        data = box.Box().__enter__()
        self.addCleanup(data.__exit__)
        data.spawn_eagred("--segment-bytes", "4M", "--store-bytes-max", "20M")
        self.assertEqual(data.eagred.wait_exit(), 2)
        self.assertIn("must be at least 25165824", data.eagred.text())


class FullDisk(RoomCase):
    """A file system of its own, so small that it fills up."""

    def setUp(self):
        self.place = tempfile.mkdtemp(prefix="eagre-room-")
        self.addCleanup(shutil.rmtree, self.place, True)
        image, self.mount = os.path.join(self.place, "image"), os.path.join(self.place, "mount")
        os.mkdir(self.mount)
        with open(image, "wb") as file:
            file.truncate(96 * MIB)
        try:
            subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True, capture_output=True)
            subprocess.run(["mount", "-o", "loop", image, self.mount], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            box.cannot_run(f"no small file system to be had: {error}")
        self.addCleanup(subprocess.run, ["umount", "-l", self.mount], capture_output=True)

    def free_bytes(self):
        status = os.statvfs(self.mount)
        return status.f_bavail * status.f_frsize

    def test_writes_wait_everything_else_goes_on(self):
        self.begin("--disk-reserve", "16M", "--port", str(box.free_port(1)), data=self.mount)
        self.run_eagre("stream", "create", "bulk")
        self.run_eagre("stream", "create", "kept")
        with self.box.connect() as data:
            bulk, kept = (data.metadata(name)[0].shards[0].id for name in ("bulk", "kept"))
            for i in range(8):
                data.append(kept, [(b"k", b"%d" % i + CHUNK)])
            stored, name = self.fill(data, bulk)
            self.assertEqual(name, "DiskFull")
            self.assertGreaterEqual(self.free_bytes(), 16 * MIB, "the reserve was touched")
            self.assertEqual(len(data.read_all(bulk, stored - 9)), 10)
            put = subprocess.Popen([EAGRE, "put", "kept", "--json", "--data", self.box.data], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            put.stdin.write("".join(f"line {i}\n" for i in range(5000)))
            put.stdin.flush()
            # Streams come and go, limits change: all of that is facts.
            self.run_eagre("stream", "create", "new", "--shards", "8")
            self.run_eagre("stream", "set", "kept", "--retention", "7d")
            self.run_eagre("stream", "tag", "kept", "team=feeds")
            self.assertGreaterEqual(self.free_bytes(), 16 * MIB, "the reserve was touched")
            # Killed and started again while full.
            self.box.eagred.kill()
            self.box.control.kill()
        self.start()
        with self.box.connect() as data:
            self.assertEqual(len(data.read_all(bulk)), stored)
            self.run_eagre("stream", "delete", "bulk")
            out, err = put.communicate(timeout=40)
            self.assertEqual((put.returncode, json.loads(out.splitlines()[-1])["acknowledged"]), (0, 5000), err)
            found = data.read_all(kept)
        self.assertEqual([record for _, _, record in found[:8]], [b"%d" % i + CHUNK for i in range(8)])
        self.assertEqual([record for _, _, record in found[8:]], [b"line %d" % i for i in range(5000)])
        self.assertEqual([number for number, _, _ in found], list(range(1, 5009)))


if __name__ == "__main__":
    box.main()
