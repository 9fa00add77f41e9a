"""Cores and data directories come and go between two starts: journals are made for new ones, share a core when there are
fewer, and are known to be missing when their directory is. What was acknowledged is read back once, in order, in every
constellation."""
import os
import shutil
import tempfile
import unittest

import box
import wire


def needs_two_cpus(test):
    return unittest.skipUnless(len(os.sched_getaffinity(0)) >= 2, "needs two CPUs")(test)


class Cores(unittest.TestCase):
    def setUp(self):
        self.box = box.Box().__enter__()
        self.addCleanup(self.box.__exit__)

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

    def feed(self, records=200):
        """Writes to every shard of the stream that is there and checks all of it so far."""
        stream = self.describe()
        with_core = {shard.id: shard for shard in stream.shards}
        self.kept = getattr(self, "kept", {})
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
        return with_core

    def check(self):
        """All that was acknowledged, from shards that are available; returns the ids of the others."""
        stream, unavailable = self.describe(), []
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
            self.assertEqual({shard.core for shard in served.values()}, {0})  # All of it was made on one core.
            with self.box.admin() as admin:
                made = admin.create(f"made-on-{number}", 4)
            self.assertEqual(1 in {shard.core for shard in made.shards}, cores == "0,1", "the new core is used")
        self.assertTrue(os.path.isdir(self.box.path("journal-0001")))
        self.assertFalse(os.path.exists(self.box.path("journal-0002")))
        # Journals share a core now; what was spread over two is there as well.
        for number in range(4):
            self.assertTrue(all(shard.available for shard in self.describe(f"made-on-{number}").shards))
        self.assertEqual(self.check(), [])


if __name__ == "__main__":
    box.main()
