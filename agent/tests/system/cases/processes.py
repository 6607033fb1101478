"""track_process: a node whose proxy is gone gives the address away.

Only on ours: keepalived learns of processes from the kernel's process connector, which does not speak inside a network
namespace, where these nodes live.
"""

import os
import subprocess
import time

from cases.intent import Two, config
from harness.cases import Group, case
from harness.daemon import OURS, daemon
from harness.net import stays, until

# Nobody else sleeps exactly so long.
PROXY = ("sleep", f"3600.{os.getpid()}")


class Tracked(Two):
    """As Two, and the one with the better priority lives on a process."""

    def __init__(self, make):
        super().__init__(make)
        try:
            instance = config(1, 150)
            tracked = instance.rstrip().removesuffix("}") + "    track_process {\n        proxy\n    }\n}\n"
            self.high = self.agents["high"] = daemon(make, self.high.node, f"""\
vrrp_track_process proxy {{
    process {" ".join(PROXY)}
    terminate_delay 0.5
}}
{tracked}""")
        except BaseException:
            self.__exit__()
            raise


Group.fixture("processes", Tracked)


@case("a process that ends costs the mastership, and one that starts brings it back", makes=(OURS,))
def end(two):
    two.low.start()
    two.high.start()
    until("low is master: nothing runs on high", lambda: two.owners() == ["low"], within=12)
    _, out, _ = two.high.ctl("why", "VI_1")
    assert "proxy" in out, out
    proxy = subprocess.Popen(PROXY)
    try:
        until("high is master", lambda: two.owners() == ["high"], within=12)
        # Shorter than terminate_delay: nobody notices.
        proxy.kill()
        proxy.wait()
        proxy = subprocess.Popen(PROXY)
        stays("a quick restart changes nothing", lambda: two.owners() == ["high"], during=3)
        # Not waited for: a process that has ended counts no more, whether or not its parent has noticed.
        began = time.monotonic()
        proxy.kill()
        until("high gives the address away", lambda: "high" not in two.owners(), within=5, every=0.01)
        took = time.monotonic() - began
        until("low has it", lambda: two.owners() == ["low"], within=5)
        return f"given away {took:.2f} s after the end, of which 0.50 s are terminate_delay"
    finally:
        proxy.kill()
        proxy.wait()
