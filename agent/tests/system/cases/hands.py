"""Whose hand may do what, and whose going nobody minds; on the agent and the network of the socket's cases."""

import contextlib
import json
import os
import subprocess
import tempfile

from harness.cases import case
from harness.daemon import OURS, binary
from harness.net import inside, stays, until

SERVER, OTHER = "web/10.30.0.24", "web/10.30.0.25"
USER, ADMINS, OPERATORS = 64010, 64001, 64002


def declare(title):
    return case(f"hands: {title}", makes=(OURS,), group="socket")


@declare("a drain outlives who began it, and the agent itself; who follows it attaches again")
def outlives(solo):
    lbctl = (binary("lbctl"), "-s", solo.agent.socket_path)
    logs = [os.path.join(solo.dir, f"{name}.log") for name in ("began", "follows")]
    began = solo.agent.node.spawn([*lbctl, "drain", SERVER, "--wait", "-m", "kernel update"], logs[0])
    weight = lambda: solo.agent.node.servers().get("10.30.0.24:80", (None,))[0]  # noqa: E731
    until("weight 0", lambda: weight() == 0, within=5)
    assert began.poll() is None, open(logs[0]).read()
    began.kill()
    began.wait()
    follows = solo.agent.node.spawn([*lbctl, "drain", "--follow", SERVER], logs[1])
    until("it is followed", lambda: " left" in open(logs[1]).read(), within=5)
    solo.agent.kill()
    solo.agent.start()
    assert follows.wait(20) == 0, open(logs[1]).read()
    told = open(logs[1]).read()
    assert "the connection broke" in told and "drained in" in told, told
    assert weight() == 0, "the drain is over and the server out"
    change = solo.agent.ask({"op": "status"})["data"]["overrides"]
    assert [it["message"] for it in change] == ["kernel update"], change
    solo.agent.ctl("undrain", SERVER)
    solo.settle()
    return told.splitlines()[-1]


@contextlib.contextmanager
def groups(solo):
    """The host knows our groups, for as long as this takes and for this test's own mounts only."""
    with open("/etc/group") as f:
        known = [line for line in f if not line.startswith(("lbadmin:", "lboper:"))]
    with tempfile.NamedTemporaryFile("w", suffix=".group") as group:
        group.writelines([*known, f"lbadmin:x:{ADMINS}:\n", f"lboper:x:{OPERATORS}:\n"])
        group.flush()
        os.chmod(group.name, 0o644)
        subprocess.run(["mount", "--bind", group.name, "/etc/group"], check=True)
        try:
            solo.agent.kill()
            solo.agent.start()
            # Before its checks have spoken, a drain of the one that has is refused.
            until("both servers are up", lambda: states(solo) == {"up"})
            yield
        finally:
            subprocess.run(["umount", "/etc/group"], check=True)


def states(solo):
    return {it["state"] for it in solo.agent.ask({"op": "servers", "targets": [SERVER, OTHER]})["data"]}


def member(solo, group, *words):
    """Runs lbctl as somebody who is in no group but this one: its exit code and what it said."""
    program = os.open(binary("lbctl"), os.O_RDONLY)
    try:
        with inside(solo.agent.node.name):
            done = subprocess.run([f"/proc/self/fd/{program}", "-s", solo.agent.socket_path, *words], text=True,
                                  capture_output=True, timeout=20, stdin=subprocess.DEVNULL, pass_fds=(program,),
                                  user=USER, group=USER, extra_groups=[group] if group else [], cwd="/",
                                  env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"})
    finally:
        os.close(program)
    return done.returncode, done.stdout + done.stderr


def opened(path):
    """Anybody comes as far as the socket and may write to it; who they are decides the rest."""
    os.chmod(path, 0o666)
    folder = os.path.dirname(path)
    while folder != "/":
        if not os.stat(folder).st_mode & 0o001:
            os.chmod(folder, os.stat(folder).st_mode & 0o7777 | 0o001)
        folder = os.path.dirname(folder)


@declare("a viewer changes nothing and an operator promotes nothing, in both dialects; events name who did it")
def roles(solo):
    with groups(solo):
        opened(solo.agent.socket_path)
        for group, name, allowed in ((None, "viewer", 1), (OPERATORS, "operator", 2), (ADMINS, "admin", 3)):
            for nth, (frames, lines) in enumerate((
                    (("status",), {"op": "status"}),
                    (("drain", SERVER), {"op": "drain", "targets": [OTHER], "force": True}),
                    (("promote", "VI_int", "--dry-run"), {"op": "promote", "targets": ["VI_int"], "dry_run": True}))):
                want = 0 if nth < allowed else 4
                for words in (frames, ("raw", json.dumps(lines))):
                    code, said = member(solo, group, *words)
                    assert code == want, f"{name}: lbctl {' '.join(words)}: exit {code}, expected {want}: {said}"
                    assert want == 0 or name in said and "role" in said, f"{name}: {said}"
            drained = len(solo.agent.ask({"op": "status"})["data"]["overrides"])
            assert drained == (0 if allowed == 1 else 2), f"{name}: {drained} overrides"
    events = [it["event"] for it in solo.agent.ask({"op": "events", "kinds": ["action"], "limit": 20})["data"]]
    actors = {(it["actor"]["uid"], it["actor"]["pid"] > 1) for it in events if it.get("actor")}
    assert (USER, True) in actors, events
    solo.agent.ctl("undrain", SERVER, OTHER, "--yes")
    solo.settle()
    stays("nobody drains", lambda: not solo.agent.ask({"op": "status"})["data"]["overrides"], during=0.2)
