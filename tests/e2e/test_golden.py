"""A data directory of every format that was ever released is read by this build: every record, what its producers were
told, what was deleted. And one of a newer format is refused, by the box file and by a segment's header, with a message
that says what to do, and without a change to any file."""
import glob
import hashlib
import json
import os
import struct
import subprocess
import tarfile
import time
import unittest

import box
import golden
import wire

PRODUCER_IDLE_SECONDS = 3600
ARCHIVES = sorted(glob.glob(os.path.join(golden.FOLDER, "format-*.tar.xz")))


class Golden(unittest.TestCase):
    def unpacked(self, archive):
        made = box.Box().__enter__()
        self.addCleanup(made.__exit__)
        with tarfile.open(archive) as files:
            files.extractall(made.data)
            made.made_at = max(member.mtime for member in files.getmembers())
        return made

    def test_every_format_has_its_archive(self):
        self.assertEqual(len(ARCHIVES), golden.FORMAT)

    def test_every_record_is_read_back(self):
        for archive in ARCHIVES:
            with self.subTest(os.path.basename(archive)):
                self.check(self.unpacked(archive))

    def check(self, made):
        made.start()
        with made.admin() as admin:
            self.assertEqual([stream.name for stream in admin.list()], ["quotes"])
            stream = admin.describe("quotes")
        self.assertEqual(len(stream.shards), golden.SHARD_COUNT)
        with made.connect() as data:
            for shard in stream.shards:
                key = box.key_for(stream, shard)
                told = golden.records(key)
                self.assertEqual(data.read_all(shard.id), told)
                # What a producer was told, it is told again; and it goes on where it was.
                number, last = golden.late_batches(key)[-1]
                try:
                    self.assertEqual(golden.append(data, stream, shard, number, last), told[-len(last)][0])
                except wire.WireError as error:
                    # The box is an hour older than its producers' last batches, by retention's clock (which waits when it is a day).
                    if "UnknownProducer" not in str(error) or time.time() - made.made_at < PRODUCER_IDLE_SECONDS:
                        raise
                    number = -1
                more = golden.small(key, number + 1)
                self.assertEqual(golden.append(data, stream, shard, number + 1, more), told[-1][0] + 1)
                self.assertEqual(data.read_all(shard.id, told[-1][0] + 1),
                                 [(told[-1][0] + 1 + i, *record) for i, record in enumerate(more)])
        self.assertEqual(made.eagred.stop(), 0, made.eagred.text())

    def run_eagre(self, *args):
        done = subprocess.run([os.path.join(box.BIN, "eagre"), *args], capture_output=True, text=True, errors="replace", timeout=60)
        self.assertEqual(done.returncode, 0, f"{args}: {done.stdout[-3000:]}{done.stderr}")
        return done.stdout

    def test_relocated_segments_are_read_back(self):
        made = self.unpacked(golden.SEGMENT_ARCHIVE)
        versions = []
        for path in glob.glob(made.path("journal-0000/*.eagre")):
            with open(path, "rb") as file:
                versions.append(struct.unpack_from("<I", file.read(16), 12)[0])
        self.assertIn(golden.SEGMENT_VERSION, versions)
        verified = json.loads(self.run_eagre("verify", made.data, "--json"))
        self.assertEqual(verified["relocated_segments"], versions.count(golden.SEGMENT_VERSION))
        self.assertIn("kind relocated", self.run_eagre("dump", "--summary", made.path("journal-0000")))
        told = golden.kept_records()
        for _ in range(2):  # And once more, with what the first start left.
            made.start()
            with made.admin() as admin:
                self.assertEqual([stream.name for stream in admin.list()], ["kept"])
                shard = admin.describe("kept").shards[0]
            with made.connect() as data:
                self.assertEqual(data.read_all(shard.id), told)
            self.assertEqual(made.control.stop(), 0, made.control.text())
            self.assertEqual(made.eagred.stop(), 0, made.eagred.text())

    def assert_refused_unchanged(self, made):
        def files():
            found = {}
            for folder, _, names in os.walk(made.data):
                for name in names:
                    if name.startswith("journal") or folder != made.data or name == "eagre.box":
                        with open(os.path.join(folder, name), "rb") as file:
                            found[os.path.join(folder, name)] = hashlib.sha256(file.read()).hexdigest()
            return found
        before = files()
        process = made.spawn_eagred()
        self.assertNotEqual(process.wait_exit(), 0, process.text())
        for words in ("NewerFormat", "newer Eagre: upgrade this one", "99"):
            self.assertIn(words, process.text())
        self.assertEqual(files(), before)

    def test_box_file_of_a_newer_format(self):
        made = self.unpacked(ARCHIVES[-1])
        with open(made.path("eagre.box"), "r+") as file:
            text = file.read()
            self.assertIn(f"format {golden.FORMAT}\n", text)
            file.seek(0)
            file.write(text.replace(f"format {golden.FORMAT}\n", "format 99\n"))
        self.assert_refused_unchanged(made)

    def test_segment_of_a_newer_format(self):
        made = self.unpacked(ARCHIVES[-1])
        newest = sorted(glob.glob(made.path("journal-0000/*")))[0]
        with open(newest, "r+b") as file:  # Header: magic, CRC of the 500 bytes behind it, version.
            header = bytearray(file.read(512))
            self.assertEqual(struct.unpack_from("<II", header, 8), (wire.crc32c(header[12:]), golden.FORMAT))
            struct.pack_into("<I", header, 12, 99)
            struct.pack_into("<I", header, 8, wire.crc32c(header[12:]))
            file.seek(0)
            file.write(header)
        self.assert_refused_unchanged(made)


if __name__ == "__main__":
    box.main()
