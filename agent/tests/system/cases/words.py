"""The same words, the same router: each section of the files in words/ on both daemons. Compared are addresses, routes,
rules, every kind of advert and of gratuitous ARP on the wire field by field, the calls of each script in their order, the
lines of each FIFO, and what is left behind.

A section begins with `=== name: what it is about`; `# hears VRID PRIORITY from S to S [goodbye]` says what another router
says meanwhile, `--- then` begins the file that is loaded after that, `+++ NAME` another file beside it. @DIR@ is a folder
of its own, @NETNS@ its namespace, @LOG@ a script that writes its arguments down, @READ@ one that writes down what it reads
from a FIFO.

All daemons of one make run at the same time, each in a pair of namespaces of its own: only kernel interfaces without IPVS
are needed.
"""

import collections
import contextlib
import glob
import os
import re
import signal
import time

from harness.cases import Group, case
from harness.daemon import OURS, THEIRS, daemon, tail
from harness.net import World
from harness.sniff import Router, Sniffer

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "words")
# An instance that hears nobody is MASTER after 3.6 s, and announces again 5 s later: neither may be near an end.
FIRST_S, THEN_S = 7.0, 3.0

# What differs, and why. A difference that is no longer there fails the test.
DIFFERS = {
    # keepalived 2.2.7 leaves the hop limit of IPv6 unicast to the kernel (64); RFC 9568 §5.1.2.3 asks for 255.
    "unicast6": ["adverts"],
    # keepalived 2.2.7 says 0 for the priority of an instance that is in FAULT when it stops, and 100 when it gets there.
    "fault": ["told any INSTANCE VI_1"],
    # keepalived tells the first BACKUP before it counts what the script said; here the state waits for that, too.
    "script_ok": ["told any INSTANCE VI_1"],
    "script_fails": ["told any INSTANCE VI_1"],
    "script_group": ["told any INSTANCE VI_1", "told any INSTANCE VI_2"],
}

LOG = '#!/bin/sh\necho "$*" >> {dir}/told\n'
READ = '#!/bin/sh\nexec cat "$1" >> {dir}/read-$(basename "$1")\n'


class Section:
    def __init__(self, text):
        head, *rest = text.splitlines(keepends=True)
        self.name, self.about = (part.strip() for part in head.split(":", 1))
        self.hears, self.beside, self.texts = None, {}, [""]
        into = None
        for line in rest:
            if found := re.match(r"# hears (\d+) (\d+) from ([\d.]+) to ([\d.]+)( goodbye)?", line):
                vrid, priority, begin, end, goodbye = found.groups()
                self.hears = (int(vrid), int(priority), float(begin), float(end), bool(goodbye))
            elif line.startswith("--- then"):
                self.texts.append("")
                into = None
            elif line.startswith("+++ "):
                into = line.split()[1]
                self.beside[into] = ""
            elif into:
                self.beside[into] += line
            else:
                self.texts[-1] += line


def sections():
    found = {}
    for path in sorted(glob.glob(f"{FOLDER}/*.conf")):
        with open(path) as f:
            for text in re.split(r"^=== ", f.read(), flags=re.M)[1:]:
                section = Section(text)
                assert section.name not in found, f"two sections are named {section.name}"
                found[section.name] = section
    return found


SECTIONS = sections()


class Bench:
    """Namespaces, files and daemon of one section."""

    def __init__(self, world, section, make, number):
        self.section = section
        self.node, self.far = world.node(f"w{number}d"), world.node(f"w{number}s")
        for device, net in (("eth0", 20), ("eth1", 21)):
            world.wire(self.node, device, self.far, device)
            self.node.ip(f"addr add 10.{net}.0.1/24 dev {device}", f"addr add fd{net}::1/64 dev {device} nodad")
            self.far.ip(f"addr add 10.{net}.0.2/24 dev {device}", f"addr add fd{net}::2/64 dev {device} nodad")
        # One that is down.
        world.wire(self.node, "eth2", self.far, "eth2")
        self.node.ip("link set eth2 down")
        self.dir = os.path.join(world.dir, f"words-{number}")
        os.mkdir(self.dir)
        for name, text in {**section.beside, "log": LOG, "read": READ}.items():
            with open(os.path.join(self.dir, name), "w") as f:
                f.write(self.filled(text.replace("{dir}", self.dir)))
            # keepalived reads no configuration that is executable.
            os.chmod(f.name, 0o755 if name in ("log", "read") else 0o644)
        self.before = self.state()
        # One that is told where to go does not begin there.
        start = world.node(f"w{number}o") if "@NETNS@" in section.texts[0] else self.node
        self.daemon = daemon(make, start, self.filled(section.texts[0]), label=f"w{number}-{make}")
        self.found, self.problem, self.router = {}, None, None

    def filled(self, text):
        for word, name in (("@DIR@", ""), ("@LOG@", "/log"), ("@READ@", "/read")):
            text = text.replace(word, self.dir + name)
        return text.replace("@NETNS@", self.node.name)

    def tidy(self):
        """keepalived leaves a folder behind for each namespace it was in."""
        with contextlib.suppress(OSError):
            os.rmdir(os.path.join("/run/keepalived", self.node.name))

    def state(self):
        """Addresses, routes and rules, each in a line, without who put them there and without what the kernel adds."""
        lines = [f"address {line}" for line in self.node.addresses()]
        for family in ("-4", "-6"):
            routes = self.node.run("ip", family, "route", "show", "table", "all")
            lines += [f"route {line}" for line in routes.splitlines()
                      if not re.search(r"table local|proto kernel|^(fe80|multicast|ff00)", line)]
            lines += [f"rule {line}" for line in self.node.run("ip", family, "rule", "show").splitlines()]
        return sorted(" ".join(re.sub(r" proto \S+", "", line).split()) for line in lines)

    def told(self):
        """The calls of each script in their order, and the lines of each FIFO."""
        found = {}
        for path in sorted(glob.glob(f"{self.dir}/told") + glob.glob(f"{self.dir}/read-*")):
            with open(path) as f:
                for line in f.read().replace(self.dir, "DIR").splitlines():
                    # keepalived ends the reader at its stop, and whether that has read the last line by then is chance.
                    if not path.endswith("told") and " STOP " in line:
                        continue
                    # Instances of the same timers have no order among them.
                    kind = " ".join(line.split()[:3]) if path.endswith("told") else os.path.basename(path)
                    found.setdefault(kind, []).append(line)
        return found


def collect(make):
    """Runs one make on all sections at once: {name: ({view: what was seen}, problem, log)}."""
    with contextlib.ExitStack() as stack:
        world = stack.enter_context(World())
        benches = [Bench(world, section, make, number) for number, section in enumerate(SECTIONS.values())]
        sniffer = world.add(Sniffer())
        for bench in benches:
            sniffer.add(bench.section.name, bench.far, "eth0", "eth1")
        sniffer.start()
        for bench in benches:
            try:
                bench.daemon.start()
                bench.began = time.monotonic()
                if bench.section.hears:
                    bench.router = world.add(Router(bench.far, "10.20.0.2", *bench.section.hears))
            except AssertionError as error:
                bench.problem = str(error)
        running = [b for b in benches if b.problem is None]
        for bench in running:
            time.sleep(max(0.0, bench.began + FIRST_S - time.monotonic()))
            bench.found["state"] = bench.state()
            for text in bench.section.texts[1:]:
                bench.daemon.configure(bench.filled(text))
                bench.daemon.reload()
            if not bench.section.texts[1:]:
                bench.daemon.signal(signal.SIGTERM)
        for bench in running:
            if bench.section.texts[1:]:
                time.sleep(max(0.0, bench.began + FIRST_S + THEN_S - time.monotonic()))
                bench.found["state after the reload"] = bench.state()
                bench.daemon.signal(signal.SIGTERM)
        for bench in running:
            try:
                bench.daemon.stop()
            except AssertionError as error:
                bench.problem = str(error)
            bench.tidy()
        time.sleep(0.3)
        sniffer.close()
        results = {}
        for bench in benches:
            name = bench.section.name
            bench.found["left behind"] = [line for line in bench.state() if line not in bench.before]
            heard = collections.Counter(" ".join(map(str, it)) for it in sniffer.heard[name])
            bench.found["adverts"] = sorted({it for it in heard if " advert " in it})
            # How often is compared where that is the matter: elsewhere a block may fall on either side of the end.
            counts = "garp" in name
            bench.found["announced"] = sorted(f"{n} x {it}" if counts else it
                                              for it, n in heard.items() if " advert " not in it)
            bench.found.update((f"told {kind}", lines) for kind, lines in bench.told().items())
            results[name] = (bench.found, bench.problem, bench.daemon.log())
        return results


class Words:
    """Results of one make; those of theirs are kept for the comparison."""

    kept = {}

    def __init__(self, make):
        self.make = make
        for needed in dict.fromkeys((THEIRS, make)):
            if needed not in self.kept:
                self.kept[needed] = collect(needed)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def check(self, name):
        found, problem, log = self.kept[self.make][name]
        assert problem is None, f"{problem}\n{tail(log)}"
        assert not found["left behind"] or name in DIFFERS, f"left behind after the stop: {found['left behind']}"
        if self.make == OURS:
            want, problem, log = self.kept[THEIRS][name]
            assert problem is None, f"keepalived itself did not get there: {problem}\n{tail(log)}"
            differ = {}
            for view in sorted({*want, *found}):
                ours, theirs = found.get(view, []), want.get(view, [])
                if ours != theirs:
                    lines = [f"- {line}" for line in theirs if line not in ours]
                    lines += [f"+ {line}" for line in ours if line not in theirs]
                    differ[view] = lines or [f"- {theirs}", f"+ {ours}"]
            known = DIFFERS.get(name, {})
            new = {view: lines for view, lines in differ.items() if view not in known}
            assert not new, "\n".join(f"{view} (- theirs, + ours):\n  " + "\n  ".join(lines)
                                      for view, lines in new.items())
            gone = [view for view in known if view not in differ]
            assert not gone, f"no longer different, take it out of the list: {gone}"
        said = len(found["adverts"])
        calls = sum(len(lines) for view, lines in found.items() if view.startswith("told "))
        return f"{said} kinds of advert, {len(found['announced'])} of announcement, {calls} calls and lines"


Group.fixture("words", Words)

for _name, _section in SECTIONS.items():
    def _check(words, name=_name):
        return words.check(name)
    _check.__name__ = f"words_{_name}"
    case(f"words: {_name}: {_section.about}")(_check)
