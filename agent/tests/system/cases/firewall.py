"""Packets to addresses that their MASTER does not accept: `no_accept`, and what nftables holds for it."""

import errno
import json
import select
import socket
import time

from harness.cases import Group, case
from harness.daemon import OURS, comes_to, daemon
from harness.net import World, inside, until

CONFIG = """\
global_defs {
    vrrp_version 3
}
vrrp_instance CLOSED {
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 0.1
    no_accept
    virtual_ipaddress {
        10.20.0.100/24
    }
    virtual_ipaddress_excluded {
        10.20.0.101/24
    }
}
vrrp_instance CLOSED6 {
    interface eth0
    virtual_router_id 52
    priority 100
    advert_int 0.1
    no_accept
    virtual_ipaddress {
        fe80::100
        fd20::100/64
    }
}
vrrp_instance OPEN {
    interface eth0
    virtual_router_id 53
    priority 100
    advert_int 0.1
    virtual_ipaddress {
        10.20.0.110/24
    }
}
"""
GUARDED = {"ip vips 10.20.0.100", "ip vips 10.20.0.101", "ip6 vips fd20::100", "ip6 vips_link_local fe80::100 eth0"}
HELD = {"10.20.0.100", "10.20.0.101", "fd20::100", "10.20.0.110"}


class Host(World):
    """A director and a neighbour that asks for its addresses."""

    def __init__(self, make):
        super().__init__()
        try:
            self.node, self.far = self.node("lvs"), self.node("far")
            self.wire(self.node, "eth0", self.far, "eth0")
            self.node.ip("addr add 10.20.0.2/24 dev eth0")
            self.far.ip("addr add 10.20.0.3/24 dev eth0", "addr add fd20::3/64 dev eth0")
            self.node.run("nft", "add table ip theirs")
            self.daemon = daemon(make, self.node, CONFIG)
        except BaseException:
            self.__exit__()
            raise

    def ruleset(self):
        return json.loads(self.node.run("nft", "-j", "list", "ruleset"))["nftables"]

    def tables(self):
        return {f"{it['table']['family']} {it['table']['name']}" for it in self.ruleset() if "table" in it}

    def guarded(self):
        """The addresses in the sets, each with its table and set."""
        found = set()
        for it in (it["set"] for it in self.ruleset() if "set" in it):
            if not it["name"].startswith("vips"):
                continue
            for element in it.get("elem", []):
                words = element["concat"] if isinstance(element, dict) else [element]
                found.add(" ".join([it["family"], it["name"], *words]))
        return found

    def drops(self):
        """What each chain at a hook is, and how many rules drop."""
        chains, count = set(), 0
        for it in self.ruleset():
            if (chain := it.get("chain")) and "hook" in chain:
                chains.add(" ".join(str(chain[key]) for key in ("family", "name", "hook", "prio", "policy")))
            count += "rule" in it and {"drop": None} in it["rule"]["expr"]
        return chains, count

    def master(self):
        if not self.daemon.running():
            self.daemon.start()
        until("MASTER of all", lambda: all(self.node.holds(it) for it in HELD))
        comes_to("the guards", self.daemon, self.guarded, GUARDED)

    def answers(self, *addresses):
        """Those at which a connection to a closed port is refused, asked at the same time; the rest stay silent."""
        asked = {}
        with inside(self.far.name):
            for address in addresses:
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                s = socket.socket(family, socket.SOCK_STREAM)
                s.setblocking(False)
                s.connect_ex(socket.getaddrinfo(address, 9, family)[0][4])
                asked[s] = address
        waiting, found, until_s = dict(asked), set(), time.monotonic() + 0.8
        while waiting and (left := until_s - time.monotonic()) > 0:
            for s in select.select([], waiting, [], left)[1]:
                error = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                found |= {waiting.pop(s)} if error == errno.ECONNREFUSED else set()
        for s in asked:
            s.close()
        return found


Group.fixture("firewall", Host)


@case("packets to the addresses are dropped, to others not; neighbours still find them; a stop leaves nothing")
def dropped(world):
    world.master()
    chains, _ = world.drops()
    want = {f"{family} {name} {hook} -1 accept" for family in ("ip", "ip6")
            for name, hook in (("in", "input"), ("out", "output"))}
    assert chains == want, chains
    told = world.answers("10.20.0.100", "10.20.0.101", "fd20::100", "fe80::100%eth0", "10.20.0.110", "10.20.0.2")
    assert told == {"10.20.0.110", "10.20.0.2"}, told
    neighbours = world.far.run("ip", "neigh", "show", "dev", "eth0")
    for address in ("10.20.0.100", "fd20::100"):
        assert any(line.startswith(f"{address} lladdr") for line in neighbours.splitlines()), neighbours
    world.daemon.stop()
    assert world.tables() == {"ip theirs"}, world.tables()


@case("after kill -9 the next start has the same rules, none twice; what others flush is put back", makes=(OURS,))
def kept(world):
    world.master()
    before = world.drops()
    world.daemon.kill()
    assert world.guarded() == GUARDED, "a crash leaves the addresses, and so their guards"
    world.daemon.start()
    world.master()
    assert world.drops() == before, (before, world.drops())
    world.node.run("nft", "flush", "ruleset")
    comes_to("put back", world.daemon, world.guarded, GUARDED)
    assert world.drops() == before, (before, world.drops())
    assert world.answers("10.20.0.100", "10.20.0.110") == {"10.20.0.110"}
    world.daemon.configure(CONFIG.replace("    no_accept\n", "", 1))
    world.daemon.reload()
    comes_to("a reload lets packets through", world.daemon, world.guarded, {it for it in GUARDED if "ip6" in it})
    assert world.answers("10.20.0.100") == {"10.20.0.100"}
