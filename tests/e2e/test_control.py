"""Control and dataplane as real processes: streams come and go, either dies with kill -9 in the midst of a feed, the
catalogue is lost or is an old copy. The dataplane serves on without control, and when both are back they agree on what
the journals know."""
import os
import shutil
import unittest

import box
import wire

CATALOG = ("catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm")


class Control(unittest.TestCase):
    def setUp(self):
        self.box = box.Box().__enter__()
        self.addCleanup(self.box.__exit__)
        self.box.start()

    def names(self):
        with self.box.admin() as admin:
            return sorted(stream.name for stream in admin.list())

    def create(self, name, shards=2):
        with self.box.admin() as admin:
            return admin.create(name, shards)

    def restart_control(self):
        self.box.start_control().wait_for("agreed with the dataplane")

    def assert_agreement(self):
        """What control says is what the dataplane serves."""
        with self.box.admin() as admin, self.box.connect() as data:
            said = {stream.name: (stream.id, stream.shard_count) for stream in admin.list()}
            served = {stream.name: (stream.id, stream.shard_count) for stream in data.metadata()}
            self.assertEqual(said, served)
            for name in said:
                self.assertEqual([shard.id for shard in admin.describe(name).shards],
                                 [shard.id for shard in data.metadata(name)[0].shards])

    def test_streams_come_and_go(self):
        created = self.create("quotes", 4)
        self.assertEqual([shard.available for shard in created.shards], [True] * 4)
        self.create("trades", 1)
        with self.assertRaises(wire.WireError) as refused:
            self.create("trades", 1)
        self.assertEqual(refused.exception.name, "StreamExists")
        self.assertEqual(self.names(), ["quotes", "trades"])
        with self.box.admin() as admin, self.box.connect() as data:
            shard = admin.describe("trades").shards[0]
            self.assertEqual(data.append(shard.id, [(b"k", b"hello")]), 1)
            self.assertEqual(admin.describe("trades").shards[0].tail, 2)
            admin.delete("trades")
            with self.assertRaises(wire.WireError) as gone:
                data.append(shard.id, [(b"k", b"hello")])
            self.assertEqual(gone.exception.name, "UnknownShard")
            with self.assertRaises(wire.WireError) as unknown:
                admin.describe("trades")
            self.assertEqual(unknown.exception.name, "UnknownStream")
            # The same name is another stream: none of the old one's records, none of its ids.
            again = admin.create("trades", 1).shards[0]
            self.assertGreater(again.id, shard.id)
            self.assertEqual(data.read_all(again.id), [])
        self.assert_agreement()

    def test_orderly_stop_and_restart_of_both(self):
        stream = self.create("quotes", 2)
        feeder = box.Feeder(self.box, stream)
        feeder.start()
        feeder.wait_for(200)
        feeder.stop()
        self.assertEqual(self.box.control.stop(), 0)
        self.assertEqual(self.box.eagred.stop(), 0)
        self.box.start()
        self.assert_agreement()
        feeder.check(self.box)

    def test_dataplane_serves_on_while_control_is_dead(self):
        stream = self.create("quotes", 3)
        feeder = box.Feeder(self.box, stream)
        feeder.start()
        feeder.wait_for(100)
        self.box.control.kill()
        feeder.wait_for(500)  # Served on.
        with self.assertRaises(wire.Disconnected):
            self.box.admin()
        self.restart_control()
        self.assert_agreement()
        self.create("another", 1)
        feeder.wait_for(100)
        feeder.stop()
        feeder.check(self.box)

    def test_control_answers_while_the_dataplane_is_dead(self):
        self.create("quotes", 2)
        self.box.eagred.kill()
        self.box.control.wait_for("dataplane lost")
        with self.box.admin() as admin:
            self.assertEqual([stream.name for stream in admin.list()], ["quotes"])
            self.assertEqual([shard.available for shard in admin.describe("quotes").shards], [False, False])
            with self.assertRaises(wire.WireError) as down:
                admin.create("trades")
            self.assertEqual(down.exception.name, "Unavailable")
        self.box.start_eagred()
        self.box.control.wait_for("agreed with the dataplane")
        self.assertEqual(self.names(), ["quotes"])
        self.create("trades", 1)
        self.assert_agreement()

    def test_kill_both_while_feeding(self):
        stream = self.create("quotes", 2)
        feeder = box.Feeder(self.box, stream)
        feeder.start()
        feeder.wait_for(300)
        self.box.control.kill()
        self.box.eagred.kill()
        feeder.stop()
        self.assertIsNotNone(feeder.error)
        self.box.start()
        self.assert_agreement()
        feeder.check(self.box)

    def test_old_catalogue_restored(self):
        self.create("kept", 1)
        self.create("deleted", 2)
        self.create("recreated", 2)
        self.box.control.stop()
        copy = self.box.path("copy.log")
        shutil.copy(self.box.path("catalog.sqlite"), copy)
        self.restart_control()
        with self.box.admin() as admin:
            admin.delete("deleted")
            admin.delete("recreated")
        self.create("recreated", 3)
        new = self.create("new", 1)
        self.box.control.kill()
        for name in CATALOG[1:]:
            if os.path.exists(self.box.path(name)):
                os.unlink(self.box.path(name))
        os.rename(copy, self.box.path("catalog.sqlite"))
        self.restart_control()
        self.assertEqual(self.names(), ["kept", "new", "recreated"])
        self.assert_agreement()
        # Ids that the old copy would hand out again are above all that were ever used.
        newer = self.create("newer", 2)
        self.assertGreater(min(shard.id for shard in newer.shards), max(shard.id for shard in new.shards))
        self.assert_agreement()

    def test_catalogue_deleted_altogether(self):
        stream = self.create("quotes", 4)
        self.create("trades", 1)
        feeder = box.Feeder(self.box, stream)
        feeder.start()
        feeder.wait_for(50)
        self.box.control.kill()
        for name in CATALOG:
            if os.path.exists(self.box.path(name)):
                os.unlink(self.box.path(name))
        self.restart_control()
        self.assertEqual(self.names(), ["quotes", "trades"])
        self.assert_agreement()
        feeder.wait_for(50)
        feeder.stop()
        feeder.check(self.box)

    def test_rotten_catalogue_is_moved_aside_and_rebuilt(self):
        self.create("quotes", 2)
        self.box.control.kill()
        for name in CATALOG[1:]:
            if os.path.exists(self.box.path(name)):
                os.unlink(self.box.path(name))
        with open(self.box.path("catalog.sqlite"), "wb") as file:
            file.write(b"rot" * 5000)
        control = self.box.spawn_control()
        control.wait_for("moved aside")
        control.wait_for("agreed with the dataplane")
        self.assertEqual(self.names(), ["quotes"])
        self.assert_agreement()
        self.assertTrue(any(name.startswith("catalog.sqlite.corrupt-") for name in os.listdir(self.box.data)))

    def test_two_controls_exclude_each_other(self):
        first = self.box.control
        second = box.Process([box.CONTROL, "--data", self.box.data], "second eagre-control")
        self.assertNotEqual(second.wait_exit(), 0)
        self.assertIn("another eagre-control serves this data directory", second.text())
        self.assertIn(f"pid={first.child.pid}", second.text())
        self.create("quotes", 1)


if __name__ == "__main__":
    box.main()
