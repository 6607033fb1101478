"""Start, company and surroundings of the agent: what it does when something is missing, taken or foreign."""

import os
import re
import subprocess

from harness.cases import case
from harness.daemon import OURS, THEIRS, binary
from harness.net import inside, stays, until
from harness.solo import CONFIG, VIP, Solo


def launch(solo, *words, before=()):
    """Runs lbagent to its end, as it should when it cannot start: (exit code, what it said)."""
    with inside(solo.agent.node.name):
        done = subprocess.run([*before, binary("lbagent"), "-n", "-l", *words], text=True, capture_output=True,
                              timeout=20, stdin=subprocess.DEVNULL)
    return done.returncode, done.stderr + done.stdout


@case("F158 a second agent is refused and touches nothing", makes=(OURS,))
def second_agent(_):
    with Solo() as solo:
        before = solo.agent.node.ipvs(), solo.agent.node.addresses()
        code, said = launch(solo, "-f", solo.agent.config_path, "--run-dir", solo.agent.run_dir,
                            "--state-dir", solo.agent.state_dir)
        assert code != 0 and str(solo.agent.process.pid) in said, f"exit {code}: {said}"
        assert (solo.agent.node.ipvs(), solo.agent.node.addresses()) == before
        assert solo.agent.running() and solo.agent.answers()
        return said.strip().splitlines()[-1]


@case("F159 no start beside a running keepalived", makes=(OURS,))
def beside_keepalived(_):
    with Solo(THEIRS) as solo:
        # keepalived is known by the process id in its usual file.
        pid_file = "/run/keepalived.pid"
        assert not os.path.exists(pid_file), f"{pid_file} is there already"
        with open(pid_file, "w") as f:
            f.write(f"{solo.agent.process.pid}\n")
        try:
            before = solo.agent.node.ipvs(), solo.agent.node.addresses()
            code, said = launch(solo, "-f", solo.agent.config_path, "--run-dir", f"{solo.dir}/run",
                                "--state-dir", f"{solo.dir}/state")
            assert code != 0 and "keepalived" in said, f"exit {code}: {said}"
            # With the rights of the systemd unit it may not look where keepalived is.
            few = "-all,+net_admin,+net_raw,+setuid,+setgid,+kill,+dac_read_search"
            code, few_said = launch(solo, "-f", solo.agent.config_path, "--run-dir", f"{solo.dir}/run",
                                    "--state-dir", f"{solo.dir}/state", before=("setpriv", f"--bounding-set={few}"))
            assert code != 0 and "keepalived" in few_said, f"with few rights: exit {code}: {few_said}"
            assert (solo.agent.node.ipvs(), solo.agent.node.addresses()) == before
        finally:
            os.unlink(pid_file)
        return said.strip().splitlines()[-1]


@case("what is missing is named: root, the file, the interface", makes=(OURS,))
def missing(_):
    with Solo() as solo:
        solo.agent.stop()
        dirs = ("--run-dir", f"{solo.dir}/run", "--state-dir", f"{solo.dir}/state")
        code, said = launch(solo, "-f", f"{solo.dir}/nowhere.conf", *dirs)
        assert code == 6 and "nowhere.conf" in said, f"no file: exit {code}: {said}"
        # keepalived ends over a missing interface; the agent says so and waits for it.
        solo.agent.configure(CONFIG.replace("interface eth0", "interface eth7"))
        solo.agent.start()
        until("the agent answers", solo.agent.answers)
        said = until("eth7 is named", lambda: re.search("interface eth7 does not exist",
                                                        solo.agent.ctl("why", "VI_int")[1]) and "named")
        assert re.search(r"conf:\d+:\d+.*there is no interface 'eth7'", solo.agent.log()), solo.agent.log()
        solo.agent.stop()
        public = "/run/lab-public.conf"
        with open(public, "w") as f:
            f.write(CONFIG)
        os.chmod(public, 0o644)
        try:
            code, said = launch(solo, "-f", public, "--run-dir", "/tmp/lab-run", "--state-dir", "/tmp/lab-state",
                                before=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"))
        finally:
            os.unlink(public)
        assert code == 4 and re.search("root|CAP_NET_ADMIN", said), f"no root: exit {code}: {said}"
        return said.strip().splitlines()[-1]


@case("F077 services of somebody else stay as they are")
def foreign(make):
    with Solo(make) as solo:
        d = solo.agent
        d.stop()
        d.node.run("ipvsadm", "-A", "-t", "10.99.0.1:99", "-s", "sed")
        d.node.run("ipvsadm", "-a", "-t", "10.99.0.1:99", "-r", "10.99.0.2:99", "-m", "-w", "9")
        theirs = ["TCP 10.99.0.1:99 sed", "    -> 10.99.0.2:99 Masq 9"]

        def untouched():
            return set(theirs) <= set(d.node.ipvs())
        d.start()
        until("the agent's own services", lambda: any(VIP in line for line in d.node.ipvs()), within=15)
        assert untouched(), d.node.ipvs()
        d.configure(CONFIG.replace("weight 100", "weight 50"))
        d.reload()
        until("the reload is in force", lambda: d.node.servers().get("10.30.0.24:80", (0,))[0] == 50)
        assert untouched(), d.node.ipvs()
        d.stop()
        assert d.node.ipvs() == theirs, d.node.ipvs()


@case("F075, F076 what a hand changes in IPVS is put right", makes=(OURS,))
def drift(_):
    with Solo() as solo:
        node = solo.agent.node
        node.run("ipvsadm", "-e", "-t", f"{VIP}:80", "-r", "10.30.0.24:80", "-m", "-w", "3")
        until("the weight is 100 again", lambda: node.servers().get("10.30.0.24:80", (0,))[0] == 100, within=20)
        node.run("ipvsadm", "-C")
        solo.settle()


@case("F070 without ip_vs VRRP and checks run, and IPVS is filled when it appears", makes=(OURS,))
def late_ip_vs(_):
    if "LB_LAB_GUEST" not in os.environ:
        return "left out: needs a kernel of its own, whose modules may be unloaded"
    helper = "/proc/sys/kernel/modprobe"
    with open(helper) as f:
        usual = f.read().strip()
    with open("/proc/modules") as f:
        loaded = [line.split()[0] for line in f if line.startswith("ip_vs_")]
    with Solo() as solo:
        solo.agent.stop()
        with open(helper, "w") as f:
            f.write("/bin/false\n")
        try:
            subprocess.run(["modprobe", "-r", *loaded, "ip_vs"], check=True)
            solo.agent.start()
            until("master without ip_vs", lambda: solo.agent.node.holds(VIP), within=10)
            stays("the agent runs", solo.agent.running, during=2)
            _, out, _ = solo.agent.ctl("status")
            assert "modprobe ip_vs" in out, f"status does not say what to do: {out}"
            subprocess.run(["modprobe", "-a", "ip_vs", *loaded], check=True)
            until("IPVS is filled", within=90, probe=lambda: set(solo.agent.node.servers()) == {
                "10.30.0.24:80", "10.30.0.25:80"})
        finally:
            with open(helper, "w") as f:
                f.write(usual + "\n")
            subprocess.run(["modprobe", "-a", "ip_vs", *loaded], check=False)
        return next(line.strip() for line in out.splitlines() if "modprobe ip_vs" in line)
