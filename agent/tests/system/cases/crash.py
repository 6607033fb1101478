"""kill -9 of the master's agent, again and again, under traffic, restarted each time."""

import os
import random
import threading
import time

from harness.cases import Group, case
from harness.chain import ECHO_PORT, HOSTS, LAN, VIP, Chain
from harness.daemon import OURS
from harness.net import until
from harness.traffic import Held

Group.fixture("crash", Chain)

KILLS = int(os.environ.get("KILLS", 50))
SEED = int(os.environ.get("SEED", 20))


def server(proxy, port):
    return f"{VIP}:{port}/tcp/{LAN}.{HOSTS[proxy]}:{port}"


class Watch:
    """Looks 50 times a second whether a director holds the VIP that should not."""

    def __init__(self, node):
        self.node, self.taken = node, 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._loop, daemon=True)
        self.thread.start()

    def _loop(self):
        while not self.done.wait(0.02):
            self.taken += self.node.holds(VIP)

    def close(self):
        self.done.set()
        self.thread.join()


@case(f"{KILLS} x kill -9: no override lost, no connection lost, the peer never takes over", makes=(OURS,))
def crash(chain):
    """Before each kill a new weight is acknowledged; it has to be there after the restart, like the drain."""
    chain.settle()
    moments = random.Random(SEED)
    master = chain.directors["lvs1"]
    held = [chain.add(Held(chain.client, VIP, ECHO_PORT)) for _ in range(4)]
    until("the connections echo", lambda: all(h.rounds > 3 for h in held))
    # Two of the four connections are on ha1, which is drained: they have to go on as well.
    master.ctl("drain", server("ha1", ECHO_PORT), "--timeout", "never", "-m", "must survive")
    drained = f"{LAN}.{HOSTS['ha1']}:{ECHO_PORT}"
    weighted = f"{LAN}.{HOSTS['ha2']}:80"
    until("the drained server has weight 0", lambda: master.node.servers()[drained][0] == 0, within=3)
    requests = chain.traffic(clients=1, pause=0.05)
    peer = chain.add(Watch(chain.directors["lvs2"].node))
    downs = []
    for kill in range(1, KILLS + 1):
        weight = 2 + kill % 9
        master.ctl("weight", server("ha2", 80), str(weight))
        time.sleep(moments.random() * 1.2)
        master.kill()
        began = time.monotonic()
        master.start()
        downs.append(time.monotonic() - began)
        here = f"kill {kill} of {KILLS} (SEED={SEED})"
        seen = master.node.servers()
        assert seen.get(drained, (None,))[0] == 0, f"{here}: the drain was lost: {seen}"
        until(f"{here}: weight {weight} is in force", within=3,
              probe=lambda: master.node.servers().get(weighted, (None,))[0] == weight)
        assert master.node.holds(VIP), f"{here}: lvs1 lost the address"
        assert peer.taken == 0, f"{here}: lvs2 took over"
        lost = [h.error for h in held if not h.alive()]
        assert not lost, f"{here}: established connections lost: {lost}"
    # One that is killed last has time to be missed.
    time.sleep(4)
    assert peer.taken == 0, "lvs2 took over after the last restart"
    requests.close()
    assert all(h.alive() for h in held), [h.error for h in held]
    assert requests.failed == 0, requests.summary()
    _, listed, _ = master.ctl("status", "-o", "json")
    assert "must survive" in listed, f"the drain is not listed any more: {listed}"
    return (f"{sum(h.rounds for h in held)} echoes, slowest {max(h.slowest for h in held):.1f} s, {requests.summary()}, "
            f"agent away {max(downs):.1f} s at most")
