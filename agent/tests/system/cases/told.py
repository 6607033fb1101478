"""Who is told: FIFOs and mail, as keepalived tells them."""

import contextlib
import os
import re
import threading

from harness.cases import Group, case
from harness.daemon import THEIRS, daemon, tail
from harness.net import World, until
from harness.traffic import Server, Web

MAIL_PORT = 2525


class MailServer(Server):
    """Takes every mail and keeps it whole."""

    def __init__(self, node):
        self.mails = []
        super().__init__(node, MAIL_PORT)

    def talk(self, connection):
        lines = connection.makefile("rw", newline="\r\n", encoding="latin-1")
        text = None

        def say(answer):
            lines.write(answer + "\r\n")
            lines.flush()
        say("220 ready")
        for line in lines:
            line = line.rstrip("\r\n")
            if text is not None:
                if line == ".":
                    self.mails.append("\n".join(text))
                    text = None
                    say("250 taken")
                else:
                    text.append(line)
            elif line.upper() == "DATA":
                text = []
                say("354 go on")
            elif line.upper() == "QUIT":
                return say("221 bye")
            else:
                say("250 ok")

    def subjects(self):
        return [line.removeprefix("Subject: ") for mail in list(self.mails) for line in mail.splitlines()
                if line.startswith("Subject: ")]


class Told(World):
    """One daemon with a FIFO and a mail server; a server behind it comes and goes."""

    def __init__(self, make):
        super().__init__()
        try:
            self.make = make
            self.host, far = self.node("director"), self.node("servers")
            self.wire(self.host, "eth0", far, "eth0")
            self.host.ip("addr add 10.20.0.1/24 dev eth0")
            far.ip("addr add 10.20.0.2/24 dev eth0")
            self.far = far
            self.mail = self.add(MailServer(self.host))
            self.fifo = os.path.join(self.dir, "events")
            self.lines = []
            self.daemon = daemon(make, self.host, f"""\
global_defs {{
    router_id LVS1
    notification_email {{
        ops@example.org
    }}
    notification_email_from lb@example.org
    smtp_server 127.0.0.1 {MAIL_PORT}
    smtp_connect_timeout 5
    notify_fifo {self.fifo}
}}
vrrp_instance VI_1 {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 1
    smtp_alert
    virtual_ipaddress {{
        10.20.0.100/24
    }}
}}
virtual_server 10.20.0.100 80 {{
    delay_loop 1
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.20.0.2 80 {{
        TCP_CHECK {{
            connect_timeout 1
            retry 1
            delay_before_retry 1
        }}
    }}
}}
""")
        except BaseException:
            self.__exit__()
            raise

    def read(self):
        """Keeps the lines of the FIFO, until it goes away."""
        def loop():
            with contextlib.suppress(OSError), open(self.fifo, errors="replace") as f:
                for line in f:
                    self.lines.append(line.strip("\0\n"))
        threading.Thread(target=loop, daemon=True).start()

    def logs(self):
        return f"  {self.daemon.label}:\n{tail(self.daemon.log())}\n  lines: {self.lines}\n  mail: {self.mail.mails}"


Group.fixture("told", Told)


@case("notify_fifo and smtp_alert tell of an instance")
def instance(told):
    told.daemon.start()
    until("the FIFO is there", lambda: os.path.exists(told.fifo))
    mode = os.stat(told.fifo).st_mode & 0o777
    assert mode == 0o600, f"mode {mode:o}"
    told.read()
    until("MASTER on the FIFO", lambda: 'INSTANCE "VI_1" MASTER 100' in told.lines)
    wanted = "[LVS1] VRRP Instance VI_1 - Entering MASTER state"
    until("MASTER by mail", lambda: wanted in told.mail.subjects())
    mail = next(m for m in told.mail.mails if wanted in m)
    head = {line.split(":")[0] for line in mail.split("\n\n")[0].splitlines()}
    assert {"Date", "From", "To", "Subject", "X-Mailer"} <= head, mail
    assert re.search(r"^To: .*ops@example\.org", mail, re.M) and "From: lb@example.org" in mail, mail
    return wanted


@case("a server that comes and goes")
def server(told):
    until("the daemon runs", told.daemon.running)
    name = "[10.20.0.2]:tcp:80"
    until("DOWN on the FIFO", within=20, probe=lambda: f"RS {name} [10.20.0.100]:tcp:80 DOWN" in told.lines)
    web = told.add(Web(told.far, 80))
    until("UP on the FIFO", within=20, probe=lambda: f"RS {name} [10.20.0.100]:tcp:80 UP" in told.lines)
    wanted = [f"[LVS1] Realserver {name} of virtual server [10.20.0.100]:tcp:80 - {verdict}" for verdict in ("DOWN", "UP")]
    until("both by mail", lambda: set(wanted) <= set(told.mail.subjects()))
    web.close()
    return f"{len(told.mail.mails)} mails"


@case("a stop is told on the FIFO")
def stop(told):
    told.daemon.stop()
    until("STOP on the FIFO", lambda: any('INSTANCE "VI_1" STOP' in line for line in told.lines))
    # keepalived leaves it behind, depending on which of its processes ends last.
    assert told.make == THEIRS or not os.path.exists(told.fifo), "the FIFO is still there"
