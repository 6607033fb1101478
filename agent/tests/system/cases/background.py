"""Without --dont-fork: the command that was typed ends when the agent has started, or with its error and exit code."""

import os
import signal
import subprocess

from harness.cases import case
from harness.daemon import OURS, binary
from harness.net import inside, until
from harness.solo import Solo


def launch(solo, *words):
    """The command as an init script has it: (exit code, what it said)."""
    dirs = ("--run-dir", solo.agent.run_dir, "--state-dir", solo.agent.state_dir)
    with inside(solo.agent.node.name):
        done = subprocess.run([binary("lbagent"), "-f", solo.agent.config_path, *dirs, *words], text=True,
                              capture_output=True, timeout=30, stdin=subprocess.DEVNULL)
    return done.returncode, done.stderr + done.stdout


def ended(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@case("in the background: success means started, and an error is the caller's", makes=(OURS,))
def background(_):
    with Solo() as solo:
        solo.agent.stop()
        pid_file, log = f"{solo.dir}/agent.pid", f"{solo.dir}/background.log"
        code, said = launch(solo, "-p", pid_file, "--log-file", log)
        assert code == 0 and not said, f"exit {code}: {said}"
        pid = int(open(pid_file).read())
        try:
            # At once, without waiting: the command ended because everything was there.
            state = solo.agent.ask({"op": "vrrp"})["data"]
            assert [row["name"] for row in state] == ["VI_int"], state
            assert os.getsid(pid) == pid and os.readlink(f"/proc/{pid}/cwd") == "/"
            assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)} == {"/dev/null"}
            code, said = launch(solo)
            assert code == 1 and str(pid) in said, f"a second agent: exit {code}: {said}"
        finally:
            os.kill(pid, signal.SIGTERM)
            until("it ends", lambda: ended(pid), within=15)
        # What goes wrong behind the fork reaches the caller too.
        code, said = launch(solo, "-p", f"{solo.dir}/nowhere/agent.pid", "--log-file", log)
        assert code == 1 and "nowhere/agent.pid" in said, f"no folder for the pid: exit {code}: {said}"
        os.mkdir(f"{solo.agent.run_dir}/agent.sock.folder")
        code, said = launch(solo, "--log-file", log, "--socket", f"{solo.agent.run_dir}/agent.sock.folder")
        assert code == 1 and "agent.sock.folder" in said, f"no socket: exit {code}: {said}"
        return said.strip().splitlines()[0]
