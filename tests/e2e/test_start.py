"""Starting where one should not: each of these ends with a message that says what to do and an exit status that is not
0, and leaves what was there as it was. And a device that is full: a typed error, nothing acknowledged is lost, and work
goes on when there is room."""
import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import unittest

import box
import wire


class Start(unittest.TestCase):
    def setUp(self):
        self.box = box.Box().__enter__()
        self.addCleanup(self.box.__exit__)

    def once(self):
        """A directory in which a box has lived and stored a record."""
        self.box.start()
        with self.box.admin() as admin:
            self.shard = admin.create("quotes").shards[0].id
        with self.box.connect() as data:
            data.append(self.shard, [(b"k", b"v")])
        self.stop()

    def stop(self):
        self.assertEqual(self.box.control.stop(), 0, self.box.control.text())
        self.assertEqual(self.box.eagred.stop(), 0, self.box.eagred.text())

    def assert_refused(self, process, *words):
        self.assertNotEqual(process.wait_exit(), 0, process.text())
        for word in words:
            self.assertIn(word, process.text())

    def assert_unharmed(self):
        self.box.start()
        with self.box.connect() as data:
            self.assertEqual(data.read_all(self.shard), [(1, b"k", b"v")])

    def test_directory_of_a_newer_format(self):
        self.once()
        with open(self.box.path("eagre.box")) as file:
            text = file.read()
        with open(self.box.path("eagre.box"), "w") as file:
            file.write(text.replace("format 1", "format 99"))
        self.assert_refused(self.box.spawn_eagred(), "NewerFormat", "99")
        with open(self.box.path("eagre.box"), "w") as file:
            file.write(text)
        self.assert_unharmed()

    def test_catalogue_of_a_newer_schema(self):
        self.once()
        with sqlite3.connect(self.box.path("catalog.sqlite")) as catalog:
            ours = catalog.execute("PRAGMA user_version").fetchone()[0]
            catalog.execute("PRAGMA user_version = 99")
        self.assert_refused(self.box.spawn_control(), "newer Eagre", "NewerFormat")
        with sqlite3.connect(self.box.path("catalog.sqlite")) as catalog:
            catalog.execute(f"PRAGMA user_version = {ours}")
        self.assert_unharmed()

    def test_journal_of_another_box(self):
        self.once()
        with box.Box() as other:
            other.start_eagred()
            self.assertEqual(other.eagred.stop(), 0)
            ours = self.box.path("journal-0000")
            os.rename(ours, ours + ".kept")
            shutil.copytree(other.path("journal-0000"), ours)
        self.assert_refused(self.box.spawn_eagred(), "ForeignBox")
        shutil.rmtree(ours)
        os.rename(ours + ".kept", ours)
        self.assert_unharmed()

    def test_directory_that_is_in_use(self):
        self.once()
        self.box.start()
        second = box.Process([box.EAGRED, "--data", self.box.data, *box.EAGRED_ARGS], "second eagred")
        self.assert_refused(second, "Locked")
        with self.box.connect() as data:
            self.assertEqual(data.append(self.shard, [(b"k", b"still")]), 2)

    def test_directory_of_somebody_else(self):
        with open(self.box.path("letters.txt"), "w") as file:
            file.write("not yours")
        self.assert_refused(self.box.spawn_eagred(), "NotADirectory")
        self.assertEqual(sorted(set(os.listdir(self.box.data)) - {"eagred.lock"}), ["letters.txt"])

    def test_identity_that_is_rotten(self):
        self.once()
        with open(self.box.path("eagre.box")) as file:
            text = file.read()
        with open(self.box.path("eagre.box"), "wb") as file:
            file.write(os.urandom(64))
        self.assert_refused(self.box.spawn_eagred(), "CorruptDirectory")
        with open(self.box.path("eagre.box"), "w") as file:
            file.write(text)
        self.assert_unharmed()

    def test_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            self.assert_refused(self.box.spawn_eagred("--port", str(port)), "PortInUse", str(port))
        self.box.start()  # And leaves the directory usable.

    def test_beyond_loopback_only_when_told_so(self):
        self.assert_refused(self.box.spawn_eagred("--listen", "0.0.0.0"), "Insecure", "--insecure")
        self.box.start_eagred("--listen", "0.0.0.0", "--insecure")
        self.assertIn("WARNING", self.box.eagred.text())
        with self.box.connect() as data:
            self.assertEqual(data.metadata(), [])

    def test_command_lines_that_make_no_sense(self):
        for args in (["--wait", "sleep"], ["--cores", "x"], ["--cores", "99999"], ["--segment-bytes", "1"],
                     ["--frobnicate"], ["--port"]):
            with self.subTest(args=args):
                process = self.box.spawn_eagred(*args)
                self.assertEqual(process.wait_exit(), 2, process.text())
                self.assertTrue(process.text())
        self.assertNotEqual(self.box.spawn_control("--frobnicate").wait_exit(), 0)

    def test_journal_that_is_missing(self):
        """A drive that is not mounted: its shards are unavailable, not gone, and nothing of the rest suffers."""
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("needs two CPUs")
        self.box.cores = "0,1"
        self.box.start()
        with self.box.admin() as admin:
            stream = admin.create("quotes", 2)
        for shard in stream.shards:
            with self.box.connect(shard.core) as data:
                data.append(shard.id, [(box.key_for(stream, shard), b"v")])
        self.stop()
        os.rename(self.box.path("journal-0001"), self.box.path("elsewhere.tmp"))
        self.box.start()
        with self.box.admin() as admin:
            said = {shard.journal: shard for shard in admin.describe("quotes").shards}
            self.assertEqual({journal: shard.available for journal, shard in said.items()}, {0: True, 1: False})
            with self.assertRaises(wire.WireError) as refused:
                admin.delete("quotes")
            self.assertEqual(refused.exception.name, "Unavailable")
        self.stop()
        os.rename(self.box.path("elsewhere.tmp"), self.box.path("journal-0001"))
        self.box.start()
        with self.box.admin(timeout_s=30) as admin:
            # It was meant to go, and goes now that all of it is there.
            stream = admin.create("quotes", 2)
        self.assertTrue(all(shard.available for shard in stream.shards))


class FullDevice(unittest.TestCase):
    """On a small file system of its own (a loop device: needs root)."""
    MIB = 1 << 20

    def setUp(self):
        self.place = tempfile.mkdtemp(prefix="eagre-full-")
        self.addCleanup(shutil.rmtree, self.place, True)
        image, mount = os.path.join(self.place, "image"), os.path.join(self.place, "mount")
        os.mkdir(mount)
        with open(image, "wb") as file:
            file.truncate(448 * self.MIB)
        try:
            subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True, capture_output=True)
            subprocess.run(["mount", "-o", "loop", image, mount], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            self.skipTest(f"no small file system to be had: {error}")
        self.addCleanup(subprocess.run, ["umount", "-l", mount], capture_output=True)
        self.box = box.Box(mount).__enter__()
        self.addCleanup(self.box.__exit__)

    def test_refuses_keeps_and_recovers(self):
        self.box.start()
        with self.box.admin() as admin, self.box.connect() as data:
            shard = admin.create("quotes").shards[0].id
            payload = wire.batch_payload([(b"k", b"x" * 500_000)])
            whole = wire.frame(wire.APPEND, payload, correlation=1, shard=shard, sequence=1, record_count=1)
            stored = 0
            while True:
                data.send(whole)
                reply = data.receive()
                if reply.flags:
                    break
                stored += 1
                self.assertEqual(reply.sequence, stored)
                self.assertLess(stored, 2000, "the device never got full")
            self.assertEqual(wire.ERRC[reply.flags], "DiskFull")
            # Reads, metadata and other connections go on.
            self.assertEqual(admin.describe("quotes").shards[0].tail, stored + 1)
            with self.box.connect() as reader:
                self.assertEqual(len(reader.read_all(shard, stored - 9)), 10)
            # Room comes back with retention, and so does the right to write.
            admin.request(wire.SET_RETENTION, "quotes", retention_ms=1)
            for _ in range(600):
                data.send(whole)
                reply = data.receive()
                if not reply.flags:
                    break
                self.assertEqual(wire.ERRC[reply.flags], "DiskFull")
                self.box.wait_for_statistics()
            self.assertEqual(reply.flags, 0, "never recovered")
            self.assertEqual(reply.sequence, stored + 1)
        self.assertTrue(self.box.eagred.running())


if __name__ == "__main__":
    box.main()
