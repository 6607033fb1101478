"""What a router says on the wire, field by field: adverts, gratuitous ARP, neighbour advertisements; and a router that
says adverts of its own."""

import collections
import ipaddress
import select
import socket
import struct
import threading
import time

from .net import inside

VRRP, ICMPV6 = 112, 58
ALL_ROUTERS = "224.0.0.18"


class Sniffer:
    """Everything the interfaces of many nodes hear until `close`, by a name given to each node."""

    def __init__(self):
        self.sockets, self.heard = {}, collections.defaultdict(list)
        self.ends = False
        self.thread = threading.Thread(target=self._listen, daemon=True)

    def add(self, name, node, *devices):
        for device in devices:
            with inside(node.name):
                s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
                s.bind((device, 3))
            self.sockets[s] = (name, device)

    def start(self):
        self.poll = select.poll()
        self.by_number = {s.fileno(): s for s in self.sockets}
        for number in self.by_number:
            self.poll.register(number, select.POLLIN)
        self.thread.start()

    def _listen(self):
        while not self.ends:
            for number, _ in self.poll.poll(200):
                s = self.by_number[number]
                try:
                    frame, (_, _, kind, _, _) = s.recvfrom(2048)
                except OSError:
                    continue
                name, device = self.sockets[s]
                # Only what comes from the other end of the cable.
                if kind != socket.PACKET_OUTGOING and (said := dissect(frame)):
                    mac = "a router's MAC" if frame[6:10] == b"\x00\x00\x5e\x00" else "the interface's MAC"
                    self.heard[name].append((device, *said, mac))

    def close(self):
        self.ends = True
        self.thread.join()
        for s in self.sockets:
            s.close()


def dissect(frame):
    """The fields of a frame that a router is to be held to, or None."""
    kind, = struct.unpack_from("!H", frame, 12)
    if kind == 0x0806:
        _, _, _, _, op = struct.unpack_from("!HHBBH", frame, 14)
        sender, target = (socket.inet_ntoa(frame[at:at + 4]) for at in (28, 38))
        return ("arp", op, sender, target) if sender == target else None
    if kind == 0x0800:
        head = (frame[14] & 15) * 4
        source, to = (socket.inet_ntoa(frame[at:at + 4]) for at in (26, 30))
        return advert(frame[14 + head:], source, to, frame[22], 4) if frame[23] == VRRP else None
    if kind == 0x86DD:
        source, to = (socket.inet_ntop(socket.AF_INET6, frame[at:at + 16]) for at in (22, 38))
        # Made of the interface's address, which is another in each run.
        source = "its link-local address" if source.startswith("fe80:") else source
        if frame[20] == VRRP:
            return advert(frame[54:], source, to, frame[21], 16)
        if frame[20] == ICMPV6 and frame[54] == 136:
            address = socket.inet_ntop(socket.AF_INET6, frame[62:78])
            # The kernel answers questions about its own; only what nobody asked for is meant.
            return ("na", address, to, frame[58] & 0xE0) if to == "ff02::1" and not address.startswith("fe80:") else None
    return None


def advert(data, source, to, ttl, width):
    """version, id, priority, what follows (password kind or nothing), interval, addresses, password."""
    first, vrid, priority, count, a, b, _ = struct.unpack_from("!BBBBBBH", data)
    version, end = first >> 4, 8 + count * width
    if version == 3:
        a, b = a >> 4, (a & 15) << 8 | b
    addresses = tuple(str(ipaddress.ip_address(data[at:at + width])) for at in range(8, end, width))
    return ("advert", source, to, ttl, version, vrid, priority, a, b, addresses, bytes(data[end:end + 8]).rstrip(b"\0"))


class Router:
    """Another router's adverts, version 2, once a second from `begin` to `end` seconds after now."""

    def __init__(self, node, source, vrid, priority, begin, end, goodbye):
        with inside(node.name):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, VRRP)
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(source))
            self.socket.bind((source, 0))
        self.vrid = vrid
        now = time.monotonic()
        self.due = [(now + begin + i, priority) for i in range(int(end - begin) + 1)]
        if goodbye:
            self.due.append((now + end, 0))
        self.thread = threading.Thread(target=self._speak, daemon=True)
        self.thread.start()

    def _speak(self):
        for at, priority in self.due:
            time.sleep(max(0.0, at - time.monotonic()))
            body = struct.pack("!BBBBBBH4s8x", 0x21, self.vrid, priority, 1, 0, 1, 0, socket.inet_aton("10.20.0.100"))
            total = sum(struct.unpack(f"!{len(body) // 2}H", body))
            total = (total & 0xFFFF) + (total >> 16)
            sum16 = ~(total + (total >> 16)) & 0xFFFF
            try:
                self.socket.sendto(body[:6] + struct.pack("!H", sum16) + body[8:], (ALL_ROUTERS, 0))
            except OSError:
                return

    def close(self):
        self.socket.close()
