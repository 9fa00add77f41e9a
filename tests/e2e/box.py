"""A box under test: eagred and eagre-control as real processes on a data directory and ports of their own, ended by
pid.

Nothing here sleeps to wait: a process is ready when it says so, and every wait has a bound.
"""
import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import wire

BIN = os.environ.get("EAGRE_BIN", os.path.join(os.path.dirname(__file__), "..", "..", "build", "debug", "bin"))
EAGRED, CONTROL = os.path.join(BIN, "eagred"), os.path.join(BIN, "eagre-control")
CANNOT_RUN = 77
# Small segments: a test must not write zeros for seconds.
EAGRED_ARGS = ["--port", "0", "--segment-bytes", "16M", "--ready-segments", "1", "--wait", "block"]
WAIT_S = 30


def cannot_run(why):
    print(f"cannot run here: {why}", file=sys.stderr)
    sys.exit(CANNOT_RUN)


def main():
    """For the test files: runs their tests, or says that they cannot run."""
    for program in (EAGRED, CONTROL):
        if not os.access(program, os.X_OK):
            cannot_run(f"{program} is not built")
    result = unittest.main(verbosity=2, exit=False).result
    if not result.wasSuccessful():
        sys.exit(1)
    if result.skipped:  # Passed, but not all of it: never silently.
        cannot_run("; ".join(f"{test.id()}: {why}" for test, why in result.skipped))


def free_port(count):
    """The first of `count` neighbours that are free and stay so while nobody listens: not of those that the kernel gives to whoever
    connects, or a client that tries again and again takes the port of the very box that it waits for."""
    for first in random.sample(range(20_000, 32_000), 200):
        with contextlib.ExitStack() as probes:
            try:
                for k in range(count):
                    probes.enter_context(socket.socket()).bind(("127.0.0.1", first + k))
                return first
            except OSError:
                continue
    cannot_run("no free ports side by side")


class Process:
    """A child whose output is read line by line as it comes."""

    def __init__(self, args, name):
        self.name, self.lines, self.changed, self.seen_to = name, [], threading.Condition(), 0
        self.child = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True, errors="replace")
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.child.stdout:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.lines.append(None)  # The end.
            self.changed.notify_all()

    def wait_for(self, pattern, timeout_s=WAIT_S):
        """The first line not yet waited past that matches; raises when the process ended or the time is up."""
        deadline = time.monotonic() + timeout_s
        with self.changed:
            while True:
                while self.seen_to < len(self.lines):
                    line = self.lines[self.seen_to]
                    if line is None:
                        raise AssertionError(f"{self.name} ended before it said {pattern!r}:\n{self.text()}")
                    self.seen_to += 1
                    if re.search(pattern, line):
                        return line
                if not self.changed.wait(deadline - time.monotonic()) and time.monotonic() >= deadline:
                    raise AssertionError(f"{self.name} did not say {pattern!r} in {timeout_s} s:\n{self.text()}")

    def wait_exit(self, timeout_s=WAIT_S):
        status = self.child.wait(timeout_s)
        self.reader.join(timeout_s)
        self.child.stdout.close()
        return status

    def text(self):
        return "\n".join(line for line in self.lines if line is not None)

    def running(self):
        return self.child.poll() is None

    def kill(self):
        """kill -9."""
        self.child.kill()
        self.wait_exit()

    def stop(self):
        """SIGTERM; returns the exit status."""
        if self.running():
            self.child.send_signal(signal.SIGTERM)
        try:
            return self.wait_exit()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop:\n{self.text()}") from None


class Box:
    def __init__(self, data=None, cores="0"):
        self.own = data is None
        self.data = data or tempfile.mkdtemp(prefix="eagre-e2e-")
        self.cores, self.eagred, self.control, self.ports, self.processes = cores, None, None, [], []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.running():
                process.kill()
        if self.own:
            shutil.rmtree(self.data, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.data, name)

    def spawn_eagred(self, *args):
        """Starts it without waiting: for starts that fail."""
        self.eagred = Process([EAGRED, "--data", self.data, "--cores", self.cores, *EAGRED_ARGS, *args], "eagred")
        self.processes.append(self.eagred)
        return self.eagred

    def start_eagred(self, *args):
        self.spawn_eagred(*args).wait_for(r"serving on")
        with open(self.path("ports")) as file:
            self.ports = [int(line) for line in file.read().split()]
        return self.eagred

    def spawn_control(self, *args):
        self.control = Process([CONTROL, "--data", self.data, *args], "eagre-control")
        self.processes.append(self.control)
        return self.control

    def start_control(self, *args):
        self.spawn_control(*args).wait_for(r"control: serving")
        return self.control

    def start(self):
        self.start_eagred()
        self.start_control()
        self.control.wait_for(r"agreed with the dataplane")
        return self

    def wait_for_statistics(self, timeout_s=5):
        """Until eagred has done its housekeeping once more (every 0.1 s it stores its heartbeat in stats.shm)."""
        def heartbeat():
            with open(self.path("stats.shm"), "rb") as file:
                return file.read(56 + 24)[72:]
        before, deadline = heartbeat(), time.monotonic() + timeout_s
        while heartbeat() == before:
            assert time.monotonic() < deadline, "eagred's heart stands still"
            os.sched_yield()

    def admin(self, timeout_s=15):
        return wire.Admin(self.path("control.sock"), timeout_s)

    def connect(self, core=0, timeout_s=15, hello=True):
        return wire.Data(self.ports[core], timeout_s, hello)


def key_for(stream, shard):
    """A key that hashes into `shard`."""
    number = 0
    while stream.shard_for(b"k%d" % number).id != shard.id:
        number += 1
    return b"k%d" % number


class Feeder(threading.Thread):
    """Appends batches of numbered records to every shard of a stream, one after the other, durably, until it is stopped
    or the connection breaks. `acknowledged` holds what the box has promised to keep: {shard: [(sequence, key, data),
    ...]}."""

    def __init__(self, box, stream, per_batch=10):
        super().__init__(daemon=True)
        self.stream, self.per_batch, self.enough = stream, per_batch, threading.Event()
        self.acknowledged = {shard.id: [] for shard in stream.shards}
        self.unsure = {}  # The batch whose acknowledgement never came: {shard: [(key, data), ...]}.
        self.error, self.counted = None, threading.Condition()
        self.count = 0
        self.connections = {shard.id: box.connect(shard.core) for shard in stream.shards}

    def run(self):
        number = 0
        try:
            while not self.enough.is_set():
                for shard in self.stream.shards:
                    records = [(self.key_of(shard), b"record %d of %d" % (number + i, shard.id))
                               for i in range(self.per_batch)]
                    self.unsure = {shard.id: records}
                    first = self.connections[shard.id].append(shard.id, records, self.stream.map_version)
                    self.unsure = {}
                    self.acknowledged[shard.id] += [(first + i, key, data) for i, (key, data) in enumerate(records)]
                    with self.counted:
                        self.count += len(records)
                        self.counted.notify_all()
                number += self.per_batch
        except (wire.Disconnected, wire.WireError, OSError) as error:
            self.error = error
        finally:
            with self.counted:
                self.counted.notify_all()
            for connection in self.connections.values():
                connection.close()

    def key_of(self, shard):
        if not hasattr(shard, "key"):
            shard.key = key_for(self.stream, shard)
        return shard.key

    def wait_for(self, more, timeout_s=WAIT_S):
        """Until `more` records have been acknowledged from now on."""
        with self.counted:
            target = self.count + more
            reached = self.counted.wait_for(lambda: self.count >= target or self.error, timeout_s)
            assert reached and not self.error, f"only {self.count} of {target} acknowledged: {self.error}"

    def stop(self):
        self.enough.set()
        self.join(WAIT_S)
        assert not self.is_alive()

    def check(self, box):
        """Everything acknowledged is there, once, in order, byte for byte; behind it at most the batch that was under
        way."""
        for shard in self.stream.shards:
            with box.connect(shard.core) as data:
                found = data.read_all(shard.id)
            promised = self.acknowledged[shard.id]
            assert found[:len(promised)] == promised, f"shard {shard.id}: what was acknowledged is not what is read"
            extra = [(key, data) for _, key, data in found[len(promised):]]
            assert extra in ([], self.unsure.get(shard.id, [])), f"shard {shard.id}: {len(extra)} records from nobody"
            numbers = [sequence for sequence, _, _ in found]
            assert numbers == list(range(1, len(found) + 1)), f"shard {shard.id}: sequence numbers are not dense"
