"""A disk that is full: what was promised holds all the same."""

import contextlib
import os
import subprocess

from cases.intent import config
from harness.cases import case
from harness.daemon import OURS
from harness.net import until


@contextlib.contextmanager
def small_disk(agent):
    """The state folder is a disk of its own. Gives what fills it and what makes room again."""
    os.makedirs(agent.state_dir, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "state", agent.state_dir], check=True)
    filler = os.path.join(agent.state_dir, "filler")

    def fill():
        with contextlib.suppress(OSError), open(filler, "wb", 0) as f:
            while True:
                f.write(bytes(4096))

    try:
        yield fill, lambda: os.unlink(filler)
    finally:
        agent.stop()
        subprocess.run(["umount", agent.state_dir], check=True)


@case("reload --confirm on a full disk: refused before, taken back after, also by the next start", makes=(OURS,), group="whatif")
def confirm(two):
    agent = two.high

    def base():
        return agent.ask({"op": "vrrp"})["data"][0]["priority"]["base"]

    def said(*words):
        return agent.ctl("reload", *words, check=False)

    if agent.running():
        agent.stop()
    try:
        with small_disk(agent) as (fill, free):
            agent.start()
            agent.configure(config(1, 120))
            fill()
            code, _, err = said("--confirm", "30s")
            assert code == 1 and "nothing was changed" in err and "free space" in err, (code, err)
            assert base() == 150, base()
            free()
            assert said("--confirm", "1s")[0] == 0 and base() == 120, agent.log()
            fill()
            until("the former one is in force again", lambda: base() == 150, within=4)
            until("the note is missed, and that is said", lambda: "may begin with that one" in agent.log(), within=2)
            agent.kill()
            agent.start()
            assert base() == 150, "a start takes what nobody confirmed"
            free()
            assert said()[0] == 0 and base() == 120, "a reload takes the file"
            agent.kill()
            agent.start()
            assert base() == 120, "the note is gone"
    finally:
        agent.configure(config(1, 150))
