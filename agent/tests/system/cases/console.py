"""lbctl on a real agent: looking back, and acting only on what was seen."""

import json
import time

from cases.intent import Two
from harness.cases import Group, case
from harness.daemon import OURS
from harness.net import until

Group.fixture("console", Two)


@case("lbctl history: samples of an instance, in a table and as JSON", makes=(OURS,))
def history(two):
    two.settle()
    # A sample is taken every five seconds.
    until("there is a sample", within=12, probe=lambda: "no samples yet" not in two.high.ctl("history", "VI_1")[1])
    _, text, _ = two.high.ctl("history", "VI_1")
    lines = text.splitlines()
    assert lines[0] == "VI_1" and lines[1].split()[:3] == ["TIME", "STATE", "WEIGHT"], text
    assert "MASTER" in lines[2], text
    row = json.loads(two.high.ctl("-o", "json", "history", "VI_1")[1])["data"]["rows"][0]
    assert row["id"] == "vrrp:VI_1" and "master" in row["state"], row


@case("lbctl --at: as it was before a demote, and not before the agent began", makes=(OURS,))
def back(two):
    two.settle()
    time.sleep(1)
    began = time.monotonic()
    two.high.ctl("demote", "VI_1", "--yes")
    until("low is master", lambda: two.owners() == ["low"])
    time.sleep(1.2)
    word = lambda *more: two.high.ctl("vrrp", "--no-headers", "--columns", "state", *more)[1].strip()
    assert word() == "BACKUP", word()
    before = int((time.monotonic() - began + 0.5) * 1000)
    seen = [word("--at", f"-{ago}ms") for ago in (500, before)]
    assert seen == ["BACKUP", "MASTER"], seen
    status = two.high.ctl("status", "--at", "-500ms")[1]
    assert "1 BACKUP" in status and "demote" in status, status
    code, _, err = two.high.ctl("status", "--at", "-14m", check=False)
    assert code == 3 and "the past is known from" in err, (code, err)
    two.high.ctl("release", "VI_1")
    two.settle()


@case("acting only if it is still so: conflict, and nothing is changed", makes=(OURS,))
def expect(two):
    two.settle()
    demote = ("demote", "VI_1", "--yes", "--no-wait", "--expect")
    code, _, err = two.high.ctl(*demote, "state=backup", check=False)
    assert code == 1 and "state is master by now, not backup" in err, (code, err)
    answer = two.high.ask({"op": "demote", "targets": ["VI_1"], "expect": {"priority": 1}})
    assert answer["error"]["code"] == "conflict" and answer["error"]["details"]["fact"] == "priority", answer
    assert two.owners() == ["high"]
    code, out, err = two.high.ctl(*demote, "state=master,override=none", "--dry-run", check=False)
    assert code == 0 and "would be accepted" in out, (code, out, err)
