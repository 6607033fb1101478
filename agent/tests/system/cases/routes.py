"""Routes and policy rules that come and go with an instance, and those of the file itself."""

from harness.cases import Group, case
from harness.daemon import OURS, comes_to, daemon
from harness.net import World, until

CONFIG = """\
track_group TG_1 {
    group {
        VI_1
    }
}
static_routes {
    10.70.0.0/16 via 10.20.0.9 dev eth0 track_group TG_1
}
static_rules {
    from 10.70.0.0/16 table 100 preference 1010
}
vrrp_instance VI_1 {
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 150
    advert_int 1
    virtual_ipaddress {
        10.20.0.100/24
    }
    virtual_routes {
        10.50.0.0/16 via 10.20.0.9 dev eth0
        10.51.0.0/16 via 10.20.0.9 dev eth0 src 10.20.0.100 metric 50
        10.52.0.0/16 dev eth1 scope link table 100
        blackhole 10.53.0.0/16
        10.54.0.0/16 nexthop via 10.20.0.9 dev eth0 weight 3 nexthop via 10.30.0.9 dev eth1 weight 1
        10.55.0.0/16 via 10.20.0.9 dev eth0 mtu 1400
        2001:db8:50::/48 via 2001:db8:20::9 dev eth0
        default via 10.30.0.9 dev eth1 table 100
        10.56.0.0/16 via 10.20.0.9 dev eth0 encap ip id 7 dst 10.20.0.7 realms 5
        10.57.0.0/16 via 10.20.0.9 dev eth0 congctl lock reno append
    }
    virtual_rules {
        from 10.20.0.100/32 table 100 preference 1000
        to 10.60.0.0/16 table 100 priority 1001
        fwmark 7 table 100 preference 1002
        from 2001:db8:60::/48 table 100 preference 1003
        from 10.61.0.0/16 l3mdev preference 1004
    }
}
"""

STATIC = {"10.70.0.0/16 via 10.20.0.9 dev eth0", "1010: from 10.70.0.0/16 lookup 100"}
VIRTUAL = {
    "10.50.0.0/16 via 10.20.0.9 dev eth0",
    "10.51.0.0/16 via 10.20.0.9 dev eth0 src 10.20.0.100 metric 50",
    "10.52.0.0/16 dev eth1 table 100 scope link",
    "blackhole 10.53.0.0/16",
    "10.54.0.0/16 nexthop via 10.20.0.9 dev eth0 weight 3 nexthop via 10.30.0.9 dev eth1 weight 1",
    "10.55.0.0/16 via 10.20.0.9 dev eth0 mtu 1400",
    "2001:db8:50::/48 via 2001:db8:20::9 dev eth0 metric 1024 pref medium",
    "default via 10.30.0.9 dev eth1 table 100",
    "10.56.0.0/16 encap ip id 7 src 0.0.0.0 dst 10.20.0.7 ttl 0 tos 0 via 10.20.0.9 dev eth0 realm 5",
    "10.57.0.0/16 via 10.20.0.9 dev eth0 congctl lock reno",
    "1004: from 10.61.0.0/16 lookup [l3mdev-table]",
    "1000: from 10.20.0.100 lookup 100",
    "1001: from all to 10.60.0.0/16 lookup 100",
    "1002: from all fwmark 0x7 lookup 100",
    "1003: from 2001:db8:60::/48 lookup 100",
}


class Router(World):
    """One director with two interfaces, and somebody at the other end of both."""

    def __init__(self, make):
        super().__init__()
        try:
            self.node, far = self.node("lvs"), self.node("far")
            for device, net in (("eth0", 20), ("eth1", 30)):
                self.wire(self.node, device, far, device)
                self.node.ip(f"addr add 10.{net}.0.2/24 dev {device}", f"addr add 2001:db8:{net}::2/64 dev {device}")
                far.ip(f"addr add 10.{net}.0.9/24 dev {device}", f"addr add 2001:db8:{net}::9/64 dev {device}")
            # Somebody else's, which nobody may touch.
            self.node.ip("route add 10.90.0.0/16 via 10.20.0.9", "rule add from 10.90.0.0/16 table 100 preference 900")
            self.make, self.daemon = make, daemon(make, self.node, CONFIG)
        except BaseException:
            self.__exit__()
            raise

    def held(self):
        """Routes and rules of the daemon's making, each in one line as `ip` says it."""
        found = set()
        for family in ("-4", "-6"):
            routes = self.node.run("ip", family, "route", "show", "table", "all", "proto", "keepalived")
            # The legs of a multipath route stand on lines of their own.
            for line in routes.replace("\n\tnexthop", " nexthop").splitlines():
                found.add(" ".join(line.replace(" proto keepalived", "").replace(" linkdown", "").split()))
            for line in self.node.run("ip", family, "rule").splitlines():
                words = line.replace(" proto keepalived", "").split()
                if 900 < int(words[0].rstrip(":")) < 2000:
                    found.add(" ".join(words))
        return found

    def expect(self, what, wanted, within=12):
        comes_to(what, self.daemon, self.held, wanted, within)


Group.fixture("routes", Router)


def running(world):
    if not world.daemon.running():
        world.daemon.start()
    world.expect("all of them", STATIC | VIRTUAL)


@case("routes and rules are there while MASTER; those of the file itself from the start")
def master(world):
    running(world)
    return f"{len(world.held())} of them"


@case("a route that somebody removes is put back")
def healed(world):
    running(world)
    # One after the other: when either is gone, keepalived takes everything of the instance away for a moment.
    for gone in ("route del 10.50.0.0/16", "rule del preference 1001", "route del 10.70.0.0/16"):
        world.node.ip(gone)
        world.expect(f"put back after {gone}", STATIC | VIRTUAL)


@case("an interface that was down has its routes again")
def link(world):
    running(world)
    world.node.ip("link set eth1 down")
    until("the instance is in FAULT: a tracked route's interface is down",
          lambda: not world.node.holds("10.20.0.100"), within=10)
    world.node.ip("link set eth1 up", "addr replace 2001:db8:30::2/64 dev eth1")
    world.expect("all of them again", STATIC | VIRTUAL)


@case("a crash: the next start takes them over; the file's change removes what left it", makes=(OURS,))
def taken_over(world):
    running(world)
    world.daemon.kill()
    assert world.held() == STATIC | VIRTUAL, "a crash touched the routes"
    gone = {"10.55.0.0/16 via 10.20.0.9 dev eth0 mtu 1400", "1001: from all to 10.60.0.0/16 lookup 100"}
    world.daemon.configure(CONFIG.replace("        10.55.0.0/16 via 10.20.0.9 dev eth0 mtu 1400\n", "")
                           .replace("        to 10.60.0.0/16 table 100 priority 1001\n", ""))
    world.daemon.start()
    world.expect("all but what left the file", (STATIC | VIRTUAL) - gone)
    world.daemon.configure(CONFIG)
    world.daemon.reload()
    world.expect("a reload brings them back", STATIC | VIRTUAL)


@case("a stop takes them away and leaves what is somebody else's")
def stop(world):
    running(world)
    world.daemon.stop()
    world.expect("nothing of ours", set())
    assert "10.90.0.0/16" in world.node.run("ip", "route"), "a foreign route is gone"
    assert "900:" in world.node.run("ip", "rule"), "a foreign rule is gone"
