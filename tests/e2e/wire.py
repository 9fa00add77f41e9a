"""Eagre's wire in Python, written from wire/frame/frame.h and the schemas alone, so that the tests don't share a
mistake with the C++.

Frames (64-byte header, CRC-32C), as much of FlatBuffers as our tables need, a client of the data port and one of
control's socket.
"""
import hashlib
import socket
import struct

MAGIC, VERSION = 0x52474145, 1
HELLO, HELLO_REPLY, METADATA, METADATA_REPLY, APPEND, APPEND_REPLY = 1, 2, 3, 4, 5, 6
LOCATE, LOCATE_REPLY, READ, READ_END, SUBSCRIBE, DELIVER, DELIVER_END = 7, 8, 9, 10, 11, 14, 15
COMMAND, COMMAND_REPLY, ERROR = 20, 21, 30
CREATE, DELETE, SET_RETENTION, LIST, DESCRIBE = 1, 2, 3, 4, 5
MOVE_SHARDS = 76

ERRC = {
    0: "Ok", 1: "BadMagic", 2: "BadVersion", 3: "BadLength", 4: "BadCrc", 5: "BadSchema", 6: "BadKind",
    7: "RecordTooLarge", 8: "BadPartitionKey", 9: "BadArgument", 20: "UnknownStream", 21: "UnknownShard",
    22: "StreamExists", 23: "LimitExceeded", 24: "SequenceInFuture", 25: "SequenceTrimmed", 26: "ShardClosed",
    30: "StaleMap", 31: "WrongShard", 32: "NotOwner", 33: "Unavailable", 40: "Busy", 41: "Throttled",
    42: "DiskFull", 43: "ShuttingDown", 44: "StoreFull", 50: "BatchMismatch", 51: "UnknownProducer", 52: "BatchOutOfOrder",
    53: "BatchForgotten", 60: "OutcomeUnknown", 61: "Damaged", 62: "Io", 63: "JournalFailed", 70: "NewerFormat",
    71: "ForeignBox", 72: "Locked", 73: "PortInUse", 75: "Insecure", 76: "StaleEpoch", 77: "Timeout",
    78: "Disconnected"}


def _crc_table():
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _crc_table()


def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283  # The check value of CRC-32C.


class WireError(Exception):
    """A typed error of the box, by name."""

    def __init__(self, code, detail=0, message=""):
        self.name, self.detail = ERRC.get(code, str(code)), detail
        super().__init__(f"{self.name} detail={detail} {message}")


class Disconnected(Exception):
    pass


# --------------------------------------------------------------------------------------------------------- FlatBuffers

class Builder:
    """Tables whose children lie behind them. Fields: {index: (kind, value)}; kinds u8 u16 u32 u64, str, bytes, structs,
    tables."""
    SIZES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
    CODES = {"u8": "<B", "u16": "<H", "u32": "<I", "u64": "<Q"}

    def __init__(self, fields):
        self.out = bytearray(4)
        struct.pack_into("<I", self.out, 0, self.table(fields))
        self.align(8)

    def align(self, to, bias=0):
        while (len(self.out) + bias) % to:
            self.out.append(0)

    def table(self, fields):
        slots, at = {}, 4  # Offset of each field from the table's start, behind its soffset.
        for index in sorted(fields, key=lambda i: -self.SIZES.get(fields[i][0], 4)):
            size = self.SIZES.get(fields[index][0], 4)
            at = (at + size - 1) // size * size
            slots[index] = at
            at += size
        self.align(2)
        vtable = len(self.out)
        count = max(fields, default=-1) + 1
        self.out += struct.pack("<HH", 4 + 2 * count, at)
        for index in range(count):
            self.out += struct.pack("<H", slots.get(index, 0))
        self.align(8)
        table = len(self.out)
        self.out += bytes(at)
        struct.pack_into("<i", self.out, table, table - vtable)
        for index, (kind, value) in fields.items():
            place = table + slots[index]
            if kind in self.CODES:
                struct.pack_into(self.CODES[kind], self.out, place, value)
            else:
                target = self.child(kind, value)
                struct.pack_into("<I", self.out, place, target - place)
        return table

    def child(self, kind, value):
        if kind == "tables":
            self.align(4)
            vector = len(self.out)
            self.out += struct.pack("<I", len(value)) + bytes(4 * len(value))
            for i, fields in enumerate(value):
                place = vector + 4 + 4 * i
                struct.pack_into("<I", self.out, place, self.table(fields) - place)
            return vector
        raw, count = (value.encode(), None) if kind == "str" else (value, None) if kind == "bytes" else value
        self.align(8, 4)  # Elements, behind the count, lie at a multiple of 8.
        vector = len(self.out)
        self.out += struct.pack("<I", len(raw) if count is None else count) + raw + (b"\0" if kind == "str" else b"")
        return vector


class Table:
    def __init__(self, data, at=None):
        self.data = data
        self.at = struct.unpack_from("<I", data, 0)[0] if at is None else at
        self.vtable = self.at - struct.unpack_from("<i", data, self.at)[0]
        self.vtable_bytes = struct.unpack_from("<H", data, self.vtable)[0]

    def _place(self, index):
        entry = 4 + 2 * index
        offset = struct.unpack_from("<H", self.data, self.vtable + entry)[0] if entry < self.vtable_bytes else 0
        return self.at + offset if offset else None

    def number(self, index, code="<Q"):
        place = self._place(index)
        return struct.unpack_from(code, self.data, place)[0] if place else 0

    def _follow(self, index):
        place = self._place(index)
        return place + struct.unpack_from("<I", self.data, place)[0] if place else None

    def raw(self, index):
        place = self._follow(index)
        if place is None:
            return b""
        size = struct.unpack_from("<I", self.data, place)[0]
        return self.data[place + 4:place + 4 + size]

    def text(self, index):
        return self.raw(index).decode()

    def count_and_place(self, index):
        place = self._follow(index)
        return (struct.unpack_from("<I", self.data, place)[0], place + 4) if place else (0, 0)

    def tables(self, index):
        count, place = self.count_and_place(index)
        places = range(place, place + 4 * count, 4)
        return [Table(self.data, each + struct.unpack_from("<I", self.data, each)[0]) for each in places]


# -------------------------------------------------------------------------------------------------------------- frames

_HEADER = struct.Struct("<IBBHIIQQQQQI")  # Without the header's own CRC, the last 4 of 64 bytes.


def frame(kind, payload=b"", flags=0, correlation=0, shard=0, detail=0, number=0, sequence=0, record_count=0, **spoil):
    """A whole frame. `spoil`: magic, version, payload_bytes, payload_crc, header_crc as they should not be."""
    payload += bytes(-len(payload) % 8)
    head = _HEADER.pack(spoil.get("magic", MAGIC), spoil.get("version", VERSION), kind, flags,
                        spoil.get("payload_bytes", len(payload)),
                        spoil.get("payload_crc", crc32c(payload) if payload else 0), correlation, shard, detail, number,
                        sequence, record_count)
    return head + struct.pack("<I", spoil.get("header_crc", crc32c(head))) + payload


class Frame:
    def __init__(self, head, payload):
        (_, _, self.kind, self.flags, _, _, self.correlation, self.shard, self.detail, self.number, self.sequence,
         self.record_count) = _HEADER.unpack(head[:60])
        self.payload = payload


class Connection:
    def __init__(self, sock, timeout_s=10):
        self.socket = sock
        self.socket.settimeout(timeout_s)
        self.correlation = 0

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Disconnected(str(error)) from error

    def _exactly(self, count):
        data = bytearray()
        while len(data) < count:
            try:
                more = self.socket.recv(min(count - len(data), 1 << 20))
            except ConnectionResetError as error:
                raise Disconnected(str(error)) from error
            if not more:
                raise Disconnected(f"closed after {len(data)} of {count} bytes")
            data += more
        return bytes(data)

    def receive(self):
        head = self._exactly(64)
        magic, version = struct.unpack_from("<IB", head)
        size, payload_crc = struct.unpack_from("<II", head, 8)
        assert (magic, version) == (MAGIC, VERSION), "not a frame"
        assert struct.unpack_from("<I", head, 60)[0] == crc32c(head[:60]), "header CRC"
        payload = self._exactly(size)
        assert len(payload) > 4096 or payload_crc == (crc32c(payload) if payload else 0), "payload CRC"
        return Frame(head, payload)

    def ask(self, kind, payload=b"", **fields):
        self.correlation += 1
        self.send(frame(kind, payload, correlation=self.correlation, **fields))
        reply = self.receive()
        if reply.kind == ERROR:
            raise WireError(reply.flags, reply.detail)
        assert reply.correlation == self.correlation
        return reply

    def verdict(self):
        """What a misbehaving sender is told before the box closes: (error's name, True when it was closed)."""
        name = None
        try:
            while True:
                reply = self.receive()
                name = ERRC.get(reply.flags, str(reply.flags))
        except Disconnected:
            return name, True
        except TimeoutError:
            return name, False


# ------------------------------------------------------------------------------------------------------------- clients

class Shard:
    def __init__(self, table):
        self.id = table.number(0)
        self.start = table.number(1) << 64 | table.number(2)
        self.end = table.number(3) << 64 | table.number(4)
        self.open, self.available = bool(table.number(7, "<B")), bool(table.number(8, "<B"))
        self.journal, self.core, self.port = table.number(9, "<I"), table.number(10, "<I"), table.number(11, "<H")
        self.horizon, self.tail = table.number(12), table.number(13)


class Stream:
    def __init__(self, table):
        self.id, self.name, self.map_version = table.number(0), table.text(1), table.number(2)
        self.retention_ms = table.number(3)
        self.shards = [Shard(each) for each in table.tables(6)]
        self.shard_count = table.number(7, "<I")

    def shard_for(self, key):
        digest = int.from_bytes(hashlib.md5(key).digest(), "big")
        return next(s for s in self.shards if s.open and s.start <= digest <= s.end)


class Admin(Connection):
    """Control's socket."""

    def __init__(self, path, timeout_s=10):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout_s)
        try:
            sock.connect(path)
        except OSError as error:
            sock.close()
            raise Disconnected(str(error)) from error
        super().__init__(sock, timeout_s)

    def request(self, op, name="", shards=0, retention_ms=0, record_bytes_max=0, moves=None):
        """`moves`: {shard: journal}, for MOVE_SHARDS."""
        fields = {0: ("u8", op), 1: ("str", name), 2: ("u32", shards), 3: ("u64", retention_ms),
                  4: ("u64", record_bytes_max)}
        if moves:
            fields[15] = ("structs", (struct.pack(f"<{len(moves)}Q", *moves), len(moves)))
            fields[21] = ("structs", (struct.pack(f"<{len(moves)}I", *moves.values()), len(moves)))
        reply = Table(self.ask(COMMAND, bytes(Builder(fields).out)).payload)
        code = reply.number(0, "<H")
        if code:
            raise WireError(code, reply.number(1), reply.text(2))
        return [Stream(each) for each in reply.tables(3)]

    def create(self, name, shards=1, **more):
        return self.request(CREATE, name, shards, **more)[0]

    def delete(self, name):
        self.request(DELETE, name)

    def list(self):
        return self.request(LIST)

    def describe(self, name):
        return self.request(DESCRIBE, name)[0]


def batch_payload(records):
    """[(key, data), ...] -> Batch."""
    blob, entries = bytearray(), bytearray()
    for key, data in records:
        blob += key + data
        entries += struct.pack("<IHH", len(blob), len(key), 0)
    return bytes(Builder({1: ("structs", (bytes(entries), len(records))), 2: ("bytes", bytes(blob))}).out)


def batch_records(payload):
    table = Table(payload)
    count, place = table.count_and_place(1)
    blob, begin, records = table.raw(2), 0, []
    for i in range(count):
        end, key_len, _ = struct.unpack_from("<IHH", payload, place + 8 * i)
        records.append((blob[begin:begin + key_len], blob[begin + key_len:end]))
        begin = end
    return records


class Data(Connection):
    """A data port."""

    def __init__(self, port, timeout_s=10, hello=True):
        try:
            super().__init__(socket.create_connection(("127.0.0.1", port), timeout_s), timeout_s)
        except OSError as error:
            raise Disconnected(str(error)) from error
        if hello:
            reply = Table(self.ask(HELLO, bytes(Builder({0: ("str", "e2e")}).out)).payload)
            count, place = reply.count_and_place(4)
            self.ports = list(struct.unpack_from(f"<{count}H", reply.data, place))
            self.incarnation = reply.number(6)

    def metadata(self, stream=""):
        reply = self.ask(METADATA, bytes(Builder({0: ("str", stream)}).out))
        if reply.flags:
            raise WireError(reply.flags, reply.detail)
        return [Stream(each) for each in Table(reply.payload).tables(0)]

    def append(self, shard, records, map_version=1, producer=0, batch=0, payload=None, count=None):
        """Durably. Returns the first sequence number."""
        payload = batch_payload(records) if payload is None else payload
        reply = self.ask(APPEND, payload, shard=shard, detail=producer, number=batch, sequence=map_version,
                         record_count=len(records) if count is None else count)
        if reply.flags:
            raise WireError(reply.flags, reply.detail)
        return reply.sequence

    def read_all(self, shard, start=1):
        """[(sequence, key, data), ...] of everything durable from `start` on."""
        found, wanted = [], start
        while True:
            self.correlation += 1
            self.send(frame(READ, correlation=self.correlation, shard=shard, number=1 << 20, sequence=wanted))
            delivered = 0
            while True:
                reply = self.receive()
                if reply.kind != DELIVER:
                    break
                delivered += 1
                for i, (key, data) in enumerate(batch_records(reply.payload)):
                    if reply.sequence + i >= wanted:
                        found.append((reply.sequence + i, key, data))
            if ERRC.get(reply.flags) == "SequenceTrimmed" and reply.detail > wanted:
                wanted = reply.detail  # Where a child of another shard begins.
                continue
            if ERRC.get(reply.flags) == "ShardClosed":
                return found  # The end of a closed shard; its children are others.
            if reply.flags:
                raise WireError(reply.flags, reply.detail)
            wanted = reply.sequence
            if wanted >= reply.number:
                return found
            assert delivered, "the tail is not reached, and nothing comes"
