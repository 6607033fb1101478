"""track_file and FILE_CHECK: what a number in a file does to a priority, a state and a weight, as keepalived does it."""

import os
import re
import signal

from harness.cases import Group, case
from harness.daemon import THEIRS, daemon, tail
from harness.net import World, until

VIP = "10.20.0.100"
FAR = "10.20.0.2"
DATA = "/tmp/keepalived.data"
SERVICES = "/tmp/keepalived_check.data"


class Files(World):
    """One daemon with an instance and a service that follow files."""

    def __init__(self, make):
        super().__init__()
        try:
            self.make = make
            self.folder = self.file("numbers", "").rsplit("/", 1)[0]
            node, far = self.node("director"), self.node("far")
            self.wire(node, "eth0", far, "eth0")
            node.ip("addr add 10.20.0.1/24 dev eth0")
            self.director = node
            self.write("there", "3\n")
            self.write("kept", "3\n")
            files = {
                "load": "weight 2", "plain": "", "fault": "weight 0", "turned": "weight 0 reverse",
                "made": "init_file 7", "kept": "init_file 7", "there": "", "rs": "", "rs_off": "weight 0",
            }
            blocks = "".join(f"""
track_file {name} {{
    file {self.path(name)}
    {words}
}}""" for name, words in files.items())
            self.write("turned", "1\n")
            self.daemon = daemon(make, node, f"""\
{blocks}
vrrp_instance VI_1 {{
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 100
    version 3
    advert_int 0.1
    virtual_ipaddress {{
        {VIP}/24
    }}
    track_file {{
        load
        plain weight 1 reverse
        fault
        turned
        made
        kept
        there weight -2
    }}
}}
virtual_server {VIP} 80 {{
    delay_loop 60
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server {FAR} 80 {{
        weight 10
        FILE_CHECK {{
            track_file rs
            weight 3
        }}
    }}
    real_server {FAR} 81 {{
        weight 10
        FILE_CHECK {{
            track_file rs_off
        }}
    }}
    real_server {FAR} 82 {{
        weight 10
        inhibit_on_failure
        FILE_CHECK {{
            track_file rs_off
            weight 0 reverse
        }}
    }}
}}
""")
            self.daemon.start()
            until("it is master", lambda: node.holds(VIP))
        except BaseException:
            self.__exit__()
            raise

    def path(self, name):
        return f"{self.folder}/number-{name}"

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)

    def replace(self, name, text):
        self.write(name + "~", text)
        os.rename(self.path(name + "~"), self.path(name))

    def vrrp(self):
        """The state and the priority in force, from the file that both write on a signal."""
        if os.path.exists(DATA):
            os.remove(DATA)
        self.daemon.signal(signal.SIGUSR1)

        def read():
            try:
                with open(DATA) as f:
                    text = f.read()
            except FileNotFoundError:
                return None
            state = re.search(r"State = (\w+)", text)
            priority = re.search(r"Effective priority = (\d+)", text)
            return state and priority and "Virtual IP" in text and (state[1], int(priority[1]))
        return until("the data", read, every=0.01)

    def logs(self):
        return f"  {self.daemon.label}:\n{tail(self.daemon.log())}"


Group.fixture("files", Files)


@case("track_file: a number moves the priority, a bad one is a fault, and any way to write it counts")
def priority(world):
    # The file `made` was made with 7, `kept` kept its 3, `there` takes away twice its 3.
    base = 100 + 7 + 3 - 6
    assert open(world.path("made")).read().strip() == "7"
    assert open(world.path("kept")).read().strip() == "3"
    steps = [
        ("load", world.write, "5\n", base + 10),
        ("load", world.write, "0x10", base + 32),
        ("load", world.write, "010 and more", base + 16),
        ("load", world.replace, "-50\n", 4),
        ("load", world.replace, "99999999999\n", 4),
        ("load", world.replace, "-53\n", 1),
        ("load", world.write, "words", base),
        ("load", world.write, "200", 254),
        ("load", world.write, "", base),
        ("plain", world.write, "4", base - 4),
        ("plain", lambda name, _: os.rename(world.path(name), world.path("away")), None, base),
        ("load", world.write, "-127", None),
        ("load", lambda name, _: os.remove(world.path(name)), None, base),
        ("fault", world.write, "1", None),
        ("fault", world.write, "0", base),
        ("turned", world.write, "0", None),
        ("turned", world.write, "-1", base),
    ]
    for name, how, text, want in steps:
        how(name, text)
        if want is None:
            until(f"FAULT after {name} {text!r}", lambda: world.vrrp()[0] == "FAULT", within=5)
            until(f"no address after {name} {text!r}", lambda: not world.director.holds(VIP), within=1)
        else:
            until(f"priority {want} after {name} {text!r}", lambda: world.vrrp()[1] == want, within=5)
            until(f"MASTER after {name} {text!r}", lambda: world.vrrp()[0] == "MASTER", within=5)
    return f"{len(steps)} changes"


@case("FILE_CHECK: a number moves the weight of a server, and a bad one takes it away")
def weight(world):
    def seen():
        return {int(server.rsplit(":", 1)[1]): counts[0] for server, counts in world.director.servers().items()}

    # At its start keepalived takes a file of weight 0 in reverse for good, until the number changes for the first time.
    first = 10 if world.make == THEIRS else 0
    steps = [
        (None, None, {80: 10, 81: 10, 82: first}),
        ("rs", "5", {80: 25, 81: 10, 82: first}),
        ("rs", "-2", {80: 4, 81: 10, 82: first}),
        ("rs", "-20", {80: 0, 81: 10, 82: first}),
        ("rs", "", {80: 10, 81: 10, 82: first}),
        ("rs_off", "1", {80: 10, 82: 10}),
        ("rs_off", "0", {80: 10, 81: 10, 82: 0}),
    ]
    for name, text, want in steps:
        if name:
            world.write(name, text)
        until(f"{want} after {name} {text!r}", lambda: seen() == want, within=5)
    return f"{len(steps)} states"


@case("SIGUSR1: the file of services and checks has the lines of keepalived")
def services(world):
    if os.path.exists(SERVICES):
        os.remove(SERVICES)
    world.daemon.signal(signal.SIGUSR1)

    def read():
        try:
            with open(SERVICES) as f:
                text = f.read()
        except FileNotFoundError:
            return None
        return "FILE_CHECK" in text and text.splitlines()
    lines = until("the file", read, every=0.01)
    missing = [line for line in f"""\
------< LVS Topology >------
 ------< Virtual server >------
 VS VIP = {VIP}, VPORT = 80
   Address family = inet
   lvs_sched = rr
   One packet scheduling = disabled
   protocol = TCP
   alpha is OFF
   omega is OFF
   quorum = 1, hysteresis = 0
   Using smtp notification = no
   default forwarding method = NAT
   alive = 1
   quorum_state_up = 1
   ------< Real server >------
   forwarding method = NAT
   connection limit range = 0 -> 0
   Delay loop = 60.000000
   Inhibit on failure is OFF
   Inhibit on failure is ON
   initial weight = 10
   RS set = 1
------< Health checkers >------
 [{VIP}]:tcp:80 -> [{FAR}]:tcp:80
 [{VIP}]:tcp:80 -> [{FAR}]:tcp:81
   Up = yes
   Keepalive method = FILE_CHECK""".splitlines() if line not in lines]
    assert not missing, f"not there: {missing}\n" + "\n".join(lines)
    servers = [line for line in lines if line.startswith("   RIP = ")]
    assert servers[0].startswith(f"   RIP = {FAR}, RPORT = 80, WEIGHT = 10 EFF WEIGHT = "), servers
    assert len(servers) == 3, servers
    return f"{len(lines)} lines"
