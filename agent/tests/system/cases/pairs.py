"""Two daemons on one network, of the same or of different makes: election, failover both ways, packets on the wire.

    high  10.20.0.1, fd20::1, priority 150        low  10.20.0.2, fd20::2, priority 100

The pairs need no IPVS and mostly wait, so they all run at the same time.
"""

import concurrent.futures
import itertools
import time

from harness.cases import Group, case
from harness.daemon import OURS, THEIRS, daemon, tail
from harness.net import World, stays, until
from harness.wire import Capture

KINDS = [(2, 4, "multicast"), (2, 4, "AH"), (2, 4, "unicast"), (3, 4, "multicast"), (3, 4, "unicast"),
         (3, 6, "multicast"), (3, 6, "unicast")]
# (higher priority, lower priority); what a run of "ours" is about, and of "theirs"
MAKES = {THEIRS: [(THEIRS, THEIRS)], OURS: [(OURS, THEIRS), (THEIRS, OURS), (OURS, OURS)]}
AT_ONCE = 11
ROUTER = 51


def config(version, family, cast, which):
    me, peer, priority = (1, 2, 150) if which == "high" else (2, 1, 100)
    net = "fd20::" if family == 6 else "10.20.0."
    vip = "fe80::20:100/64\n        fd20::100/64" if family == 6 else "10.20.0.100/24"
    lines = ""
    if cast == "unicast":
        lines = f"unicast_src_ip {net}{me}\n    unicast_peer {{\n        {net}{peer}\n    }}\n"
    elif version == 2:
        kind = "AH" if cast == "AH" else "PASS"
        lines = f"authentication {{\n        auth_type {kind}\n        auth_pass 1111\n    }}\n"
    return f"""\
vrrp_instance VI_1 {{
    state {"MASTER" if which == "high" else "BACKUP"}
    interface eth0
    virtual_router_id {ROUTER}
    version {version}
    priority {priority}
    advert_int 1
    {lines}
    virtual_ipaddress {{
        {vip}
    }}
}}
"""


class Pair:
    """One pair going through its life; afterwards the packets are looked at."""

    def __init__(self, kind, makes):
        self.version, self.family, self.cast = kind
        self.makes = makes
        self.vip = "fd20::100" if self.family == 6 else "10.20.0.100"
        self.seen, self.error, self.logs = "", None, ""

    def run(self):
        with World() as world:
            try:
                self._build(world)
                self._live()
                self._check_packets()
            except Exception as error:
                self.error = error
                self.logs = "\n".join(f"  {d.label}:\n{tail(d.log())}" for d in (self.high, self.low))
        return self

    def _build(self, world):
        self.switch = world.switch()
        self.high = self.low = None
        nodes = {}
        for which, host in (("high", 1), ("low", 2)):
            nodes[which] = world.node(which)
            port = world.plug(self.switch, nodes[which], f"10.20.0.{host}/24", f"fd20::{host}/64")
            if which == "high":
                self.cable = port
        self.high, self.low = (
            daemon(make, nodes[which], config(self.version, self.family, self.cast, which), label=f"{which}-{make}")
            for make, which in zip(self.makes, ("high", "low")))
        # Sealed adverts (AH) have a protocol number of their own.
        self.capture = Capture(self.switch, "br0", "ip proto 112 or ip proto 51 or ip6 proto 112")

    def _owners(self):
        return [w for w, d in (("high", self.high), ("low", self.low)) if d.node.holds(self.vip)]

    def _move(self, to, within, act=lambda: None):
        """Does something, and the address has to be on `to` alone in time. Returns how long that took."""
        began = time.monotonic()
        act()
        until(f"{to} alone holds the address", lambda: self._owners() == [to], within=within)
        return time.monotonic() - began

    def _live(self):
        self.low.start()
        self.high.start()
        self._move("high", within=9)
        stays("high keeps the address", lambda: self._owners() == ["high"], during=2)
        # low has heard priority 0 and waits its skew only: (256 - 100)/256 s.
        farewell = self._move("low", within=2.5, act=self.high.stop)
        preempt = self._move("high", within=9, act=self.high.start)
        # A pulled cable: low hears nothing, 3 intervals and the skew; high loses carrier and lets go.
        silence = self._move("low", within=6, act=lambda: self.switch.ip(f"link set {self.cable} down"))
        self._move("high", within=9, act=lambda: self.switch.ip(f"link set {self.cable} up"))
        stays("high keeps the address", lambda: self._owners() == ["high"], during=2)
        self.low.stop()
        self.high.stop()
        until("nobody holds the address", lambda: not self._owners(), within=3)
        assert 3.0 < silence < 5.0, f"low took over {silence:.1f} s after silence; 3.6 s is right"
        self.seen = f"farewell {farewell:.1f} s, preempt {preempt:.1f} s, silence {silence:.1f} s"

    def _limits(self, packet):
        """TTL or hop limit that a packet may have: 255, but keepalived 2.2 sends unicast IPv6 with 64."""
        sender = self.makes[1] if packet.priority == 100 else self.makes[0]
        return (64, 255) if (sender, self.family, self.cast) == (THEIRS, 6, "unicast") else (255,)

    def _check_packets(self):
        packets = self.capture.packets()
        wrong = [p for p in packets if p.complaints or p.checksum != "1" or p.ttl not in self._limits(p)
                 or p.version != self.version or p.router != ROUTER]
        assert not wrong, f"{len(wrong)} of {len(packets)} packets are wrong, the first: {wrong[0]}"
        by_priority = {}
        for p in packets:
            by_priority.setdefault(p.priority, []).append(p)
        assert {150, 100, 0} == set(by_priority), f"priorities on the wire: {sorted(by_priority)}"
        for priority in (150, 100):
            steps = [b.time - a.time for a, b in itertools.pairwise(by_priority[priority])]
            regular = [s for s in steps if 0.9 < s < 1.1]
            assert len(regular) >= len(steps) - 4, f"priority {priority} is not sent each second: {steps}"
        self.seen += f", {len(packets)} packets"


class Pairs:
    """All pairs of a run, side by side."""

    def __init__(self, make):
        jobs = [Pair(kind, makes) for makes in MAKES[make] for kind in KINDS]
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            self.results = {(p.makes, (p.version, p.family, p.cast)): p for p in pool.map(Pair.run, jobs)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def check(self, makes, kind):
        pair = self.results[makes, kind]
        if pair.error is not None:
            raise AssertionError(f"{pair.error}\n{pair.logs}") from pair.error
        return pair.seen


Group.fixture("pairs", Pairs)


def _declare(make, makes, kind):
    def check(pairs):
        return pairs.check(makes, kind)
    version, family, cast = kind
    check.__name__ = f"pair_{makes[0]}_{makes[1]}_v{version}_ipv{family}_{cast}"
    case(f"pair {makes[0]} over {makes[1]}: version {version}, IPv{family}, {cast}", makes=(make,))(check)


for _make, _list in MAKES.items():
    for _makes, _kind in itertools.product(_list, KINDS):
        _declare(_make, _makes, _kind)
