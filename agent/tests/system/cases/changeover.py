"""From keepalived to the agent on a pair that has traffic, the way docs/migrating.md goes."""

import subprocess
import time

from harness.cases import Group, case
from harness.chain import ECHO_PORT, HOSTS, LAN, VIP, Chain, director_config
from harness.daemon import OURS, THEIRS, binary, daemon
from harness.net import inside, until
from harness.traffic import Held


class Pair(Chain):
    """Both directors run keepalived."""

    def __init__(self, _):
        super().__init__(THEIRS)


Group.fixture("changeover", Pair)


def take_over(agent, *words):
    """Exit code and what it says."""
    argv = [binary("lbagent"), "-f", agent.config_path, "--run-dir", agent.run_dir, "take-over", *words]
    with inside(agent.node.name):
        done = subprocess.run(argv, text=True, capture_output=True, timeout=30, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr


def ours_at(pair, name):
    """The agent that goes where a keepalived is, with the same file."""
    return daemon(OURS, pair.directors[name].node, director_config(name), label=f"{name}-agent")


@case("changeover: keepalived is replaced on both directors, no connection and no request lost", makes=(OURS,))
def changeover(pair):
    pair.settle()
    backup, master = ours_at(pair, "lvs2"), ours_at(pair, "lvs1")
    held = [pair.add(Held(pair.client, VIP, ECHO_PORT)) for _ in range(4)]
    until("the connections echo", lambda: all(h.rounds > 3 for h in held))
    requests = pair.traffic(clients=1, pause=0.05)
    # The backup first: it has nothing to lose.
    pair.directors["lvs2"].stop()
    pair.directors["lvs2"] = backup.start()
    until("the agent balances beside the master", lambda: pair.in_rotation("lvs2") == ["ha1", "ha2"], within=20)
    # Then the master. Its processes die at once, and what they leave goes on.
    old, before = pair.directors["lvs1"], pair.directors["lvs1"].node.servers()
    code, said = take_over(master, "--dry-run")
    assert code == 0 and "VI_1: MASTER" in said and old.running(), f"dry run: exit {code}: {said}"
    code, said = take_over(master)
    assert code == 0 and "within 1s" in said, f"exit {code}: {said}"
    pair.directors["lvs1"] = master
    master.start()
    began = time.monotonic()
    assert not old.running(), "keepalived lives"
    assert set(master.node.servers()) == set(before), "the table is another one"
    until("the agent is MASTER", within=5,
          probe=lambda: [it["state"] for it in master.ask({"op": "vrrp"})["data"]] == ["master"])
    # Whoever was missed would have been missed by now.
    while time.monotonic() - began < 5:
        assert pair.owners() == ["lvs1"], f"the address is on {pair.owners()}"
        time.sleep(0.1)
    requests.close()
    lost = [h.error for h in held if not h.alive()]
    assert not lost, f"established connections lost: {lost}"
    assert requests.failed == 0, requests.summary()
    code, said = take_over(master)
    assert code != 0 and "another lbagent" in said, f"beside a running agent: exit {code}: {said}"
    drained = f"{LAN}.{HOSTS['ha1']}:{ECHO_PORT}"
    master.ctl("drain", f"{VIP}:{ECHO_PORT}/tcp/{drained}", "-m", "as before", "--timeout", "never")
    until("what was keepalived's is drained", lambda: master.node.servers()[drained][0] == 0, within=3)
    return f"{sum(h.rounds for h in held)} echoes, {requests.ok} requests, none failed"
