"""A box with its gateway, for the scenarios of the Kinesis API."""
import contextlib
import os
import socket
import time

from report.bench import Box, BenchError, Server
from scenarios import kinesis_load as load

SEGMENTS = {"ready_segments": 12}
START_SECONDS_MAX = 30


def wait_for_port(server, port):
    end = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < end:
        server.check_alive()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise BenchError(f"{server.name} does not listen: {server.said()[-1000:]}")


def create(port, stream, shards):
    connection = load.Connection(port)
    connection.ask("CreateStream", {"StreamName": stream, "ShardCount": shards})
    end = time.monotonic() + START_SECONDS_MAX
    while connection.ask("DescribeStreamSummary", {"StreamName": stream})["StreamDescriptionSummary"]["StreamStatus"] != "ACTIVE":
        if time.monotonic() > end:
            raise BenchError(f"stream {stream} does not become ACTIVE")
        time.sleep(0.05)
    connection.close()


class Gateway:
    def __init__(self, bench):
        self.box = Box(bench, "box-kinesis", wait="adaptive", **SEGMENTS)
        end = time.monotonic() + START_SECONDS_MAX
        while not os.path.exists(os.path.join(self.box.data, "ports")):
            self.box.check_alive()
            if time.monotonic() > end:
                raise BenchError(f"eagred does not serve: {self.box.said()[-1000:]}")
            time.sleep(0.02)
        self.control = Server(bench, "eagre-control", [bench.binary("eagre-control"), "--data", self.box.data],
                              os.path.join(bench.root_folder, "kinesis-control.log"))
        self.port = bench.next_port()
        self.server = Server(bench, "eagre-gateway", [bench.binary("eagre-gateway"), "--data", self.box.data, "--port", str(self.port), "--box-port",
                                                      str(self.box.port)], os.path.join(bench.root_folder, "kinesis-gateway.log"))
        wait_for_port(self.server, self.port)

    @contextlib.contextmanager
    def turn(self, bench):
        with bench.turn_of(self.server):
            self.control.resume()
            self.box.resume()
            yield self.server
        self.pause()

    def pause(self):
        self.control.pause()
        self.box.pause()
