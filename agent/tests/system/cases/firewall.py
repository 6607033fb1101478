"""Packets to addresses that their MASTER does not accept: `no_accept`, and what nftables holds for it. And what else the
host is told: settings of the kernel, groups of scripts."""

import errno
import json
import os
import select
import socket
import subprocess
import time

from harness.cases import Group, case
from harness.daemon import OURS, comes_to, daemon
from harness.net import World, inside, until

CONFIG = """\
global_defs {
    vrrp_version 3
    disable_local_igmp
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
    promote_secondaries
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

    def settings(self):
        """`promote_secondaries` of the interface, and whether reports are sent for link-local groups."""
        files = ("ipv4/conf/eth0/promote_secondaries", "ipv4/igmp_link_local_mcast_reports")
        with inside(self.node.name):
            return tuple(int(open(f"/proc/sys/net/{file}").read()) for file in files)

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


@case("packets to the addresses are dropped, to others not; neighbours find them; settings act; a stop leaves nothing")
def dropped(world):
    before = world.settings()
    assert before == (0, 1), before
    world.master()
    assert world.settings() == (1, 0), world.settings()
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
    assert world.settings() == before, world.settings()


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


@case("set_supplementary_groups: a script has all groups of its user", makes=(OURS,))
def groups(world):
    # The group file is this lab's own for the moment.
    with open("/etc/group") as f:
        mine = world.file("group", f.read().rstrip() + "\nlbtest:x:4242:nobody\n")
    folder = os.path.join(world.dir, "said")
    os.mkdir(folder)
    os.chmod(world.dir, 0o755)
    os.chmod(folder, 0o777)
    script = world.file("say-groups", f"#!/bin/sh\nid -G > {folder}/new && mv {folder}/new {folder}/groups\n")
    os.chmod(script, 0o755)
    told = f"{folder}/groups"
    config = CONFIG.replace("    promote_secondaries\n", f"    notify_stop {script} nobody\n")
    subprocess.run(["mount", "--bind", mine, "/etc/group"], check=True)
    try:
        for word, all_of_them in (("", False), ("    set_supplementary_groups\n", True)):
            world.daemon.stop()
            world.daemon.configure(config.replace("    vrrp_version 3\n", f"    vrrp_version 3\n{word}"))
            world.daemon.start()
            world.master()
            world.daemon.stop()
            until("the script has said its groups", lambda: os.path.exists(told))
            with open(told) as f:
                found = f.read().split()
            assert ("4242" in found) == all_of_them, (word, found)
            os.unlink(told)
    finally:
        subprocess.run(["umount", "/etc/group"], check=True)
