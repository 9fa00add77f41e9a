"""What no SDK sends: HTTP that is wrong, slow, in pieces or too much; bodies that are not what they say; CBOR; every operation of the
model. Whoever misbehaves is told so and closed; the others don't notice."""
import base64
import concurrent.futures
import http.client
import json
import os
import re
import socket
import struct
import time
import unittest
import urllib.parse
import zlib

import gateway
from gateway import box

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = "Kinesis_20131202."
JSON, CBOR = "application/x-amz-json-1.1", "application/x-amz-cbor-1.1"


def operations():
    """{operation: (whether this gateway does it, file of its test, its test)}, of the table."""
    with open(os.path.join(HERE, "OPERATIONS.md"), encoding="utf-8") as file:
        rows = re.findall(r"^\| (\w+) \| (yes|not available) \| (\w+\.py): (\w+) \|$", file.read(), re.M)
    return {name: (done == "yes", path, test) for name, done, path, test in rows}


def cbor(value):
    """A value as AWS's SDK for Java writes it: maps and lists of indefinite length."""
    def head(major, number):
        for info, code, limit in ((24, ">B", 1 << 8), (25, ">H", 1 << 16), (26, ">I", 1 << 32), (27, ">Q", 1 << 64)):
            if number < 24:
                return bytes([major << 5 | number])
            if number < limit:
                return bytes([major << 5 | info]) + struct.pack(code, number)
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return b"\x9f" + b"".join(map(cbor, value)) + b"\xff"
    return b"\xbf" + b"".join(cbor(name) + cbor(each) for name, each in value.items()) + b"\xff"


def parse_cbor(data, at=0):
    """(value, where it ends); time stamps as ("ms", number)."""
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    number = info
    if 24 <= info <= 27:
        size = 1 << (info - 24)
        number = int.from_bytes(data[at:at + size], "big")
        at += size
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if major in (2, 3):
        piece = data[at:at + number]
        return (piece if major == 2 else piece.decode()), at + number
    if major == 4:
        values = []
        while data[at] != 0xff:
            value, at = parse_cbor(data, at)
            values.append(value)
        return values, at + 1
    if major == 5 and info == 0:
        return {}, at
    if major == 5:
        values = {}
        while data[at] != 0xff:
            name, at = parse_cbor(data, at)
            values[name], at = parse_cbor(data, at)
        return values, at + 1
    if major == 6:
        value, at = parse_cbor(data, at)
        return ("ms", value), at
    return {20: False, 21: True, 22: None}[info], at


class Http(unittest.TestCase):
    def setUp(self):
        self.box = gateway.Gateway().__enter__()
        self.addCleanup(self.box.__exit__)
        self.box.start()
        self.address = urllib.parse.urlsplit(self.box.url)

    def connect(self):
        connection = http.client.HTTPConnection(self.address.hostname, self.address.port, timeout=20)
        self.addCleanup(connection.close)
        return connection

    def ask(self, operation, body, connection=None, **headers):
        connection = connection or self.connect()
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        connection.request("POST", "/", body, {"Content-Type": JSON, "X-Amz-Target": TARGET + operation, **headers})
        answer = connection.getresponse()
        text = answer.read()
        return answer, text

    def ok(self, operation, body, connection=None):
        answer, text = self.ask(operation, body, connection)
        self.assertEqual(answer.status, 200, text)
        return json.loads(text) if text else None

    def raw(self, data, wait_s=10):
        """Everything that comes back until the other side closes."""
        with socket.create_connection((self.address.hostname, self.address.port), timeout=wait_s) as sock:
            sock.sendall(data)
            said = b""
            while piece := sock.recv(65536):
                said += piece
            return said

    def request(self, operation, body, more=""):
        return (f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\nX-Amz-Target: {TARGET}{operation}\r\n"
                f"Content-Length: {len(body)}\r\n{more}\r\n{body}").encode()

    def create(self, name="quotes"):
        self.ok("CreateStream", {"StreamName": name, "ShardCount": 1})

    def test_every_operation_is_done_or_said_not_to_be(self):
        connection = self.connect()
        table = operations()
        self.assertEqual(len(table), 45)
        for name, (done, path, test) in table.items():
            answer, text = self.ask(name, {}, connection)
            body = json.loads(text) if text else {}
            kind = body.get("__type", "")
            self.assertNotEqual(kind, "UnknownOperationException", name)
            self.assertEqual(kind == "NotAvailableException", not done, (name, body))
            if not done:
                self.assertEqual((answer.status, answer.headers["x-amzn-errortype"]), (400, kind))
            with open(os.path.join(HERE, path), encoding="utf-8") as file:
                self.assertIn(f"    def {test}(self", file.read(), name)
        self.assertEqual(json.loads(self.ask("Nonsense", {}, connection)[1])["__type"], "UnknownOperationException")

    def test_the_table_has_every_operation_of_the_installed_model(self):
        try:
            import botocore.session
        except ImportError:
            self.skipTest("botocore is not installed (tools/setup)")
        model = botocore.session.get_session().get_service_model("kinesis")
        self.assertEqual(set(model.operation_names) - set(operations()), set())

    def test_cbor(self):
        self.create()
        headers = {"Content-Type": CBOR}
        answer, text = self.ask("PutRecord", cbor({"StreamName": "quotes", "Data": b"\x00\xff", "PartitionKey": "k"}), **headers)
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, CBOR))
        put, end = parse_cbor(text)
        self.assertEqual(end, len(text))
        # A blob in pieces, as streams are written.
        pieces = b"\xbf" + cbor("StreamName") + cbor("quotes") + cbor("PartitionKey") + cbor("k") + cbor("Data") + b"\x5f\x42ab\x41c\xff" + b"\xff"
        self.assertEqual(self.ask("PutRecord", pieces, **headers)[0].status, 200)
        now_ms = int(time.time() * 1000)
        by_time = cbor({"StreamName": "quotes", "ShardId": put["ShardId"], "ShardIteratorType": "AT_TIMESTAMP"})[:-1] + cbor("Timestamp") + b"\xc1" + cbor(now_ms - 60_000) + b"\xff"
        answer, text = self.ask("GetShardIterator", by_time, **headers)
        self.assertEqual(answer.status, 200, text)
        answer, text = self.ask("GetRecords", cbor({"ShardIterator": parse_cbor(text)[0]["ShardIterator"]}), **headers)
        got = parse_cbor(text)[0]
        self.assertEqual([record["Data"] for record in got["Records"]], [b"\x00\xff", b"abc"])
        tag, arrived_ms = got["Records"][0]["ApproximateArrivalTimestamp"]
        self.assertEqual(tag, "ms")
        self.assertLess(abs(arrived_ms - now_ms), 60_000)
        answer, text = self.ask("PutRecord", cbor({"StreamName": "nothing", "Data": b"x", "PartitionKey": "k"}), **headers)
        self.assertEqual((answer.status, parse_cbor(text)[0]["__type"]), (400, "ResourceNotFoundException"))
        for bad in (b"", b"\xbf", b"\x9f" * 100_000, b"\x81" * 100_000, b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff", b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff\x00",
                    cbor({"StreamName": "quotes"}) + b"\x00", b"\xa1\x01\x02", b"\xff"):
            answer, text = self.ask("PutRecord", bad, **headers)
            self.assertEqual((answer.status, parse_cbor(text)[0]["__type"]), (400, "SerializationException"), bad[:20])

    def test_fan_out_in_cbor(self):
        # As Java's clients ask for it; each message's checksums are looked at.
        self.create()
        arn = self.ok("DescribeStreamSummary", {"StreamName": "quotes"})["StreamDescriptionSummary"]["StreamARN"]
        consumer = self.ok("RegisterStreamConsumer", {"StreamARN": arn, "ConsumerName": "desk"})["Consumer"]["ConsumerARN"]
        put = self.ok("PutRecord", {"StreamName": "quotes", "Data": base64.b64encode(b"\x00\xff").decode(), "PartitionKey": "k"})
        connection = self.connect()
        connection.request("POST", "/", cbor({"ConsumerARN": consumer, "ShardId": put["ShardId"], "StartingPosition": {"Type": "TRIM_HORIZON"}}),
                           {"Content-Type": CBOR, "X-Amz-Target": TARGET + "SubscribeToShard"})
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "application/vnd.amazon.eventstream"))

        def message():
            prelude = answer.read(12)
            length, head_length, crc = struct.unpack(">III", prelude)
            self.assertEqual(zlib.crc32(prelude[:8]), crc)
            rest = answer.read(length - 12)
            self.assertEqual(zlib.crc32(prelude + rest[:-4]), int.from_bytes(rest[-4:], "big"))
            headers, at = {}, 0
            while at < head_length:
                name = rest[at + 1:(at := at + 1 + rest[at])].decode()
                self.assertEqual(rest[at], 7)  # Text.
                size = int.from_bytes(rest[at + 1:at + 3], "big")
                headers[name] = rest[at + 3:at + 3 + size].decode()
                at += 3 + size
            value, end = parse_cbor(rest[head_length:-4])
            self.assertEqual(end, len(rest) - 4 - head_length)
            return headers, value
        headers, value = message()
        self.assertEqual((headers[":event-type"], headers[":message-type"], value), ("initial-response", "event", {}))
        headers, value = message()
        self.assertEqual((headers[":event-type"], headers[":message-type"], headers[":content-type"]), ("SubscribeToShardEvent", "event", CBOR))
        [record] = value["Records"]
        self.assertEqual((record["Data"], record["PartitionKey"], record["SequenceNumber"], record["ApproximateArrivalTimestamp"][0]),
                         (b"\x00\xff", "k", put["SequenceNumber"], "ms"))
        self.assertEqual(value["MillisBehindLatest"], 0)
        self.assertGreaterEqual(int(value["ContinuationSequenceNumber"]), int(record["SequenceNumber"]))

    def test_types_and_constraints_in_the_service_s_words(self):
        self.create()
        blob = base64.b64encode(b"x").decode()

        def fault(operation, body):
            answer, text = self.ask(operation, body)
            self.assertEqual(answer.status, 400, text)
            said = json.loads(text)
            return said["__type"], said.get("message") or said.get("Message") or ""
        for body, words in (
                ({"StreamName": 7}, "class java.lang.Integer can not be converted to an String"),
                ({"StreamName": ["a"]}, "Start of list found where not expected"),
                ({"StreamName": {"a": 1}}, "Start of structure or map found where not expected."),
                ({"StreamName": "quotes", "Data": "abcde", "PartitionKey": "k"}, "Base64 encoded length is expected a multiple of 4 bytes but found: 5"),
                ({"StreamName": "quotes", "Data": "ab!=", "PartitionKey": "k"}, "can not be converted to a Blob")):
            self.assertEqual(fault("PutRecord", body)[0], "SerializationException", body)
            self.assertIn(words, fault("PutRecord", body)[1])
        kind, words = fault("PutRecord", {"StreamName": "not a name", "PartitionKey": ""})
        self.assertEqual(kind, "ValidationException")
        self.assertTrue(words.startswith("3 validation errors detected: "), words)
        for item in ("Value 'not a name' at 'streamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
                     "Value null at 'data' failed to satisfy constraint: Member must not be null",
                     "Value '' at 'partitionKey' failed to satisfy constraint: Member must have length greater than or equal to 1"):
            self.assertIn(item, words)
        kind, words = fault("PutRecords", {"StreamName": "quotes", "Records": [{"Data": blob, "PartitionKey": "k"}, {"Data": blob, "PartitionKey": "k" * 257}]})
        self.assertIn("at 'records.2.member.partitionKey' failed to satisfy constraint: Member must have length less than or equal to 256", words)
        kind, words = fault("PutRecords", {"StreamName": "quotes", "Records": [{"Data": blob, "PartitionKey": "k"}] * 501})
        self.assertIn("Member must have length less than or equal to 500", words)
        kind, words = fault("GetShardIterator", {"StreamName": "quotes", "ShardId": "s", "ShardIteratorType": "NEVER"})
        self.assertIn("satisfy enum value set: [AT_SEQUENCE_NUMBER, AFTER_SEQUENCE_NUMBER, TRIM_HORIZON, LATEST, AT_TIMESTAMP]", words)
        kind, words = fault("GetRecords", {"ShardIterator": "x", "Limit": 10001})
        self.assertIn("Value '10001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 10000", words)
        kind, words = fault("PutRecord", {"StreamName": "quotes", "Data": blob, "PartitionKey": "k", "ExplicitHashKey": str(2**128)})
        self.assertEqual((kind, words), ("InvalidArgumentException", "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. "
                                                                     f"Specified value was {2**128}"))
        for body in ("", "{", "[]", "null", '"text"', "{}{}", "[" * 100_000, '{"a":' * 100_000, '{"StreamName": "\xff"}'.encode("latin-1")):
            self.assertIn(fault("PutRecord", body)[0], ("SerializationException", "UnknownOperationException"), body[:20])
        # Unknown members and nulls are passed over.
        self.ok("PutRecord", {"StreamName": "quotes", "Data": blob, "PartitionKey": "k", "ExplicitHashKey": None, "Whatever": [1, {"a": 2}]})

    def test_http_that_is_wrong(self):
        good = self.request("ListStreams", "{}")
        for bad, status in ((b"NONSENSE\r\n\r\n", 400), (b"GET / HTTP/3.7\r\nHost: x\r\n\r\n", 505), (b"POST / HTTP/1.1\r\n\r\n", 400),
                            (b"POST / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400), (b"POST / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
                            (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
                            (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -2\r\n\r\n", 400),
                            (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
                            (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
                            (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
                            (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", 413),
                            (b"POST / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
                            (b"POST / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40_000, 431), (b"POST / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n", 400)):
            said = self.raw(bad)
            self.assertTrue(said.startswith(b"HTTP/1.1 %d " % status), (bad[:60], said[:60]))
            self.assertIn(b"connection: close", said)
        for method in ("GET", "DELETE"):
            connection = self.connect()
            connection.request(method, "/")
            answer = connection.getresponse()
            self.assertEqual((answer.status, b"AccessDeniedException" in answer.read()), (403, True))
        connection = self.connect()
        connection.request("OPTIONS", "/", headers={"Origin": "http://page", "Access-Control-Request-Method": "POST"})
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.headers["access-control-max-age"], answer.headers["access-control-allow-methods"]), (200, "172800", "POST"))
        self.assertIsNone(answer.headers["access-control-allow-origin"], "signatures are not checked: no page may speak to us")
        self.assertIn(b"200 OK", self.raw(good[:-2].replace(b"Content-Length: 2", b"Connection: close\r\nContent-Length: 2") + b"{}"))

    def test_pieces_pipelines_chunks_and_continue(self):
        one = self.request("ListStreams", "{}")
        last = self.request("ListStreams", "{}", "Connection: close\r\n")
        self.assertEqual(self.raw(one * 20 + last).count(b"HTTP/1.1 200 OK"), 21)
        with socket.create_connection((self.address.hostname, self.address.port), timeout=10) as sock:
            for i in range(len(last)):
                sock.sendall(last[i:i + 1])
            said = b""
            while piece := sock.recv(65536):
                said += piece
            self.assertIn(b"200 OK", said)
        head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}; charset=utf-8\r\nX-Amz-Target: {TARGET}ListStreams\r\nConnection: close\r\n"
        self.assertIn(b"200 OK", self.raw((head + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\nTrailer: t\r\n\r\n").encode()))
        with socket.create_connection((self.address.hostname, self.address.port), timeout=10) as sock:
            sock.sendall((head + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n").encode())
            self.assertIn(b"100 Continue", sock.recv(1000))
            sock.sendall(b"{}")
            self.assertIn(b"200 OK", sock.recv(65536))

    def test_slow_and_silent_clients_hold_up_nobody(self):
        self.create()
        silent = [socket.create_connection((self.address.hostname, self.address.port)) for _ in range(200)]
        self.addCleanup(lambda: [each.close() for each in silent])
        for each in silent[::2]:
            each.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Le")
        for each in silent[1::2]:
            each.sendall(self.request("PutRecord", "x" * 1000)[:-500])
        begin = time.monotonic()
        for i in range(50):
            self.ok("PutRecord", {"StreamName": "quotes", "Data": base64.b64encode(b"%d" % i).decode(), "PartitionKey": "k"})
        self.assertLess(time.monotonic() - begin, 10)
        # Heads that don't end are cut off after ten seconds.
        silent[0].settimeout(20)
        self.assertIn(b"408", silent[0].recv(1000))

    def test_many_at_once(self):
        self.create()

        def put(worker):
            connection = self.connect()
            return [int(self.ok("PutRecord", {"StreamName": "quotes", "Data": base64.b64encode(b"%d" % i).decode(), "PartitionKey": f"k{worker}"},
                                connection)["SequenceNumber"]) for i in range(100)]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            numbers = list(pool.map(put, range(16)))
        for each in numbers:
            self.assertEqual(each, sorted(each))
        self.assertEqual(len({number for each in numbers for number in each}), 1600)

    def test_where_it_may_listen(self):
        for arguments, words in ((["--listen", "0.0.0.0"], "refusing to listen"), (["--listen", "localhost"], "refusing to listen"),
                                 (["--port", str(self.address.port)], "PortInUse"), (["--account", "12"], "is not 12 digits")):
            other = box.Process([gateway.GATEWAY, "--data", self.box.data, "--box-port", str(self.box.ports[0]), *arguments], "other")
            self.assertNotEqual(other.wait_exit(), 0, arguments)
            self.assertIn(words, other.text())

    def test_another_gateway_goes_on_with_the_same_iterator(self):
        self.create()
        put = self.ok("PutRecord", {"StreamName": "quotes", "Data": base64.b64encode(b"x").decode(), "PartitionKey": "k"})
        iterator = self.ok("GetShardIterator", {"StreamName": "quotes", "ShardId": put["ShardId"], "ShardIteratorType": "TRIM_HORIZON"})
        self.assertEqual(self.box.gateway.stop(), 0)
        self.box.start_gateway()
        self.address = urllib.parse.urlsplit(self.box.url)
        self.assertEqual(len(self.ok("GetRecords", iterator)["Records"]), 1)


if __name__ == "__main__":
    box.main()
