"""The dashboard in a real terminal (tmux), on a real agent: what it shows, what keys do, what it leaves behind."""

import os
import re
import shlex
import subprocess
import time

from harness.cases import Group, case
from harness.daemon import OURS, binary
from harness.net import until
from harness.solo import Solo
from harness.terminal import Terminal

# Keys pressed sooner than this after a question opened are not taken: they were meant for what was there before.
TYPE_AHEAD = 0.25


class Board(Terminal, Solo):
    """The agent with lbtui on it in a terminal of 80 by 24; a shell is behind it."""

    # By tmux's names: every key that was pressed, in whichever case.
    pressed = set()

    def __init__(self, make=OURS):
        super().__init__(make)
        try:
            self.open_terminal(self.dir)
            self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *args):
        self.close_terminal()
        super().__exit__(*args)

    def start(self, *words):
        self.type(f"{binary('lbtui')} -s {shlex.quote(self.agent.socket_path)} {' '.join(words)}", "Enter")
        self.shows("LIVE")

    def keys(self, *keys):
        Board.pressed.update(keys)
        super().keys(*keys)

    def type(self, text, *keys):
        if len(text) == 1:
            Board.pressed.add(text)
        super().type(text, *keys)

    def weight(self, server):
        return self.agent.node.servers().get(f"{server}:80", (None,))[0]

    def settle(self):
        super().settle()
        if hasattr(self, "tmux_socket"):
            self.home()

    def home(self):
        """Back to the first screen. An escape directly before a key would be another key."""
        for key in ("Escape", "Escape", "Escape", "1"):
            self.keys(key)
            time.sleep(0.1)

    def logs(self):
        return f"{super().logs()}\n  the screen:\n{self.screen()}"


Group.fixture("tui", Board)


def declare_in(group, title):
    return case(f"tui: {title}", makes=(OURS,), group=group)


def declare(title):
    return declare_in("tui", title)


@declare("the first screen says who is master and what is wrong")
def first_screen(board):
    screen = board.shows(r"# MASTER +VI_int")
    assert re.search(r"! web/10\.30\.0\.26:81 +DOWN", screen), screen
    assert "[1 Overview]" in screen, screen


@declare("three keys and the confirmation drain a server, one and the confirmation undrain it")
def drain(board):
    board.keys("2", "Tab", "d")
    screen = board.shows(r"weight 100 -> 0")
    assert "in rotation" in screen, screen
    assert board.weight("10.30.0.24") == 100, "a question changes nothing"
    time.sleep(TYPE_AHEAD)
    board.keys("Enter")
    until("weight 0 in IPVS", lambda: board.weight("10.30.0.24") == 0, within=5)
    board.shows(r"= DRAINED +10\.30\.0\.24:80|~ DRAIN +10\.30\.0\.24:80")
    board.keys("u")
    board.shows(r"\[ Undrain \]")
    time.sleep(TYPE_AHEAD)
    board.keys("Enter")
    until("weight 100 in IPVS", lambda: board.weight("10.30.0.24") == 100, within=5)
    board.shows(r"\+ UP +10\.30\.0\.24:80")
    board.settle()


@declare("a refusal says why; --force is typed, and so is the name")
def refusal(board):
    board.agent.ctl("drain", "web/10.30.0.25", "--timeout", "1h")
    board.keys("2", "Tab", "d")
    screen = board.shows(r"Refused: Drain 1 server")
    assert "Nothing was changed." in screen and ":drain web/10.30.0.24:80 --force" in screen, screen
    time.sleep(TYPE_AHEAD)
    board.keys(":")
    board.type("drain web/10.30.0.24 --force", "Enter")
    board.shows(r"Type web to drain")
    time.sleep(TYPE_AHEAD)
    board.keys("Enter")
    assert board.weight("10.30.0.24") == 100, "no name, no drain"
    board.type("web", "Enter")
    until("weight 0 in IPVS", lambda: board.weight("10.30.0.24") == 0, within=5)
    board.agent.ctl("undrain", "web/10.30.0.24", "web/10.30.0.25", "--yes")
    board.settle()


@declare("a weight, and back to the one of the file")
def weight(board):
    board.keys("2", "Tab", "w")
    board.shows(r"write a weight")
    time.sleep(TYPE_AHEAD)
    board.type("40")
    board.shows(r"100 -> 40")
    board.keys("Enter")
    until("weight 40 in IPVS", lambda: board.weight("10.30.0.24") == 40, within=5)
    board.shows(r"40/100")
    board.keys("w")
    board.shows(r"write a weight")
    time.sleep(TYPE_AHEAD)
    board.type("config")
    board.shows(r"40 -> 100")
    board.keys("Enter")
    until("weight 100 in IPVS", lambda: board.weight("10.30.0.24") == 100, within=5)
    board.settle()


@declare("time travel: back before a drain and to now again; an open server has the history of its checks")
def travel(board):
    board.agent.ctl("drain", "web/10.30.0.24", "--timeout", "1h")
    board.keys("4")
    board.shows(r"action +web/10\.30\.0\.24:80")
    board.keys("1")
    board.type("[")
    board.shows(r"REPLAY -\d+s")
    first = int(re.search(r"event (\d+) of", board.shows(r"<< .* event \d+ of")).group(1))
    board.type("[")
    board.shows(rf"<< .* event (?!{first} )\d+ of")
    board.keys("3")
    board.shows(r"web +10\.30\.0\.24:80")
    board.keys("d")
    board.shows(r"this is the past")
    board.keys("0")
    board.shows(r"LIVE")
    board.agent.ctl("undrain", "web/10.30.0.24")
    board.type("/st:down")
    board.keys("Enter", "Enter")
    board.shows(r"Why web/10\.30\.0\.26:81 is DOWN")
    board.keys("NPage")
    board.shows(r"(?s)Check history.*result +!+")
    board.settle()


@declare("a demote with nobody to take over is refused")
def demote(board):
    board.keys("5", "D")
    board.shows(r"Refused: Demote VI_int|Type VI_int to demote")
    board.keys("Escape")
    board.settle()


@declare("without the agent all is marked as old, and it comes back by itself")
def stale(board):
    board.agent.kill()
    screen = board.shows(r"Actions are off", within=8)
    assert "has not answered" in screen and re.search(r"STALE \d+s", screen), screen
    board.agent.start()
    board.shows(r"LIVE", within=40)
    board.settle()


@declare("a terminal that changes its size")
def resize(board):
    board.tmux("resize-window", "-x", "140", "-y", "40")
    screen = board.shows(r"Masters heard")
    assert "Overrides" in screen or "Traffic" in screen, screen
    board.tmux("resize-window", "-x", "50", "-y", "12")
    board.shows(r"50x12: too small")
    board.tmux("resize-window", "-x", "80", "-y", "24")
    board.shows(r"\[1 Overview\]")


@declare("F5 draws again what something else wrote over")
def redraw(board):
    tty = board.tmux("list-panes", "-F", "#{pane_tty}").strip()
    with open(tty, "w") as f:
        f.write("\033[5;5Hsomething else")
    board.shows("something else")
    board.keys("F5")
    until("it is gone", lambda: "something else" not in board.screen(), within=3)
    board.shows(r"MASTER +VI_int")


def pid(board):
    shell = board.tmux("list-panes", "-F", "#{pane_pid}").strip()
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", shell], text=True, capture_output=True).stdout.split()
    assert len(children) == 1, children
    return int(children[0])


def terminal_is_as_before(board):
    board.shows(r"behind\$\s*$", within=5)
    state = board.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}").strip()
    assert state == "0 1", f"alternate screen and cursor: {state}"
    # In raw mode nothing would be echoed.
    board.type("echo still $((40+2))", "Enter")
    board.shows(r"still 42")


@declare("quitting, SIGTERM and suspending give the terminal back")
def ends(board):
    board.keys("q")
    terminal_is_as_before(board)
    board.start()
    os.kill(pid(board), 15)
    terminal_is_as_before(board)
    board.start()
    board.keys("C-z")
    board.shows(r"Stopped")
    terminal_is_as_before(board)
    board.type("fg", "Enter")
    board.shows(r"\[1 Overview\]")


@declare("--once prints one picture, without a terminal")
def once(board):
    words = [binary("lbtui"), "-s", board.agent.socket_path, "--once"]
    plain = board.agent.node.run(*words, "--size", "120x30")
    assert "[1 Overview]" in plain and len(plain.splitlines()) == 30, plain
    down = board.agent.node.run(*words, "--screen", "servers", "--filter", "st:down")
    assert "10.30.0.26:81" in down and "10.30.0.24:80" not in down, down


@declare("the mouse: a click on a screen's name opens it, two on a server open that")
def mouse(board):
    board.keys("q")
    terminal_is_as_before(board)
    board.start("--mouse")

    def click(pattern, times=1):
        """Clicks on the first place that matches, as a terminal reports it (xterm's SGR form, counted from 1)."""
        rows = board.shows(pattern).splitlines()
        row, column = next((row, found.start()) for row, line in enumerate(rows, 1) if (found := re.search(pattern, line)))
        at = f"0;{column + 1};{row}"
        board.type(f"\033[<{at}M\033[<{at}m" * times)
    click(r"3 Servers")
    board.shows(r"\[3 Servers\]")
    click(r"10\.30\.0\.24:80", times=2)
    board.shows(r"(?s)10\.30\.0\.24:80.*[Cc]heck")
    board.keys("Escape")
    board.shows(r"\[3 Servers\]")
    board.keys("q")
    terminal_is_as_before(board)
    board.start()


@declare("nobody's keys change anything with --read-only")
def read_only(board):
    board.keys("q")
    terminal_is_as_before(board)
    board.start("--read-only")
    board.keys("2", "Tab", "d")
    board.shows(r"read only: started with --read-only")
    assert board.weight("10.30.0.24") == 100
    board.keys("q")
    terminal_is_as_before(board)
    board.start()
