"""Interfaces for single addresses (`use_vmac_addr`, `use_vmac` of an address), and `use_ipvlan`."""

from harness.cases import Group, case
from harness.daemon import OURS, daemon, tail
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


@case("a stop removes the links of addresses", group="own_links")
def removed(world):
    world.running()
    world.daemon.stop()
    assert world.seen() == world.before, world.seen()


class Slim(TwoWires):
    """The same with an ipvlan; the kernel makes a link-local address on it, as on every interface."""

    config = instance("S", 61, "use_ipvlan slim 10.20.0.61/24 private", "10.20.0.161/24", "10.21.0.161/24 dev eth1")
    links = {"slim": ("eth0", BASE["eth0"])}
    addresses = {"eth0": OWN["eth0"] | {"10.20.0.161/24"}, "eth1": OWN["eth1"] | {"10.21.0.161/24"},
                 "slim": {"10.20.0.61/24"}}

    def seen(self):
        links, addresses = super().seen()
        made = {it for it in addresses.get("slim", set()) if it.startswith("fe80:")}
        if "slim" in addresses:
            addresses["slim"] -= made
        return links, addresses


Group.fixture("ipvlan", Slim)


@case("an ipvlan carries its own address, adverts come from there, and virtual addresses stay below", group="ipvlan")
def slim(world):
    with Tap(world.far, "eth0") as tap:
        world.running()
        shown = world.node.run("ip", "-d", "link", "show", "slim")
        assert "ipvlan  mode l2 private" in shown, shown
        wanted = {("advert", BASE["eth0"], "10.20.0.61"), ("arp", BASE["eth0"], "10.20.0.161")}
        until("adverts and ARP", lambda: wanted <= tap.kinds(), within=6)
        adverts = {kind for kind in tap.kinds() if kind[0] == "advert"}
        assert adverts == {("advert", BASE["eth0"], "10.20.0.61")}, adverts
    if world.make == OURS:
        shown = world.daemon.ctl("vrrp")[1]
        assert "slim@eth0" in shown, shown


@case("a stop removes the ipvlan", group="ipvlan")
def slim_removed(world):
    world.running()
    world.daemon.stop()
    assert world.seen() == world.before, world.seen()
