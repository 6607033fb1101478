"""Interfaces for single addresses (`use_vmac_addr`, `use_vmac` of an address), `use_ipvlan`, VRFs, and announcements."""

import re

from harness.cases import Group, case
from harness.daemon import OURS, binary, daemon, tail
from harness.net import World, until

from .vmac import Tap, instance

BASE = {"eth0": "02:00:00:00:20:02", "eth1": "02:00:00:00:21:02"}

CONFIG = """\
global_defs {
    vmac_addr_prefix va
}
""" + (
    instance("A", 51, "use_vmac_addr\n    garp_master_delay 0\n    garp_extra_if 1",
             "10.20.0.100/24", "10.21.0.100/24 dev eth1", "10.21.0.101/24 dev eth1")
    .replace("    virtual_ipaddress {", "    virtual_ipaddress_excluded {\n        2001:db8:20::100/64\n"
             "        2001:db8:21::100/64 dev eth1\n    }\n    virtual_ipaddress {")
    + instance("B", 52, "use_vmac 02:00:5e:00:01", "10.20.0.110/24 dev eth0", "10.21.0.110/24 dev eth1",
               "10.21.0.111/24 dev eth1 use_vmac")
    + instance("C", 53, "", "10.20.0.120/24 use_vmac", "10.20.0.121/24")
)

LINKS = {
    "va.51": ("eth1", "00:00:5e:00:01:33"),
    "va6.51": ("eth0", "00:00:5e:00:02:33"),
    "va1.51": ("eth1", "00:00:5e:00:02:33"),
    "vrrp.52": ("eth0", "02:00:5e:00:01:34"),
    "va.52": ("eth1", "02:00:5e:00:01:34"),
    "va.53": ("eth0", "00:00:5e:00:01:35"),
}
ADDRESSES = {
    "eth0": {"10.20.0.100/24", "10.20.0.121/24"},
    "eth1": {"10.21.0.110/24"},
    "va.51": {"10.21.0.100/24", "10.21.0.101/24"},
    "va6.51": {"2001:db8:20::100/64", "fe80::20:2/64 deprecated"},
    "va1.51": {"2001:db8:21::100/64", "fe80::21:2/64 deprecated"},
    "vrrp.52": {"10.20.0.110/24"},
    "va.52": {"10.21.0.111/24"},
    "va.53": {"10.20.0.120/24"},
}
OWN = {"eth0": {"10.20.0.2/24", "2001:db8:20::2/64", "fe80::20:2/64"},
       "eth1": {"10.21.0.2/24", "2001:db8:21::2/64", "fe80::21:2/64"}}


class TwoWires(World):
    """A director with two interfaces, and somebody who sees the frames of both."""

    config, links = CONFIG, LINKS
    addresses = {device: held | OWN.get(device, set()) for device, held in ADDRESSES.items()}

    def __init__(self, make):
        super().__init__()
        try:
            self.node, self.far = self.node("lvs"), self.node("far")
            for number, (device, mac) in enumerate(BASE.items(), 20):
                self.wire(self.node, device, self.far, device)
                self.node.ip(f"link set {device} address {mac}", f"link set {device} addrgenmode none",
                             f"addr flush dev {device}", f"addr add 10.{number}.0.2/24 dev {device}",
                             f"addr add fe80::{number}:2/64 dev {device} nodad",
                             f"addr add 2001:db8:{number}::2/64 dev {device} nodad")
                self.far.ip(f"addr add 10.{number}.0.9/24 dev {device}")
            self.before = self.seen()
            self.make, self.daemon = make, daemon(make, self.node, self.config)
        except BaseException:
            self.__exit__()
            raise

    def seen(self):
        """The links on others, with that link and their MAC; and the addresses of all."""
        links, addresses = {}, {}
        for line in self.node.run("ip", "-o", "link").splitlines():
            words = line.replace("\\", " ").split()
            name, _, parent = words[1].rstrip(":").partition("@")
            if parent in BASE:
                links[name] = (parent, words[words.index("link/ether") + 1])
        for line in self.node.run("ip", "-o", "addr").splitlines():
            words = line.split()
            if words[1] in BASE or words[1] in links:
                held = " ".join([words[3]] + [word for word in ("deprecated",) if word in words])
                addresses.setdefault(words[1], set()).add(held)
        return links, addresses

    def running(self):
        if not self.daemon.running():
            self.daemon.start()
        try:
            until("all links with all addresses", lambda: self.seen() == (self.links, self.addresses), within=8)
        except AssertionError as error:
            raise AssertionError(f"{error}\n  {self.seen()}\n{tail(self.daemon.log())}") from None


Group.fixture("own_links", TwoWires)


@case("addresses on other interfaces are on links with the virtual MAC, and only they")
def placed(world):
    world.running()
    return f"{len(LINKS)} links"


@case("one address of each of these links is announced every so often, from its MAC", group="own_links")
def told_again(world):
    world.running()
    mac = LINKS["va.51"][1]
    with Tap(world.far, "eth1") as tap:
        wanted = {("arp", mac, "10.21.0.100"), ("nd", LINKS["va1.51"][1], "2001:db8:21::100")}
        until("the announcements", lambda: wanted <= tap.kinds(), within=3)
        others = {kind for kind in tap.kinds() if kind[0] in ("arp", "nd")} - wanted
        assert not others, f"not meant: {sorted(others)}"


@case("a stop removes the links of addresses", group="own_links")
def removed(world):
    world.running()
    world.daemon.stop()
    assert world.seen() == world.before, world.seen()


@case("what a dead agent left goes with lbagent cleanup: addresses, links, settings", makes=(OURS,), group="own_links")
def cleaned(world):
    world.running()
    ledger = f"{world.daemon.run_dir}/ledger.json"
    until("three masterships are written down", lambda: open(ledger).read().count("vrid") == 3, within=3)
    world.daemon.kill()
    assert world.seen()[0] == LINKS, "a crash left the links"

    said = []

    def tidy():
        said.append(world.node.run(binary("lbagent"), "--run-dir", world.daemon.run_dir, "cleanup"))
        return world.seen() == world.before

    try:
        until("nothing is left", tidy, within=3)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{''.join(said)}\n{world.seen()}\n{world.before}") from None
    ignore = world.node.run("cat", "/proc/sys/net/ipv4/conf/eth1/arp_ignore").strip()
    assert ignore == "0", f"arp_ignore of eth1 is {ignore}"


class Paced(TwoWires):
    """One address on each interface and two on the second, with a pace for both together."""

    config = """\
garp_group {
    garp_interval 0.15
    interfaces { eth0
                 eth1 }
}
""" + instance("P", 71, "garp_master_delay 0\n    garp_master_repeat 2", "10.20.0.171/24", "10.21.0.171/24 dev eth1",
               "10.21.0.172/24 dev eth1")
    links = {}
    addresses = {"eth0": OWN["eth0"] | {"10.20.0.171/24"}, "eth1": OWN["eth1"] | {"10.21.0.171/24", "10.21.0.172/24"}}


Group.fixture("paced", Paced)


@case("interfaces of a garp_group share their pace", group="paced")
def paced(world):
    said = re.compile(r"^(\d+):(\d+):([\d.]+) .*who-has ([^ ]+) .*tell \4,", re.M)

    def seen():
        found = [said.findall(open(tap.path).read()) for tap in (one, two)]
        return sorted((60 * int(minutes) + float(seconds), address) for _, minutes, seconds, address in sum(found, []))

    with Tap(world.far, "eth0", "first") as one, Tap(world.far, "eth1", "second") as two:
        world.running()
        until("each address at least once", lambda: len({address for _, address in seen()}) == 3, within=4)
    times = [at for at, _ in seen()]
    gaps = [after - before for before, after in zip(times, times[1:])]
    assert all(gap > 0.14 for gap in gaps), f"{gaps} of {seen()}"
    return " ".join(f"{gap:.2f}" for gap in gaps)


class Blue(TwoWires):
    """eth0 is in a VRF and has a VMAC; eth1 has an ipvlan, on which the kernel makes a link-local address as everywhere."""

    config = (instance("M", 81, "use_vmac", "10.20.0.181/24")
              + instance("S", 61, "use_ipvlan slim 10.21.0.61/24 private", "10.21.0.161/24", "10.20.0.161/24 dev eth0")
              .replace("interface eth0", "interface eth1"))
    links = {"vrrp.81": ("eth0", "00:00:5e:00:01:51"), "slim": ("eth1", BASE["eth1"])}
    addresses = {"eth0": OWN["eth0"] | {"10.20.0.161/24"}, "eth1": OWN["eth1"] | {"10.21.0.161/24"},
                 "vrrp.81": {"10.20.0.181/24"}, "slim": {"10.21.0.61/24"}}

    def __init__(self, make):
        super().__init__(make)
        self.node.ip("link add blue type vrf table 77", "link set blue up", "link set eth0 master blue",
                     "addr replace 2001:db8:20::2/64 dev eth0 nodad", "addr replace fe80::20:2/64 dev eth0 nodad")

    def seen(self):
        links, addresses = super().seen()
        if "slim" in addresses:
            addresses["slim"] = {it for it in addresses["slim"] if not it.startswith("fe80:")}
        return links, addresses


Group.fixture("ipvlan", Blue)


@case("an ipvlan carries its own address, adverts come from there; a VMAC is in the VRF of the interface below", group="ipvlan")
def slim(world):
    with Tap(world.far, "eth1") as tap, Tap(world.far, "eth0", "blue") as blue:
        world.running()
        shown = world.node.run("ip", "-d", "link", "show", "slim")
        assert "ipvlan  mode l2 private" in shown, shown
        wanted = {("advert", BASE["eth1"], "10.21.0.61"), ("arp", BASE["eth1"], "10.21.0.161")}
        until("adverts and ARP", lambda: wanted <= tap.kinds(), within=6)
        adverts = {kind for kind in tap.kinds() if kind[0] == "advert"}
        assert adverts == {("advert", BASE["eth1"], "10.21.0.61")}, adverts
        until("adverts", lambda: ("advert", "00:00:5e:00:01:51", "10.20.0.2") in blue.kinds(), within=4)
    shown = world.node.run("ip", "-o", "link", "show", "master", "blue")
    assert "vrrp.81@eth0" in shown, shown
    if world.make == OURS:
        shown = world.daemon.ctl("vrrp")[1]
        assert "slim@eth1" in shown, shown
    world.daemon.stop()
    assert world.seen() == world.before, world.seen()


UNICAST = instance("U", 82, "vrf blue\n    unicast_src_ip 10.20.0.2\n    unicast_peer {\n        10.20.0.9\n    }",
                   "10.20.0.182/24 dev eth0").replace("    interface eth0\n", "")


@case("adverts to peers leave by the VRF, and theirs are heard there", group="ipvlan", makes=(OURS,))
def unicast_in_the_vrf(world):
    world.daemon.stop()
    world.daemon.configure(UNICAST)
    peer = daemon(OURS, world.far, UNICAST.replace("vrf blue", "").replace("10.20.0.2\n", "10.20.0.8\n")
                  .replace("10.20.0.9", "10.20.0.2").replace("10.20.0.8", "10.20.0.9").replace("150", "200"))
    world.daemon.start()
    held = lambda node: "10.20.0.182/24" in node.run("ip", "addr", "show", "dev", "eth0")
    until("MASTER", lambda: held(world.node), within=5)
    peer.start()
    until("the peer of higher priority is MASTER", lambda: held(world.far), within=5)
    until("this one yields", lambda: not held(world.node), within=3)
    peer.stop()
    until("and takes over", lambda: held(world.node), within=5)
    world.daemon.stop()
