"""What a scraper sees of a box: the page itself, promtool's opinion of it, and a real Prometheus that scrapes it and is
asked what it saw. The box serves others meanwhile, also when scrapers hang or lie; what is not there is not shown."""
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import urllib.request

import box
import wire

EAGRE = os.path.join(box.BIN, "eagre")
PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
# Our own proxy settings are nobody's business here.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url, timeout_s=10):
    with OPENER.open(url, timeout=timeout_s) as answer:
        return answer.read().decode()


def samples(page):
    """{series: value}; fails on a series that is there twice."""
    found = {}
    for line in page.splitlines():
        if line.startswith("#"):
            continue
        series, value = line.rsplit(" ", 1)
        assert series not in found, f"{series} is there twice"
        found[series] = float(value)
    return found


def until(condition, what, timeout_s=box.WAIT_S):
    """Polls something that has no way to tell us."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not in {timeout_s} s: {what}"
        time.sleep(0.05)


class Metrics(unittest.TestCase):
    def setUp(self):
        self.box = box.Box().__enter__()
        self.addCleanup(self.box.__exit__)

    def start(self, *args):
        self.box.start_eagred()
        self.url = self.start_control(*args)

    def start_control(self, *args):
        self.box.spawn_control("--metrics", "127.0.0.1:0", *args)
        line = self.box.control.wait_for(r"metrics: at http://")
        self.box.control.wait_for("agreed with the dataplane")
        return re.search(r"http://\S+", line).group(0)

    def page(self):
        return samples(fetch(self.url))

    def feed(self, name, shards=2, records=500):
        with self.box.admin() as admin:
            stream = admin.create(name, shards)
        feeder = box.Feeder(self.box, stream)
        feeder.start()
        feeder.wait_for(records)
        feeder.stop()
        self.box.wait_for_statistics()
        return stream, feeder.count

    def test_the_page_has_what_happened(self):
        self.start()
        stream, count = self.feed("quotes")
        found = until(lambda: (page := self.page()).get('eagre_stream_appended_records_total{stream="quotes"}') == count
                      and page, "all records counted")
        self.assertEqual(found["eagre_dataplane_up"], 1)
        self.assertEqual(found["eagre_control_ready"], 1)
        self.assertEqual(found['eagre_core_appended_records_total{core="0"}'], count)
        self.assertEqual(found['eagre_stream_shards{stream="quotes",state="open"}'], 2)
        self.assertEqual(found['eagre_stream_retention_seconds{stream="quotes"}'], 24 * 3600)
        self.assertEqual(sum(found[f'eagre_shard_appended_records_total{{stream="quotes",shard="{shard.id}"}}']
                             for shard in stream.shards), count)
        batches = found['eagre_core_ack_duration_seconds_count{core="0"}']
        self.assertEqual(batches, found['eagre_core_ack_duration_seconds_bucket{core="0",le="+Inf"}'])
        self.assertGreater(batches, 0)
        self.assertGreater(found['eagre_core_ack_duration_seconds_sum{core="0"}'], 0)
        # Only so many shards have series of their own.
        self.box.control.stop()
        self.url = self.start_control("--metrics-shards", "1")
        found = self.page()
        self.assertEqual(found['eagre_metrics_left_out{kind="shard"}'], 1)
        self.assertEqual(sum(series.startswith("eagre_shard_open{") for series in found), 1)

    def make_group(self, stream, group, status=0):
        done = subprocess.run([EAGRE, "group", "create", stream, group, "--data", self.box.data], timeout=30,
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, status, done.stderr)

    def test_what_control_refused_is_counted(self):
        self.start()
        self.feed("quotes")
        self.make_group("quotes", "billing")
        self.make_group("quotes", "billing", status=1)
        with self.box.admin() as admin:
            for _ in range(2):
                with self.assertRaises(wire.WireError):
                    admin.delete("nothing")
        found = until(lambda: (page := self.page()).get('eagre_control_refused_total{request="DeleteStream",error="UnknownStream"}') == 2
                      and page, "refusals are counted")
        self.assertEqual(found['eagre_control_refused_total{request="CreateGroup",error="GroupExists"}'], 1)

    def test_groups_and_their_lag(self):
        self.start()
        _, count = self.feed("quotes")
        self.make_group("quotes", "billing")
        group = '{stream="quotes",group="billing"}'
        found = until(lambda: (page := self.page()).get("eagre_group_lag_records" + group) == count and page,
                      "all that was fed is unread")
        self.assertEqual(found["eagre_group_members" + group], 0)
        self.assertGreater(found["eagre_group_lag_seconds" + group], 0)
        self.assertGreater(found["eagre_group_lag_bytes" + group], count)
        self.assertEqual(sum(value for series, value in found.items()
                             if series.startswith("eagre_group_shard_lag_records{")), count)

    def test_counters_never_run_backwards(self):
        self.start()
        self.feed("quotes")
        before = self.page()
        kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", fetch(self.url), re.M))
        self.feed("ticks")
        with self.box.admin() as admin:
            admin.delete("quotes")
        time.sleep(0.6)  # A page is good for half a second.
        after = self.page()
        counters = [series for series in before if kinds.get(series.split("{")[0]) == "counter"
                    or re.search(r"_(bucket|count|sum)(\{|$)", series)]
        self.assertGreater(len(counters), 100)
        for series in counters:
            if 'stream="quotes"' not in series:
                self.assertGreaterEqual(after[series], before[series], series)
        self.assertFalse([series for series in after if 'stream="quotes"' in series])

    def test_a_dead_dataplane_is_told_and_not_shown(self):
        self.start()
        self.feed("quotes")
        self.assertEqual(self.page()["eagre_dataplane_up"], 1)
        self.box.eagred.kill()
        found = until(lambda: (page := self.page())["eagre_dataplane_up"] == 0 and page, "the dataplane is told dead")
        self.assertEqual(found["eagre_streams"], 1)
        self.assertEqual(found["eagre_control_ready"], 0)
        self.assertFalse([series for series in found if series.startswith(("eagre_core_", "eagre_stream_"))])
        self.box.start_eagred()
        until(lambda: self.page()["eagre_dataplane_up"], "the dataplane is told alive")

    def test_hostile_scrapers_do_not_hold_up_control(self):
        self.start()
        address = urllib.parse.urlsplit(self.url)
        silent = [socket.create_connection((address.hostname, address.port)) for _ in range(20)]
        self.addCleanup(lambda: [each.close() for each in silent])
        for each in silent[::2]:
            each.sendall(b"GET /metrics HT")
        begin = time.monotonic()
        with self.box.admin() as admin:
            for number in range(5):
                admin.create(f"s{number}", 1)
        self.assertLess(time.monotonic() - begin, 5, "control was held up")
        # The first are cut off after 5 s.
        self.assertEqual(until(lambda: fetch(self.url, 40), "a page", 60).count("eagre_streams 5\n"), 1)

    def test_refusals(self):
        self.start()
        address = urllib.parse.urlsplit(self.url)
        for method, path, status in (("POST", "/metrics", 405), ("GET", "/", 200), ("GET", "/secret", 404),
                                     ("HEAD", "/metrics", 200)):
            connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
            connection.request(method, path)
            answer = connection.getresponse()
            self.assertEqual(answer.status, status, (method, path))
            if method == "HEAD":
                self.assertEqual(answer.read(), b"")
            connection.close()
        self.box.control.stop()
        for arguments, words in ((["--metrics", "0.0.0.0:0"], "refusing to listen"),
                                 (["--metrics", "[::]:0"], "refusing to listen"),
                                 (["--metrics", f"127.0.0.1:{self.box.ports[0]}"], "PortInUse"),
                                 (["--metrics", "localhost:9568"], "is not HOST:PORT")):
            control = self.box.spawn_control(*arguments)
            self.assertNotEqual(control.wait_exit(), 0, arguments)
            self.assertIn(words, control.text())
        self.box.spawn_control("--metrics", "0.0.0.0:0", "--insecure").wait_for("everybody who reaches")
        self.box.control.wait_for("control: serving")

    def test_promtool_finds_nothing_to_say(self):
        if not PROMTOOL:
            self.skipTest("promtool is not installed (tools/setup)")
        self.start()
        self.feed("quotes")
        self.make_group("quotes", "billing")
        page = until(lambda: (page := fetch(self.url)).count("eagre_group_lag_records{") == 1 and page, "the group's lag")
        done = subprocess.run([PROMTOOL, "check", "metrics"], input=page, capture_output=True, text=True,
                              timeout=30)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_a_real_prometheus_scrapes_it(self):
        if not PROMETHEUS:
            self.skipTest("prometheus is not installed (tools/setup)")
        self.start()
        _, count = self.feed("quotes")
        self.make_group("quotes", "billing")
        folder = tempfile.mkdtemp(prefix="eagre-prometheus-")
        self.addCleanup(shutil.rmtree, folder, True)
        config = os.path.join(folder, "prometheus.yml")
        with open(config, "w", encoding="utf-8") as file:
            file.write("global: {scrape_interval: 200ms, scrape_timeout: 200ms}\nscrape_configs:\n- job_name: eagre\n"
                       f"  static_configs: [{{targets: ['{urllib.parse.urlsplit(self.url).netloc}']}}]\n")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        prometheus = box.Process([PROMETHEUS, f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
                                  f"--web.listen-address=127.0.0.1:{port}", "--log.level=info"], "prometheus")
        self.addCleanup(lambda: prometheus.running() and prometheus.stop())
        prometheus.wait_for("Server is ready to receive web requests")

        def ask(query):
            url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": query})
            answer = json.loads(fetch(url))
            self.assertEqual(answer["status"], "success", answer)
            return [(each["metric"], float(each["value"][1])) for each in answer["data"]["result"]]

        seen = until(lambda: [value for _, value in ask("sum(eagre_shard_appended_records_total)") if value == count],
                     "Prometheus has seen all records")
        self.assertEqual(seen, [count])
        self.assertEqual([value for _, value in ask("up")], [1])
        self.assertEqual([(metric["stream"], value) for metric, value in ask("eagre_stream_appended_records_total")],
                         [("quotes", count)])
        [(_, p99)] = ask("histogram_quantile(0.99, sum by (le) (eagre_core_ack_duration_seconds_bucket))")
        self.assertTrue(1e-6 < p99 < 10, p99)
        self.assertEqual(len(ask("eagre_build_info")), 1)
        # All that is on the page has arrived there.
        page = fetch(self.url)
        families = set(re.findall(r"^# TYPE eagre_(\S+) (?:counter|gauge)$", page, re.M))
        families &= set(re.findall(r"^eagre_(\w+)[{ ]", page, re.M))  # What has no sample stores nothing.
        # Not in one scrape: lag is there once it has been measured.
        until(lambda: ask("eagre_group_lag_records"), "the group's lag has arrived")
        stored = {metric["__name__"][len("eagre_"):] for metric, _ in ask('{__name__=~"eagre_.+"}')}
        self.assertEqual(families - stored, set())


if __name__ == "__main__":
    box.main()
