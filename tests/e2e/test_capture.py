#!/usr/bin/env python3
"""Feeds end to end: `eagre feed add` and datagrams of senders who know nothing of Eagre, with real processes and sockets. What two lines bring is
stored once and in order, through kill -9 and without control; what neither brings is told; what is wrong is said."""
import json
import os
import random
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

import box

EAGRE = os.path.join(box.BIN, "eagre")


def mold(session, sequence, messages):
    return struct.pack(">10sQH", session.ljust(10).encode(), sequence, len(messages)) + b"".join(struct.pack(">H", len(m)) + m for m in messages)


class Mold(threading.Thread):
    """Lines A and B of a source that goes on whatever becomes of who listens: messages "key,number", each datagram lost on each line by itself."""

    def __init__(self, ports, drop, rate=20_000, session="TODAY"):
        super().__init__(daemon=True)
        self.ports, self.drop, self.rate, self.session = ports, drop, rate, session
        self.next, self.enough, self.random = 1, threading.Event(), random.Random(7)

    def run(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            began, sent = time.monotonic(), 0
            while not self.enough.is_set():
                due = int((time.monotonic() - began) * self.rate) - sent
                if due < 5:
                    self.enough.wait(0.0005)
                    continue
                messages = [b"k%d,%d" % (number * 7919 % 50, number) for number in range(self.next, self.next + 5)]
                self._send(out, mold(self.session, self.next, messages), self.drop)
                self.next += 5
                sent += 5
            for _ in range(20):  # Heartbeats: they show what was lost last.
                self._send(out, mold(self.session, self.next, []), 0)
                time.sleep(0.01)

    def _send(self, out, datagram, drop):
        for port in self.ports:
            if self.random.random() >= drop:
                try:
                    out.sendto(datagram, ("127.0.0.1", port))
                except ConnectionRefusedError:
                    pass  # The box is down.

    def stop(self):
        self.enough.set()
        self.join(30)
        return self.next


class Capture(unittest.TestCase):
    def setUp(self):
        self.box = box.Box()
        self.addCleanup(self.box.__exit__)
        self.box.start()

    def eagre(self, *args, status=0):
        done = subprocess.run([EAGRE, *args, "--data", self.box.data], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return json.loads(done.stdout) if "--json" in args and status == 0 else done.stdout + done.stderr

    def stats(self, name):
        return self.eagre("feed", "describe", name, "--json")["stats"]

    def wait_for(self, done, what, seconds=20):
        deadline = time.monotonic() + seconds
        while True:
            try:
                if done():
                    return
            except (AssertionError, TypeError, KeyError) as error:
                what_else = error
            else:
                what_else = ""
            self.assertLess(time.monotonic(), deadline, f"{what} {what_else}")
            time.sleep(0.02)

    def records(self, stream):
        done = subprocess.run([EAGRE, "tail", stream, "--from", "trim_horizon", "--no-follow", "--format", "json", "--data", self.box.data], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def expect_whole(self, stream, end):
        """Every message from the first one on once, in its shard's order, or within a gap of its shard."""
        stored, gaps, last, shard_of_key = {}, {}, {}, {}
        for record in self.records(stream):
            shard = record["shard"]
            if record.get("gap"):
                told = json.loads(record["data"])
                gaps.setdefault(shard, set()).update(range(told["first"], told["first"] + told["count"]))
                continue
            number = record["source_sequence"]
            key, said = record["data"].split(",")
            self.assertEqual((int(said), key), (number, record["partition_key"]))
            self.assertNotIn(number, stored, "stored twice")
            self.assertGreater(number, last.get(shard, 0), "out of order in its shard")
            stored[number] = last[shard] = number
            self.assertEqual(shard_of_key.setdefault(key, shard), shard)
        first = min(stored)
        for number in range(first, end):
            if number not in stored:
                self.assertIn(number, gaps[shard_of_key[f"k{number * 7919 % 50}"]], f"{number} is neither stored nor told as missing")
        for shard, missing in gaps.items():
            there = {number for number in stored if shard_of_key[f"k{number * 7919 % 50}"] == shard}
            self.assertFalse(missing & there, "told as missing, and there")
        return len(stored), first

    def test_lines_become_records_with_their_time(self):
        port = box.free_port(1)
        self.eagre("stream", "create", "metrics", "--shards", "3")
        said = self.eagre("feed", "add", "statsd", "--stream", "metrics", "--udp", f"127.0.0.1:{port}", "--framing", "lines", "--key", "until::")
        self.assertIn(f"feed statsd listens at 127.0.0.1:{port} -> stream metrics, lines, key until::", said)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            before = time.time()
            out.sendto(b"page.views:1|c\nload:0.3|g\n", ("127.0.0.1", port))
            out.sendto(b"no end \xff\xfe", ("127.0.0.1", port))
        self.wait_for(lambda: self.stats("statsd")["records_durable"] == 3, "three records")
        records = {record["partition_key"]: record for record in self.records("metrics")}
        self.assertEqual(records["page.views"]["data"], "page.views:1|c")
        self.assertEqual(records["load"]["data"], "load:0.3|g")
        self.assertEqual(records["statsd"]["data_base64"], "bm8gZW5kIP/+", "bytes that are no text are kept as they are")
        stamp = records["load"]["source_time"]
        self.assertLess(abs(time.mktime(time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone - before), 60)
        shown = self.eagre("stats")
        self.assertRegex(shown, r"statsd +0 +listening +3 +0 +0 +\S+")
        self.assertIn("packet to durable", shown)
        [line] = self.stats("statsd")["lines"]
        self.assertEqual((line["datagrams"], line["refused"], line["overflowed"]), (2, 0, 0))

    def test_a_feed_is_managed(self):
        port = box.free_port(2)
        self.eagre("stream", "create", "s", "--shards", "1")
        add = ["feed", "add", "f", "--stream", "s", "--udp", f"127.0.0.1:{port}", "--framing", "raw"]
        self.assertIn("UnknownStream", self.eagre("feed", "add", "f", "--stream", "none", "--udp", f"127.0.0.1:{port}", "--framing", "raw", status=1))
        self.assertIn("'bites:1' is no key rule", self.eagre(*add, "--key", "bites:1", status=1))
        self.eagre(*add)
        self.assertIn("FeedExists", self.eagre(*add, status=1))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", port + 1))
            said = self.eagre("feed", "add", "g", "--stream", "s", "--udp", f"127.0.0.1:{port + 1}", "--framing", "raw", status=1)
            self.assertIn("PortInUse", said)
            self.assertIn("eagre feed remove g", said)
            self.assertRegex(subprocess.run([EAGRE, "doctor", "--no-measure", "--data", self.box.data], capture_output=True, text=True, timeout=60).stdout,
                             r"g +.*cannot listen: PortInUse \(Address already in use\)")
        self.wait_for(lambda: self.stats("g")["state"] == "listening", "the port is free again, and the feed tries once a second")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.sendto(b"one", ("127.0.0.1", port))
            self.wait_for(lambda: self.stats("f")["records_durable"] == 1, "a record")
            self.eagre("feed", "pause", "f")
            self.wait_for(lambda: self.stats("f")["state"] == "paused", "paused")
            with self.assertRaises(ConnectionRefusedError):
                for _ in range(100):
                    out.connect(("127.0.0.1", port))
                    out.send(b"two")
                    time.sleep(0.01)
            self.eagre("feed", "resume", "f")
            self.wait_for(lambda: self.stats("f")["state"] == "listening", "listening")
            out.send(b"three")
            self.wait_for(lambda: self.stats("f")["records_durable"] == 2, "another record")
        self.assertRegex(self.eagre("feed", "list"), r"f +s +raw +127.0.0.1:\d+ +listening +2 +0 +0")
        self.eagre("feed", "remove", "f")
        self.assertIn("UnknownFeed", self.eagre("feed", "describe", "f", status=1))
        self.assertEqual([feed["name"] for feed in self.eagre("feed", "list", "--json")["feeds"]], ["g"])

    def test_two_lines_become_one_stream(self):
        port = box.free_port(2)
        self.eagre("stream", "create", "ticks", "--shards", "4")
        self.eagre("feed", "add", "itch", "--stream", "ticks", "--udp", f"127.0.0.1:{port}", "--udp", f"127.0.0.1:{port + 1}", "--framing", "moldudp64", "--key", "until:,")
        sender = Mold([port, port + 1], 0.05)
        sender.start()
        self.wait_for(lambda: sender.next > 30_000, "the source")
        end = sender.stop()
        self.wait_for(lambda: self.stats("itch")["durable_sequence"] == end, f"all {end} are durable")
        count, first = self.expect_whole("ticks", end)
        stats = self.stats("itch")
        self.assertEqual(count, stats["records"])
        self.assertEqual(count + stats["gap_messages"], end - first)
        self.assertGreater(stats["gap_messages"], 0)
        self.assertGreater(stats["lines"][1]["first"], 0)

    def test_kills_lose_and_double_nothing(self):
        port = box.free_port(2)
        self.eagre("stream", "create", "ticks", "--shards", "4")
        self.eagre("feed", "add", "itch", "--stream", "ticks", "--udp", f"127.0.0.1:{port}", "--udp", f"127.0.0.1:{port + 1}", "--framing", "moldudp64", "--key", "until:,")
        self.box.control.kill()  # The box captures on, and after restarts, without it.
        sender = Mold([port, port + 1], 0.01)
        sender.start()
        for kill in range(6):
            mark = sender.next
            self.wait_for(lambda: sender.next > mark + 4000 + 997 * kill, "the source")
            self.box.eagred.kill()
            self.box.start_eagred()
        mark = sender.next
        self.wait_for(lambda: sender.next > mark + 4000, "the source")
        end = sender.stop()
        self.box.start_control()
        self.wait_for(lambda: self.stats("itch")["durable_sequence"] == end, f"all {end} are durable")
        self.expect_whole("ticks", end)

    def test_groups_and_sources(self):
        port = box.free_port(1)
        self.eagre("stream", "create", "s", "--shards", "1")
        self.eagre("feed", "add", "any", "--stream", "s", "--udp", f"239.77.1.1:{port}", "--interface", "lo", "--framing", "raw")
        self.eagre("feed", "add", "ours", "--stream", "s", "--udp", f"239.77.1.2:{port}", "--interface", "lo", "--source", "127.0.0.1", "--framing", "raw")
        self.eagre("feed", "add", "theirs", "--stream", "s", "--udp", f"239.77.1.3:{port}", "--interface", "lo", "--source", "127.0.0.9", "--framing", "raw")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            out.bind(("127.0.0.1", 0))
            for group in (1, 2, 3):
                out.sendto(b"x%d" % group, (f"239.77.1.{group}", port))
        self.wait_for(lambda: self.stats("any")["records_durable"] == 1 and self.stats("ours")["records_durable"] == 1, "both groups")
        self.assertEqual(sorted(record["data"] for record in self.records("s")), ["x1", "x2"])
        self.assertEqual(self.stats("theirs")["records"], 0)

    def test_hostile_datagrams_are_counted_and_harm_nobody(self):
        port = box.free_port(2)
        self.eagre("stream", "create", "s", "--shards", "2")
        self.eagre("feed", "add", "f", "--stream", "s", "--udp", f"127.0.0.1:{port}", "--framing", "moldudp64", "--key", "until:,", "--window-ms", "20")
        self.eagre("feed", "add", "picky", "--stream", "s", "--udp", f"127.0.0.1:{port + 1}", "--source", "127.0.0.7", "--framing", "raw")
        noise = random.Random(3)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            send = lambda datagram: out.sendto(datagram, ("127.0.0.1", port))
            send(mold("S", 1, [b"k,1", b"k,2"]))
            send(b"")
            send(b"short")
            send(mold("S", 3, [b"k,3"])[:-1])                                     # Promises more than there is.
            send(struct.pack(">10sQH", b"S         ", 3, 900) + b"\xff\xff")      # The same, grossly.
            send(struct.pack(">10sQH", b"S         ", (1 << 64) - 1, 5))          # Numbers that run over the end.
            send(mold("S", 1 << 60, [b"k,far"]))                                  # Out of nowhere.
            for _ in range(200):
                send(noise.randbytes(noise.randrange(60)))
            send(mold("S", 3, [b"k,3", b"k,4"]))
            send(mold("S", 1, [b"k,1", b"k,2"]))                                  # Running back.
            time.sleep(0.05)
            send(mold("S", 5, [b"k,5"]))
            for _ in range(500):
                out.sendto(b"flood", ("127.0.0.1", port + 1))
        self.wait_for(lambda: self.stats("picky")["lines"][0]["refused"] == 500, "the flood is refused")
        got = [record["data"] for record in self.records("s") if record.get("source_sequence") and not record.get("gap")]
        self.assertEqual([data for data in got if data.startswith("k,")][:5], ["k,1", "k,2", "k,3", "k,4", "k,5"])
        self.assertEqual(len([data for data in got if data.startswith("k,")]), 5)
        stats = self.stats("f")
        self.assertGreaterEqual(stats["lines"][0]["broken"], 3)
        # A session of bytes that are no text, believed at its second datagram: shown, not printed as it is.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for _ in range(2):
                out.sendto(struct.pack(">10sQH", b"\xff\x1b[31mBAD  ", 1, 1) + b"\0\1x", ("127.0.0.1", port))
        self.wait_for(lambda: self.stats("f")["session"] == "??[31mBAD", "the session is shown")
        self.eagre("stats", "--json", "--interval", "0.05")
        self.assertTrue(self.box.eagred.running())


if __name__ == "__main__":
    box.main()
