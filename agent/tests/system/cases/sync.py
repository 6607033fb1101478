"""Connections copied to the other director: a failover does not end them."""

from harness.cases import Group, case
from harness.daemon import OURS, THEIRS, daemon, tail
from harness.net import World, until
from harness.traffic import Echo, Held

VIP = "10.20.0.100"
PORT = 7007


def config(priority, options=""):
    return f"""\
global_defs {{
    lvs_sync_daemon eth0 VI_1 id 7 {options}
}}
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
virtual_server {VIP} {PORT} {{
    delay_loop 1
    lb_algo rr
    lb_kind DR
    protocol TCP
    real_server 10.20.0.4 {PORT} {{
    }}
}}
"""


class Pair(World):
    """Two directors, a client and a server on one switch."""

    def __init__(self, make):
        super().__init__()
        try:
            self.make = make
            switch, self.client, server = self.switch(), self.node("client"), self.node("server")
            self.plug(switch, self.client, "10.20.0.9/24")
            self.plug(switch, server, "10.20.0.4/24")
            server.sysctl(ipv4__conf__all__arp_ignore=1, ipv4__conf__all__arp_announce=2)
            server.ip(f"addr add {VIP}/32 dev lo")
            self.add(Echo(server, PORT))
            self.pair = []
            for name, host, priority in (("lvs1", 2, 150), ("lvs2", 3, 100)):
                node = self.node(name)
                self.plug(switch, node, f"10.20.0.{host}/24")
                node.sysctl(ipv4__conf__all__send_redirects=0, ipv4__conf__eth0__send_redirects=0)
                self.pair.append(daemon(make, node, config(priority)))
        except BaseException:
            self.__exit__()
            raise

    def logs(self):
        return "\n".join(f"  {d.label}:\n{tail(d.log())}" for d in self.pair)


Group.fixture("sync", Pair)


def daemons(director):
    """What `ipvsadm` says of the sync daemons: "master sync daemon (mcast=eth0, syncid=7, …)"."""
    return [line.strip() for line in director.node.run("ipvsadm", "-l", "--daemon").splitlines() if line.strip()]


def role(director):
    return [line.split()[0] for line in daemons(director)]


@case("lvs_sync_daemon: an established connection outlives a failover")
def failover(pair):
    first, second = pair.pair
    for director in pair.pair:
        director.start()
    until("lvs1 holds the VIP and sends", lambda: first.node.holds(VIP) and role(first) == ["master"], within=10)
    until("lvs2 takes", lambda: role(second) == ["backup"], within=5)
    shown = daemons(first)[0]
    assert "syncid=7" in shown and "eth0" in shown, shown
    if pair.make != THEIRS:
        _, text, _ = first.ctl("status")
        assert "SYNC     sends connections on eth0, id 7, follows VI_1" in text, text
    held = pair.add(Held(pair.client, VIP, PORT))
    until("the connection is known to lvs2", lambda: f"{PORT:04X}" in second.node.proc_net("ip_vs_conn"), within=10)
    before = held.rounds
    first.stop()
    until("lvs2 has taken over and sends", lambda: second.node.holds(VIP) and role(second) == ["master"], within=10)
    until("the connection goes on", lambda: held.rounds > before + 20 or not held.alive(), within=10)
    assert held.alive(), held.error
    assert role(first) == [], f"lvs1 still copies: {daemons(first)}"
    return f"{held.rounds} echoes, slowest {held.slowest:.1f} s"


@case("lvs_sync_daemon: a reload with other values starts it anew")
def reload(pair):
    second = pair.pair[1]
    if not second.running():
        second.start()
    until("lvs2 sends", lambda: role(second) == ["master"], within=10)
    second.configure(config(100, "ttl 3 port 8850"))
    second.reload()
    until("the new values are there", lambda: any("mcast" in d and "8850" in d for d in daemons(second)), within=10)


@case("lvs_sync_daemon: a reload without the line ends it", makes=(OURS,))
def line_gone(pair):
    """keepalived leaves the daemon running until it ends itself."""
    second = pair.pair[1]
    second.configure(config(100).replace("    lvs_sync_daemon eth0 VI_1 id 7 \n", ""))
    second.reload()
    until("nothing is copied", lambda: role(second) == [], within=10)
