"""Load for the Kinesis API: requests that were made beforehand, over HTTP/1.1, so that the client costs little beside the server."""
import base64
import json
import re
import selectors
import socket
import threading
import time

TARGET = "Kinesis_20131202."
RECORDS_PER_CALL = 500
FAILED = re.compile(rb'"FailedRecordCount":\s*([1-9])')
LENGTH = re.compile(rb"content-length: *(\d+)", re.I)
# Emulators check that there is a signature, and not which.
SIGNED = ("Authorization: AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=a\r\n"
          "X-Amz-Date: 20260101T000000Z\r\n")


class LoadError(Exception):
    """An answer was not what a good server gives."""


def request(operation, body):
    if not isinstance(body, str):
        body = json.dumps(body)
    return (f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Target: {TARGET}{operation}\r\n{SIGNED}"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


class Connection:
    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray(1 << 20)

    def close(self):
        self.sock.close()

    def call(self, data):
        """The body of the answer to a whole request."""
        self.sock.sendall(data)
        got = b""
        while (end := got.find(b"\r\n\r\n")) < 0:
            piece = self.sock.recv(1 << 20)
            if not piece:
                raise LoadError(f"closed after {got[:200]!r}")
            got += piece
        length = LENGTH.search(got, 0, end)
        if not got.startswith(b"HTTP/1.1 200") or length is None:
            raise LoadError(f"{got[:600]!r}")
        pieces, left = [got[end + 4:]], int(length.group(1)) - (len(got) - end - 4)
        while left > 0:
            piece = self.sock.recv(1 << 20)
            if not piece:
                raise LoadError("closed in an answer")
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def ask(self, operation, body):
        answer = self.call(request(operation, body))
        return json.loads(answer) if answer else None


def put_records_calls(stream, data_bytes, count=16):
    import random
    draw = random.Random(20131007)
    data = [base64.b64encode(draw.randbytes(data_bytes)).decode() for _ in range(RECORDS_PER_CALL)]
    return [request("PutRecords", {"StreamName": stream, "Records": [
        {"Data": data[(i + j) % RECORDS_PER_CALL], "PartitionKey": f"key-{(i * 31 + j) % 1000}"} for j in range(RECORDS_PER_CALL)]})
        for i in range(count)]


def put_records(port, calls, connections, seconds):
    """(records acknowledged, seconds)"""
    counts, errors = [0] * connections, []
    end = time.monotonic() + seconds

    def work(index):
        connection = Connection(port)
        try:
            i = index
            while time.monotonic() < end:
                answer = connection.call(calls[i % len(calls)])
                if FAILED.search(answer, 0, 4096) or FAILED.search(answer, max(0, len(answer) - 200)):
                    raise LoadError(f"records failed: {answer[:300]!r}")
                counts[index] += RECORDS_PER_CALL
                i += 1
        except (LoadError, OSError) as error:
            errors.append(error)
        finally:
            connection.close()
    begin = time.monotonic()
    threads = [threading.Thread(target=work, args=(index,)) for index in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return sum(counts), time.monotonic() - begin


def put_record(port, call, connections, seconds):
    """One call at a time on each of many connections: (calls per second, latencies in ms, sorted)."""
    selector = selectors.DefaultSelector()
    began, latencies, all_of = {}, [], []
    for _ in range(connections):
        sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(sock, selectors.EVENT_READ)
        all_of.append(sock)
    begin = time.perf_counter()
    for sock in all_of:
        began[sock] = time.perf_counter()
        sock.sendall(call)
    while time.perf_counter() - begin < seconds:
        for key, _ in selector.select(5):
            sock = key.fileobj
            answer = sock.recv(65536)
            now = time.perf_counter()
            if not answer.startswith(b"HTTP/1.1 200"):
                raise LoadError(f"{answer[:300]!r}")
            latencies.append((now - began[sock]) * 1e3)
            began[sock] = now
            sock.sendall(call)
    took = time.perf_counter() - begin
    for sock in all_of:
        sock.close()
    return len(latencies) / took, sorted(latencies)


def get_records(port, stream, seconds):
    """Reads the first shard from its beginning, again when it has come to its end: (bytes of record data, seconds)."""
    connection = Connection(port)
    shard = connection.ask("ListShards", {"StreamName": stream})["Shards"][0]["ShardId"]
    beginning = {"StreamName": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    iterator = connection.ask("GetShardIterator", beginning)["ShardIterator"]
    count, begin = 0, time.monotonic()
    record_bytes = None
    while time.monotonic() - begin < seconds:
        answer = connection.call(request("GetRecords", {"ShardIterator": iterator}))
        count += answer.count(b'"SequenceNumber"')
        if record_bytes is None and count:
            record_bytes = len(base64.b64decode(json.loads(answer)["Records"][0]["Data"]))
        rest = json.loads(b"{" + answer[answer.rindex(b'"NextShardIterator"'):])
        iterator = rest["NextShardIterator"]
        if rest["MillisBehindLatest"] == 0:
            iterator = connection.ask("GetShardIterator", beginning)["ShardIterator"]
    took = time.monotonic() - begin
    connection.close()
    if not count:
        raise LoadError("nothing to read")
    return count * record_bytes, took


class Subscription:
    """One shard from its newest record on, over HTTP/1.1."""

    def __init__(self, port, consumer, shard):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.sock.sendall(request("SubscribeToShard", {"ConsumerARN": consumer, "ShardId": shard, "StartingPosition": {"Type": "LATEST"}}))
        got = b""
        while b"initial-response" not in got:
            piece = self.sock.recv(65536)
            got += piece
            if not piece or not got.startswith(b"HTTP/1.1 200"[:len(got)]):
                raise LoadError(f"no subscription: {got[:500]!r}")

    def close(self):
        self.sock.close()


def subscribe_all(port, stream, consumer):
    connection = Connection(port)
    arn = connection.ask("DescribeStreamSummary", {"StreamName": stream})["StreamDescriptionSummary"]["StreamARN"]
    made = connection.ask("RegisterStreamConsumer", {"StreamARN": arn, "ConsumerName": consumer})["Consumer"]["ConsumerARN"]
    shards = [shard["ShardId"] for shard in connection.ask("ListShards", {"StreamName": stream})["Shards"]]
    connection.close()
    return [Subscription(port, made, shard) for shard in shards]
