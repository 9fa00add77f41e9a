"""Durable ingest through the client library, as fast as a window of bytes in flight lets.

Expected, 256-byte records: the client spends about 28 ns a record on building batches and 60-80 on the rest, so
7-10 M/s is what one generator core gives. The box overlaps the sync of one commit with the write of the next, the
null log server does not: with prebuilt frames 13 M/s here, 1.5 x and more. Through the library 8-9 M/s is all that a core
sends, to whomever: the null log server with commits of 1 MiB takes that much too. So the goal compares with commits of 256 KiB,
where the device is its limit and not the generator; both figures are shown. 1000 shards
get the same window: batches are smaller (window / shards), frames more, so the cost per frame shows.
"""
from report.bench import Box, NullLog
from report.figures import Figure

# The same for every server and every number of shards. 16 MiB in flight is 16 KiB for each of 1000 shards.
WINDOW_BYTES = 16 << 20
PRODUCER = ["--window-bytes", WINDOW_BYTES, "--keys", 16384, "--hot-keys", 16384]
# At full speed the window closes batches, not time: with 1 ms a batch of one of 1000 shards would hold five records, and with 10 ms
# time still closed half of them.
FULL_SPEED = ["--linger-ns", 100_000_000]
# A box that has run for a while: its segments come back from retention, none is zeroed. A second holds 2 GB at full speed and
# retention looks once a second, so that two seconds' worth are live at most; as many again wait.
RETENTION_MS = 1000
LARGE_COMMIT_BYTES = 1 << 20
READY_SEGMENTS = 32
SEGMENTS = {"ready_segments": READY_SEGMENTS, "prepare_bytes_per_s": 2 << 30}


def ingest(bench, server):
    return bench.driver("ingest", *PRODUCER, *FULL_SPEED, "--warmup", 0.4, "--seconds", bench.options.seconds, server=server)


def ingest_box(bench, box):
    box.wait_for_ready_segments(READY_SEGMENTS - 4)
    before, cpu_before = box.stats(), box.cpu_seconds()
    sample = ingest(bench, box)
    cpu = box.cpu_seconds() - cpu_before
    after = box.stats()
    records = after["records_appended"] - before["records_appended"]
    sample["cpu_s_per_m"] = cpu / (records / 1e6)
    sample["journal_ratio"] = ((after["journal_bytes"] - before["journal_bytes"]) /
                               (after["payload_bytes_appended"] - before["payload_bytes_appended"]))
    sample["device_ratio"] = ((after["device_written_bytes"] - before["device_written_bytes"]) /
                              (after["payload_bytes_appended"] - before["payload_bytes_appended"]))
    sample["resident_mib"] = box.resident_mib()
    return sample


# At half load time closes every batch, of 4 shards as of 1000 (650 KB and 3 KB), so that the same wait is in both figures.
HALF_LOAD = ["--linger-ns", 5_000_000, "--batch-bytes", 1_000_000, "--batch-records", 4096]


def half_load(bench, box, rate):
    return bench.driver("paced", *PRODUCER, *HALF_LOAD, "--rate", rate,
                        "--warmup", 0.4, "--seconds", bench.options.seconds, server=box)


def measure(bench):
    null = NullLog(bench, shards=4, overlap=True)
    # The same with commits so large that the generator can't fill the device any more: not a measure of the box, but said.
    large = NullLog(bench, shards=4, overlap=True, commit_bytes=LARGE_COMMIT_BYTES)
    few = Box(bench, "box-4", shards=4, retention_ms=RETENTION_MS, sched="idle", **SEGMENTS)
    many = Box(bench, "box-1000", shards=1000, retention_ms=RETENTION_MS, sched="idle", **SEGMENTS)
    a, b, c, d = [], [], [], []
    for _ in range(bench.options.rounds):
        with bench.turn_of(null):
            a.append(ingest(bench, null))
        with bench.turn_of(large):
            d.append(ingest(bench, large))
        with bench.turn_of(few):
            b.append(ingest_box(bench, few))
        with bench.turn_of(many):
            c.append(ingest_box(bench, many))
        bench.say("   M records/s (generator's share of its core): " + "  ".join(
            f"{name} {s[-1]['records_per_s'] / 1e6:.2f} ({s[-1]['generator_cpu_share']:.2f})"
            for name, s in (("null", a), ("null, 1 MiB", d), ("4 shards", b), ("1000 shards", c))))

    half = sorted(s["records_per_s"] for s in c)[len(c) // 2] / 2
    p99_few, p99_many = [], []
    for _ in range(bench.options.rounds):
        with bench.turn_of(few):
            few.wait_for_ready_segments(READY_SEGMENTS - 4)
            p99_few.append(half_load(bench, few, half)["typical_p99_us"])
        with bench.turn_of(many):
            many.wait_for_ready_segments(READY_SEGMENTS - 4)
            p99_many.append(half_load(bench, many, half)["typical_p99_us"])
    for server in (null, large, few, many):
        server.end()

    def column(samples, key):
        return [s[key] for s in samples]

    rates = [column(samples, "records_per_s") for samples in (a, b, c, d)]
    millions = [[rate / 1e6 for rate in column_rates] for column_rates in rates]
    limited = "generator full" if min(column(b, "generator_cpu_share")) > 0.97 else ""
    middle = {name: sorted(p99)[len(p99) // 2] for name, p99 in (("few", p99_few), ("many", p99_many))}
    ingest_title = "durable ingest, 256 B, 4 shards, client library"
    return [
        Figure("null_ingest", f"{ingest_title}: null log server", millions[0], unit="M/s",
               details={"generator_cpu_share": column(a, "generator_cpu_share")}),
        Figure("ingest_4", f"{ingest_title}: Eagre", millions[1], unit="M/s", note=limited,
               details={key: column(b, key) for key in ("generator_cpu_share", "device_ratio")}),
        Figure("ingest_ratio", "... as a multiple of the null log server", [y / x for x, y in zip(rates[0], rates[1])],
               goal=1.2, unit="x"),
        Figure("null_ingest_large", "... a null log server with commits of 1 MiB: the generator is its limit", millions[3],
               unit="M/s", note=f"Eagre / it: {sorted(y / x for x, y in zip(rates[3], rates[1]))[len(b) // 2]:.2f}",
               details={"generator_cpu_share": column(d, "generator_cpu_share")}),
        Figure("ingest_1000", "the same with 1000 shards, keys uniform, same bytes in flight", millions[2], unit="M/s",
               details={key: column(c, key) for key in ("generator_cpu_share", "records_per_batch")}),
        Figure("shards_ratio", "... as a share of the 4-shard figure", [y / x for x, y in zip(rates[1], rates[2])],
               goal=0.85, unit="x"),
        Figure("shards_p99", f"... p99 acknowledgement at half that load ({half / 1e6:.1f} M/s), over that of 4 shards",
               [y / x for x, y in zip(p99_few, p99_many)], goal=1.5, at_least=False, unit="x",
               note=f"{middle['many']:.0f} against {middle['few']:.0f} us"),
        Figure("cpu", "CPU of the dataplane at full load, 4 shards, per million records", column(b, "cpu_s_per_m"),
               goal=0.12, at_least=False, unit="s"),
        Figure("journal_full", "journal bytes per batch byte at full load, 4 shards", column(b, "journal_ratio"),
               goal=1.05, at_least=False, unit="x"),
        Figure("memory_4", "memory of the dataplane at full load, 4 shards", column(b, "resident_mib"), goal=96,
               at_least=False, unit="MiB"),
        Figure("memory_1000", "memory of the dataplane at full load, 1000 shards", column(c, "resident_mib"), goal=256,
               at_least=False, unit="MiB"),
    ]
