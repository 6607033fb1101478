"""The shipped unit under a real systemd: connections and requests go on over what a unit goes through, and a peer watches.

Not a part of scripts/test: run it with scripts/lab -m 1500M -- agent/tests/system/run systemd
"""

import contextlib
import os
import re
import struct
import threading
import time

from harness.cases import Group, case
from harness.chain import ECHO_PORT, HOSTS, LAN, VIP, Chain, director_config
from harness.daemon import OURS
from harness.net import until
from harness.systemd import STRICT, Machine
from harness.traffic import Held

# In a guest on a busy machine a restart takes its time; who is back within two intervals has not been away.
INTERVAL = 3
SLOW_MAX = 5
SERVER = f"{LAN}.{HOSTS['ha2']}:80"
SERVICE = f"{VIP}:80/tcp/{SERVER}"


def config(which="lvs1", weights=(1, 1)):
    """With a script that runs as somebody else: it counts for the priority."""
    script = """\
vrrp_script chk {
    script "/usr/bin/id -u nobody"
    interval 1
    user nobody
}
"""
    text = director_config(which, weights=weights).replace("advert_int 1", f"advert_int {INTERVAL}")
    return script + text.replace("    virtual_ipaddress", "    track_script {\n        chk\n    }\n    virtual_ipaddress", 1)


class Stamps:
    """When the agent sent its adverts, in seconds since the machine's start, as it notes it for the next one."""

    def __init__(self, machine):
        self.path = f"/proc/{machine.first}/root/run/lbagent/adverts"
        self.seen = set()
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def _look(self):
        while not self.done.wait(0.02):
            with contextlib.suppress(OSError, struct.error), open(self.path, "rb") as f:
                self.seen.add(struct.unpack("<Q", f.read(8))[0] / 1e6)

    def last_before(self, moment):
        return max(stamp for stamp in self.seen if stamp < moment)

    def close(self):
        self.done.set()
        self.thread.join()


class Booted(Chain):
    """The chain, with lvs1's agent under systemd."""

    def __init__(self, make):
        super().__init__(make)
        try:
            for name, d in self.directors.items():
                d.configure(config(name))
            self.machine = Machine(self, self.directors["lvs1"])
            self.node = self.directors["lvs1"].node
            self.machine.systemctl("start")
            self.directors["lvs2"].start()
            until("lvs1 alone holds the VIP", lambda: self.owners() == ["lvs1"], within=8 * INTERVAL)
            until("both proxies are in rotation", lambda: self.in_rotation("lvs1") == ["ha1", "ha2"], within=8 * INTERVAL)
        except BaseException:
            self.__exit__()
            raise

    def begin(self):
        """Traffic, and a mark in the peer's log."""
        self.held = self.add(Held(self.client, VIP, ECHO_PORT))
        until("the connection echoes", lambda: self.held.rounds > 3)
        self.requests = self.traffic(clients=1, pause=0.05)
        self.heard = len(self.directors["lvs2"].log())

    def unharmed(self):
        """Nothing was lost, and the peer never took over."""
        assert self.held.alive(), f"the connection was lost: {self.held.error}"
        assert self.requests.failed == 0, self.requests.summary()
        assert self.owners() == ["lvs1"], self.owners()
        told = self.directors["lvs2"].log()[self.heard:]
        assert "MASTER STATE" not in told, f"the peer took over:\n{told}"

    def back(self, before, within=8 * INTERVAL):
        """Another process is at work, and has taken up where `before` left off. Returns its number."""
        now = until("another agent runs", within=within,
                    probe=lambda: (pid := self.machine.main_pid()) not in (0, before) and pid)
        until("it is master", within=within,
              probe=lambda: '"master"' in self.machine.run("lbctl", "vrrp", "-o", "json", check=False))
        return now

    def over(self, act):
        """Another agent takes over from the one that runs, and nobody notices. Returns how many tries were too slow.

        On a busy machine a restart may take longer than a peer waits; that says nothing, and is done again."""
        for slow in range(SLOW_MAX):
            until("lvs1 alone holds the VIP", lambda: self.owners() == ["lvs1"], within=8 * INTERVAL)
            self.begin()
            stamps = self.add(Stamps(self.machine))
            before = self.machine.main_pid()
            act()
            now = until("another agent runs", within=8 * INTERVAL,
                        probe=lambda: (pid := self.machine.main_pid()) not in (0, before) and pid)
            until("it knows its instance", lambda: "VI_1" in self.machine.run("lbctl", "vrrp", check=False))
            age = time.clock_gettime(time.CLOCK_BOOTTIME) - stamps.last_before(self.machine.began(now))
            stamps.close()
            if age < 2 * INTERVAL:
                # One that was missed would be seen by now.
                time.sleep(3.5 * INTERVAL)
                self.unharmed()
                return slow
            self.requests.close()
            self.held.close()
        raise AssertionError(f"{SLOW_MAX} restarts took longer than two intervals of {INTERVAL} s")

    def logs(self):
        return f"{self.machine.log()}\n{self.machine.journal()}\n{super().logs()}"


Group.fixture("systemd", Booted)


@case("the unit: ready, watched over, its files for its owner and its group only", makes=(OURS,))
def unit(booted):
    machine = booted.machine
    assert machine.shows("ActiveState") == "active"
    modes = machine.run("stat", "-c", "%a %U %n", "/run/lbagent", "/run/lbagent/agent.sock", "/var/lib/lbagent",
                        "/run/lbagent/ledger.json").split("\n")
    assert modes[:4] == ["755 root /run/lbagent", "660 root /run/lbagent/agent.sock", "700 root /var/lib/lbagent",
                         "600 root /run/lbagent/ledger.json"], modes
    # The journal stamps lines itself and knows their level.
    warnings = machine.run("journalctl", "--output", "cat", "--unit", "lbagent", "--priority", "warning")
    assert "holds a password" in warnings and "INFO" not in warnings, warnings
    return machine.exposure("--threshold=41")


@case("systemctl reload: waits for the outcome; a broken file fails, is told, and changes nothing", makes=(OURS,))
def reload(booted):
    machine, daemon = booted.machine, booted.directors["lvs1"]
    booted.begin()
    daemon.configure(config(weights=(1, 3)))
    machine.systemctl("reload")
    assert booted.node.servers()[SERVER][0] == 3, booted.node.servers()
    daemon.configure(config(weights=(1, 4)).replace("lb_algo rr", "lb_algo robin", 1))
    before = machine.main_pid()
    said = machine.systemctl("reload", check=False)
    assert "failed" in said.lower(), said
    assert machine.shows("ActiveState") == "active" and machine.main_pid() == before
    journal = machine.journal(10)
    assert re.search(r"lvs1\.conf:\d+:\d+.*robin", journal), journal
    assert booted.node.servers()[SERVER][0] == 3, booted.node.servers()
    daemon.configure(config())
    machine.systemctl("reload")
    booted.unharmed()
    return said.strip().splitlines()[0]


@case("F160 restart, hand-over to another program, kill -9: nothing lost, the peer sees nothing", makes=(OURS,))
def restarts(booted):
    machine = booted.machine
    machine.run("lbctl", "weight", SERVICE, "7", "-m", "stays")

    def upgrade(name):
        machine.replace_program(name)
        machine.run("systemctl", "kill", "--kill-who=main", "--signal=QUIT", "lbagent.service")

    slow = sum(booted.over(act) for act in (
        lambda: machine.systemctl("restart"), lambda: upgrade("next"), lambda: upgrade("before"),
        lambda: machine.signal("KILL")))
    assert machine.program().startswith("lbagent-before"), machine.program()
    until("the override is in force", lambda: booted.node.servers()[SERVER][0] == 7, within=3)
    return booted.requests.summary() + (f", {slow} rounds too slow to count" if slow else "")


@case("F162 a loop that stands still is ended, its address goes to the peer and comes back", makes=(OURS,))
def watchdog(booted):
    machine = booted.machine
    until("lvs1 alone holds the VIP", lambda: booted.owners() == ["lvs1"], within=8 * INTERVAL)
    pid = machine.main_pid()
    booted.requests.close()
    began = time.monotonic()
    machine.signal("STOP")
    until("the peer alone holds the VIP", lambda: booted.owners() == ["lvs2"], within=8 * INTERVAL)
    moved = time.monotonic() - began
    booted.back(pid, within=8 * INTERVAL)
    until("lvs1 alone holds the VIP", lambda: booted.owners() == ["lvs1"], within=8 * INTERVAL)
    assert "Watchdog timeout" in machine.journal(200), machine.journal(200)
    return f"the peer alone after {moved:.1f} s"


@case("F163 an agent that cannot start: its address goes, the table stays, it comes back when it can", makes=(OURS,))
def cannot_start(booted):
    machine, daemon = booted.machine, booted.directors["lvs1"]
    pid, table = machine.main_pid(), booted.node.ipvs()
    os.unlink(daemon.config_path)
    began = time.monotonic()
    machine.signal("KILL")
    until("the VIP is gone", lambda: not booted.node.holds(VIP), within=2 * INTERVAL + 3, every=0.01)
    gone = time.monotonic() - began
    starts = int(machine.shows("NRestarts"))
    time.sleep(1)
    starts = int(machine.shows("NRestarts")) - starts
    assert starts <= 10, f"{starts} starts in a second"
    assert booted.node.ipvs() == table, booted.node.ipvs()
    until("the peer holds the VIP", lambda: booted.owners() == ["lvs2"], within=4 * INTERVAL)
    daemon.configure(config())
    booted.back(pid)
    return f"VIP gone after {gone:.1f} s, {starts} starts a second"


@case("systemctl stop: the peer at once, nothing left", makes=(OURS,))
def stop(booted):
    machine = booted.machine
    until("lvs1 alone holds the VIP", lambda: booted.owners() == ["lvs1"], within=8 * INTERVAL)
    began = time.monotonic()
    machine.systemctl("stop")
    assert not booted.node.holds(VIP) and booted.node.ipvs() == [], booted.node.ipvs()
    until("the peer holds the VIP", lambda: booted.owners() == ["lvs2"], within=3)
    assert machine.shows("ActiveState") == "inactive", machine.shows("ActiveState")
    return f"peer after {time.monotonic() - began:.1f} s"


@case("strict.conf: with less it works as well", makes=(OURS,))
def strict(booted):
    machine = booted.machine
    machine.drop_in(STRICT)
    machine.systemctl("start")
    until("lvs1 alone holds the VIP", lambda: booted.owners() == ["lvs1"], within=8 * INTERVAL)
    until("both proxies are in rotation", lambda: booted.in_rotation("lvs1") == ["ha1", "ha2"], within=15)
    machine.systemctl("reload")
    booted.directors["lvs2"].stop()
    until("the VIP answers", lambda: booted.answers(VIP), within=10)
    machine.systemctl("stop")
    assert not booted.node.holds(VIP) and booted.node.ipvs() == [], booted.node.ipvs()
    return machine.exposure("--threshold=30")
