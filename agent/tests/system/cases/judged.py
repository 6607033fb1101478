"""What is said of files and hosts beforehand, and what then comes of it."""

import json
import re
import subprocess
import time

from cases.intent import VIP, config
from harness.cases import case
from harness.daemon import OURS, binary
from harness.net import inside, stays, until


def lbctl(node, *words):
    """Runs lbctl on a node, with no agent needed: its exit code and the findings, by their codes."""
    with inside(node.name):
        done = subprocess.run([binary("lbctl"), "-o", "json", *words], text=True, capture_output=True, timeout=20)
    findings = json.loads(done.stdout)["data"]["findings"]
    return done.returncode, {it["code"]: it for it in findings}


def tracked(priority, weight, number):
    return f"""\
track_file ready {{
    file {number}
    weight {weight}
}}
vrrp_instance VI_1 {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority {priority}
    version 3
    advert_int 0.2
    track_file {{
        ready
    }}
    virtual_ipaddress {{
        {VIP}/24
    }}
}}
"""


@case("check-config --peer tells the number from which the address moves, and there it moves", makes=(OURS,), group="whatif")
def peer(two):
    path = two.file("ready", "0\n")
    two.high.configure(tracked(150, -20, path))
    two.low.configure(tracked(100, 1, "/nowhere"))
    code, said = lbctl(two.high.node, "check-config", two.high.config_path, "--peer", two.low.config_path)
    assert code == 0 and set(said) == {"V-40", "V-87"}, said
    told = int(re.search(r"moves the addresses with a number of (\d+) or more", said["V-87"]["message"])[1])
    assert told == 3, said
    for agent in (two.high, two.low):
        agent.reload() if agent.running() else agent.start()
    until("high alone is master", lambda: two.owners() == ["high"], within=8)

    def number(value):
        with open(path, "w") as f:
            f.write(f"{value}\n")

    number(told - 1)
    stays("high keeps the address", lambda: two.owners() == ["high"], during=1)
    number(told)
    until("low alone is master", lambda: two.owners() == ["low"], within=4)
    # As the others want them.
    for agent, text in ((two.high, config(1, 150)), (two.low, config(2, 100))):
        agent.stop()
        agent.configure(text)


@case("doctor --real-server: what is in the way of a real server, and what it says to do about it", makes=(OURS,),
      group="whatif")
def real_server(two):
    node = two.low.node
    if two.low.running():
        two.low.stop()
    code, said = lbctl(node, "doctor", "--real-server", VIP)
    assert (code, set(said)) == (1, {"H-20", "H-22", "H-23"}), said
    for it in said.values():
        # The remedies as they stand there, as somebody would copy them.
        for remedy in it["advice"].split("; "):
            if remedy.startswith(("ip ", "sysctl ")):
                node.run(*remedy.split(", and ")[0].split())
    code, said = lbctl(node, "doctor", "--real-server", VIP)
    assert (code, said) == (0, {}), said
    node.ip(f"addr del {VIP}/32 dev lo", f"addr add {VIP}/24 dev lo")
    code, said = lbctl(node, "doctor", "--real-server", VIP)
    assert (code, set(said)) == (1, {"H-21"}), said
    node.ip(f"addr del {VIP}/24 dev lo")


DELAYED = """\
interface_up_down_delays {
    eth0 0.3 3
}
vrrp_instance VI_1 {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 150
    version 3
    advert_int 0.2
    virtual_ipaddress {
        10.20.0.100/24
    }
}
"""


@case("interface_up_down_delays: what is short changes nothing, what lasts counts when it has lasted", group="firewall")
def delays(world):
    if world.daemon.running():
        world.daemon.stop()
    world.daemon.configure(DELAYED)
    world.daemon.start()
    holds = lambda: world.node.holds("10.20.0.100")  # noqa: E731
    until("MASTER", holds, within=8)
    world.far.ip("link set eth0 down")
    time.sleep(0.1)  # Shorter than both delays.
    world.far.ip("link set eth0 up")
    stays("a short loss of the carrier changes nothing", holds, during=0.6)
    world.far.ip("link set eth0 down")
    began = time.monotonic()
    until("FAULT", lambda: not holds(), within=4, every=0.01)
    down = time.monotonic() - began
    world.far.ip("link set eth0 up")
    began = time.monotonic()
    until("MASTER again", holds, within=8, every=0.01)
    up = time.monotonic() - began
    world.daemon.stop()
    assert down >= 0.25, f"away {down:.2f} s after the loss already"
    # Two adverts are the most it may be late, 0.4 s; then it waits for a master as a BACKUP, 0.68 s.
    assert 0.4 + 0.6 < up < 3, f"back {up:.2f} s after the return"
    return f"away {down:.2f} s after the loss, back {up:.2f} s after the return"
