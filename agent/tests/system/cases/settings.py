"""Settings of the process: who runs with which priority, and what is run before and after."""

import os
import re

from harness.cases import Group, case
from harness.daemon import THEIRS, daemon, tail
from harness.net import World, until


class Settings(World):
    """One daemon with an instance, a service, and settings for the process."""

    def __init__(self, make):
        super().__init__()
        try:
            self.make = make
            node, far = self.node("director"), self.node("far")
            self.wire(node, "eth0", far, "eth0")
            node.ip("addr add 10.20.0.1/24 dev eth0")
            self.begun, self.ended = (os.path.join(self.dir, name) for name in ("begun", "ended"))
            self.daemon = daemon(make, node, f"""\
global_defs {{
    startup_script "/usr/bin/touch {self.begun}" root root
    shutdown_script "/usr/bin/touch {self.ended}" root root
    vrrp_priority -5
    vrrp_rt_priority 20
    vrrp_no_swap
    checker_priority 7
}}
virtual_server 10.20.0.99 80 {{
    protocol TCP
    lb_kind NAT
    real_server 10.20.0.2 80 {{
        weight 1
    }}
}}
vrrp_instance VI_1 {{
    interface eth0
    virtual_router_id 51
    virtual_ipaddress {{
        10.20.0.100/24
    }}
}}
""")
            self.daemon.start()
        except BaseException:
            self.__exit__()
            raise

    def logs(self):
        return f"  {self.daemon.label}:\n{tail(self.daemon.log())}"


Group.fixture("settings", Settings)


def threads(pid):
    """{(name, id): (nice, policy, real-time priority)} of a process; policy 2 is SCHED_RR."""
    found = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat") as f:
            name, rest = f.read().split("(", 1)[1].rsplit(")", 1)
        fields = rest.split()
        found[name, task] = (int(fields[16]), int(fields[38]), int(fields[37]))
    return found


def locked(pid):
    """kB of memory that cannot be swapped out."""
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmLck:\s+(\d+)", f.read())[1])


def seen(settings):
    """What those who speak VRRP have, what those who check have, and the memory locked."""
    if settings.make == THEIRS:
        # A process each.
        pids = []
        for part in ("vrrp", "check"):
            try:
                with open(f"{settings.dir}/director-{part}.pid") as f:
                    pids.append(int(f.read()))
            except (FileNotFoundError, ValueError):
                return None
        vrrp, checker = (next(iter(threads(pid).values())) for pid in pids)
        return vrrp, checker, locked(pids[0])
    pid = settings.daemon.process.pid
    found = threads(pid)
    of = {name: it for (name, task), it in found.items() if task != str(pid)}
    none = (0, 0, 0)
    if (of.get("net", none)[1:], of.get("ipvs", none)[:2], of.get("store")) != ((2, 20), (7, 0), none):
        return None  # not yet: the model comes into force a moment after the threads have begun
    return found["lbagent", str(pid)], of["worker"], locked(pid)


@case("priorities, real time and memory lock reach those who speak VRRP, and those who check")
def scheduling(settings):
    # keepalived leaves the nice value alone where there is a real-time priority.
    def right(it):
        return it and it[0][1:] == (2, 20) and it[1][:2] == (7, 0) and it[2] > 0
    until("they have them", lambda: right(seen(settings)), within=5)
    vrrp, checker, lock = seen(settings)
    return f"VRRP {vrrp}, checks {checker}, {lock} kB locked"


@case("a script is run before everything else, and one after")
def scripts(settings):
    assert os.path.exists(settings.begun) and not os.path.exists(settings.ended)
    settings.daemon.stop()
    assert os.path.exists(settings.ended)
