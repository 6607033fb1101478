"""The dashboard in a real terminal: a reload with a plan, the keys that no other case presses, and that none is left out."""

import os
import re
import time

from harness.daemon import binary
from harness.net import until

from .tui import TYPE_AHEAD, Board, declare_in
from .tuikeys import walk
from .tuimore import confirm, run

# Keys by the names of the help, and by those of tmux.
NAMES = {"PgDn": "NPage", "PgUp": "PPage", "S-Tab": "BTab", "Esc": "Escape"}


def server(board, of="10.30.0.25"):
    return board.agent.node.servers()[f"{of}:80"][0]


@declare_in("tui", "Ctrl-r shows what a changed file changes before it does; a file with an error changes nothing")
def reload_with_plan(board):
    with open(board.agent.config_path) as f:
        before = f.read()
    first, last = before.rsplit("real_server 10.30.0.25 80 {\n        weight 100", 1)
    try:
        board.agent.configure(f"{first}real_server 10.30.0.25 80 {{\n        weight 40{last}")
        board.keys("C-r")
        screen = board.shows(r"(?s)Reload the configuration.*10\.30\.0\.25.*100 -> 40.*\[ Reload \]")
        assert server(board) == 100, f"a question changes nothing: {screen}"
        confirm(board)
        until("weight 40 in IPVS", lambda: server(board) == 40, within=5)
        board.agent.configure(f"{before}virtual_server nonsense {{\n}}\n")
        board.keys("C-r")
        board.shows(r"(?s)Refused: Reload.*Nothing was changed")
        board.keys("Escape")
        assert server(board) == 40
    finally:
        board.agent.configure(before)
        board.agent.ctl("reload")
    board.settle()


@declare_in("tui", "two objects compared by one key, pages of commands with the flags of lbctl, a recording of lbctl is played")
def rest_of_the_keys(board):
    walk(board, ("3", r"\[3 Servers\]"), ("g", r">! .*26:81"), ("=", r"now = on what it is compared with"), ("G", r">\+ .*25:80"),
         ("=", r"(?s)── Compare .*~ state +DOWN +UP"), ("Escape", r"\[3 Servers\]"), ("/", r"filter"), ("Escape", r"filter: none"),
         (">", r"there is no other host"))
    board.keys("C-l", "M")
    board.shows(r"mouse")
    board.keys("M")
    walk(board, ("2", r"\[2 Services\]"), ("Right", r">\+ .*10\.30\.0\.24"), ("Left", r">\+ UP +web"))
    # The flags of a command's page are those that lbctl takes.
    for verb in ("drain", "promote"):
        run(board, f"help {verb}")
        page = board.shows(rf":{verb} [A-Z]")
        known = board.agent.ctl("help", verb)[1]
        for flag in re.findall(r"--[a-z]+", page):
            assert flag in known, f"{flag} of :help {verb} is unknown to lbctl"
        board.keys("Escape")
        time.sleep(0.1)
    board.keys("C-c")
    board.shows(r"behind\$\s*$")
    made_by_lbctl = os.path.join(board.dir, "lbctl.rec")
    board.agent.ctl("record", "-w", made_by_lbctl, "--for", "1s")
    board.type(f"clear; {binary('lbtui')} --replay {made_by_lbctl}", "Enter")
    board.shows(r"(?s)\[1 Overview\].*(PLAY|PAUSED).*── VRRP")
    board.keys("q")
    board.shows(r"\$\s*$")
    board.type("clear", "Enter")
    board.start()


@declare_in("tui", "every key that the help names was pressed in these tests")
def no_key_is_left_out(board):
    board.tmux("resize-window", "-x", "140", "-y", "60")
    board.keys("?")
    screen = board.shows(r"── Program ")
    board.keys("Escape")
    board.tmux("resize-window", "-x", "80", "-y", "24")
    board.home()
    # The heading of the screen's own keys ends where the first group begins.
    keys = set()
    for line in screen[screen.index("── Move"):screen.index("── Commands")].splitlines():
        for cell in (line[nth:nth + 46] for nth in range(0, len(line), 46)):
            if not line.startswith("──"):
                keys.update(cell[:10].split())
    keys.discard("Space")
    assert len(keys) > 50, keys
    if len(Board.pressed) < 30:
        return "run alone: the others press them"
    named = {NAMES.get(key, re.sub("^Ctrl-", "C-", key)) for key in keys}
    left = named - Board.pressed
    assert not left, f"never pressed: {sorted(left)}"
    return f"{len(named)} keys"
