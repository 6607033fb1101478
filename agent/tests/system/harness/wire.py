"""Captures, and what tshark thinks of them."""

import collections
import signal
import subprocess

from .net import until

# One VRRP packet as tshark dissected it. `checksum` is "1" for right, "0" for wrong.
Packet = collections.namedtuple("Packet", "time source ttl version router priority checksum complaints")

FIELDS = ("frame.time_relative", "ip.src", "ipv6.src", "ip.ttl", "ipv6.hlim", "vrrp.version", "vrrp.virt_rtr_id",
          "vrrp.prio", "vrrp.checksum.status", "_ws.malformed", "_ws.expert.message")


class Capture:
    """tcpdump on an interface of a node, from now until `packets()` is called."""

    def __init__(self, node, device, what="ip proto 112 or ip6 proto 112"):
        self.path = f"{node.world.dir}/{node.short}-{device}.pcap"
        log = f"{node.world.dir}/{node.short}-tcpdump.log"
        self.process = node.spawn(["tcpdump", "-i", device, "-U", "-Z", "root", "-w", self.path, what], log)
        until("tcpdump listens", lambda: "listening on" in _read(log))

    def packets(self):
        """Ends the capture and returns its VRRP packets."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(10)
        words = [w for f in FIELDS for w in ("-e", f)]
        done = subprocess.run(["tshark", "-n", "-r", self.path, "-Y", "vrrp", "-T", "fields", "-E", "separator=|",
                               *words], text=True, capture_output=True, timeout=120)
        assert done.returncode == 0, f"tshark: {done.stderr.strip()}"
        return [_packet(line) for line in done.stdout.splitlines()]


def _packet(line):
    time, ip4, ip6, ttl, hops, version, router, priority, checksum, *complaints = line.split("|")
    return Packet(float(time), ip4 or ip6, int(ttl or hops), int(version), int(router), int(priority), checksum,
                  " ".join(c for c in complaints if c))


def _read(path):
    try:
        with open(path) as f:
            return f.read()
    except FileNotFoundError:
        return ""
