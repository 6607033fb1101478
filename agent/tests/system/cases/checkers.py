"""Checkers for mail, name and UDP servers: the same verdicts as keepalived's, on servers that behave and that do not."""

import contextlib
import socket
import threading

from harness.cases import Group, case
from harness.daemon import daemon, tail
from harness.net import World, inside, stays, until
from harness.traffic import Server

VIP = "10.20.0.100"
FAR = "10.20.0.2"


class Greeter(Server):
    """A mail server that greets, and answers everything with what it is given."""

    def __init__(self, node, port, greeting, hello="250 ok"):
        self.greeting, self.hello = greeting, hello
        super().__init__(node, port)

    def talk(self, connection):
        connection.sendall(self.greeting.encode() + b"\r\n")
        for line in connection.makefile("rb"):
            answer = "221 bye" if line.upper().startswith(b"QUIT") else self.hello
            connection.sendall(answer.encode() + b"\r\n")


class Page(Server):
    """A web server with one page, in which "well" stands at 49 when the headers count."""

    def talk(self, connection):
        while not connection.recv(2048).endswith(b"\r\n\r\n"):
            pass
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 17\r\n\r\n..........well...")


def page(words):
    return f"HTTP_GET {{\n url {{\n path /\n regex well\n {words}\n }}"


class Datagrams:
    """Answers each datagram with what `answer` makes of it, or not at all."""

    def __init__(self, node, port, answer):
        with inside(node.name):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((FAR, port))
        self.answer = answer
        threading.Thread(target=self._loop, daemon=True).start()

    def _loop(self):
        with contextlib.suppress(OSError):
            while True:
                data, peer = self.socket.recvfrom(2048)
                if peer is None:
                    return  # it was shut down
                if (answer := self.answer(data)) is not None:
                    self.socket.sendto(answer, peer)

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def named(rcode):
    """A name server that answers everything with this code."""
    return lambda q: q[:2] + bytes([q[2] | 0x80, rcode]) + q[4:]


# port: (is good, server, check)
SERVERS = {
    2501: (True, lambda n: Greeter(n, 2501, "220 ready"), "SMTP_CHECK { helo_name me.example.org"),
    2502: (False, lambda n: Greeter(n, 2502, "421 not now"), "SMTP_CHECK {"),
    2503: (False, lambda n: Greeter(n, 2503, "220 ready", "550 not you"), "SMTP_CHECK {"),
    5301: (True, lambda n: Datagrams(n, 5301, named(0)), "DNS_CHECK {\n type A\n name example.org"),
    5302: (False, lambda n: Datagrams(n, 5302, named(2)), "DNS_CHECK {\n type SOA\n name example.org"),
    5303: (False, lambda n: Datagrams(n, 5303, lambda q: None), "DNS_CHECK {"),
    8001: (True, lambda n: Page(n, 8001), page("regex_min_offset 49")),
    8002: (False, lambda n: Page(n, 8002), page("regex_min_offset 50")),
    8003: (True, lambda n: Page(n, 8003), page("regex_max_offset 49")),
    8004: (False, lambda n: Page(n, 8004), page("regex_max_offset 48")),
    7001: (True, lambda n: Datagrams(n, 7001, lambda q: None), "UDP_CHECK {\n payload 0102"),
    7002: (False, None, "UDP_CHECK {\n payload 0102"),
    7003: (True, lambda n: Datagrams(n, 7003, lambda q: b"\xab\x01"), "UDP_CHECK {\n payload 0102\n require_reply abx1"),
    7004: (False, lambda n: Datagrams(n, 7004, lambda q: b"\xab\x02"), "UDP_CHECK {\n payload 0102\n require_reply abx1"),
}


class Checkers(World):
    def __init__(self, make):
        super().__init__()
        try:
            self.make = make
            self.director, far = self.node("director"), self.node("servers")
            self.wire(self.director, "eth0", far, "eth0")
            self.director.ip("addr add 10.20.0.1/24 dev eth0")
            far.ip(f"addr add {FAR}/24 dev eth0")
            # Every refused datagram is told at once, also when there are many.
            far.sysctl(ipv4__icmp_ratelimit=0)
            for _, server, _ in SERVERS.values():
                server and self.add(server(far))
            servers = "".join(f"""
    real_server {FAR} {port} {{
        weight 1
        {check}
            connect_timeout 1
            retry 1
            delay_before_retry 1
        }}
    }}""" for port, (_, _, check) in SERVERS.items())
            self.daemon = daemon(make, self.director, f"""\
virtual_server {VIP} 80 {{
    delay_loop 2
    lb_algo rr
    lb_kind NAT
    protocol TCP
    alpha{servers}
}}
""")
        except BaseException:
            self.__exit__()
            raise

    def logs(self):
        return f"  {self.daemon.label}:\n{tail(self.daemon.log(), 40)}"


Group.fixture("checkers", Checkers)


@case("SMTP_CHECK, DNS_CHECK and UDP_CHECK: who behaves is in, who does not is out")
def verdicts(checkers):
    checkers.daemon.start()
    good = {f"{FAR}:{port}" for port, (fine, _, _) in SERVERS.items() if fine}

    def up():
        return {server for server, (weight, *_) in checkers.director.servers().items() if weight > 0}
    until(f"just {sorted(good)} are in rotation", lambda: up() == good, within=20)
    stays("and nobody else comes in", lambda: up() == good, during=4)
    checkers.daemon.stop()
    return f"{len(good)} of {len(SERVERS)} servers are up"
