"""SubscribeToShard, from a PutRecords to the event that carries its records, through eagre-gateway both ways.

Expected: the gateway's turn, the batch to the core (50 us), its commit (0.2 ms of a device's write), the push back (50 us) and an event's
encoding: under a millisecond, and one commit more for what comes just behind the start of one.
"""
import base64
import multiprocessing
import re
import selectors
import struct
import time

from report.bench import BenchError
from report.figures import Figure
from scenarios import kinesis_load as load
from scenarios.kinesis_box import Gateway, create

SHARDS = 4
RECORD_BYTES = 256
RECORDS_PER_SECOND = 10_000
RECORDS_PER_CALL = 10
SETTLE_SECONDS = 0.5
CHUNK = re.compile(rb"\r\n[0-9a-f]+\r\n")
DATA = re.compile(rb'"Data":"([A-Za-z0-9+/=]{12})')


def follow(subscriptions, end, results):
    """Milliseconds from each record's stamp to its event, of all records that come before `end`."""
    selector = selectors.DefaultSelector()
    for each in subscriptions:
        selector.register(each.sock, selectors.EVENT_READ, [b""])
    latencies = []
    while (left := end - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            piece = key.fileobj.recv(1 << 20)
            now = time.monotonic_ns()
            if not piece:
                results.put("a subscription ended")
                return
            # Chunks may be cut anywhere in an event: what lies between is taken out, and the end is kept for the next turn.
            text = CHUNK.sub(b"", key.data[0] + piece)
            last = 0
            for match in DATA.finditer(text):
                stamp = struct.unpack_from(">Q", base64.b64decode(match.group(1)))[0]
                latencies.append((now - stamp) / 1e6)
                last = match.end()
            key.data[0] = text[max(last, len(text) - 64):]
    results.put(latencies)


def produce(port, stream, seconds):
    """Calls at a steady rate, whatever the answers do. Returns the records sent."""
    connection = load.Connection(port)
    head, tail = f'{{"StreamName":"{stream}","Records":[', "]}"
    padding = base64.b64encode(bytes(RECORD_BYTES - 9)).decode()
    keys = [[f"key-{(i * RECORDS_PER_CALL + j) % 1009}" for j in range(RECORDS_PER_CALL)] for i in range(1009)]
    begin, calls = time.monotonic(), 0
    interval = RECORDS_PER_CALL / RECORDS_PER_SECOND
    while time.monotonic() - begin < seconds:
        due = begin + calls * interval
        if (wait := due - time.monotonic()) > 0:
            time.sleep(wait)
        data = base64.b64encode(struct.pack(">Q", time.monotonic_ns()) + b"\0").decode() + padding
        records = ",".join(f'{{"Data":"{data}","PartitionKey":"{key}"}}' for key in keys[calls % len(keys)])
        answer = connection.call(load.request("PutRecords", head + records + tail))
        if load.FAILED.search(answer):
            raise BenchError(f"records failed: {answer[:300]!r}")
        calls += 1
    connection.close()
    return calls * RECORDS_PER_CALL


def measure(bench):
    try:
        return measure_all(bench)
    except (load.LoadError, OSError) as error:
        raise BenchError(str(error)) from error


def measure_all(bench):
    gateway = Gateway(bench)
    create(gateway.port, "fan", SHARDS)
    seconds = bench.options.seconds
    medians, p99s = [], []
    for number in range(bench.options.rounds):
        with gateway.turn(bench):
            subscriptions = load.subscribe_all(gateway.port, "fan", f"perf-{number}")
            results = multiprocessing.Queue()
            reader = multiprocessing.Process(target=follow, args=(subscriptions, time.monotonic() + seconds + SETTLE_SECONDS, results))
            reader.start()
            for each in subscriptions:
                each.close()  # The reader has its own.
            sent = produce(gateway.port, "fan", seconds)
            got = results.get(timeout=seconds + 30)
            reader.join(10)
        if isinstance(got, str):
            raise BenchError(got)
        if len(got) != sent:
            raise BenchError(f"{sent} records were put and {len(got)} came")
        got.sort()
        medians.append(got[len(got) // 2])
        p99s.append(got[len(got) * 99 // 100])
        bench.say(f"   put to delivery at {sent / seconds:.0f} records/s: p50 {medians[-1]:.2f} ms, p99 {p99s[-1]:.2f} ms")
    return [Figure("kinesis_fanout_p50", "SubscribeToShard, put to delivery, 10,000 records/s: p50", medians, goal=2, at_least=False, unit="ms"),
            Figure("kinesis_fanout_p99", "... p99", p99s, goal=10, at_least=False, unit="ms")]
