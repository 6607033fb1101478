"""What-if: asked first, then done, and compared."""

import json
import time

from cases.intent import VIP, Two
from harness.cases import Group, case
from harness.daemon import OURS
from harness.net import until

Group.fixture("whatif", Two)


def asked(agent, *words):
    _, out, _ = agent.ctl("-o", "json", "what-if", "--for", "20s", *words)
    return json.loads(out)["data"]


@case("what-if the master falls silent: told, done, and it came so", makes=(OURS,))
def silence(two):
    two.settle()
    until("low hears high", lambda: two.low.ask({"op": "vrrp"})["data"][0]["master"] is not None)
    told = asked(two.low, "peer 10.20.0.1 silent")
    assert [(m["address"].split("/")[0], m["from"], m["to"]) for m in told["moves"]] == [(VIP, "10.20.0.1", two.low.ask({"op": "hello"})["data"]["host"])], told
    foretold = next(c["at_s"] for c in told["changes"] if c["object"] == "vrrp:VI_1" and c["to"]["state"] == "master")
    assert 3.0 < foretold < 3.7, told
    assert two.owners() == ["high"], "a question changes nothing"
    began = time.monotonic()
    two.high.kill()
    # The address stays on a node whose agent was killed: what counts is when the other one takes it.
    until("low has the address", lambda: "low" in two.owners(), within=8)
    took = time.monotonic() - began
    assert abs(took - foretold) < 1.5, f"foretold {foretold} s after the last advert, took {took:.1f} s"
    two.high.start()
    return f"foretold {foretold:.1f} s after its last advert, came {took:.1f} s after the kill"


@case("what-if an interface goes down: told, done, and it came so", makes=(OURS,))
def interface(two):
    two.settle()
    told = asked(two.high, "interface eth0 down")
    change = next(c for c in told["changes"] if c["object"] == "vrrp:VI_1")
    assert (change["to"]["state"], change["at_s"]) == ("fault", 0.0), told
    two.high.node.ip("link set eth0 down")
    until("high is in FAULT", lambda: two.high.ask({"op": "vrrp"})["data"][0]["state"] == "fault", within=3)
    two.high.node.ip("link set eth0 up")
    two.settle()


@case("what-if about what is not there: exit code 3, and viewers may ask", makes=(OURS,))
def missing(two):
    two.settle()
    code, _, err = two.high.ctl("what-if", "interface eth9 down", check=False)
    assert code == 3 and "no interface 'eth9'" in err, (code, err)
    code, _, err = two.high.ctl("what-if", "the sky falls", check=False)
    assert code == 2 and "is no event" in err, (code, err)
    events = ["peer 10.20.0.2 priority 100", "demote VI_1"]
    answer = two.high.ask({"op": "role", "role": "viewer"}, {"op": "what-if", "events": events, "for": "10s"})
    assert answer["ok"] and [m["to"] for m in answer["data"]["moves"]] == ["10.20.0.2"], answer
