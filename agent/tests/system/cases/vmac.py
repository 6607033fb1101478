"""`use_vmac`: an interface with the virtual router's MAC, made, used, put back and removed."""

import re
import signal

from harness.cases import Group, case
from harness.daemon import OURS, THEIRS, daemon, tail
from harness.net import World, until

VRRP = """\
vrrp_instance {name} {{
    state BACKUP
    interface eth0
    virtual_router_id {vrid}
    priority 150
    version 3
    advert_int 0.2
    {words}
    virtual_ipaddress {{
        {addresses}
    }}
}}
"""


def instance(name, vrid, words, *addresses):
    return VRRP.format(name=name, vrid=vrid, words=words, addresses="\n        ".join(addresses))


CONFIG = (
    instance("V4", 51, "use_vmac", "10.20.0.100/24")
    + instance("V6", 52, "use_vmac vm6", "fe80::100/64", "2001:db8:20::100/64")
    + instance("VX", 53, "use_vmac vx\n    vmac_xmit_base", "10.20.0.101/24")
)
LINKS = {"vrrp.51": "00:00:5e:00:01:33", "vm6": "00:00:5e:00:02:34", "vx": "00:00:5e:00:01:35"}
ADDRESSES = {
    "vrrp.51": {"10.20.0.100/24"},
    "vm6": {"fe80::100/64", "2001:db8:20::100/64", "fe80::20:2/64 deprecated"},
    "vx": {"10.20.0.101/24"},
}
BASE = "02:00:00:00:20:02"


class Tap:
    """What a node sees of others on an interface, told apart by kind, MAC and address."""

    KINDS = (
        ("advert", re.compile(r": ([^ ]+) > [^ ]+: .*VRRPv3, Advertisement")),
        ("arp", re.compile(r"who-has ([^ ]+) .*tell \1,")),
        ("nd", re.compile(r": ([^ ]+) > ff02::1: .*neighbor advertisement")),
        ("answer", re.compile(r"Reply ([^ ]+) is-at")),
        ("answer", re.compile(r"neighbor advertisement, tgt is ([^ ,]+)")),
    )

    def __init__(self, node, device, name="", more=""):
        self.path = f"{node.world.dir}/{node.short}{name}.frames"
        log = f"{node.world.dir}/{node.short}{name}-tcpdump.log"
        command = f"exec tcpdump -i {device} -Q in -l -e -n {more} > {self.path} 2> {log}"
        self.process = node.spawn(["sh", "-c", command], log)
        until("tcpdump listens", lambda: "listening on" in open(log).read())

    def kinds(self):
        found = set()
        for line in open(self.path).read().splitlines():
            mac = line.split()[1] if len(line.split()) > 1 else ""
            for kind, pattern in self.KINDS:
                match = pattern.search(line)
                if match:
                    found.add((kind, mac, match[1]))
                    break
            else:
                found.add(("other", mac, ""))
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(10)


class Wire(World):
    """A director, and somebody who sees its frames."""

    def __init__(self, make):
        super().__init__()
        try:
            self.node, self.far = self.node("lvs"), self.node("far")
            self.wire(self.node, "eth0", self.far, "eth0")
            self.node.ip(f"link set eth0 address {BASE}", "link set eth0 addrgenmode none", "addr flush dev eth0",
                         "addr add 10.20.0.2/24 dev eth0", "addr add fe80::20:2/64 dev eth0 nodad",
                         "addr add 2001:db8:20::2/64 dev eth0 nodad")
            self.far.ip("addr add 10.20.0.9/24 dev eth0", "addr add 2001:db8:20::9/64 dev eth0 nodad")
            self.make, self.daemon = make, daemon(make, self.node, CONFIG)
            # What it is before: strict for all, so that it has to be moved out of the way.
            self.sysctl(("all", "rp_filter", "1"))
            self.before = self.settings()
        except BaseException:
            self.__exit__()
            raise

    def sysctl(self, *values):
        for interface, key, value in values:
            self.node.run("sh", "-c", f"echo {value} > /proc/sys/net/ipv4/conf/{interface}/{key}")

    def settings(self, *interfaces, family="ipv4"):
        found = {}
        keys = "arp_ignore arp_filter rp_filter accept_local promote_secondaries" if family == "ipv4" else "disable_ipv6"
        for interface in interfaces or ("all", "default", "eth0"):
            for key in keys.split():
                path = f"/proc/sys/net/{family}/conf/{interface}/{key}"
                found[interface, key] = self.node.run("cat", path).strip()
        return found

    def links(self):
        """The macvlans: their MAC, and whether they are private and make no addresses."""
        found = {}
        for line in self.node.run("ip", "-d", "-o", "link", "show", "type", "macvlan").splitlines():
            words = line.replace("\\", " ").split()
            name = words[1].rstrip(":").split("@")[0]
            assert words[1].rstrip(":").endswith("@eth0"), line
            assert "mode private" in line and "addrgenmode none" in line, line
            found[name] = words[words.index("link/ether") + 1]
        return found

    def addresses(self, device):
        found = set()
        for line in self.node.run("ip", "-o", "addr", "show", "dev", device).splitlines():
            words = line.split()
            found.add(" ".join([words[3]] + [word for word in ("deprecated",) if word in words]))
        return found

    def tables(self):
        return set(self.node.run("nft", "list", "tables").splitlines())

    def everything(self):
        return self.links() == LINKS and all(self.addresses(it) == held for it, held in ADDRESSES.items())

    def expect(self, what, probe, within=8):
        try:
            until(what, probe, within=within)
        except AssertionError:
            seen = {it: self.addresses(it) for it in self.links()}
            raise AssertionError(f"{what}\n  {self.links()}\n  {seen}\n{tail(self.daemon.log())}") from None


Group.fixture("vmac", Wire)


def running(world):
    if not world.daemon.running():
        world.daemon.start()
    world.expect("all links with all addresses", world.everything)


@case("the links are there before there is a master, and the addresses come on them")
def there(world):
    world.daemon.start()
    world.expect("the links", lambda: world.links() == LINKS, within=3)
    running(world)
    assert world.addresses("eth0") == {"10.20.0.2/24", "fe80::20:2/64", "2001:db8:20::2/64"}
    own = world.settings("vrrp.51")
    for key, value in (("arp_ignore", "1"), ("rp_filter", "0"), ("accept_local", "1"), ("promote_secondaries", "1")):
        assert own["vrrp.51", key] == value, f"{key} of vrrp.51 is {own['vrrp.51', key]}"
    assert world.settings("vrrp.51", family="ipv6")["vrrp.51", "disable_ipv6"] == "1"
    assert world.settings("vm6", family="ipv6")["vm6", "disable_ipv6"] == "0"

    def moved():
        now = world.settings()
        return (now["eth0", "arp_ignore"], now["eth0", "arp_filter"], now["all", "rp_filter"], now["eth0", "rp_filter"],
                now["default", "rp_filter"]) == ("1", "1", "0", "1", "1")

    world.expect("the host's settings fit", moved, within=3)
    if world.make == OURS:
        shown = world.daemon.ctl("vrrp")[1]
        assert "vrrp.51@eth0" in shown and "vx@eth0" in shown, shown
    return f"{len(LINKS)} links"


@case("adverts and ARP carry the virtual MAC, with the interface's own address as their source; reports of groups do not")
def on_the_wire(world):
    if world.daemon.running():
        world.daemon.stop()
    with Tap(world.far, "eth0") as tap, Tap(world.far, "eth0", "-mld", "-vv dst host ff02::16") as reports:
        running(world)
        wanted = {
            ("advert", "00:00:5e:00:01:33", "10.20.0.2"),
            ("advert", "00:00:5e:00:02:34", "fe80::20:2"),
            ("advert", BASE, "10.20.0.2"),
            ("arp", "00:00:5e:00:01:33", "10.20.0.100"),
            ("arp", "00:00:5e:00:01:35", "10.20.0.101"),
            ("nd", "00:00:5e:00:02:34", "fe80::100"),
            ("nd", "00:00:5e:00:02:34", "2001:db8:20::100"),
        }
        until("all kinds of frames", lambda: wanted <= tap.kinds(), within=6)
        strange = {kind for kind in tap.kinds() if kind[0] != "other" and kind[1].startswith(("00:00:5e", BASE))} - wanted
        assert not strange, f"not meant: {sorted(strange)}"
        # IGMP and MLD of the link's own would tell switches that the MAC is here.
        quiet = {kind for kind in tap.kinds() if kind[0] == "other" and kind[1] in LINKS.values()}
        assert not quiet, f"not meant: {sorted(quiet)}"
        # A switch must know all the same who waits for questions about fe80::100 and 2001:db8:20::100.
        asked = re.compile(rf"^[^ ]+ {BASE} .*ff02::1:ff00:100\b", re.MULTILINE)
        until("their group is reported by the interface below", lambda: asked.search(open(reports.path).read()), within=3)
        for address, mac in (("10.20.0.100", LINKS["vrrp.51"]), ("2001:db8:20::100", LINKS["vm6"])):
            world.far.run("bash", "-c", f"echo > /dev/udp/{address}/9")
            until("somebody answers for it", lambda: any(kind[0] == "answer" and kind[2] == address for kind in tap.kinds()),
                  within=3)
            answers = {kind for kind in tap.kinds() if kind[0] == "answer" and kind[2] == address}
            assert answers == {("answer", mac, address)}, answers
    return f"{len(wanted)} kinds of frames"


@case("a link that somebody removes or takes down is put back", makes=(OURS,))
def healed(world):
    running(world)
    world.node.ip("link del vrrp.51")
    world.expect("it is back", world.everything)
    world.node.ip("link set vx down")
    world.expect("it is up again", lambda: "LOWER_UP" in world.node.run("ip", "link", "show", "vx"))
    world.expect("all of them", world.everything)
    said = world.daemon.log()
    assert "interface vrrp.51 is put back" in said and "interface vx is put back" in said, tail(said)
    before = world.tables()
    world.node.run("nft", "flush", "ruleset")
    world.expect("its rules are put back", lambda: world.tables() == before == {f"table {it} keepalived_vmac" for it in ("ip", "ip6")})


@case("the parent goes down and comes back: so do its children, and nothing else is said of them", makes=(OURS,))
def parent(world):
    running(world)
    world.node.ip("link set eth0 down")
    world.expect("FAULT", lambda: not world.addresses("vrrp.51"))
    world.node.ip("link set eth0 up", "addr replace fe80::20:2/64 dev eth0 nodad")
    world.expect("all of them again", world.everything)


@case("a crash: the next start takes the links over, and goes on as master", makes=(OURS,))
def taken_over(world):
    running(world)
    before = world.node.run("ip", "-o", "link", "show", "vrrp.51").split(":")[0]
    world.daemon.kill()
    world.daemon.start()
    world.expect("all of them", world.everything)
    assert world.node.run("ip", "-o", "link", "show", "vrrp.51").split(":")[0] == before, "it was made anew"
    world.daemon.kill()
    world.daemon.configure(instance("V4", 51, "use_vmac", "10.20.0.100/24"))
    world.daemon.start()
    world.expect("what left the file goes", lambda: set(world.links()) == {"vrrp.51"})
    world.daemon.configure(CONFIG)
    world.daemon.reload()
    world.expect("a reload brings them back", world.everything)


@case("a stop removes the links; what was changed for them is as before")
def stopped(world):
    running(world)
    world.daemon.stop()
    assert world.links() == {} and world.tables() == set(), (world.links(), world.tables())
    now = world.settings()
    if world.make == THEIRS:
        # keepalived 2.2.7 leaves these two behind.
        for key in ("arp_ignore", "arp_filter"):
            now["eth0", key] = world.before["eth0", key]
    assert now == world.before, f"{now} is not {world.before}"


@case("a name that is taken is a fault with its reason, until it is free", makes=(OURS,))
def clash(world):
    world.node.ip("link add vrrp.51 type veth peer name other")
    world.daemon.start()
    until("it is said", lambda: "an interface of this name is there already" in world.daemon.log(), within=5)
    until("the others go on", lambda: "10.20.0.101/24" in world.addresses("vx"), within=8)
    assert "vrrp.51" not in world.links(), "it was taken from somebody"
    world.node.ip("link del vrrp.51")
    world.expect("all of them", world.everything)
    world.daemon.stop()
