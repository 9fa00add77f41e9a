"""What producers notice of the cleaner: throughput at full load, and the acknowledgement's p99 at 50,000 records/s.

Two boxes hold the same: two streams that share every segment, one of them deleted, so that half of 2 GiB is dead. One cleans at its
default rate of 64 MiB/s, one does not. Expected: 256 operations of at most 256 KiB a second, each about 0.2 ms of a device
that takes 5,000 such a second: 5 % of the throughput. A commit that meets one of them waits for it, and 256 a second are enough to
meet more than one commit of a hundred at 50,000/s (5,000 commits/s), so p99 grows, by one such operation at most. It is the p99
of a typical tenth of a second, as in paced.py; in each the cleaner works.
"""
import os
import subprocess
import time
from contextlib import contextmanager

from report.bench import GENERATOR_CPU, SERVER_CPU, BenchError, Box, Server
from report.figures import Figure
from scenarios.ingest import FULL_SPEED, PRODUCER
from scenarios.paced import KEPT_CORE, RATE

FILL_RECORDS = 4_000_000  # Of 256 bytes, of each stream: 2 GiB together.
STEP_BYTES = 256 << 10
RATE_BYTES_PER_S = 64 << 20
READY_SEGMENTS = 16
# What is written while measuring dies at once, and as a whole: it is no work for the cleaner.
MEASURED_RETENTION_MS = 1000
LONG_MS = 24 * 3600 * 1000


@contextmanager
def control_of(bench, box):
    control = Server(bench, "eagre-control", [bench.binary("eagre-control"), "--data", box.data],
                     os.path.join(bench.root_folder, f"{box.name}-control.log"))
    try:
        yield control
    finally:
        control.end()


def filled_box(bench, name, cleaner):
    box = Box(bench, name, ready_segments=READY_SEGMENTS, prepare_bytes_per_s=2 << 30, cleaner=cleaner, **KEPT_CORE)
    with bench.turn_of(box), control_of(bench, box) as control:
        control.resume()
        socket = os.path.join(box.data, "control.sock")
        for stream, retention_ms in (("perf", MEASURED_RETENTION_MS), ("kept", LONG_MS), ("dead", LONG_MS)):
            bench.driver("create", "--socket", socket, "--stream", stream, "--shards", 4, "--retention-ms", retention_ms)
        # Both at once, so that they share every segment.
        fillers = [subprocess.Popen([bench.binary("perf_driver"), "--cpu", str(GENERATOR_CPU), "--port", str(box.port), "ingest",
                                     "--stream", stream, *map(str, PRODUCER), "--warmup", "0", "--seconds", "60",
                                     "--records", str(FILL_RECORDS)], stdout=subprocess.DEVNULL)
                   for stream in ("kept", "dead")]
        if any([filler.wait(120) for filler in fillers]):
            raise BenchError(f"{name}: filling it failed")
        deleted = subprocess.run([bench.binary("eagre"), "stream", "delete", "dead", "--data", box.data],
                                 capture_output=True, text=True, timeout=30, check=False)
        if deleted.returncode != 0:
            raise BenchError(f"{name}: {deleted.stderr}")
    return box


def sample(bench, box, cleans, *arguments):
    with bench.turn_of(box):
        box.wait_for_ready_segments(READY_SEGMENTS - 4)
        before, began = box.stats(), time.monotonic()
        found = bench.driver(*arguments, "--stream", "perf", "--warmup", 0.3, "--seconds", bench.options.seconds,
                             server=box, spin=arguments[0] == "paced")
        seconds, after = time.monotonic() - began, box.stats()
    # Only the cleaner reads from the device here.
    read = (after["device_read_bytes"] - before["device_read_bytes"]) / seconds
    if cleans != (read > RATE_BYTES_PER_S / 16):
        raise BenchError(f"{box.name}: the cleaner read {read / 1e6:.1f} MB/s while it was measured")
    return found


def one_step_us(bench):
    """A write and sync of 256 KiB, alone."""
    path = os.path.join(bench.folder("raw"), "raw")
    said = bench.run("raw_disk", "--cpu", SERVER_CPU, "--mode", "write", "--file", path, "--size", STEP_BYTES,
                     "--file-bytes", 256 << 20, "--seconds", 0.5)
    os.unlink(path)
    return STEP_BYTES / said["mb_per_s"]


def measure(bench):
    still, cleans = filled_box(bench, "box-still", "off"), filled_box(bench, "box-cleans", "on")
    boxes = (("without", still), ("with", cleans))
    rates, p99s, steps = {"without": [], "with": []}, {"without": [], "with": []}, []
    for _ in range(bench.options.rounds):
        for name, box in boxes:
            found = sample(bench, box, box is cleans, "ingest", *PRODUCER, *FULL_SPEED)
            rates[name].append(found["records_per_s"])
        for name, box in boxes:
            found = sample(bench, box, box is cleans, "paced", "--rate", RATE)
            p99s[name].append(found["typical_p99_us"])
        for _, box in boxes:
            box.pause()
        steps.append(one_step_us(bench))
        bench.say("   " + "  ".join(f"{name} {rates[name][-1] / 1e6:.2f} M/s p99 {p99s[name][-1]:.0f} us" for name, _ in boxes) +
                  f"  one step {steps[-1]:.0f} us")
    with bench.turn_of(cleans):
        relocated = cleans.stats()["relocated_bytes"]
    for _, box in boxes:
        box.end()
    middle = {name: sorted(values)[len(values) // 2] for name, values in p99s.items()}
    return [
        Figure("cleaner_throughput", "durable ingest while the cleaner works, over without",
               [b / a for a, b in zip(rates["without"], rates["with"])], goal=0.85, unit="x",
               note=f"{relocated >> 20} MiB moved", details=rates),
        Figure("cleaner_p99", "p99 acknowledgement at 50,000/s while it works: what it adds, in 256 KiB writes and syncs",
               [(b - a) / step for a, b, step in zip(p99s["without"], p99s["with"], steps)], goal=1.0, at_least=False, unit="x",
               note=f"{middle['with']:.0f} against {middle['without']:.0f} us", details={**p99s, "step_us": steps}),
    ]
