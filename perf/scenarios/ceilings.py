"""What the machine gives in this run, and whether the baseline is fair.

Expected on 2 vCPU with a virtio disk: write+fdatasync of 450 KiB, its mean commit, about 1.9 GB/s (240 us each),
loopback TCP 3-5 GB/s one way. The null log server moves one commit at a time: it spends 0.85 of its time in write and
fdatasync (its own figures), the rest in receiving, 40 to 50 us a commit; and a write of what has just been received takes 1.1 x
one of the same bytes again and again, the generator keeping the caches busy. 0.65 to 0.75 is what that leaves; 0.8 asks
for a machine that receives at 10 GB/s.
"""
import json
import os

from report.bench import SERVER_CPU, NullLog
from report.figures import Figure


def mean_commit_bytes(bench):
    """What a commit of the null log server really holds when frames come as fast as they can, in pages."""
    null = NullLog(bench)
    with bench.turn_of(null):
        bench.run("perf_blast", "--cpu", 1, "--port", null.port, "--warmup", 0.2, "--seconds", 0.5)
    null.end()
    return int(json.loads(null.said().strip().splitlines()[-1])["mean_commit_bytes"]) // 4096 * 4096


def measure(bench):
    size = mean_commit_bytes(bench)
    null = NullLog(bench)
    raw, blast, stream = [], [], []
    raw_file = os.path.join(bench.folder("raw"), "raw")
    for _ in range(bench.options.rounds):
        with bench.turn_of(null):
            blast.append(bench.run("perf_blast", "--cpu", 1, "--port", null.port, "--warmup", 0.2, "--seconds",
                                   bench.options.seconds)["mb_per_s"])
        raw.append(bench.run("raw_disk", "--cpu", SERVER_CPU, "--mode", "write", "--file", raw_file, "--size", size,
                             "--file-bytes", 1 << 30, "--seconds", bench.options.seconds / 2)["mb_per_s"])
        stream.append(bench.run("raw_net", "--mode", "stream", "--seconds", 0.3)["mb_per_s"])
    null.end()
    os.unlink(raw_file)
    return [
        Figure("raw_write_sync", f"ceiling: write + fdatasync of {size // 1024} KiB", raw, unit="MB/s"),
        Figure("raw_stream", "ceiling: loopback TCP, one way, 64 KiB sends", stream, unit="MB/s"),
        Figure("null_log_fair", "the null log server is fair: its share of raw write + fdatasync (prebuilt frames)",
               [b / r for b, r in zip(blast, raw)], goal=0.8, unit="x", note=f"{blast[-1]:.0f} MB/s"),
    ]
