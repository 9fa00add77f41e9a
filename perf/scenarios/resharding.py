"""Splits, merges and scaling while it is written.

Expected: a reshard takes two commits after one another (the closings, then the openings), some 0.3 ms, and the client one
exchange for the new map, at most 2 ms after its last; scaling 4 -> 64 -> 4 is five reshards, so that the throughput of
seconds hardly shows them.
"""
import os
import subprocess
import threading
import time

from report.bench import Box, Server
from report.figures import Figure
from scenarios.ingest import FULL_SPEED, PRODUCER, RETENTION_MS, SEGMENTS

PAUSES_PER_ROUND = 40
PAUSE_MS_MAX = 50


def scale(bench, box, shards):
    command = [bench.binary("eagre"), "stream", "scale", "perf", "--shards", str(shards), "--data", box.data]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def ingest(bench, box, scaling):
    """Full load for the sample's time; 4 -> 64 -> 4 once within it, or not."""
    box.wait_for_ready_segments(SEGMENTS["ready_segments"] // 2)
    seconds, errors = max(bench.options.seconds, 1.5), []

    def work():
        try:
            time.sleep(0.4 + seconds / 6)
            scale(bench, box, 64)
            time.sleep(seconds / 3)
            scale(bench, box, 4)
        except subprocess.SubprocessError as error:
            errors.append(f"{error} {getattr(error, 'stderr', '')}")
    operator = threading.Thread(target=work)
    if scaling:
        operator.start()
    sample = bench.driver("ingest", *PRODUCER, *FULL_SPEED, "--warmup", 0.4, "--seconds", seconds, server=box)
    if scaling:
        operator.join()
    assert not errors, errors
    assert sample["failed"] == 0, sample
    return sample["mb_per_s"]


def measure(bench):
    box = Box(bench, "box-reshard", shards=4, retention_ms=RETENTION_MS, sched="idle", **SEGMENTS)
    control = Server(bench, "eagre-control", [bench.binary("eagre-control"), "--data", box.data],
                     os.path.join(bench.root_folder, "reshard-control.log"))
    pauses, calm, plain, scaled = [], [], [], []
    for _ in range(bench.options.rounds):
        with bench.turn_of(box):
            control.resume()
            sample = bench.driver("reshard", "--socket", os.path.join(box.data, "control.sock"), "--count", PAUSES_PER_ROUND,
                                  server=box)
            assert sample["failed"] == 0, sample
            pauses.append(sample["pause_us"]["p99"] / 1000)
            calm.append(sample["calm_us"]["p99"] / 1000)
            plain.append(ingest(bench, box, False))
            scaled.append(ingest(bench, box, True))
        bench.say(f"   pause p99 {pauses[-1]:.2f} ms (calm {calm[-1]:.2f}), full load {plain[-1]:.0f} MB/s, scaling {scaled[-1]:.0f} MB/s")
    control.end()
    box.end()
    return [
        Figure("reshard_calm", "longest wait of a writer at 5,000 rec/s in a span without reshards, p99", calm, unit="ms"),
        Figure("reshard_pause", "... in a span with a split or merge, p99", pauses, goal=PAUSE_MS_MAX, at_least=False, unit="ms"),
        Figure("scale_plain", "durable ingest at full load, 4 shards", plain, unit="MB/s"),
        Figure("scale_ratio", "... while scaling 4 -> 64 -> 4, against it", [b / a for a, b in zip(plain, scaled)], goal=0.8,
               unit="x"),
    ]
