"""SC-20: a proxy leaves, and no request notices.

In a network of its own. IPVS keeps a connection that was cut off (a proxy that was killed, a director that went away)
for fifteen minutes, and a drain rightly waits for it; other cases leave such connections behind.
"""

import re
import signal

from harness.cases import Group, case
from harness.chain import HOSTS, LAN, VIP, Chain, director_config
from harness.daemon import OURS
from harness.net import stays, until

Group.fixture("removal", Chain)


@case("SC-20 planned removal of a proxy: no request fails", makes=(OURS,))
def sc20(chain):
    chain.settle()
    requests = chain.traffic()
    until("100 answers", lambda: requests.ok >= 100, within=30)
    server = f"{VIP}:80/tcp/{LAN}.{HOSTS['ha1']}:80"
    master = chain.directors["lvs1"]
    code, out, err = master.ctl("drain", server, "--timeout", "60s", "--wait", "-m", "system test", timeout=90)
    assert chain.in_rotation("lvs1") == ["ha2"], f"after the drain in rotation: {chain.in_rotation('lvs1')}"
    chain.proxies["ha1"].signal(signal.SIGTERM)
    chain.proxies["ha1"].process.wait(10)
    mark = requests.ok
    until("400 answers, 150 of them after the proxy ended",
          lambda: requests.ok >= 400 and requests.ok >= mark + 150, within=60)
    chain.proxies["ha1"].start()
    stays("a passing check does not end a drain", lambda: chain.in_rotation("lvs1") == ["ha2"], during=5)
    master.ctl("undrain", server)
    until("ha1 is back in rotation", lambda: chain.in_rotation("lvs1") == ["ha1", "ha2"], within=9)
    mark = requests.seen["ha1"]
    until("ha1 answers again", lambda: requests.seen["ha1"] > mark + 5, within=10)
    requests.close()
    assert requests.ok >= 400 and requests.failed == 0, requests.summary()
    return requests.summary()


@case("a proxy leaves the file and drains first: no request fails, and it comes back undrained", makes=(OURS,))
def leaves_the_file(chain):
    chain.settle()
    requests = chain.traffic()
    until("50 answers", lambda: requests.ok >= 50, within=30)
    master = chain.directors["lvs1"]
    going = re.escape(f"{LAN}.{HOSTS['ha1']}")
    server = rf"    real_server {going} 80 \{{.*?\n    \}}\n"
    master.configure(re.sub(server, "", director_config("lvs1"), flags=re.DOTALL))
    code, out, err = master.ctl("reload", "--drain-removed", "30s", timeout=60)
    assert code == 0 and "drained in" in out and ", 0 cut" in out, f"exit {code}: {out}{err}"
    assert f"{LAN}.{HOSTS['ha1']}:80" not in master.node.servers(), "the reload did not take the server away"
    mark = requests.ok
    until("50 more answers", lambda: requests.ok >= mark + 50, within=30)
    requests.close()
    assert requests.failed == 0, requests.summary()
    master.configure(director_config("lvs1"))
    master.ctl("reload")
    until("ha1 serves again", lambda: chain.in_rotation("lvs1") == ["ha1", "ha2"], within=9)
    return requests.summary()
