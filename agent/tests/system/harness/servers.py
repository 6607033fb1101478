"""Servers that behave, and such that do not, for checks to judge."""

import contextlib
import functools
import os
import socket
import ssl
import subprocess
import tempfile
import threading
import time

from .net import inside
from .traffic import Server

PAGE = b"..........well..."


def answer(status="200 OK", body=PAGE, length=None):
    """A whole HTTP answer; `length` is what it says of its body where that is not true."""
    said = len(body) if length is None else length
    return f"HTTP/1.0 {status}\r\nContent-Length: {said}\r\n\r\n".encode() + body


class Page(Server):
    """Answers a request with these bytes and hangs up."""

    def __init__(self, node, port, data=None):
        self.data = answer() if data is None else data
        super().__init__(node, port)

    def talk(self, connection):
        connection.settimeout(10)
        pending = b""
        while not pending.endswith(b"\r\n\r\n"):
            chunk = connection.recv(2048)
            if not chunk:
                return
            pending += chunk
        connection.sendall(self.data)


class Tls(Page):
    """The same behind TLS, with the certificate in the world's file NAME."""

    def __init__(self, node, port, name, data=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(os.path.join(node.world.dir, name))
        super().__init__(node, port, data)

    def talk(self, connection):
        connection.settimeout(10)
        with contextlib.suppress(ssl.SSLError), self.context.wrap_socket(connection, server_side=True) as secured:
            super().talk(secured)


class Silent(Server):
    """Accepts, and never says a word."""

    def talk(self, connection):
        while connection.recv(2048):
            pass


class Hasty(Server):
    """Hangs up as soon as somebody calls."""

    def talk(self, connection):
        pass


class Dripping(Page):
    """Gives its answer a byte at a time, and never comes to its end."""

    def talk(self, connection):
        for byte in b"HTTP/1.0 200 OK\r\nX-Filler: " + b"x" * 200:
            connection.sendall(bytes([byte]))
            time.sleep(0.3)


class Greeter(Server):
    """A mail server: its greeting, then `hello` after every line. `None`: nothing is said at that point."""

    def __init__(self, node, port, greeting, hello="250 ok", pieces=False):
        self.greeting, self.hello, self.pieces = greeting, hello, pieces
        super().__init__(node, port)

    def say(self, connection, line):
        if line is None:
            return
        data = line.encode() + b"\r\n"
        for part in [data[i:i + 1] for i in range(len(data))] if self.pieces else [data]:
            connection.sendall(part)
            time.sleep(0.01 if self.pieces else 0)

    def talk(self, connection):
        self.say(connection, self.greeting)
        for line in connection.makefile("rb"):
            self.say(connection, "221 bye" if line.upper().startswith(b"QUIT") and self.hello else self.hello)


class Datagrams:
    """Answers each datagram with what `reply` makes of it, or not at all."""

    def __init__(self, node, port, reply, address):
        with inside(node.name):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, port))
        self.reply = reply
        threading.Thread(target=self._loop, daemon=True).start()

    def _loop(self):
        with contextlib.suppress(OSError):
            while True:
                data, peer = self.socket.recvfrom(2048)
                if peer is None:
                    return  # it was shut down
                if (reply := self.reply(data)) is not None:
                    self.socket.sendto(reply, peer)

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def named(rcode=0, flags=0x80, shift=0):
    """A name server that answers everything with this code; `shift` is what it is off by in the id."""
    def reply(query):
        number = (int.from_bytes(query[:2], "big") + shift) % 65536
        return number.to_bytes(2, "big") + bytes([query[2] | flags, rcode]) + query[4:]
    return reply


@functools.cache
def certificate(subject, since, till):
    """A key and a certificate of its own that is valid from the one year to the other, as text."""
    with tempfile.TemporaryDirectory() as folder:
        def openssl(*words):
            done = subprocess.run(["openssl", *words], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            assert done.returncode == 0, f"openssl {words[0]}: {done.stderr}"
            return done.stdout
        for name, text in (("db", ""), ("serial", "01\n"),
                           ("cnf", "[ca]\ndefault_ca=a\n[a]\ndatabase=db\nserial=serial\nnew_certs_dir=.\n"
                                   "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n")):
            with open(os.path.join(folder, name), "w") as f:
                f.write(text)
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key",
                "-subj", f"/CN={subject}", "-out", "csr")
        openssl("ca", "-batch", "-notext", "-selfsign", "-config", "cnf", "-keyfile", "key", "-in", "csr",
                "-startdate", f"{since}0101000000Z", "-enddate", f"{till}0101000000Z", "-out", "crt")
        texts = []
        for name in ("key", "crt"):
            with open(os.path.join(folder, name)) as f:
                texts.append(f.read())
        return "".join(texts)
