"""A wire between two interfaces that loses, repeats and swaps UDP datagrams: run inside a network namespace that holds
both ends. TCP goes through unharmed. For kernels without tc netem.

Usage: bad_wire.py FIRST SECOND PERCENT SEED   (says "wire up" when it forwards; ends with SIGTERM)
"""
import random
import select
import socket
import struct
import sys

ETHERNET_BYTES = 14
ALL_PROTOCOLS = 3  # ETH_P_ALL
PACKET_OUTGOING = 4
TCP, UDP = 6, 17


def tcp_checksum(frame, header_end):
    """Frames taken from a veth carry half a checksum: the card that there is not would have done the rest."""
    segment = bytearray(frame[header_end:])
    segment[16:18] = b"\0\0"
    pseudo = frame[26:34] + struct.pack("!BBH", 0, TCP, len(segment))
    data = pseudo + bytes(segment) + (b"\0" if len(segment) % 2 else b"")
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return frame[:header_end] + bytes(segment[:16]) + struct.pack("!H", ~total & 0xFFFF) + bytes(segment[18:])


def main():
    names, percent, chance = sys.argv[1:3], int(sys.argv[3]), random.Random(int(sys.argv[4]))
    ends = []
    for name in names:
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        end.bind((name, 0))
        ends.append(end)
    held = {end: None for end in ends}  # A datagram that the next one overtakes.
    print("wire up", flush=True)
    while True:
        ready, _, _ = select.select(ends, [], [], 0.002)
        for end in ends:
            # Nothing has overtaken it in 2 ms: it goes.
            if not ready and held[end] is not None:
                end.send(held[end])
                held[end] = None
        for source in ready:
            target = ends[1 - ends.index(source)]
            frame, where = source.recvfrom(65536)
            if where[2] == PACKET_OUTGOING:
                continue
            is_ipv4 = frame[12:14] == b"\x08\x00"
            header_end = ETHERNET_BYTES + (frame[ETHERNET_BYTES] & 15) * 4
            if not is_ipv4 or frame[23] not in (TCP, UDP):
                target.send(frame)
                continue
            frame = frame[:ETHERNET_BYTES + struct.unpack("!H", frame[16:18])[0]]
            if frame[23] == TCP:
                target.send(tcp_checksum(frame, header_end))
                continue
            if frame[20] & 31 == 0 and frame[21] == 0:  # Not a later fragment, which has no UDP header.
                frame = frame[:header_end + 6] + b"\0\0" + frame[header_end + 8:]  # IPv4 allows UDP without a sum.
            if chance.randrange(100) < percent:
                continue
            copies = 2 if chance.randrange(100) < percent else 1
            if held[target] is None and chance.randrange(100) < percent:
                held[target] = frame
                continue
            for _ in range(copies):
                target.send(frame)
            if held[target] is not None:
                target.send(held[target])
                held[target] = None


if __name__ == "__main__":
    main()
