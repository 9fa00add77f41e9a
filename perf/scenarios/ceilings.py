"""What the machine gives in this run, and whether the baseline is fair.

Expected on 2 vCPU with a virtio disk: write+fdatasync of 512 KiB about 2 GB/s (240 us each), loopback TCP 3-4.5
GB/s one way. The null log server moves one commit at a time: receiving 512 KiB takes about 60 us beside the 240 us
of the disk, so it should reach 0.8 of the raw figure. Below that it would be an unfair opponent, and every ratio to
it void.
"""
import os

from report.bench import SERVER_CPU, NullLog
from report.figures import Figure


def measure(bench):
    size = bench.options.commit_bytes
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
