"""What a shell script gets from the socket, with socat, netcat and jq."""

import subprocess

from harness.cases import Group, case
from harness.daemon import OURS, binary
from harness.net import inside, until
from harness.solo import VIP, Solo

Group.fixture("socket", Solo)


def sh(solo, script, timeout=30):
    """Runs a few lines of shell with S set to the socket; returns what they print."""
    with inside(solo.agent.node.name):
        done = subprocess.run(["bash", "-o", "pipefail", "-c", script], text=True, capture_output=True, timeout=timeout,
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "S": solo.agent.socket_path,
                                   "LBCTL": binary("lbctl")}, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"exit {done.returncode}: {script.strip()}: {done.stdout}{done.stderr}".strip()
    return done.stdout.strip()


def declare(title):
    return case(f"socket: {title}", makes=(OURS,))


@declare("one question with socat")
def one_question(solo):
    out = sh(solo, """echo '{"op":"status"}' | socat -t5 - UNIX-CONNECT:$S | jq""")
    assert '"ok": true' in out, out
    problems = sh(solo, """echo '{"op":"status"}' | socat -t5 - UNIX-CONNECT:$S \
        | jq -r '.data.problems[] | "\\(.state) \\(.object)"'""")
    assert any("10.30.0.26" in line and line.lower().startswith("down") for line in problems.splitlines()), problems
    return problems


@declare("the same with netcat: who is master")
def netcat(solo):
    out = sh(solo, """echo '{"op":"vrrp"}' | nc -N -U $S | jq -r '.data[] | select(.state=="master").name'""")
    assert out == "VI_int", out


@declare("drain and wait for the end, then undrain")
def drain_and_wait(solo):
    out = sh(solo, """echo '{"op":"drain","targets":["web/10.30.0.24"],"timeout":"20s","wait":true}' \
        | socat -t 60 - UNIX-CONNECT:$S | jq -e '.ok'""", timeout=60)
    assert out.splitlines()[-1] == "true", out
    until("weight 0 in IPVS", lambda: solo.agent.node.servers().get("10.30.0.24:80", (1,))[0] == 0, within=3)
    sh(solo, """echo '{"op":"undrain","targets":["web/10.30.0.24"]}' | socat -t5 - UNIX-CONNECT:$S | jq -e '.ok'""")
    solo.settle()


@declare("events as they happen")
def follow(solo):
    out = sh(solo, """
        { sleep 1; $LBCTL -s $S drain web/10.30.0.25 >&2; sleep 1; $LBCTL -s $S undrain web/10.30.0.25 >&2; } &
        echo '{"op":"watch","topics":["action","check","vrrp"]}' \
          | timeout 4 socat STDIO,ignoreeof UNIX-CONNECT:$S | jq --unbuffered -c 'select(.event)' || [ $? = 124 ]
        wait""")
    lines = [line for line in out.splitlines() if "10.30.0.25" in line]
    assert len(lines) >= 2, f"a drain and its end should be events: {out}"
    solo.settle()


@declare("servers that are down, streamed as rows")
def rows(solo):
    out = sh(solo, """echo '{"op":"servers","filter":"st:down","rows":true}' | socat -t60 - UNIX-CONNECT:$S \
        | jq -r 'select(.row) | [.row.service,.row.address,.row.reason] | @tsv'""")
    assert len(out.splitlines()) == 1 and "10.30.0.26" in out, out
    return out.replace("\t", " ")


@declare("two requests on one connection")
def two_requests(solo):
    out = sh(solo, """printf '%s\\n' '{"id":1,"op":"ping"}' '{"id":2,"op":"is","cond":"master","targets":["VI_int"]}' \
        | socat -t5 - UNIX-CONNECT:$S | jq -c '[.id,.ok,.data]'""")
    lines = out.splitlines()
    assert len(lines) == 2 and lines[0].startswith("[1,true") and lines[1].startswith("[2,true"), out


@declare("lbctl raw does the same without the traps")
def raw(solo):
    out = sh(solo, """$LBCTL -s $S raw '{"op":"status"}' | jq .data""")
    assert out.startswith("{"), out


@declare("nonsense is answered, not obeyed")
def nonsense(solo):
    before = solo.agent.node.ipvs()
    for line, code in (('{"op":"no-such-op"}', "unknown-op"), ('{"op":', "bad-json"),
                       ('{"op":"drain","targets":["web/10.9.9.9"]}', "not-found"),
                       ('{"op":"drain","targets":["web/*"]}', "confirm"),
                       ('{"op":"drain","targets":["web/10.30.0.24"],"timeout":"300"}', "bad-duration")):
        out = sh(solo, f"printf '%s\\n' '{line}' | socat -t5 - UNIX-CONNECT:$S | jq -r '.error.code'")
        assert out == code, f"{line}: {out}, expected {code}"
    assert solo.agent.node.ipvs() == before
    assert solo.agent.node.holds(VIP)
