"""The daemon under test in one of its two makes, and HAProxy.

theirs  Debian's keepalived
ours    lbagent, from the directory named by $BIN
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess

from .net import inside, until

THEIRS, OURS = "theirs", "ours"


class Process:
    """A program in the foreground, in a namespace, with its output in a file."""

    def __init__(self, node, label):
        self.node = node
        self.label = label
        self.process = None
        self.log_path = os.path.join(node.world.dir, f"{label}.log")

    def argv(self):
        raise NotImplementedError

    def start(self):
        assert not self.running(), f"{self.label} runs already"
        self.process = self.node.spawn(self.argv(), self.log_path)
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, within=15):
        """An orderly end, as `systemctl stop` asks for it. Returns the exit code."""
        if self.running():
            self.signal(signal.SIGTERM)
        if self.process is not None:
            try:
                self.process.wait(within)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"{self.label} did not stop within {within} s of SIGTERM") from None
        return self.process.returncode

    def kill(self):
        """kill -9 and nothing else."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def log(self):
        try:
            with open(self.log_path, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""


class Daemon(Process):
    """What both makes have in common."""

    def __init__(self, node, config, label=None):
        super().__init__(node, label or node.short)
        self.config_path = os.path.join(node.world.dir, f"{self.label}.conf")
        self.configure(config)

    def configure(self, config):
        """Writes the file; a running daemon looks at it when told to reload. Returns whether it is another text."""
        with contextlib.suppress(FileNotFoundError), open(self.config_path) as f:
            if f.read() == config:
                return False
        with open(self.config_path, "w") as f:
            f.write(config)
        return True

    def reload(self):
        self.signal(signal.SIGHUP)


class Theirs(Daemon):
    def argv(self):
        run = self.node.world.dir
        pids = [w for flag, part in (("-p", "main"), ("-r", "vrrp"), ("-c", "check"), ("-b", "bfd"))
                for w in (flag, f"{run}/{self.label}-{part}.pid")]
        return ["keepalived", "-n", "-l", "-D", "-G", "-f", self.config_path, *pids]


class Ours(Daemon):
    def __init__(self, node, config, label=None):
        super().__init__(node, config, label)
        self.run_dir = os.path.join(node.world.dir, f"{self.label}-run")
        self.state_dir = os.path.join(node.world.dir, f"{self.label}-state")
        self.socket_path = os.path.join(self.run_dir, "agent.sock")
        self.flags = []

    def argv(self):
        return [binary("lbagent"), "-n", "-l", "-D", "-f", self.config_path, "--run-dir", self.run_dir,
                "--state-dir", self.state_dir, *self.flags]

    def start(self):
        super().start()
        until(f"{self.label} answers on its socket", self.answers, within=10)
        return self

    def answers(self):
        assert self.running(), f"{self.label} ended with {self.process.returncode}:\n{tail(self.log())}"
        try:
            return self.ask({"op": "ping"}).get("ok")
        except OSError:
            return False

    def ask(self, *requests, timeout=10):
        """Sends JSON lines to the socket and returns the answer to the last one."""
        with inside(self.node.name), socket.socket(socket.AF_UNIX) as s:
            s.settimeout(timeout)
            s.connect(self.socket_path)
            s.sendall(b"".join(json.dumps(r).encode() + b"\n" for r in requests))
            s.shutdown(socket.SHUT_WR)
            data = b""
            while chunk := s.recv(65536):
                data += chunk
        lines = [line for line in data.splitlines() if line.strip()]
        if not lines:
            raise OSError("closed without an answer")
        return json.loads(lines[-1])

    def ctl(self, *words, check=True, timeout=60):
        """Runs lbctl against this agent and returns (exit code, stdout, stderr)."""
        with inside(self.node.name):
            done = subprocess.run([binary("lbctl"), "-s", self.socket_path, *words], text=True, capture_output=True,
                                  timeout=timeout, stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, (
            f"lbctl {' '.join(words)} on {self.label}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}")
        return done.returncode, done.stdout, done.stderr


def daemon(make, node, config, label=None):
    """A daemon of the given make, not yet started."""
    return {THEIRS: Theirs, OURS: Ours}[make](node, config, label)


def binary(name):
    path = os.path.join(os.environ.get("BIN", "target/debug"), name)
    assert os.access(path, os.X_OK), f"no program {path}: build first (cargo build), or say where it is with BIN=DIR"
    return os.path.abspath(path)


def comes_to(what, daemon, look, wanted, within=12):
    """Waits until `look()` gives the set that is wanted; else says what is missing, what is too many, and the log."""
    seen = set()

    def there():
        nonlocal seen
        seen = look()
        return seen == wanted

    try:
        until(what, there, within=within)
    except AssertionError:
        raise AssertionError(f"{what}\n  missing: {sorted(wanted - seen)}\n  too many: {sorted(seen - wanted)}\n"
                             f"{tail(daemon.log())}") from None


def tail(text, lines=25):
    return "\n".join(re.sub(r"^", "    | ", line) for line in text.splitlines()[-lines:])


class HAProxy(Process):
    """One HAProxy. `backends` are "name address:port"; echo connections are handed on as they are."""

    def __init__(self, node, webs):
        super().__init__(node, f"haproxy-{node.short}")
        self.stats_path = os.path.join(node.world.dir, f"{self.label}.sock")
        servers = "\n".join(f"    server {name} {address} weight 1 check inter 2000 rise 2 fall 5"
                            for name, address in webs.items())
        self.config_path = node.world.file(f"{self.label}.cfg", f"""\
global
    maxconn 500
    stats socket {self.stats_path} mode 600 level admin
defaults
    mode http
    timeout connect 5s
    timeout client 50s
    timeout server 50s
    option redispatch
    retries 3
frontend httpd-in
    bind 0.0.0.0:80
    http-response set-header X-Proxy {node.short}
    default_backend html-server
backend html-server
    balance roundrobin
    option httpchk GET /index.html
{servers}
""")

    def argv(self):
        return ["haproxy", "-db", "-f", self.config_path]

    def start(self):
        super().start()
        until(f"{self.label} listens", self.listening)
        return self

    def listening(self):
        assert self.running(), f"{self.label} ended:\n{tail(self.log())}"
        with inside(self.node.name), socket.socket() as s:
            return s.connect_ex(("127.0.0.1", 80)) == 0
