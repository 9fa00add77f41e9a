"""Datagrams through a network device of Eagre's own: real eagred with DPDK (af_packet, af_xdp) at one end of a veth pair, the kernel at the
other. What is acknowledged is there once; what is odd is dropped and counted; groups come through a switch that asks for IGMP. Needs root,
network namespaces and an eagred built with libdpdk."""
import collections
import json
import os
import signal
import subprocess
import time
import unittest

import box
import nic_network
from nic_network import NIC_SERVER, TCP_SERVER, must, run

EAGRE, PROBE = os.path.join(box.BIN, "eagre"), os.path.join(box.BIN, "nic_probe")
ADDRESS = f"{NIC_SERVER}/24"
AF_PACKET, AF_XDP = "net_af_packet0,iface=nic0", "net_af_xdp0,iface=nic0,busy_budget=0"
PAGES_WANTED = 160  # Of 2 MiB.
PAGES = "/proc/sys/vm/nr_hugepages"


class NicBox(box.Box):
    """An eagred inside the server's namespace."""

    def __init__(self, network, devices, cores, huge, listen):
        super().__init__(cores=cores)
        self.network, self.options = network, ["--listen", listen, "--insecure", "--nic-address", ADDRESS]
        for device in devices:
            self.options += ["--nic", "dpdk:" + device]
        self.options += [] if huge else ["--nic-no-huge"]

    def spawn_eagred(self, *args):
        self.eagred = box.Process(["ip", "netns", "exec", self.network.server, box.EAGRED, "--data", self.data, "--cores", self.cores,
                                   *box.EAGRED_ARGS, *self.options, *args], "eagred")
        self.processes.append(self.eagred)
        return self.eagred

    def nic(self):
        """Of each core."""
        self.wait_for_statistics()
        cores = json.loads(must(EAGRE, "stats", "--data", self.data, "--json", "--interval", "0.1"))["cores"]
        return [core["nic"] for core in cores]

    def put(self, stream, lines, *more):
        return json.loads(self.network.in_client(EAGRE, "put", stream, "--udp", "--json", *self.target(), *more, input="\n".join(lines) + "\n"))

    def lines(self, stream, count):
        return self.network.in_client(EAGRE, "tail", stream, "--from", "trim_horizon", "--count", str(count), *self.target()).splitlines()

    def target(self):
        return ["--data", self.data, "--address", TCP_SERVER, "--port", str(self.ports[0])]


class Nic(unittest.TestCase):
    pages_before = None

    @classmethod
    def tearDownClass(cls):
        if cls.pages_before is not None:
            with open(PAGES, "w") as file:
                file.write(cls.pages_before)

    def setUp(self):
        if not os.access(EAGRE, os.X_OK):
            box.cannot_run(f"{EAGRE} is not built")
        if not os.access(PROBE, os.X_OK):
            self.skipTest("built without libdpdk")

    def network(self, queues=1, switch=False):
        network = nic_network.Network(queues)
        problem = network.problem()
        if problem:
            self.skipTest(problem)
        self.addCleanup(network.remove)
        if switch:
            network.make_behind_switch()
        else:
            network.make()
        return network

    def need_pages(self):
        with open(PAGES) as file:
            before = file.read()
        if int(before) >= PAGES_WANTED:
            return
        if Nic.pages_before is None:
            Nic.pages_before = before
        with open(PAGES, "w") as file:
            file.write(str(PAGES_WANTED))
        with open(PAGES) as file:
            if int(file.read()) < PAGES_WANTED:
                self.skipTest("no memory for huge pages")

    def need_cores(self, count):
        if (os.cpu_count() or 1) < count:
            self.skipTest(f"{count} CPUs")

    def box(self, network, devices, cores="0", huge=False, listen=TCP_SERVER):
        if huge:
            self.need_pages()
        made = NicBox(network, devices, cores, huge, listen)
        self.addCleanup(made.__exit__)
        self.start(made)
        return made

    def start(self, made):
        made.spawn_eagred()
        try:
            made.eagred.wait_for(r"serving on")
        except AssertionError as error:
            if "net_af_xdp" in str(error) and "no such device" in str(error):
                self.skipTest("AF_XDP (kernel with CONFIG_XDP_SOCKETS)")
            raise
        with open(made.path("ports")) as file:
            made.ports = [int(line) for line in file.read().split()]
        made.start_control()
        made.control.wait_for(r"agreed with the dataplane")

    def round_trip(self, made, count=20_000, shards=4):
        """`count` records by datagram, and each of them is there once."""
        must(EAGRE, "stream", "create", "trip", "--shards", str(shards), "--data", made.data)
        lines = [f"record {number} of the trip" for number in range(count)]
        report = made.put("trip", lines)
        self.assertEqual((report["acknowledged"], report["failed"]), (count, 0), report)
        self.assertEqual(collections.Counter(made.lines("trip", count)), collections.Counter(lines))

    def test_af_packet(self):
        network = self.network()
        made = self.box(network, [AF_PACKET])
        self.round_trip(made)
        pong = network.send("echo")
        self.assertEqual((pong["type"], pong["body"], pong["from"]), (0, "ping" * 10, NIC_SERVER))
        self.assertIn(nic_network.NIC_MAC, pong["neighbours"])
        # PACKET_FANOUT has the kernel put fragments together, so that none is ever seen here.
        self.check_odd_frames(network, made, ("vlan", "bad_checksum", "truncated", "options", "oversized"))
        doctor = run(EAGRE, "doctor", "--data", made.data, "--no-measure", "--json").stdout
        rows = {check["name"]: check for check in json.loads(doctor)["checks"] if check["family"] == "nic"}
        self.assertIn("ethtool -K", rows["superframes"]["mend"])
        self.assertIn("checksums", rows)
        # The end by kill -9, and again on the same device.
        made.eagred.kill()
        made.control.kill()
        os.remove(made.path("ports"))
        self.start(made)
        more = [f"after the crash {number}" for number in range(2000)]
        self.assertEqual(made.put("trip", more)["acknowledged"], 2000)
        self.assertEqual(len(set(made.lines("trip", 22_000))), 22_000)
        self.assertEqual(made.eagred.stop(), 0)

    def check_odd_frames(self, network, made, kinds):
        before = made.nic()[0]
        self.assertGreaterEqual(before["arp_in"], 1)
        self.assertEqual(before["bad_checksum"] + before["oversized"] + before["missed"] + before["no_mbuf"], 0, before)
        network.send("odd", port=made.ports[0], each=20)
        if "oversized" in kinds:  # To a device with an XDP program the kernel gives none.
            network.plain(network.client, "wire0", "on")
            network.send("super", port=made.ports[0], count=10)
            network.plain(network.client, "wire0", "off")
        after = made.nic()[0]
        grown = {name: after[name] - before[name] for name in after}
        for name in kinds:
            self.assertEqual(grown[name], {"bad_checksum": 40, "oversized": 10}.get(name, 20), (name, grown))
        self.assertGreaterEqual(grown["not_ours"], 20)

    def test_af_packet_two_queues_huge_pages(self):
        self.need_cores(2)
        made = self.box(self.network(), [AF_PACKET + ",qpairs=2"], "0,1", huge=True)
        self.round_trip(made)
        cores = made.nic()
        self.assertTrue(all(core["link_up"] for core in cores))
        self.assertEqual(sum(core["steer_full"] for core in cores), 0, cores)
        self.assertEqual(made.eagred.stop(), 0)

    def test_af_xdp_one_queue_two_cores(self):
        self.need_cores(2)
        network = self.network()
        made = self.box(network, [AF_XDP], "0,1")
        self.round_trip(made)
        cores = made.nic()
        # Core 1 has no queue: it gets and sends by way of core 0.
        self.assertEqual(cores[1]["rx_packets"], 0)
        self.assertGreater(cores[0]["steered"], 100)
        self.assertGreater(cores[1]["tx_packets"], 10)
        self.check_odd_frames(network, made, ("fragments", "vlan", "bad_checksum", "truncated", "options"))
        # An XDP program stays on the interface when its process is killed.
        made.eagred.kill()
        made.control.kill()
        os.remove(made.path("ports"))
        self.start(made)
        self.assertEqual(made.put("trip", [f"again {number}" for number in range(2000)])["acknowledged"], 2000)
        self.assertEqual(made.eagred.stop(), 0)

    def test_af_xdp_two_queues_huge_pages(self):
        self.need_cores(2)
        network = self.network(queues=2)
        devices = [f"net_af_xdp{queue},iface=nic0,start_queue={queue},busy_budget=0" for queue in (0, 1)]
        made = self.box(network, devices, "0,1", huge=True)
        self.round_trip(made)
        self.assertEqual(made.eagred.stop(), 0)

    def feed(self, made, name):
        return json.loads(must(EAGRE, "feed", "describe", name, "--json", "--data", made.data))["stats"]

    def test_a_feed_on_two_lines_and_a_kill(self):
        self.need_cores(2)
        network = self.network()
        made = self.box(network, [AF_XDP], "0,1")
        must(EAGRE, "stream", "create", "ticks", "--shards", "4", "--data", made.data)
        lines = [f"{NIC_SERVER}:5400", f"{NIC_SERVER}:5401"]
        must(EAGRE, "feed", "add", "itch", "--stream", "ticks", "--udp", lines[0], "--udp", lines[1], "--framing", "moldudp64", "--key", "bytes:1:2",
             "--data", made.data)
        network.send("echo")

        def play(first, session, *more):
            return json.loads(network.in_client(EAGRE, "feed", "generate", "--to", lines[0], "--to", lines[1], "--rate", "50000", "--messages", "30000",
                                                "--first", str(first), "--session", session, "--json", *more))
        sent = play(1, "DAY", "--drop", "5")
        self.assertGreater(sent["lost_messages"], 0)
        self.wait_until(lambda: self.feed(made, "itch")["durable_sequence"] == 30_001, "the feed is durable")
        stats = self.feed(made, "itch")
        self.assertEqual(stats["records"] + stats["gap_messages"], 30_000, stats)
        self.assertGreaterEqual(stats["gap_messages"], sent["lost_messages"])
        # What was durable before the kill is not stored again, what goes by meanwhile is told as missing.
        made.eagred.kill()
        made.control.kill()
        os.remove(made.path("ports"))
        play(30_001, "DAY")
        self.start(made)
        network.send("echo")
        play(29_001, "DAY")  # The last 1,000 again; then what went by, which can still be had.
        self.wait_until(lambda: self.feed(made, "itch")["durable_sequence"] == 59_001, "the feed goes on")
        # What a machine that pauses had no room for is told as missing, as what the lines lose.
        before = self.feed(made, "itch")
        self.assertEqual(before["records"] + before["gap_messages"], 29_000, before)
        self.assertTrue(before["gap_messages"] == 0 or sum(line["overflowed"] for line in before["lines"]) > 0 or sum(core["missed"] for core in made.nic()) > 0, before)
        play(60_001, "DAY")
        self.wait_until(lambda: self.feed(made, "itch")["durable_sequence"] == 90_001, "the feed goes on behind a gap")
        after = self.feed(made, "itch")
        self.assertEqual(after["records"] + after["gap_messages"], 60_000)
        self.assertGreaterEqual(after["gap_messages"], before["gap_messages"] + 1000)
        everything = network.in_client(EAGRE, "tail", "ticks", "--from", "trim_horizon", "--no-follow", "--format", "json", *made.target()).splitlines()
        numbers = collections.Counter(record["source_sequence"] for record in map(json.loads, everything) if not record.get("gap"))
        self.assertEqual((max(numbers.values()), len(numbers)), (1, 90_000 - stats["gap_messages"] - after["gap_messages"]))
        self.assertEqual(made.eagred.stop(), 0)

    def test_feeds_of_groups_behind_a_switch(self):
        network = self.network(switch=True)
        must("ip", "-n", network.server, "link", "set", "lo", "up")
        made = self.box(network, [AF_PACKET], listen="127.0.0.1")
        must(EAGRE, "stream", "create", "s", "--shards", "1", "--data", made.data)
        for name, group, more in (("any", "239.1.1.1:7001", []), ("ours", "239.1.1.2:7002", ["--source", "10.89.0.1"]), ("theirs", "239.1.1.2:7002", ["--source", "10.89.0.77"])):
            must(EAGRE, "feed", "add", name, "--stream", "s", "--udp", group, *more, "--framing", "raw", "--data", made.data)
        self.wait_until(lambda: "239.1.1.1" in network.groups() and "239.1.1.2" in network.groups(), "the switch has heard our reports")
        network.send("echo")

        def both_have_come():
            network.send("numbered", targets=[("239.1.1.1", 7001), ("239.1.1.2", 7002)], count=200)
            return all(self.feed(made, name)["records_durable"] >= 200 for name in ("any", "ours"))
        self.wait_until(both_have_come, "both groups")
        self.assertEqual(self.feed(made, "theirs")["records"], 0)
        must(EAGRE, "feed", "remove", "any", "--data", made.data)
        self.wait_until(lambda: "239.1.1.1" not in network.groups(), "the switch has heard that we left")
        self.assertEqual(made.eagred.stop(), 0)

    def test_inlets_behind_a_switch_that_wants_igmp(self):
        self.need_cores(2)
        network = self.network(switch=True)
        everybody, by_source, unwanted = ("239.1.1.1", 7001), ("239.1.1.2", 7002), ("239.1.1.1", 7009)
        inlets = ["0,239.1.1.1:7001", "1,239.1.1.1:7001", "1,239.1.1.2:7002,10.89.0.1", "0,239.1.1.2:7002,10.89.0.77", f"1,{NIC_SERVER}:7003"]
        probe = box.Process(["ip", "netns", "exec", network.server, PROBE, "--nic", AF_PACKET, "--address", ADDRESS, "--cores", "2", "--no-huge"] +
                            [part for inlet in inlets for part in ("--inlet", inlet)], "nic_probe")
        try:
            probe.wait_for(r"ready")
            self.wait_until(lambda: "239.1.1.1" in network.groups() and "239.1.1.2" in network.groups(), "the switch has heard our reports")
            # A switch sends to all until it has been querying for a while itself; from then on our port gets what we have asked for.
            count = 3000
            targets = [everybody, by_source, unwanted, (NIC_SERVER, 7003), ("239.1.1.33", 7001)]
            deadline = time.monotonic() + 2.5
            while time.monotonic() < deadline:  # Two of its rounds: what it asks is answered.
                os.sched_yield()
                time.sleep(0.1)
            network.send("echo")  # So that the sender's kernel knows us, and keeps none back to ask first.
            network.send("numbered", targets=targets, count=count)
            time.sleep(0.3)
        finally:
            probe.child.send_signal(signal.SIGTERM)
            probe.wait_exit()
        result = json.loads(probe.text().splitlines()[-1])
        for inlet, expected in zip(inlets, (count, count, count, 0, count)):
            got = result["inlets"][inlet]
            self.assertEqual((got["datagrams"], got["distinct"], got["disordered"], got["unstamped"]), (expected, expected, 0, 0),
                             (inlet, result))
        self.assertGreaterEqual(sum(core["igmp_queries"] for core in result["cores"]), 1, result)
        self.assertGreater(result["cores"][0]["steered"], 2 * count - 1)
        # 239.1.1.33 was never asked for: the switch has kept it. The unwanted port came and was not ours.
        self.assertLess(result["cores"][0]["not_ours"], 2 * count, result)
        self.wait_until(lambda: "239.1.1.1" not in network.groups(), "the switch has heard that we left")

    def wait_until(self, reached, what, timeout_s=10):
        deadline = time.monotonic() + timeout_s
        while not reached():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.05)

    def test_refused(self):
        with box.Box() as made:
            for args, status, said in (
                    (["--nic", "dpdk:net_af_packet0,iface=lo"], 2, "--nic-address"),
                    (["--nic", "dpdk:net_af_packet0,iface=lo", "--nic-address", ADDRESS], 1, "Insecure"),
                    (["--nic", "dpdk:net_af_packet0,iface=nowhere9", "--nic-address", ADDRESS, "--insecure", "--nic-no-huge"], 1, "nowhere9|--nic:"),
                    (["--nic", "wifi"], 2, "--nic can't be 'wifi'"),
                    (["--nic-address", "10.0.0.1"], 2, "--nic-address can't be"),
                    (["--nic-gateway", "::1"], 2, "--nic-gateway can't be")):
                process = made.spawn_eagred(*args)
                self.assertEqual(process.wait_exit(), status, process.text())
                self.assertRegex(process.text(), said)


if __name__ == "__main__":
    box.main()
