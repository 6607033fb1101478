"""Several hosts from one desk: lbctl through a real sshd on each, with keys and configuration of its own."""

import contextlib
import json
import os
import re
import subprocess
import threading
import time

from harness.cases import Group, case
from harness.daemon import OURS, Process, binary, daemon, tail
from harness.net import World, inside, stays, until
from harness.terminal import Terminal

VIP = "10.20.0.100"
SERVER = "web/10.20.0.51"
HOSTS = {"lb1": "10.20.0.1", "lb2": "10.20.0.2"}


def config(name, priority):
    # The instances have different names: the VRID and the network make them the same one.
    return f"""\
global_defs {{
    router_id {name}
}}
vrrp_instance VI_{name} {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int 1
    virtual_ipaddress {{
        {VIP}/24
    }}
}}
virtual_server {VIP} 80 {{
    snmp_name web
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.20.0.51 80 {{
        weight 1
    }}
    real_server 10.20.0.52 80 {{
        weight 1
    }}
}}
"""


class Sshd(Process):
    """An sshd of our own in a node, in which `lbctl` is in the path and knows its agent's socket."""

    def __init__(self, agent, address, key):
        super().__init__(agent.node, f"sshd-{agent.label}")
        host_key = os.path.join(agent.node.world.dir, f"{self.label}.key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host_key], check=True)
        self.config_path = agent.node.world.file(f"{self.label}.conf", f"""\
ListenAddress {address}
HostKey {host_key}
AuthorizedKeysFile {key}.pub
StrictModes no
UsePAM no
PidFile none
PermitRootLogin prohibit-password
PasswordAuthentication no
SetEnv PATH={os.path.dirname(binary("lbctl"))}:/usr/bin:/bin LBCTL_SOCKET={agent.socket_path}
""")

    def argv(self):
        return ["/usr/sbin/sshd", "-D", "-e", "-f", self.config_path]


class Desk(Terminal, World):
    """Two agents with an sshd each, and a desk that is neither."""

    def __init__(self, make):
        super().__init__()
        try:
            # sshd insists on it.
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
            switch = self.switch()
            self.desk = self.node("desk")
            self.plug(switch, self.desk, "10.20.0.9/24")
            key = os.path.join(self.dir, "desk.key")
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
            self.agents, self.sshds = {}, {}
            for (name, address), priority in zip(HOSTS.items(), (150, 100), strict=True):
                node = self.node(name)
                self.plug(switch, node, f"{address}/24")
                agent = self.agents[name] = daemon(make, node, config(name, priority)).start()
                self.sshds[name] = Sshd(agent, address, key).start()
            names = "".join(f"Host {name}\n    HostName {address}\n" for name, address in HOSTS.items())
            ssh = self.file("ssh_config", f"""\
{names}Host lb3
    HostName 10.20.0.33
Host *
    User root
    IdentityFile {key}
    IdentitiesOnly yes
    UserKnownHostsFile {self.dir}/known
    GlobalKnownHostsFile none
    StrictHostKeyChecking accept-new
""")
            os.makedirs(os.path.join(self.dir, "lbctl"))
            self.file("lbctl/config.toml", """\
default_cluster = "edge"
[cluster.edge]
hosts = ["ssh://lb1", "ssh://lb2"]
[cluster.three]
hosts = ["ssh://lb1", "ssh://lb2", "ssh://lb3"]
""")
            self.env = {**os.environ, "XDG_CONFIG_HOME": self.dir, "LBCTL_SSH": f"ssh -F {ssh}"}
            for name in ("LBCTL_HOST", "LBCTL_CLUSTER", "LBCTL_SOCKET"):
                self.env.pop(name, None)
            until("lb1 alone is master", lambda: self.owners() == ["lb1"], within=12)
            until("both answer over ssh", lambda: self.ctl("-C", "edge", "hosts", check=False)[0] == 0, within=10)
        except BaseException:
            self.__exit__()
            raise

    def owners(self):
        return [name for name, agent in self.agents.items() if agent.node.holds(VIP)]

    def command(self, *words):
        return [binary("lbctl"), *words]

    def ctl(self, *words, check=True, timeout=30):
        """Runs lbctl at the desk, where there is no agent."""
        with inside(self.desk.name):
            done = subprocess.run(self.command(*words), text=True, capture_output=True, timeout=timeout,
                                  stdin=subprocess.DEVNULL, env=self.env)
        assert not check or done.returncode == 0, f"lbctl {' '.join(words)}: exit {done.returncode}: {done.stderr}"
        return done.returncode, done.stdout, done.stderr

    def logs(self):
        parts = [*self.agents.values(), *self.sshds.values()]
        return "\n".join(f"  {part.label}:\n{tail(part.log())}" for part in parts)


Group.fixture("hosts", Desk)


@case("status over ssh: a row for each host, one that is missing is a row too, exit code 5", makes=(OURS,))
def status(desk):
    code, out, _ = desk.ctl("status", "-C", "three", "--connect-timeout", "4s", check=False)
    rows = {line.split()[1]: line.split() for line in out.splitlines()[1:4]}
    assert code == 5, (code, out)
    assert [rows[name][2] for name in ("lb1", "lb2", "lb3")] == ["LIVE", "LIVE", "UNREACHABLE"], out
    assert rows["lb1"][5] == "VI_lb1", out
    assert "! host    lb3" in out, out
    # Names of instances differ, and still there is one master of one router: nothing to tell.
    code, out, _ = desk.ctl("status", "-C", "edge")
    assert "DIFFERENCE" not in out, out


@case("a drain on the whole cluster, and the difference when one host is left out", makes=(OURS,))
def drain(desk):
    code, out, _ = desk.ctl("drain", SERVER, "-C", "edge", "--dry-run")
    assert "== lb1\ndry run" in out and "== lb2\ndry run" in out, out
    code, out, err = desk.ctl("drain", SERVER, "-C", "three", "--yes", "--connect-timeout", "4s", check=False)
    assert code == 5 and "nothing was changed on any host" in err, (code, out, err)
    assert not json.loads(desk.agents["lb1"].ctl("status", "-o", "json")[1])["data"]["overrides"]
    _, out, _ = desk.ctl("drain", SERVER, "-C", "edge", "--yes", "-m", "system test")
    assert out.splitlines()[0].startswith("lb1: ") and out.splitlines()[1].startswith("lb2: "), out
    _, out, _ = desk.ctl("status", "-C", "edge")
    assert "DIFFERENCE" not in out, out
    desk.ctl("undrain", SERVER, "-H", "ssh://lb2")
    _, out, _ = desk.ctl("status", "-C", "edge")
    assert "drained on lb1 only; lb2 would send it traffic after a failover" in out, out
    desk.ctl("undrain", SERVER, "-H", "ssh://lb1")


@case("promote over ssh sees the other side yield; no moment without an owner", makes=(OURS,))
def promote(desk):
    code, _, err = desk.ctl("promote", "VI_lb2", "-C", "edge", "--yes", check=False)
    assert code == 2 and "exactly one host" in err, (code, err)
    _, out, _ = desk.ctl("promote", "VI_lb2", "-H", "ssh://lb2", "--dry-run")
    assert "lb1's agent is connected" in out, out
    samples, over = [], threading.Event()

    def watch():
        while not over.is_set():
            samples.append((time.monotonic(), len(desk.owners())))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        _, _, err = desk.ctl("promote", "VI_lb2", "-H", "ssh://lb2", "--yes")
    finally:
        over.set()
        watcher.join()
    assert desk.owners() == ["lb2"], desk.owners()
    assert "VI_lb1 is BACKUP on lb1" in err, err
    gap, both, pause = 0.0, 0.0, 0.0
    for (before, owners), (at, _) in zip(samples, samples[1:], strict=False):
        gap += (at - before) * (owners == 0)
        both += (at - before) * (owners == 2)
        pause = max(pause, at - before)
    assert gap <= 0.010, f"{gap * 1000:.1f} ms without an owner"
    desk.ctl("release", "VI_lb2", "-H", "ssh://lb2", "--yes")
    until("lb1 has it back", lambda: desk.owners() == ["lb1"], within=8)
    return f"{gap * 1000:.1f} ms without an owner, {both * 1000:.1f} ms with two, looked every {pause * 1000:.1f} ms"


@case("a wait outlives the ssh that carries it, and attaches again", makes=(OURS,))
def cut(desk):
    log, sshd = os.path.join(desk.dir, "wait.log"), desk.sshds["lb1"]
    accepted = lambda: sshd.log().count("Accepted publickey")  # noqa: E731
    before = accepted()
    waiting = desk.desk.spawn(desk.command("-H", "ssh://lb1", "wait", "disabled", SERVER, "--timeout", "20s"), log,
                              env=desk.env)
    # One connection looks for the target, the second one stays.
    until("the wait is connected", lambda: accepted() >= before + 2, within=10)
    stays("it waits", lambda: waiting.poll() is None, during=0.5)
    for pid in children(sshd.process.pid):
        os.kill(pid, 9)
    desk.ctl("disable", SERVER, "-H", "ssh://lb1", "--yes")
    assert waiting.wait(20) == 0, open(log).read()
    assert "the connection broke" in open(log).read(), open(log).read()
    desk.ctl("undrain", SERVER, "-H", "ssh://lb1")


@case("the dashboard of a cluster: a row for each host, from one to the other, one that goes away and comes back",
      makes=(OURS,))
def dashboard(desk):
    with inside(desk.desk.name):
        desk.open_terminal(desk.dir)
    try:
        desk.type(f"{binary('lbtui')} -C edge", "Enter")
        desk.shows(r" lb1  \[1 Overview\]")
        desk.keys("6")
        desk.shows(r"(?s)\+ lb1 +LIVE.*\+ lb2 +LIVE.*# VI_lb1 +51 +eth0 +MASTER 150 +BACKUP 100.*agree on everything")
        desk.ctl("drain", SERVER, "-H", "ssh://lb2", "--yes")
        desk.shows(r"drained on lb2 only")
        desk.ctl("undrain", SERVER, "-H", "ssh://lb2")
        desk.shows(r"(?s)If the master is lost.*lb2 \(prio 100\) in 3\.\ds, or 0\.\ds if lb1 stops cleanly")
        # One change on both, after one question and the name.
        desk.keys("2", "Tab", "a", "d")
        screen = desk.shows(r"(?s)Drain 1 server on all hosts \(lb1, lb2\).*on lb1.*on lb2.*Type web to drain")
        time.sleep(0.3)
        desk.type("web", "Enter")
        desk.shows(r"done on lb1, lb2")
        drained = [desk.ctl("servers", "-H", f"ssh://{host}", "--filter", "st:drain,drained", "-o", "name")[1]
                   for host in desk.agents]
        assert drained[0] == drained[1] != "", (drained, screen)
        desk.keys("4")
        desk.shows(r"(?s)of lb1 lb2 .* lb2 +action +web/.* lb1 +action +web/|of lb1 lb2 .* lb1 +action .* lb2 +action ")
        for host in desk.agents:
            desk.ctl("undrain", drained[0].strip(), "-H", f"ssh://{host}", "--yes")
        desk.keys("a", "1", ">")
        desk.shows(r"(?s) lb2  \[1 Overview\].*- BACKUP +VI_lb2 .*\(lb1")
        desk.agents["lb2"].kill()
        desk.shows(r"STALE \d+s")
        desk.keys("6")
        desk.shows(r"(?s)\+ lb1 +LIVE.*! lb2 +STALE.*BACKUP\? 100\?")
        # What a dead host said last can be looked at, and nothing done there; r does not wait for the next attempt.
        desk.keys("G", "Enter")
        desk.shows(r"(?s) lb2  \[1 Overview\].*STALE.*- BACKUP +VI_lb2 ")
        desk.keys("P")
        desk.shows(r"read only: the agent does not answer|does not answer")
        before = attempt(desk.shows(r"Retry \d+ in"))
        desk.keys("r", "r")
        until("another attempt", lambda: attempt(desk.screen()) > before, within=5)
        desk.keys("6", "g", "Enter")
        desk.shows(r" lb1  \[1 Overview\].*LIVE")
        desk.keys("6")
        desk.agents["lb2"].start()
        desk.shows(r"(?s)\+ lb1 +LIVE.*\+ lb2 +LIVE", within=20)
        desk.keys("q")
        desk.shows(r"behind\$\s*$")
    finally:
        desk.close_terminal()
    until("lb1 alone is master", lambda: desk.owners() == ["lb1"], within=8)


def attempt(screen):
    """Which attempt to connect is the next, by the second line."""
    found = re.search(r"Retry (\d+) in", screen)
    return int(found.group(1)) if found else 0


def children(parent):
    """The processes a process has started itself."""
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and parent_of(pid) == parent]


def parent_of(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as f:
        return int(f.read().rpartition(")")[2].split()[1])
    return None
