"""The command line as people and scripts use it: `eagre up` and what one does beside it. What `--json` prints is
parsed, and every failure has a message and a status."""
import html.parser
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest
import urllib.request

import box

EAGRE = os.path.join(box.BIN, "eagre")


class Cli(unittest.TestCase):
    def setUp(self):
        if not os.access(EAGRE, os.X_OK):
            box.cannot_run(f"{EAGRE} is not built")
        self.box = box.Box().__enter__()
        self.addCleanup(self.box.__exit__)
        self.up = self.spawn_up()
        self.up.wait_for("listening on")

    def spawn_up(self, *args):
        up = box.Process([EAGRE, "up", "--data", self.box.data, "--port", "0", "--wait", "block",
                          "--eagred=--segment-bytes=16M", "--eagred=--ready-segments=1", *args], "eagre up")
        self.addCleanup(lambda: up.running() and up.stop())
        return up

    def run_eagre(self, *args, text=None, status=0, words=""):
        command = [EAGRE, *args, "--data", self.box.data]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, status, f"{command}: {done.stdout}{done.stderr}")
        if status:
            self.assertTrue(done.stderr.strip(), f"{command} failed without a word")
        self.assertIn(words, done.stderr)
        return done.stdout

    def json_of(self, *args, **more):
        return json.loads(self.run_eagre(*args, "--json", **more).strip().splitlines()[-1])

    def pid_of(self, program):
        """As `eagre up` has printed it."""
        return int(self.up.text().split(f"{program} pid ")[-1].replace(",", " ").replace(")", " ").split()[0])

    def test_bench_draws_a_report(self):
        path = os.path.join(self.box.data, "report.html")
        figures = self.json_of("bench", "--rate", "2000", "--seconds", "0.5", "--consumers", "2", "--report", path)
        with open(path, encoding="utf-8") as file:
            page = file.read()

        class Page(html.parser.HTMLParser):
            """Counts elements; every one that is opened is closed, in order."""
            def __init__(self):
                super().__init__()
                self.open, self.count, self.leads_out, self.data = [], {}, [], ""

            def handle_starttag(self, tag, attrs):
                self.count[tag] = self.count.get(tag, 0) + 1
                self.leads_out += [name for name, _ in attrs if name in ("src", "href", "xlink:href", "data", "action")]
                if tag != "meta":
                    self.open.append(tag)

            def handle_startendtag(self, tag, attrs):
                self.handle_starttag(tag, attrs)
                self.open.pop()

            def handle_endtag(self, tag):
                assert self.open and self.open[-1] == tag, f"</{tag}> in {self.open}"
                self.open.pop()

            def handle_data(self, data):
                if self.open and self.open[-1] == "script":
                    self.data += data

        parsed = Page()
        parsed.feed(page)
        parsed.close()
        self.assertEqual((parsed.open, parsed.leads_out), ([], []))
        self.assertEqual(parsed.count["polyline"], 3, "acknowledged and two consumers")
        self.assertEqual(parsed.count["svg"], 4)
        self.assertNotRegex(page, r"https?:|url\(|@import")
        held = json.loads(parsed.data)
        for series in held["series"]:
            self.assertEqual(sum(count for _, count in series["buckets_ns"]), figures["sent"], series["name"])
        self.assertEqual(held["ack_us"], figures["ack_us"])
        self.run_eagre("bench", "--report", "/proc/nothing/report.html", status=1)

    def test_feed_and_read_back(self):
        created = self.json_of("stream", "create", "quotes", "--shards", "3")
        self.assertEqual(len(created["shards"]), 3)
        lines = [f"{i},{'abc'[i % 3]},{i * i}" for i in range(1000)]
        put = self.json_of("put", "quotes", "--key-column", "2", text="\n".join(lines) + "\n")
        self.assertEqual((put["sent"], put["acknowledged"], put["failed"]), (1000, 1000, 0))
        read = self.run_eagre("tail", "quotes", "--from", "trim_horizon", "--no-follow").splitlines()
        self.assertEqual(sorted(read), sorted(lines))
        for key in "abc":  # One key, one shard, one order.
            self.assertEqual([line for line in read if f",{key}," in line],
                             [line for line in lines if f",{key}," in line])
        first = json.loads(self.run_eagre("tail", "quotes", "--from", "trim_horizon", "--count", "1",
                                          "--format", "json"))
        self.assertEqual(first["sequence"], 1)
        described = self.json_of("stream", "describe", "quotes")
        self.assertEqual(sum(shard["next_sequence"] - 1 for shard in described["shards"]), 1000)
        stats = self.json_of("stats")
        self.assertEqual(stats["cores"][0]["records_appended"], 1000)
        listed = self.json_of("stream", "list")["streams"]
        self.assertEqual([(stream["name"], stream["shard_count"]) for stream in listed], [("quotes", 3)])
        self.run_eagre("stream", "delete", "quotes")
        self.assertEqual(self.json_of("stream", "list")["streams"], [])

    def test_ten_thousand_shards(self):
        """The map of the largest stream is more than a MiB: it goes to control, to the box and to every client."""
        self.assertEqual(len(self.json_of("stream", "create", "wide", "--shards", "10000")["shards"]), 10000)
        self.assertEqual(len(self.json_of("stream", "describe", "wide")["shards"]), 10000)
        lines = "".join(f"line {i}\n" for i in range(1000))
        self.assertEqual(self.json_of("put", "wide", text=lines)["acknowledged"], 1000)
        listed = self.json_of("stream", "list")["streams"]
        self.assertEqual([stream["shard_count"] for stream in listed], [10000])

    def test_failures_have_words_and_a_status(self):
        self.run_eagre("stream", "create", "quotes")
        self.run_eagre("stream", "create", "quotes", status=1)
        self.run_eagre("stream", "create", "not a name", status=1, words="a stream's name has 1 to 128 characters")
        self.run_eagre("stream", "describe", "nobody", status=1)
        self.run_eagre("stream", "delete", "nobody", status=1)
        self.run_eagre("put", "nobody", text="line\n", status=1)
        self.run_eagre("tail", "nobody", "--no-follow", status=1)
        second = box.Process([EAGRE, "up", "--data", self.box.data, "--port", "0"], "second eagre up")
        self.assertNotEqual(second.wait_exit(), 0)
        self.assertIn("another eagred uses this data directory", second.text())

    def test_stops_in_good_order_and_keeps_everything(self):
        self.run_eagre("stream", "create", "quotes")
        self.run_eagre("put", "quotes", text="one\ntwo\n")
        self.assertEqual(self.up.stop(), 0, self.up.text())
        self.assertIn("eagred: stopped in good order", self.up.text())
        self.assertIn("control: stopped", self.up.text())
        self.run_eagre("stream", "list", status=1)
        self.up = self.spawn_up()
        self.up.wait_for("listening on")
        self.assertEqual(self.run_eagre("tail", "quotes", "--from", "trim_horizon", "--no-follow"), "one\ntwo\n")

    def test_control_that_dies_is_started_again(self):
        self.run_eagre("stream", "create", "quotes")
        os.kill(self.pid_of("eagre-control"), signal.SIGKILL)
        self.up.wait_for("agreed with the dataplane")
        self.run_eagre("stream", "create", "trades")
        self.assertEqual(self.up.stop(), 0)

    def test_the_kinesis_api_is_there_and_comes_back(self):
        def ask(url):
            request = urllib.request.Request(url, b"{}", {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Kinesis_20131202.ListStreams"})
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.loads(answer.read())["StreamNames"]
        self.run_eagre("stream", "create", "quotes")
        line = self.up.wait_for("serving at http")
        self.assertEqual(ask(re.search(r"http://[\d.:]+", line).group(0)), ["quotes"])
        os.kill(int(re.search(r"pid=(\d+)", line).group(1)), signal.SIGKILL)
        self.up.wait_for("eagre-gateway has died")
        line = self.up.wait_for("serving at http")
        port = int(re.search(r"http://[\d.]+:(\d+)", line).group(1))
        self.assertEqual(ask(f"http://127.0.0.1:{port}"), ["quotes"])
        # Where its port is taken it is given up, and all else serves on.
        other = tempfile.mkdtemp(prefix="eagre-e2e-")
        self.addCleanup(shutil.rmtree, other, True)
        taken = box.Process([EAGRE, "up", "--data", other, "--port", "0", "--kinesis-port", str(port), "--eagred=--segment-bytes=16777216"], "another")
        try:
            taken.wait_for("PortInUse")
            taken.wait_for("eagre-gateway does not start")
            self.assertTrue(taken.running())
        finally:
            self.assertEqual(taken.stop(), 0, taken.text())
        both = box.Process([EAGRE, "up", "--data", other, "--port", "0", "--no-kinesis", "--kinesis-port", "0"], "both")
        self.assertEqual(both.wait_exit(), 1)
        self.assertIn("one of them", both.text())

    def test_ends_with_a_dataplane_that_dies(self):
        os.kill(self.pid_of("eagred"), signal.SIGKILL)
        self.assertEqual(self.up.wait_exit(), 1, self.up.text())


if __name__ == "__main__":
    box.main()
