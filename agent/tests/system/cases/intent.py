"""Promote, demote and release: what an operator wants holds until it is ended, over reload and restart."""

import time

from harness.cases import Group, case
from harness.daemon import OURS, daemon, tail
from harness.net import World, stays, until

VIP = "10.20.0.100"


def config(host, priority):
    return f"""\
vrrp_instance VI_1 {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int 1
    virtual_ipaddress {{
        {VIP}/24
    }}
}}
"""


class Two(World):
    """Two agents: high (priority 150) is master, low (100) stands by."""

    def __init__(self, make):
        super().__init__()
        try:
            switch = self.switch()
            self.agents = {}
            for name, host, priority in (("high", 1, 150), ("low", 2, 100)):
                node = self.node(name)
                self.plug(switch, node, f"10.20.0.{host}/24")
                self.agents[name] = daemon(make, node, config(host, priority))
            self.high, self.low = self.agents["high"], self.agents["low"]
        except BaseException:
            self.__exit__()
            raise

    def owners(self):
        return [name for name, agent in self.agents.items() if agent.node.holds(VIP)]

    def settle(self):
        for agent in self.agents.values():
            agent.running() or agent.start()
            agent.ctl("release", "VI_1", "--yes", check=False)
        until("high alone is master", lambda: self.owners() == ["high"], within=12)

    def logs(self):
        return "\n".join(f"  {a.label}:\n{tail(a.log())}" for a in self.agents.values())


Group.fixture("intent", Two)


@case("promote moves the address within one interval, holds over a reload, ends by release", makes=(OURS,))
def promote(two):
    two.settle()
    began = time.monotonic()
    two.low.ctl("promote", "VI_1", "--yes", "--wait")
    until("low alone holds the address", lambda: two.owners() == ["low"], within=5, every=0.01)
    took = time.monotonic() - began
    # The command itself starts a process, which is slow in a guest.
    assert took < 1.0 + 0.5, f"took {took:.2f} s; one interval is 1 s"
    two.low.reload()
    stays("low keeps it over a reload", lambda: two.owners() == ["low"], during=5)
    two.low.ctl("release", "VI_1", "--yes")
    until("high has it back", lambda: two.owners() == ["high"], within=8)
    return f"{took:.2f} s from the command to the address"


@case("promote --for ends by itself", makes=(OURS,))
def promote_for(two):
    two.settle()
    began = time.monotonic()
    two.low.ctl("promote", "VI_1", "--for", "6s", "--yes", "--wait")
    until("low alone holds the address", lambda: two.owners() == ["low"], within=5)
    until("high has it back", lambda: two.owners() == ["high"], within=15)
    took = time.monotonic() - began
    assert took >= 6.0, f"ended after {took:.1f} s already"
    return f"back after {took:.1f} s"


@case("demote gives the address away and survives a restart", makes=(OURS,))
def demote(two):
    two.settle()
    two.high.ctl("demote", "VI_1", "--yes", "--force", "-m", "system test")
    until("low alone holds the address", lambda: two.owners() == ["low"], within=5)
    two.high.stop()
    two.high.start()
    stays("high stays away after its restart", lambda: two.owners() == ["low"], during=6)
    two.high.ctl("release", "VI_1", "--yes")
    until("high has it back", lambda: two.owners() == ["high"], within=8)
