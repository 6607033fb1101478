"""The network of the articles: one LAN with two directors, two HAProxy nodes and two web servers; a client behind
a router. The directors balance the VIP over the proxies (direct routing), the proxies over the web servers.

    client 192.168.9.2 --- router 192.168.178.254 ---+--- lvs1 .60, lvs2 .61    VIP .100, virtual router 51
                                                      +--- ha1  .62, ha2  .63    VIP .200, virtual router 55
                                                      +--- web1 .7,  web2 .8
"""

from .daemon import HAProxy, daemon, tail
from .net import World, until
from .traffic import Echo, Requests, Web, get

LAN = "192.168.178"
VIP = f"{LAN}.100"
PROXY_VIP = f"{LAN}.200"
HOSTS = {"lvs1": 60, "lvs2": 61, "ha1": 62, "ha2": 63, "web1": 7, "web2": 8}
ECHO_PORT = 7007


def instance(state, virtual_router, priority, source, addresses, name="VI_1", extra=""):
    """A vrrp_instance with the values of the articles."""
    listed = "\n".join(f"        {a}" for a in addresses)
    return f"""\
vrrp_instance {name} {{
    state {state}
    interface eth0
    virtual_router_id {virtual_router}
    mcast_src_ip {source}
    priority {priority}
    advert_int 1
    {extra}
    authentication {{
        auth_type PASS
        auth_pass 1111
    }}
    virtual_ipaddress {{
{listed}
    }}
}}
"""


def service(port, delay_loop=3, weights=(1, 1)):
    """The virtual server of the article, with one weight for each proxy."""
    servers = "\n".join(f"""\
    real_server {LAN}.{host} {port} {{
        weight {weight}
        TCP_CHECK {{
            connect_timeout 3
        }}
    }}""" for host, weight in zip((62, 63), weights))
    return f"""\
virtual_server {VIP} {port} {{
    delay_loop {delay_loop}
    lb_algo rr
    lb_kind DR
    protocol TCP
{servers}
}}
"""


def director_config(which, weights=(1, 1), addresses=(f"{VIP}/24 dev eth0",)):
    """keepalived.conf of lvs1 or lvs2."""
    state, priority, host = {"lvs1": ("MASTER", 100, 60), "lvs2": ("BACKUP", 99, 61)}[which]
    return (f"global_defs {{\n    router_id {which.upper()}\n}}\n"
            + instance(state, 51, priority, f"{LAN}.{host}", addresses)
            + service(80, weights=weights) + service(ECHO_PORT, weights=weights))


def proxy_config(which, addresses=(f"{PROXY_VIP}/24",)):
    """keepalived.conf of ha1 or ha2: the same pair without IPVS, the address on the proxies themselves."""
    state, priority, host = {"ha1": ("MASTER", 100, 62), "ha2": ("BACKUP", 99, 63)}[which]
    return (f"global_defs {{\n    router_id {which.upper()}\n}}\n"
            + instance(state, 55, priority, f"{LAN}.{host}", addresses))


class Chain(World):
    """The network, with web servers and proxies running and the daemons of the given make not yet started."""

    def __init__(self, make):
        super().__init__()
        self.make = make
        self.directors, self.guards, self.proxies, self.webs = {}, {}, {}, {}
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise

    def _build(self):
        switch, router, self.client = self.switch(), self.node("router"), self.node("client")
        self.plug(switch, router, f"{LAN}.254/24")
        self.wire(self.client, "eth0", router, "out0")
        self.client.ip("addr add 192.168.9.2/24 dev eth0", "route add default via 192.168.9.1")
        router.ip("addr add 192.168.9.1/24 dev out0")
        router.sysctl(ipv4__ip_forward=1)
        nodes = {}
        for name, host in HOSTS.items():
            nodes[name] = node = self.node(name)
            self.plug(switch, node, f"{LAN}.{host}/24")
            node.ip(f"route add default via {LAN}.254")
        for name in ("web1", "web2"):
            self.webs[name] = self.add(Web(nodes[name], 80))
        for name in ("ha1", "ha2"):
            # Direct routing: the proxies accept packets for the VIP and keep silent when asked who has it.
            nodes[name].sysctl(ipv4__conf__all__arp_ignore=1, ipv4__conf__all__arp_announce=2)
            nodes[name].ip(f"addr add {VIP}/32 dev lo")
            self.proxies[name] = HAProxy(nodes[name], {"Web1": f"{LAN}.7:80", "Web2": f"{LAN}.8:80"}).start()
            self.add(Echo(nodes[name], ECHO_PORT))
            self.guards[name] = daemon(self.make, nodes[name], proxy_config(name), label=f"{name}-vrrp")
        for name in ("lvs1", "lvs2"):
            nodes[name].sysctl(ipv4__conf__all__send_redirects=0, ipv4__conf__eth0__send_redirects=0)
            self.directors[name] = daemon(self.make, nodes[name], director_config(name))

    def owners(self, vip=VIP):
        """Names of the directors (or proxies, for their address) that hold `vip`."""
        pair = self.directors if vip == VIP else self.guards
        return [name for name, d in pair.items() if d.node.holds(vip)]

    def in_rotation(self, director):
        """Proxies that the director's IPVS would give new connections to port 80."""
        servers = self.directors[director].node.servers()
        return [name for name in ("ha1", "ha2") if servers.get(f"{LAN}.{HOSTS[name]}:80", (0,))[0] > 0]

    def settle(self):
        """Everything runs, lvs1 is master, both proxies are in rotation on both directors."""
        for proxy in self.proxies.values():
            proxy.running() or proxy.start()
        for name, d in self.directors.items():
            changed = d.configure(director_config(name))
            if not d.running():
                d.start()
            elif changed:
                d.reload()
        until("lvs1 alone holds the VIP", lambda: self.owners() == ["lvs1"], within=15)
        for name in self.directors:
            until(f"both proxies are in rotation on {name}", lambda n=name: self.in_rotation(n) == ["ha1", "ha2"],
                  within=20)
        until("the VIP answers", lambda: self.answers(VIP), within=10)

    def answers(self, vip):
        try:
            return get(self.client, vip)[0] == 200
        except OSError:
            return False

    def traffic(self, **options):
        """Clients asking the VIP; close() it or leave it to the end of the test."""
        return self.add(Requests(self.client, VIP, **options))

    def logs(self):
        """The end of every daemon's log, for a report of failure."""
        return "\n".join(f"  {d.label}:\n{tail(d.log(), 15)}"
                         for d in [*self.directors.values(), *self.guards.values()] if d.log())
