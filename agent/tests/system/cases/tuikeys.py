"""Every key of the dashboard in a real terminal, on a real agent; how many it takes to drain and to promote."""

import json
import os
import re
import time

from harness.net import until

from .tui import TYPE_AHEAD, declare_in


def walk(board, *steps):
    """Presses one key after another and waits for what each leads to."""
    for key, pattern in steps:
        board.keys(key)
        if key == "Escape":
            # Directly before another key it would be that key with Alt.
            time.sleep(0.1)
        board.shows(pattern)


@declare_in("tui", "keys that move, mark, sort, find and show")
def moving(board):
    walk(board, ("3", r"(?s)\[3 Servers\].* conns "), ("G", r">. .*10\.30\.0\.25:80"), ("g", r">! .*10\.30\.0\.26:81"),
         ("j", r">\+ .*10\.30\.0\.24:80"))
    # Several keys between two looks: each look is at another row than the one before.
    for keys, row in ((("k", "n", "Down"), "25:80"), (("Up", "N"), "26:81"), (("End",), "25:80"), (("Home",), "26:81"),
                      (("NPage", "PPage", "NPage"), "25:80"), (("C-u",), "26:81"), (("C-d",), "25:80"), (("g",), "26:81")):
        board.keys(*keys)
        board.shows(f">. .*{row}")
    walk(board,
         ("Space", r"marked: 1"), ("Down", r">\+ .*25:80"), ("v", r"marked: 3"), ("Escape", r"filter: none +\d"),
         ("V", r"marked: 3"), ("Escape", r"filter: none +\d"),
         ("s", r"sort: name"), ("S", r"sort: name reversed"), ("S", r"sort: name  "),
         ("#", r"CONNS"), ("#", r"CPS"), ("c", r"\[x\] WEIGHT"), ("Space", r"\[ \] WEIGHT"), ("a", r"\[x\] WEIGHT"),
         ("Escape", r"SERVER +WEIGHT +ACTIVE +CPS +FOR"),
         ("y", r"copied "), ("Y", r"copied as JSON"), ("?", r"── Move "), ("j", r"── Act "), ("Escape", r"\[3 Servers\]"))
    board.keys(":")
    board.type("sort state", "Enter")
    board.shows(r"sort: state")
    board.settle()
    walk(board, ("2", r"\[2 Services\]"), ("Tab", r">. .*10\.30\.0\.2"), ("BTab", r">\+ UP +web"), ("l", r">. .*10\.30\.0\.2"),
         ("h", r">\+ UP +web"), ("z", r"(?s)^(?!.*quorum).*\[2 Services\]"), ("o", r"quorum"),
         ("5", r"\[5 VRRP\]"), ("Enter", r"Why VI_int|VI_int is MASTER"), ("3", r"\[3 Servers\]"),
         ("C-o", r"VI_int is MASTER"), ("Escape", r"\[5 VRRP\]"), ("e", r"\[4 Events\].*\n.*filter: VI_int"))
    board.settle()
    walk(board, ("<", r"there is no other host"), ("a", r"there is one host"), ("6", r"there is one host"), ("r", r"LIVE"))


@declare_in("tui", "keys of time: held still, event by event, minute by minute, and files with what is seen")
def times(board):
    walk(board, ("3", r"\[3 Servers\]"), ("p", r"FROZEN"), ("d", r"frozen"), ("p", r"live again"), ("4", r"\[4 Events\]"), ("f", r"follow: off"),
         ("f", r"follow: on"), ("G", r"follow: off"), ("g", r"follow: on"), ("j", r"follow: off"), ("T", r"REPLAY"), ("]", r"REPLAY"), ("0", r"LIVE"),
         ("[", r"REPLAY"), ("{", r"REPLAY"), ("}", r"REPLAY|LIVE"), ("0", r"LIVE"))
    path = os.path.join(board.dir, "events.jsonl")
    for word, seen in (("is written", True), ("there already", False)):
        board.keys(":")
        board.type(f"export {path}", "Enter")
        board.shows(word)
        if seen:
            with open(path) as f:
                assert all(json.loads(line)["event"]["object"] for line in f)
    board.keys(":", "Up")
    board.shows(r" : export /")
    board.keys("Escape")
    board.settle()


@declare_in("tui", "a test of a server at one key; an undo of a drain")
def trial(board):
    walk(board, ("3", r"\[3 Servers\]"), ("g", r">! "), ("t", r"! failed +TCP_CHECK 10\.30\.0\.26:81"), ("Escape", r"rows|\[3 Servers\]"))
    board.keys("G", "t")
    board.shows(r"\+ passed +TCP_CHECK 10\.30\.0\.25:80")
    walk(board, ("Escape", r">\+ .*25:80"), ("x", r"Disable 1 server"))
    walk(board, ("Escape", r">\+ .*25:80"), ("d", r"weight 100 -> 0"))
    time.sleep(TYPE_AHEAD)
    board.keys("Enter")
    until("weight 0 in IPVS", lambda: board.weight("10.30.0.25") == 0, within=5)
    board.keys(":")
    board.type("und")
    board.keys("Tab")
    board.shows(r" : und")
    board.keys("C-u")
    board.type("undo", "Enter")
    board.shows(r"(?s)Undo your last change.*\[ Undo \]")
    time.sleep(TYPE_AHEAD)
    board.keys("Enter")
    until("weight 100 in IPVS", lambda: board.weight("10.30.0.25") == 100, within=5)
    board.settle()


@declare_in("tui", "from lbtui to a drain in four keys and to a promote in four, each and its confirmation")
def few_keys(board):
    board.keys("q")
    board.shows(r"behind\$\s*$")
    board.start()
    drain, promote = ("2", "Tab", "d"), ("P",)
    assert len(drain) <= 4 and len(promote) <= 4
    board.keys(*drain)
    board.shows(r"weight 100 -> 0")
    time.sleep(TYPE_AHEAD)
    board.keys("Enter")
    until("weight 0 in IPVS", lambda: board.weight("10.30.0.24") == 0, within=5)
    board.agent.ctl("undrain", "web/10.30.0.24", "--yes")
    board.settle()
    board.keys("q")
    board.shows(r"behind\$\s*$")
    board.start()
    board.keys(*promote)
    board.shows(r"Type VI_int to promote")
    time.sleep(TYPE_AHEAD)
    board.type("VI_int", "Enter")
    board.shows(r"promote 1 instance: done")
    board.keys("R")
    board.shows(r"\[ Release \]")
    time.sleep(TYPE_AHEAD)
    board.keys("Enter")
    board.shows(r"release 1 instance: done")
    board.settle()


@declare_in("tui", "a storm of sizes ends in a whole picture, also from a terminal of one cell")
def storm(board):
    for nth in range(40):
        board.tmux("resize-window", "-x", str(1 + nth * 37 % 200), "-y", str(1 + nth * 13 % 60))
    board.tmux("resize-window", "-x", "1", "-y", "1")
    board.keys("3", "1")
    board.tmux("resize-window", "-x", "80", "-y", "24")
    screen = board.shows(r"\[1 Overview\]")
    assert re.search(r"q quit\s*$", screen), screen
