"""One lbagent with a few services and servers: for tests of what it does with files, commands and its socket.

    director  eth0 10.20.0.1/24, VIP 10.20.0.100       servers  10.20.0.2 and all of 10.30.0.0/24, port 80 answers
"""

from .daemon import OURS, daemon, tail
from .net import World, until
from .traffic import Web

VIP = "10.20.0.100"
METRICS_PORT = 9650

CONFIG = f"""\
vrrp_instance VI_int {{
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 150
    advert_int 1
    virtual_ipaddress {{
        {VIP}/24
    }}
}}
virtual_server {VIP} 80 {{
    delay_loop 1
    lb_algo wrr
    lb_kind NAT
    protocol TCP
    snmp_name web
    real_server 10.30.0.24 80 {{
        weight 100
        TCP_CHECK {{
            connect_timeout 1
            retry 0
        }}
    }}
    real_server 10.30.0.25 80 {{
        weight 100
        TCP_CHECK {{
            connect_timeout 1
            retry 0
        }}
    }}
    real_server 10.30.0.26 81 {{
        weight 100
        TCP_CHECK {{
            connect_timeout 1
            retry 0
        }}
    }}
}}
"""


class Solo(World):
    """The agent, master and with its checks done: .24 and .25 are up, .26 is down (nothing listens on port 81)."""

    def __init__(self, make=OURS):
        super().__init__()
        try:
            node, far = self.node("director"), self.node("servers")
            self.wire(node, "eth0", far, "eth0")
            node.ip("addr add 10.20.0.1/24 dev eth0", "route add 10.30.0.0/24 via 10.20.0.2")
            node.sysctl(ipv4__ip_forward=1)
            far.ip("addr add 10.20.0.2/24 dev eth0", "route add local 10.30.0.0/24 dev lo")
            self.add(Web(far, 80))
            self.agent = daemon(make, node, CONFIG)
            self.agent.flags = ["--metrics", f"127.0.0.1:{METRICS_PORT}"]
            self.agent.start()
            self.settle()
        except BaseException:
            self.__exit__()
            raise

    def settle(self):
        """As in the configuration, without overrides."""
        until("the agent is master", lambda: self.agent.node.holds(VIP), within=10)
        until(".24 and .25 are in IPVS with their weight, .26 is not", lambda: (
            {a: w for a, (w, *_) in self.agent.node.servers().items()}
            == {"10.30.0.24:80": 100, "10.30.0.25:80": 100}), within=15)

    def logs(self):
        return f"  {self.agent.label}:\n{tail(self.agent.log())}"
