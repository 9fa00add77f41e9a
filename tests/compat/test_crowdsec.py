"""crowdsec, a program that watches logs, as Debian has it: its Kinesis source against the gateway, polling and by enhanced fan-out. It notes
each line that it gets in its own log, counts them in its metrics, parses them, and its one scenario overflows when it has seen so many
different ones. It begins at LATEST, and has no word for when it has begun: lines to try with are put until it shows one of each shard."""
import collections
import gzip
import json
import os
import re
import shutil
import time
import unittest
import urllib.request

import gateway
from gateway import box

try:
    import boto3
except ImportError:
    boto3 = None

# Unpacked beside the build by tests/nightly, so that no service is installed; or installed by somebody.
UNPACKED = os.path.join(os.path.dirname(os.path.abspath(box.BIN)), "compat-crowdsec")
ROOT = UNPACKED if os.path.exists(os.path.join(UNPACKED, "usr/bin/crowdsec")) else "/"
CROWDSEC, CSCLI, PATTERNS = (os.path.join(ROOT, path) for path in ("usr/bin/crowdsec", "usr/bin/cscli", "etc/crowdsec/patterns"))
LINES, PER_CALL = 12_000, 500
WAIT_S = 60
ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/logs"
os.environ.update(gateway.CREDENTIALS)


class Crowdsec:
    """One crowdsec in a folder of its own, with nothing from its hub, and nobody to talk to but itself and the gateway."""

    def __init__(self, of, source):
        self.folder, api = of.path("crowdsec"), box.free_port(2)
        self.metrics_port = api + 1
        for folder in ("data", "hub", "notifications", "plugins", "parsers/s01-parse", "scenarios"):
            os.makedirs(self.path(folder))
        shutil.copytree(PATTERNS, self.path("patterns"))
        self.write("hub/.index.json", {kind: {} for kind in ("collections", "parsers", "postoverflows", "scenarios")})
        self.write("simulation.yaml", {"simulation": False})
        self.write("profiles.yaml", {"name": "nothing", "filters": ["false"], "decisions": [], "on_success": "break"})
        self.write("console.yaml", {})
        self.write("credentials.yaml", {})
        self.write("acquisition.yaml", {"source": "kinesis", "aws_region": "us-east-1", "aws_endpoint": of.url, "log_level": "trace",
                                        "labels": {"type": "lines"}, **source})
        self.write("parsers/s01-parse/lines.yaml", {
            "name": "eagre/lines", "filter": "evt.Line.Labels.type == 'lines'", "onsuccess": "next_stage",
            "nodes": [{"grok": {"pattern": "^line %{NUMBER:number}$", "apply_on": "Line.Raw"}}], "statics": [{"meta": "log_type", "value": "line"}]})
        self.write("scenarios/lines.yaml", {
            "type": "leaky", "name": "eagre/lines", "description": "all lines", "filter": "evt.Meta.log_type == 'line'", "distinct": "evt.Parsed.number",
            "groupby": "'all'", "leakspeed": "1h", "capacity": LINES - 1, "cache_size": 1, "labels": {"service": "eagre"}})
        # "daemonize": it stays in the foreground all the same, but minds signals.
        config = self.write("config.yaml", {
            "common": {"daemonize": True, "log_media": "stdout", "log_level": "info", "working_dir": self.folder},
            "config_paths": {"config_dir": self.folder, "data_dir": self.path("data"), "simulation_path": self.path("simulation.yaml"),
                             "hub_dir": self.path("hub"), "index_path": self.path("hub/.index.json"), "notification_dir": self.path("notifications"),
                             "plugin_dir": self.path("plugins")},
            "crowdsec_service": {"acquisition_path": self.path("acquisition.yaml"), "parser_routines": 1},
            "cscli": {"output": "human"},
            "db_config": {"type": "sqlite", "db_path": self.path("data/crowdsec.db"), "use_wal": False},
            "api": {"client": {"credentials_path": self.path("credentials.yaml")},
                    "server": {"listen_uri": f"127.0.0.1:{api}", "profiles_path": self.path("profiles.yaml"), "console_path": self.path("console.yaml")}},
            "prometheus": {"enabled": True, "level": "full", "listen_addr": "127.0.0.1", "listen_port": self.metrics_port}})
        # Should it look for the world all the same: there is no proxy at port 9. What is on loopback needs none.
        env = ["env", "TMPDIR=" + self.path("data"), "HTTP_PROXY=http://127.0.0.1:9", "HTTPS_PROXY=http://127.0.0.1:9"]
        added = box.Process([*env, CSCLI, "-c", config, "machines", "add", "it", "--password", "it", "--force", "-f", self.path("credentials.yaml"),
                             "-u", f"http://127.0.0.1:{api}"], "cscli")
        if added.wait_exit() != 0:
            raise AssertionError(added.text())
        self.process = box.Process([*env, CROWDSEC, "-c", config, "-no-capi"], "crowdsec")
        of.processes.append(self.process)
        self.process.wait_for("starting kinesis acquisition")

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, what):
        """JSON, which is YAML, too."""
        with open(self.path(name), "w") as file:
            json.dump(what, file)
        return self.path(name)

    def got(self):
        """The lines that it says it got, {shard: [line, ...]}, in order."""
        lines = collections.defaultdict(list)
        for said in list(self.process.lines):
            found = said and re.search(r'msg="got record ([^"]*)" .*\bshard(?:_id)?=(shardId-\d+)', said)
            if found:
                lines[found[2]].append(found[1])
        return lines

    def metrics(self, name):
        """{labels as text: value}."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as page:
            return {labels: int(float(value)) for labels, value in re.findall(rf"^{name}{{(.*)}} (\S+)$", page.read().decode(), re.M)}

    def wait_until(self, what, done):
        deadline = time.monotonic() + WAIT_S
        while not done():
            if time.monotonic() > deadline or not self.process.running():
                why = f"not in {WAIT_S} s" if self.process.running() else "it ended"
                raise AssertionError(f"crowdsec: {what}: {why}:\n" + "\n".join(self.process.text().split("\n")[-30:]))
            time.sleep(0.2)


class Feed(unittest.TestCase):
    def setUp(self):
        if boto3 is None:
            self.skipTest("boto3 is not installed (tools/setup)")
        if not all(os.path.exists(path) for path in (CROWDSEC, CSCLI, PATTERNS)):
            self.skipTest("crowdsec is not installed (tests/nightly)")
        self.box = gateway.Gateway().__enter__()
        self.addCleanup(self.box.__exit__)
        self.box.start()
        self.kinesis = boto3.client("kinesis", endpoint_url=self.box.url)
        self.addCleanup(self.kinesis.close)
        self.put, self.number, self.wrap = collections.defaultdict(list), 0, lambda lines: [line.encode() for line in lines]

    def start(self, shards, **source):
        self.kinesis.create_stream(StreamName="logs", ShardCount=shards)
        self.crowdsec = Crowdsec(self.box, source)

    def open_shards(self):
        return self.kinesis.list_shards(StreamName="logs", ShardFilter={"Type": "AT_LATEST"})["Shards"]

    def mark(self, text):
        """One line for every open shard."""
        for shard in self.open_shards():
            self.kinesis.put_record(StreamName="logs", Data=self.wrap([text])[0], PartitionKey="k", ExplicitHashKey=shard["HashKeyRange"]["StartingHashKey"])

    def wait_for_mark(self, text, again):
        def seen():
            if again:
                self.mark(text)
            got = self.crowdsec.got()
            return all(text in got[shard["ShardId"]] for shard in self.open_shards())
        if not again:
            self.mark(text)
        self.crowdsec.wait_until(f"{text!r} of every shard", seen)

    def feed(self, count):
        for _ in range(0, count, PER_CALL):
            lines = [f"line {self.number + i}" for i in range(PER_CALL)]
            self.number += PER_CALL
            data = self.wrap(lines)
            share = len(lines) // len(data)
            answer = self.kinesis.put_records(StreamName="logs", Records=[{"Data": each, "PartitionKey": f"host-{self.number}-{i}"} for i, each in enumerate(data)])
            self.assertEqual(answer["FailedRecordCount"], 0)
            for i, record in enumerate(answer["Records"]):
                self.put[record["ShardId"]] += lines[i * share:(i + 1) * share]

    def check(self, source, per_record=1):
        """Every line came once, in its shard's order; the metrics, the parser and the scenario say so, too."""
        self.wait_for_mark("the end", again=False)
        got = self.crowdsec.got()
        for shard, lines in self.put.items():
            self.assertEqual([line for line in got[shard] if line.startswith("line")], lines, shard)
        self.assertEqual(sum(line.startswith("line") for lines in got.values() for line in lines), LINES)
        others = sum(not line.startswith("line") for lines in got.values() for line in lines)
        [(labels, records)] = self.crowdsec.metrics("cs_kinesis_stream_hits_total").items()
        self.assertEqual((labels, records), (f'stream="{source}"', LINES // per_record + others))
        self.assertEqual(sum(self.crowdsec.metrics("cs_kinesis_shards_hits_total").values()), records)
        # Behind the source things may still be under way.
        self.crowdsec.wait_until("all parsed", lambda: sum(self.crowdsec.metrics("cs_parser_hits_ok_total").values()) >= LINES)
        self.assertEqual(sum(self.crowdsec.metrics("cs_parser_hits_ok_total").values()), LINES)
        self.crowdsec.wait_until("all different", lambda: self.crowdsec.metrics("cs_bucket_overflowed_total"))
        self.assertEqual(self.crowdsec.metrics("cs_bucket_overflowed_total"), {'name="eagre/lines"': 1})

    def consumers(self):
        return [consumer["ConsumerName"] for consumer in self.kinesis.list_stream_consumers(StreamARN=ARN)["Consumers"]]

    def reshard(self, said):
        """Ends the one shard that there is. crowdsec then begins anew, at LATEST."""
        self.wait_for_mark("before the split", again=False)
        self.kinesis.split_shard(StreamName="logs", ShardToSplit=self.open_shards()[0]["ShardId"], NewStartingHashKey=str(2**127))
        self.crowdsec.process.wait_for(said)
        self.wait_for_mark("after the split", again=True)

    def test_polling(self):
        self.start(2, stream_name="logs")
        self.wait_for_mark("the beginning", again=True)
        self.feed(LINES)
        self.assertEqual(len(self.put), 2)
        self.check("logs")
        self.assertEqual(self.crowdsec.process.stop(), 0)

    def test_polling_records_of_many_lines(self):
        """As CloudWatch Logs sends them: JSON, compressed."""
        def wrap(lines):
            events = [{"id": str(i), "timestamp": 0, "message": line} for i, line in enumerate(lines)]
            parts = [events[i:i + 20] for i in range(0, len(events), 20)]
            return [gzip.compress(json.dumps({"messageType": "DATA_MESSAGE", "owner": "0", "logGroup": "g", "logStream": "s", "subscriptionFilters": ["f"],
                                              "logEvents": part}).encode()) for part in parts]
        self.wrap = wrap
        self.start(2, stream_name="logs", from_subscription=True)
        self.wait_for_mark("the beginning", again=True)
        self.feed(LINES)
        self.check("logs", per_record=20)
        self.assertEqual(self.crowdsec.process.stop(), 0)

    def test_polling_over_a_split(self):
        self.start(1, stream_name="logs")
        self.wait_for_mark("the beginning", again=True)
        self.feed(LINES // 2)
        self.reshard("All shards have been closed")
        self.feed(LINES // 2)
        self.assertEqual(len(self.put), 3)
        self.check("logs")
        self.assertEqual(self.crowdsec.process.stop(), 0)

    def test_enhanced_fan_out(self):
        self.start(2, use_enhanced_fanout=True, stream_arn=ARN, consumer_name="crowdsec")
        self.wait_for_mark("the beginning", again=True)
        self.assertEqual(self.consumers(), ["crowdsec"])
        self.feed(LINES)
        self.assertEqual(len(self.put), 2)
        self.check(ARN)
        self.assertEqual(self.crowdsec.process.stop(), 0)
        self.assertEqual(self.consumers(), [])  # It says goodbye.

    def test_enhanced_fan_out_over_a_split(self):
        self.start(1, use_enhanced_fanout=True, stream_arn=ARN, consumer_name="crowdsec")
        self.wait_for_mark("the beginning", again=True)
        self.feed(LINES // 2)
        self.reshard("All reader goroutines have exited")
        self.feed(LINES // 2)
        self.assertEqual(len(self.put), 3)
        self.check(ARN)
        self.assertEqual(self.crowdsec.process.stop(), 0)


if __name__ == "__main__":
    box.main()
