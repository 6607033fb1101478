"""The scenarios of the articles that people learn this from, on the articles' network and values."""

import os
import time

from harness.cases import Group, case
from harness.chain import HOSTS, LAN, PROXY_VIP, VIP, Chain, director_config, proxy_config
from harness.daemon import OURS
from harness.net import stays, until
from harness.traffic import Requests, get

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../../examples")

Group.fixture("articles", Chain)


def guards_up(chain):
    for guard in chain.guards.values():
        guard.running() or guard.start()
    until("ha1 alone holds the proxies' address", lambda: chain.owners(PROXY_VIP) == ["ha1"], within=15)


@case("SC-01 the address is on the master only")
def sc01(chain):
    guards_up(chain)
    stays("ha1 alone holds the proxies' address", lambda: chain.owners(PROXY_VIP) == ["ha1"], during=2.5)
    lines = [a for a in chain.guards["ha1"].node.addresses() if PROXY_VIP in a]
    assert lines == [f"eth0 inet {PROXY_VIP}/24 scope global secondary eth0"], f"ip addr shows {lines}"
    if chain.make == OURS:
        for name, want in (("ha1", "master"), ("ha2", "backup")):
            rows = chain.guards[name].ask({"op": "vrrp"})["data"]
            assert [r["state"] for r in rows] == [want], f"{name}: vrrp says {rows}"


@case("SC-08 the address answers")
def sc08(chain):
    guards_up(chain)
    status, headers, body = get(chain.client, PROXY_VIP)
    assert (status, headers["x-proxy"]) == (200, "ha1"), f"status {status} from {headers.get('x-proxy')}"
    return f"{status} through {headers['x-proxy']} from {body.decode().strip()}"


@case("SC-02 a reload keeps mastership and addresses")
def sc02(chain):
    guards_up(chain)
    added = f"{LAN}.201"
    master = chain.guards["ha1"]
    master.configure(proxy_config("ha1", addresses=(f"{PROXY_VIP}/24", f"{added}/24")))
    # The peer compares lists of addresses, so it learns the new one in the same moment.
    chain.guards["ha2"].configure(proxy_config("ha2", addresses=(f"{PROXY_VIP}/24", f"{added}/24")))
    requests = chain.add(Requests(chain.client, PROXY_VIP))
    until("the address answers", lambda: requests.ok > 5)
    chain.guards["ha2"].reload()
    master.reload()
    until(f"ha1 holds {added} after the reload", lambda: master.node.holds(added))
    stays("ha1 alone holds both", during=4.5, probe=lambda: (
        chain.owners(PROXY_VIP) == ["ha1"] and chain.owners(added) == ["ha1"]))
    requests.close()
    assert requests.failed == 0, requests.summary()
    for guard in chain.guards.values():
        guard.stop()
    until("the addresses are gone after a stop", lambda: not chain.owners(PROXY_VIP) + chain.owners(added))
    return requests.summary()


@case("SC-11 the chain: client, VIP, two proxies, two web servers")
def sc11(chain):
    chain.settle()
    requests = chain.traffic()
    until("60 answers", lambda: requests.ok >= 60, within=20)
    requests.close()
    assert requests.failed == 0, requests.summary()
    counts = requests.seen
    assert abs(counts["ha1"] - counts["ha2"]) <= 4, f"rr should share evenly: {requests.spread()}"
    webs = {get(chain.client, VIP)[1]["x-web"] for _ in range(8)}
    assert webs == {"web1", "web2"}, f"only {webs} answered"
    expected = [f"TCP {VIP}:{port} rr" for port in (7007, 80)]
    table = chain.directors["lvs1"].node.ipvs()
    assert [line for line in table if not line.startswith(" ")] == expected, table
    assert all(line.endswith(" Route 1") for line in table if line.startswith(" ")), table
    return requests.spread()


@case("SC-12 stop the master daemon: the other director serves")
def sc12(chain):
    chain.settle()
    requests = chain.traffic()
    until("the VIP answers", lambda: requests.ok > 5)
    chain.directors["lvs1"].stop()
    until("lvs2 alone holds the VIP", lambda: chain.owners() == ["lvs2"], within=5)
    before = requests.ok
    until("answers through lvs2", lambda: requests.ok > before + 40, within=10)
    requests.close()
    assert requests.longest_gap() < 3.0, f"no answer for {requests.longest_gap():.1f} s; {requests.summary()}"
    assert chain.directors["lvs1"].node.ipvs() == [], "a stopped daemon leaves no services"
    return f"gap {requests.longest_gap():.1f} s, {requests.summary()}"


@case("SC-18 the repaired master takes over again")
def sc18(chain):
    chain.settle()
    chain.directors["lvs1"].stop()
    until("lvs2 alone holds the VIP", lambda: chain.owners() == ["lvs2"], within=5)
    requests = chain.traffic()
    until("the VIP answers", lambda: requests.ok > 5)
    began = time.monotonic()
    chain.directors["lvs1"].start()
    until("lvs1 alone holds the VIP", lambda: chain.owners() == ["lvs1"], within=8)
    took = time.monotonic() - began
    before = requests.ok
    until("answers through lvs1", lambda: requests.ok > before + 40, within=10)
    requests.close()
    # 3 x 1 s and a skew of 156/256 s after its start; the start itself is slow in a guest.
    assert 3.0 < took < 6.0, f"took {took:.1f} s; three intervals and the skew are 3.6 s"
    assert requests.longest_gap() < 2.0, f"no answer for {requests.longest_gap():.1f} s; {requests.summary()}"
    return f"after {took:.1f} s, {requests.summary()}"


@case("SC-13 stop one HAProxy: taken out by its check, and back")
def sc13(chain):
    chain.settle()
    requests = chain.traffic()
    until("the VIP answers", lambda: requests.ok > 5)
    chain.proxies["ha1"].stop()
    # delay_loop 3, one retry after 1 s.
    until("ha1 is out of rotation", lambda: chain.in_rotation("lvs1") == ["ha2"], within=9)
    requests.close()
    after = chain.traffic()
    until("40 answers", lambda: after.ok >= 40, within=20)
    after.close()
    assert after.failed == 0 and set(after.seen) == {"ha2"}, f"{after.summary()}; {after.spread()}"
    chain.proxies["ha1"].start()
    until("ha1 is back in rotation", lambda: chain.in_rotation("lvs1") == ["ha1", "ha2"], within=9)
    return f"{requests.summary()} until it was out, then {after.summary()}"


@case("SC-02 a reload of the directors edits IPVS in place")
def sc02_ipvs(chain):
    chain.settle()
    requests = chain.traffic()
    until("the VIP answers", lambda: requests.ok > 5)
    master = chain.directors["lvs1"]
    master.configure(director_config("lvs1", weights=(1, 5)))
    master.reload()
    ha2 = f"{LAN}.{HOSTS['ha2']}:80"
    until("ha2 has weight 5", lambda: master.node.servers().get(ha2, (0,))[0] == 5)
    stays("lvs1 alone holds the VIP", lambda: chain.owners() == ["lvs1"], during=4)
    requests.close()
    assert requests.failed == 0, requests.summary()
    return requests.summary()


@case("the examples do what they say")
def examples(chain):
    for which, d in [*chain.directors.items(), *chain.guards.items()]:
        d.stop() if d.process else None
        folder = "directors" if which in chain.directors else "proxies"
        with open(os.path.join(EXAMPLES, folder, f"{which}.conf")) as f:
            d.configure(f.read())
        d.start()
    until("lvs1 and ha1 alone hold their addresses", within=20,
          probe=lambda: (chain.owners(VIP), chain.owners(PROXY_VIP)) == (["lvs1"], ["ha1"]))
    until("both proxies are in rotation", lambda: chain.in_rotation("lvs1") == ["ha1", "ha2"], within=10)
    assert chain.answers(VIP) and chain.answers(PROXY_VIP)
    chain.proxies["ha1"].stop()
    # Two failures of the script, 2 s apart, and ha2 (99) is better than ha1 (100 - 5) for 3.6 s.
    until("ha2 has the proxies' address", lambda: chain.owners(PROXY_VIP) == ["ha2"], within=15)
    chain.proxies["ha1"].start()
    until("ha1 has it again", lambda: chain.owners(PROXY_VIP) == ["ha1"], within=15)
    for d in [*chain.guards.values(), *chain.directors.values()]:
        d.stop()
