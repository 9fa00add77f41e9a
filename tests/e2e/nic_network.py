"""Two network namespaces with two wires between them, for tests of a network device of Eagre's own: over one go TCP and the kernel, the other
ends in DPDK. Run as a program it sends from inside a namespace what no ordinary socket would."""
import json
import os
import socket
import struct
import subprocess
import sys

TCP_SERVER, TCP_CLIENT = "10.88.0.2", "10.88.0.1"
NIC_SERVER, NIC_CLIENT = "10.89.0.2", "10.89.0.1"
NIC_MAC = "02:00:00:00:00:12"
ETH_IP, ETH_VLAN, ETH_ARP = 0x0800, 0x8100, 0x0806
UDP_SEGMENT = 103
HERE = os.path.abspath(__file__)


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **more)


def must(*command, **more):
    done = run(*command, **more)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.stderr}{done.stdout}")
    return done.stdout


class Network:
    """Server `nic0` (DPDK's, without an address) - client `wire0`; server `tcp0` - client `tcp1`."""

    def __init__(self, queues=1):
        Network.count = getattr(Network, "count", 0) + 1
        tag = f"eagrenic{os.getpid()}x{Network.count}"
        self.server, self.client, self.switch, self.queues, self.spaces = f"{tag}s", f"{tag}c", f"{tag}w", queues, []

    def problem(self):
        """What keeps it from being made here; empty: it can be."""
        for tool in ("ip", "ethtool"):
            if run("sh", "-c", f"command -v {tool}").returncode != 0:
                return f"{tool} is not installed"
        done = run("ip", "netns", "add", self.server)
        if done.returncode != 0:
            return f"network namespaces: {done.stderr.strip()}"
        self.spaces.append(self.server)
        return ""

    def space(self, name):
        if name not in self.spaces:
            must("ip", "netns", "add", name)
            self.spaces.append(name)
        must("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        must("ip", "-n", name, "link", "set", "lo", "up")

    def make(self):
        for name in (self.server, self.client):
            self.space(name)
        self.pair(self.client, "tcp1", self.server, "tcp0")
        must("ip", "-n", self.server, "address", "add", f"{TCP_SERVER}/24", "dev", "tcp0")
        must("ip", "-n", self.client, "address", "add", f"{TCP_CLIENT}/24", "dev", "tcp1")
        self.pair(self.client, "wire0", self.server, "nic0", NIC_MAC)
        must("ip", "-n", self.client, "address", "add", f"{NIC_CLIENT}/24", "dev", "wire0")
        self.plain(self.client, "wire0")

    def make_behind_switch(self):
        """The client's wire and the device at a bridge that sends groups only to those who have said that they want them."""
        for name in (self.server, self.client, self.switch):
            self.space(name)
        must("ip", "-n", self.switch, "link", "add", "switch0", "type", "bridge", "mcast_snooping", "1",
             "mcast_query_response_interval", "100", "mcast_query_interval", "200", "mcast_startup_query_interval", "100")
        # Only now: it trusts what it has heard after one response interval, and that was 10 s before.
        must("ip", "-n", self.switch, "link", "set", "switch0", "type", "bridge", "mcast_querier", "1")
        self.pair(self.client, "wire0", self.switch, "port0")
        self.pair(self.switch, "port1", self.server, "nic0", NIC_MAC)
        must("ip", "-n", self.client, "address", "add", f"{NIC_CLIENT}/24", "dev", "wire0")
        must("ip", "-n", self.client, "route", "add", "224.0.0.0/4", "dev", "wire0")
        for port in ("port0", "port1"):
            must("ip", "-n", self.switch, "link", "set", port, "master", "switch0")
        must("bridge", "-n", self.switch, "link", "set", "dev", "port1", "mcast_flood", "off")
        must("ip", "-n", self.switch, "link", "set", "switch0", "up")
        self.plain(self.client, "wire0")

    def pair(self, first_space, first, second_space, second, mac=None):
        queues = ["numrxqueues", str(self.queues), "numtxqueues", str(self.queues)]
        must("ip", "link", "add", first, "netns", first_space, *queues, "type", "veth", "peer", "name", second, "netns", second_space,
             *(["address", mac] if mac else []), *queues)
        must("ip", "-n", first_space, "link", "set", first, "up")
        must("ip", "-n", second_space, "link", "set", second, "up")

    @staticmethod
    def plain(space, device, state="off"):
        """No card is there that would finish what the kernel leaves undone: checksums, and cutting up."""
        must("ip", "netns", "exec", space, "ethtool", "-K", device, "tx", state, "gso", state, "tso", state)

    def in_client(self, *command, **more):
        return must("ip", "netns", "exec", self.client, *command, **more)

    def send(self, what, **options):
        return json.loads(self.in_client(sys.executable, HERE, what, json.dumps(options)))

    def groups(self):
        return run("bridge", "-n", self.switch, "mdb", "show").stdout

    def remove(self):
        for name in self.spaces:
            run("ip", "netns", "del", name)
        self.spaces = []


# -- From inside a namespace.
def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip_packet(protocol, payload, fragment=0, options=b"", length=None, spoil=0):
    words = 5 + len(options) // 4
    header = struct.pack("!BBHHHBBH4s4s", 0x40 | words, 0, length or words * 4 + len(payload), 7, fragment, 64, protocol, 0,
                         socket.inet_aton(NIC_CLIENT), socket.inet_aton(NIC_SERVER)) + options
    value = checksum(header) ^ spoil
    return header[:10] + struct.pack("!H", value) + header[12:] + payload


def udp_message(port, payload, spoil=0):
    length = 8 + len(payload)
    pseudo = socket.inet_aton(NIC_CLIENT) + socket.inet_aton(NIC_SERVER) + struct.pack("!BBH", 0, 17, length)
    header = struct.pack("!HHHH", 5555, port, length, 0)
    value = checksum(pseudo + header + payload) or 0xffff
    return struct.pack("!HHHH", 5555, port, length, value ^ spoil) + payload


def send_odd_frames(port, each):
    """`each` of every kind that is dropped and counted, or taken all the same."""
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    link.bind(("wire0", 0))
    to = bytes.fromhex(NIC_MAC.replace(":", ""))
    own = link.getsockname()[4]

    def frame(packet, kind=ETH_IP, tag=b""):
        return (to + own + tag + struct.pack("!H", kind) + packet).ljust(60, b"\0")
    good = udp_message(port, b"x" * 100)
    frames = {
        "fragments": frame(ip_packet(17, good, fragment=0x2000)),
        "vlan": frame(ip_packet(17, good), tag=struct.pack("!HH", ETH_VLAN, 5)),
        "bad_udp": frame(ip_packet(17, udp_message(port, b"x" * 100, spoil=1))),
        "bad_ip": frame(ip_packet(17, good, spoil=1)),
        "options": frame(ip_packet(17, good, options=b"\1" * 8)),
        "truncated": frame(ip_packet(17, good, length=600)),
        "other_port": frame(ip_packet(17, udp_message(9, b"x"))),
    }
    for _ in range(each):
        for data in frames.values():
            link.send(data)
    return {"each": each}


def send_superframes(port, count):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1000)
    for _ in range(count):
        sock.sendto(b"y" * 8000, (NIC_SERVER, port))
    return {"count": count}


def echo():
    """Whether a ping comes back."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    sock.settimeout(5)
    body = struct.pack("!BBHHH", 8, 0, 0, 77, 1) + b"ping" * 10
    sock.sendto(body[:2] + struct.pack("!H", checksum(body)) + body[4:], (NIC_SERVER, 0))
    data, source = sock.recvfrom(2000)
    neighbours = run("ip", "neighbour", "show", "dev", "wire0").stdout
    return {"type": data[20], "body": data[28:].decode(), "from": source[0], "neighbours": neighbours}


def send_numbered(targets, count, pause_every=50):
    """Datagrams numbered from 1, to each target in turn."""
    import time
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
    for number in range(1, count + 1):
        for host, port in targets:
            sock.sendto(struct.pack("!I", number) + b"z" * 200, (host, port))
        if number % pause_every == 0:
            time.sleep(0.002)  # A pace, not a wait: the receiver shares two CPUs with us.
    return {"count": count}


if __name__ == "__main__":
    print(json.dumps({"odd": send_odd_frames, "super": send_superframes, "echo": echo, "numbered": send_numbered}[sys.argv[1]](
        **json.loads(sys.argv[2]))))
