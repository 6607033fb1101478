"""The Debian package that scripts/package made: what an installation has, and what a removal leaves."""

import os
import subprocess

from harness.cases import Group, case
from harness.daemon import OURS
from harness.net import World

Group.fixture("package", lambda _: World())


def run(*argv):
    done = subprocess.run(argv, text=True, capture_output=True, timeout=120, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{' '.join(argv)}: exit {done.returncode}: {done.stderr or done.stdout}"
    return done.stdout


@case("the package installs programs, pages and groups, starts nothing, and goes without a trace", makes=(OURS,))
def package(_):
    assert os.environ.get("LB_LAB_GUEST"), "only where all that is written vanishes: in a guest"
    path = os.environ.get("PACKAGE") or run("scripts/package").split()[-1]
    # Triggers rebuild the index of all manual pages, which takes a minute here.
    run("dpkg", "--no-triggers", "--install", path)
    for program in ("lbagent", "lbctl", "lbtui"):
        assert run(program, "--version").startswith(program)
    for group in ("lbadmin", "lboper"):
        run("getent", "group", group)
    pages = [line for line in run("dpkg", "--listfiles", "lbagent").splitlines() if "/man/man" in line]
    for page in ("man8/lbagent.8.gz", "man1/lbctl.1.gz", "man1/lbctl-drain.1.gz", "man1/lbtui.1.gz",
                 "man7/lbagent-socket.7.gz"):
        assert any(line.endswith(page) for line in pages), f"{page} is not among {pages}"
    judged = run("lbctl", "check-config", "/usr/share/doc/lbagent/examples/directors/lvs1.conf")
    assert "it can be loaded" in judged, judged
    running = subprocess.run(["pgrep", "-x", "lbagent"], capture_output=True, text=True, check=False).stdout
    assert not running, f"an agent was started: {running}"
    run("dpkg", "--no-triggers", "--purge", "lbagent")
    left = [it for it in ("/usr/sbin/lbagent", "/usr/bin/lbctl", "/var/lib/lbagent", "/usr/share/doc/lbagent")
            if os.path.exists(it)]
    assert not left, f"left behind: {left}"
    return f"{len(pages)} lines of manual pages"
