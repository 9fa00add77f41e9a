"""Datagrams: durable ingest against a program that only receives them, and acknowledgement latency against TCP.

Expected on 2 vCPU over loopback: a datagram costs its sender 1 to 1.5 us (one pass through the stack each, done on the
sender's core), a program that only receives them 0.4 us. Eagre adds two checks of 60 bytes, one MD5, the copy with its
CRC and a place in two tables, about 0.5 us, so with a core of its own it should keep up with one sender, as the sink does:
both figures are then the sender's. Answers are many to a datagram. At 50,000/s what an
acknowledgement waits for is the journal, the same for both: a microsecond of protocol in 300. So UDP over TCP is 1.00, half of all runs on either
side of it; what counts as more is what the pairs of a run can tell from 1 (95 %). Latencies are those of a typical tenth of a second, as in paced.py.
"""
from report.bench import GENERATOR_CPU, SERVER_CPU, Box
from report.figures import Figure, error_of_median

RATE = 50_000
SEGMENTS = {"ready_segments": 12}
RETENTION_MS = 1000
KEPT_CORE = {"wait": "spin", "sched": "idle"}
LOADS = {"full": ("datagrams of 1,400 bytes, 256-byte records", [], 0.8),
         "single": ("one 256-byte record per datagram", ["--records", 1], 0.7)}
DATAGRAM_HEADER_BYTES = 64
# Two samples of one differ by 5 %: more of them, and each as often first.
LATENCY_ROUNDS_PER_ROUND = 3


def sink(bench, size, *more):
    return bench.run("udp_sink", "--bytes", size, "--seconds", bench.options.seconds, "--server-cpu", SERVER_CPU,
                     "--client-cpu", GENERATOR_CPU, *more)


def blast(bench, box, more):
    box.wait_for_ready_segments(SEGMENTS["ready_segments"] // 2)
    return bench.run("perf_udp_blast", "--cpu", GENERATOR_CPU, "--port", box.port, "--seconds", bench.options.seconds,
                     *more)


def measure_ingest(bench):
    box = Box(bench, "box-udp", shards=4, retention_ms=RETENTION_MS, sched="idle", **SEGMENTS)
    eagre, only, other = ({name: [] for name in LOADS} for _ in range(3))
    for _ in range(bench.options.rounds):
        for name, (_, more, _) in LOADS.items():
            with bench.turn_of(box):
                eagre[name].append(blast(bench, box, more))
            box.pause()
            size = eagre[name][-1]["frame_bytes"] + DATAGRAM_HEADER_BYTES
            only[name].append(sink(bench, size))
            other[name].append(sink(bench, size, "--receive", "multishot"))
        bench.say("   M datagrams/s, Eagre (sink): " + "  ".join(
            f"{name} {eagre[name][-1]['datagrams_per_s'] / 1e6:.3f} ({only[name][-1]['datagrams_per_s'] / 1e6:.3f})"
            for name in LOADS))
    box.end()
    figures = []
    for name, (title, _, goal) in LOADS.items():
        ours = [s["datagrams_per_s"] for s in eagre[name]]
        sinks = [s["datagrams_per_s"] for s in only[name]]
        note = f"{sorted(s['records_per_s'] for s in eagre[name])[len(ours) // 2] / 1e6:.2f} M records/s"
        figures += [
            Figure(f"udp_sink_{name}", f"UDP, {title}: a program that only receives them", [s / 1e6 for s in sinks],
                   unit="M/s"),
            Figure(f"udp_{name}", "... Eagre, acknowledged when durable", [s / 1e6 for s in ours], unit="M/s", note=note,
                   details={key: [s[key] for s in eagre[name]] for key in
                            ("generator_cpu_share", "resent", "timeouts", "asked_again", "records_per_datagram")}),
            Figure(f"udp_{name}_ratio", "... as a share of that program", [x / y for x, y in zip(ours, sinks)], goal=goal,
                   unit="x"),
            Figure(f"udp_multishot_{name}", "... multishot recvmsg against recvmmsg, receiving only",
                   [s["datagrams_per_s"] / y for s, y in zip(other[name], sinks)], unit="x"),
        ]
    return figures


def measure_latency(bench):
    box = Box(bench, "box-udp-paced", shards=4, ready_segments=4, **KEPT_CORE)
    rounds = {"tcp": [], "udp": []}
    for turn in range(LATENCY_ROUNDS_PER_ROUND * bench.options.rounds):
        both = [("tcp", []), ("udp", ["--udp"])]
        for name, flags in both if turn % 2 == 0 else reversed(both):
            with bench.turn_of(box):
                sample = bench.driver(*flags, "paced", "--rate", RATE, "--warmup", 0.3, "--seconds", bench.options.seconds,
                                      server=box, spin=True)
                rounds[name].append({**sample["ack_us"], **{key: sample[key] for key in ("typical_p50_us", "typical_p99_us")}})
        bench.say("   " + "  ".join(f"{name} p50 {s[-1]['typical_p50_us']:.0f} p99 {s[-1]['typical_p99_us']:.0f} us "
                                    f"(whole: {s[-1]['p50']:.0f}, {s[-1]['p99']:.0f})" for name, s in rounds.items()))
    box.end()
    figures = []
    for key in ("p50", "p99"):
        a, b = ([sample[f"typical_{key}_us"] for sample in rounds[name]] for name in ("tcp", "udp"))
        middle = [sorted(samples)[len(samples) // 2] for samples in (a, b)]
        ratios = [y / x for x, y in zip(a, b)]
        figures.append(Figure(f"udp_{key}", f"durable ack, 50,000/s, single-record frames, {key}: UDP over TCP",
                              ratios, goal=1.0, at_least=False, unit="x", within_error=True,
                              note=f"{middle[1]:.0f} against {middle[0]:.0f} us; known to {error_of_median(ratios):.3f}", details={"tcp_us": a, "udp_us": b}))
    figures.append(Figure("udp_whole_p99", "... p99 of whole samples, machine's pauses and all, UDP",
                          [sample["p99"] for sample in rounds["udp"]], unit="us",
                          note=f"TCP {sorted(sample['p99'] for sample in rounds['tcp'])[bench.options.rounds]:.0f} us"))
    return figures


def measure(bench):
    return measure_ingest(bench) + measure_latency(bench)
