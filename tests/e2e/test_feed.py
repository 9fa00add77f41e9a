"""`eagre feed`: what it sends is what an exchange would, and what was captured comes again with its timing. Real sockets on loopback."""
import contextlib
import gzip
import json
import os
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest
import zipfile

import box

EAGRE = os.path.join(box.BIN, "eagre")
QUOTES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "shared", "data", "aig-20131007_quote.zip")
END = 0xffff
SO_RCVBUFFORCE = 33


class Receiver:
    """A port of loopback whose datagrams are kept, with when they came."""

    def __init__(self, group=None):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # Whatever the machine is busy with: none is lost here. Root may have more than others.
        for option in (socket.SO_RCVBUF, SO_RCVBUFFORCE):
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, option, 64 << 20)
        self.sock.bind((group or "127.0.0.1", 0))
        if group:
            self.sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton("127.0.0.1"))
        self.address = f"{group or '127.0.0.1'}:{self.sock.getsockname()[1]}"
        self.got, self.times, self.stopped = [], [], False
        self.sock.settimeout(0.2)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while True:
            try:
                self.got.append(self.sock.recv(65536))
                self.times.append(time.monotonic())
            except TimeoutError:
                if self.stopped:
                    return

    def stop(self):
        """All that came; nothing for a moment is the end."""
        self.stopped = True
        self.thread.join()
        self.sock.close()
        return self.got


def messages_of(datagrams, session=None):
    """{sequence: message}, and how often a session's end was said."""
    messages, ends = {}, 0
    for datagram in datagrams:
        name, sequence, count = struct.unpack_from(">10sQH", datagram)
        session = session or name  # The time, unless it was said.
        assert name == session, name
        if count == END:
            ends += 1
            continue
        at = 20
        for i in range(count):
            length = struct.unpack_from(">H", datagram, at)[0]
            messages[sequence + i] = datagram[at + 2:at + 2 + length]
            at += 2 + length
        assert at == len(datagram)
    return messages, ends


def ethernet(payload, vlan=False, fragment=0, protocol=17):
    udp = struct.pack(">HHHH", 1000, 2000, 8 + len(payload), 0) + payload
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, fragment, 64, protocol, 0, b"\x0a\0\0\1", b"\x0a\0\0\2") + udp
    return bytes(12) + (b"\x81\x00\x00\x07" if vlan else b"") + b"\x08\x00" + ip


def pcap(packets, caplen=65535):
    """A capture with times in microseconds."""
    out = struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1)
    for seconds, packet in packets:
        out += struct.pack("<IIII", int(seconds), round(seconds % 1 * 1e6), min(len(packet), caplen), len(packet)) + packet[:caplen]
    return out


def pcapng(packets):
    """The same with times in nanoseconds."""
    def block(kind, body):
        body += bytes(-len(body) % 4)
        return struct.pack("<II", kind, 12 + len(body)) + body + struct.pack("<I", 12 + len(body))
    out = block(0x0a0d0d0a, struct.pack("<IHHq", 0x1a2b3c4d, 1, 0, -1)) + block(1, struct.pack("<HHIHHB3xHH", 1, 0, 0, 9, 1, 9, 0, 0))
    for seconds, packet in packets:
        ns = round(seconds * 1e9)
        out += block(6, struct.pack("<IIIII", 0, ns >> 32, ns & 0xffffffff, len(packet), len(packet)) + packet)
    return out


class Feed(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="eagre-feed-")
        self.addCleanup(self.folder.cleanup)

    def path(self, name, content=None):
        path = os.path.join(self.folder.name, name)
        if content is not None:
            with open(path, "wb") as file:
                file.write(content)
        return path

    def feed(self, *args, status=0):
        done = subprocess.run([EAGRE, "feed", *args], capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, status, done.stderr)
        return json.loads(done.stdout) if "--json" in args else done.stdout + done.stderr

    def receivers(self, count, **more):
        made = []
        for _ in range(count):
            made.append(Receiver(**more))
        return made

    def test_a_session_comes_numbered_and_whole(self):
        [line] = self.receivers(1)
        report = self.feed("generate", "--to", line.address, "--rate", "50000", "--messages", "20000", "--json")
        messages, ends = messages_of(line.stop())
        self.assertEqual(sorted(messages), list(range(1, 20001)))
        self.assertEqual((report["messages"], report["next_sequence"], report["lost_messages"], ends), (20000, 20001, 0, 3))
        self.assertGreater(report["seconds"], 0.35)
        # ITCH 5.0: of each kind its length, and times that do not run back.
        lengths = {b"A": 36, b"E": 31, b"X": 23, b"D": 19, b"U": 35, b"P": 44}
        kinds = {message[:1] for message in messages.values()}
        self.assertEqual(kinds, set(lengths))
        last = 0
        for number in range(1, 20001):
            message = messages[number]
            self.assertEqual(len(message), lengths[message[:1]])
            now = int.from_bytes(message[5:11], "big")
            self.assertGreaterEqual(now, last)
            last = now
        # The same again, byte for byte.
        [again] = self.receivers(1)
        self.feed("generate", "--to", again.address, "--rate", "0", "--messages", "5000", "--datagram-messages", "1")
        got = again.stop()
        self.assertEqual(len(got), 5003)
        second, _ = messages_of(got)
        self.assertEqual([second[i] for i in range(1, 5001)], [messages[i] for i in range(1, 5001)])

    def test_two_lines_lose_by_themselves(self):
        a, b = self.receivers(2)
        report = self.feed("generate", "--to", a.address, "--to", b.address, "--rate", "100000", "--messages", "50000", "--drop", "10", "--datagram-messages", "5",
                           "--first", "1000", "--session", "TODAY", "--json")
        of_a, _ = messages_of(a.stop(), b"TODAY     ")
        of_b, _ = messages_of(b.stop(), b"TODAY     ")
        for got, line in ((of_a, report["lines"][0]), (of_b, report["lines"][1])):
            self.assertEqual(line["dropped"] + line["sent"] - 3, report["datagrams"])
            self.assertTrue(0.05 < line["dropped"] / report["datagrams"] < 0.15)
            self.assertLess(len(got), 50000)
        both = {**of_a, **of_b}
        for number in set(of_a) & set(of_b):
            self.assertEqual(of_a[number], of_b[number])
        self.assertEqual(50000 - len(both), report["lost_messages"])
        self.assertTrue(0 < report["lost_messages"] < 1500)

    def test_watched_lines_are_what_was_sent(self):
        """What generate says that it lost is what watch misses: on each line, and on both."""
        ports = [box.free_port(2)]
        lines = [f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[0] + 1}"]
        watcher = box.Process([EAGRE, "feed", "watch", "--on", lines[0], "--on", lines[1], "--seconds", "60", "--json", "--strict"], "watch")
        try:
            self.wait_until_bound(ports[0] + 1)
            sent = self.feed("generate", "--to", lines[0], "--ab", "--rate", "150000", "--messages", "150000", "--drop", "5", "--datagram-messages", "4", "--json")
            self.assertEqual(watcher.wait_exit(), 1)  # Something is missing on both.
            seen = json.loads(watcher.text().strip().splitlines()[-1])
        finally:
            watcher.stop()
        self.assertTrue(seen["ended"])
        self.assertEqual([line["dropped"] for line in seen["lines"]], [0, 0])
        self.assertEqual((seen["messages"] + seen["gap_messages"], seen["next_sequence"]), (sent["next_sequence"] - seen["first_sequence"], sent["next_sequence"]))
        self.assertEqual(seen["gap_messages"], sent["lost_messages"] - (seen["first_sequence"] - 1))
        for got, line in zip(seen["lines"], sent["lines"]):
            self.assertEqual(got["datagrams"], line["sent"])
            self.assertEqual(got["first"] + got["repeated"] + got["broken"], line["sent"])
        self.assertGreater(min(line["first"] for line in seen["lines"]), 0)
        # Whole on one line alone; nothing at all; a port that is taken.
        [watched] = [f"127.0.0.1:{box.free_port(1)}"]
        watcher = box.Process([EAGRE, "feed", "watch", "--on", watched, "--strict"], "watch")
        self.wait_until_bound(int(watched.rsplit(":", 1)[1]))
        taken = self.feed("watch", "--on", watched, status=1)
        self.assertIn("cannot listen", taken)
        self.feed("generate", "--to", watched, "--messages", "5000", "--rate", "50000")
        self.assertEqual(watcher.wait_exit(), 0, watcher.text())
        self.assertIn("none missing", watcher.text())
        self.assertIn("nothing came", self.feed("watch", "--on", watched, "--seconds", "0.2", "--strict", status=1))

    def wait_until_bound(self, port):
        deadline = time.monotonic() + box.WAIT_S
        while time.monotonic() < deadline:
            with open("/proc/net/udp", encoding="ascii") as file:
                if f":{port:04X} " in file.read():
                    return
            time.sleep(0.01)
        self.fail(f"nobody listens at {port}")

    def test_multicast(self):
        [line] = self.receivers(1, group="239.255.77.1")
        self.feed("generate", "--to", line.address, "--interface", "lo", "--messages", "2000", "--rate", "20000")
        messages, ends = messages_of(line.stop())
        self.assertEqual((len(messages), ends), (2000, 3))

    def test_lines_of_a_file_are_the_messages(self):
        a, b = self.receivers(2)
        if os.path.exists(QUOTES):
            path, count = QUOTES, 30000
            with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
                lines = [file.readline().rstrip(b"\r\n") for _ in range(count)]
        else:
            lines = [b"%d,quote,%d" % (i, i * 7) for i in range(30000)]
            path, count = self.path("quotes.csv.gz", gzip.compress(b"\n".join(lines) + b"\n")), 30000
        report = self.feed("generate", "--to", a.address, "--to", b.address, "--input", path, "--messages", str(count), "--rate", "150000", "--drop", "2", "--json")
        both = {**messages_of(a.stop())[0], **messages_of(b.stop())[0]}
        self.assertEqual(report["messages"], count)
        self.assertEqual(len(both), count - report["lost_messages"])
        for number, message in both.items():
            self.assertEqual(message, lines[number - 1])

    def test_captures_come_again_with_their_timing(self):
        payloads = [b"packet %d" % i for i in range(12)]
        packets = [(1000.5 + i * 0.05, ethernet(payload, vlan=i % 2 == 1)) for i, payload in enumerate(payloads)]
        odd = [(1000.55, ethernet(b"x" * 99, fragment=0x2000)), (1000.56, ethernet(b"tcp", protocol=6)), (1000.57, bytes(14)), (1000.58, b"")]
        captured = sorted(packets + odd, key=lambda each: each[0])
        for name, content in (("a.pcap", pcap(captured)), ("a.pcapng", pcapng(captured))):
            for speed, wanted in (("1x", 0.55), ("2x", 0.275), ("max", 0)):
                [line] = self.receivers(1)
                report = self.feed("replay", self.path(name, content), "--to", line.address, "--speed", speed, "--json")
                self.assertEqual(line.stop(), payloads, (name, speed))
                self.assertEqual((report["sent"], report["fragments"], report["others"], report["cut"]), (12, 1, 3, 0))
                self.assertAlmostEqual(report["captured_seconds"], 0.55, 3)
                # A machine that pauses may see the first one late, or the last.
                self.assertTrue(wanted * 0.5 <= line.times[-1] - line.times[0] < wanted + 3, (name, speed, line.times[-1] - line.times[0]))
                self.assertGreaterEqual(report["seconds"], wanted - 0.001)
        [line] = self.receivers(1)
        told = self.feed("replay", self.path("cut.pcap", pcap(packets, caplen=46)), "--to", line.address, status=1)
        self.assertEqual(line.stop(), [])
        self.assertIn("holds nothing to send", told)

    def test_a_filter_and_silences(self):
        packets = [(0, ethernet(b"one")), (3600, ethernet(b"two")), (3600.01, ethernet(b"another port").replace(struct.pack(">HH", 1000, 2000), struct.pack(">HH", 1000, 2001), 1)),
                   (3599, ethernet(b"back"))]
        [line] = self.receivers(1)
        report = self.feed("replay", self.path("b.pcap", pcap(packets)), "--to", line.address, "--gap-max", "0.1", "--filter", "udp and dst port 2000", "--json")
        self.assertEqual(line.stop(), [b"one", b"two", b"back"])
        self.assertEqual(report["backwards"], 1)
        self.assertTrue(0.1 <= report["seconds"] < 10)

    def test_lines_with_times(self):
        lines = [b"time,price"] + [b"%d,%d" % (14400000 + i * 20, i) for i in range(20)]
        archive = self.path("quotes.zip")
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("quotes.csv", b"\n".join(lines) + b"\n")
        [line] = self.receivers(1)
        report = self.feed("replay", archive, "--to", line.address, "--speed", "2x", "--json")
        self.assertEqual(line.stop(), lines[1:])
        self.assertTrue(0.09 < line.times[-1] - line.times[0] < 3)
        self.assertGreaterEqual(report["seconds"], 0.189)
        self.assertAlmostEqual(report["captured_seconds"], 0.38, 3)
        self.assertIn("line 3 has no time in column 2", self.feed("replay", self.path("bad.csv", b"1,2\n2,3\n3,x\n"), "--to", "127.0.0.1:9", "--time-column", "2", status=1))

    def test_what_is_wrong_is_said(self):
        good = self.path("good.pcap", pcap([(0, ethernet(b"x"))]))
        for words, args in (("is no ADDRESS:PORT", ("replay", good, "--to", "localhost:1")), ("is no ADDRESS:PORT", ("generate", "--to", "127.0.0.1")),
                            ("1x, 10x", ("replay", good, "--to", "127.0.0.1:9", "--speed", "fast")), ("interface", ("replay", good, "--to", "239.1.1.1:9", "--interface", "none9")),
                            ("bad.pcap", ("replay", self.path("bad.pcap", b"nothing of the kind"), "--to", "127.0.0.1:9")),
                            ("filter", ("replay", good, "--to", "127.0.0.1:9", "--filter", "dst port nowhere at all")),
                            ("does not fit a datagram", ("generate", "--to", "127.0.0.1:9", "--datagram-bytes", "64", "--input", self.path("long.csv", b"x" * 200 + b"\n")))):
            self.assertIn(words, self.feed(*args, status=1), args)
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        self.assertIn("nobody listens", self.feed("generate", "--to", f"127.0.0.1:{port}", "--messages", "2000", "--datagram-messages", "1", "--rate", "0"))


if __name__ == "__main__":
    box.main()
