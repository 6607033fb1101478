"""Network namespaces of one test: made, linked, used, removed."""

import contextlib
import ctypes
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_serial = itertools.count(1)


@contextlib.contextmanager
def inside(name):
    """The calling thread is in namespace `name`; sockets and processes it makes stay there."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        _enter(there)
        yield
    finally:
        _enter(home)
        os.close(there)
        os.close(home)


def _enter(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, "setns: " + os.strerror(code))


def until(what, probe, within=10.0, every=0.05):
    """Waits until `probe()` is true and returns its value; fails with `what` and the last value after `within` s."""
    deadline = time.monotonic() + within
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within:g} s: {what} (last seen: {value!r})")
        time.sleep(every)


def stays(what, probe, during, every=0.05):
    """The opposite of `until`: `probe()` has to be true at each look for `during` s."""
    deadline = time.monotonic() + during
    while time.monotonic() < deadline:
        assert probe(), f"did not last {during:g} s: {what}"
        time.sleep(every)


class Node:
    """One namespace. Its links, addresses, processes and view of /proc."""

    def __init__(self, world, short):
        self.world = world
        self.short = short
        self.name = f"{world.prefix}-{short}"
        _ip("netns", "add", self.name)
        self.ip("link set lo up")
        # Our cables have two ends; nobody can have the same address. Without this, IPv6 waits two seconds to be sure.
        self.sysctl(ipv6__conf__default__accept_dad=0)

    def ip(self, *lines):
        """Runs `ip` once with these lines as its commands."""
        done = subprocess.run(["ip", "-n", self.name, "-batch", "-"], input="\n".join(lines) + "\n", text=True,
                              capture_output=True)
        assert done.returncode == 0, f"{self.short}: ip {lines}: {done.stderr.strip()}"

    def sysctl(self, **values):
        """Sets values below /proc/sys/net: dots of the name are written as double underscores."""
        with inside(self.name):
            for key, value in values.items():
                with open("/proc/sys/net/" + key.replace("__", "/"), "w") as f:
                    f.write(str(value))

    def run(self, *argv, check=True, timeout=60):
        """Runs a command here to its end and returns what it printed."""
        with inside(self.name):
            done = subprocess.run(argv, text=True, capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, f"{self.short}: {' '.join(argv)}: {done.stderr.strip()}"
        return done.stdout

    def spawn(self, argv, log, env=None):
        """Starts a process here, its output appended to the file `log`. The world ends it if nobody else does."""
        with inside(self.name), open(log, "ab") as out:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env,
                                       start_new_session=True)
        self.world.processes.append(process)
        return process

    def proc_net(self, file):
        """The text of /proc/net/FILE as seen from here."""
        with inside(self.name), open(f"/proc/thread-self/net/{file}") as f:
            return f.read()

    def holds(self, address):
        """Whether `address` is one of this node's own: only then can a socket be bound to it."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with inside(self.name), socket.socket(family, socket.SOCK_DGRAM) as s:
            try:
                s.bind((address, 0))
            except OSError:
                return False
        return True

    def ipvs(self):
        """The IPVS table as `ipvsadm -Ln` prints it, without the columns that traffic changes, sorted."""
        services, current = [], None
        for line in self.run("ipvsadm", "-Ln").splitlines()[3:]:
            if line.lstrip().startswith("->"):
                current.append("    " + " ".join(line.split()[:4]))
            else:
                current = [" ".join(line.split())]
                services.append(current)
        return [line for service in sorted(services) for line in service[:1] + sorted(service[1:])]

    def servers(self):
        """Real servers in IPVS: {"10.0.0.1:80": (weight, active, inactive)}, over all services."""
        found = {}
        for line in self.proc_net("ip_vs").splitlines():
            words = line.split()
            if len(words) == 6 and words[0] == "->" and words[3].isdigit():
                found[_readable(words[1])] = tuple(int(w) for w in words[3:])
        return found

    def addresses(self):
        """What `ip addr` says, one line an address, without lifetimes that merely run, without lo
        and without the link-local addresses that the kernel makes itself."""
        lines, device = [], ""
        for line in self.run("ip", "addr").splitlines():
            words = line.split()
            if not line.startswith(" "):
                device = words[1].rstrip(":").split("@")[0]
            elif words[0].startswith("inet") and device != "lo" and not re.match("fe80:.*ff:fe", words[1]):
                lines.append(f"{device} {' '.join(words)}")
        return sorted(lines)


def _readable(hexed):
    """0A000001:0050 or [fd00...:1]:0050 as in /proc/net/ip_vs, the way people write it."""
    host, port = hexed.rsplit(":", 1)
    if host.startswith("["):
        return f"[{socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, host[1:-1]))}]:{int(port, 16)}"
    return f"{socket.inet_ntoa(bytes.fromhex(host))}:{int(port, 16)}"


class World:
    """All namespaces, processes and files of one test. Leaving it (`with`) removes them, whatever happened."""

    def __init__(self):
        self.prefix = f"lb{os.getpid()}n{next(_serial)}"
        self.nodes, self.processes, self.parts = [], [], []
        self.dir = tempfile.mkdtemp(prefix=f"{self.prefix}-", dir="/run" if os.access("/run", os.W_OK) else None)

    def node(self, short):
        self.nodes.append(Node(self, short))
        return self.nodes[-1]

    def switch(self, short="sw"):
        """A namespace that is nothing but a bridge."""
        node = self.node(short)
        node.ip("link add br0 type bridge mcast_snooping 0", "link set br0 up")
        return node

    def plug(self, switch, node, *addresses, device="eth0"):
        """A cable from `node` to the switch, with these addresses on the node's side."""
        port = f"p{len(self.nodes)}{node.short}"[:14]
        _ip("link", "add", device, "netns", node.name, "type", "veth", "peer", "name", port, "netns", switch.name)
        switch.ip(f"link set {port} master br0 up")
        nodad = {a: " nodad" if ":" in a else "" for a in addresses}
        node.ip(*(f"addr add {a} dev {device}{nodad[a]}" for a in addresses), f"link set {device} up")
        return port

    def wire(self, a, device_a, b, device_b):
        """A cable between two nodes."""
        _ip("link", "add", device_a, "netns", a.name, "type", "veth", "peer", "name", device_b, "netns", b.name)
        a.ip(f"link set {device_a} up")
        b.ip(f"link set {device_b} up")

    def add(self, part):
        """A server or client that has to be closed before the namespaces go."""
        self.parts.append(part)
        return part

    def file(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for part in reversed(self.parts):
            part.close()
        for process in self.processes:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for node in self.nodes:
            subprocess.run(["ip", "netns", "del", node.name], capture_output=True)
        shutil.rmtree(self.dir, ignore_errors=True)


def _ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
