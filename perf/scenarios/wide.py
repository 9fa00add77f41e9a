"""10,000 shards, idle but for 100: what the idle ones cost those who write, in throughput and in p99, the memory and
the start.

Expected: shards of a core share its journal, so an idle one costs its facts (384 bytes in each footer, 4 MiB of a segment of
128 MiB), a place on the statistics board and about 1 KiB of memory; once a second retention looks at each, 1 ms. Starting
reads the newest footer, 10,000 facts, and sets up as many shards: well under a second.
"""
import shutil
import signal

from report.bench import Box
from report.figures import Figure
from scenarios.ingest import READY_SEGMENTS, RETENTION_MS, SEGMENTS, half_load, ingest

BUSY, IDLE = 100, 9_900


def measure(bench):
    few = Box(bench, "box-100", shards=BUSY, retention_ms=RETENTION_MS, sched="idle", **SEGMENTS)
    wide = Box(bench, "box-10000", shards=BUSY, idle_shards=IDLE, retention_ms=RETENTION_MS, sched="idle", **SEGMENTS)
    rates, memory, starts = [[], []], [], []
    for _ in range(bench.options.rounds):
        for box, into in zip((few, wide), rates):
            with bench.turn_of(box):
                box.wait_for_ready_segments(READY_SEGMENTS - 4)
                into.append(ingest(bench, box)["records_per_s"])
                if box is wide:
                    memory.append(box.resident_mib())
        bench.say(f"   M records/s: 100 shards {rates[0][-1] / 1e6:.2f}, 10,000 shards {rates[1][-1] / 1e6:.2f}")
    half = sorted(rates[0])[len(rates[0]) // 2] / 2
    p99s, whole = [[], []], {few: [], wide: []}
    for _ in range(bench.options.rounds):
        for box, into in zip((few, wide), p99s):
            with bench.turn_of(box):
                box.wait_for_ready_segments(READY_SEGMENTS - 4)
                sample = half_load(bench, box, half)
                into.append(sample["typical_p99_us"])
                whole[box].append(sample["ack_us"]["p99"])
        bench.say(f"   p99 at {half / 1e6:.1f} M/s, of a typical tenth of a second (of all): 100 shards {p99s[0][-1]:.0f} us "
                  f"({whole[few][-1]:.0f}), 10,000 shards {p99s[1][-1]:.0f} us ({whole[wide][-1]:.0f})")
    few.end()
    data, how = wide.data, signal.SIGKILL
    for i in range(bench.options.rounds):
        wide.end(how)
        how = signal.SIGTERM if how == signal.SIGKILL else signal.SIGKILL
        wide = Box(bench, f"box-10000-again-{i}", data=data, sched="idle", **SEGMENTS)
        serving = bench.driver("serving", server=wide)
        starts.append((serving["serving_ns"] - wide.started_ns) / 1e9)
        memory.append(wide.resident_mib())
    wide.end()
    shutil.rmtree(data, ignore_errors=True)
    millions = [[rate / 1e6 for rate in column] for column in rates]
    middle = [sorted(column)[len(column) // 2] for column in p99s]
    return [
        Figure("wide_alone", "durable ingest into 100 shards alone", millions[0], unit="M/s"),
        Figure("wide_ratio", "... with 9,900 idle ones beside them, as a share", [y / x for x, y in zip(*rates)], goal=0.8, unit="x",
               details={"m_per_s": millions[1]}),
        Figure("wide_p99", f"... p99 acknowledgement at half load ({half / 1e6:.1f} M/s), over that of 100 shards alone",
               [y / x for x, y in zip(*p99s)], goal=1.5, at_least=False, unit="x", note=f"{middle[1]:.0f} against {middle[0]:.0f} us"),
        Figure("wide_start", "10,000 shards: start to serving, after kill -9 and in good order by turns", starts, goal=5, at_least=False,
               unit="s"),
        Figure("wide_memory", "... memory of the dataplane", memory, goal=2048, at_least=False, unit="MiB"),
    ]
