#!/usr/bin/env python3
"""The demonstration; scripts/demo builds the programs and calls this as root in a network of its own.

    demo.py [--theirs] [--tui]

--theirs  the same network and traffic with keepalived; the steps that it has no command for are left out
--tui     no steps: everything is started, then the dashboard of lvs1 has the terminal until it is left
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "agent", "tests", "system"))

from harness.chain import ECHO_PORT, HOSTS, LAN, VIP, Chain  # noqa: E402
from harness.daemon import OURS, THEIRS, binary  # noqa: E402
from harness.net import inside, stays, until  # noqa: E402
from harness.traffic import Held, get  # noqa: E402

PICTURE = f"""\
    client --- router ---+--- lvs1, lvs2   two directors: virtual address {VIP} (VRRP), IPVS rr, direct routing
                         +--- ha1,  ha2    two HAProxy, each checked by the directors with TCP_CHECK
                         +--- web1, web2   two web servers behind both proxies
"""
HA1_HTTP = f"{VIP}:80/tcp/{LAN}.{HOSTS['ha1']}:80"
HA1_ECHO = f"{VIP}:{ECHO_PORT}/tcp/{LAN}.{HOSTS['ha1']}:{ECHO_PORT}"


class Screen:
    """Headings, notes, and one line that moves: rewritten in place on a terminal, else printed now and then."""

    def __init__(self, status):
        self.terminal = os.environ.get("DEMO_TERMINAL") == "1"
        self.status = status
        self.lock = threading.Lock()
        self.began = time.monotonic()
        self.printed_at = 0.0
        self.moving = True
        threading.Thread(target=self._tick, daemon=True).start()

    def _tick(self):
        while True:
            time.sleep(0.25 if self.terminal else 1.0)
            with self.lock:
                if not self.moving:
                    return
                text = f"   {time.monotonic() - self.began:5.1f} s  {self.status()}"
                if self.terminal:
                    print(f"\r{text[:118]}\x1b[K", end="", flush=True)
                elif time.monotonic() - self.printed_at >= 5.0:
                    self.printed_at = time.monotonic()
                    print(text, flush=True)

    def stop(self):
        """The moving line ends; what follows is only said."""
        with self.lock:
            self.moving = False

    def say(self, text=""):
        with self.lock:
            clear = "\r\x1b[K" if self.terminal else ""
            print(clear + text, flush=True)
            self.printed_at = time.monotonic()


class Demo:
    """The network, the traffic, and what each step saw."""

    def __init__(self, chain):
        self.chain = chain
        self.ours = chain.make == OURS
        self.requests = None
        self.rows = []
        self.screen = Screen(self.status)

    def status(self):
        if self.requests is None:
            return "waiting for the first master"
        owner = " and ".join(self.chain.owners()) or "nobody"
        return (f"VIP on {owner:<4}  requests: {self.requests.ok} ok, {self.requests.failed} failed"
                f"   {self.requests.spread()}")

    def show(self, which, *words):
        """Runs lbctl on a director and shows the command and its answer."""
        _, out, err = self.chain.directors[which].ctl(*words, timeout=120)
        text = "\n".join("      " + line for line in (out + err).rstrip().splitlines())
        self.screen.say(f"   {which}$ lbctl {' '.join(words)}\n{text}")

    def step(self, number, total, title, act):
        self.screen.say(f"\n{number}/{total} {title}")
        failed_before = self.requests.failed if self.requests else 0
        began = time.monotonic()
        try:
            seen, happened = act(), True
        except AssertionError as error:
            seen, happened = str(error).splitlines()[0], False
        took = time.monotonic() - began
        failed = (self.requests.failed if self.requests else 0) - failed_before
        self.rows.append((title, happened, seen, failed, took))
        self.screen.say(f"   {'done' if happened else 'DID NOT HAPPEN'}: {seen}")

    # The steps. Each returns what was seen, or raises with what was not.

    def elect(self):
        for d in self.chain.directors.values():
            d.start()
        self.chain.settle()
        self.requests = self.chain.traffic(clients=3, pause=0.03)
        if self.ours:
            for which in self.chain.directors:
                self.show(which, "vrrp")
        return f"lvs1 (priority 100) is master of {VIP}, lvs2 (priority 99) stands by"

    def share(self):
        until("60 answers", lambda: self.requests.ok >= 60, within=30)
        webs = [get(self.chain.client, VIP)[1]["x-web"] for _ in range(8)]
        seen = self.requests.seen
        assert abs(seen["ha1"] - seen["ha2"]) <= 6, f"rr should share evenly, but: {self.requests.spread()}"
        assert set(webs) == {"web1", "web2"}, f"only {set(webs)} answered"
        if self.ours:
            self.show("lvs1", "servers")
        else:
            self.screen.say("\n".join("      " + line for line in self.chain.directors["lvs1"].node.ipvs()))
        return f"{self.requests.spread()}; behind them {', '.join(f'{w} {webs.count(w)}' for w in sorted(set(webs)))}"

    def drain(self):
        before = self.requests.failed
        self.show("lvs1", "drain", HA1_HTTP, "--timeout", "60s", "--wait", "-m", "demonstration")
        assert self.chain.in_rotation("lvs1") == ["ha2"], "ha1 should have left the rotation"
        self.chain.proxies["ha1"].stop()
        mark = self.requests.ok
        until("150 answers without ha1", lambda: self.requests.ok >= mark + 150, within=60)
        self.chain.proxies["ha1"].start()
        self.show("lvs1", "undrain", HA1_HTTP)
        until("ha1 is back in rotation", lambda: self.chain.in_rotation("lvs1") == ["ha1", "ha2"], within=10)
        failed = self.requests.failed - before
        assert failed == 0, f"{failed} requests failed: {self.requests.summary()}"
        return "ha1 drained to zero, stopped, started, back in rotation; no request failed"

    def stop_proxy(self):
        before = self.requests.failed
        self.chain.proxies["ha1"].stop()
        until("ha1 is out of rotation", lambda: self.chain.in_rotation("lvs1") == ["ha2"], within=9)
        failed = self.requests.failed - before
        self.chain.proxies["ha1"].start()
        until("ha1 is back in rotation", lambda: self.chain.in_rotation("lvs1") == ["ha1", "ha2"], within=9)
        return f"TCP_CHECK took ha1 out and put it back; until then {failed} requests failed (a drain avoids that)"

    def promote(self):
        self.show("lvs2", "promote", "VI_1", "--yes", "--wait")
        until("lvs2 alone holds the VIP", lambda: self.chain.owners() == ["lvs2"], within=10)
        stays("lvs2 keeps it although lvs1 has the higher priority", lambda: self.chain.owners() == ["lvs2"], during=5)
        self.show("lvs2", "release", "VI_1", "--yes")
        until("lvs1 alone holds the VIP again", lambda: self.chain.owners() == ["lvs1"], within=12)
        return "lvs2 took the VIP, kept it for 5 s, and gave it back when released"

    def crash(self):
        master = self.chain.directors["lvs1"]
        self.show("lvs1", "drain", HA1_ECHO, "--timeout", "never", "-m", "must survive a crash")
        held = self.chain.add(Held(self.chain.client, VIP, ECHO_PORT))
        until("the connection echoes", lambda: held.rounds > 5)
        peer = self.chain.directors["lvs2"]
        heard = len(peer.log())
        master.kill()
        began = time.monotonic()
        master.start()
        back = time.monotonic() - began
        rounds = held.rounds
        until("the connection went on", lambda: held.rounds > rounds + 60 or not held.alive(), within=30)
        assert held.alive(), f"the established connection was lost: {held.error}"
        # Its own word: looking for the address misses a moment in which requests of others are reset.
        assert "Entering MASTER STATE" not in peer.log()[heard:], (
            f"lvs2 became master: lvs1 was back after {back:.1f} s, its peer waits for 3 s after the last advert")
        weight = master.node.servers()[f"{LAN}.{HOSTS['ha1']}:{ECHO_PORT}"][0]
        assert weight == 0, f"the drain was lost: weight {weight}"
        self.show("lvs1", "status")
        master.ctl("undrain", HA1_ECHO)
        held.close()
        return f"back after {back:.1f} s; the open connection went on, the drain was kept, lvs2 never took over"

    def stop_master(self):
        requests = self.requests
        gap_before = requests.longest_gap()
        self.chain.directors["lvs1"].stop()
        until("lvs2 alone holds the VIP", lambda: self.chain.owners() == ["lvs2"], within=5)
        mark = requests.ok
        until("answers through lvs2", lambda: requests.ok > mark + 40, within=15)
        gap = requests.longest_gap()
        self.chain.directors["lvs1"].start()
        until("lvs1 alone holds the VIP again", lambda: self.chain.owners() == ["lvs1"], within=10)
        return f"lvs2 served, lvs1 preempted when it came back" + (f"; longest gap {gap:.1f} s" if gap > gap_before else "")

    def run(self):
        steps = [("two directors start: who is master?", self.elect),
                 ("requests spread over proxies and web servers", self.share)]
        if self.ours:
            steps.append(("drain a proxy to zero, stop it, bring it back", self.drain))
        steps.append(("stop a proxy without a drain", self.stop_proxy))
        if self.ours:
            steps.append(("promote lvs2 by hand, then release it", self.promote))
        steps.append(("stop the master: the other director takes over", self.stop_master))
        if self.ours:
            steps.append(("kill -9 the master's agent, restart it", self.crash))
        for number, (title, act) in enumerate(steps, 1):
            self.step(number, len(steps), title, act)
            if self.requests is None:
                break  # without a first master nothing else makes sense
        return self.table(len(steps))

    def table(self, planned):
        self.screen.stop()
        self.screen.say("\nWhat was seen")
        self.screen.say(f"  {'':<4}  {'STEP':<50}  {'TIME':>6}  {'FAILED REQUESTS':>15}")
        for title, happened, _, failed, took in self.rows:
            self.screen.say(f"  {'ok' if happened else 'FAIL':<4}  {title:<50}  {took:5.1f}s  {failed:>15}")
        if self.requests is not None:
            self.requests.close()
            self.screen.say(f"  {self.requests.summary()}; {self.requests.spread()}")
        bad = planned - sum(happened for _, happened, *_ in self.rows)
        if bad:
            self.screen.say(f"\n{bad} of {planned} steps did not happen. The agents' last words:\n{self.chain.logs()}")
        return 1 if bad else 0


def dashboard(chain):
    """Everything runs; the dashboard of lvs1 has the terminal."""
    print("starting two directors, two proxies, two web servers and a client ...", flush=True)
    chain.settle()
    chain.traffic(clients=1, pause=0.1)
    lvs1 = chain.directors["lvs1"]
    try:
        argv = [binary("lbtui"), "--socket", lvs1.socket_path]
    except AssertionError:
        argv = [binary("lbctl"), "-s", lvs1.socket_path, "status", "--watch"]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with inside(lvs1.node.name):
        return subprocess.run(argv, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)).returncode


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--theirs", action="store_true")
    options.add_argument("--tui", action="store_true")
    args = options.parse_args()
    print(PICTURE, flush=True)
    with Chain(THEIRS if args.theirs else OURS) as chain:
        return dashboard(chain) if args.tui else Demo(chain).run()


sys.exit(main())
