"""BFD: an instance lets go within the detection time of a session, with keepalived and with BIRD at the other end.

    node  10.21.0.1, fd21::1 ---- peer  10.21.0.2, fd21::2 (keepalived)
                              `-- bird  10.21.0.3, fd21::3 (only where the node is ours)

A session is lost when nothing is heard for 3 x 100 ms.
"""

import os
import signal
import time

from harness.cases import Group, case
from harness.daemon import OURS, THEIRS, daemon, tail
from harness.net import World, stays, until

VIP = "10.21.0.100"
TIMERS = "min_rx 100\n    min_tx 100\n    multiplier 3"


def session(name, me, peer, more=""):
    return f"bfd_instance {name} {{\n    neighbor_ip {peer}\n    source_ip {me}\n    {TIMERS}\n    {more}\n}}\n"


def instance(name, router, address, track):
    return f"""\
vrrp_instance {name} {{
    state BACKUP
    interface eth0
    virtual_router_id {router}
    version 3
    priority 100
    advert_int 0.2
    track_bfd {{
        {track}
    }}
    virtual_ipaddress {{
        {address}/24
    }}
}}
"""


NODE = session("near", "10.21.0.1", "10.21.0.2") + instance("VI_1", 51, VIP, "near")
# Both ends of the sessions with BIRD speak as RFC 5881 wants them to; a server follows one of them.
NODE_OURS = (session("bird4", "10.21.0.1", "10.21.0.3") + session("bird6", "fd21::1", "fd21::3", "hoplimit 255")
             + NODE + """\
virtual_server 10.21.0.110 80 {
    protocol TCP
    real_server 10.21.0.3 80 {
        BFD_CHECK {
            name bird4
        }
    }
}
""")
PEER = session("near", "10.21.0.2", "10.21.0.1") + instance("VI_2", 52, "10.21.0.200", "near weight -10")
BIRD = """\
router id 10.21.0.3;
protocol device { }
protocol bfd {
    interface "eth0" { min rx interval 100 ms; min tx interval 100 ms; idle tx interval 1 s; multiplier 3; };
    neighbor 10.21.0.1 dev "eth0";
    neighbor fd21::1 dev "eth0";
}
"""


class Watched:
    """The node under test, and what stands at the other end of its sessions."""

    def __init__(self, make):
        self.world = World()
        self.node = self.peer = None
        try:
            switch = self.world.switch()
            near, far = self.world.node("node"), self.world.node("peer")
            self.world.plug(switch, near, "10.21.0.1/24", "fd21::1/64")
            self.world.plug(switch, far, "10.21.0.2/24", "fd21::2/64")
            if make == OURS:
                self.bird = self.world.node("bird")
                self.world.plug(switch, self.bird, "10.21.0.3/24", "fd21::3/64")
            self.node = daemon(make, near, NODE_OURS if make == OURS else NODE, label="node")
            self.peer = daemon(THEIRS, far, PEER, label="peer")
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.world.__exit__()

    def logs(self):
        return "\n".join(f"  {d.label}:\n{tail(d.log())}" for d in (self.node, self.peer))

    def holds(self):
        return self.node.node.holds(VIP)

    def end_bird(self):
        self.birds.send_signal(signal.SIGKILL)
        self.birds.wait()


Group.fixture("bfd", Watched)


@case("a lost BFD session is a fault within the detection time, and none once it is back")
def lost(watched):
    watched.node.start()
    stays("no session, no address", lambda: not watched.holds(), during=1)
    watched.peer.start()
    until("the session is up and the address is there", watched.holds, within=8)
    began = time.monotonic()
    os.killpg(watched.peer.process.pid, signal.SIGKILL)
    until("the address is gone", lambda: not watched.holds(), within=3, every=0.005)
    took = time.monotonic() - began
    watched.peer.process.wait()
    watched.peer.start()
    until("the address is back", watched.holds, within=8)
    assert 0.15 < took < 0.7, f"gone after {took} s; 0.2 to 0.3 s is right"
    return f"gone {took:.2f} s after the end of the peer"


@case("sessions with BIRD, IPv4 and IPv6, and a server that follows one", makes=(OURS,))
def bird(watched):
    log = os.path.join(watched.world.dir, "bird.log")
    control = os.path.join(watched.world.dir, "bird.ctl")
    path = watched.world.file("bird.conf", BIRD)
    watched.birds = watched.bird.spawn(["bird", "-f", "-c", path, "-s", control], log)
    until("BIRD runs", lambda: os.path.exists(control))

    def up():
        shown = watched.bird.run("birdc", "-s", control, "show", "bfd", "sessions")
        return shown.count(" Up ") == 2 and shown

    shown = until("BIRD calls both sessions up", up, within=8)
    assert "0.100" in shown and "0.300" in shown, f"the intervals were not agreed upon:\n{shown}"
    text = watched.node.ctl("show", "bfd:bird6")[1]
    assert "up with fd21::3" in text, text
    server = lambda: watched.node.ctl("servers")[1]
    until("the server is up", lambda: " UP " in server(), within=3)
    began = time.monotonic()
    watched.end_bird()
    until("the server is down", lambda: "DOWN" in server(), within=3)
    assert "BFD_CHECK" in watched.node.ctl("why", "10.21.0.110:80/tcp/10.21.0.3:80")[1]
    return f"down {time.monotonic() - began:.2f} s after its end"


@case("at an orderly end the neighbor hears nothing more, and acts on it")
def ended(watched):
    def seen():
        words = watched.peer.log().split("instance near is in state ")
        return words[-1].split()[0]

    until("the peer calls the session up", lambda: seen() == "Up", within=3)
    began = time.monotonic()
    watched.node.stop()
    until("the peer calls the session down", lambda: seen() == "Down", within=3, every=0.01)
    took = time.monotonic() - began
    watched.peer.stop()
    return f"after {took:.2f} s"
