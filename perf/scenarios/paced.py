"""Durable acknowledgement at 50,000 records/s, open loop, single-record frames of 256 bytes.

Expected: a frame every 20 us; a commit takes a write (45 us) and a sync (50-60 us), and what arrives meanwhile goes
with the next: p50 about 1.5 commits, 160 us, p99 two and a wake-up, 270 us. The null log server pays a wake-up per
commit: 217 and 400 us.

Both percentiles are those of a typical tenth of a second (slices.h): a virtual machine takes 1 to 8 ms from whoever runs several
times a second, about as many records as a 99th percentile is made of. Whole samples are told beside them.
"""
from report.bench import Box, NullLog
from report.figures import Figure

RATE = 50_000
# What README.md advises where latency counts and a core is kept for Eagre. Throughput is measured with the defaults.
KEPT_CORE = {"wait": "spin", "sched": "idle"}


def measure(bench):
    null = NullLog(bench, shards=4)
    box = Box(bench, "box-paced", shards=4, ready_segments=4, **KEPT_CORE)
    box.wait_for_ready_segments(4)
    rounds = {"null": [], "box": []}
    for _ in range(bench.options.rounds):
        for name, server in (("null", null), ("box", box)):
            with bench.turn_of(server):
                sample = bench.driver("paced", "--rate", RATE, "--warmup", 0.3, "--seconds", bench.options.seconds,
                                      server=server, spin=True)
                rounds[name].append({**sample["ack_us"], **{key: sample[key] for key in ("typical_p50_us", "typical_p99_us")}})
        bench.say("   " + "  ".join(f"{name} p50 {s[-1]['typical_p50_us']:.0f} p99 {s[-1]['typical_p99_us']:.0f} us "
                                    f"(whole: {s[-1]['p50']:.0f}, {s[-1]['p99']:.0f}, p99.9 {s[-1]['p999']:.0f})"
                                    for name, s in rounds.items()))
    null.end()
    box.end()
    figures = []
    for key in ("p50", "p99"):
        a, b = ([sample[f"typical_{key}_us"] for sample in rounds[name]] for name in ("null", "box"))
        median_a, median_b = sorted(a)[len(a) // 2], sorted(b)[len(b) // 2]
        figures.append(Figure(f"paced_{key}", f"durable ack, 50,000/s, single-record frames, {key} over null log",
                              [y / x for x, y in zip(a, b)], goal=1.0, at_least=False, unit="x",
                              note=f"{median_b:.0f} against {median_a:.0f} us", details={"null_us": a, "eagre_us": b}))
    for key, title in (("p99", "p99"), ("p999", "p99.9")):
        a, b = ([sample[key] for sample in rounds[name]] for name in ("null", "box"))
        figures.append(Figure(f"paced_whole_{key}", f"... {title} of whole samples, machine's pauses and all, Eagre", b, unit="us",
                              note=f"null log {sorted(a)[len(a) // 2]:.0f} us"))
    return figures
