"""Sync groups: what the group tracks counts for all members by its weight, what a member tracks does not."""

import re

from harness.cases import Group, case
from harness.daemon import daemon, tail
from harness.net import World, until

INSTANCE = """\
vrrp_instance {name} {{
    interface eth0
    virtual_router_id {vrid}
    priority 100
    version 3
    advert_int 0.1
    track_script {{
        good weight 50
    }}
    virtual_ipaddress {{
        10.20.0.1{vrid}/24
    }}
}}
"""
CONFIG = """\
global_defs {{
    script_user root
}}
vrrp_script good {{
    script /bin/true
    interval 1
    weight 20
}}
track_file num {{
    file {file}
    weight 2
}}
vrrp_sync_group G {{
    group {{
        A
        B
    }}
    track_script {{
        good
    }}
    track_interface {{
        t0 weight 10
    }}
    track_file {{
        num
    }}
}}
"""


class Pair(World):
    """A director that is MASTER of a group, and somebody who hears it."""

    def __init__(self, make):
        super().__init__()
        try:
            self.node, self.far = self.node("lvs"), self.node("far")
            self.wire(self.node, "eth0", self.far, "eth0")
            self.wire(self.node, "t0", self.far, "t0")
            self.node.ip("addr add 10.20.0.2/24 dev eth0")
            self.number = self.file("number", "3\n")
            self.frames = f"{self.dir}/frames"
            command = f"exec tcpdump -i eth0 -Q in -l -n proto 112 > {self.frames} 2> {self.dir}/tcpdump.log"
            self.far.spawn(["sh", "-c", command], f"{self.dir}/tcpdump.log")
            until("tcpdump listens", lambda: "listening on" in open(f"{self.dir}/tcpdump.log").read())
            config = CONFIG.format(file=self.number)
            config += "".join(INSTANCE.format(name=name, vrid=vrid) for name, vrid in (("A", 61), ("B", 62)))
            self.daemon = daemon(make, self.node, config)
        except BaseException:
            self.__exit__()
            raise

    def priorities(self):
        """What each virtual router last advertised."""
        return dict(re.findall(r"vrid (\d+), prio (\d+)", open(self.frames).read()))

    def expect(self, what, priority):
        want = {"61": str(priority), "62": str(priority)}
        try:
            until(what, lambda: self.priorities() == want)
        except AssertionError:
            raise AssertionError(f"{what}: {self.priorities()} is not {want}\n{tail(self.daemon.log())}") from None


Group.fixture("syncweights", Pair)


@case("weights of what a group tracks count without sync_group_tracking_weight, those of its members do not")
def weights(world):
    world.daemon.start()
    world.expect("the script is good, the interface up, the number 3", 100 + 20 + 10 + 6)
    with open(world.number, "w") as f:
        f.write("7\n")
    world.expect("the number is 7", 100 + 20 + 10 + 14)
    world.far.ip("link set t0 down")
    world.expect("the interface is down", 100 + 20 + 14)
    assert "FAULT" not in world.daemon.log(), tail(world.daemon.log())
