"""TLS against plain: durable ingest in batches of 64 KiB through the client library, the same box, the same window.

Expected: AES-128-GCM with AES-NI runs at 3-5 GB/s, so a batch of 64 KiB costs some 20 us on each side beside the 25 us
that receiving, checking and copying it take: 0.5-0.7 x where the box's core is the limit, more where the client's is.
"""
import os
import subprocess

from report.bench import Box
from report.figures import Figure
from scenarios.ingest import FULL_SPEED, PRODUCER, RETENTION_MS, SEGMENTS


def certificate(bench):
    folder = bench.folder("certificate")
    files = [os.path.join(folder, name) for name in ("box.pem", "box.key")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=eagre", "-addext", "subjectAltName=IP:127.0.0.1", "-out", files[0], "-keyout", files[1]],
                   check=True, capture_output=True)
    return files


def sample(bench, box, *flags):
    box.wait_for_ready_segments(SEGMENTS["ready_segments"] // 2)
    return bench.driver(*flags, "ingest", *PRODUCER, *FULL_SPEED, "--warmup", 0.4, "--seconds", bench.options.seconds,
                        server=box)


def measure(bench):
    pem, key = certificate(bench)
    same = {"shards": 4, "retention_ms": RETENTION_MS, "sched": "idle", **SEGMENTS}
    plain = Box(bench, "box-plain", **same)
    encrypted = Box(bench, "box-tls", tls_cert=pem, tls_key=key, **same)
    samples = {"plain": [], "tls": []}
    for _ in range(bench.options.rounds):
        with bench.turn_of(plain):
            samples["plain"].append(sample(bench, plain))
        with bench.turn_of(encrypted):
            samples["tls"].append(sample(bench, encrypted, "--tls-ca", pem))
        bench.say("   MB/s (generator's share of its core): " + "  ".join(
            f"{name} {s[-1]['mb_per_s']:.0f} ({s[-1]['generator_cpu_share']:.2f})" for name, s in samples.items()))
    for box in (plain, encrypted):
        box.end()
    rates = {name: [each["mb_per_s"] for each in s] for name, s in samples.items()}
    shares = {name: [each["generator_cpu_share"] for each in s] for name, s in samples.items()}
    return [
        Figure("tls_plain", "durable ingest, batches of 64 KiB, 4 shards, plain", rates["plain"], unit="MB/s",
               details={"generator_cpu_share": shares["plain"]}),
        Figure("tls_encrypted", "... TLS 1.3", rates["tls"], unit="MB/s", details={"generator_cpu_share": shares["tls"]}),
        Figure("tls_ratio", "... TLS against plain", [a / b for a, b in zip(rates["tls"], rates["plain"])], goal=0.5, unit="x"),
    ]
