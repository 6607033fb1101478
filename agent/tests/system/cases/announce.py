"""What neighbours and switches are told, beside the addresses of a new MASTER."""

from harness.cases import Group, case
from harness.daemon import daemon
from harness.net import World, until

CONFIG = """\
vrrp_instance R {
    interface eth0
    virtual_router_id 51
    priority 150
    version 3
    advert_int 0.1
    virtual_ipaddress {
        fe80::100/64
        2001:db8:20::100/64
    }
}
vrrp_instance U {
    interface eth0
    virtual_router_id 52
    priority 150
    unicast_src_ip 10.20.0.2
    unicast_peer {
        10.20.0.9
    }
    virtual_ipaddress {
        10.20.0.100/24
    }
}
"""


class Router(World):
    """A director that forwards IPv6, and somebody who sees its frames."""

    def __init__(self, make):
        super().__init__()
        try:
            self.node, self.far = self.node("lvs"), self.node("far")
            self.wire(self.node, "eth0", self.far, "eth0")
            self.node.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
            self.node.ip("addr add 10.20.0.2/24 dev eth0", "addr add fe80::20:2/64 dev eth0 nodad")
            self.frames = f"{self.dir}/frames"
            command = f"exec tcpdump -i eth0 -Q in -l -n -v 'arp or ip6[40] == 136' > {self.frames} 2> {self.dir}/tcpdump.log"
            self.tap = self.far.spawn(["sh", "-c", command], f"{self.dir}/tcpdump.log")
            until("tcpdump listens", lambda: "listening on" in open(f"{self.dir}/tcpdump.log").read())
            self.daemon = daemon(make, self.node, CONFIG)
        except BaseException:
            self.__exit__()
            raise

    def seen(self, *words):
        return [line for line in open(self.frames).read().splitlines() if all(word in line for word in words)]


Group.fixture("announce", Router)


@case("one that forwards says so in its neighbour adverts: else hosts take it for no router any more (RFC 4861 7.2.5)")
def router(world):
    world.daemon.start()
    for address in ("fe80::100", "2001:db8:20::100"):
        until(f"{address} is announced", lambda: world.seen(f"tgt is {address},"))
        without = [line for line in world.seen(f"tgt is {address},") if "Flags [router, override]" not in line]
        assert not without, without


@case("a unicast instance that leaves FAULT announces where its adverts come from")
def source(world):
    if not world.daemon.running():
        world.daemon.start()
    before = world.seen("who-has 10.20.0.2 ", "tell 10.20.0.2")
    assert not before, before
    world.far.ip("link set eth0 down")
    until("FAULT", lambda: "(U) Entering FAULT STATE" in world.daemon.log())
    world.far.ip("link set eth0 up")
    until("its own address is announced", lambda: world.seen("who-has 10.20.0.2 ", "tell 10.20.0.2"))
