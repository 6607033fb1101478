"""kill -9 of the master's agent, again and again, under traffic, restarted each time."""

import os
import random
import struct
import threading
import time

from harness.cases import Group, case
from harness.chain import ECHO_PORT, HOSTS, LAN, VIP, Chain
from harness.daemon import OURS
from harness.net import until
from harness.traffic import Held

Group.fixture("crash", Chain)

KILLS = int(os.environ.get("KILLS", 50))
# Whoever is back within two intervals (of 1 s) of the last advert must not have been missed.
AGE_MAX = 2.0
# So many rounds may be slower than that because the machine is busy; they are made up for.
SLOW_MAX = KILLS
SEED = int(os.environ.get("SEED", 20))


def server(proxy, port):
    return f"{VIP}:{port}/tcp/{LAN}.{HOSTS[proxy]}:{port}"


def states(chain):
    """What the two directors say of their instance; one that is just starting says nothing."""
    rows = [chain.directors[name].ask({"op": "vrrp"})["data"] for name in ("lvs1", "lvs2")]
    return [data[0]["state"] for data in rows if data]


def last_advert(director):
    """When the director's agent sent its last advert, in seconds since the machine's start."""
    with open(os.path.join(director.run_dir, "adverts"), "rb") as f:
        return struct.unpack("<Q", f.read(8))[0] / 1e6


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
    """Before each kill a new weight is acknowledged; it has to be there after the restart, like the drain.

    In a guest of a busy machine a restart can take longer than the peer waits. Such a round proves what must be on
    disk, and says nothing about the peer: everything is brought back to where it was, and the round is made up for."""
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
    downs, slow, echoes, answers = [], 0, 0, 0
    while len(downs) < KILLS:
        kill = len(downs) + slow + 1
        weight = 2 + kill % 9
        master.ctl("weight", server("ha2", 80), str(weight))
        time.sleep(moments.random() * 1.2)
        master.kill()
        began, sent = time.monotonic(), last_advert(master)
        master.start()
        # The socket answers first. Then what is left of the run before is taken up, or it is not.
        until(f"{master.label} knows its instance", lambda: len(states(chain)) == 2, every=0.01)
        away = time.monotonic() - began
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - sent
        here = f"kill {kill} of {KILLS} (SEED={SEED})"
        seen = master.node.servers()
        assert seen.get(drained, (None,))[0] == 0, f"{here}: the drain was lost: {seen}"
        until(f"{here}: weight {weight} is in force", within=3,
              probe=lambda: master.node.servers().get(weighted, (None,))[0] == weight)
        if age > AGE_MAX:
            slow += 1
            assert slow <= SLOW_MAX, f"{here}: {slow} restarts came more than {AGE_MAX:g} s after the last advert"
            requests.close()
            until("lvs1 is the only master again", lambda: states(chain) == ["master", "backup"], within=20)
            until("lvs1 alone holds the VIP again", lambda: chain.owners() == ["lvs1"], within=5)
            echoes, answers = echoes + sum(h.rounds for h in held), answers + requests.ok
            for h in held:
                h.close()
            # These are all on ha2: whoever takes over in between does not know of the old ones.
            held = [chain.add(Held(chain.client, VIP, ECHO_PORT)) for _ in range(4)]
            until("new connections echo", lambda: all(h.rounds > 3 for h in held))
            requests = chain.traffic(clients=1, pause=0.05)
            peer.close()
            peer = chain.add(Watch(chain.directors["lvs2"].node))
            continue
        downs.append(away)
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
    echoes, answers = echoes + sum(h.rounds for h in held), answers + requests.ok
    return (f"{echoes} echoes, slowest {max(h.slowest for h in held):.1f} s, {answers} requests, none failed, "
            f"agent away {max(downs):.1f} s at most" + (f", {slow} rounds too slow to count" if slow else ""))
