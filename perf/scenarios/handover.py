"""Consumer groups: how long a shard is read by nobody when a member leaves in good order.

Expected: leaving is one request (client, dataplane, control, and back) with one SQLite commit in WAL mode, some 1-5 ms of
fsync; the other member's pending heartbeat is answered in the same turn; it asks for the map (a round trip) and subscribes
(another). A record goes into each shard every ms, so the first one comes within that: 3-10 ms, far below 100.
"""
import os

from report.bench import Box, Server
from report.figures import Figure

SHARDS = 8


def measure(bench):
    box = Box(bench, "box-handover", shards=SHARDS, ready_segments=2)
    p99, p50 = [], []
    for _ in range(bench.options.rounds):
        with bench.turn_of(box):
            control = Server(bench, "eagre-control", [bench.binary("eagre-control"), "--data", box.data],
                             os.path.join(bench.root_folder, "handover-control.log"))
            try:
                said = bench.driver("handover", "--leaves", 20 if bench.options.quick else 60, server=box)
            finally:
                control.end()
            p99.append(said["handover_us"]["p99"] / 1000)
            p50.append(said["handover_us"]["p50"] / 1000)
            bench.say(f"   p50 {p50[-1]:.1f} ms, p99 {p99[-1]:.1f} ms, max {said['handover_us']['max'] / 1000:.1f} ms, "
                      f"{said['handover_us']['count']} shards, {said['twice']} records twice, {said['skipped']} skipped")
            if said["twice"] or said["skipped"] or said["lost_leases"]:
                p99[-1] = float("inf")  # Quick, but not in good order.
    box.end()
    return [
        Figure("group_handover_p50", "hand-over of a shard on clean leave, first record to the next member, p50", p50, unit="ms"),
        Figure("group_handover_p99", "... p99", p99, goal=100, at_least=False, unit="ms"),
    ]
