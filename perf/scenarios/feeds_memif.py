"""Native frames of 1,400 bytes over shared memory (memif), acknowledged when durable: what a box takes where the network is no limit.

Expected: four records of 256 bytes to a datagram; the box needs 0.4 us a datagram for its way in, copies, checks and the journal, the sender 1.2 us with
its window and acknowledgements, 0.5 without. The disk takes what it takes: the goal is the lower of 2 M datagrams/s and half
of what raw writes with fdatasync would store of them.
"""
import os

from report.bench import GENERATOR_CPU, SERVER_CPU, Box
from report.figures import Figure

BYTES = 1400
COMMIT_BYTES = 1 << 20


def measure(bench):
    ours, acknowledged, ceiling, shares = [], [], [], []
    socket = os.path.join(bench.root_folder, "memif.sock")
    box = Box(bench, "box-memif", shards=4, retention_ms=1000, ready_segments=12, sched="idle", wait="spin", insecure=None, nic_no_huge=None,
              nic=f"dpdk:net_memif0,role=server,socket={socket},socket-abstract=no", nic_address="10.79.0.2/24")
    for _ in range(bench.options.rounds):
        with bench.turn_of(box):
            box.wait_for_ready_segments(6)
            more = ["--cpu", GENERATOR_CPU, "--port", box.port, "--seconds", bench.options.seconds, "--warmup", 0.5, "--datagram-bytes", BYTES,
                    "--nic", f"net_memif0,role=client,socket={socket},socket-abstract=no", "--nic-address", "10.79.0.1"]
            before = box.stats()
            sample = bench.run("perf_udp_blast", "--loose", *more)
            after = box.stats()
            box.wait_for_ready_segments(6)
            sure = bench.run("perf_udp_blast", *more)
        # What was stored while it was sent: fire and forget waits for nobody, so that the box alone says how fast it goes.
        ours.append((after["batches_appended"] - before["batches_appended"]) / sample["seconds"] / 1e6)
        acknowledged.append(sure["datagrams_per_s"] / 1e6)
        shares.append(sure["generator_cpu_share"])
        raw = bench.run("raw_disk", "--mode", "write", "--file", os.path.join(bench.folder("raw"), "raw.bin"), "--file-bytes", 256 << 20, "--size", COMMIT_BYTES,
                        "--seconds", bench.options.seconds, "--cpu", SERVER_CPU)
        ceiling.append(raw["mb_per_s"] / BYTES)
        bench.say(f"   {ours[-1]:.2f} M datagrams/s stored of {sample['sent'] / sample['seconds'] / 1e6:.2f} sent; acknowledged {acknowledged[-1]:.2f}; the disk takes {ceiling[-1]:.2f} M/s")
    box.end()
    goals = [min(2.0, 0.5 * each) for each in ceiling]
    return [Figure("feed_memif", "memif, native frames of 1,400 bytes, durable: over the lower of 2 M datagrams/s and half of the disk", [a / b for a, b in zip(ours, goals)], goal=1, unit="x",
                   note=f"{sorted(ours)[len(ours) // 2]:.2f} M/s, the disk {sorted(ceiling)[len(ceiling) // 2]:.2f} M/s"),
            Figure("feed_memif_acknowledged", "... each acknowledged", acknowledged, unit="M/s", note=f"sender's core {sorted(shares)[len(shares) // 2]:.2f}")]
