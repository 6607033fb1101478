"""A file that was edited badly and not yet reloaded, when the agent is started again."""

import os
import signal

from harness.cases import case
from harness.daemon import OURS
from harness.net import until
from harness.solo import CONFIG, VIP

# The service would be left out: an unknown word takes its block along.
BROKEN = CONFIG.replace("virtual_server ", "virtual_serve ")


@case("edited badly: after a kill -9 and after a hand-over what was in force goes on, and that is said",
      makes=(OURS,), group="socket")
def edited_badly(solo):
    agent = solo.agent
    kept = os.path.join(agent.run_dir, "in_force.json")
    until("what is in force is kept", lambda: os.path.exists(kept), within=5)
    assert os.stat(kept).st_mode & 0o077 == 0, "others may read the passwords in it"
    weights = {a: w for a, (w, *_) in agent.node.servers().items()}
    for end in (agent.kill, lambda: (agent.signal(signal.SIGQUIT), agent.process.wait(10))):
        solo.settle()
        agent.configure(BROKEN)
        end()
        agent.start()
        until("the agent is master", lambda: agent.node.holds(VIP), within=10)
        seen = {a: w for a, (w, *_) in agent.node.servers().items()}
        assert seen == weights, f"{weights} became {seen}"

        page = agent.ctl("status", check=False)[1]
        assert "virtual_serve" in page, f"the status does not tell of the file's error: {page}"
        assert agent.ctl("config", "show")[1].count("virtual_server ") == 1, "what is shown is not what is in force"
        code, _, err = agent.ctl("reload", check=False)
        assert code != 0 and "virtual_serve" in err, (code, err)
    agent.configure(CONFIG)
    agent.ctl("reload")
    solo.settle()
    agent.stop()
    assert not os.path.exists(kept), "an orderly stop leaves nothing"
    agent.start()
    solo.settle()
