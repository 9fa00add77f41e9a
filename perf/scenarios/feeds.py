"""A feed of 256-byte datagrams between two namespaces: what making them durable costs beyond counting them, whether any are lost, how long it takes.

Expected on 2 vCPU: the kernel's part of a datagram (veth, softirq) runs on the sender's core; af_xdp hands a frame over for 20 to 30 ns, af_packet for 80 to
260. A record costs its key and lane 15 ns, the copy into the batch 20, the copy with its CRC into the commit 25, and its part of a batch, a commit and
a write 50 to 100. So about 200 ns beyond counting. A core that polls is charged for the turns that found something. Packet to durable is what gathers
while a write and a sync are under way, and then one write and sync: 1.5 of them on average.
"""
import os

from report.bench import SERVER_CPU
from report.figures import Figure
from scenarios.feed_net import BOX, FeedBox, Net, Sink, blast, warm

BYTES = 256
BELOW_LOSS = 250_000
FAST = 300_000
PACED = 50_000
LINE = f"{BOX}:5400"


def capture(bench, box, net, rate):
    before = box.stats()
    sent = blast(bench, net, "--to", LINE, "--bytes", BYTES, "--rate", rate)
    box.settle(before["feed"]["records_durable"] + sent["sent"])
    after = box.stats()
    count = after["feed"]["records_durable"] - before["feed"]["records_durable"]
    return {"sent": sent["sent"], "stored": count, "ns": (after["turn_busy_ns"] - before["turn_busy_ns"]) / max(count, 1), "late_us": sent["late_us_max"]}


def lost_figure(kind, lost):
    return Figure(f"feed_lost_{kind}", f"{kind}: lost at 300,000 datagrams/s", [sample["sent"] - sample["stored"] for sample in lost],
                  goal=None if kind == "af_packet" else 0, at_least=False, note=f"of {lost[0]['sent']:,} in each round, most {max(s['sent'] - s['stored'] for s in lost)}")


def measure_nic(bench, kind):
    cost, only, lost = [], [], []
    with Net(kernel=kind == "uring") as net:
        box = FeedBox(bench, f"box-feed-{kind}", net, kind, [LINE], wait="block" if kind == "uring" else "spin")
        warm(bench, net, LINE)
        for _ in range(bench.options.rounds):
            with bench.turn_of(box):
                cost.append(capture(bench, box, net, BELOW_LOSS))
                lost.append(capture(bench, box, net, FAST))
            bench.say(f"   {kind}: {cost[-1]['ns']:.0f} ns a datagram, lost {cost[-1]['sent'] - cost[-1]['stored']} of {cost[-1]['sent']}; "
                      f"at 300,000/s {lost[-1]['ns']:.0f} ns, lost {lost[-1]['sent'] - lost[-1]['stored']} of {lost[-1]['sent']}")
        box.end()
    with Net(kernel=kind == "uring") as net:
        for _ in range(0 if kind == "uring" else bench.options.rounds):
            sink = Sink(bench, net, kind, [LINE], bench.options.seconds + 1.5)
            warm(bench, net, LINE)
            blast(bench, net, "--to", LINE, "--bytes", BYTES, "--rate", BELOW_LOSS)
            only.append(sink.result()["ns_per_datagram"])
    if kind == "uring":  # A program that waits wakes for each datagram: nothing to compare with.
        return [Figure("feed_ns_uring", "kernel sockets: CPU of a datagram to durable, 250,000/s", [sample["ns"] for sample in cost], unit="ns"), lost_figure(kind, lost)]
    own = sorted(only)[len(only) // 2]
    return [Figure(f"feed_cost_{kind}", f"{kind}: CPU of a datagram to durable beyond a program that only counts it, 250,000/s", [sample["ns"] - own for sample in cost],
                   goal=250, at_least=False, unit="ns", note=f"{sorted(s['ns'] for s in cost)[len(cost) // 2]:.0f} against {own:.0f}; at 300,000/s {sorted(s['ns'] for s in lost)[len(lost) // 2]:.0f}",
                   details={"only_counting_ns": only}),
            lost_figure(kind, lost)]


def measure_latency(bench):
    ours, disk, p99 = [], [], []
    with Net(kernel=False) as net:
        for round_number in range(bench.options.rounds):
            box = FeedBox(bench, f"box-feed-paced-{round_number}", net, "af_xdp", [LINE])
            warm(bench, net, LINE)
            with bench.turn_of(box):
                before = box.stats()
                blast(bench, net, "--to", LINE, "--bytes", BYTES, "--rate", PACED)
                after = box.stats()
            # The histogram is of the whole life of the box: the warm-up's 300 datagrams are 0.4 % of it.
            ours.append(after["feed"]["durable_us"]["p50"])
            p99.append(after["feed"]["durable_us"]["p99"])
            size = max(4096, int((after["journal_bytes"] - before["journal_bytes"]) / max(1, after["commit_count"] - before["commit_count"]) + 4095) // 4096 * 4096)
            box.end()
            raw = bench.run("raw_disk", "--mode", "write", "--file", os.path.join(bench.folder("raw"), "raw.bin"), "--file-bytes", 256 << 20, "--size", size,
                            "--seconds", bench.options.seconds, "--cpu", SERVER_CPU)
            disk.append(raw["us"]["p50"])
            bench.say(f"   packet to durable p50 {ours[-1]:.0f} us, p99 {p99[-1]:.0f}; one write and fdatasync of {size} bytes {disk[-1]:.0f} us")
    ratios = [a / b for a, b in zip(ours, disk)]
    return [Figure("feed_durable_p50", "af_xdp, 50,000/s: packet to durable, p50, over one write and fdatasync of that size", ratios, goal=2, at_least=False, unit="x",
                   note=f"{sorted(ours)[len(ours) // 2]:.0f} against {sorted(disk)[len(disk) // 2]:.0f} us; p99 {sorted(p99)[len(p99) // 2]:.0f} us")]


def measure(bench):
    return measure_nic(bench, "af_xdp") + measure_nic(bench, "af_packet") + measure_nic(bench, "uring") + measure_latency(bench)
