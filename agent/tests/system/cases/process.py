"""The process: signals, and the files that programs read after them."""

import contextlib
import json
import os
import signal

from harness.cases import Group, case
from harness.daemon import daemon, tail
from harness.net import World, until

VIP = "10.20.0.100"
DATA, STATS, JSON = (f"/tmp/keepalived.{kind}" for kind in ("data", "stats", "json"))


class One(World):
    """One daemon, master of one instance."""

    def __init__(self, make):
        super().__init__()
        try:
            node, far = self.node("director"), self.node("far")
            self.wire(node, "eth0", far, "eth0")
            node.ip("addr add 10.20.0.1/24 dev eth0")
            for path in (DATA, STATS, JSON):
                with contextlib.suppress(FileNotFoundError):
                    os.remove(path)
            self.daemon = daemon(make, node, f"""\
vrrp_instance VI_1 {{
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 150
    advert_int 1
    virtual_ipaddress {{
        {VIP}/24
    }}
}}
""")
            self.daemon.start()
            until("it is master", lambda: node.holds(VIP))
        except BaseException:
            self.__exit__()
            raise

    def logs(self):
        return f"  {self.daemon.label}:\n{tail(self.daemon.log())}"


Group.fixture("process", One)


def read(path):
    try:
        with open(path) as f:
            return f.read()
    except FileNotFoundError:
        return ""


@case("SIGUSR1, SIGUSR2 and the JSON signal write the files that exporters read")
def dumps(one):
    one.daemon.signal(signal.SIGUSR1)
    text = until("the data", lambda: "Virtual IP" in read(DATA) and read(DATA))
    for line in (" VRRP Instance = VI_1", "   State = MASTER", "   Interface = eth0", "   Virtual Router ID = 51",
                 "   Priority = 150", "   Effective priority = 150", "   Virtual IP (1):"):
        assert line in text.splitlines(), f"no {line!r} in\n{text}"
    one.daemon.signal(signal.SIGUSR2)
    text = until("the statistics", lambda: "Priority Zero" in read(STATS) and read(STATS))
    for line in ("VRRP Instance: VI_1", "  Became master: 1", "  Released master: 0"):
        assert line in text.splitlines(), f"no {line!r} in\n{text}"
    one.daemon.signal(signal.SIGRTMIN + 2)
    text = until("the JSON", lambda: read(JSON).rstrip().endswith(("]", "}")) and read(JSON))
    first = json.loads(text)[0]
    assert first["data"]["iname"] == "VI_1" and first["data"]["state"] == 2, first
    assert first["stats"]["become_master"] == 1 and first["stats"]["advert_sent"] > 0, first
    modes = {os.stat(path).st_mode & 0o777 for path in (DATA, STATS, JSON)}
    assert modes == {0o600}, modes
    assert one.daemon.running()
    return f"{len(first['data'])} + {len(first['stats'])} JSON members"
