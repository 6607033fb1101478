"""Checkers: the same verdicts as keepalived's, on servers that behave and on many that do not."""

import hashlib

from harness.cases import Group, case
from harness.daemon import OURS, daemon, tail
from harness.net import World, stays, until
from harness.servers import PAGE, Datagrams, Dripping, Greeter, Hasty, Page, Silent, Tls, answer, certificate, named

VIP = "10.20.0.100"
FAR = "10.20.0.2"
MD5 = hashlib.md5(PAGE).hexdigest()
OTHER_MD5 = hashlib.md5(b"something else").hexdigest()
# Certificates, see `Checkers`.
GOOD, EXPIRED = "good", "expired"


def http(words, kind="HTTP_GET"):
    return f"{kind} {{\n url {{\n path /\n {words}\n }}"


def tls(words, more=""):
    return http(words, "SSL_GET") + more


def dns(words="type A\n name example.org"):
    return f"DNS_CHECK {{\n {words}"


def udp(reply):
    return lambda node, port: Datagrams(node, port, reply, FAR)


def web(kind, *data):
    return lambda node, port: kind(node, port, *data)


def mail(*words, **more):
    return lambda node, port: Greeter(node, port, *words, **more)


# What it does, whether keepalived takes it for good, the server, the check.
SERVERS = [
    # SMTP_CHECK
    ("greets and answers", True, mail("220 ready"), "SMTP_CHECK { helo_name me.example.org"),
    ("greets in two lines", False, mail("220-wait\r\n220 ready"), "SMTP_CHECK {"),
    ("greets letter by letter", True, mail("220 ready", pieces=True), "SMTP_CHECK {"),
    ("says 421 for a greeting", False, mail("421 not now"), "SMTP_CHECK {"),
    ("says 554 for a greeting", False, mail("554 never"), "SMTP_CHECK {"),
    ("greets, then refuses HELO", False, mail("220 ready", "550 not you"), "SMTP_CHECK {"),
    ("greets, then says nothing", False, mail("220 ready", None), "SMTP_CHECK {"),
    ("does not greet", False, mail(None), "SMTP_CHECK {"),
    ("greets without a number", False, mail("hello"), "SMTP_CHECK {"),
    ("hangs up on mail", False, web(Hasty), "SMTP_CHECK {"),
    # DNS_CHECK
    ("knows the name", True, udp(named()), dns()),
    ("answers cut short, and says so", True, udp(named(flags=0x82)), dns()),
    ("says SERVFAIL", False, udp(named(2)), dns("type SOA\n name example.org")),
    ("says NXDOMAIN", False, udp(named(3)), dns()),
    ("says REFUSED", False, udp(named(5)), dns()),
    ("answers another question's number", False, udp(named(shift=1)), dns()),
    ("answers in five bytes", False, udp(lambda q: named()(q)[:5]), dns()),
    ("sends the question back", False, udp(lambda q: q), dns()),
    ("is silent about names", False, udp(lambda q: None), "DNS_CHECK {"),
    ("knows no names at all", False, None, dns()),
    # UDP_CHECK
    ("takes datagrams", True, udp(lambda q: None), "UDP_CHECK {\n payload 0102"),
    ("refuses datagrams", False, None, "UDP_CHECK {\n payload 0102"),
    ("replies as wanted", True, udp(lambda q: b"\xab\x01"), "UDP_CHECK {\n payload 0102\n require_reply abx1"),
    ("replies otherwise", False, udp(lambda q: b"\xab\x02"), "UDP_CHECK {\n payload 0102\n require_reply abx1"),
    # HTTP_GET: "well" stands at 49 when the headers count.
    ("pattern from 49", True, web(Page), http("regex well\n regex_min_offset 49")),
    ("pattern from 50", False, web(Page), http("regex well\n regex_min_offset 50")),
    ("pattern up to 49", True, web(Page), http("regex well\n regex_max_offset 49")),
    ("pattern up to 48", False, web(Page), http("regex well\n regex_max_offset 48")),
    ("no such pattern, none wanted", True, web(Page), http("regex ill\n regex_no_match")),
    ("a pattern that is not wanted", False, web(Page), http("regex well\n regex_no_match")),
    ("the digest of the page", True, web(Page), http(f"digest {MD5}")),
    ("the digest of another page", False, web(Page), http(f"digest {OTHER_MD5}")),
    ("204 in 200-299", True, web(Page, answer("204 No Content", b"")), http("status_code 200-299")),
    ("404 in 200-299", False, web(Page, answer("404 Not Found")), http("status_code 200-299")),
    ("404 in a list", True, web(Page, answer("404 Not Found")), http("status_code 301 400-410")),
    ("302, nothing said", False, web(Page, answer("302 Found", b"")), http("")),
    ("503, nothing said", False, web(Page, answer("503 Busy")), http("")),
    ("half a page", True, web(Page, answer(length=100)), http("status_code 200")),
    ("no HTTP at all", False, web(Page, b"hello\r\n\r\n"), http("status_code 200")),
    ("hangs up on the web", False, web(Hasty), http("status_code 200")),
    ("is silent on the web", False, web(Silent), http("status_code 200")),
    ("drips its headers", False, web(Dripping), http("status_code 200")),
    # SSL_GET
    ("good TLS", True, web(Tls, GOOD), tls("status_code 200")),
    ("the name asked for", True, web(Tls, GOOD), tls("status_code 200", "\n enable_sni\n virtualhost www.example.org")),
    ("another's certificate, expired", True, web(Tls, EXPIRED), tls("status_code 200")),
    ("the digest behind TLS", True, web(Tls, GOOD), tls(f"digest {MD5}")),
    ("another digest behind TLS", False, web(Tls, GOOD), tls(f"digest {OTHER_MD5}")),
    ("503 behind TLS", False, web(Tls, GOOD, answer("503 Busy")), tls("status_code 200")),
    ("TLS and then nothing", False, web(Tls, GOOD, b""), tls("status_code 200")),
    ("plain HTTP where TLS should be", False, web(Page), tls("status_code 200")),
    ("a handshake without end", False, web(Silent), tls("status_code 200")),
    ("hangs up on TLS", False, web(Hasty), tls("status_code 200")),
]
FIRST_PORT = 2500
# Judged otherwise here, and why. A difference that is no longer there fails the test.
DIFFERS = {
    "greets in two lines": "answers may have several lines (RFC 5321 4.2.1); keepalived 2.2.7 looks at the first alone",
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
            self.file(GOOD, certificate("www.example.org", 2020, 2049))
            self.file(EXPIRED, certificate("elsewhere.example", 2020, 2021))
            servers = ""
            self.names, self.good = {}, set()
            for port, (what, fine, server, check) in enumerate(SERVERS, FIRST_PORT):
                place = f"{FAR}:{port}"
                self.names[place] = what
                if fine != (make == OURS and what in DIFFERS):
                    self.good.add(place)
                if server:
                    self.add(server(far, port))
                servers += f"""
    real_server {FAR} {port} {{
        weight 1
        {check}
            connect_timeout 3
            retry 1
            delay_before_retry 1
        }}
    }}"""
            self.daemon = daemon(make, self.director, f"""\
virtual_server {VIP} 80 {{
    delay_loop 3
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


@case("SMTP_CHECK, DNS_CHECK, UDP_CHECK, HTTP_GET, SSL_GET: who behaves is in, who does not is out")
def verdicts(checkers):
    checkers.daemon.start()

    def up():
        return {server for server, (weight, *_) in checkers.director.servers().items() if weight > 0}

    def differences():
        seen = up()
        return [f"{'up' if place in seen else 'down'}: {what}" for place, what in checkers.names.items()
                if (place in seen) != (place in checkers.good)]
    try:
        until("every server is judged as it behaves", lambda: not differences(), within=20, every=0.25)
        stays("and nothing changes", lambda: not differences(), during=4, every=0.25)
    except AssertionError as error:
        raise AssertionError(f"{error}\nwrong: " + "; ".join(differences())) from None
    checkers.daemon.stop()
    return f"{len(checkers.good)} of {len(SERVERS)} servers are up"
