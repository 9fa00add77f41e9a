"""What the machine gives in this run, and whether the baseline is fair.

Expected on 2 vCPU with a virtio disk: write+fdatasync of 200 KiB, its mean commit, 1.0-1.5 GB/s, loopback TCP 3-5 GB/s one
way. The null log server receives the next commit while the device works on one, so 0.9 of raw. Where it did not (blocking,
commits of 450 KiB) it was 0.95 of its time in write and fdatasync and still got 0.7-0.8 only: each took 1.15 x what it
takes on a machine that receives nothing meanwhile.
"""
import json
import os

from report.bench import SERVER_CPU, NullLog
from report.figures import Figure


def mean_commit_bytes(bench):
    """What a commit of the null log server really holds when frames come as fast as they can, in pages."""
    null = NullLog(bench, overlap=True)
    with bench.turn_of(null):
        bench.run("perf_blast", "--cpu", 1, "--port", null.port, "--warmup", 0.2, "--seconds", 0.5)
    null.end()
    return int(json.loads(null.said().strip().splitlines()[-1])["mean_commit_bytes"]) // 4096 * 4096


def measure(bench):
    size = mean_commit_bytes(bench)
    null = NullLog(bench, overlap=True)
    raw, blast, stream, scatter = [], [], [], []
    raw_file = os.path.join(bench.folder("raw"), "raw")
    for _ in range(bench.options.rounds):
        with bench.turn_of(null):
            blast.append(bench.run("perf_blast", "--cpu", 1, "--port", null.port, "--warmup", 0.2, "--seconds",
                                   bench.options.seconds)["mb_per_s"])
        raw.append(bench.run("raw_disk", "--cpu", SERVER_CPU, "--mode", "write", "--file", raw_file, "--size", size,
                             "--file-bytes", 1 << 30, "--seconds", bench.options.seconds / 2)["mb_per_s"])
        stream.append(bench.run("raw_net", "--mode", "stream", "--seconds", 0.3)["mb_per_s"])
        few, many = (bench.run("raw_scatter", "--shards", n, "--seconds", 0.5)["records_per_s"] for n in (4, 1000))
        scatter.append(many / few)
    null.end()
    os.unlink(raw_file)
    return [
        Figure("raw_write_sync", f"ceiling: write + fdatasync of {size // 1024} KiB", raw, unit="MB/s"),
        Figure("raw_stream", "ceiling: loopback TCP, one way, 64 KiB sends", stream, unit="MB/s"),
        Figure("raw_scatter", "ceiling: only sorting records into 1000 batches, checksumming and sending them, over 4", scatter, unit="x"),
        Figure("null_log_fair", "the null log server is fair: its share of raw write + fdatasync (prebuilt frames)",
               [b / r for b, r in zip(blast, raw)], goal=0.8, unit="x", note=f"{blast[-1]:.0f} MB/s"),
    ]
