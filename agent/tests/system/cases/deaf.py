"""Clients that ask and never read, on a real agent that is master: no advert waits for them, and they cost little."""

import os
import signal
import socket
import struct
import subprocess
import time

from cases.signed import GROUP
from harness.cases import case
from harness.daemon import OURS, binary
from harness.net import inside

SO_TIMESTAMPNS = 35  # Python has no name for it
INTERVAL = 1.0


def arrivals(node, seconds):
    """When adverts arrived, by the kernel's clock."""
    moments, deadline = [], time.monotonic() + seconds
    with inside(node.name), socket.socket(socket.AF_INET, socket.SOCK_RAW, 112) as s:
        member = struct.pack("4s4si", socket.inet_aton(GROUP), b"\0" * 4, socket.if_nametoindex("eth0"))
        s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        s.settimeout(2 * INTERVAL)
        while time.monotonic() < deadline:
            _, ancillary, _, _ = s.recvmsg(2048, 64)
            whole, nanoseconds = struct.unpack("qq", ancillary[0][2])
            moments.append(whole + nanoseconds / 1e9)
    return moments


def resident(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


@case("clients that never read, in both dialects, delay no advert and cost little", makes=(OURS,), group="console")
def deaf(two):
    two.settle()
    agent = two.high
    before = resident(agent.process.pid)
    sockets, stopped = [], []
    try:
        for nth in range(90):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(0.2)
            sockets.append(s)
            try:
                s.connect(agent.socket_path)
                # A dozen follow events; others ask for much, or send what means nothing; some are one too many.
                s.sendall(b'{"op":"watch","topics":["state","config","vrrp"]}\n' if nth < 12 else b"" if nth % 3 else b"\xff" * 64)
                s.sendall(b'{"op":"schema"}\n' * 20 if nth % 3 == 1 else b'{"op":"sta' if nth % 3 else b"")
            except OSError:
                pass  # it is let go, as it may be
        for _ in range(2):
            child = subprocess.Popen([binary("lbctl"), "-s", agent.socket_path, "events", "-f"], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
            stopped.append(child)
        time.sleep(0.5)
        for child in stopped:
            child.send_signal(signal.SIGSTOP)
        for _ in range(3):
            agent.reload()
        moments = arrivals(two.low.node, 3.6)
        gaps = [later - earlier for earlier, later in zip(moments, moments[1:])]
        grown = resident(agent.process.pid) - before
        assert len(gaps) >= 2 and max(gaps) < INTERVAL + 0.15, gaps
        assert two.owners() == ["high"], two.owners()
        assert grown < 64, f"{grown:.1f} MiB more"
    finally:
        for s in sockets:
            s.close()
        for child in stopped:
            child.kill()
            child.wait()
    agent.ctl("status")
    return f"at most {max(gaps):.3f} s between adverts of {INTERVAL:.0f} s, {grown:.1f} MiB more"
