"""What the golden data directories hold, and how the one of this build's format is made.

`golden/format-N.tar.xz` is a data directory as a released Eagre of directory format N left it: written once, never
again, and read by every later build (test_golden.py). What is in it follows from this file alone, so what this file
says of a format that has an archive must not change either.

    EAGRE_BIN=build/debug/bin python3 tests/e2e/golden.py     # Makes the archive of a new format.
"""
import os
import struct
import sys
import tarfile

import box
import wire

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
FORMAT = 1
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
        os.makedirs(FOLDER, exist_ok=True)
        with tarfile.open(os.path.join(FOLDER, f"format-{FORMAT}.tar.xz"), "w:xz") as archive:
            for name in sorted(os.listdir(made.data)):
                if name in ("eagre.box", "catalog.sqlite") or name.startswith("journal-"):
                    archive.add(made.path(name), name)


if __name__ == "__main__":
    if os.path.exists(os.path.join(FOLDER, f"format-{FORMAT}.tar.xz")):
        sys.exit(f"golden/format-{FORMAT}.tar.xz is there: it is never made twice")
    make()
