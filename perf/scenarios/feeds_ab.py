"""Lines A and B: two copies of a feed, each with 1 % of its datagrams lost by itself, become one stream, complete but for what both have lost; and the
quotes of a real day, as messages, each once and in order.

Expected: a copy that comes second costs its way in (80 ns of a device's, 700 of a kernel socket's) and one comparison: two lines take less than twice
the CPU of one.
"""
import json
import os
import subprocess
import zipfile

from report.bench import BenchError
from report.figures import Figure
from scenarios.feed_net import BOX, FeedBox, Net, blast, warm

RATE = 300_000
BYTES = 256
A, B = f"{BOX}:5400", f"{BOX}:5401"
QUOTES = "aig-20131007_quote.zip"


def run(bench, box, net, lines, session):
    before = box.stats()
    to = [part for line in lines for part in ("--to", line)]
    sent = blast(bench, net, *to, "--bytes", BYTES, "--rate", RATE, "--moldudp64", "--drop", 1, "--segments", 16, "--session", session)
    box.settle(before["feed"]["records_durable"] + sent["messages"] - sent["lost_on_all"])
    after = box.stats()
    count = after["feed"]["records_durable"] - before["feed"]["records_durable"]
    gaps = after["feed"]["gap_messages"] - before["feed"]["gap_messages"]
    return {"busy_ns": after["turn_busy_ns"] - before["turn_busy_ns"], "stored": count, "gaps": gaps, "messages": sent["messages"], "lost": sent["lost_on_all"], "rate": sent["rate"]}


def measure_lines(bench):
    wrong, ratio, one, two = [], [], [], []
    with Net(kernel=False) as net:
        box = FeedBox(bench, "box-feed-ab", net, "af_xdp", [A, B], framing="moldudp64", key="bytes:0:2")
        warm(bench, net, "10.78.0.2:9")
        for number in range(bench.options.rounds):
            with bench.turn_of(box):
                one.append(run(bench, box, net, [A], f"ONE{number}"))
                two.append(run(bench, box, net, [A, B], f"TWO{number}"))
            missing = two[-1]["messages"] - two[-1]["lost"] - two[-1]["stored"]
            wrong.append(abs(missing) + abs(two[-1]["gaps"] - two[-1]["lost"]))
            ratio.append((two[-1]["busy_ns"] / two[-1]["messages"]) / (one[-1]["busy_ns"] / one[-1]["messages"]))
            bench.say(f"   {two[-1]['rate'] / 1e6:.2f} M/s a line: stored {two[-1]['stored']} of {two[-1]['messages']}, lost on both {two[-1]['lost']}, told as missing {two[-1]['gaps']}; "
                      f"CPU of one line {one[-1]['busy_ns'] / one[-1]['messages']:.0f} ns a message, of two {two[-1]['busy_ns'] / two[-1]['messages']:.0f}")
        box.end()
    return [Figure("feed_ab_wrong", "A/B, 2 x 300,000 datagrams/s, 1 % lost each: messages neither stored nor lost on both, or told wrongly", wrong, goal=0, at_least=False,
                   note=f"of {two[0]['messages']:,} in each round; lost on both {sorted(s['lost'] for s in two)[len(two) // 2]}"),
            Figure("feed_ab_cpu", "... CPU of the dataplane, two lines over one", ratio, goal=2, at_least=False, unit="x",
                   note=f"{sorted(s['busy_ns'] / s['messages'] for s in two)[len(two) // 2]:.0f} ns a message")]


def quotes_file(bench):
    """The lines of the archive, and where it lies; nothing when this machine has none."""
    for folder in (os.path.join(bench.root, "..", "shared", "data"), os.environ.get("EAGRE_DATA_SETS", "")):
        path = os.path.join(folder, QUOTES)
        if folder and os.path.exists(path):
            with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
                return path, file.read().splitlines()
    return None, None


def measure_quotes(bench):
    path, lines = quotes_file(bench)
    if path is None:
        bench.say(f"   no {QUOTES} on this machine: left out (set EAGRE_DATA_SETS to its folder)")
        return []
    wrong = []
    with Net(kernel=True) as net:
        box = FeedBox(bench, "box-feed-quotes", net, "uring", [A, B], framing="moldudp64", key="constant:quotes", shards=1, wait="adaptive", retention="1h")
        with bench.turn_of(box):
            sent = subprocess.run(["ip", "netns", "exec", net.out, bench.binary("eagre"), "feed", "generate", "--to", A, "--to", B, "--input", path, "--rate", "200000", "--drop", "1",
                                   "--json"], capture_output=True, text=True, timeout=120, check=False)
            if sent.returncode != 0:
                raise BenchError(sent.stderr)
            report = json.loads(sent.stdout)
            box.settle(report["messages"] - report["lost_messages"], 30)
            told = box.stats()["feed"]
            tail = subprocess.run(["ip", "netns", "exec", net.box, bench.binary("eagre"), "tail", "feed", "--from", "trim_horizon", "--no-follow", "--data", box.data],
                                  capture_output=True, timeout=120, check=False)
            if tail.returncode != 0:
                raise BenchError(tail.stderr.decode(errors="replace")[-500:])
        # What came back is the file's lines in their order, but for those that both lines have lost.
        came, at = tail.stdout.splitlines(), 0
        for line in lines:
            at += at < len(came) and came[at] == line
        missing = len(lines) - at - report["lost_messages"] - (len(lines) - report["messages"])
        wrong.append(abs(missing) + len(came) - at + abs(told["gap_messages"] - report["lost_messages"]))
        bench.say(f"   {report['messages']} quotes of {len(lines)} lines, lost on both {report['lost_messages']}; came back in order {at} of {len(came)}, told as missing {told['gap_messages']}")
        box.end()
    return [Figure("feed_quotes_wrong", "a real day's quotes on A and B, 1 % lost each: quotes not stored once or told as missing", wrong, goal=0, at_least=False,
                   note=f"of {report['messages']:,}")]


def measure(bench):
    return measure_lines(bench) + measure_quotes(bench)
