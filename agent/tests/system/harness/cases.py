"""How a test is declared, chosen, run and reported."""

import fnmatch
import os
import sys
import time
import traceback

from .daemon import OURS, THEIRS

BOTH = (THEIRS, OURS)
_all = []


class Case:
    def __init__(self, function, title, makes, group):
        self.function, self.title, self.makes, self.group = function, title, makes, group
        self.name = function.__name__

    def matches(self, patterns):
        names = (self.name, self.group, self.title.split(" ")[0])
        return not patterns or any(fnmatch.fnmatch(n.lower(), p.lower()) for n in names for p in patterns)


def case(title, makes=BOTH, group=None):
    """Declares a test. It is called with the make of the daemon (or with what the group's fixture made).

    What the function returns is shown beside the result: what was seen, in a few words.
    """
    def register(function):
        _all.append(Case(function, title, makes, group or function.__module__.rsplit(".", 1)[-1]))
        return function
    return register


class Group:
    """Tests that share a network, one after another: it is expensive to build, and each test leaves it usable."""

    fixtures = {}

    @classmethod
    def fixture(cls, name, make_fixture):
        cls.fixtures[name] = make_fixture


def chosen(patterns, makes):
    """[(group, make, [cases])], groups in the order in which they were declared."""
    groups = dict.fromkeys(c.group for c in _all)
    plan = []
    for group in groups:
        for make in makes:
            cases = [c for c in _all if c.group == group and make in c.makes and c.matches(patterns)]
            if cases:
                plan.append((group, make, cases))
    return plan


class Report:
    """Lines on stdout as tests end; the last one is `N passed, N failed`."""

    def __init__(self):
        self.passed, self.failures = 0, []

    def run(self, group, make, cases):
        fixture = Group.fixtures.get(group)
        if fixture is None:
            for c in cases:
                self._one(make, c, lambda c=c: c.function(make))
            return
        try:
            began = time.monotonic()
            shared = fixture(make)
            print(f"     {make:<6}  {group}: network ready ({time.monotonic() - began:.1f} s)", flush=True)
        except Exception as error:
            self.failures += [f"{make} {c.title}" for c in cases]
            print(f"FAIL {make:<6}  {group}: no network for its {len(cases)} tests", flush=True)
            traceback.print_exception(error, file=sys.stdout)
            return
        with shared:
            for c in cases:
                self._one(make, c, lambda c=c: c.function(shared), shared)

    def _one(self, make, c, call, shared=None):
        began = time.monotonic()
        try:
            seen = call()
        except Exception as error:
            self._failed(make, c, error, time.monotonic() - began, shared)
            return
        self.passed += 1
        print(f"ok   {make:<6}  {c.title}" + (f": {seen}" if seen else "") + f" ({time.monotonic() - began:.1f} s)",
              flush=True)

    def _failed(self, make, c, error, seconds, shared=None):
        self.failures.append(f"{make} {c.title}")
        print(f"FAIL {make:<6}  {c.title} ({seconds:.1f} s)", flush=True)
        print("     " + "\n     ".join(str(error).splitlines() or [repr(error)]), flush=True)
        if not isinstance(error, AssertionError) or os.environ.get("VERBOSE"):
            traceback.print_exception(error, file=sys.stdout)
        if shared is not None and hasattr(shared, "logs"):
            print(shared.logs(), flush=True)

    def end(self):
        for name in self.failures:
            print(f"failed: {name}")
        print(f"{self.passed} passed, {len(self.failures)} failed", flush=True)
        return 0 if self.passed and not self.failures else 1
