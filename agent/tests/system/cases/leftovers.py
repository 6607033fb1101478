"""What a dead agent left and nobody comes back for: `lbagent cleanup` takes it away, and only it."""

import re

from harness.cases import case
from harness.daemon import OURS, binary
from harness.net import until

from .firewall import CONFIG as CLOSED
from .routes import CONFIG as ROUTES
from .routes import STATIC, VIRTUAL


def cleaned(world, written, seen, nothing):
    """Kills the agent and cleans up until nothing of it is left; the last advert may have to become old first."""
    ledger = f"{world.daemon.run_dir}/ledger.json"
    until(f"{written} is in the ledger", lambda: re.search(written, open(ledger).read()), within=3)
    world.daemon.kill()
    said = []

    def tidy():
        said.append(world.node.run(binary("lbagent"), "--run-dir", world.daemon.run_dir, "cleanup"))
        return seen() == nothing

    try:
        until("nothing is left", tidy, within=5)
    except AssertionError as error:
        raise AssertionError(f"{error}: {seen()}\n{''.join(said)}") from None
    assert "nothing to clean up" in said[0], f"a mastership that could go on was not left alone: {said[0]}"
    return f"{''.join(said).count('removed')} removed"


@case("what a dead agent left goes with lbagent cleanup: routes and rules", makes=(OURS,), group="routes")
def routes(world):
    if not world.daemon.running():
        world.daemon.configure(ROUTES)
        world.daemon.start()
    world.expect("all of them", STATIC | VIRTUAL)
    told = cleaned(world, r"10\.57\.0\.0", world.held, set())
    assert "10.90.0.0/16" in world.node.run("ip", "route"), "a foreign route is gone"
    assert "900:" in world.node.run("ip", "rule"), "a foreign rule is gone"
    return told


@case("what a dead agent left goes with lbagent cleanup: tables of nftables", makes=(OURS,), group="firewall")
def tables(world):
    world.daemon.stop()
    theirs = world.tables()
    world.daemon.configure(CLOSED)
    world.daemon.start()
    world.master()
    return cleaned(world, r"firewall\W+\{", world.tables, theirs)
