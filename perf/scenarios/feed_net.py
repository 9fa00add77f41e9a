"""Two hosts on one machine: namespaces with a veth pair between them, the sender in one, the box in the other; and a box that captures."""
import json
import os
import subprocess
import time

from report.bench import GENERATOR_CPU, SERVER_CPU, BenchError, Server

SENDER, BOX = "10.78.0.1", "10.78.0.2"
START_SECONDS_MAX = 60


def tool(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(map(str, command))}: {done.stderr.strip()} (needs root, iproute2 and ethtool)")


class Net:
    """`kernel`: the box's end has its address from the kernel, or none because a device driver of its own answers there."""

    def __init__(self, kernel):
        self.out, self.box = f"eagre-out-{os.getpid()}", f"eagre-box-{os.getpid()}"
        a, b = f"ego{os.getpid() % 100_000}", f"egb{os.getpid() % 100_000}"
        self.interface = b
        for name in (self.out, self.box):
            tool("ip", "netns", "add", name)
        tool("ip", "link", "add", a, "type", "veth", "peer", "name", b)
        for name, link in ((self.out, a), (self.box, b)):
            tool("ip", "link", "set", link, "netns", name)
            tool("ip", "netns", "exec", name, "sysctl", "-qw", f"net.ipv6.conf.{link}.disable_ipv6=1")
            tool("ip", "-n", name, "link", "set", "lo", "up")
            tool("ip", "-n", name, "link", "set", link, "up")
            # Whole packets with sums of their own: what goes past the kernel has nobody to finish them.
            tool("ip", "netns", "exec", name, "ethtool", "-K", link, "tx", "off", "gso", "off", "tso", "off", "gro", "off")
        tool("ip", "-n", self.out, "addr", "add", f"{SENDER}/24", "dev", a)
        if kernel:
            tool("ip", "-n", self.box, "addr", "add", f"{BOX}/24", "dev", b)

    def close(self):
        for name in (self.out, self.box):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def device(kind, net):
    return {"af_packet": f"net_af_packet0,iface={net.interface}", "af_xdp": f"net_af_xdp0,iface={net.interface},busy_budget=0"}[kind]


def no_huge_pages():
    with open("/proc/sys/vm/nr_hugepages", encoding="ascii") as file:
        return int(file.read()) < 128


def nic_flags(kind, net):
    """Of eagred. Kernel sockets: none."""
    return [] if kind == "uring" else ["--nic", "dpdk:" + device(kind, net), "--nic-address", BOX + "/24", "--insecure", *(["--nic-no-huge"] if no_huge_pages() else [])]


class FeedBox(Server):
    """eagred in the box's namespace, with a feed."""

    def __init__(self, bench, name, net, kind, lines, framing="raw", key="bytes:0:2", shards=4, wait="spin", retention="5s", **flags):
        self.data, self.name_of_run = bench.folder(name), name
        settings = {"cores": SERVER_CPU, "wait": wait, "sched": "idle" if wait == "spin" else "other", "ready_segments": 12, **flags}
        command = ["ip", "netns", "exec", net.box, bench.binary("eagred"), "--data", self.data, "--port", "0", *nic_flags(kind, net)]
        for flag, value in settings.items():
            command += ["--" + flag.replace("_", "-"), str(value)]
        super().__init__(bench, name, command, os.path.join(bench.root_folder, f"{name}.log"))
        self.wait_until(lambda: os.path.exists(os.path.join(self.data, "ports")), "to serve")
        control = Server(bench, "eagre-control", [bench.binary("eagre-control"), "--data", self.data], os.path.join(bench.root_folder, f"{name}-control.log"))
        try:
            self.wait_until(lambda: self.cli("stream", "create", "feed", "--shards", shards, "--retention", retention), "a stream")
            more = [part for line in lines for part in ("--udp", line)]
            if not self.cli("feed", "add", "f", "--stream", "feed", *more, "--framing", framing, "--key", key):
                raise BenchError(f"no feed: {self.last}\n{self.said()[-800:]}")
        finally:
            control.end()
        self.check_alive()

    def wait_until(self, done, what):
        end = time.monotonic() + START_SECONDS_MAX
        while not done():
            self.check_alive()
            if time.monotonic() > end:
                raise BenchError(f"{self.name}: waited for {what}: {getattr(self, 'last', '')} {self.said()[-800:]}")
            time.sleep(0.05)

    def cli(self, *arguments):
        done = subprocess.run([self.bench.binary("eagre"), *map(str, arguments), "--data", self.data], capture_output=True, text=True, check=False, timeout=60)
        self.last = done.stdout + done.stderr
        return done.returncode == 0

    def stats(self):
        self.check_alive()
        time.sleep(0.25)
        whole = self.bench.driver("stats", os.path.join(self.data, "stats.shm"))
        if not self.cli("stats", "--json", "--interval", 0.05):
            raise BenchError(self.last)
        whole["feed"] = json.loads(self.last)["feeds"][0]
        return whole

    def settle(self, records, seconds=10):
        """Until so many records are durable, or nothing has come for a while."""
        end = time.monotonic() + seconds
        before = -1
        while time.monotonic() < end:
            now = self.stats()["feed"]["records_durable"]
            if now >= records or now == before:
                return
            before = now
            time.sleep(0.2)


def blast(bench, net, *arguments, seconds=None):
    command = ["ip", "netns", "exec", net.out, bench.binary("perf_feed_blast"), "--cpu", str(GENERATOR_CPU), "--seconds", str(seconds or bench.options.seconds), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout.strip().splitlines()[-1])


class Sink(Server):
    """The program that only counts."""

    def __init__(self, bench, net, kind, lines, seconds):
        nic = [] if kind == "uring" else ["--nic", device(kind, net), "--nic-address", BOX, *(["--no-huge"] if no_huge_pages() else [])]
        command = ["ip", "netns", "exec", net.box, bench.binary("feed_sink"), "--cpu", str(SERVER_CPU), "--seconds", str(seconds), "--root", bench.folder("sink"), *nic]
        for line in lines:
            command += ["--udp", line]
        super().__init__(bench, "feed_sink", command, os.path.join(bench.root_folder, f"sink-{time.monotonic_ns()}.log"))
        end = time.monotonic() + START_SECONDS_MAX
        while "ready" not in self.said():
            self.check_alive()
            if time.monotonic() > end:
                raise BenchError(f"feed_sink: {self.said()[-500:]}")
            time.sleep(0.02)

    def result(self):
        self.process.wait(60)
        said = self.said()
        if self in self.bench.children:
            self.bench.children.remove(self)
        return json.loads(said.strip().splitlines()[-1])


def warm(bench, net, line):
    """ARP, both ways: the first datagrams of a run must not wait for it."""
    blast(bench, net, "--to", line, "--rate", 1000, seconds=0.3)
