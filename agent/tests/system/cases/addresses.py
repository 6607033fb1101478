"""Static addresses, and what else an address line can say."""

import re

from harness.cases import Group, case
from harness.daemon import OURS, THEIRS, comes_to, daemon
from harness.net import World

CONFIG = """\
global_defs {
    default_interface eth0
}
static_ipaddress {
    10.70.0.1/24 dev eth0 noprefixroute
    10.70.1.1/24
    10.70.2.1 peer 10.70.2.2/32 dev eth0
    2001:db8:70::1/64 dev eth0 preferred_lft 0
}
vrrp_instance VI_1 {
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 150
    advert_int 1
    virtual_ipaddress {
        10.20.0.100/24 noprefixroute
        10.71.0.1 peer 10.71.0.2/32
    }
    virtual_ipaddress_excluded {
        2001:db8:71::1/64 home
        2001:db8:71::2/64 mngtmpaddr
        2001:db8:71::3/128
        2001:db8:71::4/128 preferred_lft forever
    }
}
"""

STATIC = {
    "10.70.0.1/24 noprefixroute",
    "10.70.1.1/24",
    "10.70.2.1 peer 10.70.2.2/32",
    "2001:db8:70::1/64 deprecated nodad preferred_lft 0sec",
}
VIRTUAL = {
    "10.20.0.100/24 secondary noprefixroute",
    "10.71.0.1 peer 10.71.0.2/32",
    "2001:db8:71::1/64 home nodad",
    "2001:db8:71::2/64 mngtmpaddr nodad",
    "2001:db8:71::3/128 deprecated nodad preferred_lft 0sec",
    "2001:db8:71::4/128 nodad",
}
WORDS = ("secondary", "deprecated", "home", "mngtmpaddr", "nodad", "noprefixroute", "tentative")


class Host(World):
    """One director that is alone on its wire."""

    def __init__(self, make):
        super().__init__()
        try:
            self.node, far = self.node("lvs"), self.node("far")
            self.wire(self.node, "eth0", far, "eth0")
            self.node.ip("addr add 10.20.0.2/24 dev eth0")
            self.make, self.daemon = make, daemon(make, self.node, CONFIG)
        except BaseException:
            self.__exit__()
            raise

    def held(self):
        """The addresses that are not the host's own, each with what the kernel says of it."""
        found = set()
        lines = self.node.run("ip", "-o", "addr", "show", "dev", "eth0").splitlines()
        for words in (line.replace("\\", " ").split() for line in lines):
            address = words[3]
            if address == "10.20.0.2/24" or address.startswith("fe80:"):
                continue
            if "peer" in words:
                address += " peer " + words[words.index("peer") + 1]
            said = [word for word in WORDS if word in words]
            if words[words.index("preferred_lft") + 1] == "0sec" and ":" in address:
                said.append("preferred_lft 0sec")
            found.add(" ".join([address] + sorted(said, key=order)))
        return found

    def expect(self, what, wanted, within=12):
        if self.make == THEIRS:
            # keepalived 2.2.7 reads a peer and does not set it.
            wanted = {re.sub(" peer .*/", "/", it) for it in wanted}
        comes_to(what, self.daemon, self.held, wanted, within)


def order(word):
    return ("secondary deprecated home mngtmpaddr nodad noprefixroute tentative preferred_lft".split()
            .index(word.split()[0]))


Group.fixture("addresses", Host)


def running(world):
    if not world.daemon.running():
        world.daemon.start()
    world.expect("all of them", STATIC | VIRTUAL)


@case("static addresses are there from the start; each has what its line says")
def there(world):
    world.daemon.start()
    world.expect("the static ones", STATIC, within=3)
    running(world)
    return f"{len(world.held())} addresses"


@case("a static address that somebody removes is put back")
def healed(world):
    running(world)
    world.node.ip("addr del 10.70.1.1/24 dev eth0")
    world.expect("it is back", STATIC | VIRTUAL)


@case("a crash: the next start takes them over, and removes what left the file", makes=(OURS,))
def taken_over(world):
    running(world)
    world.daemon.kill()
    assert world.held() == STATIC | VIRTUAL, "a crash touched the addresses"
    world.daemon.configure(CONFIG.replace("    10.70.1.1/24\n", ""))
    world.daemon.start()
    world.expect("all but what left the file", (STATIC | VIRTUAL) - {"10.70.1.1/24"})
    world.daemon.configure(CONFIG)
    world.daemon.reload()
    world.expect("a reload brings it back", STATIC | VIRTUAL)


@case("a stop takes all of them away")
def stopped(world):
    running(world)
    world.daemon.stop()
    world.expect("nothing is left", set())
