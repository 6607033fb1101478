"""A real terminal (tmux) with a shell in it, for programs that draw."""

import os
import re
import subprocess

from .net import until


class Terminal:
    """To be mixed into a world: `open_terminal` starts it, `close_terminal` ends it and what runs in it."""

    def open_terminal(self, folder, width=80, height=24):
        self.tmux_socket = os.path.join(folder, "tmux.sock")
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height),
                  "env PS1='behind$ ' LC_ALL=C.UTF-8 bash --norc --noprofile")

    def close_terminal(self):
        if hasattr(self, "tmux_socket"):
            self.tmux("kill-server", check=False)

    def tmux(self, *words, check=True):
        done = subprocess.run(["tmux", "-S", self.tmux_socket, *words], text=True, capture_output=True, timeout=10,
                              stdin=subprocess.DEVNULL, env=getattr(self, "env", None))
        assert not check or done.returncode == 0, f"tmux {words[0]}: {done.stderr.strip()}"
        return done.stdout

    def type(self, text, *keys):
        self.tmux("send-keys", "-l", text)
        self.keys(*keys)

    def keys(self, *keys):
        """Keys by tmux's names."""
        if keys:
            self.tmux("send-keys", *keys)

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def shows(self, pattern, within=6):
        """Waits until the screen matches, and returns it."""
        seen = []

        def probe():
            seen[:] = [self.screen()]
            return re.search(pattern, seen[0])
        try:
            until(f"the screen shows {pattern!r}", probe, within=within)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{seen[0] if seen else ''}") from None
        return seen[0]
