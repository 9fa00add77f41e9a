"""Reading one of 4 interleaved shards from its trim horizon.

Expected from memory: a bare loopback stream moves 3-4.5 GB/s, 12-17 M records of 256 B; verifying and walking them
costs the client 3-4 ns each and the CRC 10: 8 M/s and more. From the device: runs of 64 KiB lie 256 KiB apart, so
the reader either picks them out (64 KiB reads, several under way) or reads past them; the ceiling is the better of
both, in useful bytes, on the same files.
"""
import glob
import os

from report.bench import Box
from report.figures import Figure

IN_MEMORY_BYTES = 768 << 20
ON_DEVICE_BYTES = 2 << 30
BATCH_BYTES = 64 << 10
SHARDS = 4
RECORD_BYTES = 275  # As a batch stores them: 256 of data, the key, 8 of entry.


def fill(bench, box, total_bytes):
    bench.driver("ingest", "--batch-bytes", BATCH_BYTES, "--linger-ns", 1_000_000_000, "--warmup", 0, "--seconds", 120,
                 "--records", total_bytes // RECORD_BYTES, server=box)


def catch_up(bench, box, shard):
    return bench.driver("catchup", "--shard-index", shard, server=box)


def from_memory(bench):
    box = Box(bench, "box-memory", shards=SHARDS, ready_segments=4, window_bytes=1 << 30)
    rates = []
    with bench.turn_of(box):
        fill(bench, box, IN_MEMORY_BYTES)
        before = box.stats()
        for i in range(max(bench.options.rounds, SHARDS)):
            sample = catch_up(bench, box, i % SHARDS)
            rates.append(sample["records_per_s"] / 1e6)
        after = box.stats()
    box.end()
    from_device = after["deliveries_from_device"] - before["deliveries_from_device"]
    return Figure("catchup_memory", "catch-up of one of 4 interleaved shards, from memory", rates, goal=8.0, unit="M/s",
                  note=f"{from_device} runs from the device" if from_device else "",
                  details={"generator_cpu_share": sample["generator_cpu_share"]})


def ceiling(bench, files):
    """Useful MB/s that plain direct reads give for every fourth 64 KiB of these files."""
    def read(*arguments):
        return bench.run("raw_disk", "--cpu", 0, "--mode", "read", "--depth", 8, "--seconds", 3, *arguments,
                         "--file", *files)["mb_per_s"]
    picked = read("--size", BATCH_BYTES, "--stride", BATCH_BYTES * SHARDS)
    whole = read("--size", 1 << 20) / SHARDS
    return max(picked, whole)


def drop_cache(files):
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def from_device(bench):
    box = Box(bench, "box-device", shards=SHARDS, ready_segments=9)
    with bench.turn_of(box):
        box.wait_for_ready_segments(9)
        fill(bench, box, ON_DEVICE_BYTES)
    box.end()
    files = sorted(path for path in glob.glob(os.path.join(box.data, "journal-*", "*"))
                   if os.path.getsize(path) >= 64 << 20)[:ON_DEVICE_BYTES >> 28]
    shares, rates, ceilings = [], [], []
    for i in range(bench.options.rounds):
        # A new process has nothing in its window.
        drop_cache(files)
        again = Box(bench, "box-device-again", data=box.data, ready_segments=1)
        with bench.turn_of(again):
            bench.driver("serving", server=again)
            sample = catch_up(bench, again, i % SHARDS)
        again.end()
        ceilings.append(ceiling(bench, files))
        rates.append(sample["data_mb_per_s"])
        shares.append(rates[-1] / ceilings[-1])
    return Figure("catchup_device", "catch-up of one of 4 interleaved shards, from the device: share of direct reads",
                  shares, goal=0.5, unit="x", note=f"{rates[-1]:.0f} of {ceilings[-1]:.0f} MB/s useful",
                  details={"mb_per_s": rates, "ceiling": ceilings})


def measure(bench):
    return [from_memory(bench), from_device(bench)]
