"""Reload of each file in broken/: nothing changes, and the message says file, line and remedy.

The first line of a file says on which line the mistake is and which words the message has to contain.
"""

import glob
import os
import re

from harness.cases import Group, case
from harness.daemon import OURS
from harness.net import stays
from harness.solo import CONFIG, VIP, Solo

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "broken")
FILES = {os.path.basename(p)[:-5]: p for p in sorted(glob.glob(f"{FOLDER}/*.conf"))}

Group.fixture("broken", Solo)


def picture(agent):
    """Everything that must not change."""
    rows = agent.ask({"op": "vrrp"})["data"]
    return agent.node.ipvs(), agent.node.addresses(), [(r["name"], r["state"]) for r in rows]


def check(solo, name):
    agent = solo.agent
    with open(FILES[name]) as f:
        text = f.read()
    line, words = re.match(r"# expects: line (\d+); (.*)", text).groups()
    before = picture(agent)
    agent.configure(text)
    try:
        code, out, err = agent.ctl("reload", check=False)
        said = out + err
        assert code == 4, f"lbctl reload: exit {code}, a refusal is 4: {said.strip()}"
        where = f"{os.path.basename(agent.config_path)}:{line}"
        assert re.search(rf"{re.escape(where)}\b", said), f"does not name {where}: {said.strip()}"
        missing = [w for w in words.split("; ") if w not in said]
        assert not missing, f"does not say {missing}: {said.strip()}"
        agent.reload()  # the same by signal
        stays("nothing changes", lambda: agent.node.holds(VIP) and agent.running(), during=0.4)
        assert picture(agent) == before, f"before {before}, after {picture(agent)}"
    finally:
        agent.configure(CONFIG)
    return next((s.strip() for s in said.splitlines() if where in s), "")


for _name in FILES:
    def _check(solo, name=_name):
        return check(solo, name)
    _check.__name__ = f"broken_{_name}"
    case(f"broken file refused: {_name}", makes=(OURS,))(_check)
