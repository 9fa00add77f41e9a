"""Journal bytes per batch byte at 1,000 records/s.

Expected: one 256-byte record a commit. Its batch is 352 bytes on the wire; the journal adds a 64-byte run header
and the commit's own header, and rewrites the tail block while nothing is in flight instead of padding it: about
1.4.
"""
from report.bench import Box
from report.figures import Figure


def measure(bench):
    box = Box(bench, "box-trickle", shards=4, ready_segments=2)
    ratios = []
    with bench.turn_of(box):
        for _ in range(bench.options.rounds):
            before = box.stats()
            bench.driver("paced", "--rate", 1000, "--warmup", 0, "--seconds", bench.options.seconds, server=box)
            after = box.stats()
            ratios.append((after["journal_bytes"] - before["journal_bytes"]) /
                          (after["payload_bytes_appended"] - before["payload_bytes_appended"]))
    box.end()
    return [Figure("journal_trickle", "journal bytes per batch byte at 1,000 records/s", ratios, goal=2.0,
                   at_least=False, unit="x")]
