"""From exec to serving after kill -9 under load, with 2 GiB stored.

Expected: sealed segments are known by their footers, so only the unsealed one is scanned: at most 256 MiB at 1-1.5
GB/s, 0.2 s, and a new segment is made ready or found. Serving means: a client has connected, a record was
acknowledged as durable and read back.
"""
import shutil
import signal
import subprocess
import time

from report.bench import GENERATOR_CPU, Box, BenchError
from report.figures import Figure

STORED_BYTES = 2 << 30


def kill_under_load(bench, box):
    """Runs ingest until enough is stored, then kills the box in the middle of it."""
    load = subprocess.Popen([bench.binary("perf_driver"), "--cpu", str(GENERATOR_CPU), "--port", str(box.port),
                             "ingest", "--warmup", "0", "--seconds", "120"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 120
        while box.stats()["payload_bytes_appended"] < STORED_BYTES:
            if time.monotonic() > end or load.poll() is not None:
                raise BenchError("the load before the kill did not get through")
        box.end(signal.SIGKILL)
    finally:
        load.kill()
        load.wait()


def measure(bench):
    seconds = []
    for i in range(bench.options.rounds):
        box = Box(bench, f"box-restart-{i}", shards=4, ready_segments=4)
        with bench.turn_of(box):
            box.wait_for_ready_segments(4)
            kill_under_load(bench, box)
            again = Box(bench, f"box-restart-{i}-again", data=box.data, ready_segments=4)
            serving = bench.driver("serving", server=again)
            seconds.append((serving["serving_ns"] - again.started_ns) / 1e9)
            again.end(signal.SIGKILL)
        shutil.rmtree(box.data, ignore_errors=True)
    return [Figure("restart", "restart to serving after kill -9 under load, 2 GiB stored", seconds, goal=1.0,
                   at_least=False, unit="s")]
