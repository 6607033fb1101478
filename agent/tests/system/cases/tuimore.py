"""The dashboard in a real terminal: every change that is not in the other files, confirmed; recordings; a file of one's own."""

import os
import time

from harness.daemon import binary
from harness.net import until

from .tui import TYPE_AHEAD, declare_in
from .tuikeys import walk


def confirm(board, *keys):
    time.sleep(TYPE_AHEAD)
    board.keys(*(keys or ("Enter",)))


def run(board, line):
    board.keys(":")
    board.type(line, "Enter")


@declare_in("tui", "a confirmed disable and demote, a reload of the same file, what was seen is what is acted on")
def confirmed(board):
    walk(board, ("3", r"\[3 Servers\]"), ("g", r">! .*26:81"), ("x", r"\[ Disable \]"))
    confirm(board)
    board.shows(r"- OFF +.*10\.30\.0\.26:81")
    board.keys("u")
    board.shows(r"\[ Undrain \]")
    # Somebody else acts while the question is open: it closes, says so, and nothing is done.
    board.agent.ctl("enable", "web/10.30.0.26")
    board.shows(r"nothing was done: web/10\.30\.0\.26:81: (state|override) is")
    board.keys("C-r")
    board.shows(r"(?s)Reload the configuration.*There is nothing to do")
    confirm(board)
    run(board, "demote VI_int --force")
    board.shows(r"Type VI_int to demote")
    time.sleep(TYPE_AHEAD)
    board.type("VI_int", "Enter")
    board.shows(r"demote 1 instance: done")
    walk(board, ("5", r"\[5 VRRP\]"), ("R", r"\[ Release \]"))
    confirm(board)
    board.shows(r"release 1 instance: done")
    board.settle()


@declare_in("tui", "a session is recorded and played; two servers side by side; keys, columns and theme of one's own file")
def recorded(board):
    folder = os.path.join(board.dir, "config", "lbctl")
    os.makedirs(os.path.join(folder, "themes"))
    with open(os.path.join(folder, "tui.toml"), "w") as f:
        f.write('theme = "mine"\nstart_screen = "servers"\n[columns]\nservers = ["WEIGHT", "FOR"]\n[keys]\ndrain = "X"\n')
    with open(os.path.join(folder, "themes", "mine.toml"), "w") as f:
        f.write('bad = "white on red bold"\n')
    tape, log = os.path.join(board.dir, "session.rec"), os.path.join(board.dir, "lbtui.log")
    board.keys("q")
    board.shows(r"behind\$\s*$")
    board.type(f"export XDG_CONFIG_HOME={os.path.dirname(folder)}", "Enter")
    board.start("--record", tape, "--log", log)
    board.shows(r"(?s)\[3 Servers\].*SERVER +WEIGHT +FOR")
    board.keys("d", "X")
    board.shows(r"Refused: Drain 1 server|weight 100 -> 0|Drain 1 server")
    board.keys("Escape")
    time.sleep(0.1)
    run(board, "compare web/10.30.0.24 web/10.30.0.26:81")
    board.shows(r"(?s)── Compare .*~ state +UP +DOWN")
    board.keys("Escape")
    time.sleep(0.1)
    run(board, "help drain")
    board.shows(r":drain SERVER")
    board.keys("Escape")
    time.sleep(0.1)
    run(board, "set local")
    board.agent.ctl("drain", "web/10.30.0.24", "--timeout", "1h")
    board.shows(r"DRAIN")
    board.agent.ctl("undrain", "web/10.30.0.24")
    until("it is up again", lambda: "DRAIN" not in board.screen(), within=5)
    board.keys("q")
    board.shows(r"behind\$\s*$")
    with open(log) as f:
        assert "connected to agent" in f.read()
    lbtui = binary("lbtui")
    last = board.agent.node.run(lbtui, "--replay", tape, "--once", "--screen", "events", "--size", "120x30")
    assert "undrain" in last or "drain" in last, last
    image = board.agent.node.run(lbtui, "--replay", tape, "--once", "--format", "svg")
    assert image.startswith("<svg ") and "10.30.0.24:80" in image or "VI_int" in image, image
    board.type(f"{lbtui} --replay {tape}", "Enter")
    board.shows(r"PLAY 1x|PAUSED")
    walk(board, ("0", r"PAUSED"), ("[", r"PAUSED"), ("[", r"DRAIN|PAUSED"), ("0", r"PAUSED"), ("+", r"PAUSED"), ("-", r"PAUSED"), ("X", r"this is a recording"))
    board.keys("q")
    board.shows(r"behind\$\s*$")
    board.type("unset XDG_CONFIG_HOME; clear", "Enter")
    board.start()
