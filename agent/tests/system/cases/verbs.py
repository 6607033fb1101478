"""Verbs of lbctl that look or try, on an agent with real services; they share its network with the socket's cases."""

import time

from harness.cases import case
from harness.daemon import OURS
from harness.net import until
from harness.solo import CONFIG

WEB = "10.30.0.24:80"


def declare(title):
    return case(f"lbctl: {title}", makes=(OURS,), group="socket")


@declare("test runs a server's checks once and changes nothing")
def test(solo):
    _, good, _ = solo.agent.ctl("test", "web/10.30.0.24")
    assert "PASSED" in good, good
    code, bad, _ = solo.agent.ctl("test", "web/10.30.0.26", check=False)
    assert code == 1 and "FAILED" in bad and "refused" in bad.lower(), (code, bad)
    solo.settle()
    return bad.splitlines()[-1].strip()


@declare("log is louder for a while and goes back by itself")
def log(solo):
    before = solo.agent.ctl("log")[1]
    _, out, _ = solo.agent.ctl("log", "warn", "--for", "2s")
    assert "level warn" in out and "back to" in out, out
    size = len(solo.agent.log())
    solo.agent.ctl("drain", "web/10.30.0.25")
    solo.agent.ctl("undrain", "web/10.30.0.25")
    assert "10.30.0.25" not in solo.agent.log()[size:], "warn shows no notice"
    until("the level is back", lambda: solo.agent.ctl("log")[1] == before, within=6)
    solo.agent.ctl("log", "warn", "--for", "20s")
    solo.agent.ctl("log", "web/10.30.0.25=info", "--for", "20s")
    size = len(solo.agent.log())
    for server in ("web/10.30.0.24", "web/10.30.0.25"):
        solo.agent.ctl("drain", server)
        solo.agent.ctl("undrain", server)
    one = solo.agent.log()[size:]
    assert "10.30.0.25" in one and "10.30.0.24" not in one, one
    solo.agent.ctl("log", "web/10.30.0.25=default")
    solo.agent.ctl("log", "default")
    assert solo.agent.ctl("log")[1] == before
    solo.settle()
    return out.strip()


@declare("undrain --ramp brings a server back in steps, also across a crash")
def ramp(solo):
    solo.agent.ctl("drain", "web/10.30.0.24")
    until("weight 0", lambda: solo.agent.node.servers()[WEB][0] == 0, within=5)
    solo.agent.ctl("undrain", "web/10.30.0.24", "--ramp", "10s")
    seen, killed, ends = [], False, time.monotonic() + 20
    while time.monotonic() < ends and (not seen or seen[-1] < 100):
        weight = solo.agent.node.servers().get(WEB, (0,))[0]
        if not seen or weight != seen[-1]:
            seen.append(weight)
        if weight >= 40 and not killed:
            killed = True
            solo.agent.kill()
            solo.agent.start()
        time.sleep(0.1)
    assert seen == sorted(seen) and seen[-1] == 100, seen
    # The kernel is looked at ten times a second and a step takes one second: some may be missed, not most.
    assert len([w for w in seen if 0 < w < 100]) >= 5, seen
    until("the override is gone", lambda: not solo.agent.ask({"op": "status"})["data"]["overrides"], within=10)
    solo.settle()
    return " ".join(map(str, seen))


@declare("config diff says what the file would change, and changes nothing")
def diff(solo):
    _, same, _ = solo.agent.ctl("config", "diff")
    solo.agent.configure(CONFIG.replace("real_server 10.30.0.25 80 {\n        weight 100",
                                        "real_server 10.30.0.25 80 {\n        weight 50"))
    try:
        _, out, _ = solo.agent.ctl("config", "diff")
    finally:
        solo.agent.configure(CONFIG)
    changed = [line.split() for line in out.splitlines() if line.lstrip().startswith(("~", "+", "-"))]
    assert [words[0] for words in changed] == ["~"] and "10.30.0.25" in changed[0][1], out
    assert "10.30.0.25" not in same, same
    assert " ".join(changed[0][2:]) == "weight 100 -> 50", out
    assert "moves a virtual address: no" in out, out
    # What is in force is shown, not what the file says.
    shown = solo.agent.ctl("config", "show")[1]
    assert "weight 50" not in shown and f"# {solo.agent.config_path}:" in shown, shown
    solo.settle()
    return " ".join(changed[0])


@declare("doctor sees a router that does not forward")
def doctor(solo):
    director, file = solo.agent.node, solo.agent.config_path
    director.sysctl(ipv4__ip_forward=0)
    try:
        code, out, err = solo.agent.ctl("doctor", file, "--strict", check=False)
    finally:
        director.sysctl(ipv4__ip_forward=1)
    assert code != 0 and "ip_forward" in out + err, (code, out, err)
    _, out, err = solo.agent.ctl("doctor", file, check=False)
    assert "ip_forward" not in out + err, out + err
    return [line for line in out.splitlines() if line][-1].strip()


@declare("config explain knows a keyword, and what was meant by a misspelt one")
def explain(solo):
    _, out, _ = solo.agent.ctl("config", "explain", "quorum")
    assert "quorum" in out and "virtual_server" in out, out
    code, out, err = solo.agent.ctl("config", "explain", "quorun", check=False)
    assert code == 3 and "quorum" in out + err, (code, out, err)
