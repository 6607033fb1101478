"""A reload that waits to be confirmed is taken back, also by an agent that was killed meanwhile."""

import time

from harness.cases import case
from harness.daemon import OURS
from harness.net import stays, until

WITHIN = 6


@case("reload --confirm: a kill -9 in the middle does not make it stay, nor does the start after", makes=(OURS,), group="socket")
def killed_in_the_middle(solo):
    agent = solo.agent
    with open(agent.config_path) as f:
        former = f.read()
    other = former.replace("weight 100", "weight 50")

    def weights():
        return {w for w, *_ in agent.node.servers().values()}

    try:
        agent.configure(other)
        began = time.monotonic()
        told = agent.ctl("reload", "--confirm", f"{WITHIN}s")[1]
        assert "lbctl reload --confirmed" in told, told
        until("the new weights are in force", lambda: weights() == {50}, within=5)
        status = agent.ctl("status")[1]
        assert "and the one before comes back" in status, status
        assert "waits to be confirmed" in agent.ctl("reload", check=False)[2], "another reload is not refused"
        agent.kill()
        agent.start()
        if time.monotonic() - began < WITHIN - 1.5:
            # The file is read, and the rest of the time runs.
            until("what waits is in force again", lambda: weights() == {50}, within=WITHIN - (time.monotonic() - began))
        until("the former weights are back", lambda: weights() == {100}, within=WITHIN + 8)
        took = time.monotonic() - began
        assert took >= WITHIN - 0.2, f"taken back after {took:.1f} s already"
        # The kernel has them first, the event comes after.
        kinds = lambda: {event["event"]["what"] for event in agent.ask({"op": "events", "limit": 50})["data"]}
        until("an event says so", lambda: "config.restored" in kinds(), within=5)
        # The file still has what nobody confirmed.
        agent.kill()
        agent.start()
        until("the former weights are in force", lambda: weights() == {100}, within=8)
        stays("and stay", lambda: weights() == {100}, during=1)
        # Confirmed, it stays.
        agent.ctl("reload", "--confirm", "2s")
        until("the new weights are in force", lambda: weights() == {50}, within=5)
        assert "stays" in agent.ctl("reload", "--confirmed")[1]
        stays("it stays", lambda: weights() == {50}, during=2.5)
    finally:
        agent.configure(former)
        agent.running() or agent.start()
        agent.ctl("reload", "--confirmed", check=False)
        agent.ctl("reload")
        solo.settle()
    return f"back after {took:.1f} s of {WITHIN}"
