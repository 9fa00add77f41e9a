"""Datagrams between real processes in network namespaces, over veth pairs with a wire between them that loses, repeats and
swaps datagrams: what is acknowledged is there once and in order. Needs root and network namespaces."""
import json
import os
import subprocess
import sys
import unittest

import box

EAGRE = os.path.join(box.BIN, "eagre")
SERVER, CLIENT = "10.77.0.1", "10.77.0.2"
RECORDS, KEYS = 6000, 50
PORT = 4568


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, **more)
    return done


def must(*command):
    done = run(*command)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.stderr}{done.stdout}")
    return done.stdout


class Network:
    """server namespace - veth - middle namespace - veth - client namespace."""

    def __init__(self):
        tag = f"eagre{os.getpid()}"
        self.server, self.middle, self.client = (f"{tag}{part}" for part in "smc")
        self.spaces = []

    def make(self):
        for space in (self.server, self.middle, self.client):
            done = run("ip", "netns", "add", space)
            if done.returncode != 0:
                self.remove()
                box.cannot_run(f"network namespaces: {done.stderr.strip()}")
            self.spaces.append(space)
        for space, address, inside in ((self.server, SERVER, "first"), (self.client, CLIENT, "second")):
            must("ip", "-n", self.middle, "link", "add", inside, "type", "veth", "peer", "name", "eth0", "netns", space)
            must("ip", "-n", self.middle, "link", "set", inside, "up", "promisc", "on")
            must("ip", "-n", space, "link", "set", "lo", "up")
            must("ip", "-n", space, "address", "add", f"{address}/24", "dev", "eth0")
            # One frame at a time: the wire takes no bundle of segments that a card would cut up.
            must("ip", "-n", space, "link", "set", "eth0", "up", "gso_max_segs", "1")

    def remove(self):
        for space in self.spaces:
            run("ip", "netns", "del", space)


class Udp(unittest.TestCase):
    def setUp(self):
        if not os.access(EAGRE, os.X_OK):
            box.cannot_run(f"{EAGRE} is not built")
        self.network = Network()
        self.network.make()
        self.addCleanup(self.network.remove)
        self.box = box.Box()
        self.addCleanup(self.box.__exit__)
        self.start(self.network.server, [box.EAGRED, "--data", self.box.data, *box.EAGRED_ARGS, "--port", str(PORT),
                                         "--listen", SERVER, "--insecure"], "eagred", "serving on")
        self.start(self.network.server, [box.CONTROL, "--data", self.box.data], "eagre-control", "agreed with the dataplane")
        must(EAGRE, "stream", "create", "ticks", "--shards", "4", "--data", self.box.data)

    def start(self, space, command, name, ready):
        process = box.Process(["ip", "netns", "exec", space, *command], name)
        self.box.processes.append(process)
        process.wait_for(ready)
        return process

    def wire(self, percent):
        script = os.path.join(os.path.dirname(__file__), "bad_wire.py")
        return self.start(self.network.middle, [sys.executable, script, "first", "second", str(percent), "7"], "wire", "wire up")

    def in_space(self, space, *command, **more):
        return run("ip", "netns", "exec", space, *command, "--data", self.box.data, "--address", SERVER, "--port", str(PORT), **more)

    def put(self, *more, first=0, count=RECORDS):
        lines = "".join(f"key-{i % KEYS},{i},{'x' * 100}\n" for i in range(first, first + count))
        done = self.in_space(self.network.client, EAGRE, "put", "ticks", "--udp", "--key-column", "1", "--json", *more, input=lines)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        return json.loads(done.stdout.strip().splitlines()[-1])

    def stored(self):
        done = self.in_space(self.network.server, EAGRE, "tail", "ticks", "--from", "trim_horizon", "--no-follow")
        self.assertEqual(done.returncode, 0, done.stderr)
        found = {}
        for line in done.stdout.splitlines():
            key, number, _ = line.split(",")
            found.setdefault(key, []).append(int(number))
        return found

    def datagrams(self):
        # Some counters are brought up to date every 100 ms.
        self.box.wait_for_statistics()
        return json.loads(must(EAGRE, "stats", "--json", "--interval", "0.05", "--data", self.box.data))["cores"][0]["datagrams"]

    def check_all_stored(self, count):
        found = self.stored()
        for key in range(KEYS):
            self.assertEqual(found.get(f"key-{key}"), list(range(key, count, KEYS)), f"key-{key}: lost, doubled or out of order")

    def test_a_good_wire(self):
        self.wire(0)
        self.assertEqual(self.put()["acknowledged"], RECORDS)
        self.check_all_stored(RECORDS)
        counted = self.datagrams()
        self.assertGreater(counted["in"], RECORDS // 20)
        self.assertEqual(counted["refused"], 0)

    def test_a_wire_that_loses_repeats_and_swaps(self):
        self.wire(10)
        self.assertEqual(self.put()["acknowledged"], RECORDS)
        self.check_all_stored(RECORDS)
        counted = self.datagrams()
        self.assertGreater(counted["early"], 0, "a gap was waited for, not sent again from there on")
        self.assertGreater(counted["repeated"], 0)

    def test_a_path_that_is_narrower_than_asked_for(self):
        self.wire(0)
        must("ip", "-n", self.network.client, "link", "set", "eth0", "mtu", "800")
        self.assertEqual(self.put()["acknowledged"], RECORDS)
        self.assertEqual(self.put("--datagram-bytes", "0", first=RECORDS, count=500)["acknowledged"], 500)
        self.check_all_stored(RECORDS + 500)

    def test_fire_and_forget_counts_its_gaps(self):
        self.wire(10)
        self.assertEqual(self.put("--ack", "none")["sent"], RECORDS)
        counted = self.datagrams()
        self.assertGreater(counted["missing"], 0)
        self.assertEqual([producer["missing"] for producer in counted["producers"]], [counted["missing"]])
        # What came is there once; per key nothing is there twice.
        for key, numbers in self.stored().items():
            self.assertEqual(len(numbers), len(set(numbers)), key)


if __name__ == "__main__":
    box.main()
