"""Frames that are wrong in every way we could think of, at a box that serves others meanwhile: a typed error to whoever
sent them, the connection closed where the contract says so, a counter, and nobody else notices."""
import os
import random
import struct
import unittest

import box
import wire

MIB = 1 << 20


class BadInput(unittest.TestCase):
    """One box for all: surviving the test before is part of each."""

    @classmethod
    def setUpClass(cls):
        cls.box = box.Box().__enter__()
        cls.addClassCleanup(cls.box.__exit__)
        cls.box.start()
        with cls.box.admin() as admin:
            cls.stream = admin.create("quotes", 2)
        cls.feeder = box.Feeder(cls.box, cls.stream)
        cls.feeder.start()
        cls.feeder.wait_for(10)

    @classmethod
    def tearDownClass(cls):
        cls.feeder.wait_for(10)
        cls.feeder.stop()
        cls.feeder.check(cls.box)

    def tearDown(self):
        self.assertTrue(self.box.eagred.running(), self.box.eagred.text())
        self.assertTrue(self.box.control.running(), self.box.control.text())
        self.feeder.wait_for(10)  # The honest one goes on.

    def shard(self):
        return self.stream.shards[0]

    def verdict_on(self, data, hello=True):
        with self.box.connect(hello=hello) as connection:
            try:
                connection.send(data)
                return connection.verdict()
            except wire.Disconnected:
                return None, True

    def good_append(self, **spoil):
        payload = wire.batch_payload([(self.feeder.key_of(self.shard()), b"data")])
        return wire.frame(wire.APPEND, payload, correlation=1, shard=self.shard().id, sequence=1, record_count=1,
                          **spoil)

    def test_headers_that_lie(self):
        for spoil, expected in (({"magic": 0x12345678}, "BadMagic"), ({"version": 99}, "BadVersion"),
                                ({"header_crc": 1}, "BadCrc"), ({"payload_bytes": 7}, "BadLength"),
                                ({"payload_bytes": 64 * MIB}, "BadLength")):
            with self.subTest(spoil=spoil):
                self.assertEqual(self.verdict_on(self.good_append(**spoil)), (expected, True))

    def test_noise(self):
        noise = b"GET / HTTP/1.1\r\nHost: eagre\r\n\r\n" + bytes(64)
        self.assertEqual(self.verdict_on(noise, hello=False), ("BadMagic", True))

    def test_kinds_that_do_not_belong(self):
        for kind in (wire.APPEND_REPLY, wire.DELIVER, wire.COMMAND, 29, 31, 200):
            with self.subTest(kind=kind):
                self.assertEqual(self.verdict_on(wire.frame(kind, correlation=1)), ("BadKind", True))

    def test_nothing_before_hello(self):
        name, closed = self.verdict_on(self.good_append(), hello=False)
        self.assertEqual((name, closed), ("BadKind", True))

    def test_payload_that_is_not_what_its_crc_says(self):
        self.assertEqual(self.verdict_on(self.good_append(payload_crc=1)), ("BadCrc", True))
        self.assertEqual(self.verdict_on(wire.frame(wire.METADATA, b"12345678", payload_crc=1)), ("BadCrc", True))

    def test_control_frames_that_are_too_long(self):
        self.assertEqual(self.verdict_on(wire.frame(wire.METADATA, payload_bytes=2 * MIB)), ("BadLength", True))

    def test_half_a_frame_and_gone(self):
        whole = self.good_append()
        for cut in (1, 63, 64, len(whole) - 1):
            with self.box.connect() as connection:
                connection.send(whole[:cut])

    def refused(self, records=None, **fields):
        with self.box.connect() as connection:
            with self.assertRaises(wire.WireError) as refused:
                connection.append(fields.pop("shard", self.shard().id), records or [], **fields)
            # A refused batch is an answer, not a quarrel: the connection goes on, unless it was closed with kError.
            return refused.exception

    def test_tables_that_lie(self):
        good = wire.batch_payload([(self.feeder.key_of(self.shard()), b"data")])
        spoiled = {"root offset": b"\xff\xff\xff\x7f" + good[4:], "nothing but zeros": bytes(64), "empty": b"",
                   "truncated": good[:16], "noise": bytes(range(256))}
        table = struct.unpack_from("<I", good)[0]
        spoiled["vtable far away"] = good[:table] + struct.pack("<i", -2 ** 31) + good[table + 4:]
        for name, payload in spoiled.items():
            with self.subTest(name):
                self.assertIn(self.refused(payload=payload, count=1).name, ("BadSchema", "BadLength"))
        self.assertEqual(self.refused(payload=good, count=2).name, "BadSchema")
        entries = struct.pack("<IHHIHH", 8, 2, 0, 4, 2, 0)
        overlap = bytes(wire.Builder({1: ("structs", (entries, 2)), 2: ("bytes", b"kkddkkdd")}).out)
        self.assertEqual(self.refused(payload=overlap, count=2).name, "BadSchema")
        many = bytes(wire.Builder({1: ("structs", (b"", 0)), 2: ("bytes", b"")}).out)
        self.assertEqual(self.refused(payload=many, count=0).name, "BadSchema")

    def test_keys_that_are_not_keys(self):
        self.assertEqual(self.refused([(b"", b"data")]).name, "BadPartitionKey")
        self.assertEqual(self.refused([(b"k" * 257, b"data")]).name, "BadPartitionKey")

    def test_a_record_over_the_limit(self):
        error = self.refused([(self.feeder.key_of(self.shard()), bytes(MIB + 1))])
        self.assertEqual((error.name, error.detail), ("RecordTooLarge", MIB))

    def test_unknown_places(self):
        self.assertEqual(self.refused([(b"k", b"d")], shard=1 << 40).name, "UnknownShard")
        with self.box.connect() as connection:
            with self.assertRaises(wire.WireError) as unknown:
                connection.metadata("nobody")
            self.assertEqual(unknown.exception.name, "UnknownStream")
            with self.assertRaises(wire.WireError) as shard:
                connection.read_all(1 << 40)
            self.assertEqual(shard.exception.name, "UnknownShard")

    def test_a_sequence_number_from_the_future(self):
        with self.box.connect() as connection:
            with self.assertRaises(wire.WireError) as future:
                connection.read_all(self.shard().id, 1 << 50)
            self.assertEqual(future.exception.name, "SequenceInFuture")
            reply = connection.ask(wire.LOCATE, flags=2, shard=self.shard().id, sequence=1 << 50)
            self.assertEqual(wire.ERRC[reply.flags], "SequenceInFuture")

    def test_keys_of_another_shard(self):
        other = self.feeder.key_of(self.stream.shards[1])
        self.assertEqual(self.refused([(other, b"data")] * 64).name, "WrongShard")

    def test_a_map_that_is_not_current(self):
        self.assertEqual(self.refused([(self.feeder.key_of(self.shard()), b"d")], map_version=99).name, "StaleMap")

    def test_producers_that_do_not_count(self):
        records = [(self.feeder.key_of(self.shard()), b"first")]
        with self.box.connect() as connection:
            own = self.shard_of_own("producers")
            for batch, body, expected in ((5, b"x", "UnknownProducer"), (0, b"first", None), (0, b"first", None),
                                          (0, b"other", "BatchMismatch"), (2, b"x", "BatchOutOfOrder")):
                records = [(records[0][0], body)]
                try:
                    connection.append(own, records, producer=77, batch=batch)
                    self.assertIsNone(expected, batch)
                except wire.WireError as error:
                    self.assertEqual(error.name, expected, batch)
            self.assertEqual(len(connection.read_all(own)), 1)

    def test_frames_at_random(self):
        """Sound headers and CRCs around fields and payloads that a seeded generator made up: whatever they ask, the box
        lives."""
        own = self.shard_of_own("random")
        seed = int(os.environ.get("EAGRE_SEED", "1"))
        chance = random.Random(seed)
        kinds = [wire.HELLO, wire.METADATA, wire.LOCATE, wire.READ, wire.SUBSCRIBE, 12, 13] * 4 + [wire.APPEND] * 20
        kinds += [wire.APPEND_REPLY, wire.DELIVER, 29, wire.ERROR]
        numbers = [0, 1, 2, 3, 10, own, 1 << 20, 1 << 40, (1 << 63) - 1, (1 << 64) - 1]
        good = wire.batch_payload([(b"k%d" % i, b"data") for i in range(5)])

        def payload():
            choice = chance.randrange(4)
            if choice == 0:
                return b""
            if choice == 1:
                return chance.randbytes(8 * chance.randrange(1, 20))
            data = bytearray(good)
            for _ in range(chance.randrange(3)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            return bytes(data)

        closed, mark_number = 0, 4711
        mark = wire.frame(wire.HELLO, bytes(wire.Builder({0: ("str", "mark")}).out), correlation=mark_number)
        connection = self.box.connect()
        for i in range(1500):
            fields = {name: chance.choice(numbers) for name in ("correlation", "detail", "number", "sequence")}
            # Never the shards of the feeder: it checks that nothing is in them but its own.
            data = wire.frame(chance.choice(kinds), payload(), flags=chance.choice([0, 1, 2, 3, 4, 5, 0xffff]),
                              shard=chance.choice([0, own, own, 1 << 40]),
                              record_count=chance.choice([0, 1, 5, 6, 1 << 16, (1 << 32) - 1]), **fields)
            try:
                connection.send(data)
                if i % 5 == 4:  # In pieces of five: what comes behind a frame that closed the connection tells nothing.
                    connection.send(mark)
                    while connection.receive().correlation != mark_number:
                        pass
            except wire.Disconnected:
                self.assertTrue(self.box.eagred.running(), f"seed {seed}: {self.box.eagred.text()}")
                connection.close()
                connection, closed = self.box.connect(), closed + 1
        connection.close()
        self.assertGreater(closed, 50, "hardly anything was found fault with")

    def shard_of_own(self, name):
        with self.box.admin() as admin:
            return admin.create(name, 1).shards[0].id

    def test_admin_socket_frames_that_lie(self):
        request = bytes(wire.Builder({0: ("u8", wire.LIST)}).out)
        for kind, payload, spoil, expected in (
                (wire.COMMAND, request, {"magic": 1}, "BadMagic"),
                (wire.COMMAND, request, {"version": 9}, "BadVersion"),
                (wire.COMMAND, request, {"header_crc": 1}, "BadCrc"),
                (wire.COMMAND, request, {"payload_crc": 1}, "BadCrc"),
                (wire.COMMAND, b"", {"payload_bytes": 2 * MIB}, "BadLength"),
                (wire.APPEND, request, {}, "BadKind"),
                (wire.COMMAND, b"\xff" * 64, {}, "BadSchema"),
                (wire.COMMAND, b"", {}, "BadSchema")):
            with self.subTest(expected=expected), self.box.admin() as admin:
                admin.send(wire.frame(kind, payload, **spoil))
                self.assertEqual(admin.verdict(), (expected, True))

    def test_admin_requests_that_make_no_sense(self):
        with self.box.admin() as admin:
            for ask, expected in ((lambda: admin.create("a b"), "BadArgument"),
                                  (lambda: admin.create("x" * 129), "BadArgument"),
                                  (lambda: admin.create("none", 0), "BadArgument"),
                                  (lambda: admin.create("many", 10001), "LimitExceeded"),
                                  (lambda: admin.create("big", record_bytes_max=11 * MIB), "BadArgument"),
                                  (lambda: admin.delete("nobody"), "UnknownStream"),
                                  (lambda: admin.request(99), "BadArgument")):
                with self.assertRaises(wire.WireError) as refused:
                    ask()
                self.assertEqual(refused.exception.name, expected)


if __name__ == "__main__":
    box.main()
