"""What the host does to the agent: descriptors, rights, names of interfaces, protocols that are not there."""

import os
import re
import resource
import signal

from harness.cases import Group, case
from harness.daemon import OURS, daemon, tail
from harness.net import World, until
from harness.traffic import Web
from .life import launch

VIP = "10.20.0.100"


def instance(name, device, router, address, family=""):
    return f"""\
vrrp_instance {name} {{
    version 3
    state MASTER
    interface {device}
    {family}
    virtual_router_id {router}
    priority 200
    advert_int 0.1
    virtual_ipaddress {{
        {address}
    }}
}}
"""


CONFIG = (instance("VI_fast", "eth0", 1, f"{VIP}/24")
          + instance("VI_small", "eth1", 2, "10.21.0.100/24")
          + instance("VI_bare", "eth2", 3, "10.22.0.100/24")
          + instance("VI_six", "eth0", 4, "fe80::100/64", "native_ipv6"))


class Place(World):
    """One agent with four instances: on a usual interface, with a small MTU, without IPv4, and without IPv6."""

    def __init__(self, make):
        super().__init__()
        try:
            node, far = self.node("director"), self.node("far")
            self.node_, self.far = node, far
            for device in ("eth0", "eth1", "eth2"):
                self.wire(node, device, far, device)
            node.sysctl(ipv6__conf__eth0__disable_ipv6=1)
            node.ip("addr add 10.20.0.1/24 dev eth0", "link set eth1 mtu 576",
                    "addr add 10.21.0.1/24 dev eth1")
            far.ip("addr add 10.20.0.2/24 dev eth0")
            self.add(Web(far, 80))
            self.agent = daemon(make, node, CONFIG).start()
            self.settle()
        except BaseException:
            self.__exit__()
            raise

    def settle(self):
        until("VI_fast is master", lambda: self.node_.holds(VIP), within=10)

    def why(self, name):
        """What lbctl says of an instance, in one line."""
        return " ".join(self.agent.ctl("why", name)[1].split())

    def logs(self):
        return tail(self.agent.log())


Group.fixture("surroundings", Place)


@case("F170 no IPv6, no IPv4, an MTU of 576: each instance says what it lacks, the others run", makes=(OURS,))
def protocols(place):
    until("VI_small is master", lambda: place.node_.holds("10.21.0.100"), within=5)
    bare, six = place.why("VI_bare"), place.why("VI_six")
    assert re.search(r"VI_bare is FAULT.*eth2 has no IPv4 address", bare), bare
    assert re.search(r"VI_six is FAULT.*IPv6", six), six
    place.node_.ip("addr add 10.22.0.1/24 dev eth2")
    until("VI_bare is master", lambda: place.node_.holds("10.22.0.100"), within=5)
    return re.search(r"because (.*?)\.", six)[1]


@case("F048 an interface renamed away and back, its name taken by another: the name counts", makes=(OURS,))
def renamed(place):
    node = place.node_
    back = ("link set eth0 up", "addr replace 10.20.0.1/24 dev eth0")
    for between, lacks in (((), "does not exist"),
                           (("link add eth0 type veth peer name eth0peer", "link set eth0peer up",
                            "link set eth0 up"), "has no IPv4")):
        node.ip("link set eth0 down", "link set eth0 name away", *between)
        until(f"FAULT: {lacks}", lambda: re.search(rf"VI_fast is FAULT.*{lacks}", place.why("VI_fast")))
        assert not node.holds(VIP)
        node.ip(*(["link del eth0"] if between else []), "link set away name eth0", *back)
        place.settle()


@case("F156 no descriptor left: the master goes on, a reload is refused, who connects is let go", makes=(OURS,))
def descriptors(place):
    agent = place.agent
    pid = agent.process.pid
    open_ones = {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")}

    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)

    def allow(count):
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (count, hard))

    # None below the first that is free is free.
    allow(min(set(range(len(open_ones) + 1)) - open_ones))
    try:
        try:
            answer = agent.ask({"op": "ping"}, timeout=2)
            raise AssertionError(f"answered without a descriptor: {answer}")
        except (ConnectionError, OSError) as error:
            assert not isinstance(error, TimeoutError), "who connects is left waiting"
        agent.reload()
        until("the reload is refused", lambda: "reload refused, nothing changed" in agent.log(), within=3)
        assert place.node_.holds(VIP) and agent.running()
        assert agent.log().count("cannot take connections") == 1, agent.log()
    finally:
        allow(hard)
    until("it answers again", agent.answers, within=3)
    agent.reload()
    until("a reload is in force", lambda: agent.log().count("config.applied") == 2, within=3)
    now = len(os.listdir(f"/proc/{pid}/fd"))
    assert now <= len(open_ones) + 1, f"{len(open_ones)} descriptors before, {now} now"
    return f"{now} descriptors"


@case("stopped while much happens: continued, it knows what is and goes on", makes=(OURS,))
def stopped(place):
    agent = place.agent
    agent.signal(signal.SIGSTOP)
    # While it stands still the kernel has much to tell.
    place.node_.ip(*(f"addr add 10.90.{i // 250}.{i % 250 + 1}/32 dev eth2" for i in range(1000)))
    place.node_.ip("link del eth2")
    agent.signal(signal.SIGCONT)
    until("VI_bare lacks its interface", lambda: "eth2 does not exist" in place.why("VI_bare"))
    assert place.node_.holds(VIP)


@case("F158 a second agent is refused, also while the first stands still; one of another namespace runs", makes=(OURS,))
def second(place):
    agent = place.agent
    before = place.node_.addresses()
    agent.signal(signal.SIGSTOP)
    try:
        for run_dir in (agent.run_dir, f"{place.dir}/elsewhere"):
            code, said = launch(place, "-f", agent.config_path, "--run-dir", run_dir, "--state-dir", agent.state_dir)
            assert code == 1 and f"pid {agent.process.pid}" in said, f"exit {code}: {said}"
    finally:
        agent.signal(signal.SIGCONT)
    assert place.node_.addresses() == before
    other = daemon(OURS, place.far, instance("VI_far", "eth1", 9, "10.29.0.100/24"), label="far").start()
    assert other.answers() and other.stop() == 0
    return said.splitlines()[0]


@case("F165 without a right it needs it does not start, and names it", makes=(OURS,))
def rights(place):
    said = []
    for right in ("net_admin", "net_raw"):
        code, text = launch(place, "-f", place.agent.config_path, "--run-dir", f"{place.dir}/none",
                            "--state-dir", f"{place.dir}/none", before=("setpriv", f"--bounding-set=-{right}"))
        assert code == 4 and f"CAP_{right.upper()}" in text and "CapabilityBoundingSet" in text, f"{code}: {text}"
        assert not os.path.exists(f"{place.dir}/none")
        said.append(text)
    return said[0].splitlines()[0]
