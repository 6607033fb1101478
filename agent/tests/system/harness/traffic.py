"""Servers and clients that live in a namespace, in threads of the test itself.

A client never hangs: each step has a limit, and what misses it is counted as failed, with the reason.
"""

import collections
import contextlib
import errno
import itertools
import socket
import threading
import time

from .net import inside


# Every connection comes from a port that was not used for minutes. The kernel's own choice comes round after some
# thousand connections, while IPVS remembers each for two minutes after its end: a new one that gets the port of an old
# one to a server that was removed since is dropped without a word (expire_nodest_conn is 0), whoever runs IPVS.
_ports = itertools.cycle(range(10_000, 60_000))


def _client(node, address):
    family, anywhere = (socket.AF_INET6, "::") if ":" in address else (socket.AF_INET, "0.0.0.0")
    with inside(node.name):
        s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for port in itertools.islice(_ports, 100):
        try:
            s.bind((anywhere, port))
            return s
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                s.close()
                raise
    s.close()
    raise OSError(f"{node.short}: 100 ports in a row are taken")


def _listener(node, address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with inside(node.name):
        s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))
    s.listen(512)
    return s


class Server:
    """Accepts connections and hands each to `talk` in a thread."""

    def __init__(self, node, port, address="0.0.0.0"):
        self.node, self.port = node, port
        self.open = set()
        self.listener = _listener(node, address, port)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection:
            self.talk(connection)
        self.open.discard(connection)

    def talk(self, connection):
        raise NotImplementedError

    def close(self):
        for s in [self.listener, *self.open]:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()


class Web(Server):
    """Answers every request with its own name."""

    def talk(self, connection):
        connection.settimeout(60)
        pending = b""
        while True:
            while b"\r\n\r\n" not in pending:
                chunk = connection.recv(4096)
                if not chunk:
                    return
                pending += chunk
            head, pending = pending.split(b"\r\n\r\n", 1)
            body = f"{self.node.short}\n".encode()
            keep = b"HTTP/1.1" in head.split(b"\r\n")[0] and b"connection: close" not in head.lower()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Web: %s\r\nContent-Length: %d\r\n%s\r\n%s"
                               % (self.node.short.encode(), len(body), b"" if keep else b"Connection: close\r\n", body))
            if not keep:
                return


class Echo(Server):
    """Sends back what it gets."""

    def talk(self, connection):
        while chunk := connection.recv(4096):
            connection.sendall(chunk)


def get(node, address, port=80, path="/index.html", timeout=3.0):
    """One HTTP request on a connection of its own: (status, headers in lower case, body). Raises OSError."""
    with _client(node, address) as s:
        s.settimeout(timeout)
        s.connect((address, port))
        s.sendall(f"GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
        data = b""
        while chunk := s.recv(65536):
            data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split()
    if len(words) < 2 or not words[1].isdigit():
        raise OSError(f"not an HTTP answer: {lines[0][:60]!r}")
    headers = dict((k.strip().lower(), v.strip()) for k, _, v in (line.partition(":") for line in lines[1:]))
    return int(words[1]), headers, body


class Requests:
    """Clients that ask one after another, each request on a new connection, until closed.

    `seen` counts good answers per proxy (or web server where there is no proxy), `errors` the bad ones per reason.
    """

    def __init__(self, node, address, port=80, clients=2, pause=0.02, timeout=3.0):
        self.target = (node, address, port)
        self.pause, self.timeout = pause, timeout
        self.seen, self.errors = collections.Counter(), collections.Counter()
        self.times = []  # (moment, True if good)
        self.lock = threading.Lock()
        self.done = threading.Event()
        self.threads = [threading.Thread(target=self._loop, daemon=True) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _loop(self):
        node, address, port = self.target
        while not self.done.is_set():
            began, who, why = time.monotonic(), None, None
            try:
                status, headers, _ = get(node, address, port, timeout=self.timeout)
                who = headers.get("x-proxy") or headers.get("x-web") or "?"
                if status != 200:
                    why = f"status {status}"
            except OSError as error:
                why = str(error) or type(error).__name__
            with self.lock:
                (self.seen if why is None else self.errors)[who if why is None else why] += 1
                self.times.append((began, why is None))
            self.done.wait(self.pause)

    @property
    def ok(self):
        return sum(self.seen.values())

    @property
    def failed(self):
        return sum(self.errors.values())

    def longest_gap(self):
        """Longest time in seconds between two good requests that follow each other."""
        with self.lock:
            good = sorted(moment for moment, fine in self.times if fine)
        return max((b - a for a, b in zip(good, good[1:])), default=0.0)

    def spread(self):
        """"ha1 210, ha2 209": who answered how often."""
        return ", ".join(f"{who} {count}" for who, count in sorted(self.seen.items())) or "nobody"

    def summary(self):
        why = "; ".join(f"{count} x {reason}" for reason, count in self.errors.most_common(3))
        return f"{self.ok} ok, {self.failed} failed" + (f" ({why})" if why else "")

    def close(self):
        self.done.set()
        for thread in self.threads:
            thread.join(self.timeout * 3)


class Held:
    """One established connection that must stay: a line every `pause` seconds, and the same line must come back."""

    def __init__(self, node, address, port, pause=0.1, timeout=5.0):
        self.socket = _client(node, address)
        self.socket.settimeout(timeout)
        self.socket.connect((address, port))
        self.pause, self.rounds, self.slowest, self.error = pause, 0, 0.0, None
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._loop, daemon=True)
        self.thread.start()

    def _loop(self):
        try:
            while not self.done.is_set():
                line, began, back = b"%d\n" % self.rounds, time.monotonic(), b""
                self.socket.sendall(line)
                while len(back) < len(line):
                    chunk = self.socket.recv(len(line) - len(back))
                    if not chunk:
                        raise OSError("closed by the other side")
                    back += chunk
                if back != line:
                    raise OSError(f"sent {line!r}, got {back!r}")
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.rounds += 1
                self.done.wait(self.pause)
        except OSError as error:
            self.error = str(error) or type(error).__name__

    def alive(self):
        return self.error is None and self.thread.is_alive()

    def close(self):
        self.done.set()
        self.thread.join(10)
        self.socket.close()
