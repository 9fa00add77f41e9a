"""Cores and data directories come and go between two starts: journals are made for new ones, share a core when there are
fewer, and are known to be missing when their directory is. What was acknowledged is read back once, in order, in every
constellation."""
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import unittest

import box
import wire


def needs_two_cpus(test):
    return unittest.skipUnless(len(os.sched_getaffinity(0)) >= 2, "needs two CPUs")(test)


EAGRE = os.path.join(box.BIN, "eagre")


class Writer(threading.Thread):
    """Numbers, one after the other, for each of some keys, wherever the map says; goes on where shards have moved, and
    after a restart once it is told to. `acknowledged`: {key: [number, ...]}."""
    FOLLOWS = ("ShardClosed", "StaleMap", "NotOwner", "Unavailable", "Busy")

    def __init__(self, the_box, name, keys):
        super().__init__(daemon=True)
        self.box, self.name, self.keys = the_box, name, keys
        self.acknowledged, self.count = {key: [] for key in keys}, 0
        self.enough, self.up, self.changed, self.error = threading.Event(), threading.Event(), threading.Condition(), None
        self.up.set()
        self.connections, self.stream = {}, None

    def run(self):
        number = 0
        try:
            while not self.enough.is_set():
                for key in self.keys:
                    self.write(key, number)
                number += 1
        except Exception as error:  # Told to whoever waits.
            self.error = error
        with self.changed:
            self.changed.notify_all()

    def connection(self, core):
        if core not in self.connections:
            self.connections[core] = self.box.connect(core)
        return self.connections[core]

    def write(self, key, number):
        deadline = time.monotonic() + box.WAIT_S
        while time.monotonic() < deadline:
            try:
                if self.stream is None:
                    self.stream = self.connection(0).metadata(self.name)[0]
                shard = self.stream.shard_for(key)
                self.connection(shard.core).append(shard.id, [(key, b"%d" % number)], self.stream.map_version)
                with self.changed:
                    self.acknowledged[key].append(number)
                    self.count += 1
                    self.changed.notify_all()
                return
            except wire.WireError as error:
                if error.name not in self.FOLLOWS:
                    raise
                self.stream = None
                self.enough.wait(0.005)
            except StopIteration:  # Between a parent's end and its child's beginning no shard takes the key.
                self.stream = None
                self.enough.wait(0.005)
            except (wire.Disconnected, OSError):
                # Stored or not, nobody knows: this number is not written again.
                self.up.clear()
                self.connections, self.stream = {}, None
                assert self.up.wait(box.WAIT_S), "the box did not come back"
                return
        raise AssertionError(f"{key} {number} was not taken in time")

    def wait_for(self, more):
        with self.changed:
            target = self.count + more
            self.changed.wait_for(lambda: self.count >= target or self.error, box.WAIT_S)
            assert self.count >= target and not self.error, f"{self.count} of {target}: {self.error}"

    def stop(self):
        self.enough.set()
        self.up.set()
        self.join(box.WAIT_S)
        assert not self.is_alive() and self.error is None, self.error


class Cores(unittest.TestCase):
    def setUp(self):
        self.box = box.Box().__enter__()
        self.addCleanup(self.box.__exit__)
        self.kept = {}  # By shard: what was acknowledged.

    def restart(self, cores=None, *args, kill=False):
        if self.box.eagred is not None:
            if kill:
                self.box.control.kill()
                self.box.eagred.kill()
            else:
                self.assertEqual(self.box.control.stop(), 0, self.box.control.text())
                self.assertEqual(self.box.eagred.stop(), 0, self.box.eagred.text())
        self.box.cores = cores or self.box.cores
        self.box.start_eagred(*args)
        self.box.start_control()
        self.box.control.wait_for(r"agreed with the dataplane")

    def describe(self, name="quotes"):
        with self.box.admin() as admin:
            return admin.describe(name)

    def feed(self, name="quotes", records=200):
        """Writes to every open shard of the stream that is there; returns the shards."""
        stream = self.describe(name)
        for shard in stream.shards:
            if not (shard.available and shard.open):
                continue
            key = box.key_for(stream, shard)
            with self.box.connect(shard.core) as data:
                for i in range(0, records, 20):
                    batch = [(key, b"%d of %d" % (len(self.kept.get(shard.id, [])) + j, shard.id)) for j in range(20)]
                    first = data.append(shard.id, batch, stream.map_version)
                    self.kept.setdefault(shard.id, []).extend(
                        (first + j, k, v) for j, (k, v) in enumerate(batch))
        return stream.shards

    def check(self, name="quotes"):
        """All that was acknowledged, from shards that are available; returns the ids of the others."""
        stream, unavailable = self.describe(name), []
        for shard in stream.shards:
            if not shard.available:
                unavailable.append(shard.id)
                continue
            with self.box.connect(shard.core) as data:
                self.assertEqual(data.read_all(shard.id), self.kept.get(shard.id, []), f"shard {shard.id}")
        return unavailable

    @needs_two_cpus
    def test_more_cores_and_fewer(self):
        self.restart("0")
        with self.box.admin() as admin:
            admin.create("quotes", 4)
        self.feed()
        for number, (cores, kill) in enumerate([("0,1", False), ("0", True), ("0,1", True), ("1", False)]):
            self.restart(cores, kill=kill)
            self.assertEqual(self.check(), [], cores)
            served = self.feed()
            self.assertEqual({shard.core for shard in served}, {0})  # All of it was made on one core.
            with self.box.admin() as admin:
                made = admin.create(f"made-on-{number}", 4)
            self.assertEqual(1 in {shard.core for shard in made.shards}, cores == "0,1", "the new core is used")
        self.assertTrue(os.path.isdir(self.box.path("journal-0001")))
        self.assertFalse(os.path.exists(self.box.path("journal-0002")))
        # Journals share a core now; what was spread over two is there as well.
        for number in range(4):
            self.assertTrue(all(shard.available for shard in self.describe(f"made-on-{number}").shards))
        self.assertEqual(self.check(), [])

    def elsewhere(self):
        """A directory for the box to have beside its own, away from it."""
        place = tempfile.mkdtemp(prefix="eagre-also-")
        self.addCleanup(shutil.rmtree, place, True)
        return os.path.join(place, "eagre")

    def refusal(self, ask):
        with self.assertRaises(wire.WireError) as refused:
            ask()
        return refused.exception.name, refused.exception.detail

    def test_a_directory_comes_goes_and_comes_back(self):
        fast = self.elsewhere()
        self.restart("0")
        with self.box.admin() as admin:
            admin.create("quotes", 4)
        self.feed()
        self.restart("0", "--also", fast)
        self.assertIn(f"directory 1 is new: {fast}", self.box.eagred.text())
        self.assertEqual(self.check(), [])
        with self.box.admin() as admin:
            placed = {shard.id: shard.journal for shard in admin.create("wide", 6).shards}
        self.assertEqual(sorted(placed.values()), [0, 1, 1, 1, 1, 1])  # Ten in all: as many here as there.
        self.feed("wide")

        os.rename(fast, fast + ".unmounted")
        self.restart(kill=True)  # Not named: it is remembered.
        self.assertIn(f"directory 1 is missing ({fast}", self.box.eagred.text())
        self.assertEqual(self.check(), [])
        self.assertEqual(self.check("wide"), [shard for shard, journal in placed.items() if journal == 1])
        tail = subprocess.run([EAGRE, "tail", "wide", "--from", "trim_horizon", "--no-follow", "--format", "csv", "--data", self.box.data],
                              capture_output=True, text=True, timeout=box.WAIT_S)
        self.assertEqual(tail.returncode, 1, "not all was read")
        for shard, journal in placed.items():
            self.assertEqual(tail.stderr.count(f"shard {shard}: a data directory of the box is missing"), journal, tail.stderr)
        member = subprocess.run([EAGRE, "tail", "wide", "--group", "g", "--no-follow", "--format", "csv", "--data", self.box.data],
                                capture_output=True, text=True, timeout=box.WAIT_S)
        self.assertEqual(member.returncode, 1, "not all was read")
        self.assertEqual(sorted(member.stdout.splitlines()), sorted(tail.stdout.splitlines()))
        self.assertIn("a data directory of the box is missing", member.stderr)
        self.feed("quotes")
        self.feed("wide")  # What is there takes writes.
        lost = next(shard for shard in self.describe("wide").shards if not shard.available)
        self.box.control.kill()  # The dataplane knows by itself.
        with self.box.connect() as data:
            stream = data.metadata("wide")[0]
            self.assertEqual({shard.id: shard.available for shard in stream.shards},
                             {shard: journal == 0 for shard, journal in placed.items()})
            batch = [(box.key_for(stream, lost), b"v")]
            self.assertEqual(self.refusal(lambda: data.append(lost.id, batch, stream.map_version)), ("Unavailable", 1))
            self.assertEqual(self.refusal(lambda: data.read_all(lost.id)), ("Unavailable", 1))
            # Younger than the map of the last start: it may lie there, who knows?
            self.assertEqual(self.refusal(lambda: data.read_all(4711)), ("Unavailable", 1))
        self.box.start_control()
        self.box.control.wait_for(r"agreed with the dataplane")
        with self.box.admin() as admin:
            self.assertEqual(self.refusal(lambda: admin.create("wide", 4))[0], "StreamExists")
            self.assertEqual(self.refusal(lambda: admin.request(wire.SET_RETENTION, "wide", retention_ms=10**9))[0],
                             "Unavailable")
            made = admin.create("meanwhile", 2)
            self.assertEqual({shard.journal for shard in made.shards}, {0})

        # An empty mount point where it was, even when it is named, is not made a new one.
        os.mkdir(fast)
        self.restart(None, "--also", fast)
        self.assertIn("not mounted?", self.box.eagred.text())
        os.rmdir(fast)
        # Mounted elsewhere it is known by what it is.
        moved = self.elsewhere()
        os.rename(fast + ".unmounted", moved)
        self.restart(None, "--also", moved)
        self.assertIn(f"is now at {moved}", self.box.eagred.text())
        self.assertEqual(self.check("wide"), [])
        self.feed("wide")
        self.restart()
        self.assertEqual([self.check(), self.check("wide")], [[], []])
        self.assertEqual(self.describe("wide").retention_ms, 10**9)  # Written down then, done now.

    def test_room_is_made_beside_a_missing_directory(self):
        """Retention by bytes, the box's limit and a reshard that has to wait, while some shards lie in a directory that is away."""
        fast = self.elsewhere()
        limits = ("--segment-bytes", "4M", "--store-bytes-max", "64M", "--when-full", "trim-oldest")
        self.restart("0", "--also", fast, *limits)
        with self.box.admin() as admin:
            admin.create("quotes", 4)
        self.run_eagre("stream", "create", "short", "--shards", "4", "--retention-bytes", "8M")
        self.feed()
        self.feed("short")
        os.rename(fast, fast + ".unmounted")
        self.restart(None, *limits, kill=True)
        page = b"x" * 900_000

        def fill(name, count, trimmed):
            """So many pages into a shard that is there, until `trimmed(stream, shard)` as they are described."""
            stream = self.describe(name)
            shard = next(shard for shard in stream.shards if shard.available)
            key, deadline = box.key_for(stream, shard), time.monotonic() + box.WAIT_S
            with self.box.connect(shard.core) as data:
                while count > 0:
                    self.assertLess(time.monotonic(), deadline, f"{name} takes no more")
                    try:
                        data.append(shard.id, [(key, page)], stream.map_version)
                        count -= 1
                    except wire.WireError as error:  # For a moment, until the oldest has gone.
                        self.assertEqual(error.name, "StoreFull")
                while True:
                    told = self.described(name)
                    if trimmed(told, next(each for each in told["shards"] if each["id"] == shard.id)):
                        return
                    self.assertLess(time.monotonic(), deadline, f"{name} is not trimmed: {told}")

        fill("short", 24, lambda stream, shard: stream["stored_bytes"] <= 8 << 20 and shard["trim_horizon"] > 12)
        fill("quotes", 70, lambda stream, shard: shard["trim_horizon"] > 20)
        lost = [shard.id for shard in self.describe().shards if not shard.available]
        self.assertTrue(lost)
        began = time.monotonic()
        refused = subprocess.run([EAGRE, "stream", "scale", "quotes", "--shards", "8", "--data", self.box.data], capture_output=True, text=True,
                                 timeout=box.WAIT_S)
        self.assertNotEqual(refused.returncode, 0)
        self.assertLess(time.monotonic() - began, 4, "nobody has to wait for what can't be done now")
        self.assertIn("It is written down, and will be done when all its journals are there", refused.stderr)
        self.assertTrue(self.box.eagred.running(), self.box.eagred.text())
        os.rename(fast + ".unmounted", fast)
        self.restart(None, *limits)
        deadline = time.monotonic() + box.WAIT_S
        while sum(shard.open for shard in self.describe().shards) != 8:
            self.assertLess(time.monotonic(), deadline, "what was written down is not done")
        for shard in self.describe().shards:
            self.assertTrue(shard.available)
            if shard.id in lost:
                with self.box.connect(shard.core) as data:
                    self.assertEqual(data.read_all(shard.id)[:len(self.kept[shard.id])], self.kept[shard.id])

    def run_eagre(self, *args):
        done = subprocess.run([EAGRE, *args, "--data", self.box.data], capture_output=True, text=True, timeout=box.WAIT_S)
        self.assertEqual(done.returncode, 0, f"{args}: {done.stdout}{done.stderr}")
        return done.stdout

    def described(self, name):
        return json.loads(self.run_eagre("stream", "describe", name, "--json"))

    def test_a_start_that_dies_at_any_point(self):
        fast = self.elsewhere()
        self.restart("0")
        with self.box.admin() as admin:
            admin.create("quotes", 2)
        self.feed()
        self.box.control.kill()
        for point in ("directory-identified", "journals-made", "directories-named"):
            with self.subTest(point=point):
                self.box.eagred.kill()
                os.environ["EAGRE_CRASH_AT"] = point
                try:
                    self.assertEqual(self.box.spawn_eagred("--also", fast).wait_exit(), -9, self.box.eagred.text())
                finally:
                    del os.environ["EAGRE_CRASH_AT"]
                self.box.start_eagred("--also", fast)
                with open(self.box.path("eagre.box")) as file:
                    text = file.read()
                self.assertEqual((text.count("\ndirectory "), text.count("\njournal ")), (1, 1), text)
                self.box.eagred.kill()
                # Away with it, as if it had never been: the next point begins anew.
                shutil.rmtree(fast)
                with open(self.box.path("eagre.box"), "w") as file:
                    file.write(text.split("\ndirectory ")[0].replace("journals 2", "journals 1") + "\n")
                self.box.start_eagred()
        self.box.start_control()
        self.assertEqual(self.check(), [])

    def test_directories_that_are_refused(self):
        fast, copied = self.elsewhere(), self.elsewhere()
        self.restart("0", "--also", fast)
        shutil.copytree(fast, copied)
        self.box.control.kill()
        self.box.eagred.kill()
        inside, letters = self.box.path("inside"), self.elsewhere()
        os.mkdir(letters)
        with open(os.path.join(letters, "a.txt"), "w") as file:
            file.write("not yours")
        link = os.path.join(os.path.dirname(fast), "link")
        os.symlink(fast, link)
        with box.Box() as other:
            theirs = self.elsewhere()
            other.start_eagred("--also", theirs)
            refused = [(theirs, 1, "ForeignBox"), (other.data, 1, "ForeignBox"), (letters, 1, "NotADirectory"),
                       (copied, 1, "DirectoryTwice"), (inside, 2, "inside"), (os.path.dirname(self.box.data), 2, "inside"),
                       (self.box.data + "/", 2, "twice"), (link, 2, "twice"), ("/proc/nothing/there", 1, "Io")]
            for path, status, word in refused:
                with self.subTest(path=path):
                    eagred = self.box.spawn_eagred("--also", fast, "--also", path)
                    self.assertEqual(eagred.wait_exit(), status, eagred.text())
                    self.assertIn(word, eagred.text())
                    self.assertIn(path.rstrip("/") if path != link else fast, eagred.text())
            # One that an eagred holds, of this box or another.
            self.box.start_eagred()
            again = box.Process([box.EAGRED, "--data", self.box.data, *box.EAGRED_ARGS], "second eagred")
            self.assertNotEqual(again.wait_exit(), 0)
            self.assertIn("Locked", again.text())
        for cores in ("0,0", "0,", ",0", "0-", "1-0", "0,,1", "4000"):
            with self.subTest(cores=cores):
                eagred = box.Process([box.EAGRED, "--data", self.elsewhere(), "--cores", cores], "eagred")
                self.assertEqual(eagred.wait_exit(), 2, eagred.text())
                self.assertIn("--cores", eagred.text())

    def rebalance(self, *args):
        """What `eagre rebalance --json` says."""
        done = subprocess.run([EAGRE, "rebalance", "--data", self.box.data, "--json", *args], capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def check_order(self, writer):
        """Every key's numbers in order, parents before children, none twice, all that was acknowledged."""
        found = {key: [] for key in writer.keys}
        for shard in sorted(self.describe().shards, key=lambda each: each.id):
            self.assertTrue(shard.available)
            with self.box.connect(shard.core) as data:
                for _, key, number in data.read_all(shard.id):
                    found[key].append(int(number))
        for key, numbers in found.items():
            self.assertEqual(numbers, sorted(set(numbers)), key)
            self.assertFalse(set(writer.acknowledged[key]) - set(numbers), key)

    @needs_two_cpus
    def test_rebalancing_under_load(self):
        """More cores and a directory: shards move there while they are written to, kill -9 in the midst of it included."""
        self.restart("0")
        with self.box.admin() as admin:
            admin.create("quotes", 4)
        # The dataplane will die when it has closed the first shards to be moved and before their children are open.
        os.environ["EAGRE_CRASH_AT"] = "reshard-parents-closed"
        try:
            fast = self.elsewhere()
            self.restart("0,1", "--also", fast)
        finally:
            del os.environ["EAGRE_CRASH_AT"]
        self.box.control.wait_for("not spread evenly")
        planned = self.rebalance("--dry-run")
        self.assertEqual((planned["moved"], len(planned["to_move"])), (0, 3))
        self.assertEqual([(each["directory"], each["core"]) for each in planned["journals"]], [(0, 0), (0, 1), (1, 1), (1, 0)])
        writer = Writer(self.box, "quotes", [b"key-%d" % i for i in range(16)])
        writer.start()
        writer.wait_for(200)
        mover = subprocess.Popen([EAGRE, "rebalance", "--data", self.box.data], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(mover.stderr.close)
        self.assertEqual(self.box.eagred.wait_exit(), -9)
        mover.kill()
        mover.wait()
        self.box.control.kill()
        self.box.start_eagred()
        self.box.start_control()
        self.box.control.wait_for(r"agreed with the dataplane")
        writer.up.set()
        writer.wait_for(200)
        self.rebalance()
        self.assertEqual(self.rebalance()["moved"], 0, "all of it is even now")
        open_shards = [shard for shard in self.describe().shards if shard.open]
        self.assertEqual(sorted(shard.journal for shard in open_shards), [0, 1, 2, 3])
        writer.wait_for(200)
        writer.stop()
        self.check_order(writer)
        self.restart("1", kill=True)  # All four journals on one core.
        self.check_order(writer)
        shown = subprocess.run([EAGRE, "stream", "describe", "--data", self.box.data, "quotes"], capture_output=True, text=True,
                               timeout=60)
        self.assertIn(fast, shown.stdout)


if __name__ == "__main__":
    box.main()
