"""The Kinesis API: eagre-gateway beside two emulators from npm, one client for all.

Expected: a record of a PutRecords costs the gateway its base64 (0.05 us), its nodes (0.2), a place in a batch (0.1) and its part of the answer
(0.1), with HTTP and the socket under 1 us; of a GetRecords, 256 bytes, a checksum, base64, 56 digits and two copies by the kernel, 0.5 us.
The emulators keep records in memory of one process that interprets JavaScript, and promise nothing about a disk.
"""
import base64
import os
import re
import shutil
import socket
import subprocess

from report.bench import BenchError, Server
from report.figures import Figure
from scenarios import kinesis_load as load
from scenarios.kinesis_box import Gateway, create, wait_for_port

RECORD_BYTES = 256
EMULATORS = {"kinesalite": "kinesalite@3.3.3", "kinesis-local": "kinesis-local@0.6.2"}
IDLE_CONNECTIONS = 1000
SUBSCRIBERS, SUBSCRIBED_SHARDS = 10, 10


def start_emulator(bench, name):
    """Null: npm can't install it here."""
    folder = os.path.join(bench.options.build, "perf-kinesis")
    program = os.path.join(folder, "node_modules", ".bin", name)
    if not os.path.exists(program):
        if not shutil.which("npm"):
            return None
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", folder, *EMULATORS.values()], check=False, timeout=240)
    if not os.path.exists(program):
        return None
    port = bench.next_port()
    # One of them looks for its files where it is started.
    command = ["env", "-C", os.path.join(folder, "node_modules", name), f"KINESIS_MOCK_PLAIN_PORT={port}", f"KINESIS_MOCK_TLS_PORT={bench.next_port()}", "CREATE_STREAM_DURATION=10ms", "LOG_LEVEL=ERROR",
               "SHARD_LIMIT=100", program]
    if name == "kinesalite":
        command += ["--port", str(port), "--createStreamMs", "10", "--shardLimit", "100"]
    server = Server(bench, name, command, os.path.join(bench.root_folder, f"{name}.log"))
    wait_for_port(server, port)
    server.port = port
    return server


def resident_with_idle_connections(gateway):
    idle = [socket.create_connection(("127.0.0.1", gateway.port), timeout=10) for _ in range(IDLE_CONNECTIONS)]
    for sock in idle[::2]:  # Half of them have asked something before.
        sock.sendall(load.request("DescribeLimits", "{}"))
    for sock in idle[::2]:
        if not re.match(rb"HTTP/1.1 200", sock.recv(65536)):
            raise BenchError("an idle connection was not answered")
    subscriptions = []
    create(gateway.port, "memory", SUBSCRIBED_SHARDS)
    for number in range(SUBSCRIBERS):
        subscriptions += load.subscribe_all(gateway.port, "memory", f"reader-{number}")
    # Each has been sent something.
    connection = load.Connection(gateway.port)
    for call in load.put_records_calls("memory", RECORD_BYTES):
        connection.call(call)
    connection.close()
    for each in subscriptions:
        if not each.sock.recv(65536):
            raise BenchError("a subscription ended")
    resident = gateway.server.resident_mib()
    for each in subscriptions:
        each.close()
    for sock in idle:
        sock.close()
    return resident


def measure(bench):
    try:
        return measure_all(bench)
    except (load.LoadError, OSError) as error:
        raise BenchError(str(error)) from error


def measure_all(bench):
    gateway = Gateway(bench)
    create(gateway.port, "perf", 4)
    emulators = {}
    gateway.pause()
    for name in EMULATORS:
        emulators[name] = start_emulator(bench, name)
        if emulators[name] is not None:
            create(emulators[name].port, "perf", 4)
            emulators[name].pause()
    calls = load.put_records_calls("perf", RECORD_BYTES)
    one = load.request("PutRecord", {"StreamName": "perf", "Data": base64.b64encode(bytes(range(256)) * 4).decode(), "PartitionKey": "key"})
    seconds = bench.options.seconds
    puts, per_cpu, singles, p99s, reads = [], [], [], [], []
    others = {name: [] for name, server in emulators.items() if server is not None}
    for _ in range(bench.options.rounds):
        with gateway.turn(bench):
            cpu = gateway.server.cpu_seconds()
            count, took = load.put_records(gateway.port, calls, 4, seconds)
            puts.append(count / took)
            per_cpu.append(count / (gateway.server.cpu_seconds() - cpu))
            rate, latencies = load.put_record(gateway.port, one, 64, seconds)
            singles.append(rate)
            p99s.append(latencies[len(latencies) * 99 // 100])
            cpu = gateway.server.cpu_seconds()
            data_bytes, took = load.get_records(gateway.port, "perf", seconds)
            reads.append(data_bytes / 1e6 / (gateway.server.cpu_seconds() - cpu))
        for name in others:
            with bench.turn_of(emulators[name]):
                count, took = load.put_records(emulators[name].port, calls, 4, seconds)
                others[name].append(count / took)
        bench.say(f"   PutRecords {puts[-1] / 1e3:.0f} k/s ({per_cpu[-1] / 1e3:.0f} k per CPU s), PutRecord {singles[-1] / 1e3:.1f} k/s p99 {p99s[-1]:.2f} ms, "
                  f"GetRecords {reads[-1]:.0f} MB per CPU s" + "".join(f", {name} {rates[-1] / 1e3:.1f} k/s" for name, rates in others.items()))
    with gateway.turn(bench):
        resident = resident_with_idle_connections(gateway)
    figures = [
        Figure("kinesis_put_records", "PutRecords, 500 x 256 B, JSON, HTTP/1.1, durable: eagre-gateway", [rate / 1e3 for rate in puts], unit="k/s"),
        Figure("kinesis_put_records_cpu", "... per CPU second of the gateway", [rate / 1e3 for rate in per_cpu], goal=600, unit="k"),
    ]
    for name, rates in others.items():
        figures.append(Figure(f"kinesis_{name}", f"... {name}, in memory", [rate / 1e3 for rate in rates], unit="k/s"))
    if others:
        better = [max(rates) for rates in zip(*others.values())]
        figures.append(Figure("kinesis_emulators", "... eagre-gateway over the better of them", [x / y for x, y in zip(puts, better)], goal=20, unit="x"))
    else:
        bench.say("the emulators can't be installed here (npm): nothing to compare with")
    return figures + [
        Figure("kinesis_put_record", "PutRecord, 1 KiB, 64 connections, durable", [rate / 1e3 for rate in singles], goal=20, unit="k/s"),
        Figure("kinesis_put_record_p99", "... p99", p99s, goal=10, at_least=False, unit="ms"),
        Figure("kinesis_get_records", "GetRecords, catch-up: record data per CPU second of the gateway", reads, goal=400, unit="MB"),
        Figure("kinesis_memory", "memory of the gateway, 1,000 idle connections and 100 subscriptions", [resident], goal=256, at_least=False, unit="MiB"),
    ]
