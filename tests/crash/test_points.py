"""Every crash point of eagred and eagre-control (`--list-crash-points`), one after the other: the process kills itself
there in the middle of a scaling, a move to other journals or a deletion, with a producer that never stops; it is started
again, and the operation is finished or undone without anybody asking: everything acknowledged is there, once, in order per
key, and the box goes on. (The cleaner's points are visited by test_cleaner.py, those of a start by test_cores.py.)"""
import json
import os
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import box  # noqa: E402
import wire  # noqa: E402
from test_crash import WITNESS  # noqa: E402

EAGRE = os.path.join(box.BIN, "eagre")
OURS = ("reshard-", "delete-")
ELSEWHERE = ("clean-", "directory-identified", "journals-made", "directories-named")


def points_of(program):
    listed = subprocess.run([program, "--list-crash-points"], capture_output=True, text=True, check=True).stdout
    unknown = [line for line in listed.splitlines() if not line.startswith(OURS + ELSEWHERE)]
    assert not unknown, f"no test visits {unknown}"
    return [line.split()[0] for line in listed.splitlines() if line.startswith(OURS)]


class Points(unittest.TestCase):
    def setUp(self):
        for program in (WITNESS, EAGRE):
            if not os.access(program, os.X_OK):
                box.cannot_run(f"{program} is not built")

    def eagre(self, *args):
        return subprocess.run([EAGRE, "stream", *args, "--data", self.box.data], capture_output=True, text=True, timeout=60)

    def describe(self):
        return json.loads(self.eagre("describe", "quotes", "--json").stdout)

    def settled(self):
        """The stream once nothing is under way; nobody asks for anything meanwhile."""
        deadline = time.monotonic() + 30
        while (stream := self.describe())["state"] != "active":
            self.assertLess(time.monotonic(), deadline, f"neither finished nor undone: {stream}")
            time.sleep(0.02)
        return stream

    def open_shards(self):
        return [shard for shard in self.settled()["shards"] if shard["open"]]

    def begin(self, cores):
        self.box = box.Box(cores=cores).__enter__()
        self.port = box.free_port(cores.count(",") + 1)
        self.args = ["--port", str(self.port), "--segment-bytes", "4M"]
        self.box.start_eagred(*self.args)
        self.box.start_control().wait_for("agreed with the dataplane")
        self.assertEqual(self.eagre("create", "quotes", "--shards", "2").returncode, 0)
        self.log = self.box.path("acknowledged.log")
        self.feeder = subprocess.Popen([WITNESS, "feed", str(self.port), "quotes", self.log, "3000"],
                                       stdout=subprocess.PIPE, text=True)

    def arm(self, point, is_control):
        """Restarts the process that is to die, so that what came before does not count as a visit."""
        os.environ["EAGRE_CRASH_AT"] = point
        try:
            if is_control:
                self.box.control.kill()
                self.box.start_control().wait_for("agreed with the dataplane")
                return self.box.control
            self.box.eagred.kill()
            self.box.start_eagred(*self.args)
            self.box.control.wait_for("agreed with the dataplane")
            return self.box.eagred
        finally:
            del os.environ["EAGRE_CRASH_AT"]

    def recover(self, is_control):
        if is_control:
            self.box.start_control()
        else:
            self.box.start_eagred(*self.args)
        self.box.control.wait_for("agreed with the dataplane")

    def check_records(self):
        self.assertTrue(self.feeder.stdout.readline().startswith("acknowledged"))
        self.feeder.send_signal(signal.SIGTERM)
        said = self.feeder.communicate(timeout=60)[0]
        self.assertEqual(self.feeder.returncode, 0, said)
        checked = subprocess.run([WITNESS, "check", str(self.port), "quotes", self.log, "all"], capture_output=True,
                                 text=True, timeout=60)
        self.assertEqual(checked.returncode, 0, checked.stderr)

    def end(self):
        self.feeder.kill()
        self.feeder.wait()
        self.feeder.stdout.close()
        self.box.__exit__()

    def visit_in_move(self, point, is_control):
        """Both shards move to the other core's journal, in one step."""
        self.begin("0,1")
        try:
            self.assertTrue(self.feeder.stdout.readline().startswith("acknowledged"))
            dying = self.arm(point, is_control)
            before = {shard["id"]: shard["journal"] for shard in self.open_shards()}
            moves = {shard: 1 - journal for shard, journal in before.items()}

            def ask():
                with self.box.admin() as admin:
                    admin.request(wire.MOVE_SHARDS, "quotes", moves=moves)
            with self.assertRaises((wire.WireError, wire.Disconnected, OSError) if is_control else wire.WireError):
                ask()
            self.assertEqual(dying.wait_exit(), -signal.SIGKILL, dying.text())
            self.recover(is_control)
            after = self.open_shards()
            if {shard["id"] for shard in after} == set(before):
                moved = set()
            else:
                moved = {shard["parent"] for shard in after}
                self.assertEqual(moved, set(before), "one has moved and the other has not")
            for shard in after:
                expected = moves[shard["parent"]] if moved else before[shard["id"]]
                self.assertEqual(shard["journal"], expected)
            if is_control and point != "reshard-intended":
                self.assertTrue(moved, "the intention was durable and told")
            self.check_shards(2)
            self.check_records()
        finally:
            self.end()

    def visit(self, point, is_control, cores):
        self.begin(cores)
        try:
            self.assertTrue(self.feeder.stdout.readline().startswith("acknowledged"))
            dying = self.arm(point, is_control)
            deletes = point.startswith("delete-")
            asked = subprocess.Popen([EAGRE, "stream", *(["delete", "quotes"] if deletes else ["scale", "quotes", "--shards", "5"]),
                                      "--data", self.box.data], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if deletes:  # The feeder finds its stream gone; that is its right.
                self.feeder.kill()
            self.assertEqual(dying.wait_exit(), -signal.SIGKILL, dying.text())
            asked.kill()
            asked.wait()
            self.recover(is_control)
            if deletes:
                # What was intended is done; of what was not, nothing is left half.
                # A stream that is being deleted is not shown any more; its name is free when that is done.
                there = self.eagre("describe", "quotes", "--json")
                if there.returncode == 0:
                    self.check_shards(2)
                else:
                    self.assertIn("UnknownStream", there.stderr)
                again = self.eagre("delete", "quotes")
                self.assertTrue(again.returncode == 0 or "UnknownStream" in again.stderr, again.stderr)
                self.assertEqual(self.eagre("create", "quotes", "--shards", "3").returncode, 0)
                self.assertEqual(self.describe()["shard_count"], 3)
                return
            # Finished by itself, all its steps, or undone; asked again it is done, in both cases.
            count = len(self.open_shards())
            self.assertIn(count, (2, 5))
            self.check_shards(count)
            again = self.eagre("scale", "quotes", "--shards", "5", "--json")
            self.assertEqual(again.returncode, 0, f"{again.stderr}\n{self.box.control.text()}\n{self.box.eagred.text()}")
            self.check_shards(5)
            self.assertEqual(self.eagre("scale", "quotes", "--shards", "1").returncode, 0)
            self.check_shards(1)
            self.check_records()
        finally:
            self.end()

    def check_shards(self, count):
        """So many open, without holes; every closed one has children."""
        shards = self.describe()["shards"]
        ranges = sorted((int(s["starting_hash_key"], 16), int(s["ending_hash_key"], 16)) for s in shards if s["open"])
        self.assertEqual(len(ranges), count)
        self.assertEqual((ranges[0][0], ranges[-1][1]), (0, 2**128 - 1))
        for (_, ending), (starting, _) in zip(ranges, ranges[1:]):
            self.assertEqual(ending + 1, starting)
        by_id = {s["id"]: s for s in shards}
        for shard in shards:
            for parent in filter(None, (shard["parent"], shard["adjacent_parent"])):
                self.assertFalse(by_id[parent]["open"])
                self.assertGreater(shard["first_sequence"], by_id[parent]["next_sequence"] - 1)

    def visit_all(self, program, is_control):
        points = points_of(program)
        self.assertGreaterEqual(len(points), 4)
        cores = "0,1" if len(os.sched_getaffinity(0)) > 1 else "0"
        for point in points:
            with self.subTest(point=point):
                self.visit(point, is_control, cores)
            if point.startswith("reshard-") and "," in cores:
                with self.subTest(point=point, operation="move"):
                    self.visit_in_move(point, is_control)

    def test_eagred_dies_at_every_point(self):
        self.visit_all(box.EAGRED, False)

    def test_control_dies_at_every_point(self):
        self.visit_all(box.CONTROL, True)


if __name__ == "__main__":
    box.main()
