"""The same file, the same result: each file in parity/ (and the example with the many words) on both daemons, IPVS
tables and addresses compared. What is expected stands in the first line, or here for the example.

All daemons of one make run at the same time, each in a pair of namespaces of its own:

    director  eth0 10.20.0.1/24 fd20::1/64,  eth1 10.21.0.1/24
    servers   10.20.0.2, fd20::2, and every address of 10.30.0.0/24 and fd30::/64; ports 80 and 443 answer there
"""

import contextlib
import glob
import os
import re
import signal
import time

from harness.cases import Group, case
from harness.daemon import OURS, THEIRS, daemon, tail
from harness.net import World
from harness.traffic import Server, Web

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "parity")
FILES = {os.path.basename(p)[:-5]: p for p in sorted(glob.glob(f"{FOLDER}/*.conf"))}
EXAMPLE = os.path.join(FOLDER, "../../../../examples/many-words/director.conf")
FILES["example"] = EXAMPLE
EXAMPLE_EXPECTS = {"services": 7, "servers": 14, "addresses": 5}
QUIET_S = 3.0       # a table that has not changed for so long is final
DEADLINE_S = 60.0
BASE_ADDRESSES = 3  # those of the director itself


class Snapshot:
    """What a daemon made of a file: IPVS in four views, and addresses."""

    def __init__(self, node, copies):
        self.table = node.ipvs()
        self.rules = sorted(node.run("ipvsadm", "-Sn").splitlines())
        self.thresholds = sorted(" ".join(line.split()) for line in
                                 node.run("ipvsadm", "-Ln", "--thresholds").splitlines()[3:])
        self.copying = sorted(node.run("ipvsadm", "-l", "--daemon").splitlines()) if copies else []
        # Which daemon put an address there is the one thing that may differ.
        self.addresses = [re.sub(r" proto \S+", "", a) for a in node.addresses()]

    def counts(self):
        servers = sum(line.startswith(" ") for line in self.table)
        return {"services": len(self.table) - servers, "servers": servers,
                "addresses": len(self.addresses) - BASE_ADDRESSES}


class Bench:
    """Namespaces, daemon and result for one file."""

    def __init__(self, world, name, make):
        self.name = name
        with open(FILES[name]) as f:
            text = f.read()
        head = text.splitlines()[0]
        self.expects = {what: int(n) for what, n in re.findall(r"(services|servers|addresses) (\d+)", head)}
        if FILES[name] == EXAMPLE:
            self.expects = EXAMPLE_EXPECTS
        assert len(self.expects) == 3, f"{name}: the first line has to say what is expected, not {head!r}"
        self.copies = "lvs_sync_daemon" in text
        self.node = world.node(f"{name}-d")
        far = world.node(f"{name}-s")
        world.wire(self.node, "eth0", far, "eth0")
        world.wire(self.node, "eth1", far, "eth1")
        self.node.ip("addr add 10.20.0.1/24 dev eth0", "addr add fd20::1/64 dev eth0 nodad",
                     "addr add 10.21.0.1/24 dev eth1",
                     "route add 10.30.0.0/24 via 10.20.0.2", "route add fd30::/64 via fd20::2")
        far.ip("addr add 10.20.0.2/24 dev eth0", "addr add fd20::2/64 dev eth0 nodad",
               "route add local 10.30.0.0/24 dev lo", "route add local fd30::/64 dev lo")
        world.add(Web(far, 80))
        world.add(Port(far, 443))
        self.daemon = daemon(make, self.node, text, label=f"{name}-{make}")
        self.result = None
        self.problem = None
        self.changed_at = time.monotonic()
        self.last = None

    def look(self):
        """One glance; takes the snapshot when the expected numbers are there and nothing moves any more."""
        now = time.monotonic()
        seen = self.node.proc_net("ip_vs")
        # Connections of checks do not go through IPVS, so the file changes with the table only.
        if seen != self.last:
            self.last, self.changed_at = seen, now
        elif now - self.changed_at > QUIET_S:
            snapshot = Snapshot(self.node, self.copies)
            if snapshot.counts() == self.expects:
                self.result = snapshot
            else:
                self.problem = f"expected {self.expects}, there is {snapshot.counts()}"

    def left_over(self):
        """What the daemon has not taken away at its stop."""
        extra = [a for a in self.node.addresses() if not re.search(r" (10\.2[01]\.0\.1|fd20::1)/", a)]
        return self.node.ipvs() + extra


class Port(Server):
    """A port that is open and says nothing."""

    def talk(self, connection):
        connection.recv(1)


def collect(make, names):
    """Runs one make on these files at once: {name: (Snapshot or None, what went wrong, left-overs, log)}."""
    with contextlib.ExitStack() as stack:
        world = stack.enter_context(World())
        benches = [Bench(world, name, make) for name in names]
        for bench in benches:
            try:
                bench.daemon.start()
            except AssertionError as error:
                bench.problem = str(error)
        deadline = time.monotonic() + DEADLINE_S
        waiting = [b for b in benches if b.daemon.running()]
        while waiting and time.monotonic() < deadline:
            for bench in waiting:
                bench.look()
            waiting = [b for b in waiting if b.result is None]
            time.sleep(0.25)
        results = {}
        for bench in benches:
            if bench.daemon.running():
                bench.daemon.signal(signal.SIGTERM)
        for bench in benches:
            left = None
            if bench.daemon.running():
                try:
                    bench.daemon.stop()
                    left = bench.left_over()
                except AssertionError as error:
                    bench.problem = str(error)
            results[bench.name] = (bench.result, bench.problem, left, bench.daemon.log())
        return results


class Parity:
    """Results of one make; those of theirs are kept for the comparison."""

    kept = {}

    def __init__(self, make):
        self.make = make
        for needed in dict.fromkeys((THEIRS, make)):
            if needed not in self.kept:
                self.kept[needed] = collect(needed, list(FILES))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def check(self, name):
        result, problem, left, log = self.kept[self.make][name]
        assert result is not None, f"{problem or 'never settled'}\n{tail(log)}"
        if self.make == OURS:
            want = self.kept[THEIRS][name][0]
            assert want is not None, "keepalived itself did not get there, nothing to compare with"
            for view in ("table", "rules", "thresholds", "copying", "addresses"):
                ours, theirs = getattr(result, view), getattr(want, view)
                missing = [f"- {line.strip()}" for line in theirs if line not in ours]
                extra = [f"+ {line.strip()}" for line in ours if line not in theirs]
                assert ours == theirs, f"{view} differ (- theirs, + ours):\n" + "\n".join(missing + extra)
        assert not left, f"left behind after the stop: {left}"
        return ", ".join(f"{n} {what}" for what, n in result.counts().items() if n)


Group.fixture("parity", Parity)

for _name in FILES:
    def _check(parity, name=_name):
        return parity.check(name)
    _check.__name__ = f"parity_{_name}"
    case(f"parity: {_name}")(_check)
