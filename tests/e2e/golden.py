"""What the golden data directories hold, and how the one of this build's format is made.

`golden/format-N.tar.xz` is a data directory as a released Eagre of directory format N left it: written once, never
again, and read by every later build (test_golden.py). What is in it follows from this file alone, so what this file
says of a format that has an archive must not change either.

`golden/segments-2.tar.xz` is one whose cleaner has been at work: relocated segments, which are of version 2.

    EAGRE_BIN=build/debug/bin python3 tests/e2e/golden.py     # Makes the archives that are not there.
"""
import json
import os
import struct
import subprocess
import sys
import tarfile
import time

import box
import wire

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
FORMAT = 1
SEGMENT_VERSION = 2
FORMAT_ARCHIVE = os.path.join(FOLDER, f"format-{FORMAT}.tar.xz")
SEGMENT_ARCHIVE = os.path.join(FOLDER, f"segments-{SEGMENT_VERSION}.tar.xz")
# The smallest there are. Records of almost a MiB fill some, so that there are sealed segments with footers.
EAGRED_ARGS = ["--segment-bytes", "4M"]
PRODUCER = 0x901D
SHARD_COUNT = 3
# Longer than a clock may jump (a day): retention then waits for an operator and trims nothing, however old the archive.
RETENTION_MS = 7 * 24 * 3600 * 1000


def small(key, number):
    return [(key, b"quote %d.%d of %s" % (number, i, key)) for i in range(7)]


def large(key, number):
    return [(key, (b"%s page %d " % (key, number) * 90_000)[:900_000])]


def batches(key):
    """The batches of the shard to which `key` belongs, in order: (producer's number or None, records)."""
    told = [(number, small(key, number)) for number in range(20)]
    told += [(None, large(key, number)) for number in range(3)]
    told += [(None, elsewhere(key)), (None, [(b"\xff", b"")])]
    return told


def elsewhere(key):
    """Records whose keys fall anywhere: they are stored with an explicit hash key."""
    return [(b"elsewhere %d" % i, key) for i in range(5)]


def late_batches(key):
    """What came after a restart, and before kill -9."""
    return [(number, small(key, number)) for number in range(20, 30)]


def records(key):
    """[(sequence, key, data), ...] as the shard must have them."""
    flat = [record for _, batch in batches(key) + late_batches(key) for record in batch]
    return [(1 + i, *record) for i, record in enumerate(flat)]


def append(data, stream, shard, number, batch):
    """Durably. Explicit hash keys put every record into the shard, whatever its own key says."""
    payload = None
    if number is None:
        blob, entries = bytearray(), bytearray()
        for key, value in batch:
            blob += key + value
            entries += struct.pack("<IHH", len(blob), len(key), 1)
        hashes = struct.pack("<QQ", shard.end >> 64, shard.end & (2**64 - 1)) * len(batch)
        times = struct.pack("<Q", 1_700_000_000_000_000_000) * len(batch)
        payload = bytes(wire.Builder({1: ("structs", (bytes(entries), len(batch))), 2: ("bytes", bytes(blob)),
                                      3: ("structs", (hashes, len(batch))), 4: ("structs", (times, len(batch)))}).out)
    return data.append(shard.id, batch, stream.map_version, 0 if number is None else PRODUCER, number or 0, payload)


def make():
    with box.Box() as made:
        made.start_eagred(*EAGRED_ARGS)
        made.start_control()
        made.control.wait_for(r"agreed with the dataplane")
        with made.admin() as admin:
            gone = admin.create("gone")
            stream = admin.create("quotes", SHARD_COUNT, retention_ms=RETENTION_MS)
        with made.connect() as data:
            data.append(gone.shards[0].id, [(b"k", b"deleted")])
            for shard in stream.shards:
                for number, batch in batches(box.key_for(stream, shard)):
                    append(data, stream, shard, number, batch)
        with made.admin() as admin:
            admin.delete("gone")
        made.eagred.stop()  # In good order: a closed journal.
        made.start_eagred(*EAGRED_ARGS)
        with made.connect() as data:
            for shard in stream.shards:
                for number, batch in late_batches(box.key_for(stream, shard)):
                    append(data, stream, shard, number, batch)
        made.eagred.kill()  # And one that was not: an unsealed tail.
        made.control.stop()
        pack(made, FORMAT_ARCHIVE)


def pack(made, path):
    os.makedirs(FOLDER, exist_ok=True)
    with tarfile.open(path, "w:xz") as archive:
        for name in sorted(os.listdir(made.data)):
            if name in ("eagre.box", "catalog.sqlite") or name.startswith("journal-"):
                archive.add(made.path(name), name)


# What the cleaner moved: of KEPT_ROUNDS batches each followed by DEAD_PER_ROUND of a stream that was deleted then.
KEPT_ROUNDS = 24
DEAD_PER_ROUND = 2


def kept_batch(number):
    return small(b"kept", number) + [(b"kept", b"page %d " % number * 10_000)]


def kept_records():
    """[(sequence, key, data), ...] as the shard must have them, from the first number that is left of it."""
    flat = [record for number in range(KEPT_ROUNDS) for record in kept_batch(number)]
    return [(1 + i, *record) for i, record in enumerate(flat)]


def make_relocated():
    with box.Box() as made:
        made.start_eagred(*EAGRED_ARGS, "--cleaner-bytes-per-s", "256M")
        made.start_control()
        made.control.wait_for(r"agreed with the dataplane")
        with made.admin() as admin:
            kept = admin.create("kept", retention_ms=RETENTION_MS)
            dead = admin.create("dead", retention_ms=RETENTION_MS)
        with made.connect() as data:
            for number in range(KEPT_ROUNDS):
                append(data, kept, kept.shards[0], number, kept_batch(number))
                for _ in range(DEAD_PER_ROUND):
                    append(data, dead, dead.shards[0], None, large(b"dead", number))
        with made.admin() as admin:
            admin.delete("dead")
        deadline = time.monotonic() + box.WAIT_S
        while relocated_bytes(made) == 0:
            assert time.monotonic() < deadline, "the cleaner found nothing to do"
        made.eagred.kill()
        made.control.stop()
        pack(made, SEGMENT_ARCHIVE)


def relocated_bytes(made):
    done = subprocess.run([os.path.join(box.BIN, "eagre"), "stats", "--json", "--data", made.data], capture_output=True, check=True,
                          timeout=box.WAIT_S)
    return json.loads(done.stdout)["cores"][0]["relocated_bytes"]


if __name__ == "__main__":
    missing = [maker for path, maker in ((FORMAT_ARCHIVE, make), (SEGMENT_ARCHIVE, make_relocated)) if not os.path.exists(path)]
    if not missing:
        sys.exit("the archives of this build's formats are there: none is ever made twice")
    for maker in missing:
        maker()
